"""Files of one format version, to be kept for ever: ``python -m tests.archive.keep``.

Run once for each version that is released, never again: what it wrote stays as it is, and
every later version must read it.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from skflow import FlowDensity, FlowOutlierDetector
from skflow.estimators.persistence import VERSION
from tests.mixed import small_mix
from tests.settings import ONE_TINY_LAYER
from tests.tables import correlated, unfitted

FOLDER = Path(__file__).parent / "kept"


def rows_of(kept: str) -> Any:
    """Return the rows whose scores are kept beside a file; they depend on no generator."""
    lengths = [-2.0, -0.5, 0.0, 0.25, 1.5, 3.0, 40.0]
    if kept == "mixed":
        return pd.DataFrame(
            {
                "colour": ["red", "green", "blue", "red", "green", "blue", "never seen"],
                "flag": [True, False, True, False, True, False, True],
                "length": lengths,
                "weight": [1.0, None, -3.0, 0.0, 7.5, None, 1e6],
            }
        )
    return pd.DataFrame({"a": lengths, "b": lengths[::-1]}).to_numpy()


def main() -> None:
    """Write files of the present version and what they must say."""
    numbers = correlated(60, 2, seed=0)
    kept = {
        "density": FlowDensity(**ONE_TINY_LAYER).fit(numbers),
        "mixed": FlowDensity(**ONE_TINY_LAYER).fit(small_mix(80)),
        "detector": unfitted(FlowOutlierDetector, **ONE_TINY_LAYER).fit(correlated(120, 2, seed=0)),
    }
    for name, fitted in kept.items():
        stem = FOLDER / f"version_{VERSION}_{name}"
        if stem.with_suffix(".skflow").exists():
            raise SystemExit(f"{stem.name} is kept; it must stay as it is.")
        fitted.save(stem.with_suffix(".skflow"))
        X = rows_of(name)
        told = {"scores": fitted.score_samples(X).tolist(), "schema": repr(kept_schema(fitted))}
        if isinstance(fitted, FlowOutlierDetector):
            told |= {"p_values": fitted.p_values(X).tolist()}
        stem.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")


def kept_schema(fitted: Any) -> Any:
    """Return what the columns were taken for."""
    return getattr(fitted, "density_", fitted).schema_


if __name__ == "__main__":
    main()
