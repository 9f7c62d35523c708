"""Columns as a picture shows them: numbers on an axis, and values in words."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedFormatter
from numpy.typing import NDArray

from skflow.plotting.quantities import MISSING, QUANTITIES, Numbers
from skflow.plotting.scale import Scale
from skflow.plotting.style import shorten
from skflow.table.schema import ColumnSchema, Schema
from skflow.table.storage import StoredColumn

FloatArray = NDArray[np.float64]

MOST_LEVELS = 12  # of an axis; rarer ones share one place
JITTER = 0.3  # of the distance of levels
MOST_LETTERS = 45  # of all names along x, side by side
STRIP = 0.08  # width of the strip for missing numbers, of the axis
OTHERS = "others"


def find_column(schema: Schema, column: Hashable) -> int:
    """Return the position of a column, given by position or name.

    Raises
    ------
    ValueError
        Where there is no such column.
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
    """Return each value in words."""
    quantity = QUANTITIES.get(column.family.name)
    if quantity is not None:
        return list(map(quantity.spell, quantity.read(column)))
    pairs = zip(column.values.tolist(), column.present, strict=True)
    return [str(value) if present else MISSING for value, present in pairs]


def usual_values(column: StoredColumn) -> str:
    """Say what a column usually holds: most of its numbers, or its commonest value."""
    quantity = QUANTITIES.get(column.family.name)
    if quantity is not None and 2 * np.count_nonzero(column.present) > len(column.values):
        # Quantiles that occur: between two levels, or two days, there is nothing.
        numbers = quantity.read(column)[column.present]
        ends = np.quantile(numbers, [0.05, 0.95], method="inverted_cdf")
        low, high = (quantity.spell(end, digits=4) for end in ends)
        return f"usually {low}" if low == high else f"usually {low} to {high}"
    text, count = Counter(texts_of(column)).most_common(1)[0]
    return f"mostly {shorten(text)} ({100 * count / len(column.values):.0f} %)"


class Strip(NamedTuple):
    """Where rows lie whose number is missing: below all that have one.

    Its centre and width are places of the scale (:meth:`Scale.forward`).
    """

    scale: Scale
    centre: float
    width: float

    @property
    def end(self) -> float:
        """Where the numbers begin."""
        return float(self.at(np.array([0.5]))[0])

    def at(self, shares: FloatArray) -> FloatArray:
        """Return numbers so many widths from the centre."""
        return self.scale.inverse(self.centre + self.width * shares)

    @classmethod
    def below(cls, scale: Scale, numbers: FloatArray, edges: FloatArray) -> Self | None:
        """Return a strip below numbers and cells, or None where no number is missing."""
        missing = np.isnan(numbers)
        if not missing.any():
            return None
        places = scale.forward(np.concatenate([numbers[~missing], edges]))
        width = STRIP * float(np.ptp(places))
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
        Names of the places 0, 1, ...; empty on an axis of numbers.
    step : float
        Width of the grid that the numbers are on; 0 where there is none.
    jitter : float
        How far rows may be moved, so that those of one value do not hide each other.
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
        """Choose the axis for a column by draws of the density, and by the rows to show."""
        quantity = QUANTITIES.get(column.family.name)
        if quantity is None or not column.present.any():
            return cls(schema.name, levels=_levels(schema, column, rows), jitter=JITTER)
        quantity = quantity.for_axis(quantity.read(column)[column.present])
        numbers = quantity.read(column)
        scale = Scale.of(numbers, quantity.read(rows))
        if schema.valued:
            step = float(schema.step or 0.0) / quantity.size
            return cls(schema.name, quantity, step=step, scale=scale)
        # A few levels: as far apart as the nearest two.
        step = float(np.diff(np.unique(numbers[column.present])).min(initial=np.inf))
        step = step if np.isfinite(step) else 1.0
        return cls(schema.name, quantity, step=step, jitter=JITTER * step, scale=scale)

    def place(self, column: StoredColumn) -> FloatArray:
        """Return where each row lies on the axis; NaN where a number is missing."""
        if not self.levels:
            return self.quantity.read(column)
        place = {level: i for i, level in enumerate(self.levels)}
        others = place.get(OTHERS, np.nan)
        return np.array([place.get(text, others) for text in texts_of(column)], dtype=np.float64)

    def spread(self, places: FloatArray, generator: np.random.RandomState) -> FloatArray:
        """Return places spread over the cell of the grid that each stands for."""
        return places + self.step * generator.uniform(-0.5, 0.5, len(places))

    def dress(self, axis: Axis, numbers: FloatArray, strip: Strip | None) -> None:
        """Label an axis of a picture.

        Parameters
        ----------
        axis : matplotlib Axis
            That has the column's scale already.
        numbers : ndarray
            What is drawn along it.
        strip : Strip or None
            For rows whose number is missing.
        """
        said = ", ".join(
            filter(None, [self.quantity.unit, self.scale.says(self.quantity.spell_tick)])
        )
        axis.set_label_text(shorten(self.name) + (f" ({said})" if said else ""))
        if self.levels:
            names = [shorten(level, 16) for level in self.levels]
            _name_places(axis, range(len(names)), names)
        elif self.scale.kind == "tails":
            self._name_tails(axis, numbers[~np.isnan(numbers)])
        else:
            self.quantity.format_ticks(axis, self.step, is_linear=self.scale.kind == "linear")
        if strip is not None:
            _name_strip(axis, strip)

    def _name_tails(self, axis: Axis, numbers: FloatArray) -> None:
        """Write some numbers of the middle, and some outside."""
        low, high = self.scale.low, self.scale.high
        inside = self.quantity.ticks_between(low, high)
        outside = self.scale.ticks_outside(numbers, powers=self.quantity.has_origin)
        ticks = sorted({*outside, *inside[(inside >= low) & (inside <= high)].tolist()})
        _name_places(axis, ticks, list(map(self.quantity.spell_tick, ticks)))


def _levels(schema: ColumnSchema, drawn: StoredColumn, rows: StoredColumn) -> tuple[str, ...]:
    """Return the names of an axis' places: the common levels, in order, and the rest."""
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
    """Write a name at each place, slanted where they would run into each other."""
    axis.set_ticks(places, names)
    if isinstance(axis, XAxis) and sum(map(len, names)) > MOST_LETTERS:
        for text in axis.get_ticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")


def _name_strip(axis: Axis, strip: Strip) -> None:
    """Write "missing" at the strip, and no number."""
    high = axis.get_view_interval()[1]
    ticks = [tick for tick in axis.get_majorticklocs() if strip.end < tick <= high]
    texts = FixedFormatter([MISSING, *axis.get_major_formatter().format_ticks(ticks)])
    texts.set_offset_string(axis.get_major_formatter().get_offset())  # such as a date's year
    axis.set_ticks([*strip.at(np.zeros(1)), *ticks])
    axis.set_major_formatter(texts)
