"""Axes of columns, and values of columns as text."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedFormatter
from numpy.typing import NDArray

from skflow.plotting.quantities import MISSING, QUANTITIES, Numbers
from skflow.plotting.scale import Scale, TailScale, choose_scale
from skflow.plotting.style import shorten
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]

MOST_LEVELS = 12  # levels on an axis; less frequent ones share one position
JITTER = 0.3  # largest shift of a row, relative to the distance of two levels
MOST_LETTERS = 45  # letters that fit along x, all names together
BAND = 0.08  # width of the band for missing numbers, relative to the axis
OTHERS = "others"


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


def texts_of(column: StoredColumn) -> list[str]:
    """Return each value as text."""
    quantity = QUANTITIES.get(column.family.name)
    if quantity is not None:
        return list(map(quantity.spell, quantity.read(column)))
    pairs = zip(column.values.tolist(), column.present, strict=True)
    return [str(value) if present else MISSING for value, present in pairs]


def usual_values(column: StoredColumn) -> str:
    """Return a text with the central 90 % of a column's numbers, or its most frequent value."""
    quantity = QUANTITIES.get(column.family.name)
    if quantity is not None and 2 * np.count_nonzero(column.present) > len(column.values):
        # Quantiles among the numbers that occur: no value lies between two levels or two days.
        numbers = quantity.read(column)[column.present]
        ends = np.quantile(numbers, [0.05, 0.95], method="inverted_cdf")
        low, high = (quantity.spell(end, digits=4) for end in ends)
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
    quantity : Numbers
        Numbers, dates or durations.
    levels : tuple of str
        Names of the positions 0, 1, ...; empty on an axis of numbers.
    step : float
        Step of the column's grid, in units of the axis; 0 without a grid.
    jitter : float
        Largest shift of a row, so that rows of one value do not hide each other.
    scale : Scale
        Linear, unless the column is skewed.
    """

    name: str
    quantity: Numbers = field(default_factory=Numbers)
    levels: tuple[str, ...] = ()
    step: float = 0.0
    jitter: float = 0.0
    scale: Scale = field(default_factory=Scale)

    @classmethod
    def of(cls, schema: ColumnSchema, column: StoredColumn, rows: StoredColumn) -> Self:
        """Choose the axis of a column from samples of the density and the rows to show."""
        quantity = QUANTITIES.get(column.family.name)
        if quantity is None or not column.present.any():
            return cls(schema.name, levels=_levels(schema, column, rows), jitter=JITTER)
        quantity = quantity.for_axis(quantity.read(column)[column.present])
        numbers = quantity.read(column)
        scale = choose_scale(numbers, quantity.read(rows))
        if schema.valued:
            step = float(schema.step or 0.0) / quantity.size
            return cls(schema.name, quantity, step=step, scale=scale)
        # A few levels: the step is the distance of the nearest two.
        step = float(np.diff(np.unique(numbers[column.present])).min(initial=np.inf))
        step = step if np.isfinite(step) else 1.0
        return cls(schema.name, quantity, step=step, jitter=JITTER * step, scale=scale)

    def place(self, column: StoredColumn) -> FloatArray:
        """Return the position of each row on the axis; NaN if its number is missing."""
        if not self.levels:
            return self.quantity.read(column)
        place = {level: i for i, level in enumerate(self.levels)}
        others = place.get(OTHERS, np.nan)
        return np.array([place.get(text, others) for text in texts_of(column)], dtype=np.float64)

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
        notes = ", ".join(
            filter(None, [self.quantity.unit, self.scale.note(self.quantity.spell_tick)])
        )
        axis.set_label_text(shorten(self.name) + (f" ({notes})" if notes else ""))
        if self.levels:
            names = [shorten(level, 16) for level in self.levels]
            _name_places(axis, range(len(names)), names)
        elif isinstance(self.scale, TailScale):
            self._name_tails(axis, self.scale, numbers[~np.isnan(numbers)])
        else:
            self.quantity.format_ticks(axis, self.step, is_linear=self.scale.is_linear)
        if band is not None:
            _name_band(axis, band)

    def _name_tails(self, axis: Axis, scale: TailScale, numbers: FloatArray) -> None:
        """Set ticks at some numbers in the middle of the axis, and some outside."""
        low, high = scale.low, scale.high
        inside = self.quantity.ticks_between(low, high)
        outside = scale.ticks_outside(numbers, powers=self.quantity.has_origin)
        ticks = sorted({*outside, *inside[(inside >= low) & (inside <= high)].tolist()})
        _name_places(axis, ticks, list(map(self.quantity.spell_tick, ticks)))


def _levels(schema: ColumnSchema, drawn: StoredColumn, rows: StoredColumn) -> tuple[str, ...]:
    """Return the names of an axis' positions: the frequent levels, in order, and the rest."""
    texts = texts_of(drawn)
    quantity = QUANTITIES.get(drawn.family.name)
    if quantity is not None:
        known = list(map(quantity.spell, np.unique(quantity.read(drawn))))
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
