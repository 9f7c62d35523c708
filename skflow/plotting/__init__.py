"""Pictures of densities and outliers, as scikit-learn's Displays.

Each class has ``from_estimator``, which computes and draws, and ``plot``, which draws
once more what was computed. They need matplotlib, which skflow does without otherwise.
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
