"""Search for products and ratios of two columns."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.evidence import MOST_BROKEN, share_broken
from skflow.table.constraints.fitting import fit_rounded
from skflow.table.constraints.linear_search import NEARLY, steps_of
from skflow.table.constraints.numbers import FloatArray
from skflow.table.constraints.numeric import ProductConstraint
from skflow.table.constraints.quantities import Quantity
from skflow.table.constraints.simplest import simplest_within
from skflow.table.storage import StoredColumn

MOST_COLUMNS = 40
UNEXPLAINED = 0.3  # of the variance of logarithms, of a column that may be a product
MOST_TRIED = 400


def find_products(
    quantities: Sequence[Quantity],
    rows: NDArray[np.intp],
    columns: Mapping[str, StoredColumn],
) -> Iterator[ProductConstraint]:
    """Yield columns that are the product or the ratio of two others, perhaps rounded."""
    plain = [quantity for quantity in quantities if not quantity.is_date]
    if not 3 <= len(plain) <= MOST_COLUMNS:
        return
    for a, b, c in likely_products([quantity.numbers[rows] for quantity in plain]):
        whole, first, second = plain[a], plain[b], plain[c]
        for target, operands, powers in (
            (whole, (first, second), (1, 1)),
            (first, (whole, second), (1, -1)),
            (second, (whole, first), (1, -1)),
        ):
            found = fit_product(target, operands, powers, rows, columns)
            if found is not None:
                yield found


def likely_products(columns: Sequence[FloatArray]) -> list[tuple[int, int, int]]:
    """Return triples whose first column may be the product of the others, by logarithms."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.abs(columns))
    present = np.isfinite(logs)
    logs[~present] = np.nan
    for row in logs:  # broken rows have little weight then
        if np.isfinite(row).any():
            row[:] = np.clip(row, *np.nanquantile(row, [0.01, 0.99])) - np.nanmedian(row)
    filled, there = np.nan_to_num(logs), present.astype(float)
    n = np.maximum(there @ there.T, 1)
    means = filled @ there.T / n
    covariance = filled @ filled.T / n - means * means.T
    variance = np.diagonal(covariance)
    found = []
    for b in range(len(columns)):
        for c in range(b + 1, len(columns)):
            both = variance[b] + variance[c] + 2 * covariance[b, c]
            left = variance + both - 2 * (covariance[:, b] + covariance[:, c])
            # Each of the three must matter.
            scale = np.minimum(np.minimum(variance[b], variance[c]), variance)
            ratio = left / np.maximum(variance, 1e-300)
            likely = (ratio < UNEXPLAINED) & (scale > 0)
            likely[[b, c]] = False
            found += [(float(ratio[a]), int(a), b, c) for a in np.flatnonzero(likely)]
    return [(a, b, c) for _, a, b, c in sorted(found)[:MOST_TRIED]]


def fit_product(
    target: Quantity,
    operands: tuple[Quantity, Quantity],
    powers: tuple[int, int],
    rows: NDArray[np.intp],
    columns: Mapping[str, StoredColumn],
) -> ProductConstraint | None:
    """Return the product of simplest factor that breaks next to no more rows than any."""
    y, first, second = (quantity.numbers[rows] for quantity in (target, *operands))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x = first * second if powers[1] == 1 else first / second
        there = np.isfinite(x) & np.isfinite(y)
        x, y = x[there], y[there]
        large = np.abs(x) >= np.median(np.abs(x[x != 0])) if (x != 0).any() else x != 0
        if large.sum() < 20:
            return None
        factor = float(np.median(y[large] / x[large]))
    names = operands[0].name, operands[1].name
    candidates = []
    for step in steps_of(target):
        if np.mean(np.abs(y - factor * x) > 2 * step) > 0.3:
            continue
        start = np.array([refine(x, y, factor, step)])
        candidates += [
            ProductConstraint(
                *(target.name, names, powers, fit.coefficients[0], step, fit.rounding)
            )
            for fit in fit_rounded(x[:, None], y, start, step, with_intercept=False)
            if fit.coefficients[0]
        ]
    if target.is_float and factor:
        simple = simplest_within(factor, 1e-9 * abs(factor))
        if np.mean(np.abs(y - simple * x) > 1e-12 * np.abs(y)) < 0.1:
            candidates.append(ProductConstraint(target.name, names, powers, simple))
    broken = [share_broken(candidate, columns) for candidate in candidates]
    if not broken or min(broken) > MOST_BROKEN:
        return None
    least = min(broken)
    return next(c for c, b in zip(candidates, broken, strict=True) if b <= least + NEARLY)


def refine(x: FloatArray, y: FloatArray, factor: float, step: float) -> float:
    """Return the factor by least squares over the rows that are near to a first guess."""
    for width in (3, 1.5):
        near = np.abs(y - factor * x) <= width * step
        if near.sum() > 1 and (x[near] != 0).any():
            factor = float(x[near] @ y[near] / (x[near] @ x[near]))
    return factor
