import numpy as np
import pandas as pd
import pytest

from skflow.outliers.trimming import FITTED, NORMAL, log_tail_probs
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from tests.settings import one_of_each, slow_but


def log_probs_of(frame: pd.DataFrame) -> np.ndarray:
    table = Container.fit(frame, [str(name) for name in frame.columns]).read(frame)
    schema = infer_schema(table, column_kinds=None, categorical_features="from_dtype", bounds=None)
    return log_tail_probs(TableCodec.fit(table, schema), table, seed=0)


def is_normal(frame: pd.DataFrame) -> np.ndarray:
    return log_probs_of(frame) >= np.log(NORMAL)


def is_learnt(frame: pd.DataFrame) -> np.ndarray:
    return log_probs_of(frame) >= np.log(FITTED)


def test_a_far_group_is_not_normal() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1_000, 3))
    rows[:100] += 8
    normal = is_normal(pd.DataFrame(rows, columns=["a", "b", "c"]))
    assert not normal[:100].any()
    assert normal[100:].mean() > 0.97


@pytest.mark.parametrize("share", slow_but([0.1, 0.38], [0.1, 0.2, 0.3, 0.38]))
def test_a_value_that_recurs_is_normal_with_the_rows_that_have_it(share) -> None:
    rng = np.random.default_rng(0)
    nothing = rng.random(1_000) < share
    frame = pd.DataFrame({"amount": rng.normal(100, 15, 1_000), "age": rng.normal(40, 10, 1_000)})
    frame.loc[nothing, "amount"] = 0.0
    frame.loc[:4, "age"] += 200
    normal = is_normal(frame)
    assert normal[5:][nothing[5:]].mean() > 0.8
    assert not normal[:5].any()


@pytest.mark.parametrize("shares", [[0.65, 0.35], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.3, 0.1, 0.1]])
def test_common_categories_are_normal(shares) -> None:
    levels = np.random.default_rng(0).choice(list("abcd")[: len(shares)], 600, p=shares)
    learnt = is_learnt(pd.DataFrame({"level": levels}))
    for level in np.unique(levels):
        assert learnt[levels == level].mean() > 0.5


@pytest.mark.parametrize(("share", "n_numbers"), one_of_each([0.1, 0.15, 0.2], [1, 3]))
def test_a_common_category_is_learnt_beside_numbers(share, n_numbers) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(1_000, n_numbers)), columns=list("abc")[:n_numbers])
    is_card = rng.random(1_000) < share
    frame["paid by"] = np.where(is_card, "card", "cash")
    assert is_learnt(frame)[is_card].mean() > 0.7


def test_categories_together_are_mostly_normal() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["female", "male"], 1_000, p=[0.35, 0.65]),
            "class": rng.choice(["first", "second", "third"], 1_000, p=[0.25, 0.2, 0.55]),
            "alive": rng.random(1_000) < 0.38,
        }
    )
    assert is_normal(frame).mean() > 0.75


@pytest.mark.parametrize("n_rows", [3, 5])
def test_of_a_handful_all_are_normal(n_rows) -> None:
    rows = np.random.default_rng(0).normal(size=(n_rows, 2))
    rows[0] = 1e6
    assert is_normal(pd.DataFrame(rows, columns=["a", "b"])).all()
