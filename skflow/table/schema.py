"""What each column of a table is taken for."""

import html
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from skflow.exceptions import printable

Kind = Literal[
    "categorical", "levels", "constant", "integer", "decimal", "continuous", "date", "duration"
]
KINDS: tuple[str, ...] = get_args(Kind)
VALUED = ("integer", "decimal", "continuous", "date", "duration")

# A number of a column: int where it is whole (exact at any size), Decimal for dates
# and durations that are not whole seconds (floats lose their digits), else float.
Number = int | float | Decimal

# Dates and durations are counted in nanoseconds; the unit of their density is the second.
PER_SECOND = 10**9

SHOWN = 6  # levels of a column in the representation


@dataclass(frozen=True)
class ColumnSchema:
    """One column: what it is taken for.

    Attributes
    ----------
    name : str
    dtype : str
        As the container spells it. Not compared: it does not change the measure.
    kind : str
        "categorical"; "levels" (few numbers, each an event), "constant" (one of
        them); "integer", "decimal" (numbers on a grid), "continuous", "date",
        "duration".
    levels : tuple
        Of kinds "categorical", "levels" and "constant", in order. Dates are
        seconds since 1970, durations seconds.
    missing : tuple of str
        Missing markers, of "NaN", "NA", "NaT", "None".
    atoms : tuple of numbers
        Values repeated so often that each is an event of its own.
    step : number, default=None
        Width of the grid, in the column's unit; seconds for dates and durations.
    low, high : number, default=None
        The support.
    family : str
        What the column's storage holds: "number", "boolean", "category", "date" or
        "duration". Not compared, as ``dtype``.
    """

    name: str
    dtype: str = field(compare=False)
    kind: Kind
    levels: tuple[Any, ...] = ()
    missing: tuple[str, ...] = ()
    atoms: tuple[Number, ...] = ()
    step: Number | None = None
    low: Number | None = None
    high: Number | None = None
    family: str = field(default="number", compare=False)

    @property
    def valued(self) -> bool:
        """Whether rows may have a value, besides a label."""
        return self.kind in VALUED

    def describe(self) -> str:
        """Say in words what a row of the column may hold."""
        parts = []
        if not self.valued:
            parts.append(_abbreviate([self._spell(level) for level in self.levels]))
        if self.valued and self.step is not None:
            parts.append(f"step {self._spell_step()}")
        if self.valued and (self.low is not None or self.high is not None):
            parts.append(f"in [{self._spell_bound(self.low)}, {self._spell_bound(self.high)}]")
        if self.atoms:
            parts.append("often " + _abbreviate([self._spell(atom) for atom in self.atoms]))
        if self.missing:
            parts.append("or missing (" + ", ".join(self.missing) + ")")
        return "; ".join(part for part in parts if part)

    def _spell(self, value: Any) -> str:
        if self.family == "date" and isinstance(value, Number):
            return spell_date(value)
        if self.family == "duration" and isinstance(value, Number):
            return spell_duration(value)
        return repr(value)

    def _spell_bound(self, bound: Number | None) -> str:
        return "" if bound is None else self._spell(bound)

    def _spell_step(self) -> str:
        if self.family in ("date", "duration") and self.step is not None:
            return spell_duration(self.step)
        return f"{self.step:g}"


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Two densities are on the same measure, and so comparable, when their schemas
    are equal.
    """

    columns: tuple[ColumnSchema, ...]

    def __repr__(self) -> str:
        rows = [(c.name, c.kind, c.dtype, c.describe()) for c in self.columns]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        lines = (
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), last]
            )
            for *row, last in rows
        )
        return "\n".join((f"Schema of {_columns(len(rows))}:", *(f"  {x}".rstrip() for x in lines)))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{text}</th>" for text in ("column", "kind", "dtype", "holds"))
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(text)}</td>" for text in (c.name, c.kind, c.dtype, c.describe())
            )
            + "</tr>"
            for c in self.columns
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def _abbreviate(texts: list[str]) -> str:
    if len(texts) <= SHOWN:
        return ", ".join(texts)
    return f"{', '.join(texts[: SHOWN - 2])}, ..., {texts[-1]} ({len(texts)} in all)"


def seconds_of(nanoseconds: int) -> Number:
    """Return seconds exactly, as an int where they are whole."""
    whole, rest = divmod(nanoseconds, PER_SECOND)
    return whole if rest == 0 else Decimal(nanoseconds).scaleb(-9).normalize()


def spell_date(seconds: Number) -> str:
    """Return seconds since 1970 as a date."""
    try:
        text = datetime.fromtimestamp(int(seconds // 1), UTC).replace(tzinfo=None).isoformat(" ")
    except (ValueError, OverflowError, OSError):  # outside the years 1 to 9999
        return f"{seconds} s"
    fraction = seconds % 1
    return text + f"{fraction:f}"[1:] if fraction else text.removesuffix(" 00:00:00")


def spell_duration(seconds: Number) -> str:
    """Return seconds in the largest unit that divides them."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds) // size} {unit}"
    return f"{seconds} s"
