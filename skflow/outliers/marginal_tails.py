r"""Tail probabilities of labels, each in its column alone.

That of a label is the probability of all labels of its column that are no likelier,

.. math:: P(l) = \sum_{k : p_k \le p_l} p_k , \qquad p_k \propto n_k + 1/2 ,

with the number :math:`n_k` of rows that have label k. Levels of numbers have an order: theirs is
two-sided, twice the lesser one of the probabilities of all levels no higher and of all no lower.
Labels that were never seen have the probability that the codec gives to all of them together, which
does not depend on what a fit leaves out.
"""

import numpy as np
from numpy.typing import NDArray

from skflow.table.codec import TableCodec

FloatArray = NDArray[np.float64]


def label_log_tails(codec: TableCodec, counts: FloatArray) -> FloatArray:
    """Log tail probability of each label, ``(n_entries,)``.

    Parameters
    ----------
    codec : TableCodec
    counts : ndarray of shape (n_entries,)
        Rows of each label, or their weights: labels of all columns, one column after the other
        and "never seen" the last of each.
    """
    log_tails, end = np.empty(len(counts)), 0
    for column in (codec.columns[j] for j in codec.labelled):
        labels, start = column.labels, end
        end = start + labels.n_labels + 1
        known = counts[start : end - 1] + 0.5
        probabilities = np.append((1 - column.unseen) * known / known.sum(), column.unseen)
        ascending = np.sort(probabilities)
        last = np.searchsorted(ascending, probabilities, side="right") - 1
        tails = np.cumsum(ascending)[last]
        if column.is_ordered and labels.n_values == 0:
            of_levels = probabilities[: labels.n_known]
            no_higher, no_lower = np.cumsum(of_levels), np.cumsum(of_levels[::-1])[::-1]
            tails[: labels.n_known] = 2 * np.minimum(no_higher, no_lower)
        log_tails[start:end] = np.log(tails).clip(max=0.0)
    return log_tails
