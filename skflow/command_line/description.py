"""Models in words."""

import math
from typing import Any

from skflow.archive.files import read
from skflow.command_line.messages import one_line
from skflow.command_line.model_columns import density_of
from skflow.estimators.density import FlowDensity
from skflow.estimators.outlier import FlowOutlierDetector
from skflow.table.schema import Schema


def describe_fit(estimator: Any) -> str:
    """Say what columns were taken for, and how well the model does."""
    density = density_of(estimator)
    return f"{density.schema_}\n{_score(density)}"


def describe(estimator: Any, path: str) -> str:
    """Say all there is to say about the model in a file."""
    density, kind = density_of(estimator), type(estimator)
    is_detector = isinstance(estimator, FlowOutlierDetector)
    defaults = (kind(FlowDensity()) if is_detector else kind()).get_params()
    given = {
        name: value
        for name, value in estimator.get_params().items()
        # Texts, as arrays do not compare to a truth. The device is that of now, and a density's
        # parameters follow it.
        if name not in ("density", "device", "density__device")
        and repr(value) != repr(defaults[name])
    }
    lines = [
        f"{kind.__name__}, written by skflow {read(path)[0]['written_by']}",
        "parameters: "
        + (", ".join(_spell(*pair) for pair in given.items()) or "all as by default"),
        _score(density),
        f"trained on: {density.device_}",
    ]
    if is_detector:
        m = estimator.n_calibration_
        auto = estimator.contamination == "auto" and m >= 99
        rule = ", where p-values are at most 0.01" if auto else ""
        lines.append(f"outliers: scores below {estimator.offset_:.4f}{rule}")
        lines.append(f"p-values: down to {1 / (m + 1):.3g}, counted among {m} rows")
    return "\n".join([*lines, repr(density.schema_)])


def _spell(name: str, value: Any) -> str:
    """Return a parameter in one line; a schema, which follows anyhow, by its size."""
    if isinstance(value, Schema):
        return f"{name}=schema of {len(value.columns)} columns"
    return f"{name}={one_line(repr(value))}"


def _score(density: Any) -> str:
    held_out = any(not math.isnan(score) for score in density.history_["validation_score"])
    rows = "held-out" if held_out else "training"
    n_epochs = len(density.history_["train_score"])
    return (
        f"score: {density.best_validation_score_:.4f} nats per {rows} row, "
        f"after {n_epochs} {'epoch' if n_epochs == 1 else 'epochs'}"
    )
