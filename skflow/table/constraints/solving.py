"""Solutions of a constraint for one of its operands, given the target and the others."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.composed import ComposedConstraint, Solvable
from skflow.table.constraints.mapping import MappingConstraint, stored_as
from skflow.table.constraints.numbers import (
    FloatArray,
    numbers_in,
    unit_of,
    write_counts,
    write_floats,
)
from skflow.table.constraints.numeric import LinearConstraint, NumericConstraint, ProductConstraint
from skflow.table.storage import StoredColumn
from skflow.table.units import Number

MOST_TRIED = 64  # numbers of a row; where there are more on the grid they stand for all
N_SECANTS, FAR = 6, 100.0  # units of an operand, from which a secant is a slope
ULPS = np.array([0, 1, -1, 2, -2, 3, -3])  # that a float may be away from its solution


class Solutions(NamedTuple):
    """Cells of an operand with which a constraint is kept.

    Attributes
    ----------
    source : ndarray of intp, shape (n_solutions,)
        The row of each, ascending; rows without a solution have none.
    cells : StoredColumn
    log_width : ndarray of shape (n_solutions,)
        Log of the width, in the operand's unit, of the numbers that each stands for. Where
        neither column has a grid it is per unit of the target.
    """

    source: NDArray[np.intp]
    cells: StoredColumn
    log_width: FloatArray


class Tried(NamedTuple):
    """Cells that may be solutions, ``(n_rows, n_tried)``, and the width that each stands for.

    ``is_one`` says whether a row has one solution at most, but for rounding.
    """

    values: NDArray[Any]
    may_be: NDArray[np.bool_]
    width: FloatArray
    is_one: bool


class Operand(NamedTuple):
    """An operand that is solved for.

    Attributes
    ----------
    place : int
        Which one of the constraint.
    like : StoredColumn
        Its storage.
    step : number or None
        Step of its grid.
    start, scale : float
        A number to start from, and a typical magnitude, in its unit.
    every : sequence of numbers
        All that it may hold, in its unit, where these are few.
    """

    place: int
    like: StoredColumn
    step: Number | None
    start: float
    scale: float
    every: Sequence[Number] = ()

    @property
    def unit(self) -> Fraction | None:
        """In which numbers are counted; None for floats without a grid."""
        return unit_of(None if self.step is None else float(self.step), self.like)

    def write(
        self, counts: FloatArray, may_be: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return counts of units as they are stored, and which the storage holds."""
        if self.unit is None:
            return write_floats(counts, may_be, self.like.values.dtype)
        values, is_held = write_counts(counts, self.unit, self.like)
        return values, is_held & may_be


def solve(
    constraint: Solvable, operand: Operand, operands: Sequence[StoredColumn], target: StoredColumn
) -> Solutions:
    """Solve a constraint for one operand.

    Parameters
    ----------
    constraint : Constraint
    operand : Operand
    operands : sequence of StoredColumn
        The cells of that operand are not read.
    target : StoredColumn
    """
    with np.errstate(all="ignore"):
        if isinstance(constraint, MappingConstraint):
            tried = every_one([key for key, _ in constraint.pairs], target, operand.like)
        elif len(operand.every):
            tried = every_one(operand.every, target, operand.like)
        else:
            outer, n_rounded = constraint, 1
            if isinstance(constraint, ComposedConstraint):
                outer, n_rounded = constraint.outer, 1 + len(constraint.inner)
            assert isinstance(outer, NumericConstraint)
            count, slope = invert(constraint, operand, operands, target)
            slope /= n_rounded  # each rounding widens the interval of solutions
            tried = numbers_near(count, slope, operand, unit_of(outer.step, target))
    n_rows, n_tried = tried.values.shape
    source = np.repeat(np.arange(n_rows), n_tried)
    cells = operand.like.filled(tried.values.ravel())
    columns = [column.take(source) for column in operands]
    columns[operand.place] = cells
    values, is_implied = constraint.imply(columns, target.blank())
    own = target.take(source)
    keeps = (is_implied & own.present & (values == own.values)).reshape(n_rows, n_tried)
    keeps &= tried.may_be
    if tried.is_one:
        keeps &= keeps.cumsum(axis=1) == 1
    kept = np.flatnonzero(keeps)
    return Solutions(source[kept], cells.take(kept), np.log(tried.width.ravel()[kept]))


def every_one(values: Sequence[Any], target: StoredColumn, like: StoredColumn) -> Tried:
    """Return all values that the operand may have for each row."""
    stored, is_held = stored_as(like, values)
    shape = len(target.values), len(stored)
    tried = np.broadcast_to(stored, shape)
    return Tried(tried, np.broadcast_to(is_held, shape), np.ones(shape), is_one=False)


def numbers_near(
    count: FloatArray, slope: FloatArray, operand: Operand, of_target: Fraction | None
) -> Tried:
    """Return numbers near the real solution, on the operand's grid where it has one.

    Parameters
    ----------
    count, slope : ndarray of shape (n_rows,)
        The solution in units of the operand, and the slope of the target there.
    operand : Operand
    of_target : Fraction or None
        Unit of the target.
    """
    count, slope, unit = count[:, None], np.abs(slope)[:, None], operand.unit
    finite = np.isfinite(count)
    if unit is None and of_target is None:
        near = count + np.spacing(np.abs(count)) * ULPS
        return Tried(*operand.write(near, finite), 1 / slope + 0 * near, is_one=True)
    # Numbers up to a step of the target away, all of which may imply it.
    reach = float(of_target or 0) / slope / float(unit or 1)
    first = np.ceil(count - reach) - 1
    n_near = np.where(finite, np.floor(count + reach) + 2 - first, 0)
    few = (n_near <= MOST_TRIED) & (unit is not None)
    places = np.arange(int(np.max(n_near, initial=0, where=few)) if few.all() else MOST_TRIED)
    spread = count + reach * ((2 * places + 1) / max(1, len(places)) - 1)
    near = np.where(few, first + places, spread if unit is None else np.rint(spread))
    width = np.where(few, 1.0, 2 * reach / max(1, len(places))) * float(unit or 1)
    values, is_held = operand.write(near, np.broadcast_to(finite, near.shape))
    return Tried(values, is_held & (~few | (places < n_near)), width + 0 * near, is_one=False)


def invert(
    constraint: Solvable,
    operand: Operand,
    operands: Sequence[StoredColumn],
    target: StoredColumn,
) -> tuple[FloatArray, FloatArray]:
    """Return the real solution, in units of the operand, and the slope of the target there."""
    unit = operand.unit or Fraction(1)
    match constraint:
        case LinearConstraint():
            rest = numbers_in(target, unit) - float(Fraction(str(constraint.intercept)) / unit)
            for k, (own, column) in enumerate(zip(constraint.coefficients, operands, strict=True)):
                if k != operand.place:
                    rest = rest - own * numbers_in(column, unit)
            slope = constraint.coefficients[operand.place]
            return rest / slope, np.full(len(rest), slope)
        case ProductConstraint(factor=factor, powers=(_, power)):
            y, other = numbers_in(target), numbers_in(operands[1 - operand.place])
            x = y / (factor * other**power)
            x = x if operand.place == 0 else (y / (factor * other)) ** power
            return x / float(unit), y / x
    return by_secants(constraint, operand, operands, target)


def by_secants(
    constraint: Solvable,
    operand: Operand,
    operands: Sequence[StoredColumn],
    target: StoredColumn,
) -> tuple[FloatArray, FloatArray]:
    """Return the real solution of any numeric constraint by the secant method, and its slope."""
    wanted, unit = numbers_in(target), float(operand.unit or 1)

    def implied(count: FloatArray) -> FloatArray:
        columns, whole = list(operands), count if operand.unit is None else np.rint(count)
        cells, _ = operand.write(whole, np.isfinite(count))
        columns[operand.place] = operand.like.filled(cells)
        values, is_implied = constraint.imply(columns, target.blank())
        return np.where(is_implied, numbers_in(target.filled(values)), np.nan)

    at = np.full(len(wanted), operand.start / unit)
    before = at + max(operand.scale / unit, 1.0)
    there, y_before = implied(at), implied(before)
    slope = (y_before - there) / (before - at)
    for _ in range(N_SECANTS):
        before, y_before = at, there
        at = before + (wanted - y_before) / slope
        there = implied(at)
        # Near the solution the differences are those of rounding.
        is_far = np.abs(at - before) > FAR
        slope = np.where(is_far, (there - y_before) / (at - before), slope)
    return at, slope / unit
