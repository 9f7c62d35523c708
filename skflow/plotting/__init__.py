"""Displays of densities, outliers and predictions, in the style of scikit-learn.

Each class has ``from_estimator``, which computes and draws, and ``plot``, which draws the
computed result again. The displays need matplotlib, an optional dependency of skflow.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise ImportError(
        'skflow.plotting needs matplotlib. Install it with: pip install "skflow[plot]"'
    ) from error

from skflow.plotting.calibration import PITDisplay
from skflow.plotting.latents import LatentNormalityDisplay
from skflow.plotting.outlier_scores import OutlierScoreDisplay
from skflow.plotting.pairs import PairDisplay
from skflow.plotting.predictions import PredictiveDensityDisplay
from skflow.plotting.quantile_fan import QuantileFanDisplay
from skflow.plotting.reasons import ReasonsDisplay
from skflow.plotting.training_curve import TrainingCurveDisplay

__all__ = [
    "LatentNormalityDisplay",
    "OutlierScoreDisplay",
    "PITDisplay",
    "PairDisplay",
    "PredictiveDensityDisplay",
    "QuantileFanDisplay",
    "ReasonsDisplay",
    "TrainingCurveDisplay",
]
