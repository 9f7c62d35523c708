"""Searches in several processes: the same results, and this process as it was."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from skflow import FlowDensity
from tests.settings import TWO_EPOCHS
from tests.tables import Table


@pytest.fixture
def two_threads() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads", "shared_workers")
def test_grid_search_in_two_processes_gives_the_same_results(table: Table) -> None:
    grid = {"dropout": [0.0, 0.2]}
    searches = [
        GridSearchCV(FlowDensity(**TWO_EPOCHS), grid, cv=2, n_jobs=n_jobs).fit(table[:200])
        for n_jobs in (1, 2)
    ]
    alone, together = (search.cv_results_ for search in searches)
    for name in ("split0_test_score", "split1_test_score", "mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(together[name], alone[name])
    scores = [search.best_estimator_.score_samples(table) for search in searches]
    np.testing.assert_array_equal(*scores)
    assert torch.get_num_threads() == 2
