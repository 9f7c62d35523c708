"""Rows of Arrow as pandas frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

# Whole numbers and booleans keep their missing values; floats would lose digits.
MASKED: dict[Any, Any] = {pa.bool_(): pd.BooleanDtype()} | {
    getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
    for name in (f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
}


def to_frame(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Return rows as a frame; numbers and booleans are NumPy's where these can hold them.

    Only integers and booleans beside missing values stay masked: as floats they would lose
    digits, and what they are.
    """
    return unmask(
        table.to_pandas(types_mapper=MASKED.get, date_as_object=False, ignore_metadata=True)
    )


def unmask(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose nullable integers and booleans without missing values are NumPy's."""
    masked: dict[Any, Any] = {dtype: np.dtype(dtype.type) for dtype in MASKED.values()}
    whole = [name for name in frame if frame[name].dtype in masked and not frame[name].hasnans]
    return frame.astype({name: masked[frame[name].dtype] for name in whole})


def join_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames, numbered from 0."""
    return pd.concat(frames, ignore_index=True)


def to_table(frame: pd.DataFrame, schema: pa.Schema | None) -> pa.Table:
    """Return a frame as a table of this schema, or of the one that its cells suggest."""
    return pa.Table.from_pandas(frame, schema, preserve_index=False)
