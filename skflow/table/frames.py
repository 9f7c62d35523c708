"""Containers of tables; with building.py the only file that knows pandas and polars.

Reading is narwhals' business but for objects and categories. Building is each
library's own: only they know how to spell their dtypes and missing markers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skflow.exceptions import printable
from skflow.table.building import (
    array_with_holes,
    empty_table,
    markers_held,
    nullable,
    to_numpy,
    to_pandas,
    to_polars,
)
from skflow.table.reading import native_dtype, read_numpy, read_series
from skflow.table.storage import (
    MARKERS,
    Faults,
    Library,
    StoredColumn,
    StoredTable,
    as_family,
    refuse_infinite,
    with_markers,
)


@dataclass(frozen=True, eq=False)
class Conditions:
    """Rows of the columns that are given.

    Attributes
    ----------
    rows : StoredTable
        As the fitted columns are stored, to be encoded.
    stored : StoredTable
        As they came, to be given back.
    dtypes : dict
        Dtypes they come back in, by position of the column; others in the fitted one.
    """

    rows: StoredTable
    stored: StoredTable
    dtypes: Mapping[int, Any]

    def __len__(self) -> int:
        return self.rows.n_rows

    def take(self, rows: Any) -> Self:
        """Return some rows, by slice, mask or index."""
        return replace(self, rows=self.rows.take(rows), stored=self.stored.take(rows))


@dataclass(frozen=True, eq=False)
class Container:
    """What a table came in, so that rows can be given back in the same; holds no rows.

    Attributes
    ----------
    library : {"array", "pandas", "polars"}
    template : array, pandas or polars DataFrame
        Table without rows.
    dtypes : list
        Dtypes of the columns, as the library has them.
    fitted : tuple of StoredColumn
        The columns as they were read, without rows.
    markers : tuple of tuples of str
        Missing markers that each of them held.
    """

    library: Library
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
        return cls.fit_read(table, names)[0]

    @classmethod
    def fit_read(cls, table: Any, names: Sequence[str]) -> tuple[Self, StoredTable]:
        """Return the rows of the table as well, which are read once."""
        template, dtypes = _empty_like(table)
        stored = _read(table, names)
        fitted = tuple(column.blank() for column in stored.columns)
        markers = tuple(column.markers() for column in stored.columns)
        return cls(stored.container, template, dtypes, fitted, markers), stored

    def __getstate__(self) -> dict[str, Any]:
        # Polars pickles no frame that has a column of objects, be it without rows.
        state = vars(self).copy()
        if self.library == "polars":
            del state["template"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.library == "polars":
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
        default = "NA" if self.library == "pandas" else "NaN"
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
                held = markers_held(self.dtypes[j])
                is_same = (stored.container, column.dtype) == (self.library, self.fitted[j].dtype)
                # Libraries write None or NaN into columns of objects, and mean the same.
                if held == MARKERS or not is_same:
                    same = with_markers(same, self.markers[j], held)
                columns.append(same)
        faults.raise_any()
        return replace(stored, columns=tuple(columns))

    def select(self, columns: Sequence[int]) -> Self:
        """Return the container of some of the columns, by position."""
        frame = as_frame(self.template)
        return type(self)(
            self.library,
            self.template if frame is None else frame[:, list(columns)].to_native(),
            [self.dtypes[j] for j in columns],
            tuple(self.fitted[j] for j in columns),
            tuple(self.markers[j] for j in columns),
        )

    def read_given(self, table: Any, columns: Sequence[int]) -> Conditions:
        """Read rows of some of the columns, by position: conditions of the others."""
        own = self.select(columns).read(table)
        stored = _read(table, [self.names[j] for j in columns])
        if stored.container != self.library:
            return Conditions(own, own, {})
        return Conditions(own, stored, dict(zip(columns, _empty_like(table)[1], strict=True)))

    def build(
        self, columns: Sequence[StoredColumn], like: Any, other: Mapping[int, Any] | None = None
    ) -> Any:
        """Return ``columns`` in the container.

        Parameters
        ----------
        columns : sequence of StoredColumn
        like : object
            Lends its index, where it is a pandas frame.
        other : mapping of int to dtype, optional
            Dtypes, by position, of columns that do not come back in the fitted one.

        Returns
        -------
        table : array, pandas or polars DataFrame
        """
        dtypes = [(other or {}).get(j, dtype) for j, dtype in enumerate(self.dtypes)]
        # A missing value where the fitted dtype has no marker for one.
        beyond = [
            bool(column.missing.any()) and not markers_held(dtype)
            for column, dtype in zip(columns, dtypes, strict=True)
        ]
        if isinstance(self.template, np.ndarray):
            dtype = native_dtype(np.result_type(*dtypes) if other else self.template.dtype)
            if any(beyond):
                dtype = array_with_holes(columns, dtype)
            return np.column_stack([to_numpy(column, dtype) for column in columns])
        if isinstance(self.template, pd.DataFrame):
            # As series of their dtype: pandas takes objects that are all strings for text.
            dtypes = [
                nullable(dtype) if is_nullable else dtype
                for dtype, is_nullable in zip(dtypes, beyond, strict=True)
            ]
            pairs = enumerate(zip(columns, dtypes, strict=True))
            series = {j: pd.Series(to_pandas(*pair), dtype=pair[1]) for j, pair in pairs}
            frame = pd.DataFrame(series)
            frame.columns = self.template.columns
            index = getattr(like, "index", None)
            return frame if index is None or callable(index) else frame.set_axis(index)
        polars = nw.get_native_namespace(self.template)
        named = zip(columns, self.template.columns, dtypes, strict=True)
        return polars.DataFrame([to_polars(polars, *each) for each in named])


def append_columns(table: Any, columns: Sequence[NDArray[Any]], names: Sequence[str]) -> Any:
    """Return a table with further columns of numbers, dates or durations at its end.

    Names that the table has already, and names of a pandas frame whose own are no text, are
    replaced. An array stays one where all columns are numbers, else it becomes a pandas frame.
    """
    frame = as_frame(table)
    if frame is None:
        matrix = np.asarray(table)
        if matrix.dtype.kind in "iufb" and all(column.dtype.kind in "iuf" for column in columns):
            return np.column_stack([matrix, *columns])
        dtype = matrix.dtype if matrix.dtype.kind in "iufbmM" else object  # none inferred by pandas
        table = pd.DataFrame({f"x{j}": pd.Series(x, dtype=dtype) for j, x in enumerate(matrix.T)})
    taken = list(table.columns)
    for name, column in zip(names, columns, strict=True):
        free: Any = name
        while free in taken or (taken and isinstance(taken[0], int) != isinstance(free, int)):
            free = len(taken) if taken and isinstance(taken[0], int) else f"{free}_"
        taken.append(free)
        if isinstance(table, pd.DataFrame):
            series = pd.Series(column, index=table.index, name=free)
            table = pd.concat([table, series], axis=1)
        else:
            polars = nw.get_native_namespace(table)
            table = table.with_columns(polars.Series(free, column))
    return table


def new_frame(columns: Mapping[str, Sequence[Any]], rows: NDArray[np.intp], like: Any) -> Any:
    """Return a frame of a first column ``row`` and further ones.

    Parameters
    ----------
    columns : mapping of str to sequence of shape (n_lines,)
    rows : ndarray of intp, shape (n_lines,)
        Position of the row of ``like`` that each line is about.
    like : array, pandas or polars DataFrame
        A polars frame gives a polars frame, everything else a pandas one. The index of a pandas
        frame names the rows, otherwise they are numbered from 0.
    """
    frame = as_frame(like)
    if frame is not None and frame.implementation.is_polars():
        return nw.get_native_namespace(frame).DataFrame({"row": rows, **columns})
    names = like.index.take(rows).to_flat_index() if isinstance(like, pd.DataFrame) else rows
    return pd.DataFrame({"row": names, **columns})


def column_values(table: Any, column: int | str) -> NDArray[Any]:
    """Return the cells of a column, by position or name, as an array."""
    frame = as_frame(table)
    if frame is None:
        return np.asarray(np.asarray(table)[:, int(column)])
    name = frame.columns[column] if isinstance(column, int) else column
    if name not in frame.columns:
        raise ValueError(f"There is no column {name!r}; the columns are {frame.columns}.")
    return np.asarray(frame[name].to_numpy())


def repeat_row(table: Any, row: int, column: int | str, values: NDArray[Any]) -> Any:
    """Return copies of a row of a table, with other values in one column."""
    frame = as_frame(table)
    if frame is None:
        matrix = np.repeat(np.asarray(table)[[row]], len(values), axis=0)
        matrix = matrix.astype(np.result_type(matrix.dtype, values.dtype))
        matrix[:, int(column)] = values
        return matrix
    name = frame.columns[column] if isinstance(column, int) else column
    copies = frame[[row] * len(values)]
    backend = nw.get_native_namespace(frame)
    dtype = frame[name].dtype
    moved = nw.new_series(name, values, backend=backend)
    keeps = dtype.is_integer() or not dtype.is_numeric()
    moved = moved.cast(dtype) if keeps else moved
    if frame.implementation.is_pandas():
        native = copies.to_native().reset_index(drop=True)
        native[name] = moved.to_native().to_numpy()
        return native
    return copies.with_columns(moved).to_native()


def _read(table: Any, names: Sequence[str]) -> StoredTable:
    frame = as_frame(table)
    if frame is None:
        matrix = np.asarray(table)
        container: Library = "array"
        n_rows, n_columns = matrix.shape
        readers = [partial(read_numpy, matrix[:, j]) for j in range(n_columns)]
    else:
        container = "pandas" if frame.implementation.is_pandas() else "polars"
        n_rows, n_columns = frame.shape
        readers = [partial(read_series, series) for series in frame.iter_columns()]
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
