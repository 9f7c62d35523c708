"""Rows in buckets on the disk."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skflow.rows import EncodedRows

cache = pytest.importorskip("skflow.datasets.cache")
resource = pytest.importorskip("resource")

BATCH_ROWS = 200


def numbered(numbers: NDArray[np.int64]) -> EncodedRows:
    """Return rows of two columns of values and one of labels that tell their numbers."""
    values = np.column_stack((numbers, -numbers)).astype(np.float64)
    return EncodedRows(
        labels=numbers[:, None] % 7,
        novel=np.zeros((len(numbers), 1)),
        values=values,
        bin_widths=np.zeros_like(values),
        log_volume=values[:, 0],
        weight=None,
        given=None,
    )


def test_more_buckets_than_a_process_may_have_files_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most_open = max(int(path.name) for path in Path("/dev/fd").iterdir()) + 10
    n_buckets = most_open + 1
    numbers = np.arange(10 * n_buckets)
    buckets = np.random.default_rng(0).permutation(numbers % n_buckets)
    rows = cache.RowCache(n_buckets, [])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_open, hard))
    try:
        for batch in np.split(numbers, 5):
            rows.write(numbered(batch), buckets[batch])
        rows.close()
        for bucket in range(n_buckets):
            read, expected = rows.read(bucket), numbered(numbers[buckets == bucket])
            np.testing.assert_array_equal(read.values, expected.values)
            np.testing.assert_array_equal(read.labels, expected.labels)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert rows.sizes.tolist() == [10] * n_buckets


@pytest.mark.parametrize("n_buckets", [1, 10, 100])
def test_rows_in_memory_do_not_grow_with_the_buckets(
    n_buckets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BUFFERED_ROWS", 50)
    monkeypatch.setattr(cache, "MOST_BUFFERED", 300)
    rows, generator = cache.RowCache(n_buckets, []), np.random.default_rng(0)
    waiting = []
    for n_written in range(BATCH_ROWS, 20 * BATCH_ROWS, BATCH_ROWS):
        buckets = generator.integers(0, n_buckets, BATCH_ROWS)
        rows.write(numbered(np.arange(BATCH_ROWS)), buckets)
        waiting.append(n_written - int(rows.sizes.sum()))
    assert max(waiting) < 300
    assert n_buckets == 1 or max(waiting) > 0  # not each batch by itself
