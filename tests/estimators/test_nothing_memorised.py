"""No value that occurs once in the training rows can be read out of a fitted flow.

What categorical columns may hold is kept by design: their vocabulary, rare categories
among them. Numbers are kept only where they are repeated: as levels, atoms or constants.
"""

import itertools
import pickle
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Number

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from skflow import FlowDensity
from tests.settings import one_of_each

FloatArray = NDArray[np.float64]

CLOSE = 1e-9  # relative to the value


def numbers_in(thing: object, seen: dict[int, object]) -> Iterator[FloatArray]:
    """All numbers that are reachable from ``thing``, as arrays."""
    if id(thing) in seen or isinstance(thing, type | str | bytes):
        return
    seen[id(thing)] = thing  # kept alive, so that no other gets its id
    if isinstance(thing, bool | np.bool_) or thing is None:
        return
    if isinstance(thing, datetime | date):
        thing = np.datetime64(thing).astype("M8[ns]").view(np.int64)
    elif isinstance(thing, timedelta):
        thing = np.timedelta64(thing).astype("m8[ns]").view(np.int64)
    if isinstance(thing, Number | Decimal):
        if not isinstance(thing, complex):
            yield np.array([float(thing)])
    elif isinstance(thing, torch.Tensor):
        yield thing.detach().double().numpy().ravel()
    elif isinstance(thing, np.ndarray):
        yield from numbers_in_array(thing, seen)
    elif isinstance(thing, dict):
        yield from numbers_in([*thing, *thing.values()], seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for part in thing:
            yield from numbers_in(part, seen)
    elif isinstance(thing, pd.DataFrame | pd.Series | pd.Index):
        yield from numbers_in_array(thing.to_numpy(), seen)
    elif isinstance(thing, torch.nn.Module):
        yield from numbers_in(list(thing.state_dict().values()), seen)
        yield from numbers_in(vars(thing), seen)
    elif hasattr(thing, "__dict__"):
        yield from numbers_in(vars(thing), seen)


def numbers_in_array(array: NDArray, seen: dict[int, object]) -> Iterator[FloatArray]:
    if array.dtype.kind == "O":
        yield from numbers_in(array.ravel().tolist(), seen)
    elif array.dtype.kind in "Mm":
        yield array.astype(f"{array.dtype.kind}8[ns]").view(np.int64).astype(float).ravel()
    elif array.dtype.kind in "biuf":
        yield array.astype(float).ravel()
    if isinstance(array.base, np.ndarray):  # a view keeps all of its rows alive
        yield from numbers_in(array.base, seen)


def decoded_parameters(flow: FlowDensity, j: int) -> Iterator[FloatArray]:
    """What the parameters of a column's marginal and of the mixture stand for, as its values."""
    density = flow._density
    marginals, mixture = density.model.marginals, density.model.flow.mixture
    codec = density.codec.columns[j]
    valued = [c for c in density.codec.columns if c.labels.valued]
    if codec not in valued:
        return
    v = valued.index(codec)
    encoded = [marginals.x_knots[:, v, 0].numpy()]
    scores = [mixture.intercept]
    if mixture.missing_embedding is not None:
        scores.append(mixture.missing_embedding)
    # Means of the components, from their regressions on the columns before.
    regression = torch.eye(mixture.intercept.shape[1]) - mixture.coefficients.tril(-1)
    scores.append(torch.linalg.solve(regression, mixture.intercept[:, :, None]).squeeze(2))
    with torch.no_grad():
        for score in scores:
            back = marginals.inverse(score.T)
            encoded.append(back[v].numpy())
            shifts = [e.table[:, len(mixture.log_weights) :] for e in mixture.effects]
            for shift in itertools.chain.from_iterable(shifts):
                back = marginals.inverse((score + shift).T)
                encoded.append(back[v].numpy())
    for part in encoded:
        coordinates = codec.scaling.decode(part)
        yield part
        yield coordinates
        grid = codec.coordinates
        if hasattr(grid, "origin"):  # counted from it in steps of the grid
            yield (coordinates * grid.width + grid.origin) / grid.unit
            yield coordinates * grid.width + grid.origin


def found_in(numbers: FloatArray, secrets: FloatArray) -> FloatArray:
    """Which of ``secrets`` are among ``numbers``, or nearly."""
    numbers = np.unique(numbers[np.isfinite(numbers)])
    near = np.searchsorted(numbers, secrets).clip(1, len(numbers) - 1)
    gap = np.minimum(np.abs(numbers[near] - secrets), np.abs(numbers[near - 1] - secrets))
    return secrets[gap <= CLOSE * np.abs(secrets)]


def secrets_of(column: pd.Series) -> FloatArray:
    """Numbers of a column that occur once, in the units that anyone could think of."""
    once = column.dropna().drop_duplicates(keep=False)
    if once.dtype.kind in "Mm":
        nanoseconds = once.to_numpy().astype(f"{once.dtype.kind}8[ns]").view(np.int64)
        units = [nanoseconds / unit for unit in (1, 1e3, 1e6, 1e9)]
        return np.concatenate(units).astype(float)
    return once.to_numpy(dtype=float)


def rows(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Numbers of every kind, nearly all of them unique and none of them small and round."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal(n_rows)
    levels = np.resize([1234.5, 77.25], n_rows)
    levels[0] = 31.4159265  # a level that occurs once
    cents = rng.integers(10**6, 10**8, n_rows) / 100
    cents[0] = 10**7 + 0.25
    return pd.DataFrame(
        {
            "float": factor * 37.123 + rng.random(n_rows),
            "float32": (1e3 * factor + rng.random(n_rows)).astype(np.float32),
            "far": np.where(np.arange(n_rows) == 1, 98765.4321, factor),
            "integer": rng.integers(10**6, 10**9, n_rows),
            "price": cents,
            "hole": np.where(rng.random(n_rows) < 0.3, np.nan, 55.5 * np.exp(factor)),
            "atom": np.where(rng.random(n_rows) < 0.5, 0.0, 71.9 * np.exp(factor)),
            "level": levels,
            "when": np.datetime64("2019-07-08T09:10:11", "s")
            + rng.integers(1, 10**8, n_rows).astype("m8[s]"),
            "took": rng.integers(10**6, 10**9, n_rows).astype("m8[ms]"),
            "group": np.resize(["a", "b", "c"], n_rows),
        }
    )


PARAMS = {
    "closed form": {"n_layers": 0},
    "many components": {"n_layers": 0, "n_components": 6},
    "trained": {"n_layers": 2, "hidden_units": 8, "max_iter": 3},
}


def assert_nothing_memorised(flow: FlowDensity, df: pd.DataFrame) -> None:
    kept = np.concatenate(list(numbers_in(vars(flow), {})))
    pickled = pickle.loads(pickle.dumps(flow))
    kept = np.concatenate((kept, *numbers_in(vars(pickled), {})))
    leaks = {}
    for j, name in enumerate(df):
        if df[name].dtype.kind not in "iufMm":
            continue
        numbers = np.concatenate([kept, *decoded_parameters(flow, j)])
        found = found_in(numbers, secrets_of(df[name]))
        if len(found):
            leaks[name] = found.tolist()
    assert leaks == {}


@pytest.mark.parametrize(("n_rows", "weights"), one_of_each([11, 25, 101, 400], PARAMS))
def test_no_unique_number_is_kept(n_rows: int, weights: str) -> None:
    df = rows(n_rows)
    flow = FlowDensity(random_state=0, **PARAMS[weights]).fit(df)
    assert_nothing_memorised(flow, df)


@pytest.mark.parametrize(
    ("column", "n_rows"),
    one_of_each(
        ["float", "far", "integer", "price", "hole", "when", "level"],
        [2, 3, 11, 101],
    ),
)
def test_no_unique_number_of_a_single_column_is_kept(column: str, n_rows: int) -> None:
    df = rows(n_rows, seed=1)[[column]]
    for params in ({"n_components": 1}, {"n_components": 3}):
        flow = FlowDensity(n_layers=0, random_state=0, **params).fit(df)
        assert_nothing_memorised(flow, df)


OUTLIERS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "one far out": lambda x: np.append(x, 9876.54321),
    "one at either side": lambda x: np.append(x, [9876.54321, -1234.56789]),
    "one among zeros": lambda x: np.append(0 * x, 31.4159265),
    "one among equals": lambda x: np.append(0 * x + 7.77, 31.4159265),
    "one huge": lambda x: np.append(x, 1.23456789e200),
    "one tiny": lambda x: np.append(1e3 * (x + 10), 1.23456789e-100),
    "a tiny float32": lambda x: np.append(x, np.float32(1.23456789e-30)).astype(np.float32),
    "tiny float32s": lambda x: np.append(x, [2.0**-80, -(3.0**-50)]).astype(np.float32),
}


@pytest.mark.parametrize(("name", "n_components"), one_of_each(OUTLIERS, [1, 8, "auto"]))
def test_outliers_are_not_kept(name: str, n_components: int | str) -> None:
    """A component of its own, or the last knot, could hold one."""
    rng = np.random.default_rng(2)
    x = OUTLIERS[name](rng.standard_normal(100))
    for df in (
        pd.DataFrame({"x": x}),
        pd.DataFrame(
            {"x": x, "y": rng.standard_normal(len(x)), "z": np.resize(["a", "b"], len(x))}
        ),
    ):
        flow = FlowDensity(n_layers=0, n_components=n_components, random_state=0).fit(df)
        assert_nothing_memorised(flow, df)


def test_the_walk_finds_what_is_there() -> None:
    """The check of the check."""
    df = rows(101)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(df)
    secret = df["float"].iloc[7]
    for place in (
        {"a": [secret]},
        [(1, np.array([[secret]]))],
        torch.tensor([secret, 1.0], dtype=torch.float64),
        np.array([secret], dtype=object),
        pd.DataFrame({"a": [secret * (1 + 1e-11)]}),
        np.array([1.0, secret])[:0],
    ):
        flow.somewhere_ = place
        with pytest.raises(AssertionError, match="'float'"):
            assert_nothing_memorised(flow, df)


def test_vocabularies_are_kept_by_design() -> None:
    df = rows(101).assign(group=["once", *np.resize(["a", "b"], 100)])
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(df)
    assert "once" in flow.schema_.columns[-1].levels
    assert 1234.5 in flow.schema_.columns[7].levels
    assert 31.4159265 not in flow.schema_.columns[7].levels


def test_training_rows_are_not_kept_alive() -> None:
    """An empty slice of an array keeps all of it."""
    df = rows(101)
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(df)
    X = df[["float", "far", "price"]].to_numpy()
    of_array = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
    for fitted in (flow, of_array):
        density = fitted._density
        stored = [*density.container.fitted, *(codec.stored for codec in density.codec.columns)]
        for column in stored:
            assert column.values.base is None or column.values.base.size == 0
            assert column.missing.base is None or column.missing.base.size == 0
