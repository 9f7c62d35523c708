"""Held-out nats per column, seconds and memory on tables of 10 to 2,000 columns.

    python -m benchmarks.wide --data DIR [--seeds 0] [--tables hazelnut_vit] [--methods Flow]
    python -m pip install zuko nflows; python -m benchmarks.wide --data DIR --methods zuko
    python -m benchmarks.wide --page

Peers are Gaussians with few parameters: Ledoit-Wolf's shrunk covariance, factor analysis and
probabilistic PCA (rank chosen on a tenth of the training rows), GaussianMixture with full or
diagonal components (chosen alike) and, where zuko and nflows are installed, the coupling splines of
zuko, trained as ``peers/flows.py`` describes, 150 processor seconds a rate at most. They get
standardized columns; the Jacobian is put back.
Tables of labels (indicators, digits) have a Chow-Liu tree and independent columns as peers.
Values that repeat are blurred as in ``common/tables.py``, for every method alike. Known densities
have a covariance of low rank plus a diagonal ("factors"), or a sparse precision plus low rank
("graph"); their figures are nats per column below the truth. Digits are integers: bits per pixel,
for peers of a density of pixels with uniform noise, a bound. Every fit runs in a process of its
own; seconds are the processor's.

Detection: AUROC of FlowOutlierDetector, fitted to half of the normal rows, beside the mean distance
to five neighbours of standardized rows.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from benchmarks.common import report
from benchmarks.common.alone import peak_memory, run_alone
from benchmarks.common.records import (
    add_arguments,
    drop_records,
    measure_missing,
    read_records,
)
from benchmarks.common.tables import blur, drop_duplicates, split
from benchmarks.peers.chow_liu import SMOOTHING, ChowLiuTree
from skflow import FlowDensity, FlowOutlierDetector

FloatArray = NDArray[np.float64]

LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy")
HAS_SPLINES = find_spec("zuko") is not None and find_spec("nflows") is not None
EMBEDDINGS = ("20news_roberta", "cifar10_resnet", "hazelnut_vit")
INDICATORS = "17_InternetAds"
DETECTED = (*EMBEDDINGS, INDICATORS)
MIXED = "communities_crime"
WIDTHS = (200, 500, 1000, 2000)
KNOWN = [("factors", columns) for columns in (10, 30, 100, *WIDTHS)]
KNOWN += [("graph", columns) for columns in WIDTHS]
KNOWN_ROWS = {"factors": 2000, "graph": 5000}
RANKS = (2, 5, 10, 20, 40, 80)
SPLINES = "zuko coupling"
MAX_SECONDS = 150.0  # of a spline flow's training at one rate
FEW_ZEROS = 0.2  # share of exact zeros from which a column of image features is left out


def load(data: Path, name: str, seed: int) -> tuple[FloatArray, FloatArray, float]:
    """Return rows to fit, rows to score, and the mean log-density of the truth, if known."""
    kind, _, size = name.partition(" ")
    if kind in KNOWN_ROWS:
        return draw_known(kind, int(size), seed)
    if name.startswith("digits"):
        rows = np.random.default_rng(seed).permutation(load_digits().data)
        return rows[: int(size)], rows[-360:], 0.0
    if name == INDICATORS:
        arrays = np.load(data / "adbench" / f"{name}.npz")
        return *split(arrays["X"][arrays["y"] == 0].astype(np.float64), seed), 0.0
    if name == MIXED:  # its numbers without a missing one
        numbers = pd.read_parquet(data / "mixed" / f"{name}.parquet").select_dtypes("number")
        arrays = {"X": numbers.dropna(axis=1).to_numpy(np.float64), "y": np.zeros(len(numbers))}
    elif name in EMBEDDINGS:
        arrays = np.load(data / "wide" / f"{name}.npz")
    else:
        arrays = np.load(data / "adbench" / f"{name}.npz")
    rows = np.unique(arrays["X"][arrays["y"] == 0].astype(np.float64), axis=0)
    rows = rows[:, (rows == 0).mean(axis=0) < FEW_ZEROS]
    return *split(drop_duplicates(blur(rows, np.random.default_rng(0))), seed), 0.0


def draw_known(kind: str, n_columns: int, seed: int) -> tuple[FloatArray, FloatArray, float]:
    """Return normal rows of a known covariance, and the mean log-density of those to score."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(n_columns, 10)) / np.sqrt(10)
    if kind == "factors":
        covariance = loadings @ loadings.T + np.diag(rng.uniform(0.3, 0.7, n_columns))
    else:
        precision = np.eye(n_columns)
        for _ in range(n_columns):  # as many edges as columns
            i, j = rng.integers(n_columns, size=2)
            weight = rng.uniform(0.2, 0.4) * rng.choice((-1, 1)) * (i != j)
            precision[[i, j], [j, i]] += weight
            precision[[i, j], [i, j]] += abs(weight)
        covariance = np.linalg.inv(precision + loadings @ loadings.T)
    factor = np.linalg.cholesky(covariance)
    draw = np.random.default_rng(1 + seed).normal(size=(KNOWN_ROWS[kind] + 1000, n_columns))
    rows = draw @ factor.T
    log_prob = -(draw**2).sum(axis=1) / 2 - np.log(np.diag(factor)).sum()
    truth = log_prob[-1000:].mean() - n_columns * np.log(2 * np.pi) / 2
    return rows[:-1000], rows[-1000:], float(truth)


def fit_flow(train: FloatArray, seed: int, **settings: int) -> FlowDensity:
    """Fit FlowDensity."""
    return FlowDensity(random_state=seed, **settings).fit(train)


def _choose(candidates: Callable[[int], list], train: FloatArray, seed: int) -> object:
    """Fit the candidate with the highest score on a tenth of the rows to all rows."""
    rows = np.random.default_rng(seed).permutation(train)
    n_held_out = len(rows) // 10
    best, chosen = -np.inf, None
    for candidate in candidates(seed):
        try:
            score = candidate.fit(rows[n_held_out:]).score(rows[:n_held_out])
        except ValueError:  # more factors than rows, or a covariance that is not positive
            continue
        if score > best:
            best, chosen = score, candidate
    return chosen.fit(train)


def fit_factors(train: FloatArray, seed: int) -> object:
    """Fit factor analysis of the best rank."""
    make = partial(FactorAnalysis, max_iter=200, tol=0.1)
    return _choose(lambda s: [make(rank, random_state=s) for rank in RANKS], train, seed)


def fit_pca(train: FloatArray, seed: int) -> object:
    """Fit probabilistic PCA of the best rank."""
    return _choose(lambda s: [PCA(rank, random_state=s) for rank in RANKS], train, seed)


def fit_mixture(train: FloatArray, seed: int) -> object:
    """Fit GaussianMixture of the best shape and size."""
    shapes = [("diag", k) for k in (4, 16)] + [("full", k) for k in (1, 4, 16)]
    make = partial(GaussianMixture, reg_covar=1e-2, max_iter=50)
    return _choose(
        lambda s: [make(k, covariance_type=shape, random_state=s) for shape, k in shapes],
        train,
        seed,
    )


class Splines(NamedTuple):
    """A fitted flow of another library, which scores rows."""

    model: torch.nn.Module

    def score(self, rows: FloatArray) -> float:
        """Return the mean log-density of rows, in nats."""
        return flows().mean_score(self.model, torch.as_tensor(rows).float())


def fit_splines(train: FloatArray, seed: int) -> object:
    """Fit zuko's coupling splines at the best rate."""
    rows = torch.as_tensor(train).float()
    _, best, model = flows().fit_best(flows().Coupling, rows, seed, MAX_SECONDS)
    if best is None:
        raise RuntimeError("every rate failed")
    return Splines(model)


def flows() -> ModuleType:
    """Return the module of other libraries' flows, which need not be installed."""
    return import_module("benchmarks.peers.flows")


def fit_labels(train: FloatArray, seed: int, *, is_tree: bool) -> object:
    """Fit a tree of labels, or independent columns, of the best smoothing."""
    n_labels = int(train.max()) + 1
    make = partial(ChowLiuTree, n_labels, is_tree=is_tree)
    return _choose(lambda _: [make(smoothing) for smoothing in SMOOTHING], train, seed)


METHODS: dict[str, Callable[..., object]] = {
    "FlowDensity()": fit_flow,
    "FlowDensity(n_layers=0)": partial(fit_flow, n_layers=0),
    "Ledoit-Wolf": lambda train, seed: LedoitWolf().fit(train),
    "factor analysis": fit_factors,
    "PPCA": fit_pca,
    "GaussianMixture": fit_mixture,
    SPLINES: fit_splines,
    "Chow-Liu tree": partial(fit_labels, is_tree=True),
    "independent columns": partial(fit_labels, is_tree=False),
}
DEFAULTS, *_ = METHODS
FLOWS, PEERS = list(METHODS)[:2], list(METHODS)[2:]
OF_LABELS = PEERS[-2:]


def methods_of(table: str) -> list[str]:
    """Return the methods that a table is for: labels, numbers, or both."""
    has_labels, has_numbers = table == INDICATORS or table.startswith("digits"), table != INDICATORS
    peers = [method for method in PEERS if (has_labels if method in OF_LABELS else has_numbers)]
    return [*FLOWS, *peers]


def measure_density(data: Path, table: str, seed: int, method: str) -> dict:
    """Return nats per column (bits per pixel of digits), seconds of the fit, and memory."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    train, test, truth = load(data, table, seed)
    n_rows, n_columns = train.shape
    log_scale = 0.0
    before, is_flow = peak_memory(), method in FLOWS
    if not is_flow and method not in OF_LABELS:
        if table.startswith("digits"):  # uniform noise: a bound of the log-probability
            train, test = (
                x + np.random.default_rng(7).uniform(-0.5, 0.5, x.shape) for x in (train, test)
            )
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
        log_scale = np.log(scaler.scale_).sum()
    start = time.process_time()
    model = METHODS[method](train, seed)
    seconds = time.process_time() - start
    nats = (float(model.score(test)) - log_scale - truth) / n_columns
    record = {"rows": n_rows, "columns": n_columns, "nats": nats, "seconds": seconds}
    record["megabytes"] = (peak_memory() - before) / 2**20
    if is_flow:
        record["equal"] = model.inverse_error_.share_equal
    return record


def measure_detection(data: Path, table: str, seed: int) -> dict:
    """Return the AUROC of the detector and of the mean distance to five neighbours."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = "wide" if table in EMBEDDINGS else "adbench"
    arrays = np.load(data / folder / f"{table}.npz")
    rows, is_outlier = arrays["X"].astype(np.float64), arrays["y"] == 1
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~is_outlier))
    train, rest = normal[: len(normal) // 2], normal[len(normal) // 2 :]
    test = np.concatenate((rest, np.flatnonzero(is_outlier)))
    start = time.process_time()
    detector = FlowOutlierDetector(random_state=seed).fit(rows[train])
    scores = -detector.score_samples(rows[test])
    seconds = time.process_time() - start
    scaler = StandardScaler().fit(rows[train])
    near = NearestNeighbors(n_neighbors=5).fit(scaler.transform(rows[train]))
    distance = near.kneighbors(scaler.transform(rows[test]))[0].mean(axis=1)
    return {
        "auroc": roc_auc_score(is_outlier[test], scores),
        "neighbours": roc_auc_score(is_outlier[test], distance),
        "seconds": seconds,
    }


def measure(data: Path, table: str, seed: int, method: str) -> dict:
    """Measure in a process of its own."""
    if method == "detection":
        return run_alone(measure_detection, data, table, seed) or {"auroc": None, "seconds": None}
    found = run_alone(measure_density, data, table, seed, method)
    return found or {"nats": None, "seconds": None, "error": "out of memory"}


def write_pages(records: list[dict]) -> None:
    """Write the pages of densities and of detection."""
    densities = [record for record in records if record["method"] in METHODS]
    lines, leads = [], []
    methods = [m for m in METHODS if any(r["method"] == m for r in densities)]
    widths = {record["table"]: record["columns"] for record in densities}
    for table in sorted(widths, key=lambda table: (table.split()[0], widths[table])):
        own = [record for record in densities if record["table"] == table]
        mean = {
            method: [
                np.mean([r[key] for r in own if r["method"] == method])
                for key in ("nats", "seconds")
            ]
            for method in METHODS
            if any(r["method"] == method and r["nats"] is not None for r in own)
        }
        unit = -1 / np.log(2) if table.startswith("digits") else 1.0
        best = max((mean[m][0] for m in PEERS if m in mean), default=-np.inf)
        if DEFAULTS in mean:
            leads.append(mean[DEFAULTS][0] - best)
        cells = [f"{unit * mean[m][0]:.4f}" if m in mean else "" for m in methods]
        seconds = [f"{mean[m][1]:.0f}" if m in mean else "" for m in (DEFAULTS, *PEERS[:1])]
        lines.append([table, str(own[0]["rows"]), str(own[0]["columns"]), *cells, *seconds])
    header = ["table", "rows", "columns", *methods, "seconds of FlowDensity()", "of Ledoit-Wolf"]
    report.write(
        "wide",
        "",
        "Held-out nats per column, higher is better; less the truth where it is known; of digits, "
        "bits per pixel, lower is better. "
        f"FlowDensity() is ahead of every peer on {sum(lead > 0 for lead in leads)} of "
        f"{len(leads)} tables, and at worst {max(0.0, -min(leads)):.4f} nats per column behind.",
        header,
        lines,
        footer=report.footer_of(densities, "python -m benchmarks.wide --data DIR"),
    )
    found = [r for r in records if r["method"] == "detection" and r["auroc"] is not None]
    if found:
        detected = [
            [
                r["table"],
                str(r["seed"]),
                f"{r['auroc']:.3f}",
                f"{r['neighbours']:.3f}",
                f"{r['seconds']:.0f}",
            ]
            for r in found
        ]
        report.write(
            "wide_detection",
            "",
            "AUROC on wide tables, fitted to half of the normal rows; mean "
            f"{np.mean([r['auroc'] for r in found]):.3f}, of five neighbours "
            f"{np.mean([r['neighbours'] for r in found]):.3f}.",
            [
                "table",
                "split",
                "FlowOutlierDetector()",
                "mean distance of five neighbours",
                "seconds",
            ],
            detected,
            footer=report.footer_of(
                found, "python -m benchmarks.wide --data DIR --methods detection"
            ),
        )


def main() -> None:
    """Measure what is not there yet; write the pages with ``--page``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="holds wide/, adbench/ and mixed/")
    parser.add_argument("--tables", nargs="+", help="all, if not given")
    add_arguments(parser, "wide")
    parser.set_defaults(seeds=[0])
    arguments = parser.parse_args()
    if arguments.data is not None:
        known = [f"{kind} {columns}" for kind, columns in KNOWN]
        digits = [f"digits {n_rows}" for n_rows in (50, 200, 600, 1437)]
        tables = [*EMBEDDINGS, "24_mnist", MIXED, INDICATORS, *known, *digits]
        of_table = {table: methods_of(table) for table in tables}
        detected = dict.fromkeys(DETECTED, ("detection",))
        beginnings = tuple(arguments.fresh or arguments.methods)
        jobs = [
            {"table": table, "seed": seed, "method": method}
            for seed in arguments.seeds
            for methods in (of_table, detected)
            for table in arguments.tables or methods
            for method in methods.get(table, ())
            if method.startswith(beginnings) and (method != SPLINES or HAS_SPLINES)
        ]
        if arguments.fresh:
            drop_records(arguments.results, jobs)
        shown = ("seconds",)
        measure_missing(arguments.results, jobs, partial(measure, arguments.data), LIBRARIES, shown)
    if arguments.page:
        write_pages(read_records(arguments.results))


if __name__ == "__main__":
    main()
