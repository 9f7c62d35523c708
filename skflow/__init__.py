"""skflow: exact, reversible density estimation for tables, with scikit-learn's manners.

The classes are imported when they are first used: PyTorch and scikit-learn take seconds, which
``skflow --version`` need not wait for.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skflow.batches.task import BatchTask
    from skflow.estimators.classifier import FlowClassifier
    from skflow.estimators.conditional_distribution import ConditionalDistribution
    from skflow.estimators.density import FlowDensity
    from skflow.estimators.imputer import FlowImputer
    from skflow.estimators.loading import load
    from skflow.estimators.outlier import FlowOutlierDetector
    from skflow.estimators.regressor import FlowRegressor

__all__ = [
    "BatchTask",
    "ConditionalDistribution",
    "FlowClassifier",
    "FlowDensity",
    "FlowImputer",
    "FlowOutlierDetector",
    "FlowRegressor",
    "load",
]
__version__ = version("skflow")

_MODULES = {
    "BatchTask": "skflow.batches.task",
    "ConditionalDistribution": "skflow.estimators.conditional_distribution",
    "FlowClassifier": "skflow.estimators.classifier",
    "FlowDensity": "skflow.estimators.density",
    "FlowImputer": "skflow.estimators.imputer",
    "FlowOutlierDetector": "skflow.estimators.outlier",
    "FlowRegressor": "skflow.estimators.regressor",
    "load": "skflow.estimators.loading",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for the first time (PEP 562)."""
    if name == "exceptions":
        return import_module("skflow.exceptions")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "exceptions"})
