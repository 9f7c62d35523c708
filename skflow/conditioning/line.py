r"""Proposal for one unknown value: evenly spread quantiles of a mixture on a line.

Given everything else of its row, the value has a mixture of one dimension under the components.
Its quantile function sends evenly spread uniform numbers to evenly spread draws. The mean of
their weights is then an integral by the midpoint rule, so that few of them do the work of many
draws of a component and a value within it.
"""

import torch
from torch import Tensor

from skflow.conditioning.proposal import SMALLEST, Conditional
from skflow.flow.univariate_mixture import UnivariateMixture

BROAD_WEIGHT = 0.2  # draws are few: where all other components are wrong, some still come near
N_COMPONENTS = 11  # of a row: those that are likeliest given its known cells, and the broad one


def draw_on_line(conditional: Conditional, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Draw the one unknown value of rows, and return the log-density of the draws.

    Parameters
    ----------
    conditional : Conditional
        Its rows have one unknown value, and no unknown label.
    uniform : Tensor of shape (n_rows, n_draws)
        Uniform numbers, evenly spread.

    Returns
    -------
    y : Tensor of shape (n_rows, n_draws)
    log_q : Tensor of shape (n_rows, n_draws)
    """
    mixture = mixture_on_line(conditional).repeat(uniform.shape[1])
    z = torch.special.ndtri(uniform.T.flatten().clamp(SMALLEST, 1 - SMALLEST))
    y = mixture.quantile(z)
    log_q = mixture.density(y).log()
    return y.view(uniform.T.shape).T, log_q.view(uniform.T.shape).T


def mixture_on_line(conditional: Conditional) -> UnivariateMixture:
    """Return the mixture of the one unknown value of each row, by its likeliest components."""
    unknown, known = conditional.pattern.unknown_values, conditional.pattern.known_values
    gain, intercept, factor = conditional.components.regression(unknown, known)
    means = (gain @ conditional.rows.y[list(known)] + intercept[:, :, None])[:, 0]
    log_weights = conditional.log_weights[:-1]
    log_weights, chosen = log_weights.topk(min(N_COMPONENTS, len(log_weights)), dim=0)
    weights = (1 - BROAD_WEIGHT) * torch.softmax(log_weights, dim=0)
    weights = torch.cat((weights, torch.full_like(weights[:1], BROAD_WEIGHT)))
    chosen = torch.cat((chosen, torch.full_like(chosen[:1], len(means) - 1)))
    precision = 1 / factor[:, 0, 0][chosen]
    return UnivariateMixture(
        weights,
        total=weights.sum(dim=0),
        offset=-means.gather(0, chosen) * precision,
        precision=precision,
        shift=means.new_zeros(1),
        floor=means.new_zeros(()),
    )
