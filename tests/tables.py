"""Tables and flows that several tests use."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from skflow import FlowDensity

Table = NDArray[np.float64]

STR = pd.StringDtype(na_value=np.nan)  # what pandas takes strings for by itself from 3 on


def unfitted(kind: type, **parameters: Any) -> Any:
    """Return an estimator of this class; these are the parameters of its density."""
    density = FlowDensity(**parameters)
    return density if kind is FlowDensity else kind(density, random_state=density.random_state)


def correlated(n_rows: int, n_columns: int, seed: int) -> Table:
    """Correlated columns, some skewed, with locations and scales far apart."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n_rows, n_columns)) @ rng.standard_normal((n_columns, n_columns))
    rows[:, ::2] = np.exp(rows[:, ::2] / 2)
    return rows * 10.0 ** (np.arange(n_columns) - 1) + 3 * np.arange(n_columns)


def clustered(n_rows: int, n_columns: int, seed: int, row_seed: int = 0) -> Table:
    """Rows of three narrow clusters, tens of their widths apart; ``seed`` places the clusters."""
    centres = 3 * np.random.default_rng(seed).standard_normal((3, n_columns))
    rng = np.random.default_rng(row_seed)
    label = rng.integers(3, size=n_rows)
    return centres[label] + 0.1 * rng.standard_normal((n_rows, n_columns))


def randomise(flow: FlowDensity, seed: int) -> FlowDensity:
    """Replace the weights of a fitted flow by random ones: layers that bend, broad components.

    Labels as well: their probabilities then have little to do with the table.
    """
    generator = torch.Generator().manual_seed(seed)
    model = flow._density.model
    mixture = model.flow.mixture

    def draw(parameter: torch.Tensor) -> torch.Tensor:
        return torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)

    with torch.no_grad():
        for name, parameter in [
            *model.flow.couplings.named_parameters(),
            *model.labels.named_parameters(),
        ]:
            fan_in = parameter.shape[-1] if name.endswith("weight") else 1
            parameter.copy_(draw(parameter) / (2 * fan_in**0.5))
        for parameter in (mixture.intercept, mixture.log_scale, mixture.log_weights):
            parameter.copy_(0.3 * draw(parameter))
        for parameter in mixture.effects.parameters():
            parameter.copy_(0.3 * draw(parameter))
    return flow


def column_scale(column: NDArray) -> float:
    """Typical magnitude of a column: errors are judged against it."""
    magnitude = np.abs(column.astype(np.float64))
    return float(np.quantile(magnitude, 0.9)) or float(magnitude.max()) or 1.0
