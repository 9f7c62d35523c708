"""Columns that are hardly categories are named once, and so are cells of another type."""

import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import cross_val_score

from skflow import FlowDensity, FlowOutlierDetector
from skflow.exceptions import DoubtfulColumnsWarning, StrangeLabelsWarning
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from tests.settings import ONE_GAUSSIAN
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N = 1000
RNG = np.random.default_rng(0)


def words(n_distinct: int, n_rows: int, prefix: str = "word") -> list[str]:
    """So many different words, each at least once."""
    numbers = np.append(np.arange(n_distinct), RNG.integers(n_distinct, size=n_rows - n_distinct))
    return [f"{prefix} {i}" for i in RNG.permutation(numbers)]


def days(n_distinct: int, n_rows: int, form: str = "%Y-%m-%d") -> list[str]:
    numbers = np.append(np.arange(n_distinct), RNG.integers(n_distinct, size=n_rows - n_distinct))
    return (pd.Timestamp("2020") + pd.to_timedelta(numbers, "D")).strftime(form).tolist()


def amounts(n_distinct: int, n_rows: int, point: str) -> list[str]:
    numbers = np.append(np.arange(n_distinct), RNG.integers(n_distinct, size=n_rows - n_distinct))
    return [f"{number / 10}".replace(".", point) for number in numbers]


def warned(frame: Any, **parameters: Any) -> list[str]:
    """The warnings of inference."""
    names = list(getattr(frame, "columns", [f"x{j}" for j in range(frame.shape[1])]))
    table = Container.fit(frame, names).read(frame)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        infer_schema(table, **parameters)
    assert all(warning.category is DoubtfulColumnsWarning for warning in caught)
    return [str(warning.message) for warning in caught]


SENSIBLE: dict[str, Callable[[], Any]] = {
    "countries": lambda: words(41, N),
    "zones of a city": lambda: words(203, 6388),
    "directors of films": lambda: words(550, 1870),
    "aeroplanes": lambda: words(3490, 32735),
    "many in few rows": lambda: words(60, 100),
    "days of a few snapshots": lambda: days(12, N),
    "postal codes": lambda: [f"{number:05d}" for number in RNG.integers(300, size=N)],
    "few grades": lambda: amounts(40, N, ","),
    "numbers that are no dates": lambda: words(100, N, prefix="2020-01"),
}
DOUBTFUL: dict[str, Callable[[], Any]] = {
    "names of cars": lambda: words(305, 398),
    "identifiers of groups": lambda: words(9409, 26217),
    "amounts with a decimal comma": lambda: amounts(164, N, ","),
    "amounts as text": lambda: amounts(164, N, "."),
    "amounts in per cent": lambda: [f"{number}%" for number in (*range(164), *[7] * (N - 164))],
    "days": lambda: days(365, N),
    "days as objects": lambda: [date.fromisoformat(day) for day in days(365, N)],
    "times": lambda: days(365, N, "%Y-%m-%d %H:%M:%S"),
    "times with T": lambda: days(365, N, "%Y-%m-%dT%H:%M"),
}


@pytest.mark.parametrize("name", SENSIBLE)
def test_sensible_columns_are_taken_without_a_word(name: str) -> None:
    assert warned(pd.DataFrame({"a": SENSIBLE[name]()})) == []


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubtful_columns_are_named_unless_the_user_insists(name: str, dtype: str) -> None:
    frame = pd.DataFrame({"a": pd.Series(DOUBTFUL[name](), dtype=dtype)})
    (message,) = warned(frame)
    n_distinct = frame["a"].nunique()
    assert f"'a' ({n_distinct} different in {len(frame)} rows)" in message
    lines = {
        "amounts": 'pd.read_csv(..., decimal=",")',
        "days": "X['a'] = pd.to_datetime(X['a'])",
        "times": "X['a'] = pd.to_datetime(X['a'])",
    }
    assert lines.get(name.split()[0], "X = X.drop(columns=['a'])") in message
    assert "column_kinds={'a': 'categorical'}" in message
    assert warned(frame, column_kinds={"a": "categorical"}) == []
    assert warned(frame, categorical_features=["a"]) == []


def test_one_warning_names_all_columns() -> None:
    frame = pd.DataFrame({"day": days(365, N), "a": words(700, N), "b": words(600, N), "x": 1})
    (message,) = warned(frame)
    assert "X = X.drop(columns=['a', 'b'])" in message
    assert "X['day'] = pd.to_datetime(X['day'])" in message
    assert "'x'" not in message


def test_the_lines_work() -> None:
    """In each container."""
    frame = pd.DataFrame({"day": days(365, N), "a": words(700, N)})
    for X in (frame, pl.from_pandas(frame), frame.to_numpy()):
        (message,) = warned(X)
        lines = [line for line in message.splitlines() if ": X" in line]
        drop, convert = (line.partition(": ")[2] for line in lines)
        names = {"X": X.copy() if not isinstance(X, pl.DataFrame) else X, "pd": pd, "pl": pl}
        exec(convert, names | {"np": np}, names)
        assert warned(names["X"], column_kinds={1: "categorical"}) == []
        names["X"] = X
        exec(drop, names | {"np": np}, names)
        assert names["X"].shape == (N, 1)


@pytest.mark.parametrize("robust", [False, True])
def test_detectors_warn_once(robust: bool) -> None:
    frame = pd.DataFrame({"a": words(200, 300), "x": RNG.normal(size=300)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).set_params(robust=robust).fit(frame)
    assert [w.category for w in caught].count(DoubtfulColumnsWarning) == 1


def test_cross_validation_warns_once_a_fit() -> None:
    frame = pd.DataFrame({"a": words(200, 300), "x": RNG.normal(size=300)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_val_score(FlowDensity(**ONE_GAUSSIAN), frame, cv=3)
    assert [w.category for w in caught].count(DoubtfulColumnsWarning) == 3


# Cells of another type than the labels

LABELS: dict[str, tuple[Any, Any, str]] = {
    "text for integers": ([5, 6, 7], ["5", "6", "7"], r"'5'.*\(str\).* 5, 6, 7 \(int\).* to int"),
    "spelled floats": ([5, 6, 7], ["5.0", "6.0", "7.0"], r"'5.0'.*\(str\).* to int"),
    "integers for text": (["5", "6", "7"], [5, 6, 7], r"5.*\(int\).*'5', .*\(str\).* to str"),
    "truth for text": (["True", "False"], [True, False], r"True.*\(bool\).* to str"),
    "text for truth": ([True, False], ["True", "False"], r"'True'.*\(str\).* to bool"),
}


def categories(cells: list[Any], n_rows: int) -> pd.DataFrame:
    column = pd.Series(pd.Categorical(np.resize(np.array(cells, dtype=object), n_rows)))
    return pd.DataFrame({"a": column, "x": np.arange(n_rows) % 7 / 4})


@pytest.mark.parametrize("n_rows", [1, 50])
@pytest.mark.parametrize("name", LABELS)
def test_labels_of_another_type_are_named(name: str, n_rows: int) -> None:
    fitted, came, message = LABELS[name]
    flow = FlowDensity(**ONE_GAUSSIAN).fit(categories(fitted, 60))
    rows = categories(came, n_rows)
    with pytest.warns(StrangeLabelsWarning, match=r"'a' holds " + message) as w:
        scores = flow.score_samples(rows)
    assert len(w) == 1
    assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match=r"(?s)cannot be transformed.*'a' holds .*convert them to"):
        flow.transform(rows)
    flow.set_params(handle_unknown="ignore")
    with pytest.warns(StrangeLabelsWarning):
        assert flow.inverse_transform(flow.transform(rows))["a"].isna().all()


def test_detectors_warn_as_well() -> None:
    detector = unfitted(FlowOutlierDetector, **ONE_GAUSSIAN).fit(categories([5, 6, 7], 120))
    with pytest.warns(StrangeLabelsWarning, match="'a' holds '5'"):
        detector.score_samples(categories(["5", "6"], 20))


def test_new_labels_among_known_ones_are_no_reason_to_warn() -> None:
    flow = FlowDensity(**ONE_GAUSSIAN).fit(categories(["a", "b"], 60))
    flow.score_samples(categories(["a", "z"], 50))
    flow.score_samples(categories(["z"], 5))  # too few to tell
    flow.score_samples(categories(["a"], 5).assign(a=None))
    with pytest.warns(StrangeLabelsWarning, match="'A'.*check how they are spelled"):
        flow.score_samples(categories(["A"], 50))


def test_integers_with_holes_are_the_integers() -> None:
    flow = FlowDensity(**ONE_GAUSSIAN).fit(categories([5, 6, 7], 60))
    flow.score_samples(pd.DataFrame({"a": [17.0, np.nan], "x": [0.25, 0.5]}))
