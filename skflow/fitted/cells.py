"""Cells of stored tables, replaced by others of the same columns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skflow.table.column_codec import ColumnCodec
from skflow.table.storage import StoredColumn, StoredTable

Rows = NDArray[np.intp]


def in_fitted_dtypes(codecs: Sequence[ColumnCodec], table: StoredTable) -> StoredTable:
    """Cast columns to the dtypes that decoding gives, where no fitted row has another."""
    cast = []
    for codec, column in zip(codecs, table.columns, strict=True):
        fitted = codec.stored
        if (column.values.dtype, column.tick) == (fitted.values.dtype, fitted.tick):
            cast.append(column)
            continue
        # A missing value stays one where no fitted row has any.
        there = column.present | (not codec.labels.is_trivial)
        encoded = codec.encode(column.take(there))
        decoded = codec.decode(*encoded[:3], on_grid=False)
        values = np.zeros(len(there), decoded.values.dtype)
        empty = replace(decoded, values=values, missing=column.missing)
        cast.append(put(empty, there, decoded))
    return replace(table, columns=tuple(cast))


def put_cells(table: StoredTable, rows: Rows, j: int, cells: StoredColumn) -> StoredTable:
    """Replace the cells of some rows in column j."""
    columns = list(table.columns)
    columns[j] = put(columns[j], rows, cells)
    return replace(table, columns=tuple(columns))


def put_rows(table: StoredTable, rows: Rows, others: StoredTable) -> StoredTable:
    """Replace some rows."""
    pairs = zip(table.columns, others.columns, strict=True)
    return replace(table, columns=tuple(put(old, rows, new) for old, new in pairs))


def put(column: StoredColumn, rows: Rows | NDArray[np.bool_], cells: StoredColumn) -> StoredColumn:
    """Replace the cells of some rows of a column."""
    values, missing = column.values.copy(), column.missing.copy()
    values[rows], missing[rows] = cells.values, cells.missing
    return replace(column, values=values, missing=missing)


def put_draws(
    columns: list[StoredColumn],
    rows: Rows,
    n_draws: int,
    known: NDArray[np.bool_],
    drawn: Sequence[StoredColumn],
) -> None:
    """Put draws of some rows into their unknown cells, in place.

    Parameters
    ----------
    columns : list of StoredColumn
        Each row ``n_draws`` times, one after the other.
    rows : ndarray of intp
    n_draws : int
    known : ndarray of bool, shape (n_rows, n_columns)
    drawn : sequence of StoredColumn
        Draws of ``rows``, in the same order.
    """
    at = (rows[:, None] * n_draws + np.arange(n_draws)).ravel()
    for j, cells in enumerate(drawn):
        unknown = np.flatnonzero(~known[at // n_draws, j])
        if len(unknown):
            columns[j] = put(columns[j], at[unknown], cells.take(unknown))


def cast_like(column: StoredColumn, cells: StoredColumn) -> StoredColumn:
    """Return cells in the storage of a column: its dtype, and its ticks.

    Raises
    ------
    ValueError
        Where the column's dtype cannot hold one of them.
    """
    values = cells.values
    if cells.tick != column.tick:
        ratio = cells.tick / column.tick
        values = values * ratio.numerator // ratio.denominator
    if column.values.dtype.kind in "iu" and values.dtype.kind == "f":
        values = np.rint(values)
    refuse_misfits(column, values[cells.present])
    return replace(cells, values=values.astype(column.values.dtype))


def refuse_misfits(column: StoredColumn, values: NDArray) -> None:
    """Raise where values are out of an integer dtype's range, or are no declared categories."""
    if column.categories is not None:
        misfits = sorted({*values.tolist()} - {*column.categories}, key=str)
    elif column.values.dtype.kind in "iu" and values.dtype != column.values.dtype:
        limits = np.iinfo(column.values.dtype)
        misfits = values[(values < limits.min) | (values > limits.max)].tolist()
    else:
        return
    if misfits:
        raise ValueError(
            f"Missing cells of column {column.name!r} may be {misfits[0]!r}, as in the fitted "
            f"table, which its dtype cannot hold ({column.dtype}). Convert the column to the "
            "dtype that it was fitted with."
        )
