"""Axes of columns, and values of columns as text."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date
from matplotlib.ticker import FixedFormatter, MaxNLocator
from numpy.typing import NDArray

from skflow.plotting.scale import Scale
from skflow.plotting.style import shorten
from skflow.table.schema import ColumnSchema, Schema, spell_date
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]

DAY = 86400
UNITS = {"d": DAY, "h": 3600, "min": 60, "s": 1}  # units of durations, in seconds
MOST_LEVELS = 12  # levels on an axis; less frequent ones share one position
JITTER = 0.3  # largest shift of a row, relative to the distance of two levels
MOST_LETTERS = 45  # letters that fit along x, all names together
BAND = 0.08  # width of the band for missing numbers, relative to the axis
MISSING, OTHERS = "missing", "others"


def find_column(schema: Schema, column: Hashable) -> int:
    """Return the position of a column, given by position or name.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    names = [each.name for each in schema.columns]
    if column in names:
        return names.index(str(column))
    if isinstance(column, int | np.integer) and -len(names) <= column < len(names):
        return int(column) % len(names)
    raise ValueError(
        f"No column {column!r}. Pass one of {names}, or a position from 0 to {len(names) - 1}."
    )


def numbers_of(column: StoredColumn) -> FloatArray:
    """Return float64 numbers: days since 1970 for dates, seconds for durations, NaN if missing."""
    numbers = column.values.astype(np.float64)
    if column.family in ("date", "duration"):
        # The division comes last, so that whole seconds are exact.
        numbers = numbers * column.tick.numerator / column.tick.denominator
    if column.family == "date":
        numbers = numbers / DAY
    return np.where(column.present, numbers, np.nan)


def is_ordered(column: StoredColumn) -> bool:
    """Whether the column holds numbers, dates or durations."""
    return column.family in ("number", "date", "duration")


def spell_number(number: float, family: str, digits: int = 6) -> str:
    """Return a number of :func:`numbers_of` as text, with ``digits`` significant digits."""
    if np.isnan(number):
        return MISSING
    if family == "date":
        return spell_date(round(number * DAY, 3))[:16]  # to the minute
    if family == "duration":
        unit = unit_of(abs(number))
        return f"{number / UNITS[unit]:.4g} {unit}"
    return (
        str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.{digits}g}"
    )


def unit_of(seconds: float) -> str:
    """Return the largest unit of which a duration has at least two, else the smallest unit."""
    return next((unit for unit, size in UNITS.items() if seconds >= 2 * size), "s")


def texts_of(column: StoredColumn) -> list[str]:
    """Return each value as text."""
    if is_ordered(column):
        return [spell_number(number, column.family) for number in numbers_of(column)]
    pairs = zip(column.values.tolist(), column.present, strict=True)
    return [str(value) if present else MISSING for value, present in pairs]


def usual_values(column: StoredColumn) -> str:
    """Return a text with the central 90 % of a column's numbers, or its most frequent value."""
    if is_ordered(column) and 2 * np.count_nonzero(column.present) > len(column.values):
        # Quantiles among the numbers that occur: no value lies between two levels or two days.
        numbers = numbers_of(column)[column.present]
        ends = np.quantile(numbers, [0.05, 0.95], method="inverted_cdf")
        low, high = (spell_number(end, column.family, digits=4) for end in ends)
        return f"usually {low}" if low == high else f"usually {low} to {high}"
    text, count = Counter(texts_of(column)).most_common(1)[0]
    return f"mostly {shorten(text)} ({100 * count / len(column.values):.0f} %)"


class MissingBand(NamedTuple):
    """Band below all numbers of an axis, for rows whose number is missing.

    Centre and width are positions on the scale (:meth:`Scale.forward`).
    """

    scale: Scale
    centre: float
    width: float

    @property
    def end(self) -> float:
        """Number at the upper end of the band."""
        return float(self.at(np.array([0.5]))[0])

    def at(self, shares: FloatArray) -> FloatArray:
        """Return the numbers at a distance of ``shares`` widths from the centre."""
        return self.scale.inverse(self.centre + self.width * shares)

    @classmethod
    def below(cls, scale: Scale, numbers: FloatArray, edges: FloatArray) -> Self | None:
        """Return a band below numbers and edges, or None if no number is missing."""
        missing = np.isnan(numbers)
        if not missing.any():
            return None
        places = scale.forward(np.concatenate([numbers[~missing], edges]))
        width = BAND * float(np.ptp(places))
        return cls(scale, float(places.min()) - width, width)


@dataclass(frozen=True)
class ColumnAxis:
    """An axis for one column.

    Attributes
    ----------
    name : str
        Name of the column.
    family : str
        "number", "date", "duration", or "level": positions 0, 1, ... with a name each.
    levels : tuple of str
        Names of the positions.
    unit : str
        Unit of durations.
    step : float
        Step of the column's grid, in units of the axis; 0 without a grid.
    jitter : float
        Largest shift of a row, so that rows of one value do not hide each other.
    scale : Scale
        Linear, unless the column is skewed.
    """

    name: str
    family: str
    levels: tuple[str, ...] = ()
    unit: str = ""
    step: float = 0.0
    jitter: float = 0.0
    scale: Scale = field(default_factory=Scale)

    @classmethod
    def of(cls, schema: ColumnSchema, column: StoredColumn, rows: StoredColumn) -> Self:
        """Choose the axis of a column from samples of the density and the rows to show."""
        name, family = schema.name, column.family
        if not is_ordered(column) or not column.present.any():
            return cls(name, "level", _levels(schema, column, rows), jitter=JITTER)
        numbers = numbers_of(column)[column.present]
        unit = unit_of(float(np.quantile(np.abs(numbers), 0.9))) if family == "duration" else ""
        scale = Scale.of(*(numbers_of(each) / UNITS.get(unit, 1) for each in (column, rows)))
        if schema.valued:
            size = DAY if family == "date" else UNITS.get(unit, 1)
            step = float(schema.step or 0.0) / size
            return cls(name, family, unit=unit, step=step, scale=scale)
        # A few levels: the step is the distance of the nearest two.
        step = float(np.diff(np.unique(numbers)).min(initial=np.inf)) / UNITS.get(unit, 1)
        step = step if np.isfinite(step) else 1.0
        return cls(name, family, unit=unit, step=step, jitter=JITTER * step, scale=scale)

    def place(self, column: StoredColumn) -> FloatArray:
        """Return the position of each row on the axis; NaN if its number is missing."""
        if self.family == "level":
            place = {level: i for i, level in enumerate(self.levels)}
            others = place.get(OTHERS, np.nan)
            return np.array(
                [place.get(text, others) for text in texts_of(column)], dtype=np.float64
            )
        numbers = numbers_of(column)
        return numbers / UNITS[self.unit] if self.family == "duration" else numbers

    def spread(self, places: FloatArray, generator: np.random.RandomState) -> FloatArray:
        """Dequantize positions: add uniform noise of one step of the grid."""
        return places + self.step * generator.uniform(-0.5, 0.5, len(places))

    def format_axis(self, axis: Axis, numbers: FloatArray, band: MissingBand | None) -> None:
        """Set label, ticks and tick labels of a matplotlib axis.

        Parameters
        ----------
        axis : matplotlib Axis
            Axis with the column's scale already set.
        numbers : ndarray
            Positions that are drawn along it.
        band : MissingBand or None
            Band for rows whose number is missing.
        """
        notes = ", ".join(filter(None, [self.unit, self.scale.note(self._spell)]))
        axis.set_label_text(shorten(self.name) + (f" ({notes})" if notes else ""))
        if self.family == "level":
            names = [shorten(level, 16) for level in self.levels]
            _name_places(axis, range(len(names)), names)
        elif self.scale.kind == "tails":
            self._name_tails(axis, numbers[~np.isnan(numbers)])
        elif self.family == "date":
            locator = AutoDateLocator(minticks=3, maxticks=6)
            axis.set_major_locator(locator)
            axis.set_major_formatter(ConciseDateFormatter(locator))
        elif self.scale.kind == "linear" and self.step.is_integer() and self.step > 0:
            axis.set_major_locator(MaxNLocator(integer=True))
        if band is not None:
            _name_band(axis, band)

    def _name_tails(self, axis: Axis, numbers: FloatArray) -> None:
        """Set ticks at some numbers in the middle of the axis, and some outside."""
        low, high = self.scale.low, self.scale.high
        if self.family == "date":
            inside = AutoDateLocator(minticks=1, maxticks=3).tick_values(*num2date([low, high]))
        else:
            inside = MaxNLocator(4).tick_values(low, high)
        outside = self.scale.ticks_outside(numbers, powers=self.family != "date")
        ticks = sorted({*outside, *inside[(inside >= low) & (inside <= high)].tolist()})
        _name_places(axis, ticks, [self._spell(tick) for tick in ticks])

    def _spell(self, number: float) -> str:
        return spell_number(number, "date")[:10] if self.family == "date" else f"{number:.4g}"


def _levels(schema: ColumnSchema, drawn: StoredColumn, rows: StoredColumn) -> tuple[str, ...]:
    """Return the names of an axis' positions: the frequent levels, in order, and the rest."""
    texts = texts_of(drawn)
    if is_ordered(drawn):
        known = [spell_number(x, drawn.family) for x in np.unique(numbers_of(drawn))]
    else:
        known = [str(level) for level in schema.levels]
    common = {level for level, _ in Counter(texts).most_common(MOST_LEVELS)}
    shown = [level for level in dict.fromkeys([*known, MISSING]) if level in common]
    rest = {*texts, *texts_of(rows)} - common
    return (*shown, OTHERS) if rest else tuple(shown)


def _name_places(axis: Axis, places: Sequence[float], names: list[str]) -> None:
    """Set a name at each position, slanted if the names would overlap."""
    axis.set_ticks(places, names)
    if isinstance(axis, XAxis) and sum(map(len, names)) > MOST_LETTERS:
        for text in axis.get_ticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")


def _name_band(axis: Axis, band: MissingBand) -> None:
    """Set the tick label "missing" at the band, and no number there."""
    high = axis.get_view_interval()[1]
    ticks = [tick for tick in axis.get_majorticklocs() if band.end < tick <= high]
    texts = FixedFormatter([MISSING, *axis.get_major_formatter().format_ticks(ticks)])
    texts.set_offset_string(axis.get_major_formatter().get_offset())  # such as a date's year
    axis.set_ticks([*band.at(np.zeros(1)), *ticks])
    axis.set_major_formatter(texts)
