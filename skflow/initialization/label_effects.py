"""Label effects: what each label adds to the means of values and to the mixture's weights."""

from torch import Tensor

from skflow.initialization.imputation import mean_of_present
from skflow.rows import weighted_mean

PRIOR_ROWS = 5.0  # rows without an effect that each label is given beforehand
SWEEPS = 4
TEMPER = 0.5  # labels repeat each other: each says less than it would alone


def fit_mean_effects(
    y: Tensor, codes: Tensor, n_entries: int, weight: Tensor | None = None
) -> Tensor:
    r"""Fit an additive model of the labels, by backfitting (Buja et al., 1989).

    .. math:: y_j = \sum_i t_{j, l_i} + \mathrm{residual}

    Each label's effect is the mean of what the other columns' labels leave, shrunk as by rows
    without an effect. What they leave is the residual and the label's own effect of before.

    Parameters
    ----------
    y : Tensor of shape (n_columns, n_rows)
        NaN is missing.
    codes : Tensor of int64, shape (n_labelled, n_rows)
        Indices into the vocabulary.
    n_entries : int
        Size of the vocabulary.
    weight : Tensor of shape (n_rows,), optional
        Weight of each row in means and counts; None gives all rows the same weight.

    Returns
    -------
    effects : Tensor of shape (n_entries, n_columns)
    """
    absent = y.isnan()
    weight = y.new_ones(y.shape[1]) if weight is None else weight
    # Rows first: a label's effects on all columns lie together.
    residual = (y - mean_of_present(y, weight)).masked_fill(absent, 0.0).T.contiguous()
    present = (~absent).T.to(y.dtype).contiguous()
    of_row = weight[:, None]
    effects = y.new_zeros(n_entries, y.shape[0])
    counts = y.new_zeros(n_entries, y.shape[0])
    for code in codes:
        counts.index_add_(0, code, of_row * present)
    for _ in range(SWEEPS if len(codes) > 1 else 1):
        for code in codes:
            # A column's entries lie together: of the others none is touched.
            first, last = int(code.min()), int(code.max())
            entries = slice(first, last + 1)
            sums = effects[entries] * counts[entries]
            sums.index_add_(0, code - first, of_row * residual)
            change = sums / (counts[entries] + PRIOR_ROWS) - effects[entries]
            effects[entries] += change
            residual.addcmul_(change[code - first], present, value=-1)
    return effects


def fit_weight_effects(
    responsibilities: Tensor, codes: Tensor, n_entries: int, weight: Tensor | None = None
) -> Tensor:
    r"""Fit what each label adds to the logits of the components, by a tempered naive Bayes.

    .. math:: t_{lk} = \tau \log P(k \mid l) / P(k)

    Parameters
    ----------
    responsibilities : Tensor of shape (n_components, n_rows)
    codes : Tensor of int64, shape (n_labelled, n_rows)
        Indices into the vocabulary.
    n_entries : int
        Size of the vocabulary.
    weight : Tensor of shape (n_rows,), optional
        Weight of each row in means and counts; None gives all rows the same weight.

    Returns
    -------
    effects : Tensor of shape (n_entries, n_components)
    """
    weights = weighted_mean(responsibilities, weight)
    counts = responsibilities.new_zeros(n_entries, len(weights))
    counted = responsibilities if weight is None else weight * responsibilities
    for code in codes:
        counts.index_add_(0, code, counted.T)
    rows = counts.sum(dim=1, keepdim=True)
    given = (counts + PRIOR_ROWS * weights) / (rows + PRIOR_ROWS)
    return TEMPER * (given / weights).log().nan_to_num(0.0)
