"""Rows of a dataset that a model is fitted to, which never are in memory all at once.

Passes over the files: one for the schema, and another where frequent values among many need one
(:func:`skflow.table.summary.summarise`); one for the counts of labels; one that encodes the rows,
to the disk and in random order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.datasets.arrow import join_frames, unmask
from skflow.datasets.cache import BUCKET_ROWS, CachedWindow, RowCache, hash_rows, share_of_rows
from skflow.datasets.parquet_table import ParquetTable, TablePart
from skflow.fitted.table_density import TableDensity
from skflow.fitted.table_rows import TableRows
from skflow.rows import EncodedRows, RowSource, WindowedRows, weighted_sum
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec, good_turing_of, rarest_of_counts
from skflow.table.constraints.implied_cells import ImpliedCells
from skflow.table.frames import Container
from skflow.table.inference import infer_schema, with_constraints
from skflow.table.kinds import kind_of
from skflow.table.number_codecs import ImpliedCodec, NumberCodec, ValueCodec
from skflow.table.storage import StoredColumn, StoredTable
from skflow.table.summary import ColumnSummary, TableSummary, summarise

SAMPLE_ROWS = 200_000  # on average
SAMPLE_SEED = 2**31  # the sample is the same for every seed of a fit: scales depend on it
WINDOW_ROWS = 2**20
MOST_HELD_OUT = 2**17  # on average: their mean score errs by 0.01 nats or less
FEW_VALUES = 2**12


@dataclass(frozen=True)
class EncodableDataset:
    """A table in Parquet files, its container, and the codec of its columns.

    Attributes
    ----------
    container : Container
    codec : TableCodec
        Counts, ends and vocabularies are those of all rows, scales those of a sample.
    table : ParquetTable
    sample : StoredTable
        About 200,000 of the rows, or all.
    numbers : ndarray of int64
        Which rows these are.
    """

    container: Container
    codec: TableCodec
    table: ParquetTable
    sample: StoredTable
    numbers: NDArray[np.int64]

    @classmethod
    def learn(cls, estimator: Any, table: ParquetTable) -> Self:
        """Infer the columns from all rows, as the estimator's parameters say."""
        sampled = sample_rows(table, SAMPLE_ROWS)
        # Each batch by itself: an object may be a number in one and a category in another.
        summary = summarise(
            lambda: (Container.fit_read(part.frame, table.names)[1] for part in table.parts())
        )
        container = build_container(table.empty(), summary)
        pairs = zip(summary.columns, container.fitted, strict=True)
        counted = tuple(part.without_rows(fitted) for part, fitted in pairs)
        summary = replace(summary, columns=counted)
        schema = infer_schema(
            summary,
            column_kinds=estimator.column_kinds,
            categorical_features=estimator.categorical_features,
            bounds=estimator.bounds,
            given=estimator.given,
        )
        sample = read_part(container, sampled)
        others = partial(summarise_others, table, container)
        schema = with_constraints(
            schema, sample, estimator.constraints, estimator.column_kinds, others
        )
        implied = ImpliedCells(schema.constraints, sample.columns)
        summary = others(implied) if schema.constraints else summary
        left = implied.leave_out(sample).columns
        triples = zip(left, summary.columns, schema.columns, strict=True)
        columns = [kind_of(own).fit(add_ends(column, part), own) for column, part, own in triples]
        count_labels(columns, summary, container, table, implied)
        return cls(container, TableCodec(schema, columns), table, sample, sampled.numbers)

    @classmethod
    def read(cls, density: TableDensity, table: ParquetTable) -> Self:
        """Take the columns of an earlier fit, which a warm start goes on from."""
        container, sampled = density.container, sample_rows(table, SAMPLE_ROWS)
        sample = read_part(container, sampled)
        return cls(container, density.codec, table, sample, sampled.numbers)

    @property
    def rows(self) -> "DatasetRows":
        """All rows, not yet encoded."""
        return DatasetRows(self)


@dataclass(frozen=True)
class DatasetRows:
    """Rows of a dataset, to be split and encoded.

    Attributes
    ----------
    known : EncodableDataset
    excluded : ndarray of int
        Places in the sample of rows that these are without.
    is_fitted : callable, optional
        Mask of the rows of a table, beyond the sample, that are fitted to; None fits to all.
    """

    known: EncodableDataset
    excluded: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    is_fitted: Callable[[StoredTable], NDArray[np.bool_]] | None = None

    def __len__(self) -> int:
        """Return the number of rows, those that are not fitted to included."""
        return self.known.table.n_rows - len(self.excluded)

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows if all weights are equal."""
        return self.known.table.mass - self.known.sample.take(self.excluded).mass

    def keep(self) -> Self:
        """Return the rows as they are: there are too many to keep them."""
        return self

    def stored(self, rows: Any) -> StoredTable:
        """Return some of the rows that are of the sample, as they are stored."""
        return self._sample(0.0, seed=0).stored(rows)

    def blocks(self) -> Iterator[EncodedRows]:
        """Encode all rows, batch by batch."""
        for part in self._read():
            yield self.known.codec.encode(read_part(self.known.container, part))

    def unsplit(self) -> "CachedRows":
        """Encode all rows."""
        return self._encode(0.0, seed=0)[0]

    def split(self, fraction: float, generator: torch.Generator) -> tuple["CachedRows", TableRows]:
        """Encode the rows but for a share, which is held out: at most about 131,072 rows."""
        share = min(fraction, MOST_HELD_OUT / len(self))
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return self._encode(share, seed)

    def _encode(self, share: float, seed: int) -> tuple["CachedRows", TableRows]:
        container, codec = self.known.container, self.known.codec
        cache = RowCache(-(-len(self) // BUCKET_ROWS), codec.quantized_columns)
        apart = []
        for part in self._read():
            held_out = share_of_rows(part.numbers, seed, share)
            apart.append(part.take(held_out))
            trained = part.take(~held_out)
            buckets = hash_rows(trained.numbers, seed + 1) % np.uint64(len(cache.sizes))
            encoded = codec.encode(read_part(container, trained))
            cache.write(encoded, buckets.astype(np.int64))
        cache.close()
        rows = TableRows.all_of(codec, read_part(container, join_parts(self.known.table, apart)))
        return CachedRows(cache, self._sample(share, seed).keep(), seed), rows

    def _read(self) -> Iterator[TablePart]:
        """Read the rows that are fitted to, batch by batch."""
        excluded = self.known.numbers[self.excluded]
        for part in self.known.table.parts():
            is_kept = ~np.isin(part.numbers, excluded)
            if self.is_fitted is not None:
                is_kept &= self.is_fitted(self.known.container.read(part.frame))
            yield part.take(is_kept)

    def _sample(self, share: float, seed: int) -> TableRows:
        """Return those rows of the sample that are not held out."""
        numbers, sample = self.known.numbers, self.known.sample
        is_kept = ~share_of_rows(numbers, seed, share)
        is_kept[self.excluded] = False
        return TableRows.all_of(self.known.codec, sample.take(is_kept))


class CachedRows(WindowedRows):
    """Encoded rows on the disk: a source of rows, and of windows of them.

    Parameters
    ----------
    cache : RowCache
    sample : TableRows
        Some of the rows.
    seed : int
        Seed of the order of rows.
    """

    def __init__(self, cache: RowCache, sample: TableRows, seed: int) -> None:
        self.cache = cache
        self.sample = self.sampled = sample
        self.seed = seed
        self.codec = sample.codec
        self.quantized_columns = cache.quantized_columns
        self.n_windows = -(-len(self) // WINDOW_ROWS)

    def __len__(self) -> int:
        return int(self.cache.sizes.sum())

    @property
    def mass(self) -> float:
        """Sum of the weights: the number of rows if all weights are equal."""
        return self.cache.mass

    def take(self, rows: slice) -> EncodedRows:
        """Read a slice of the rows, in the order of the cache."""
        buckets = range(len(self.cache.sizes))
        return CachedWindow(self.cache, buckets, 0, len(self)).take(rows)

    def stored(self, rows: Any) -> StoredTable:
        """Return some rows of the sample, as they are stored."""
        return self.sampled.stored(rows)

    def window(self, epoch: int) -> RowSource:
        """Return the rows of an epoch; a few are left out until the next pass over all rows."""
        n_pass, place = divmod(epoch, self.n_windows)
        order = np.random.default_rng([self.seed, n_pass]).permutation(len(self.cache.sizes))
        size = len(self) // self.n_windows
        seed = (self.seed, n_pass)
        return CachedWindow(self.cache, order.tolist(), place * size, (place + 1) * size, seed)


def sample_rows(table: ParquetTable, n_rows: int) -> TablePart:
    """Return about ``n_rows`` rows, drawn by their hashes."""
    share = n_rows / table.n_rows
    parts = (part.take(share_of_rows(part.numbers, SAMPLE_SEED, share)) for part in table.parts())
    return join_parts(table, list(parts))


def join_parts(table: ParquetTable, parts: Sequence[TablePart]) -> TablePart:
    """Return the rows of all parts as one."""
    weights = [part.weight for part in parts if part.weight is not None]
    return TablePart(
        np.concatenate([np.empty(0, dtype=np.int64), *(part.numbers for part in parts)]),
        join_frames([table.empty(), *(part.frame for part in parts)]),
        np.concatenate(weights) if weights else None,
    )


def read_part(container: Container, part: TablePart) -> StoredTable:
    """Return rows and their weights as they are stored."""
    return replace(container.read(part.frame), weight=part.weight)


def build_container(empty: Any, summary: TableSummary) -> Container:
    """Return the container of all rows: integers and booleans without missing values NumPy's."""
    whole = [name for name, part in zip(empty, summary.columns, strict=True) if not part.markers]
    dtypes = unmask(empty[whole]).dtypes
    template = empty.astype(dict(dtypes.items()))
    pairs = zip(summary.columns, template.dtypes, strict=True)
    fitted = tuple(replace(part.column.blank(), dtype=str(dtype)) for part, dtype in pairs)
    markers = tuple(part.markers for part in summary.columns)
    return Container("pandas", template, list(template.dtypes), fitted, markers)


def summarise_others(
    table: ParquetTable, container: Container, implied: ImpliedCells
) -> TableSummary:
    """Return the summary of all rows without the cells that constraints imply."""
    summary = summarise(
        lambda: (implied.leave_out(container.read(part.frame)) for part in table.parts())
    )
    pairs = zip(summary.columns, container.fitted, strict=True)
    return replace(summary, columns=tuple(part.without_rows(fitted) for part, fitted in pairs))


def add_ends(column: StoredColumn, summary: ColumnSummary) -> StoredColumn:
    """Return a sample of a column with those values of all rows that scales depend on.

    These are the lowest, the highest and the nearest to 0; all where they are few.
    """
    if summary.has_vocabulary or summary.is_empty:
        return column
    values = summary.distinct.values
    if len(values) > FEW_VALUES:
        nearest = int(np.searchsorted(values, 0))
        values = np.unique(values[[0, max(0, nearest - 1), min(nearest, len(values) - 1), -1]])
    # By sorting: the table of numpy 2.0 overflows beyond 2^63.
    values = values[~np.isin(values, column.values[column.present], kind="sort")]
    missing = np.zeros(len(values), dtype=np.int8)
    return replace(
        column,
        values=np.concatenate((column.values, values)),
        missing=np.concatenate((column.missing, missing)),
    )


def count_labels(
    columns: Sequence[ColumnCodec],
    summary: TableSummary,
    container: Container,
    table: ParquetTable,
    implied: ImpliedCells,
) -> None:
    """Set what depends on counts of labels, of all rows: the rarest, and what was never seen."""
    labelled = [j for j, codec in enumerate(columns) if not codec.labels.is_trivial]
    if not labelled:
        return
    # Constraints need all of their operands.
    read = list(range(len(columns))) if implied.positions else labelled
    own = container.select(read)
    singles = {
        j: summary.columns[j].distinct.values[summary.columns[j].distinct.counts == 1]
        for j in labelled
        if isinstance(columns[j], NumberCodec)
    }
    counts = {j: np.zeros(columns[j].labels.n_labels + 1, dtype=np.int64) for j in labelled}
    masses = {j: np.zeros(len(count)) for j, count in counts.items()}
    of_singles = dict.fromkeys(labelled, 0.0)  # numbers that occur once, which may be no labels
    for part in table.parts(own.names):
        rows = implied.leave_out(own.read(part.frame))
        for j, column in zip(read, rows.columns, strict=True):
            if j not in counts:
                continue
            labels = columns[j].encode(column).labels
            counts[j] += np.bincount(labels, minlength=len(counts[j]))
            masses[j] += np.bincount(labels, part.weight, minlength=len(counts[j]))
            if isinstance(columns[j], NumberCodec):
                is_single = column.present & np.isin(column.values, singles[j], kind="sort")
                of_singles[j] += float(weighted_sum(is_single, part.weight))
    for j, count in counts.items():
        codec = columns[j]
        codec.rarest = rarest_of_counts(count, codec.labels)
        if isinstance(codec, ValueCodec):
            continue
        if isinstance(codec, ImpliedCodec):
            of_singles[j] = float(masses[j][codec.labels.n_labels])
        elif not isinstance(codec, NumberCodec):
            known = slice(codec.labels.n_known)
            of_singles[j] = float(masses[j][known][count[known] == 1].sum())
        codec.unseen = good_turing_of(of_singles[j], table.mass)
