"""skflow: exact, reversible density estimation for tables, with scikit-learn's manners."""

from importlib.metadata import version

from skflow.estimators.density import FlowDensity
from skflow.estimators.loading import load
from skflow.estimators.outlier import FlowOutlierDetector

__all__ = ["FlowDensity", "FlowOutlierDetector", "load"]
__version__ = version("skflow")
