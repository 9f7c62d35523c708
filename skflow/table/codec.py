"""A table to a float64 matrix and back, with its log-volume."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skflow.table.columns import fit_column, round_to_digits
from skflow.table.schema import Schema

FloatArray = NDArray[np.float64]

# A flow returns 0 as some 1e-16 of the column's scale, or 1e-12 where it contracts.
# float16 and float32 are snapped there, not rounded. This costs nothing: its error
# already swallows the digits of any value below 1e-9 of the scale.
ZERO = 1e-10


class TableCodec:
    """Reversible encoding of every column, fitted on the training rows.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns)
        Training rows.
    schema : Schema
        Kinds of the columns.
    dtypes : sequence of numpy.dtype
        What the columns are stored in, and given back in.
    """

    def __init__(self, matrix: FloatArray, schema: Schema, dtypes: Sequence[np.dtype]) -> None:
        self.dtypes = list(dtypes)
        self.kinds = [column.kind for column in schema.columns]
        self.columns = [
            fit_column(values, kind) for values, kind in zip(matrix.T, self.kinds, strict=True)
        ]

    @property
    def scales(self) -> FloatArray:
        """Typical magnitude of each column."""
        return np.array([column.scale for column in self.columns])

    def blur(self, matrix: FloatArray, noise: FloatArray) -> FloatArray:
        """Spread integers uniformly over their cell of width 1, for training only.

        A density fitted to bare integers could be driven up without limit; fitted
        to blurred ones it is, at each integer, that integer's probability. ``noise``
        is uniform on [0, 1), of the shape of ``matrix``.
        """
        blurred = matrix.copy()
        for j, kind in enumerate(self.kinds):
            if kind == "integer":
                blurred[:, j] += noise[:, j] - 0.5
        return blurred

    def encode(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the encoded matrix and, per row, the log-volume of the encoding in nats."""
        encoded = np.empty_like(matrix)
        log_volume = np.zeros(len(matrix))
        for j, column in enumerate(self.columns):
            encoded[:, j], log_derivative = column.encode(matrix[:, j])
            if self.kinds[j] == "constant":
                # The constant itself is an event with a probability, not a density.
                log_derivative = np.where(encoded[:, j] == 0, 0.0, log_derivative)
            log_volume += log_derivative
        return encoded, log_volume

    def decode(self, encoded: FloatArray) -> list[NDArray]:
        """Return the columns, each in the dtype it was stored in."""
        stored = []
        for j, column in enumerate(self.columns):
            values = column.decode(encoded[:, j])
            if self.kinds[j] == "continuous" and self.dtypes[j].itemsize >= 8:
                values = round_to_digits(values, column.scale)
            stored.append(_store(values, self.dtypes[j], column.scale))
        return stored


def _store(values: FloatArray, dtype: np.dtype, scale: float) -> NDArray:
    """Cast values to ``dtype``, snapped to what it can hold."""
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # As floats the limits of 64 bits round outward: the last value inside them.
        low, high = float(limits.min), np.nextafter(float(limits.max) + 1, 0)
        return np.rint(values).clip(low, high).astype(dtype)
    if dtype.itemsize < 8:
        limit = float(np.finfo(dtype).max)
        return np.where(np.abs(values) < ZERO * scale, 0.0, values.clip(-limit, limit)).astype(
            dtype
        )
    return values.astype(dtype)
