"""Containers of tables; the only file that knows pandas and polars, through narwhals."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Container:
    """What a table came in, so that rows can be given back in the same.

    Holds no rows: names, dtypes and kind of container only.

    Parameters
    ----------
    table : array, pandas or polars DataFrame
        The table that was fitted.
    names : sequence of str
        Column names, for arrays as well.
    """

    def __init__(self, table: Any, names: Sequence[str]) -> None:
        self.names = list(names)
        frame = nw.from_native(table, eager_only=True, pass_through=True)
        if isinstance(frame, nw.DataFrame):
            self.template = frame.head(0).to_native()
            self.dtypes = [_numpy_dtype(dtype) for dtype in frame.schema.values()]
        else:
            self.template = None
            dtype = np.asarray(table).dtype
            # Numbers held as objects were read as float64.
            stored = np.dtype(np.float64) if dtype.kind not in "iubf" else dtype
            self.dtypes = [stored.newbyteorder("=")] * len(self.names)

    def build(self, columns: Sequence[NDArray], like: Any) -> Any:
        """Return ``columns`` in the container; ``like`` lends its pandas index."""
        if self.template is None:
            return np.column_stack(columns).astype(self.dtypes[0], copy=False)
        template = nw.from_native(self.template, eager_only=True)
        data = dict(zip(template.columns, columns, strict=True))
        native = nw.from_dict(data, backend=template.implementation).to_native()
        if not template.implementation.is_pandas_like():
            return native.cast(self.template.schema)
        index = getattr(like, "index", None)
        native = native.astype(self.template.dtypes)
        native.columns = self.template.columns
        return native if index is None or callable(index) else native.set_axis(index)


def _numpy_dtype(dtype: Any) -> np.dtype:
    """Return the NumPy dtype whose values a column of ``dtype`` holds."""
    if dtype.is_integer() or dtype.is_float():
        return np.dtype(str(dtype).lower())
    return np.dtype(bool if isinstance(dtype, nw.Boolean) else np.float64)
