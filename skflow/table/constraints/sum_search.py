"""Search for columns that are the rounding of a linear form of several others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.fitting import ROUNDED, Fit, fit_rounded, inverse_gram, polish
from skflow.table.constraints.linear_search import Columns, best_of, linear, steps_of
from skflow.table.constraints.numbers import FloatArray
from skflow.table.constraints.numeric import LinearConstraint
from skflow.table.constraints.quantities import Quantity
from skflow.table.constraints.relations import MOST_OPERANDS, SPARE, complete_parts, draw_rows

MOST_ATTEMPTS = 4  # per target, from different rows
LEAST_ROWS = 60  # that show what is left out
MOST_CHOICES = 8  # of the column that is left out next


def find_sums(
    quantities: Sequence[Quantity], rows: NDArray[np.intp], columns: Columns
) -> Iterator[LinearConstraint]:
    """Yield columns that are the rounding of a linear form of several others."""
    every = np.column_stack([quantity.numbers[rows] for quantity in quantities])
    for numbers, places in complete_parts(every, range(len(quantities))):
        if len(places) > 2 and len(numbers) > len(places) + SPARE:
            yield from sums_in(numbers, [quantities[j] for j in places], columns)


def sums_in(
    numbers: FloatArray, quantities: Sequence[Quantity], columns: Columns
) -> Iterator[LinearConstraint]:
    """Yield such columns of some complete rows."""
    steps = np.array([max(steps_of(quantity), default=np.nan) for quantity in quantities])
    attempts = np.zeros(len(quantities), dtype=int)
    for sample in draw_rows(numbers, len(quantities) + SPARE):
        sample = sample - sample.mean(axis=0)
        scale = np.abs(sample).max(axis=0)
        varying = np.flatnonzero(scale)
        scale = scale[varying]
        inverse = inverse_gram(sample[:, varying] / scale)
        own = scale / np.sqrt(inverse.diagonal() * (SPARE - 1))
        for place in np.flatnonzero(own <= 2.5 * ROUNDED * steps[varying]).tolist():
            j = int(varying[place])
            attempts[j] += 1
            if attempts[j] > MOST_ATTEMPTS:
                continue
            start = np.zeros(len(quantities))
            start[varying] = -inverse[place] / inverse[place, place] * scale[place] / scale
            constraint = reduce_sum(numbers, j, start, quantities, columns)
            if constraint is not None:
                attempts[j] = MOST_ATTEMPTS
                yield constraint


def reduce_sum(
    numbers: FloatArray,
    j: int,
    start: FloatArray,
    quantities: Sequence[Quantity],
    columns: Columns,
) -> LinearConstraint | None:
    """Return a column as the rounding of a linear form of as few others as explain it."""
    target = quantities[j]
    numbers = balance(numbers, j)
    y = numbers[:, j]
    if len(y) < LEAST_ROWS:
        return None
    for step in steps_of(target):
        support = [k for k in range(len(quantities)) if k != j]
        fitted = refit(numbers[:, support], y, numbers[:, support] @ start[support], step)
        if fitted is None:
            continue
        support, fitted = eliminate(numbers, y, support, fitted, step)
        if not 1 < len(support) <= MOST_OPERANDS:
            continue
        operands = [quantities[k] for k in support]
        fits = fit_dated(numbers[:, support], y, fitted, step, target, operands)
        candidates = [linear(target, operands, fit, step) for fit in fits if all(fit.coefficients)]
        found = best_of(candidates, columns)
        if found is not None:
            return found
    return None


def balance(numbers: FloatArray, j: int) -> FloatArray:
    """Return rows of which at most half have the most frequent number of a column."""
    _values, place, counts = np.unique(numbers[:, j], return_inverse=True, return_counts=True)
    usual, others = (np.flatnonzero((place == counts.argmax()) == is_it) for is_it in (True, False))
    return numbers[np.sort([*others, *usual[: len(others)]])]


def fit_dated(
    X: FloatArray,
    y: FloatArray,
    start: FloatArray,
    step: float,
    target: Quantity,
    operands: Sequence[Quantity],
) -> list[Fit]:
    """Return fits in which dates enter as differences from the first of them."""
    dates = [place for place, operand in enumerate(operands) if operand.is_date]
    if not dates:
        fits = fit_rounded(X, y, start, step, with_intercept=True)
        return [] if target.is_date else fits
    first, *later = dates
    whole = float(target.is_date)
    others = [place for place in range(len(operands)) if place != first]
    X, y = X.copy(), y - whole * X[:, first]
    X[:, later] -= X[:, [first]]
    fits = []
    for fit in fit_rounded(X[:, others], y, start[others], step, with_intercept=True):
        coefficients = np.zeros(len(operands))
        coefficients[others] = fit.coefficients
        coefficients[first] = whole - coefficients[later].sum()
        fits.append(replace(fit, coefficients=tuple(map(float, coefficients))))
    return fits


def eliminate(
    numbers: FloatArray, y: FloatArray, support: list[int], fitted: FloatArray, step: float
) -> tuple[list[int], FloatArray]:
    """Leave columns out, as long as the others explain ``y`` up to rounding."""

    def leave_out(places: Sequence[int]) -> bool:
        nonlocal support, fitted
        fewer = np.delete(support, places).tolist()
        if not fewer:
            return False
        again = refit(numbers[:, fewer], y, numbers[:, support] @ fitted, step)
        if again is not None:
            support, fitted = fewer, again
        return again is not None

    # Those that change the number by less than rounding first, all at once.
    effect = np.abs(fitted) * np.ptp(numbers[:, support], axis=0)
    leave_out(np.flatnonzero(effect <= 0.5 * step).tolist())
    while any(leave_out([place]) for place in least_certain(numbers[:, support], fitted)):
        pass
    return support, fitted


def least_certain(X: FloatArray, fitted: FloatArray) -> list[int]:
    """Return some columns, those whose coefficients are nearest to 0 by their errors first."""
    centred = X - X.mean(axis=0)
    scale = np.abs(centred).max(axis=0)
    scale[scale == 0] = 1.0
    certain = np.abs(fitted) * scale / np.sqrt(inverse_gram(centred / scale).diagonal())
    order: list[int] = np.argsort(certain)[:MOST_CHOICES].tolist()
    return order


def refit(X: FloatArray, y: FloatArray, guess: FloatArray, step: float) -> FloatArray | None:
    """Return coefficients that explain ``y`` up to rounding in nearly all rows; None if none do."""
    fitted = polish(X, y, guess, step)
    low, high = np.quantile(y - X @ fitted, [0.05, 0.95])
    return fitted if high - low <= 1.02 * step else None
