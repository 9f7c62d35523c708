"""Small fits whose every number is pinned, printed as JSON; see :mod:`tests.guard.portable`."""

import json
import platform
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from skflow import FlowDensity, FlowOutlierDetector

Numbers = dict[str, list[float]]


def mixed(n_rows: int) -> pd.DataFrame:
    """Labels, missing values, a date, an atom, levels and a grid, all related."""
    rng = np.random.default_rng(0)
    plan = rng.choice(["free", "team", "firm"], size=n_rows, p=[0.5, 0.3, 0.2])
    seats = np.where(plan == "free", 1, rng.poisson(8, n_rows) + 1)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n_rows), unit="D")
    spent = np.where(rng.random(n_rows) < 0.3, 0.0, np.exp(rng.normal(3, 1, n_rows)).round(2))
    spent[plan == "free"] /= 2
    stay = (spent.clip(1) ** 0.3 + rng.standard_normal(n_rows)).astype(np.float32)
    stay[rng.random(n_rows) < 0.15] = np.nan
    return pd.DataFrame(
        {"plan": plan, "seats": seats, "start": start, "spent": spent, "stay": stay}
    )


def missing(n_rows: int) -> pd.DataFrame:
    """Numbers of three kinds, of which many are missing, and a nullable flag."""
    rng = np.random.default_rng(1)
    common = rng.standard_normal(n_rows)
    df = pd.DataFrame(
        {
            "height": (170 + 8 * common + rng.standard_normal(n_rows)).round(1),
            "weight": np.exp(4.2 + 0.1 * common + 0.1 * rng.standard_normal(n_rows)),
            "visits": rng.poisson(np.exp(2 + common / 2)),
        }
    )
    for name, share in (("height", 0.1), ("weight", 0.3)):
        df[name] = df[name].mask(rng.random(n_rows) < share)
    df["smokes"] = pd.array(rng.random(n_rows) < 0.3, dtype="boolean")
    df["smokes"] = df["smokes"].mask(pd.Series(rng.random(n_rows) < 0.1), pd.NA)
    return df


def numbers_of(frame: pd.DataFrame) -> list[float]:
    """All cells as numbers: dates in days, labels by the sum of their letters, missing as -1."""
    cells: list[float] = []
    for name in frame:
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            column = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        elif not pd.api.types.is_numeric_dtype(column):
            column = column.map(lambda cell: float(sum(map(ord, cell))))
        cells += column.astype("Float64").fillna(-1.0).astype(float).tolist()
    return cells


def density(frame: pd.DataFrame, **parameters: Any) -> Numbers:
    """Scores, latents, the way back from latents never seen, and samples."""
    flow = FlowDensity(random_state=0, **parameters).fit(frame)
    latents = flow.transform(frame[:12])
    return {
        "scores": flow.score_samples(frame)[:60].tolist(),
        "latents": latents.ravel().tolist(),
        "inverse": numbers_of(flow.inverse_transform(latents[::-1] / 2)),
        "samples": numbers_of(flow.sample(8, random_state=1)),
        "training": [*flow.history_["train_score"], flow.best_validation_score_],
    }


def detector(frame: pd.DataFrame, robust: bool, **parameters: Any) -> Numbers:
    """Scores, p-values, reasons and repairs."""
    fitted = FlowOutlierDetector(FlowDensity(**parameters), robust=robust, random_state=0).fit(
        frame
    )
    fresh = frame.sample(12, random_state=0).reset_index(drop=True)
    fresh.iloc[0, -1] = frame.iloc[:, -1].dropna().max()
    return {
        "scores": fitted.score_samples(fresh).tolist(),
        "offset": [float(fitted.offset_)],
        "p_values": fitted.p_values(fresh).tolist(),
        "features": np.asarray(fitted.score_features(fresh[:3])).ravel().tolist(),
        "repair": numbers_of(fitted.repair(fresh[:2])),
    }


def table(load: Callable[..., Any], **options: Any) -> pd.DataFrame:
    """Return a table of scikit-learn."""
    return load(as_frame=True, **options).data


FITS: dict[str, Callable[[], Numbers]] = {
    "iris": lambda: density(table(load_iris), max_iter=6),
    "wine": lambda: density(table(load_wine), n_layers=0),
    "diabetes": lambda: density(
        table(load_diabetes, scaled=False), n_layers=2, n_components=3, max_iter=2
    ),
    "cancer": lambda: density(
        table(load_breast_cancer).iloc[:, :5], n_layers=2, hidden_units=16, max_iter=2
    ),
    "mixed": lambda: density(mixed(300), n_layers=2, hidden_units=16, max_iter=3),
    "missing": lambda: density(missing(250), n_layers=1, max_iter=3, early_stopping=False),
    "iris_outliers": lambda: detector(table(load_iris), robust=False, n_layers=0, n_components=2),
    "mixed_outliers": lambda: detector(
        mixed(150), robust=True, n_layers=1, n_components=1, max_iter=1
    ),
}


def arithmetic() -> list[float]:
    """Results that tell whether this processor rounds as the one that pinned the numbers."""
    x = torch.linspace(0.1, 3.0, 257, dtype=torch.float64)
    a = torch.outer(x, x.flip(0)).sin()
    y = x.numpy()
    return [
        *(float(f.sum()) for f in (x.exp(), x.log(), x.erfinv().nan_to_num(0.0, 0.0), a @ a)),
        *(float((b @ b)[3, 5]) for b in (a.float(), a.numpy(), a.numpy().astype(np.float32))),
        *(float(f(y).sum()) for f in (np.exp, np.log, np.tanh)),
        *np.linalg.svd(a.numpy()[:20, :20])[1][:3].tolist(),
    ]


def processor() -> list[str]:
    """Return the maker, family and model of this processor, where the system names them."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else [f"model : {platform.machine()}"]
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in named.items()}
    return [fields[key] for key in ("vendor_id", "cpu family", "model") if key in fields]


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")}


def main() -> None:
    """Print all numbers of the fits that are named, or of all."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fits = {name: FITS[name]() for name in sys.argv[1:] or FITS}
    where = {"versions": versions(), "processor": processor(), "arithmetic": arithmetic()}
    json.dump({**where, "fits": fits}, sys.stdout)


if __name__ == "__main__":
    main()
