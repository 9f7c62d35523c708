"""Methods of estimators as columns of a frame, whose names and dtypes are known beforehand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow.batches.columns import Dtypes, build_frame, dtypes_of_rows, lasting_dtype, split_columns
from skflow.estimators.classifier import FlowClassifier
from skflow.estimators.density import FlowDensity
from skflow.estimators.outlier import FlowOutlierDetector
from skflow.estimators.regressor import FlowRegressor

FLOAT, INTEGER = np.dtype(np.float64), np.dtype(np.int64)


def _outputs(regressor: FlowRegressor, *names: str) -> Dtypes:
    """Return columns of each output, named after it where there are several."""
    outputs = [c.name for c in regressor.density_.schema_.columns if not c.is_given]
    ends = [f"_{output}" for output in outputs] if len(outputs) > 1 else [""]
    pairs = list(zip(ends, regressor._dtypes, strict=True))
    return {
        f"{name}{end}": lasting_dtype(dtype) if dtype.kind in "Mm" else FLOAT
        for end, dtype in pairs
        for name in names
    }


# The columns of each method, by the class of the estimator.
METHODS: Mapping[type, Mapping[str, Callable[[Any], Dtypes]]] = {
    FlowDensity: {
        "score_samples": lambda density: {"log_density": FLOAT},
        "transform": lambda density: {
            f"latent_{name}": FLOAT for name in density.get_feature_names_out()
        },
    },
    FlowOutlierDetector: {
        "score_samples": lambda detector: {"score": FLOAT},
        "decision_function": lambda detector: {"decision": FLOAT},
        "p_values": lambda detector: {"p_value": FLOAT},
        "predict": lambda detector: {"predicted": INTEGER},
        "score_features": lambda detector: {
            f"log_prob_{column.name}": FLOAT for column in detector.density_.schema_.columns
        },
        "repair": lambda detector: dtypes_of_rows(detector.density_),
    },
    FlowRegressor: {
        "predict": lambda regressor: _outputs(regressor, "predicted"),
        "predict_interval": lambda regressor: _outputs(regressor, "low", "high"),
    },
    FlowClassifier: {
        "predict": lambda classifier: {"predicted": lasting_dtype(classifier.classes_.dtype)},
        "predict_proba": lambda classifier: {
            f"probability_{label}": FLOAT for label in classifier.classes_.tolist()
        },
    },
}

# What follows from the scores of a detector, which take nearly all of the time.
OF_SCORES: Mapping[str, Callable[[FlowOutlierDetector, Any], NDArray]] = {
    "score_samples": lambda detector, scores: scores,
    "decision_function": lambda detector, scores: scores - detector.offset_,
    "p_values": lambda detector, scores: detector.p_values_of_scores(scores),
    "predict": lambda detector, scores: np.where(scores < detector.offset_, -1, 1),
}


def columns_of(estimator: Any, methods: Sequence[str]) -> dict[str, Dtypes]:
    """Return the columns that each of some methods gives, and their dtypes.

    Raises
    ------
    TypeError
        Where the estimator is of a class whose answers are no columns.
    ValueError
        Where a method is none of those that give columns.
    """
    known = METHODS.get(type(estimator))
    if known is None:
        names = ", ".join(kind.__name__ for kind in METHODS)
        raise TypeError(f"model must be one of {names}; got {type(estimator).__name__}.")
    if not methods or not known.keys() >= {*methods}:
        raise ValueError(
            f"methods of a {type(estimator).__name__} must be some of {', '.join(known)}; "
            f"got {list(methods)}."
        )
    return {method: known[method](estimator) for method in methods}


def answer(estimator: Any, rows: Any, columns: Mapping[str, Dtypes]) -> pd.DataFrame:
    """Return the answers of some methods for at least one row, in these columns and dtypes."""
    is_detector = isinstance(estimator, FlowOutlierDetector)
    derived = [method for method in columns if is_detector and method in OF_SCORES]
    scores = estimator.score_samples(rows) if derived else None
    frames = []
    for method, dtypes in columns.items():
        answers = (
            OF_SCORES[method](estimator, scores)
            if method in derived
            else getattr(estimator, method)(rows)
        )
        arrays = split_columns(answers, list(dtypes.values()))
        frames.append(build_frame(arrays, dtypes))
    return pd.concat(frames, axis=1)
