"""Displays of densities and outliers, in the style of scikit-learn.

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

from skflow.plotting.latents import LatentNormalityDisplay
from skflow.plotting.outlier_scores import OutlierScoreDisplay
from skflow.plotting.pairs import PairDisplay
from skflow.plotting.reasons import ReasonsDisplay
from skflow.plotting.training_curve import TrainingCurveDisplay

__all__ = [
    "LatentNormalityDisplay",
    "OutlierScoreDisplay",
    "PairDisplay",
    "ReasonsDisplay",
    "TrainingCurveDisplay",
]
