"""Meta-estimators: estimators that have a density, which their parameter ``density`` describes."""

from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skflow.estimators.density import FlowDensity
from skflow.estimators.display import SchemaDisplay
from skflow.fitted.checkpoint import draw_seed

#: Constraint on the parameter ``density`` of a meta-estimator.
DENSITY = [FlowDensity, None]


class MetaEstimator(SchemaDisplay, BaseEstimator):
    """Estimator with a fitted density, ``density_``, of any table."""

    _doc_link_module = "skflow"
    _doc_link_template = FlowDensity._doc_link_template

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


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
    ValueError
        Where ``density`` has conditions.
    """
    density = FlowDensity() if estimator.density is None else clone(estimator.density)
    density._validate_params()
    if density.given is not None:
        raise ValueError(
            f"The density of {type(estimator).__name__} must be a joint density, with given=None; "
            f"got given={density.given!r}."
        )
    verbose = getattr(estimator, "verbose", density.verbose)
    seed = draw_seed(estimator.random_state, density.checkpoint_path, "random_state")
    return density.set_params(random_state=seed, verbose=verbose), seed


def density_of(estimator: Any) -> FlowDensity:
    """Return the fitted density of an estimator: itself, or its ``density_``.

    Raises
    ------
    NotFittedError
    TypeError
        If it is not a FlowDensity and has none.
    """
    check_is_fitted(estimator)
    density = getattr(estimator, "density_", estimator)
    if not isinstance(density, FlowDensity):
        raise TypeError(
            "Expected a FlowDensity or a FlowOutlierDetector; got "
            f"{type(estimator).__name__}. Pass the fitted estimator itself."
        )
    return density
