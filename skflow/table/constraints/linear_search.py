"""Search for linear constraints: exact relations, one operand or many with rounding."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.evidence import MOST_BROKEN, share_broken
from skflow.table.constraints.fitting import MOST_STRAY, Fit, fit_rounded, polish
from skflow.table.constraints.numbers import FloatArray
from skflow.table.constraints.numeric import LinearConstraint
from skflow.table.constraints.quantities import Quantity
from skflow.table.constraints.relations import (
    Relation,
)
from skflow.table.constraints.simplest import simplest_within
from skflow.table.storage import StoredColumn

# Sets of three rows that show whether points are on a line; of those in which both vary.
N_TRIPLES, LEAST_DECIDING, LEAST_ON_LINE = 300, 10, 0.6
NEARLY = 0.002  # share of rows: of candidates that keep about as many, the first
LEAST_STEPS = 20  # that a rounded column spans
Columns = Mapping[str, StoredColumn]


def best_of(candidates: Sequence[LinearConstraint], columns: Columns) -> LinearConstraint | None:
    """Return the first candidate that breaks next to no more rows than any; None if all do."""
    broken = [share_broken(candidate, columns) for candidate in candidates]
    if not broken or min(broken) > MOST_BROKEN:
        return None
    least = min(broken)
    return next(c for c, b in zip(candidates, broken, strict=True) if b <= least + NEARLY)


def agree(target: Quantity, operands: Sequence[Quantity], coefficients: Sequence[float]) -> bool:
    """Whether dates enter as differences only, unless the target is one."""
    total = sum(c for q, c in zip(operands, coefficients, strict=True) if q.is_date)
    return abs(total - target.is_date) < 1e-9 or (len(operands) == 1 and not target.is_date)


def solve(
    relation: Relation, j: int, quantities: Sequence[Quantity], rows: NDArray[np.intp]
) -> list[LinearConstraint]:
    """Return an exact relation as expressions for one of its columns, on a grid or not."""
    target, places = quantities[j], sorted(k for k in relation if k != j)
    operands = [quantities[k] for k in places]
    coefficients = [-relation[k] / relation[j] for k in places]
    coefficients = [simplest_within(c, 1e-9 * abs(c)) for c in coefficients]
    if not agree(target, operands, coefficients):
        return []
    terms = [c * q.numbers[rows] for c, q in zip(coefficients, operands, strict=True)]
    residual = target.numbers[rows] - np.sum(terms, axis=0)
    middle = float(np.nanmedian(residual))
    size = sum(float(np.nanmax(np.abs(term))) for term in terms)
    room = max(1e-12 * size, 1e-6 * (target.step or 0.0))
    names = tuple(q.name for q in operands)
    intercept = simplest_within(middle, room)
    steps = [target.coarse if target.step is None else target.step]
    if target.is_float and steps[0] is not None:
        steps.append(None)  # sums that are off the grid by their last digit
    return [
        LinearConstraint(target.name, names, tuple(coefficients), intercept, step) for step in steps
    ]


def find_pairs(
    quantities: Sequence[Quantity], rows: NDArray[np.intp], columns: Columns
) -> Iterator[LinearConstraint]:
    """Yield columns that are linear in one other, with rounding."""
    for operand, target in likely_pairs(quantities, rows):
        x, y = operand.numbers[rows], target.numbers[rows]
        there = ~np.isnan(x) & ~np.isnan(y)
        found = best_of(lines(x[there], y[there], operand, target), columns)
        if found is not None:
            yield found


def lines(
    x: FloatArray, y: FloatArray, operand: Quantity, target: Quantity
) -> list[LinearConstraint]:
    """Return lines of few digits that ``y`` may be on, or the rounding of."""
    slope = middle_slope(x, y)
    if slope is None or (target.is_date and not operand.is_date):
        return []
    candidates = []
    for step in steps_of(target):
        start, centre = np.array([slope]), float(np.median(x))
        X = (x - centre)[:, None]
        if np.mean(np.abs(y - slope * x - np.median(y - slope * x)) > 4 * step) > MOST_STRAY:
            continue
        start = polish(X, y, X @ start, step)
        fits = fit_rounded(x[:, None], y, start, step, with_intercept=True)
        candidates += [linear(target, [operand], fit, step) for fit in fits]
    if target.is_float:
        slope = simplest_within(slope, 1e-9 * abs(slope))
        middle = float(np.median(y - slope * x))
        intercept = simplest_within(middle, 1e-9 * max(abs(middle), target.spread))
        candidates.append(LinearConstraint(target.name, (operand.name,), (slope,), intercept))
    return candidates


def linear(
    target: Quantity, operands: Sequence[Quantity], fit: Fit, step: float
) -> LinearConstraint:
    """Return a fit as a constraint."""
    names = tuple(operand.name for operand in operands)
    return LinearConstraint(
        *(target.name, names, fit.coefficients, fit.intercept, step, fit.rounding)
    )


def steps_of(target: Quantity) -> list[float]:
    """Return the steps that a column may be rounded to: its grid, or a coarser one.

    Where a column spans few steps, too much is a rounding of something.
    """
    steps = {step for step in (target.step, target.coarse) if step is not None}
    return sorted(step for step in steps if target.spread >= LEAST_STEPS * step)


def middle_slope(x: FloatArray, y: FloatArray) -> float | None:
    """Return the slope that rows far apart mostly have."""
    order = np.argsort(x, kind="stable")
    half = len(order) // 2
    low, high = order[:half], order[len(order) - half :]
    width = x[high] - x[low]
    apart = width > 0
    if apart.sum() < 10:
        return None
    slope = float(np.median((y[high] - y[low])[apart] / width[apart]))
    return slope or None


def likely_pairs(
    quantities: Sequence[Quantity], rows: NDArray[np.intp]
) -> Iterator[tuple[Quantity, Quantity]]:
    """Yield pairs of columns of which most triples of rows are on a line, up to rounding."""
    numbers = np.array([quantity.numbers[rows] for quantity in quantities])
    for j, target in enumerate(quantities):
        steps, there = steps_of(target), np.flatnonzero(~np.isnan(numbers[j]))
        if not there.size or (not steps and not target.is_float):
            continue
        origin, one, other = np.random.default_rng(0).choice(there, size=(3, N_TRIPLES))
        first = numbers[:, one] - numbers[:, origin]
        second = numbers[:, other] - numbers[:, origin]
        sizes = np.abs(first) + np.abs(second)
        area = np.abs(first * second[j] - second * first[j])
        error = 1.1 * max(steps, default=0.0) * sizes + 1e-9 * sizes * sizes[j]
        decides = (sizes > 0) & (sizes[j] > 0) & np.isfinite(area)
        n_deciding, on_line = decides.sum(axis=1), np.sum(decides & (area <= error), axis=1)
        is_likely = (n_deciding >= LEAST_DECIDING) & (on_line >= LEAST_ON_LINE * n_deciding)
        for i in np.flatnonzero(is_likely).tolist():
            if i != j:
                yield quantities[i], target
