"""Named tables that are odd from the start: those that cannot be fitted, those that can."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

N_ROWS = 60


class Refused(NamedTuple):
    """The error, and what its message must hold: what is at fault, and what to do."""

    error: type[Exception]
    message: str


class Case(NamedTuple):
    """A table, made anew for each call, and why it is refused."""

    make: Callable[[], Any]
    refused: Refused


def numbers(n_rows: int = N_ROWS) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((n_rows, 2))
    x[:, 1] += x[:, 0]
    return np.round(x, 9)  # as many digits as are promised back


def of_engine(module: str) -> Any:
    """An object of a class of another module, which need not be installed."""
    return type("DataFrame", (), {"__module__": module})()


def frame(**columns: Any) -> pd.DataFrame:
    """A column of numbers, ``x``, and others."""
    return pd.DataFrame({"x": numbers()[:, 0], **columns})


def objects(values: list) -> pd.Series:
    return pd.Series(values, dtype=object)


def one(value: object, dtype: object = None) -> Any:
    """Numbers among which the fourth is ``value``."""
    cells = numbers()[:, 1].tolist()
    cells[3] = value
    return pd.Series(cells, dtype=dtype)


def text(values: str) -> list[str]:
    return list(values) * (N_ROWS // len(values))


def column(values: Any, dtype: Any = None) -> pl.DataFrame:
    """A polars frame with a column of these values."""
    return pl.DataFrame({"x": numbers()[:, 0], "a": pl.Series(values, dtype=dtype, strict=False)})


def arrow(values: Any, dtype: Any) -> pd.DataFrame:
    return frame(a=pd.array(values, dtype=pd.ArrowDtype(dtype)))


READ = r"(?s)Some columns cannot be read.*'a': .*"
INFINITE = Refused(ValueError, r"contains infinity(?s:.*)'(a|x\d?)'.*Replace infinities")
NO_ROWS = Refused(ValueError, r"0 sample\(s\) .* minimum of \d is required")
NO_COLUMNS = Refused(ValueError, r"0 (feature|sample)\(s\) .* minimum of \d is required")
FLAT = Refused(ValueError, "Expected 2D array, got .* array instead(?s:.*)reshape")
NESTED = Refused(TypeError, READ + "no single values .*expand them")
COMPLEX = Refused(ValueError, "Complex data not supported")
NO_TABLE = Refused(TypeError, "X must be an array, or a pandas or polars DataFrame; got .*list")
RECORDS = Refused(TypeError, r"X must be an array, .* got .*pd\.DataFrame\(X\)")
READ_FIRST = Refused(TypeError, "got (str|bytes|NoneType). Read the table first")
DATES = Refused(ValueError, r"'a' \(.*all dates: convert them to a dtype of dates")
IDENTIFIERS = Refused(ValueError, "identifiers or free text(?s:.*)'(a|x0)'(?s:.*)Drop them: X = ")


def unsupported(remedy: str = "convert the column") -> Refused:
    return Refused(TypeError, READ + f"is not supported; {remedy}.*drop it")


def masked() -> np.ma.MaskedArray:
    return np.ma.masked_array(numbers(), mask=numbers() > 1.5)


def read_only() -> np.ndarray:
    x = numbers()
    x.flags.writeable = False
    return x


def records() -> np.ndarray:
    rows = [tuple(row) for row in numbers().tolist()]
    return np.array(rows, dtype=[("x", "f8"), ("y", "f8")])


# What cannot be fitted, whoever asks.
NEVER_FITTED: dict[str, Case] = {
    "inf in an array": Case(lambda: np.where(numbers() > 2, np.inf, numbers()), INFINITE),
    "-inf in float32": Case(
        lambda: -np.where(numbers() > 2, np.inf, numbers()).astype("f4"), INFINITE
    ),
    "inf in pandas": Case(lambda: frame(a=one(np.inf)), INFINITE),
    "inf in a nullable column": Case(lambda: frame(a=pd.array(one(np.inf), "Float64")), INFINITE),
    "inf among objects": Case(lambda: frame(a=one(np.inf, object)), INFINITE),
    "inf in polars": Case(lambda: column(one(np.inf).tolist()), INFINITE),
    "an infinite Decimal": Case(
        lambda: frame(a=objects([Decimal(1), Decimal("inf")] * 30)), INFINITE
    ),
    "longdouble beyond float64": Case(lambda: numbers() * np.longdouble("1e400"), INFINITE),
    "an integer beyond float64": Case(
        lambda: frame(a=objects([10**400 + i for i in range(N_ROWS)])),
        Refused(ValueError, READ + "too large for dtype"),
    ),
    "a signalling NaN": Case(
        lambda: frame(a=objects([Decimal(1), Decimal("sNaN")] * 30)),
        Refused(TypeError, READ + "cannot be compared .*replace them"),
    ),
    "complex array": Case(lambda: numbers() + 1j, COMPLEX),
    "complex column": Case(lambda: frame(a=numbers()[:, 1] + 1j), COMPLEX),
    "complex objects": Case(lambda: frame(a=objects([1j, 2j] * 30)), COMPLEX),
    "sparse matrix": Case(lambda: sp.csr_array(numbers()), Refused(TypeError, "Sparse.*toarray")),
    "sparse dictionary": Case(
        lambda: sp.dok_array(numbers()), Refused(TypeError, "Sparse.*toarray")
    ),
    "sparse pandas column": Case(
        lambda: frame(a=pd.arrays.SparseArray(numbers()[:, 1])), unsupported("make it dense")
    ),
    "1-D": Case(lambda: numbers()[:, 0], FLAT),
    "3-D": Case(lambda: np.zeros((4, 3, 2)), Refused(ValueError, "dim 3, while dim <= 2")),
    "a scalar": Case(lambda: 3.0, Refused(ValueError, "Expected 2D array, got scalar")),
    "a Series": Case(lambda: frame()["x"], Refused(ValueError, "2-dimensional.*Pass a DataFrame")),
    "no rows": Case(lambda: np.empty((0, 2)), NO_ROWS),
    "no rows in pandas": Case(lambda: frame(a=text("ab"))[:0], NO_ROWS),
    "no rows in polars": Case(lambda: column(text("ab"))[:0], NO_ROWS),
    "no columns": Case(lambda: np.empty((5, 0)), NO_COLUMNS),
    "no columns in pandas": Case(lambda: pd.DataFrame(index=range(5)), NO_COLUMNS),
    "no columns in polars": Case(pl.DataFrame, NO_COLUMNS),
    "an empty list": Case(list, FLAT),
    "rows of unequal length": Case(lambda: [[1, 2], [3]], Refused(ValueError, "inhomogeneous")),
    "one row": Case(lambda: numbers()[:1], Refused(ValueError, "1 sample.* minimum of [23]")),
    "a dict": Case(lambda: {"x": [1, 2], "y": [3, 4]}, RECORDS),
    "a list of dicts": Case(lambda: [{"x": 1}, {"x": 2}], RECORDS),
    "a structured array": Case(records, RECORDS),
    "a masked array": Case(masked, Refused(TypeError, "masked entries: fill them")),
    "np.matrix": Case(lambda: np.asmatrix(numbers()), Refused(TypeError, "np.matrix.*np.asarray")),
    "a generator": Case(lambda: (row for row in numbers()), NO_TABLE),
    "a set": Case(lambda: {1, 2}, NO_TABLE),
    "a path": Case(lambda: "table.csv", READ_FIRST),
    "bytes": Case(lambda: b"table", READ_FIRST),
    "None": Case(lambda: None, READ_FIRST),
    "a LazyFrame": Case(lambda: column(text("ab")).lazy(), Refused(TypeError, r"X\.collect\(\)")),
    "a frame of Dask": Case(
        lambda: of_engine("dask.dataframe.dask_expr"),
        Refused(TypeError, r"BatchTask\(model\); X\.map_partitions\(task, meta=task\.meta\)"),
    ),
    "a frame of Spark": Case(
        lambda: of_engine("pyspark.sql.classic.dataframe"),
        Refused(TypeError, r"BatchTask\(model\); X\.mapInArrow\(task\.stream, task\.ddl\)"),
    ),
    "a dataset of Ray": Case(
        lambda: of_engine("ray.data.dataset"),
        Refused(TypeError, r"BatchTask\(model\); X\.map_batches\(task, batch_format="),
    ),
    "a pyarrow Table": Case(
        lambda: pa.table({"x": [1, 2]}),
        Refused(TypeError, r"got pyarrow\.lib\.Table\. Convert it: X = X\.to_pandas\(\)\."),
    ),
    "a pyarrow RecordBatch": Case(
        lambda: pa.record_batch({"x": [1, 2]}),
        Refused(TypeError, r"got pyarrow.*RecordBatch\. Convert it: X = X\.to_pandas\(\)\."),
    ),
    "a frame of narwhals": Case(
        lambda: nw.from_native(column(text("ab"))),
        Refused(TypeError, r"got narwhals.*Convert it: X = X\.to_native\(\)\."),
    ),
    "odd names that occur twice": Case(
        lambda: pd.DataFrame(numbers(), columns=["\x1b[31m", "\x1b[31m"]),
        Refused(ValueError, r"must be unique(?s:.*)'\\x1b\[31m' 2 times"),
    ),
    "names that occur twice": Case(
        lambda: pd.DataFrame(numbers(), columns=["x", "x"]),
        Refused(ValueError, "names must be unique(?s:.*)'x' 2 times.*Rename"),
    ),
    "names of several types": Case(
        lambda: pd.DataFrame(numbers(), columns=["x", 1]),
        Refused(TypeError, "string names, but .*convert them all to strings"),
    ),
    "lists in cells": Case(lambda: frame(a=[[1, 2]] * N_ROWS), NESTED),
    "dicts in cells": Case(lambda: frame(a=[{"k": 1}] * N_ROWS), NESTED),
    "sets in cells": Case(lambda: frame(a=[{1}] * N_ROWS), NESTED),
    "arrays in cells": Case(lambda: frame(a=[np.arange(3)] * N_ROWS), NESTED),
    "Intervals": Case(
        lambda: frame(a=pd.interval_range(0, N_ROWS)), unsupported("convert it to categories")
    ),
    "Periods": Case(
        lambda: frame(a=pd.period_range("2020-01", periods=N_ROWS, freq="M")),
        unsupported("convert it to dates"),
    ),
    "years": Case(
        lambda: np.array([["2020", "2021"]] * N_ROWS, dtype="M8[Y]"),
        Refused(TypeError, r"'x0?': dtype datetime64\[Y\] is not supported; convert"),
    ),
    "void": Case(
        lambda: np.zeros((9, 2), "V4"), Refused(TypeError, "'x0?': .*V4 is not supported; convert")
    ),
    "lists in polars": Case(lambda: column([[1, 2]] * N_ROWS), unsupported()),
    "structs in polars": Case(lambda: column([{"k": 1}] * N_ROWS), unsupported()),
    "bytes in polars": Case(lambda: column([b"u", b"v"] * 30), unsupported("convert it to text")),
    "time of day in polars": Case(
        lambda: column([dt.time(1, 2), dt.time(3)] * 30), unsupported(".*durations since midnight")
    ),
    "128 bits in polars": Case(lambda: column(range(N_ROWS), pl.Int128), unsupported(".*64 bits")),
    "lists in Arrow": Case(lambda: arrow([[1]] * N_ROWS, pa.list_(pa.int64())), unsupported()),
    "dates as objects": Case(
        lambda: frame(a=[dt.date(2020, 1, 1) + dt.timedelta(i) for i in range(N_ROWS)]), DATES
    ),
    "dates, some of a time zone": Case(
        lambda: frame(
            a=objects(
                [
                    pd.Timestamp(2020, 1, 1, tz="UTC" if i % 2 else None) + pd.Timedelta(i, "D")
                    for i in range(N_ROWS)
                ]
            )
        ),
        DATES,
    ),
    "durations as objects": Case(
        lambda: frame(a=objects([dt.timedelta(hours=i) for i in range(N_ROWS)])),
        Refused(ValueError, r"'a' \(.*all durations: convert them to a dtype of durations"),
    ),
    "Fractions": Case(
        lambda: frame(a=[Fraction(i, 7) for i in range(N_ROWS)]),
        Refused(ValueError, r"'a' \(.*all numbers: convert them to floats"),
    ),
    "numbers as text": Case(
        lambda: frame(a=[f"{i}" for i in range(N_ROWS)]),
        Refused(ValueError, r"'a' \(.*all numbers: convert them to floats"),
    ),
    "identifiers": Case(lambda: frame(a=[f"id {i}" for i in range(N_ROWS)]), IDENTIFIERS),
    "identifiers in polars": Case(lambda: column([f"id {i}" for i in range(N_ROWS)]), IDENTIFIERS),
    "identifiers in an array": Case(
        lambda: np.array([[f"id {i}", "u"] for i in range(N_ROWS)], dtype=object), IDENTIFIERS
    ),
}

# What their columns hold would be no fault in later rows, or another.
BY_FIT_ALONE = {
    "no columns",
    "no columns in pandas",
    "no columns in polars",
    "one row",
    *(
        name
        for name, case in NEVER_FITTED.items()
        if "identifiers" in name or case.refused == DATES
    ),
    "durations as objects",
    "Fractions",
    "numbers as text",
}

# What is odd, and fits.
FITTED: dict[str, Callable[[], Any]] = {
    "a list of lists": lambda: numbers().tolist(),
    "a masked array without a mask": lambda: np.ma.masked_array(numbers()),
    "read-only": lambda: read_only(),
    "negative strides": lambda: numbers()[::-1, ::-1],
    "Fortran order": lambda: np.asfortranarray(numbers()),
    "big-endian array": lambda: numbers().astype(">f8"),
    "big-endian column": lambda: frame(a=numbers()[:, 1].astype(">f8")),
    "longdouble array": lambda: numbers().astype(np.longdouble),
    "longdouble column": lambda: frame(a=numbers()[:, 1].astype(np.longdouble)),
    "float16": lambda: numbers().astype(np.float16),
    "1e300": lambda: np.array([[float(f"{x:.9f}e300") for x in row] for row in numbers()]),
    "subnormal": lambda: np.random.default_rng(0).integers(1, 99, (N_ROWS, 2)) * 5e-324,
    "uint64 near its end": lambda: frame(a=(2**64 - 1 - np.arange(N_ROWS, dtype="u8") ** 2)),
    "two rows": lambda: numbers(2),
    "three rows": lambda: numbers(3),
    "one column": lambda: numbers()[:, :1],
    "labels alone, in an array": lambda: np.array([["a", "u"], ["b", "v"], ["b", "u"]] * 20),
    "bytes": lambda: np.array([[b"a", b"u"], [b"b", b"v"], [b"b", b"u"]] * 20),
    "nothing but holes": lambda: np.full((N_ROWS, 2), np.nan),
    "None alone": lambda: frame(a=objects([None] * N_ROWS)),
    "NA alone": lambda: frame(a=pd.array([pd.NA] * N_ROWS, "Int64")),
    "all markers in one column": lambda: frame(
        a=objects([None, np.nan, pd.NA, pd.NaT, "u", "v"] * 10)
    ),
    "tuples and frozensets": lambda: frame(a=objects([(1, 2), frozenset([1])] * 30)),
    "Decimals": lambda: frame(a=[Decimal(i) / 4 for i in range(N_ROWS)]),
    "times of day as objects": lambda: frame(a=[dt.time(1), dt.time(2)] * 30),
    "strings odd in every way": lambda: frame(
        a=objects(["\ud800", "", "a\0", "v" * 10**5, "ß"] * 12)
    ),
    "flags with holes": lambda: frame(a=pd.array([True, False, None] * 20, "boolean")),
    "categories without any": lambda: frame(a=pd.Categorical([None] * N_ROWS)),
    "intervals as categories": lambda: frame(a=pd.cut(numbers()[:, 1], 3)),
    "declared and unused levels": lambda: frame(
        a=pd.Categorical.from_codes(np.arange(N_ROWS) % 3, [f"{i}" for i in range(500)])
    ),
    "dates out of nanoseconds": lambda: frame(
        a=np.array(["1066-10-14", "9999-12-31", "1500-01-01"] * 20, dtype="M8[s]")
    ),
    "durations": lambda: frame(a=pd.to_timedelta(np.arange(N_ROWS), unit="h")),
    "columns of a MultiIndex": lambda: pd.DataFrame(
        numbers(), columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    ),
    "columns numbered": lambda: pd.DataFrame(numbers()),
    "a column without a name": lambda: pd.DataFrame(numbers(), columns=["", "y"]),
    "Null in polars": lambda: column([None] * N_ROWS),
    "Object in polars": lambda: column([(1, 2), (3, 4)] * 30, pl.Object),
    "Enum in polars": lambda: column(text("uv"), pl.Enum(["u", "v", "w"])),
    "Arrow dictionary": lambda: arrow(
        pa.array(text("uv")).dictionary_encode(), pa.dictionary(pa.int32(), pa.string())
    ),
}
