"""Exact linear relations between columns, from a few rows at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.numbers import FloatArray
from skflow.table.constraints.quantities import Quantity
from skflow.table.constraints.simplest import complexity, simplest_within

N_DRAWS = 60  # of few rows: one without broken ones is enough
SPARE = 12  # rows beyond the number of columns
DEPENDENT = 1e-9  # what a dependent column has of its own, as a share
COEFFICIENT = 1e-6  # error of coefficients
MOST_DIGITS = 6  # of a coefficient
MOST_OPERANDS = 8
MOST_STRAY = 0.1  # share of rows of a sample that do not keep a relation
MOST_AT_ONCE = 30  # columns: with more, few draws are without broken rows
RIDGE = 0.02  # of correlations
LEAST_BOTH = 50  # rows with both of two columns

Relation = dict[int, float]  # coefficients of a sum that is constant, by column


def complete_parts(
    numbers: FloatArray, columns: Sequence[int]
) -> Iterator[tuple[FloatArray, list[int]]]:
    """Yield sets of rows without missing numbers, and the columns of each.

    Columns of many missing numbers are left out until there are enough such rows. Where some are,
    or there are many columns, each column has a part with those that it depends on most.
    """
    first = complete_rows(numbers, columns)
    yield first
    if len(first[1]) < len(columns) or len(columns) > MOST_AT_ONCE:
        for own, near in enumerate(neighbours(numbers[:, columns])):
            rows = ~np.isnan(numbers[:, columns[own]])
            yield complete_rows(numbers[rows], [columns[k] for k in sorted(near)])


def neighbours(numbers: FloatArray) -> list[list[int]]:
    """Return for each column those of the largest partial correlations with it, and itself."""
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanquantile(numbers, [0.01, 0.99], axis=0)
        clipped = np.where(high > low, np.clip(numbers, low, high), numbers)
        scaled = (clipped - np.nanmean(clipped, axis=0)) / np.nanstd(clipped, axis=0)
    there = np.isfinite(scaled).astype(float)
    scaled = np.nan_to_num(scaled)
    n_both = there.T @ there
    correlation = np.where(n_both < LEAST_BOTH, 0.0, scaled.T @ scaled / np.maximum(n_both, 1))
    precision = np.linalg.inv(correlation + RIDGE * np.eye(len(correlation)))
    partial = np.abs(precision) / np.sqrt(np.abs(precision.diagonal()))
    np.fill_diagonal(partial, np.inf)
    order: list[list[int]] = np.argsort(-partial, axis=1)[:, : MOST_OPERANDS + 1].tolist()
    return order


def complete_rows(numbers: FloatArray, columns: Sequence[int]) -> tuple[FloatArray, list[int]]:
    """Return rows without missing numbers, and the columns that are left for it."""
    kept = list(columns)
    while kept:
        missing = np.isnan(numbers[:, kept])
        complete = ~missing.any(axis=1)
        if complete.sum() >= min(2 * (len(kept) + SPARE), len(numbers)) or not missing.any():
            return numbers[complete][:, kept], kept
        kept.pop(int(missing.sum(axis=0).argmax()))
    return numbers[:, kept], kept


def draw_rows(numbers: FloatArray, n_rows: int) -> Iterator[FloatArray]:
    """Draw sets of rows, less one of their own.

    Rows with rare numbers are drawn more often, so that a column that is nearly always 0 varies.
    """
    weight = np.zeros(len(numbers))
    for column in numbers.T:
        _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
        unusual = place != counts.argmax()
        weight += unusual / max(unusual.mean(), 1 / len(column))
    rng = np.random.default_rng(0)
    for _ in range(min(N_DRAWS, n_rows)):
        # The largest of exponential times over weights: draws without replacement.
        times = rng.exponential(size=len(weight)) / np.maximum(weight, 1e-12)
        rows = np.argpartition(times, n_rows)[: n_rows + 1]
        yield numbers[rows[1:]] - numbers[rows[0]]


def find_relations(quantities: Sequence[Quantity], rows: NDArray[np.intp]) -> list[Relation]:
    """Return linear relations of few columns with simple coefficients, which most rows keep."""
    every = np.column_stack([quantity.numbers[rows] for quantity in quantities])
    # Columns of large spread last: they are expressed by the others.
    ascending = sorted(range(len(quantities)), key=lambda j: (quantities[j].spread, j))
    found: list[Relation] = []
    for numbers, columns in complete_parts(every, ascending):
        for relation in relations_in(numbers):
            named = {columns[j]: c for j, c in relation.items()}
            if named not in found:
                found.append(named)
    return [relation for relation in shorten(found) if len(relation) <= MOST_OPERANDS + 1]


def relations_in(numbers: FloatArray) -> list[Relation]:
    """Return the relations that most of some complete rows keep."""
    n_drawn = numbers.shape[1] + SPARE
    found: list[Relation] = []
    refused: list[Relation] = []
    for sample in draw_rows(numbers, n_drawn) if len(numbers) > n_drawn else ():
        for relation in dependencies(sample):
            if relation in found or relation in refused:
                continue
            residual = sum(c * numbers[:, j] for j, c in relation.items())
            size = sum(np.abs(c) * np.ptp(numbers[:, j]) for j, c in relation.items())
            middle = np.median(residual)
            stray = np.mean(np.abs(residual - middle) > DEPENDENT * size + 1e-12 * np.abs(middle))
            (found if stray <= MOST_STRAY else refused).append(relation)
    return found


def dependencies(sample: FloatArray) -> list[Relation]:
    """Return how the columns of a few rows depend on those before them."""
    scale = np.abs(sample).max(axis=0)
    varying = np.flatnonzero(scale)
    if not varying.size:
        return []
    scaled = sample[:, varying] / scale[varying]
    triangle = np.asarray(np.linalg.qr(scaled, mode="r"))
    own = np.abs(triangle.diagonal()) / np.linalg.norm(triangle, axis=0)
    is_dependent = own < DEPENDENT
    if not is_dependent.any() or is_dependent.all():
        return []
    free, bound = np.flatnonzero(~is_dependent), np.flatnonzero(is_dependent)
    solution = np.linalg.lstsq(scaled[:, free], scaled[:, bound], rcond=None)[0]
    relations = []
    for k, coefficients in zip(bound, solution.T, strict=True):
        terms = np.flatnonzero(np.abs(coefficients) > COEFFICIENT)
        relation = {int(varying[k]): -1.0}
        for term in terms:
            j = int(varying[free[term]])
            value = float(coefficients[term] * scale[varying[k]] / scale[j])
            relation[j] = simplest_within(value, COEFFICIENT * abs(value))
        if len(relation) > 1 and all(complexity(c) <= MOST_DIGITS for c in relation.values()):
            relations.append(relation)
    return relations


def shorten(relations: Sequence[Relation]) -> list[Relation]:
    """Return relations of fewer columns, by adding multiples of others."""
    current = [dict(relation) for relation in relations]
    changed = True
    while changed:
        changed = False
        for i, first in enumerate(current):
            for second in (other for k, other in enumerate(current) if k != i):
                for j in set(first) & set(second):
                    shorter = combine(first, second, j)
                    if 1 < len(shorter) < len(first) and shorter not in current:
                        current[i] = first = shorter
                        changed = True
                        break
    return current


def combine(first: Relation, second: Relation, column: int) -> Relation:
    """Return a relation without ``column``, which both have."""
    ratio = first[column] / second[column]
    total = {j: first.get(j, 0.0) - ratio * second.get(j, 0.0) for j in {*first, *second}}
    largest = max(map(abs, total.values()))
    if largest == 0:
        return {}
    kept = {j: c for j, c in total.items() if j != column and abs(c) > 1e-9 * largest}
    return {j: simplest_within(c, 1e-9 * abs(c)) for j, c in sorted(kept.items())}
