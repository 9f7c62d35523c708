"""Encoded rows on the disk, scattered at random, so that rows read in a row are a sample.

Rows go to buckets by a hash of their number. An epoch reads some buckets whole, in an order of
its own, and their rows in another: as good as a shuffle of all rows, whatever the order of the
table. A bucket is a file of Arrow IPC streams, one after the other, which is open only while one
is written: hundreds of millions of rows have more buckets than a process may have files open.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skflow.rows import EncodedRows, concatenate

BUCKET_ROWS = 2**17
BUFFERED_ROWS = 2**12  # of each bucket, before they are written
MOST_BUFFERED = 2**18  # of all buckets


def hash_rows(rows: NDArray[np.integer], seed: int) -> NDArray[np.uint64]:
    """Return a hash of each row's number, uniform on 64 bits: splitmix64.

    References
    ----------
    G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA
    2014, figure 17.
    """
    with np.errstate(over="ignore"):
        z = rows.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        for _ in range(2):  # once for the number, once more for the seed
            z += np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
    return z


def share_of_rows(rows: NDArray[np.integer], seed: int, share: float) -> NDArray[np.bool_]:
    """Return which rows are of a share that is drawn by their hashes."""
    return hash_rows(rows, seed) < np.uint64(min(max(share, 0.0) * 2.0**64, 2.0**64 - 2048))


class RowCache:
    """Encoded rows in files of a temporary folder, which goes when nobody refers to the cache.

    Parameters
    ----------
    n_buckets : int
    quantized_columns : list of int
        Columns of values on a grid; bins of others have no width.

    Attributes
    ----------
    sizes : ndarray of int64, shape (n_buckets,)
        Rows of each bucket.
    mass : float
        Sum of the weights of all rows.
    """

    def __init__(self, n_buckets: int, quantized_columns: list[int]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="skflow-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.quantized_columns = quantized_columns
        self.sizes = np.zeros(n_buckets, dtype=np.int64)
        self.mass = 0.0
        self._waiting: list[list[EncodedRows]] = [[] for _ in range(n_buckets)]
        self._n_waiting = np.zeros(n_buckets, dtype=np.int64)
        self._most_waiting = min(BUFFERED_ROWS, MOST_BUFFERED // max(1, n_buckets))
        self._loaded: tuple[Any, EncodedRows] | None = None

    def write(self, rows: EncodedRows, buckets: NDArray[np.integer]) -> None:
        """Append rows, each to its bucket."""
        self.mass += rows.mass
        order = np.argsort(buckets, kind="stable")
        found, starts = np.unique(buckets[order], return_index=True)
        for bucket, places in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
            self._waiting[bucket].append(rows.take(places))
            self._n_waiting[bucket] += len(places)
            if self._n_waiting[bucket] >= self._most_waiting:
                self._flush(bucket)

    def close(self) -> None:
        """Write what is left; the rows can be read from now on."""
        for bucket in range(len(self.sizes)):
            self._flush(bucket)

    def _flush(self, bucket: int) -> None:
        if not self._waiting[bucket]:
            return
        rows = concatenate(self._waiting[bucket])
        batch = pa.RecordBatch.from_pydict(_flatten(rows, self.quantized_columns))
        try:
            with (
                pa.OSFile(self._path(bucket), "ab") as file,
                pa.ipc.new_stream(file, batch.schema) as stream,
            ):
                stream.write_batch(batch)
        except OSError as error:
            self._remove()  # the disk is full, and a traceback may keep the cache
            raise OSError(
                f"Encoded rows cannot be written to {self.folder}: {error}. Set the environment "
                "variable TMPDIR to a folder of another disk."
            ) from error
        self.sizes[bucket] += len(rows)
        self._waiting[bucket], self._n_waiting[bucket] = [], 0

    def _path(self, bucket: int) -> str:
        return str(self.folder / f"{bucket}.arrow")

    def read(self, bucket: int, seed: tuple[int, ...] | None = None) -> EncodedRows:
        """Read the rows of a bucket, shuffled by a seed or in order; the last one read is kept."""
        if self._loaded is None or self._loaded[0] != (bucket, seed):
            self._loaded = None
            streams = []
            with pa.OSFile(self._path(bucket)) as file:
                while file.tell() < file.size():
                    streams.append(pa.ipc.open_stream(file).read_all())
            table = pa.concat_tables(streams)
            columns = {name: table[name].to_numpy() for name in table.column_names}
            rows = _gather(columns, table.num_rows, self.quantized_columns)
            if seed is not None:
                generator = np.random.default_rng([*seed, bucket])
                rows = rows.take(generator.permutation(len(rows)))
            self._loaded = (bucket, seed), rows
        return self._loaded[1]


def _flatten(rows: EncodedRows, quantized: list[int]) -> dict[str, NDArray[Any]]:
    """Return the columns of rows by names, those of conditions included."""
    columns: dict[str, NDArray[Any]] = {}
    for prefix, part in (("", rows), ("given ", rows.given)):
        if part is None:
            continue
        kept = quantized if part is rows else range(part.values.shape[1])
        for name, array in part.arrays().items():
            if array.ndim == 1:
                columns[f"{prefix}{name}"] = array
                continue
            for j in kept if name == "bin_widths" else range(array.shape[1]):
                own = array[:, j].astype(np.int32) if name == "labels" else array[:, j]
                columns[f"{prefix}{name} {j}"] = own
    return columns


def _gather(columns: dict[str, NDArray[Any]], n_rows: int, quantized: list[int]) -> EncodedRows:
    """Return the rows whose columns :func:`_flatten` gave."""

    def matrix(name: str, dtype: Any) -> NDArray[Any]:
        found = [column for key, column in columns.items() if key.rpartition(" ")[0] == name]
        array = np.empty((n_rows, len(found)), dtype=dtype)
        for j, column in enumerate(found):
            array[:, j] = column
        return array

    def part(prefix: str, given: EncodedRows | None) -> EncodedRows:
        values, own = matrix(f"{prefix}values", np.float64), matrix(f"{prefix}bin_widths", float)
        widths = own
        if not prefix:
            widths = np.zeros_like(values)
            widths[:, quantized] = own
        return EncodedRows(
            labels=matrix(f"{prefix}labels", np.int64),
            novel=matrix(f"{prefix}novel", np.float64),
            values=values,
            bin_widths=widths,
            log_volume=columns[f"{prefix}log_volume"],
            weight=columns.get(f"{prefix}weight"),
            given=given,
        )

    given = part("given ", None) if "given log_volume" in columns else None
    return part("", given)


@dataclass(frozen=True)
class CachedWindow:
    """Some buckets of a cache, one after the other: a source of rows that is read in order.

    Attributes
    ----------
    cache : RowCache
    buckets : sequence of int
    start, stop : int
        Which of the rows of all these buckets.
    seed : tuple of int, optional
        Shuffles the rows of each bucket; None leaves them in the order they were written.
    """

    cache: RowCache
    buckets: Sequence[int]
    start: int
    stop: int
    seed: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def mass(self) -> float:
        """Sum of the weights of as many average rows of the cache."""
        return self.cache.mass * len(self) / int(self.cache.sizes.sum())

    @property
    def quantized_columns(self) -> list[int]:
        """Columns of values on a grid."""
        return self.cache.quantized_columns

    def take(self, rows: slice) -> EncodedRows:
        """Read a slice of the rows."""
        first, last, _ = rows.indices(len(self))
        first, last = first + self.start, last + self.start
        ends = np.cumsum(self.cache.sizes[list(self.buckets)])
        parts = []
        for bucket, end in zip(self.buckets, ends.tolist(), strict=True):
            begin = end - int(self.cache.sizes[bucket])
            low, high = max(first, begin) - begin, min(last, end) - begin
            if low < high:
                parts.append(self.cache.read(bucket, self.seed).take(slice(low, high)))
        return concatenate(parts)
