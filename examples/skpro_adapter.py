"""
FlowRegressor in skpro
======================

skpro is a library of probabilistic regressors with an interface of its own. This adapter makes a
FlowRegressor one of them: each predicted distribution is handed over as 199 quantiles.
"""

import numpy as np
import pandas as pd
from skpro.distributions import QPD_Empirical
from skpro.regression.base import BaseProbaRegressor

from skflow import FlowDensity, FlowRegressor

LEVELS = (np.arange(199) + 1) / 200


class SkproFlowRegressor(BaseProbaRegressor):
    """FlowRegressor with the interface of skpro.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skflow import FlowDensity
    >>> from skpro_adapter import SkproFlowRegressor
    >>> X = pd.DataFrame({"x": np.linspace(0, 1, 40)})
    >>> regressor = SkproFlowRegressor(FlowDensity(n_layers=0), random_state=0)
    >>> regressor.fit(X, X + np.sin(20 * X)).predict_proba(X[:3]).shape
    (3, 1)
    """

    _tags = {  # noqa: RUF012
        "authors": ["skflow"],
        "capability:multioutput": False,
        "capability:missing": True,
        "X_inner_mtype": "pd_DataFrame_Table",
        "y_inner_mtype": "pd_DataFrame_Table",
    }

    def __init__(self, density: FlowDensity | None = None, random_state: int | None = None) -> None:
        self.density = density
        self.random_state = random_state
        super().__init__()

    def _fit(self, X: pd.DataFrame, y: pd.DataFrame) -> "SkproFlowRegressor":
        self.names_ = y.columns
        regressor = FlowRegressor(self.density, random_state=self.random_state)
        self.regressor_ = regressor.fit(X.to_numpy(), y.iloc[:, 0])
        return self

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        mean = self.regressor_.predict(X.to_numpy())
        return pd.DataFrame(mean, index=X.index, columns=self.names_)

    def _predict_proba(self, X: pd.DataFrame) -> QPD_Empirical:
        quantiles = self.regressor_.predict(X.to_numpy(), quantiles=LEVELS)
        index = pd.MultiIndex.from_product([LEVELS, X.index])
        table = pd.DataFrame(quantiles.T.ravel(), index=index, columns=self.names_)
        return QPD_Empirical(table, index=X.index, columns=self.names_)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict]:
        """Parameters of the fits in skpro's tests."""
        return [{"density": FlowDensity(n_layers=0, n_components=k)} for k in (1, 2)]
