"""What meta-estimators share: the density that their parameter ``density`` describes."""

from typing import Any

from sklearn.base import clone

from skflow.estimators.density import FlowDensity
from skflow.fitted.checkpoint import draw_seed

#: Constraint on the parameter ``density`` of a meta-estimator.
DENSITY = [FlowDensity, None]


def clone_density(estimator: Any) -> tuple[FlowDensity, int]:
    """Unfitted density of a meta-estimator, its parameters checked.

    Parameters
    ----------
    estimator : estimator with parameters ``density``, ``random_state`` and perhaps ``verbose``
        ``density`` is a FlowDensity, which stays as it is, or None for the defaults of one.

    Returns
    -------
    density : FlowDensity
        Clone of ``density``. As in scikit-learn's ensembles, its ``random_state`` is ``seed``,
        whatever it was; its ``verbose`` is that of the meta-estimator, where it has one.
    seed : int
        Drawn from the ``random_state`` of the meta-estimator.

    Raises
    ------
    InvalidParameterError
        Where a parameter of ``density`` is out of range.
    """
    density = FlowDensity() if estimator.density is None else clone(estimator.density)
    density._validate_params()
    verbose = getattr(estimator, "verbose", density.verbose)
    seed = draw_seed(estimator.random_state, density.checkpoint_path, "random_state")
    return density.set_params(random_state=seed, verbose=verbose), seed
