"""Rows of a table are the same however they are read, and keep their weights."""

from dataclasses import replace

import numpy as np
import pytest

from skflow import FlowDensity
from skflow.fitted.table_rows import TableRows
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN


@pytest.fixture(scope="module")
def rows() -> TableRows:
    df = every_kind(80)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(df)
    density = flow._density
    table = replace(density.container.read(df), weight=np.arange(80.0))
    return TableRows.all_of(density.codec, table)


def test_kept_rows_are_those_that_are_encoded_when_read(rows: TableRows) -> None:
    some = rows.split(0.4, seeded(0))[0]
    kept = some.keep()
    assert kept.keep() is kept
    assert kept.kept is not None
    read, copied = ((one, *one.split(0.3, seeded(1))) for one in (some, kept))
    for expected, found in zip(read, copied, strict=True):
        for name, array in vars(expected.take(slice(None))).items():
            np.testing.assert_array_equal(vars(found.take(slice(None)))[name], array, name)
        assert found.stored(slice(None)).n_rows == len(expected)


def test_weights_stay_with_their_rows(rows: TableRows) -> None:
    train, held_out = rows.split(0.25, seeded(0))
    weights = [part.take(slice(None)).weight for part in (train, held_out)]
    np.testing.assert_array_equal(weights[0], train.rows)
    np.testing.assert_array_equal(np.sort(np.concatenate(weights)), np.arange(80.0))
    np.testing.assert_array_equal(train.take(np.array([3, 1])).weight, train.rows[[3, 1]])
    plain = TableRows.all_of(rows.codec, replace(rows.table, weight=None))
    assert plain.take(slice(5)).weight is None
    assert plain.keep().take(slice(5)).weight is None
