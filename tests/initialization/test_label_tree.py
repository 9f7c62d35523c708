"""The closed form of labels, against counts made in another way."""

import numpy as np
import pandas as pd
import pytest
import torch

from skflow.flow.label_start import JOINT
from skflow.initialization.label_tree import PRIOR_ROWS, SMOOTHING, fit_label_tree


def planted(n_rows: int = 500) -> np.ndarray:
    """Column 2 depends on column 0, column 3 on column 2, column 1 on nothing."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=n_rows), rng.integers(3, size=n_rows)
    third = np.where(rng.random(n_rows) < 0.8, first % 2, rng.integers(2, size=n_rows))
    fourth = np.where(rng.random(n_rows) < 0.9, third, 1 - third)
    return np.stack((first, second, third, fourth))


SIZES = (4, 3, 2, 2)


def test_planted_parents_are_found() -> None:
    assert fit_label_tree(torch.tensor(planted()), SIZES).parents == [-1, -1, 0, 2]


def test_tables_are_smoothed_counts() -> None:
    rows = planted()
    start = fit_label_tree(torch.tensor(rows), SIZES)
    for j, size in enumerate(SIZES):
        frequency = (np.bincount(rows[j], minlength=size) + SMOOTHING) / (
            rows.shape[1] + SMOOTHING * size
        )
        np.testing.assert_allclose(start.log_frequencies[j].exp(), frequency)
        parent = start.parents[j]
        if parent < 0:
            np.testing.assert_allclose(start.log_tables[j][0].exp(), frequency)
            continue
        counts = pd.crosstab(rows[parent], rows[j]).to_numpy() + PRIOR_ROWS * frequency
        expected = counts / counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(start.log_tables[j].exp()[:-1], expected)
        # After a label never seen, the frequencies are all there is to say.
        np.testing.assert_allclose(start.log_tables[j].exp()[-1], frequency)


def test_labels_never_seen_are_left_out() -> None:
    rows = planted()
    spoilt = np.concatenate((rows, np.array(SIZES)[:, None].repeat(50, axis=1)), axis=1)
    clean, found = (fit_label_tree(torch.tensor(x), SIZES) for x in (rows, spoilt))
    assert found.parents == clean.parents
    for j in range(4):
        torch.testing.assert_close(found.log_frequencies[j], clean.log_frequencies[j])


@pytest.mark.parametrize("n_rows", [2, 20, 2000])
def test_every_table_sums_to_one(n_rows: int) -> None:
    rng = np.random.default_rng(1)
    sizes = (1, 2, 7, 30)
    rows = torch.tensor(np.stack([rng.integers(size, size=n_rows) for size in sizes]))
    start = fit_label_tree(rows, sizes)
    for table in (*start.log_tables, *start.log_frequencies):
        total = table.exp().sum(dim=-1)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_parents_are_found_among_hundreds_of_columns() -> None:
    """Far away, with rows never seen, and where a sample of the rows is counted."""
    rng = np.random.default_rng(3)
    rows = rng.integers(4, size=(300, 2000))
    rows[250] = (rows[7] + (rng.random(2000) < 0.3)) % 3
    rows[299] = rows[250] ^ (rng.random(2000) < 0.1)
    start = fit_label_tree(torch.tensor(rows), (4,) * 300)
    assert [start.parents[250], start.parents[299]] == [7, 250]
    assert sum(parent >= 0 for parent in start.parents) <= 60
    few = fit_label_tree(torch.tensor(rows[[7, 250, 299]]), (4,) * 3)
    torch.testing.assert_close(start.log_tables[299], few.log_tables[2])
    assert start.n_groups < 300


def test_independent_columns_have_no_parents() -> None:
    rng = np.random.default_rng(2)
    rows = torch.tensor(rng.integers(3, size=(12, 400)))
    parents = fit_label_tree(rows, (3,) * 12).parents
    assert sum(parent >= 0 for parent in parents) <= 2


def test_a_column_may_depend_on_whether_any_of_several_has_a_label() -> None:
    """Neither column alone says what both say together."""
    rng = np.random.default_rng(3)
    one, two = rng.random((2, 2000)) < 0.1
    rows = np.stack((one, two, one | two)).astype(np.int64)
    joint_parents = ((), (), ((0, 1, 2), (1, 1, 2)))
    start = fit_label_tree(torch.tensor(rows), (2, 2, 2), joint_parents=joint_parents)
    assert start.parents == [-1, -1, JOINT]
    probabilities = start.log_tables[2].exp()
    assert probabilities[0, 0] > 0.999
    assert probabilities[1, 1] > 0.99
    alone = fit_label_tree(torch.tensor(rows), (2, 2, 2))
    assert alone.parents[2] in (0, 1)
