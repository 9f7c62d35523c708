"""How often rows are encoded in a fit, and that a fit goes on from any of its states."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.clock import Clock
from skflow.fitted import table_rows
from skflow.fitted.fit import FitState, fit_model
from skflow.fitted.settings import FitSettings
from skflow.fitted.table_rows import EncodableTable, TableRows
from skflow.flow.model import Rows
from skflow.flow.recipe import model_state
from skflow.reporter import Reporter
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredTable
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import ONE_TINY_LAYER, slow_but
from tests.tables import correlated

TABLES = {
    "numbers": (lambda: pd.DataFrame(correlated(200, 3, seed=0)), {}),
    "mixed": (lambda: every_kind(150), {}),
    "without held-out rows": (lambda: every_kind(150), {"early_stopping": False}),
}


def encodings_of_a_fit(X: pd.DataFrame, **parameters: object) -> int:
    """Return how many rows a fit encodes."""
    n_encoded, encode = 0, TableCodec.encode

    def count(self: TableCodec, table: StoredTable, *rest: Any):
        nonlocal n_encoded
        n_encoded += table.n_rows
        return encode(self, table, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TableCodec, "encode", count)
        FlowDensity(**ONE_TINY_LAYER | parameters).fit(X)
    return n_encoded


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_encoded_at_most_twice(name: str) -> None:
    """The refit of so few rows among them."""
    make, parameters = TABLES[name]
    X = make()
    assert len(X) < encodings_of_a_fit(X, **parameters) <= 2 * len(X)


def test_rows_that_are_not_kept_are_encoded_at_most_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table that takes too much memory; so many rows are not fitted again."""
    monkeypatch.setattr(table_rows, "MOST_ROWS_KEPT", 50)
    monkeypatch.setattr(table_rows, "MOST_BYTES_KEPT", 0)
    monkeypatch.setattr("skflow.estimators.density.MOST_ROWS_TO_REFIT", 50)
    X = every_kind(300)
    assert len(X) < encodings_of_a_fit(X) <= 2 * len(X)


def rows_and_settings(table: pd.DataFrame) -> tuple[TableRows, FitSettings]:
    """Return all rows, and the settings of a small fit to four fifths of them."""
    density = FlowDensity(**ONE_TINY_LAYER)
    density.feature_names_in_ = np.array(table.columns, dtype=object)
    density.n_features_in_ = table.shape[1]
    encodable = EncodableTable.learn(density, table)
    settings = FitSettings.choose(
        density,
        encodable.codec,
        len(table) * 4 // 5,
        device=torch.device("cpu"),
        seed=0,
        clock=Clock(),
        reporter=Reporter(),
    )
    return encodable.rows.keep(), settings


class StoppedError(Exception):
    """What stops a fit in these tests."""


@pytest.mark.parametrize("n_states", slow_but([5], [1, 3, 5]))
def test_a_fit_goes_on_from_any_of_its_states(n_states: int) -> None:
    """To the same weights, bit for bit; the second fit begins with the fourth state."""
    rows, settings = rows_and_settings(every_kind(150))

    def fit(state: FitState, n_left: int | None = None) -> FitState:
        generator = seeded(0)
        train, held_out = rows.split(0.2, generator)
        kept: list[FitState] = []

        def keep(now: FitState) -> None:
            kept.append(copy.deepcopy(now))
            if len(kept) == n_left:
                raise StoppedError

        try:
            fit_model(train, held_out, rows, settings, generator, state, keep)
        except StoppedError:
            return kept[-1]
        return state.finished or state

    whole = fit(FitState())
    stopped = fit(FitState(), n_states)
    assert (stopped.finished is not None) == (n_states > 3)
    resumed = fit(stopped)
    expected, found = model_state(whole.model), model_state(resumed.model)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert resumed.history.train_score == whole.history.train_score


def test_the_second_fit_counts_by_its_log_density_of_the_held_out_rows() -> None:
    """Once, at its end: in its epochs it scores the rows that it is trained on."""
    rows, settings = rows_and_settings(pd.DataFrame(correlated(200, 3, seed=0)))
    generator = seeded(0)
    train, held_out = rows.split(0.2, generator)
    states: list[FitState] = []
    fit_model(train, held_out, rows, settings, generator, FitState(), states.append)
    first, second = states[0], states[-1]
    assert second.finished is first
    assert np.isfinite(first.history.validation_score).all()
    assert np.isnan(second.history.validation_score).all()
    unseen = held_out.take(slice(None))
    with torch.inference_mode():
        scores = second.model.log_prob(Rows.of(unseen)).numpy() + unseen.log_volume
    assert second.history.best_score == pytest.approx(scores.mean(), abs=1e-4)
    assert (first.model is second.model) == (second.history.best_score > first.history.best_score)
