"""Coefficients, intercept and rounding of a number that is nearly linear in others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from skflow.table.constraints.numbers import FloatArray, Rounding
from skflow.table.constraints.simplest import complexity, simplest_within

MOST_STRAY = 0.1  # share of rows that are further from the fit than rounding explains
ROUNDED = 0.3  # standard deviation of a rounding error, in steps
TOLERANCES = (4.0, 1.0, 0.2)  # of coefficients, in standard errors
SINGULAR = 1e-15
WHOLE = 1e-6  # of a step, within which the fit needs no rounding


@dataclass(frozen=True)
class Fit:
    """A linear form and how it is rounded.

    Attributes
    ----------
    coefficients : tuple of float
    intercept : float
    rounding : str
    """

    coefficients: tuple[float, ...]
    intercept: float
    rounding: Rounding


def fit_rounded(
    X: FloatArray, y: FloatArray, start: FloatArray, step: float, *, with_intercept: bool
) -> list[Fit]:
    """Return linear forms of few digits that ``y`` may be the rounding of.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_operands)
    y : ndarray of shape (n_rows,)
    start : ndarray of shape (n_operands,)
        Coefficients from which nearly all rows are within a few steps.
    step : float
    with_intercept : bool
    """
    inliers = find_inliers(y - X @ start, step, with_intercept=with_intercept)
    if inliers is None:
        return []
    centre = X[inliers].mean(axis=0) if with_intercept else np.zeros(X.shape[1])
    level = y[inliers].mean() if with_intercept else 0.0
    A, b = X[inliers] - centre, y[inliers] - level
    fits: list[Fit] = []
    for tolerance in TOLERANCES:
        coefficients = simplify(A, b, tolerance * ROUNDED * step)
        for intercept, rounding in roundings_of(y - X @ coefficients, step, with_intercept):
            fit = Fit(tuple(map(float, coefficients)), intercept, rounding)
            if fit not in fits:
                fits.append(fit)
    return sorted(fits, key=lambda fit: sum(map(complexity, (*fit.coefficients, fit.intercept))))


def find_inliers(
    residual: FloatArray, step: float, *, with_intercept: bool
) -> NDArray[np.bool_] | None:
    """Return which rows a fit leaves within rounding; None where these are not nearly all."""
    centre = np.median(residual) if with_intercept else 0.0
    inliers = np.abs(residual - centre) <= 1.5 * step
    return inliers if inliers.mean() >= 1 - MOST_STRAY else None


def simplify(A: FloatArray, b: FloatArray, error: float) -> FloatArray:
    """Return least-squares coefficients, one after the other of as few digits as they may have."""
    free = list(range(A.shape[1]))
    scale = np.abs(A).max(axis=0)
    scale[scale == 0] = 1.0
    A = A / scale
    coefficients, left = np.zeros(A.shape[1]), b
    while free:
        estimate = np.linalg.lstsq(A[:, free], left, rcond=None)[0]
        spread = np.sqrt(inverse_gram(A[:, free]).diagonal()) * error
        first = int(np.argmin(spread / np.maximum(np.abs(estimate), 1e-300)))
        place = free.pop(first)
        value = simplest_within(
            float(estimate[first] / scale[place]), float(spread[first] / scale[place])
        )
        coefficients[place] = value
        left = left - value * scale[place] * A[:, place]
    return coefficients


def roundings_of(
    residual: FloatArray, step: float, with_intercept: bool
) -> list[tuple[float, Rounding]]:
    """Return intercepts of few digits and roundings that may explain what a fit leaves."""
    low, high = np.quantile(residual, [0.04, 0.96])
    if high - low > 1.02 * step:
        return []
    middle, room = float(low + high) / 2, float(1.1 * step - (high - low)) / 2
    if high - low <= WHOLE * step:
        room = max(1e-9 * abs(middle), WHOLE * step)
        intercept = simplest_within(middle, room)
        return [(intercept, "exact")] if with_intercept or intercept == 0 else []
    choices: list[tuple[float, Rounding]] = [
        (middle, "nearest"),
        (middle, "half up"),
        (middle + step / 2, "down"),
        (middle - step / 2, "up"),
    ]
    simple = [(simplest_within(intercept, room), rounding) for intercept, rounding in choices]
    simple += [
        (simplest_within(intercept, room / 4), rounding)
        for intercept, rounding in choices
        if simplest_within(intercept, room) != 0
    ]
    return [pair for pair in simple if with_intercept or pair[0] == 0]


def inverse_gram(A: FloatArray) -> FloatArray:
    """Return the inverse of ``A.T @ A``, without the loss of digits of this product."""
    triangle = np.asarray(np.linalg.qr(A, mode="r")).copy()
    diagonal = triangle.diagonal()
    least = SINGULAR * max(np.abs(triangle).max(initial=0.0), 1e-300)
    np.fill_diagonal(triangle, np.where(np.abs(diagonal) < least, least, diagonal))
    root = solve_triangular(triangle, np.eye(len(triangle)))
    inverse: FloatArray = root @ root.T
    return inverse


def polish(X: FloatArray, y: FloatArray, guess: FloatArray, step: float) -> FloatArray:
    """Return coefficients by least squares over the rows that are near to a first guess."""
    scale = np.abs(X).max(axis=0)
    scale[scale == 0] = 1.0
    fitted = np.zeros(X.shape[1])
    for width in (4, 2, 1.5):
        residual = y - guess
        near = np.abs(residual - np.median(residual)) <= width * step
        if near.sum() <= X.shape[1] + 1:
            break
        A = X[near] / scale
        fitted = np.linalg.lstsq(A - A.mean(axis=0), y[near] - y[near].mean(), rcond=None)[0]
        fitted, guess = fitted / scale, X @ (fitted / scale)
    return fitted
