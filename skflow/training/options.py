"""Options of the training loop, and their defaults by the number of rows."""

import math
from dataclasses import dataclass, replace

from skflow.clock import Clock
from skflow.flow.recipe import WIDE, unless_auto
from skflow.training.workers import ALONE, Workers

LEAST_PATIENCE = 5  # epochs, where training may take many


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop.

    Attributes
    ----------
    max_iter : int
        Epochs at most.
    clock : Clock
        Time limit of the fit.
    batch_size : int
        Rows per gradient step.
    learning_rate : float
        Peak of the schedule.
    weight_decay : float
        Weight decay of the conditioners' weight matrices (AdamW).
    label_weight_decay : float
        Weight decay of the network of labels, whose dependences are sharp.
    n_iter_no_change : int
        Epochs without a gain of ``tol`` before training stops, at most.
    least_no_change : int
        The same, at least: in between they are as many as led to the last gain.
    tol : float
        In nats per row.
    max_norm : float
        Gradients are clipped to this norm.
    averaged_epochs : float
        Epochs over which the moving average of the weights forgets.
    workers : Workers
        Processes that train together.
    """

    max_iter: int
    clock: Clock
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_weight_decay: float
    n_iter_no_change: int
    least_no_change: int
    tol: float
    max_norm: float = 5.0
    averaged_epochs: float = 6.0
    workers: Workers = ALONE


def choose_options(
    n_rows: int,
    *,
    max_iter: int | str,
    clock: Clock,
    batch_size: int | str,
    learning_rate: float | str,
    weight_decay: float | str,
    n_iter_no_change: int | str,
    tol: float,
) -> TrainingOptions:
    """Fill in what is "auto" from the number of training rows."""
    epochs = 200 if n_rows < 2_000 else 100 if n_rows < 20_000 else 60
    # A power of 2 that grows as the square root of the rows, from 64 to 256, later 1,024. Up to
    # 20,000 rows an epoch has few steps, and more of them gain more than larger ones.
    power = min(max(round(math.log2(4 * math.sqrt(n_rows))), 6), 8 if n_rows < 20_000 else 10)
    is_auto = isinstance(n_iter_no_change, str)
    patience = unless_auto(n_iter_no_change, epochs // 10)
    return TrainingOptions(
        max_iter=unless_auto(max_iter, epochs),
        clock=clock,
        batch_size=unless_auto(batch_size, 2**power),
        learning_rate=unless_auto(learning_rate, 4e-3),
        weight_decay=unless_auto(weight_decay, min(3.0, 10_000 / n_rows)),
        label_weight_decay=unless_auto(weight_decay, min(1.0, 30 / n_rows)),
        n_iter_no_change=patience,
        least_no_change=max(LEAST_PATIENCE, patience // 2) if is_auto else patience,
        tol=float(tol),
    )


def fewer_epochs_without_a_gain(options: TrainingOptions, n_columns: int) -> TrainingOptions:
    """Wait for fewer epochs where a table has many columns of values.

    An epoch of many columns takes long, and layers that gain at all gain in the first epochs.
    """
    if n_columns <= WIDE:
        return options
    most = max(LEAST_PATIENCE, options.n_iter_no_change * WIDE // n_columns)
    return replace(options, n_iter_no_change=most, least_no_change=LEAST_PATIENCE)


def conditional_label_decay(n_rows: int) -> float:
    """Weight decay for the network of labels where it reads conditions.

    It starts from a logistic regression, and overfits more than a network that reads labels.
    """
    return min(10.0, 4_000 / n_rows)
