"""skflow: exact, reversible density estimation for tables, with scikit-learn's manners."""

from importlib.metadata import version

from skflow.estimators.density import FlowDensity

__all__ = ["FlowDensity"]
__version__ = version("skflow")
