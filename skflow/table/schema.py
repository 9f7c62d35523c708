"""What each column of a table is taken for."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import pandas as pd

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

FRAME_COLUMNS = [
    *("column", "kind", "dtype", "family", "levels", "atoms", "missing", "step", "low", "high")
]
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
    n_left_out : int
        Of kinds "levels" and "constant": how many different numbers of the training rows
        are no levels, because they occur once. To a model these are numbers never seen.
        Not compared.
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
    n_left_out: int = field(default=0, compare=False)

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
            step = self.plain(self.step, is_step=True)
            parts.append(f"step {step}" if isinstance(step, str) else f"step {step:g}")
        if self.valued and (self.low is not None or self.high is not None):
            parts.append(self._spell_support())
        if self.atoms:
            parts.append("often " + _abbreviate([self._spell(atom) for atom in self.atoms]))
        if self.n_left_out:
            occur = "that occurs once" if self.n_left_out == 1 else "that occur once"
            parts.append(f"{self.n_left_out} left out {occur}")
        if self.missing:
            parts.append("or missing (" + ", ".join(self.missing) + ")")
        return "; ".join(part for part in parts if part)

    def plain(self, value: Any, *, is_step: bool = False) -> Any:
        """Return a level, atom, bound or step: text of dates and durations, else the value."""
        if self.family == "duration" or (self.family == "date" and is_step):
            return spell_duration(value)
        return spell_date(value) if self.family == "date" else value

    def _spell(self, value: Any) -> str:
        plain = self.plain(value)
        return plain if self.family in ("date", "duration") else repr(plain)

    def _spell_support(self) -> str:
        if self.high is None:
            return f">= {self._spell(self.low)}"
        if self.low is None:
            return f"<= {self._spell(self.high)}"
        return f"{self._spell(self.low)} to {self._spell(self.high)}"


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Two densities are on the same measure, and so comparable, when their schemas
    are equal.
    """

    columns: tuple[ColumnSchema, ...]

    def __repr__(self) -> str:
        rows = [(printable(c.name), c.kind, printable(c.dtype), c.describe()) for c in self.columns]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        lines = (
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), last]
            )
            for *row, last in rows
        )
        return "\n".join((f"Schema of {_columns(len(rows))}:", *(f"  {x}".rstrip() for x in lines)))

    def _repr_html_(self) -> str:
        spelled = [
            (printable(c.name), c.kind, printable(c.dtype), c.describe()) for c in self.columns
        ]
        frame = pd.DataFrame(spelled, columns=["column", "kind", "dtype", "holds"], dtype=object)
        return str(frame.to_html(index=False, border=0, max_rows=None))

    def to_frame(self) -> pd.DataFrame:
        """Return the schema as a pandas DataFrame, one row per column, in order.

        Returns
        -------
        frame : DataFrame of shape (n_columns, 10)
            ``column``, ``kind``, ``dtype``, ``family``; ``levels``, ``atoms`` and ``missing``
            as tuples; ``step``, ``low`` and ``high``, None where there is none. Numbers are in
            the column's unit; dates and durations are text, as in the representation.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import FlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = FlowDensity(n_layers=0, random_state=0).fit(X)
        >>> flow.schema_.to_frame()[["column", "kind", "step", "low"]]
                      column     kind step low
        0  sepal length (cm)  decimal  0.1   0
        1   sepal width (cm)  decimal  0.1   0
        2  petal length (cm)  decimal  0.1   0
        3   petal width (cm)  decimal  0.1   0
        """
        rows = [
            {
                "column": c.name,
                "kind": c.kind,
                "dtype": c.dtype,
                "family": c.family,
                "levels": tuple(map(c.plain, c.levels)),
                "atoms": tuple(map(c.plain, c.atoms)),
                "missing": c.missing,
                "step": None if c.step is None or not c.valued else c.plain(c.step, is_step=True),
                "low": None if c.low is None or not c.valued else c.plain(c.low),
                "high": None if c.high is None or not c.valued else c.plain(c.high),
            }
            for c in self.columns
        ]
        return pd.DataFrame(rows, columns=FRAME_COLUMNS, dtype=object)


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
