"""Numbers with a label of their own are told apart and given back, whatever their size."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skflow.exceptions import LostDigitsWarning
from tests.table.trips import assert_comes_back, assert_same, fit_column

quick = settings(max_examples=20, deadline=None)
LIMITS = {np.int64: (-(2**63), 2**63 - 1), np.uint64: (0, 2**64 - 1)}
UNITS = ["s", "ms", "us", "ns"]
CONTAINERS = {
    "array": lambda values: values[:, None],
    "pandas": lambda values: pd.DataFrame({"a": values}),
    "polars": lambda values: pl.DataFrame({"a": values}),
}


@st.composite
def few_integers(draw: st.DrawFn, least: int = 1, most: int = 12) -> NDArray:
    """Different integers of 64 bits: anywhere, next to each other, at the ends."""
    dtype = draw(st.sampled_from([np.int64, np.uint64]))
    low, high = LIMITS[dtype]
    start = draw(st.integers(low, high - 20))
    near = st.integers(start, start + 20)
    anywhere = st.one_of(near, st.integers(low, high), st.sampled_from([low, high]))
    numbers = draw(st.lists(anywhere, min_size=least, max_size=most, unique=True))
    return np.array(sorted(numbers), dtype=dtype)


def labels_of(values: NDArray, **options: Any) -> NDArray:
    fitted = fit_column(values, **options)
    return fitted.encode(pd.DataFrame({"a": values})).labels[:, 0]


@quick
@given(few_integers(least=2), st.sampled_from(sorted(CONTAINERS)))
def test_integers_as_levels(numbers: NDArray, container: str) -> None:
    table = CONTAINERS[container](np.tile(numbers, 20))
    fitted = assert_comes_back(table)
    assert fitted.column.kind == "levels"
    assert fitted.column.levels == tuple(numbers.tolist())
    np.testing.assert_array_equal(
        fitted.encode(table).labels[:, 0], np.tile(np.arange(len(numbers)), 20)
    )


@quick
@given(few_integers(), st.sampled_from(sorted(CONTAINERS)))
def test_integers_as_categories(numbers: NDArray, container: str) -> None:
    """Once each as well; an integer beside one of them was never seen."""
    table = CONTAINERS[container](numbers)
    fitted = assert_comes_back(table, categorical_features=[0])
    np.testing.assert_array_equal(fitted.encode(table).labels[:, 0], np.arange(len(numbers)))
    beside = numbers ^ numbers.dtype.type(1)
    for other in sorted({*beside.tolist()} - {*numbers.tolist()}):
        later = CONTAINERS[container](np.full(len(numbers), other, dtype=numbers.dtype))
        assert (fitted.encode(later).labels == len(numbers)).all()
        with pytest.raises(ValueError, match="never seen"):
            fitted.transform(later)


@quick
@given(few_integers(most=1))
def test_an_integer_as_constant(numbers: NDArray) -> None:
    fitted = assert_comes_back(np.repeat(numbers, 9)[:, None])
    assert fitted.column.kind == "constant"
    assert fitted.column.levels == tuple(numbers.tolist())


@quick
@given(few_integers(most=3), st.integers(1, 40), st.data())
def test_integers_as_atoms(atoms: NDArray, bits: int, data: Any) -> None:
    """Far from the others they are labels, so that they come back though the others may not."""
    low, high = LIMITS[atoms.dtype.type]
    start = data.draw(st.integers(low, high - 2**bits))
    rng = np.random.default_rng(bits)
    others = [start + int(share * 2**bits) for share in rng.random(100)]
    values = np.array([*np.repeat(atoms, 40).tolist(), *others], dtype=atoms.dtype)
    frame = pd.DataFrame({"a": values})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skflow.table.inference.warn_caller", lambda *_: None)
        fitted = fit_column(values)
    if not set(atoms.tolist()) <= set(fitted.column.atoms):
        return  # in the midst of many neighbours that repeat
    back = fitted.there_and_back(frame)["a"].to_numpy()
    is_atom = np.isin(values, atoms, kind="sort")  # the usual one overflowed in NumPy 2.0
    np.testing.assert_array_equal(back[is_atom], values[is_atom])
    labels = fitted.encode(frame).labels[:, 0]
    assert len(set(labels[is_atom].tolist())) == len(atoms)


@quick
@given(dtype=st.sampled_from([np.int64, np.uint64]), data=st.data())
def test_integers_with_holes(dtype: type, data: Any) -> None:
    """Nullable dtypes keep 64 bits; float64 would not."""
    low, high = LIMITS[dtype]
    numbers = data.draw(st.lists(st.integers(low, high), min_size=2, max_size=5, unique=True))
    cells = [*numbers, None] * 20
    name = {np.int64: "Int64", np.uint64: "UInt64"}[dtype]
    for table in (
        pd.DataFrame({"a": pd.array(cells, name)}),
        pl.DataFrame({"a": pl.Series(cells, dtype=getattr(pl, name))}),
        pd.DataFrame({"a": pd.array(cells, name)}).convert_dtypes(dtype_backend="pyarrow"),
    ):
        assert_comes_back(table)
        assert_comes_back(table, categorical_features=[0])


@quick
@given(kind=st.sampled_from("Mm"), unit=st.sampled_from(UNITS), data=st.data())
def test_dates_and_durations_as_labels(kind: str, unit: str, data: Any) -> None:
    """Of every unit and any span: as categories, as a constant, as atoms."""
    limit = 2**63 - 1
    start = data.draw(st.integers(-limit, limit - 20))
    tick = st.one_of(st.integers(start, start + 20), st.integers(-limit, limit))
    ticks = data.draw(st.lists(tick, min_size=1, max_size=9, unique=True))
    times = np.array(sorted(ticks)).view(f"{kind}8[{unit}]")
    fitted = assert_comes_back(times[:, None], categorical_features=[0])
    labels = fitted.encode(times[:, None]).labels[:, 0]
    np.testing.assert_array_equal(labels, np.arange(len(times)))
    assert_comes_back(np.repeat(times[:1], 9)[:, None])
    # One time in most rows, among others that may span any number of steps.
    few = np.concatenate((np.repeat(times[:1], 60), times))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skflow.table.inference.warn_caller", lambda *_: None)
        fitted = fit_column(few)
    back = fitted.there_and_back(pd.DataFrame({"a": few}))["a"].to_numpy()
    assert (back[:60] == times[0]).all()


def test_the_same_numbers_in_another_storage_have_the_same_labels() -> None:
    ids = 2**60 + 2**8 * np.arange(3)  # floats hold these
    fitted = fit_column(np.tile(ids, 20))
    for later in (ids.astype(np.uint64), ids.astype(float), ids.astype(object)):
        assert_same(fitted.decode(fitted.transform(pd.DataFrame({"a": later}))), frame_of(ids))
        assert fitted.encode(pd.DataFrame({"a": later})).labels[:, 0].tolist() == [0, 1, 2]
    # Beside 2^60 a float is 2^60: integers are not.
    assert fitted.encode(frame_of(ids + 1)).labels[:, 0].tolist() == [3, 3, 3]
    narrow = fit_column(np.tile([5, 300], 30))
    assert narrow.encode(frame_of(np.array([5, 44], np.int8))).labels[:, 0].tolist() == [0, 2]
    assert narrow.encode(frame_of(np.array([5, 2**64 - 1], np.uint64))).labels[1] == 2
    floats = fit_column(np.tile([0.1, 0.5], 30))
    assert floats.encode(frame_of(np.array([0.1, 0.5], np.float32))).labels[:, 0].tolist() == [2, 1]
    dates = fit_column(np.tile(np.array(["2020-01-01", "2021-01-01"], "M8[s]"), 30))
    as_labels = fit_column(
        np.array(["2020-01-01", "2021-01-01"], "M8[s]"), categorical_features=["a"]
    )
    late = np.array(["2020-01-01T00:00:00.000000000", "2021-01-01T00:00:00.000000001"], "M8[ns]")
    assert as_labels.encode(frame_of(late)).labels[:, 0].tolist() == [0, 2]
    assert dates.column.kind == "date"


def frame_of(values: NDArray) -> pd.DataFrame:
    return pd.DataFrame({"a": values})


def test_pinned_numbers_that_the_dtype_cannot_hold() -> None:
    """A schema of other rows: such levels are known, but no row of this dtype has them."""
    schema = fit_column(np.tile([1, 2, 300], 30)).schema
    narrow = fit_column(np.tile(np.array([1, 2], np.int8), 30), column_kinds=schema)
    assert narrow.codec.layout.n_labels == (3,)
    assert narrow.encode(frame_of(np.array([1, 2, 127], np.int8))).labels[:, 0].tolist() == [
        0,
        1,
        3,
    ]
    assert_same(
        narrow.there_and_back(frame_of(np.array([2], np.int8))), frame_of(np.array([2], np.int8))
    )


def test_numbers_beyond_64_bits_are_read_with_a_warning() -> None:
    with pytest.warns(LostDigitsWarning, match="of more digits than a float64"):
        fit_column(pd.Series([10**30 + i for i in range(60)], dtype=object))
