"""Containers of tables; with building.py the only file that knows pandas and polars.

Reading is narwhals' business but for objects and categories. Building is each
library's own: only they know how to spell their dtypes and missing markers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import takewhile
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow.exceptions import printable
from skflow.table.building import (
    array_with_holes,
    empty_table,
    marker_of,
    markers_held,
    null_marker,
    nullable,
    to_numpy,
    to_pandas,
    to_polars,
)
from skflow.table.storage import (
    MARKERS,
    TICKS,
    ContainerKind,
    Faults,
    StoredColumn,
    StoredTable,
    are_rounded,
    as_family,
    as_objects,
    code_of,
    numbers_of_objects,
    plain_objects,
    refuse_infinite,
    with_markers,
)

NUMBER_CELLS = {  # what pandas calls objects that are all numbers
    "integer": int,
    "floating": float,
    "mixed-integer-float": float,
    "decimal": Decimal,
}
COMPLEX = "Complex data not supported; split it into two columns"
MOST_EXACT = 1e15  # decimals of at most 15 digits come back from float64
DATE64 = "date64[ms][pyarrow]"  # which narwhals does not know, as the narrow decimals
NARROW_DECIMALS = ("decimal32(", "decimal64(")
NULLS = ("Null", "null[pyarrow]")  # dtypes that hold nothing but nulls
REMEDIES = {  # by the letters that the dtype begins with
    "time": "convert it to durations since midnight",
    "binary": "convert it to text",
    "decimal": "convert it to decimals of at most 38 digits, or floats",
    "int": "convert it to 64 bits, or floats",
    "uint": "convert it to 64 bits, or floats",
    "period": 'convert it to dates: X["column"].dt.to_timestamp()',
    "interval": 'convert it to categories: X["column"].astype("category")',
    "sparse": 'make it dense: X["column"].sparse.to_dense()',
}


@dataclass(frozen=True, eq=False)
class Container:
    """What a table came in, so that rows can be given back in the same; holds no rows.

    Attributes
    ----------
    kind : {"array", "pandas", "polars"}
    template : array, pandas or polars DataFrame
        Of no rows.
    dtypes : list
        Of the columns, as the library has them.
    fitted : tuple of StoredColumn
        The columns as they were read, without rows.
    markers : tuple of tuples of str
        Missing markers that each of them held.
    """

    kind: ContainerKind
    template: Any
    dtypes: list[Any]
    fitted: tuple[StoredColumn, ...]
    markers: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, table: Any, names: Sequence[str]) -> Self:
        """Take note of the table that is fitted; its columns are called ``names``.

        Raises
        ------
        TypeError
            Where a column holds what no density here is of.
        ValueError
            Where a column holds infinities or complex numbers.
        """
        template, dtypes = _empty_like(table)
        stored = _read(table, names)
        fitted = tuple(column.blank() for column in stored.columns)
        markers = tuple(column.markers() for column in stored.columns)
        return cls(stored.container, template, dtypes, fitted, markers)

    def __getstate__(self) -> dict[str, Any]:
        # Polars pickles no frame that has a column of objects, be it without rows.
        state = vars(self).copy()
        if self.kind == "polars":
            del state["template"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.kind == "polars":
            vars(self)["template"] = empty_table("polars", self.dtypes, self.names)

    @property
    def names(self) -> list[str]:
        """Column names, for arrays as well."""
        return [column.name for column in self.fitted]

    @property
    def unknown(self) -> list[str]:
        """The missing marker of each column for what was never seen at fit.

        The usual one of its dtype; among objects the first that its rows had; where the dtype
        has none, that of the dtype which takes its place.
        """
        default = "NA" if self.kind == "pandas" else "NaN"
        markers = []
        for seen, dtype in zip(self.markers, self.dtypes, strict=True):
            held = markers_held(dtype)
            markers.append(next(iter([*(seen if held == MARKERS else ()), *held, default])))
        return markers

    def read(self, table: Any) -> StoredTable:
        """Read rows, of the table that was fitted or of a later one.

        Parameters
        ----------
        table : array, pandas or polars DataFrame
            The same columns; their dtypes, and the container, may differ as long as
            they hold the same kind of thing.

        Returns
        -------
        stored : StoredTable
        """
        stored = _read(table, self.names)
        columns, faults = [], Faults()
        for j, column in enumerate(stored.columns):
            with faults.collect(column.name):
                same = as_family(column, self.fitted[j])
                if (stored.container, column.dtype) != (self.kind, self.fitted[j].dtype):
                    same = with_markers(same, self.markers[j], markers_held(self.dtypes[j]))
                columns.append(same)
        faults.raise_any()
        return replace(stored, columns=tuple(columns))

    def build(self, columns: Sequence[StoredColumn], like: Any) -> Any:
        """Return ``columns`` in the container.

        Parameters
        ----------
        columns : sequence of StoredColumn
        like : object
            Lends its index, where it is a pandas frame.

        Returns
        -------
        table : array, pandas or polars DataFrame
        """
        # A hole where the fitted dtype has no marker for one.
        beyond = [
            bool(column.missing.any()) and not markers_held(dtype)
            for column, dtype in zip(columns, self.dtypes, strict=True)
        ]
        if isinstance(self.template, np.ndarray):
            dtype = _native_dtype(self.template.dtype)
            if any(beyond):
                dtype = array_with_holes(columns, dtype)
            return np.column_stack([to_numpy(column, dtype) for column in columns])
        if isinstance(self.template, pd.DataFrame):
            # As series of their dtype: pandas takes objects that are all strings for text.
            dtypes = [
                nullable(dtype) if holes else dtype
                for dtype, holes in zip(self.dtypes, beyond, strict=True)
            ]
            pairs = enumerate(zip(columns, dtypes, strict=True))
            series = {j: pd.Series(to_pandas(*pair), dtype=pair[1]) for j, pair in pairs}
            frame = pd.DataFrame(series)
            frame.columns = self.template.columns
            index = getattr(like, "index", None)
            return frame if index is None or callable(index) else frame.set_axis(index)
        polars = nw.get_native_namespace(self.template)
        named = zip(columns, self.template.columns, self.dtypes, strict=True)
        return polars.DataFrame([to_polars(polars, *each) for each in named])


def _read(table: Any, names: Sequence[str]) -> StoredTable:
    frame = as_frame(table)
    if frame is None:
        matrix = np.asarray(table)
        container: ContainerKind = "array"
        n_rows, n_columns = matrix.shape
        readers = [partial(_read_numpy, matrix[:, j]) for j in range(n_columns)]
    else:
        container = "pandas" if frame.implementation.is_pandas() else "polars"
        n_rows, n_columns = frame.shape
        readers = [partial(_read_series, series) for series in frame.iter_columns()]
    if n_columns != len(names):
        raise ValueError(f"X has {n_columns} columns, but was fitted with {len(names)}.")
    columns, faults = [], Faults()
    for name, reader in zip(names, readers, strict=True):
        with faults.collect(name):
            columns.append(replace(reader(), name=name).compact())
    faults.raise_any()
    refuse_infinite(columns)
    return StoredTable(tuple(columns), n_rows, container)


def as_frame(table: Any) -> "nw.DataFrame[Any] | None":
    """Return a narwhals frame; None for arrays. Refuse frames of other libraries."""
    try:
        frame = nw.from_native(table, eager_only=True, pass_through=True)
    except ValueError as error:  # of narwhals: column names that occur twice
        message = f"Column names must be unique: {printable(str(error), lines=True)}. Rename them."
        raise ValueError(message) from error
    if not isinstance(frame, nw.DataFrame):
        return None
    if not (frame.implementation.is_pandas() or frame.implementation.is_polars()):
        raise TypeError(
            "X must be an array, or a pandas or polars DataFrame; got "
            f"{type(table).__module__}.{type(table).__name__}. Convert it: X = pd.DataFrame(X)."
        )
    return frame


def _empty_like(table: Any) -> tuple[Any, list[Any]]:
    """Return a table of no rows, nor of any memory they are in, and the columns' dtypes."""
    frame = as_frame(table)
    if frame is None:
        matrix = np.asarray(table)
        return empty_table("array", [matrix.dtype], ()), [matrix.dtype] * matrix.shape[1]
    native = frame.to_native()
    dtypes = list(native.dtypes)
    if not isinstance(native, pd.DataFrame):
        return native.clear(), dtypes
    return empty_table("pandas", dtypes, native.columns), dtypes


def _read_series(series: "nw.Series[Any]") -> StoredColumn:
    """Read a column of a frame."""
    native, dtype = series.to_native(), series.dtype
    spelled = str(native.dtype)
    if isinstance(native.dtype, np.dtype):  # also those that narwhals does not know
        return _read_numpy(native.to_numpy())
    null = series.is_null().to_numpy()
    missing = np.zeros(len(null), dtype=np.int8)
    missing[null] = code_of(null_marker(native.dtype))
    column = StoredColumn("", spelled, "category", np.empty(0), missing)
    if isinstance(native.dtype, pd.CategoricalDtype):
        categories = native.cat.categories.tolist()
        objects = as_objects([*categories, None])[native.cat.codes.to_numpy()]
        return replace(column, values=objects, categories=tuple(categories))
    if isinstance(dtype, nw.String | nw.Categorical | nw.Enum):
        declared = tuple(dtype.categories) if isinstance(dtype, nw.Enum) else None
        return replace(column, values=as_objects(series.to_list()), categories=declared)
    if isinstance(dtype, nw.Boolean):
        return _read_values(column, _fill(series, null, False))
    if isinstance(dtype, nw.Decimal) or spelled.startswith(NARROW_DECIMALS):
        numbers = [
            0.0 if lost else float(x) for x, lost in zip(series.to_list(), null, strict=True)
        ]
        return _read_decimals(column, np.array(numbers), series)
    if (dtype.is_integer() or dtype.is_float()) and not isinstance(dtype, nw.Int128 | nw.UInt128):
        return _read_values(column, _fill(series, null, 0))
    if isinstance(native.dtype, pd.DatetimeTZDtype):  # narwhals does not know all zones
        instants = native.to_numpy(dtype=f"M8[{native.dtype.unit}]")
        return _read_values(replace(column, zoned=True), instants)
    if isinstance(dtype, nw.Datetime | nw.Duration):
        zoned = isinstance(dtype, nw.Datetime) and dtype.time_zone is not None
        return _read_values(replace(column, zoned=zoned), series.to_numpy())
    if isinstance(dtype, nw.Date) or spelled == DATE64:
        days = np.array([None if pd.isna(x) else x for x in series.to_list()], dtype="M8[D]")
        read = _read_values(column, days)
        return replace(read, values=read.values.astype(np.int32))
    if isinstance(dtype, nw.Object):
        return _read_objects(as_objects(series.to_list()))
    if spelled in NULLS:
        return replace(column, values=np.full(len(null), None))
    raise ValueError(COMPLEX) if "complex" in spelled else TypeError(_unsupported(spelled))


def _read_decimals(
    column: StoredColumn, numbers: NDArray[np.float64], series: "nw.Series[Any]"
) -> StoredColumn:
    """Fill in decimals of fixed places, read as float64; see whether that lost digits."""
    places, there = getattr(series.dtype, "scale", None), column.present
    many = places is None or float(np.abs(numbers).max(initial=0.0)) * 10.0**places >= MOST_EXACT
    rounded = many and are_rounded(numbers[there], as_objects(series.to_list())[there])
    return replace(column, family="number", values=numbers, cell=Decimal, rounded=rounded)


def _fill(series: "nw.Series[Any]", null: NDArray[np.bool_], filler: Any) -> NDArray[Any]:
    """Return an array, with a filler for nulls; the series' own memory where it has none."""
    return (series.fill_null(filler) if null.any() else series).to_numpy()


def _read_numpy(values: NDArray[Any]) -> StoredColumn:
    """Read a column of an array."""
    if values.dtype.kind == "O":
        return _read_objects(values)
    missing = np.zeros(len(values), dtype=np.int8)
    return _read_values(StoredColumn("", str(values.dtype), "category", values, missing), values)


def _read_values(column: StoredColumn, values: NDArray[Any]) -> StoredColumn:
    """Fill in what NumPy stores; NaN and NaT that are not yet known as missing are.

    Numbers without holes are left where they are: a table need not be held twice.
    """
    kind = values.dtype.kind
    if kind in "US":
        return replace(column, values=plain_objects(values))
    if kind == "b":
        return replace(column, family="boolean", values=values)
    if kind == "c":
        raise ValueError(COMPLEX)
    if kind not in "iufMm":
        raise TypeError(_unsupported(str(values.dtype)))
    if kind in "iu":
        return replace(column, family="number", values=_as_native(values))
    hole = np.isnan(values) if kind == "f" else np.isnat(values)
    code = code_of("NaN" if kind == "f" else "NaT")
    missing = column.missing
    if hole.any():
        missing = np.where(hole & column.present, np.int8(code), missing)
        values = np.where(hole, np.zeros((), dtype=values.dtype), values)
    if kind == "f":
        return replace(column, family="number", values=_as_native(values), missing=missing)
    unit, count = np.datetime_data(values.dtype)
    if unit not in TICKS:
        raise TypeError(_unsupported(str(values.dtype)))
    return replace(
        column,
        family="date" if kind == "M" else "duration",
        values=values.astype(f"{kind}8[{count}{unit}]", copy=False).view(np.int64),
        missing=missing,
        tick=TICKS[unit] * count,
    )


def _read_objects(values: NDArray[Any]) -> StoredColumn:
    """Read Python objects: numbers where they all are, else categories."""
    hole = pd.isna(values)
    missing = np.zeros(len(values), dtype=np.int8)
    missing[hole] = [code_of(marker_of(value)) for value in values[hole]]
    column = StoredColumn("", "object", "category", values, missing)
    present = values[~hole]
    kind = pd.api.types.infer_dtype(present, skipna=False)
    if kind == "complex":
        raise ValueError(COMPLEX)
    cell = NUMBER_CELLS.get(kind)
    if cell is None:
        objects = plain_objects(values)
        try:
            set(objects[~hole])
        except TypeError as error:
            raise TypeError(f"cells that are no single values ({error}); expand them") from error
        return replace(column, values=objects)
    numbers = numbers_of_objects(present)
    filled = np.zeros(len(values), dtype=numbers.dtype)
    filled[~hole] = numbers
    rounded = numbers.dtype.kind == "f" and cell is not float and are_rounded(numbers, present)
    return replace(column, family="number", values=filled, cell=cell, rounded=rounded)


def _unsupported(dtype: str) -> str:
    name = "".join(takewhile(str.isalpha, dtype.lower()))
    return f"dtype {dtype} is not supported; {REMEDIES.get(name, 'convert the column')}, or drop it"


def _native_dtype(dtype: np.dtype) -> np.dtype:
    """Return a dtype in this machine's byte order; float64 for the wider ones."""
    return np.dtype(np.float64) if dtype.char == "g" else dtype.newbyteorder("=")


def _as_native(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in this machine's byte order, uncopied where they are so already."""
    with np.errstate(over="ignore"):  # of longdouble
        return values.astype(_native_dtype(values.dtype), copy=False)
