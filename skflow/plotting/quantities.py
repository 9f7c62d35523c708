"""Numbers, dates and durations along an axis: their unit, ticks and words."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from skflow.table.storage import StoredColumn
from skflow.table.units import spell_date

FloatArray = NDArray[np.float64]

DAY = 86400
UNITS = {"d": DAY, "h": 3600, "min": 60, "s": 1}  # of durations, in seconds
MISSING = "missing"


@dataclass(frozen=True)
class Numbers:
    """Numbers in the unit of their column.

    Attributes
    ----------
    unit : str
        Unit of durations, as the axis shows them.
    """

    unit: str = ""

    @property
    def size(self) -> float:
        """One unit of the axis, in units of the column."""
        return 1

    @property
    def has_origin(self) -> bool:
        """Whether 0 is a number of its own, so that powers of ten are ticks."""
        return True

    def read(self, column: StoredColumn) -> FloatArray:
        """Return numbers in units of the axis, ``(n_rows,)``; NaN where missing."""
        # Divided last: whole seconds are then exact.
        numbers = column.values.astype(np.float64) * column.tick.numerator / column.tick.denominator
        return np.where(column.present, numbers / self.size, np.nan)

    def for_axis(self, numbers: FloatArray) -> Self:
        """Return the quantity in the unit that suits numbers."""
        return self

    def spell(self, number: float, digits: int = 6) -> str:
        """Return a number in words, with at most so many digits."""
        if np.isnan(number):
            return MISSING
        return self._spell(number, digits)

    def _spell(self, number: float, digits: int) -> str:
        whole = number.is_integer() and abs(number) < 1e15
        return str(int(number)) if whole else f"{number:.{digits}g}"

    def spell_tick(self, number: float) -> str:
        """Return the text of a tick."""
        return f"{number:.4g}"

    def ticks_between(self, low: float, high: float) -> FloatArray:
        """Return a few ticks."""
        return np.asarray(MaxNLocator(4).tick_values(low, high))

    def format_ticks(self, axis: Axis, step: float, *, is_linear: bool) -> None:
        """Choose the ticks of an axis; whole ones on a grid of whole numbers."""
        if is_linear and step.is_integer() and step > 0:
            axis.set_major_locator(MaxNLocator(integer=True))


class Dates(Numbers):
    """Dates, in days since 1970."""

    @property
    def size(self) -> float:
        """One day, in seconds."""
        return DAY

    @property
    def has_origin(self) -> bool:
        """Whether 0 is a number of its own: 1970 is not."""
        return False

    def _spell(self, number: float, digits: int) -> str:
        return spell_date(round(number * DAY, 3))[:16]  # to the minute

    def spell_tick(self, number: float) -> str:
        """Return the day."""
        return self.spell(number)[:10]

    def ticks_between(self, low: float, high: float) -> FloatArray:
        """Return a few dates."""
        locator = AutoDateLocator(minticks=1, maxticks=3)
        return np.asarray(locator.tick_values(*num2date([low, high])))

    def format_ticks(self, axis: Axis, step: float, *, is_linear: bool) -> None:
        """Choose dates as ticks."""
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))


class Durations(Numbers):
    """Durations, in seconds or a larger unit."""

    @property
    def size(self) -> float:
        """The unit, in seconds."""
        return UNITS.get(self.unit, 1)

    def for_axis(self, numbers: FloatArray) -> Self:
        """Return durations in the unit that suits their upper decile."""
        return type(self)(unit_of(float(np.quantile(np.abs(numbers), 0.9))))

    def _spell(self, number: float, digits: int) -> str:
        seconds = number * self.size
        unit = unit_of(abs(seconds))
        return f"{seconds / UNITS[unit]:.4g} {unit}"


#: Quantities by the names of families; other families have no axis of numbers.
QUANTITIES: dict[str, Numbers] = {"number": Numbers(), "date": Dates(), "duration": Durations()}


def unit_of(seconds: float) -> str:
    """Return the largest unit that a duration has two of, else the smallest."""
    return next((unit for unit, size in UNITS.items() if seconds >= 2 * size), "s")
