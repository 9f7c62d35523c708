"""Columns of rows in any container, as a pandas frame of dtypes that hold for every batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skflow.table.building import nullable

Dtypes = dict[str, Any]

UNITS = ("s", "ms", "us", "ns")  # of dates and durations in pandas


def dtypes_of_rows(density: Any) -> Dtypes:
    """Return the dtypes of rows of a fitted FlowDensity, those that conditions have included.

    Integers and booleans are nullable ones: some batches have missing values, and others not.
    """
    container = density._density.container
    dtypes = container.dtypes
    if container.library == "polars":
        dtypes = list(container.template.to_pandas().dtypes)
    return {name: lasting_dtype(dtype) for name, dtype in zip(container.names, dtypes, strict=True)}


def lasting_dtype(dtype: Any) -> Any:
    """Return the dtype of pandas that holds the values of another, and missing values."""
    if not isinstance(dtype, np.dtype):
        return dtype
    if dtype.kind in "iub":
        return nullable(dtype.newbyteorder("="))
    if dtype.kind in "Mm" and np.datetime_data(dtype)[0] not in UNITS:
        return np.dtype(f"{dtype.kind}8[s]")
    return np.dtype(object) if dtype.kind in "US" else dtype


def split_columns(rows: Any, dtypes: Sequence[Any]) -> list[Any]:
    """Return the columns of an array or a frame, as arrays that become those of ``dtypes``."""
    if isinstance(rows, pd.DataFrame):
        return [rows.iloc[:, j].array for j in range(rows.shape[1])]
    if isinstance(rows, np.ndarray):
        return list(rows.reshape(len(rows), -1).T)
    # Polars: integers beside missing values would come as floats, which lose digits.
    return [
        series.to_list() if dtype.kind in "iub" else series.to_pandas().array
        for series, dtype in zip(rows.iter_columns(), dtypes, strict=True)
    ]


def build_frame(columns: Sequence[Any], dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns as a frame of these names and dtypes."""
    pairs = zip(dtypes.items(), columns, strict=True)
    return pd.DataFrame({name: pd.Series(array, dtype=dtype) for (name, dtype), array in pairs})


def select_columns(
    rows: Any, names: Sequence[str] | None, kept: Sequence[Any], n_columns: int
) -> Any:
    """Return the columns that a model was fitted to, in its order.

    Parameters
    ----------
    rows : pandas or polars DataFrame
    names : sequence of str or None
        None where it was fitted to an array, and gets one.
    kept : sequence
        Columns that are to be carried along.
    n_columns : int
        Columns that the model was fitted to.

    Raises
    ------
    ValueError
        Where columns are missing, or too many without names.
    """
    present = list(rows.columns)
    lacking = [name for name in [*(names or ()), *kept] if name not in present]
    if lacking:
        raise ValueError(
            f"The rows lack columns {lacking}, of the model or to keep; they have {present}."
        )
    if names is not None:
        return rows[list(names)]
    others = [name for name in present if name not in kept]
    if len(others) != n_columns:
        raise ValueError(
            f"The rows have {len(others)} columns that are not kept; the model was fitted to "
            f"{n_columns}."
        )
    return rows[others].to_numpy()
