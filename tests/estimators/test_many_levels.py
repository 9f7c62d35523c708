"""Columns of a thousand levels stay affordable."""

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.flow.categorical import _Heads
from tests.settings import TWO_EPOCHS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    code = np.concatenate((np.arange(1000), rng.integers(1000, size=2000)))
    return pd.DataFrame(
        {
            "code": [f"c{c}" for c in code],
            "other": [
                f"d{(c * 7 + e) % 1000}"
                for c, e in zip(code, rng.integers(3, size=3000), strict=True)
            ],
            "flag": code < 500,
            "x": np.log1p(code) + rng.standard_normal(3000),
        }
    )


@pytest.fixture(scope="module")
def flow(table: pd.DataFrame) -> FlowDensity:
    return FlowDensity(**TWO_EPOCHS).fit(table)


def test_parameters_grow_with_the_levels_not_with_their_square(flow: FlowDensity) -> None:
    model = flow._density.model
    n_levels = sum(len(column.levels) for column in flow.schema_.columns)
    assert n_levels > 1900
    assert model.entries_per_row <= 2 * 1024 * 2
    n_parameters = sum(p.numel() for p in model.parameters())
    assert n_parameters <= 200 * n_levels
    # Counts of pairs of levels are kept for one pair of columns each, up to a million.
    assert sum(b.numel() for b in model.buffers()) <= 1_100_000


def test_rows_of_many_levels_come_back(flow: FlowDensity, table: pd.DataFrame) -> None:
    back = flow.inverse_transform(flow.transform(table))
    pd.testing.assert_frame_equal(back[["code", "other", "flag"]], table[["code", "other", "flag"]])
    assert np.isfinite(flow.score_samples(table)).all()


def test_probabilities_of_many_levels_sum_to_one(flow: FlowDensity, table: pd.DataFrame) -> None:
    levels = flow.schema_.columns[0].levels
    alone = FlowDensity(**TWO_EPOCHS).fit(table[["code"]])
    rows = pd.DataFrame({"code": [*levels, "never seen"]})
    assert np.exp(alone.score_samples(rows)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.slow
def test_relations_of_many_levels_are_learnt(flow: FlowDensity, table: pd.DataFrame) -> None:
    """The flag follows from the code, where the code is one of few that are frequent."""
    frequent = table.assign(code=np.where(table.index % 3 == 0, "rare", table["code"].str[:2]))
    pair = FlowDensity(random_state=0, max_iter=10).fit(frequent[["code", "flag"]])
    flag = FlowDensity(random_state=0, max_iter=10).fit(frequent[["flag"]])
    code = FlowDensity(random_state=0, max_iter=10).fit(frequent[["code"]])
    apart = flag.score(frequent[["flag"]]) + code.score(frequent[["code"]])
    assert pair.score(frequent[["code", "flag"]]) > apart + 0.05


def test_the_first_labelled_column_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to read: the work is that of its levels, not of these times the rows."""
    seen = []

    def spy(heads: _Heads, hidden: torch.Tensor, *others: torch.Tensor | None) -> torch.Tensor:
        seen.append((heads.members, hidden.shape[2]))
        return forward(heads, hidden, *others)

    forward = _Heads.forward
    rng = np.random.default_rng(0)
    names = [f"v{code}" for code in np.resize(np.arange(300), 900)]
    X = pd.DataFrame({"name": names, "kind": rng.choice(list("ab"), 900)})
    flow = FlowDensity(n_layers=0, max_iter=1, random_state=0).fit(X)
    monkeypatch.setattr(_Heads, "forward", spy)
    scores = flow.score_samples(X)
    assert sorted(seen) == [([0], 1), ([1], 900)]
    every = pd.DataFrame({"name": [f"v{code}" for code in range(300)]})
    mass = sum(np.exp(flow.score_samples(every.assign(kind=kind))).sum() for kind in "ab")
    assert 0.9 < mass <= 1
    np.testing.assert_allclose(flow.score_samples(X.head(7)), scores[:7], rtol=1e-9)
