"""Constraints between numbers: linear ones, products and ratios."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from numbers import Real
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from skflow.table.constraints.constraint import Constraint, spell_name
from skflow.table.constraints.numbers import (
    EPSILON,
    LEAST_ERROR,
    MOST_ERROR,
    FloatArray,
    Rounding,
    numbers_in,
    round_counts,
    unit_of,
    write_counts,
    write_floats,
)
from skflow.table.constraints.simplest import spell, spell_multiple
from skflow.table.families.family import Family
from skflow.table.storage import StoredColumn


def is_finite(value: Any) -> bool:
    """Whether a value is a finite real number."""
    return isinstance(value, Real) and isfinite(value)


def is_factor(value: Any) -> bool:
    """Whether a value is a finite real number other than 0."""
    return is_finite(value) and value != 0


class NumericConstraint(Constraint):
    """A number computed in float64, and rounded to a step.

    Attributes
    ----------
    step : float, optional
        Grid of the target, in its unit: seconds for dates and durations. None for floats without
        a grid, which are equal to the bit.
    rounding : {"exact", "nearest", "half up", "down", "up"}
    """

    step: float | None
    rounding: Rounding

    @property
    @abstractmethod
    def factors(self) -> tuple[float, ...]:
        """All numbers of the formula but the step."""

    def find_fault(self) -> str | None:
        """Return a fault of the operands, the step or the rounding."""
        if self.step is not None and not (is_finite(self.step) and self.step > 0):
            return f"step must be None or a positive number, and is {self.step!r}."
        if self.rounding not in get_args(Rounding):
            return f"rounding must be one of {get_args(Rounding)}, and is {self.rounding!r}."
        return super().find_fault()

    def find_unfit(self, families: Mapping[str, Family]) -> str | None:
        """Return the first column that is no number, date or duration."""
        for name in (self.target, *self.operands):
            own = families[name].name
            if own not in ("number", "date", "duration"):
                return f"{name!r} must hold numbers, dates or durations, and is a {own}"
        return None

    @abstractmethod
    def compute(
        self, operands: Sequence[StoredColumn], unit: Fraction | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the number in multiples of ``unit``, and the size of its parts.

        The error of the number is relative to the latter. Without a unit, it is what float64
        makes of the stored numbers.
        """

    def imply(
        self, operands: Sequence[StoredColumn], like: StoredColumn
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers that the operands imply, in the storage of the target."""
        present = np.logical_and.reduce([operand.present for operand in operands])
        unit = unit_of(self.step, like)
        with np.errstate(all="ignore"):
            number, size = self.compute(operands, unit)
            if unit is None:
                return write_floats(number + 0.0, present, like.values.dtype)
            error = (4 * EPSILON * size).clip(LEAST_ERROR, MOST_ERROR)
            counts = round_counts(number, error, self.rounding)
        values, is_held = write_counts(np.where(present, counts, np.nan), unit, like)
        return values, is_held

    def rounding_errors(self, operands: Sequence[StoredColumn], target: StoredColumn) -> FloatArray:
        """Return how far each cell of the target is from the number, in steps."""
        unit = unit_of(self.step, target)
        if unit is None:
            return np.zeros(len(target.values))
        with np.errstate(all="ignore"):
            return numbers_in(target, unit) - self.compute(operands, unit)[0]

    def spell_rounding(self) -> str:
        """Return in words how numbers become multiples of the step."""
        if self.step is None or self.rounding == "exact":
            return ""
        words = {"nearest": "rounded to", "half up": "rounded (half up) to"}
        direction = words.get(self.rounding, f"rounded {self.rounding} to")
        return f", {direction} {spell(self.step)}"


@dataclass(frozen=True)
class LinearConstraint(NumericConstraint):
    r"""``target = intercept + sum of coefficient * operand``.

    Parameters
    ----------
    target : str
    operands : tuple of str
    coefficients : tuple of float
        One for each operand.
    intercept : float, default=0.0
    step : float, default=None
    rounding : {"exact", "nearest", "half up", "down", "up"}, default="exact"

    Examples
    --------
    >>> print(LinearConstraint("gross", ("net", "tax"), (1.0, 1.0), step=0.01))
    gross = net + tax
    >>> print(LinearConstraint("tax", ("net",), (0.19,), step=0.01, rounding="nearest"))
    tax = 0.19 net, rounded to 0.01
    """

    target: str
    operands: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float = 0.0
    step: float | None = None
    rounding: Rounding = "exact"

    @property
    def factors(self) -> tuple[float, ...]:
        """Coefficients and intercept."""
        return (*self.coefficients, self.intercept)

    def find_fault(self) -> str | None:
        """Return a fault of the coefficients, the intercept, or other fields."""
        fault = super().find_fault()
        if fault is not None:
            return fault
        if not isinstance(self.coefficients, tuple) or not all(map(is_factor, self.coefficients)):
            return f"coefficients must be a tuple of numbers but 0, and is {self.coefficients!r}."
        if len(self.coefficients) != len(self.operands):
            return (
                f"each operand needs one coefficient; there are {len(self.operands)} operands and "
                f"{len(self.coefficients)} coefficients."
            )
        if not is_finite(self.intercept):
            return f"intercept must be a finite number, and is {self.intercept!r}."
        return None

    def compute(
        self, operands: Sequence[StoredColumn], unit: Fraction | None
    ) -> tuple[FloatArray, FloatArray]:
        """Add the terms, from left to right; each is a part."""
        terms = [
            coefficient * numbers_in(operand, unit)
            for coefficient, operand in zip(self.coefficients, operands, strict=True)
        ]
        if self.intercept:
            terms.append(np.full(len(terms[0]), float(Fraction(str(self.intercept)) / (unit or 1))))
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total, np.sum(np.abs(terms), axis=0)

    def __str__(self) -> str:
        signed = [
            (coefficient < 0, spell_multiple(abs(coefficient), spell_name(operand)))
            for coefficient, operand in zip(self.coefficients, self.operands, strict=True)
        ]
        if self.intercept:
            signed.append((self.intercept < 0, spell(abs(self.intercept))))
        text = " ".join(f"{'-' if negative else '+'} {term}" for negative, term in signed)
        text = text.removeprefix("+ ") if text.startswith("+") else "-" + text.removeprefix("- ")
        return f"{spell_name(self.target)} = {text}{self.spell_rounding()}"


@dataclass(frozen=True)
class ProductConstraint(NumericConstraint):
    r"""``target = factor * first * second``, or ``factor * first / second``.

    Parameters
    ----------
    target : str
    operands : tuple of two str
    powers : tuple of two int
        (1, 1) of a product, (1, -1) of a ratio.
    factor : float, default=1.0
    step : float, default=None
    rounding : {"exact", "nearest", "half up", "down", "up"}, default="exact"

    Examples
    --------
    >>> print(ProductConstraint("cost", ("price", "pieces"), (1, 1), step=0.01))
    cost = price * pieces
    >>> print(ProductConstraint("rate", ("hits", "shots"), (1, -1), 100, 0.1, "nearest"))
    rate = 100 hits / shots, rounded to 0.1
    """

    target: str
    operands: tuple[str, ...]
    powers: tuple[int, ...]
    factor: float = 1.0
    step: float | None = None
    rounding: Rounding = "exact"
    n_operands = 2

    @property
    def factors(self) -> tuple[float, ...]:
        """The factor, and the power of the second operand."""
        return (self.factor, float(self.powers[1]))

    def find_fault(self) -> str | None:
        """Return a fault of the powers, the factor, or other fields."""
        fault = super().find_fault()
        if fault is not None:
            return fault
        if self.powers not in ((1, 1), (1, -1)):
            return f"powers must be (1, 1) or (1, -1), and is {self.powers!r}."
        if not is_factor(self.factor):
            return f"factor must be a finite number but 0, and is {self.factor!r}."
        return None

    def compute(
        self, operands: Sequence[StoredColumn], unit: Fraction | None
    ) -> tuple[FloatArray, FloatArray]:
        """Multiply from left to right; a division by 0 gives no number."""
        first, second = (numbers_in(x, None if unit is None else Fraction(1)) for x in operands)
        product = self.factor * first if self.factor != 1 else first
        product = product * second if self.powers[1] == 1 else product / second
        if unit is not None:
            product = product * float(unit.denominator) / float(unit.numerator)
        return product, np.abs(product)

    def __str__(self) -> str:
        first, second = map(spell_name, self.operands)
        sign = "*" if self.powers[1] == 1 else "/"
        product = f"{spell_multiple(self.factor, first)} {sign} {second}"
        return f"{spell_name(self.target)} = {product}{self.spell_rounding()}"
