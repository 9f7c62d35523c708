"""Named rows that come later, to what was fitted to a sound table of every kind of column."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from tests.estimators.bad_tables import Refused
from tests.tables import STR


def sound_table(n_rows: int = 80) -> pd.DataFrame:
    """A column of each kind; a hole in ``weight`` alone."""
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.integers(0, 999, (2, n_rows)).ravel(), "D")
    length = rng.standard_normal(n_rows).round(9)
    return pd.DataFrame(
        {
            "colour": pd.array(rng.choice(["red", "green"], n_rows), STR),
            "declared": pd.Categorical(rng.choice(["a", "b"], n_rows), ["a", "b", "spare"]),
            "flag": rng.random(n_rows) < 0.5,
            "length": length,
            "weight": np.where(length > 1, np.nan, rng.exponential(size=n_rows).round(9)),
            "level": rng.choice([1, 2, 4], n_rows),
            "count": rng.integers(0, 500, n_rows),
            "constant": np.full(n_rows, 7),
            "when": (pd.Timestamp("2020-01-01") + days[:n_rows]).as_unit("us"),
            "zoned": pd.Timestamp("2020-01-01", tz="UTC") + days[n_rows:],
            "wait": pd.to_timedelta(rng.integers(1, 9999, n_rows), "s"),
        }
    )


class Rare(NamedTuple):
    """Scored as a rare event; ``transform`` refuses it, with this message."""

    message: str


class Nearest(NamedTuple):
    """Scored, and the odd number comes back as the nearest that its column's dtype can hold."""

    column: str
    possible: tuple[float, ...]


class Rows(NamedTuple):
    """Three rows with something odd, made of sound ones, and what comes of them.

    None: they are scored, and come back.
    """

    make: Callable[[pd.DataFrame], Any]
    outcome: Refused | Rare | Nearest | None


def cell(name: str, value: object, dtype: object = object) -> Callable[[pd.DataFrame], Any]:
    """The second row has this cell."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        cells = rows[name].astype(object).tolist()
        cells[1] = value
        return rows.assign(**{name: pd.Series(cells, dtype=dtype)})

    return change


def cells(name: str, values: Any) -> Callable[[pd.DataFrame], Any]:
    """A column holds these."""
    return lambda rows: rows.assign(**{name: values})


def of_column(name: str, other: str) -> Callable[[pd.DataFrame], Any]:
    """A column holds what another should."""
    return lambda rows: rows.assign(**{name: rows[other]})


def came_as(name: str, family: str, remedy: str) -> Refused:
    message = f"'{name}': was fitted as .* and came as {family} .*: {remedy}"
    return Refused(TypeError, message)


def missing(name: str, marker: str = "NaN") -> Rare:
    return Rare(rf"'{name}': \d missing \({marker}\), with no such at fit(?s:.*)Drop or replace")


def unseen(name: str) -> Rare:
    return Rare(f"'{name}': .*never seen(?s:.*)Drop or replace")


NAMES = "feature names should match those(?s:.*)"
TO_FLOAT = "convert it to float64"

LATER: dict[str, Rows] = {
    "nothing odd": Rows(lambda rows: rows, None),
    "one row": Rows(lambda rows: rows[1:2].reset_index(drop=True), None),
    "an index that repeats": Rows(lambda rows: rows.set_axis([0, 0, 0]), None),
    "polars": Rows(pl.from_pandas, None),
    "nullable dtypes": Rows(lambda rows: rows.convert_dtypes(), None),
    "Arrow dtypes": Rows(lambda rows: rows.convert_dtypes(dtype_backend="pyarrow"), None),
    "a big-endian column": Rows(lambda rows: rows.astype({"length": ">f8", "count": ">i4"}), None),
    "a longdouble column": Rows(lambda rows: rows.astype({"length": np.longdouble}), None),
    # Missing values
    "NaN where none was": Rows(cell("length", np.nan, float), missing("length")),
    "NA where none was": Rows(
        cells("level", pd.array([1, None, 2], "Int64")), missing("level", "NA")
    ),
    "NaN in a column of counts": Rows(cell("count", np.nan, float), missing("count")),
    "NaT where none was": Rows(cell("when", pd.NaT, None), missing("when", "NaT")),
    "NaT among dates of nanoseconds": Rows(
        cells("when", np.array(["2020-01-01", "NaT", "2021-01-01"], "M8[ns]")),
        missing("when", "NaT"),
    ),
    "None where none was": Rows(cell("colour", None), missing("colour")),
    "a hole where a flag was": Rows(
        cells("flag", pd.array([True, None, False], "boolean")), missing("flag", "NA")
    ),
    "a hole in a constant column": Rows(cell("constant", np.nan, float), missing("constant")),
    "a column all missing": Rows(cells("length", [np.nan] * 3), missing("length")),
    "a column all None": Rows(cells("colour", [None] * 3), missing("colour")),
    "a column of Null in polars": Rows(
        lambda rows: pl.from_pandas(rows).with_columns(pl.lit(None).alias("length")),
        missing("length"),
    ),
    "rows all missing": Rows(lambda rows: rows.mask(rows.notna(), np.nan), missing("colour")),
    "None, NaN and NA at once": Rows(
        cells("colour", pd.Series([None, np.nan, pd.NA], dtype=object)), missing("colour")
    ),
    "a hole where holes were": Rows(cell("weight", np.nan, float), None),
    # Labels
    "a category never seen": Rows(cell("colour", "violet"), unseen("colour")),
    "an empty string": Rows(cell("colour", ""), unseen("colour")),
    "half a surrogate pair": Rows(cell("colour", "\ud800"), unseen("colour")),
    "a string of a million letters": Rows(
        cell("colour", "x" * 10**6), Rare(r"'colour': 'x{1,40}\.\.\.x{1,40}', never seen")
    ),
    "a number for a category": Rows(cell("colour", 3), unseen("colour")),
    "numbers for categories": Rows(cells("colour", [1, 2, 3]), unseen("colour")),
    "flags for categories": Rows(cells("colour", [True, False, True]), unseen("colour")),
    "bytes for a category": Rows(cell("colour", b"red"), unseen("colour")),
    "an object for a category": Rows(cell("colour", Decimal("1.5")), unseen("colour")),
    "a declared category, never seen": Rows(cell("declared", "spare", "category"), None),
    "a category not declared": Rows(cell("declared", "other", "category"), unseen("declared")),
    "2 for a flag": Rows(cells("flag", [0, 1, 2]), unseen("flag")),
    "0 and 1 for flags": Rows(cells("flag", [0, 1, 1]), None),
    "a date for a category": Rows(
        of_column("colour", "when"), came_as("colour", "date", "convert it")
    ),
    "text for a flag": Rows(
        cells("flag", ["yes"] * 3), came_as("flag", "category", "convert it to bool")
    ),
    "a list for a category": Rows(
        cell("colour", [1]), Refused(TypeError, "'colour': .*no single values.*expand them")
    ),
    "a signalling NaN": Rows(
        cell("colour", Decimal("sNaN")), Refused(TypeError, "'colour': .*compared.*replace them")
    ),
    # Numbers
    "infinity": Rows(
        cell("length", np.inf, float), Refused(ValueError, r"infinity(?s:.*)\['length'\]. Replace")
    ),
    "minus infinity for a level": Rows(
        cell("level", -np.inf, float), Refused(ValueError, r"infinity(?s:.*)\['level'\]. Replace")
    ),
    "longdouble beyond float64": Rows(
        cells("length", np.array([1, 2, "1e400"], np.longdouble)),
        Refused(ValueError, r"infinity(?s:.*)\['length'\]. Replace"),
    ),
    "an integer beyond float64": Rows(
        cell("length", 10**400), Refused(ValueError, "'length': .*too large for dtype")
    ),
    "text for numbers": Rows(
        cells("length", ["1", "2", "b"]), came_as("length", "category", TO_FLOAT)
    ),
    "text for one number": Rows(cell("length", "a"), came_as("length", "category", TO_FLOAT)),
    "bytes for numbers": Rows(cells("length", [b"1"] * 3), came_as("length", "category", TO_FLOAT)),
    "Fractions for numbers": Rows(
        cells("length", [Fraction(1, 3)] * 3), came_as("length", "category", TO_FLOAT)
    ),
    "times for numbers": Rows(
        cells("length", [dt.time(1)] * 3), came_as("length", "category", TO_FLOAT)
    ),
    "dates for numbers": Rows(of_column("length", "when"), came_as("length", "date", TO_FLOAT)),
    "durations for numbers": Rows(
        of_column("length", "wait"), came_as("length", "duration", TO_FLOAT)
    ),
    "complex numbers": Rows(
        cells("length", [1j, 2, 3]), Refused(ValueError, "'length': Complex .*split it")
    ),
    "Intervals for numbers": Rows(
        cells("length", pd.interval_range(0, 3)),
        Refused(TypeError, "'length': .*convert it to categories"),
    ),
    "Decimals for numbers": Rows(cells("length", [Decimal("1.5")] * 3), None),
    "flags for numbers": Rows(cells("length", [True, False, True]), None),
    "10**30 among objects": Rows(cell("length", 10**30), None),
    "1.7e308": Rows(cell("weight", 1.7e308, float), None),
    "5e-324": Rows(cell("length", 5e-324, float), None),
    "uint64 at its end": Rows(cells("length", np.array([2**64 - 1] * 3, "u8")), None),
    "a negative number where none was": Rows(cell("weight", -3.0, float), None),
    "a level never seen": Rows(cell("level", 3, int), None),
    "a level off its grid": Rows(cell("level", 0.5, float), Nearest("level", (0, 1))),
    "a level of 1e300": Rows(
        cell("level", 1e300, float), Nearest("level", (2**63 - 1024, 2**63 - 1))
    ),
    "a count below 0": Rows(cell("count", -5, int), None),
    "half a count": Rows(cell("count", 0.5, float), Nearest("count", (0, 1))),
    "a count at int64's end": Rows(cells("count", np.array([-(2**63), 1, 2])), None),
    "another number in a constant column": Rows(cell("constant", 8, int), None),
    "text in a constant column": Rows(
        cell("constant", "x"), came_as("constant", "category", "convert it to int64")
    ),
    # Dates and durations
    "numbers for dates": Rows(cells("when", [1, 2, 3]), came_as("when", "number", "convert it to")),
    "text for dates": Rows(
        cells("when", ["2020-01-01"] * 3), came_as("when", "category", "convert it to datetime64")
    ),
    "Python dates": Rows(
        cells("when", [dt.date(2020, 1, 1)] * 3), came_as("when", "category", "convert it to")
    ),
    "a time zone where none was": Rows(
        of_column("when", "zoned"), came_as("when", "date", "set or remove its time zone")
    ),
    "no time zone where one was": Rows(
        of_column("zoned", "when"), came_as("zoned", "date", "set or remove its time zone")
    ),
    "another time zone": Rows(
        lambda rows: rows.assign(zoned=rows["zoned"].dt.tz_convert("Asia/Tokyo")), None
    ),
    "a date out of nanoseconds": Rows(
        cells("when", np.array(["1066-10-14", "2020-01-01", "9999-12-31"], "M8[s]")), None
    ),
    "numbers for durations": Rows(
        cells("wait", [1, 2, 3]), came_as("wait", "number", "convert it to timedelta64")
    ),
    "a duration of all nanoseconds": Rows(cells("wait", np.array([2**63 - 1] * 3, "m8[ns]")), None),
    # Columns
    "a column too few": Rows(
        lambda rows: rows.drop(columns="length"), Refused(ValueError, NAMES + "missing:\n- length")
    ),
    "a column too many": Rows(
        lambda rows: rows.assign(more=1), Refused(ValueError, NAMES + "unseen at fit time:\n- more")
    ),
    "a column renamed": Rows(
        lambda rows: rows.rename(columns={"length": "len"}), Refused(ValueError, NAMES + "- length")
    ),
    "columns shuffled": Rows(
        lambda rows: rows[rows.columns[::-1]], Refused(ValueError, NAMES + "in the same order")
    ),
    "a column twice": Rows(
        lambda rows: pd.concat([rows.drop(columns="weight"), rows[["length"]]], axis=1),
        Refused(ValueError, "must be unique(?s:.*)'length' 2 times"),
    ),
    "an array of other width": Rows(
        lambda rows: np.zeros((3, 2)), Refused(ValueError, "X has 2 features, but .* expecting 11")
    ),
    "an array of numbers": Rows(
        lambda rows: np.zeros((3, 11)), came_as("when", "number", "convert it to datetime64")
    ),
}
