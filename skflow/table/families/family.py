"""The interface of a family: how values of one sort are stored, spelled and compared."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skflow.table import units
from skflow.table.objects import as_objects, brief

Bounds = tuple[units.Number | None, units.Number | None]


@dataclass(frozen=True)
class Family:
    """One sort of values. Instances of one class are equal; there is no state.

    Attributes
    ----------
    name : str
    dtype_kinds : str
        Kinds of the NumPy dtypes that may store such values.
    bounds : str
        The word for values of a support, in messages; empty where values have no order.
    base_units : int
        Integer units per unit of the column, in which stored integers are counted: 10^9
        nanoseconds per second of dates and durations, 1 of others.
    clock : tuple of int
        Units that grids and later values may have besides, in base units, coarsest first.
    ends_at_zero : bool
        Whether 0 is a natural end of the support of values that are all of one sign.
    is_numeric : bool
        Whether values of one such family can be read as those of another.
    is_temporal : bool
        Whether the unit is the second, and stored integers are ticks.
    holds_objects : bool
        Whether values are Python objects.
    is_categorical : bool
        Whether columns are categorical unless an option says otherwise.
    """

    name: ClassVar[str]
    dtype_kinds: ClassVar[str]
    bounds: ClassVar[str] = ""
    base_units: ClassVar[int] = 1
    clock: ClassVar[tuple[int, ...]] = ()
    ends_at_zero: ClassVar[bool] = False
    is_numeric: ClassVar[bool] = False
    is_temporal: ClassVar[bool] = False
    holds_objects: ClassVar[bool] = False
    is_categorical: ClassVar[bool] = False

    def to_objects(
        self, values: NDArray[Any], python_type: type | None, places: int | None
    ) -> NDArray[np.object_]:
        """Return stored values as Python objects, in a new array.

        Parameters
        ----------
        values : ndarray of shape (n_rows,)
        python_type : type or None
            Type of numbers that were read from Python objects.
        places : int or None
            Digits after the point of Decimals.
        """
        return as_objects(values.tolist())

    def spell_stored(self, values: NDArray[Any], tick: Fraction) -> list[str]:
        """Return stored values as text, for messages."""
        return [brief.repr(value) for value in values.tolist()]

    def to_array(self, values: NDArray[Any], tick: Fraction) -> NDArray[Any]:
        """Return stored values as an array of NumPy's dtype for the family."""
        return values

    def deviation(self, number: NDArray[np.float64]) -> NDArray[Any]:
        """Return differences of values, in units of the column, as users have them."""
        return number

    def from_stored(self, value: Any, tick: int) -> Any:
        """Return a stored value as one of the schema; ``tick`` is in base units."""
        return value

    def to_stored(self, bounds: Bounds, tick: Fraction) -> Bounds:
        """Return the ends of a support in stored values, rounded inward to whole ticks."""
        return bounds

    def as_number(self, value: Any) -> units.Number:
        """Return a value of the schema as a number."""
        number: units.Number = value
        return number

    def plain(self, value: Any) -> Any:
        """Return a level, atom or bound of a schema: text of dates and durations."""
        return value

    def plain_step(self, step: Any) -> Any:
        """Return the step of a grid: text of dates and durations."""
        return step

    def spell(self, value: Any) -> str:
        """Return a level, atom or bound of a schema as text."""
        return repr(value)

    def spell_step(self, step: units.Number) -> str:
        """Return the step of a grid as text."""
        return f"{step:g}"

    def round_steps(self, width: Fraction, farthest: Fraction) -> set[Fraction]:
        """Return steps that round numbers may be multiples of, from a grid's width on."""
        return set()

    def as_step(self, width: Fraction) -> units.Number:
        """Return the step of a grid as a number of the schema."""
        return int(width) if width.denominator == 1 else float(width)

    def read_bound(self, bound: Any) -> units.Number | None:
        """Return an end of a support as a number of the schema; None where it is infinite.

        Raises
        ------
        TypeError, ValueError, OverflowError
            Where it is no value of the family.
        """
        raise TypeError

    def reads(self, other: "Family") -> bool:
        """Whether values of another family can be read as they are."""
        return self == other or (self.is_numeric and other.is_numeric)

    def convert(
        self, values: NDArray[Any], present: NDArray[np.bool_], came: "Family"
    ) -> NDArray[Any] | None:
        """Return values of a family that is not read as it is; None where they are no such."""
        return None
