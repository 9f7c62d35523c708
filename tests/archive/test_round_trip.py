"""What is loaded is what was saved, to the last bit and whatever it was fitted on."""

import errno
import json
import math
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from skflow import FlowDensity, FlowOutlierDetector, load
from skflow.archive.scalars import pack_scalar, unpack_scalar
from tests.archive.bases import MIX, MIXED, NUMBERS, POLARS, TEXTS, Thing
from tests.archive.parts import put_together, take_apart
from tests.mixed import object_array
from tests.settings import ONE_GAUSSIAN, ONE_TINY_LAYER, ROOT, script
from tests.tables import unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

Fitted = FlowDensity | FlowOutlierDetector


def saved_and_loaded(fitted: Any, folder: Path) -> Any:
    path = folder / "model.skflow"
    fitted.save(path)
    return load(path)


def assert_same(one: Any, other: Any) -> None:
    """Equal in value and type, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_column_type=True)
    elif isinstance(one, pl.DataFrame):
        assert one.schema == other.schema
        assert one.equals(other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        if one.dtype == object:
            assert_same(one.ravel().tolist(), other.ravel().tolist())
        else:
            np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(list(one.values()), list(other.values()))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, np.random.RandomState):
        assert_same(one.get_state(), other.get_state())
    else:
        assert one == other or (one != one and other != other)


def assert_same_density(one: FlowDensity, other: FlowDensity, X: Any) -> None:
    assert_same(one.score_samples(X), other.score_samples(X))
    latents = one.transform(X)
    assert_same(latents, other.transform(X))
    assert_same(one.inverse_transform(latents), other.inverse_transform(latents))
    assert_same(one.sample(5, random_state=1), other.sample(5, random_state=1))
    assert repr(one.schema_) == repr(other.schema_)
    assert one.schema_ == other.schema_
    for name in ("history_", "n_iter_", "best_validation_score_", "inverse_error_", "device_"):
        assert_same(getattr(one, name), getattr(other, name))
    assert_same(list(one.get_feature_names_out()), list(other.get_feature_names_out()))
    assert_same_names(one, other)


def assert_same_names(one: Fitted, other: Fitted) -> None:
    assert one.n_features_in_ == other.n_features_in_
    names = [getattr(each, "feature_names_in_", None) for each in (one, other)]
    assert_same(*names)


def arrows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": pd.array(range(60), dtype="int64[pyarrow]"),
            "text": pd.array(["a", "b", None] * 20, dtype="string[pyarrow]"),
            "large": pd.Series(["a", "b", "c"] * 20).astype("large_string[pyarrow]"),
            "when": pd.Series(pd.date_range("2020", periods=60, tz="Asia/Tokyo")).astype(
                "timestamp[ms, tz=Asia/Tokyo][pyarrow]"
            ),
            "while": pd.Series(pd.to_timedelta(range(60), unit="s")).astype("duration[s][pyarrow]"),
            "price": pd.Series([Decimal(i) / 4 for i in range(60)]).astype(
                pd.ArrowDtype(pa.decimal128(10, 2))
            ),
        }
    )


def categories() -> pd.DataFrame:
    numbers, days = np.arange(60) % 3, pd.DatetimeIndex(["2020", "2021", "2019"])
    return pd.DataFrame(
        {
            "interval": pd.cut(np.linspace(0, 1, 60), 3),
            "timestamp": pd.Categorical.from_codes(numbers, days),
            "zoned": pd.Categorical.from_codes(numbers, days.tz_localize("Europe/Paris")),
            "integer": pd.Categorical(numbers, categories=[2, 0, 1], ordered=True),
            "text": pd.Categorical(np.array(["x", "y", "z"])[numbers]),
        }
    )


def named_by_numbers() -> pd.DataFrame:
    return pd.DataFrame(NUMBERS[:60], columns=[10, 20, 30]).rename_axis(columns="which")


def cells() -> pd.DataFrame:
    """A column of objects of many types."""
    objects: list[Any] = [
        *(date(2020, 1, 2), datetime(2020, 1, 2, 3, tzinfo=UTC), timedelta(1), Decimal("1.50")),
        *(b"\x00\xff", UUID(int=5), (1, "a", (None,))),
        *(pd.Timestamp("2020", tz="Europe/Paris"), pd.Timedelta(5, "s"), pd.Interval(0, 1)),
        *(1, 1.0, True, "1", np.datetime64("2020-01"), np.timedelta64(3, "h")),
    ]
    column = pd.Series(objects * 4, dtype=object)
    return pd.DataFrame({"cells": column, "number": np.arange(len(column)) / 8})


TABLES: dict[str, Callable[[], Any]] = {
    "array": lambda: NUMBERS,
    "float32": lambda: NUMBERS.astype(np.float32),
    "whole": lambda: (100 * NUMBERS).astype(np.int32),
    "objects": lambda: object_array(80),
    "texts": lambda: TEXTS,
    "one column": lambda: NUMBERS[:, :1],
    "constant": lambda: np.column_stack([NUMBERS[:, 0], np.full(len(NUMBERS), 3.5)]),
    "all constant": lambda: pd.DataFrame({"a": ["x"] * 40, "b": ["y"] * 40}),
    "pandas": lambda: MIXED,
    "labels only": lambda: MIXED[["colour", "flag", "size"]],
    "arrow": arrows,
    "categories": categories,
    "names": named_by_numbers,
    "cells": cells,
    "polars": lambda: POLARS,
    "levels that leave numbers out": lambda: pd.DataFrame({"a": [*[0, 1] * 40, 7, 9]}),
    "labels of 64 bits": lambda: pd.DataFrame({"a": np.resize(2**63 - 1 - np.arange(5), 80)}),
}


@pytest.mark.filterwarnings("ignore::skflow.exceptions.DegenerateDensityWarning")
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, ONE_GAUSSIAN) for name in TABLES),
        *((name, ONE_TINY_LAYER) for name in ("array", "labels only", "cells")),
        *(pytest.param(name, ONE_TINY_LAYER, marks=pytest.mark.slow) for name in TABLES),
    ],
)
def test_densities_come_back(name: str, parameters: dict[str, Any], tmp_path: Path) -> None:
    X = TABLES[name]()
    flow = FlowDensity(**parameters).fit(X)
    loaded = saved_and_loaded(flow, tmp_path)
    assert_same_density(flow, loaded, X)
    before = (tmp_path / "model.skflow").read_bytes()
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == before


@pytest.mark.parametrize("offset", [1e9, 1e15])
def test_columns_far_from_0_come_back(offset: float, tmp_path: Path) -> None:
    """Only the last digits vary: the marginal's slopes are as large as 1e16."""
    X = offset + 1e-12 * offset * np.random.default_rng(0).standard_normal((400, 2))
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    assert float(flow._density.model.marginals.derivatives.max()) > 1e12
    np.testing.assert_array_equal(
        saved_and_loaded(flow, tmp_path).score_samples(X), flow.score_samples(X)
    )


@pytest.mark.usefixtures("few_fits")
@pytest.mark.parametrize("X", [NUMBERS, MIX], ids=["array", "pandas"])
def test_detectors_come_back(X: Any, tmp_path: Path) -> None:
    detector = unfitted(FlowOutlierDetector, **ONE_TINY_LAYER).set_params(contamination=0.1).fit(X)
    loaded = saved_and_loaded(detector, tmp_path)
    for method in ("score_samples", "decision_function", "predict", "p_values", "score_features"):
        assert_same(getattr(detector, method)(X), getattr(loaded, method)(X))
    assert_same(detector.offset_, loaded.offset_)
    assert_same(detector.n_calibration_, loaded.n_calibration_)
    own, back = detector.get_params(), loaded.get_params()
    assert type(own.pop("density")) is type(back.pop("density"))
    assert_same(own, back)
    assert_same_names(detector, loaded)
    assert_same_density(detector.density_, loaded.density_, X)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model.skflow").read_bytes()


PARAMETERS: dict[str, dict[str, Any]] = {
    "kinds": {"column_kinds": {"length": "continuous", 0: "categorical"}},
    "bounds": {"bounds": {"length": (None, 99.5), "weight": (-50, None)}},
    "list": {"categorical_features": ["colour", "flag"]},
    "mask": {"categorical_features": [True, True, False, False]},
    "generator": {"random_state": np.random.RandomState(3)},
    "numpy scalars": {"random_state": np.int64(7), "learning_rate": np.float64(0.01)},
    "numpy sizes": {"n_bins": np.int64(6), "n_components": np.int64(2), "max_iter": np.int32(3)},
    "numpy layers": {"n_layers": np.int64(1), "hidden_units": np.uint8(16), "max_iter": 1},
    "numpy rates": {"dropout": np.float32(0.25), "tol": np.float32(0.5)},
    "numpy bounds": {"bounds": {"length": (np.float64(-9e9), np.int64(10**10))}},
    "numpy keys": {"column_kinds": {np.int64(0): "categorical", np.str_("weight"): "continuous"}},
    "device": {"device": "cpu"},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_come_back(name: str, tmp_path: Path) -> None:
    flow = FlowDensity(**ONE_GAUSSIAN | PARAMETERS[name]).fit(MIX)
    loaded = saved_and_loaded(flow, tmp_path)
    expected = {key: _plain(value) for key, value in flow.get_params().items()}
    assert_same(expected | {"device": "auto"}, loaded.get_params())
    assert_same_density(flow, loaded, MIX)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def test_schemas_and_arrays_as_parameters(tmp_path: Path) -> None:
    reference = FlowDensity(**ONE_GAUSSIAN).fit(MIX)
    mask = np.array([True, True, False, False])
    for parameters in ({"column_kinds": reference.schema_}, {"categorical_features": mask}):
        flow = FlowDensity(**ONE_GAUSSIAN | parameters).fit(MIX)
        loaded = saved_and_loaded(flow, tmp_path)
        assert_same_density(flow, loaded, MIX)
        refitted = loaded.fit(MIX)  # the parameter is as good as it was
        assert_same(refitted.score_samples(MIX), flow.score_samples(MIX))
    assert loaded.categorical_features.tolist() == mask.tolist()


def test_bounds_of_dates(tmp_path: Path) -> None:
    X = MIXED[["day", "decimal"]]
    bounds = {"day": (pd.Timestamp("1990-01-01"), np.datetime64("2030-01-01"))}
    flow = FlowDensity(**ONE_GAUSSIAN, bounds=bounds).fit(X)
    loaded = saved_and_loaded(flow, tmp_path)
    assert_same(loaded.bounds, bounds)
    assert_same_density(flow, loaded, X)


def test_where_it_was_fitted_does_not_matter(tmp_path: Path) -> None:
    """A file of a GPU, as far as this can be told on a machine without one."""
    flow = FlowDensity(**ONE_TINY_LAYER, device=torch.device("cpu")).fit(NUMBERS)
    flow.save(tmp_path / "model")
    parts = take_apart((tmp_path / "model").read_bytes())
    parts.document["device"] = "cuda:0"
    parts.document["parameters"]["device"] = {"device": "cuda:0"}
    (tmp_path / "model").write_bytes(put_together(parts))
    loaded = load(tmp_path / "model", device="cpu")
    assert loaded.device_ == "cuda:0"
    assert loaded.device == "cpu"
    assert_same(loaded.score_samples(NUMBERS), flow.score_samples(NUMBERS))


def test_output_stays_set(tmp_path: Path) -> None:
    flow = FlowDensity(**ONE_GAUSSIAN).fit(MIX).set_output(transform="pandas")
    assert_same(saved_and_loaded(flow, tmp_path).transform(MIX), flow.transform(MIX))


@pytest.mark.parametrize("device", [None, 1.5, "tpu"])
def test_no_device_is_told(device: Any, tmp_path: Path) -> None:
    FlowDensity(**ONE_GAUSSIAN).fit(NUMBERS).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"device must be 'auto', 'cpu' or 'cuda\[:index\]', got"):
        load(tmp_path / "model", device=device)


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, opened = FlowDensity(**ONE_GAUSSIAN).fit(NUMBERS), os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    flow.save(tmp_path / "model")
    assert_same_density(flow, load(tmp_path / "model"), NUMBERS)


@pytest.mark.parametrize("name", ["m" * 255, "é" * 127])
def test_names_as_long_as_they_may_be(name: str, tmp_path: Path) -> None:
    FlowDensity(**ONE_GAUSSIAN).fit(NUMBERS).save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    flow = FlowDensity(**ONE_TINY_LAYER).fit(MIXED)
    flow.save(tmp_path / "model")
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    files = [tmp_path / name for name in ("model", "model.again", "scores.npy")]
    subprocess.run(script("load_and_save", *files), check=True, env=environment, cwd=ROOT)
    assert_same(np.load(tmp_path / "scores.npy"), flow.score_samples(MIXED))
    assert (tmp_path / "model.again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("estimator", [FlowDensity(), FlowOutlierDetector()])
def test_unfitted_is_not_saved(estimator: Fitted, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        estimator.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_subclasses_are_not_saved(tmp_path: Path) -> None:
    class Own(FlowDensity):
        pass

    with pytest.raises(TypeError, match=r"not Own, whose code .* Save it with joblib\.dump"):
        Own(**ONE_GAUSSIAN).fit(NUMBERS).save(tmp_path / "model")


@pytest.mark.parametrize(
    "categories",
    [(Thing(0), Thing(1)), (Fraction(1, 3), Fraction(1, 2)), (frozenset("a"), frozenset("b"))],
    ids=lambda categories: type(categories[0]).__name__,
)
def test_categories_that_no_file_holds_are_named_with_their_column(
    categories: tuple[Any, Any], tmp_path: Path
) -> None:
    X = pd.DataFrame({"sound": np.arange(40) / 4, "odd": [categories[i % 2] for i in range(40)]})
    flow = FlowDensity(**ONE_GAUSSIAN).fit(X)
    name = type(categories[0]).__name__
    with pytest.raises(TypeError, match=rf"'odd'.*{name}.* save the model with joblib\.dump"):
        flow.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@given(
    st.recursive(
        st.one_of(
            *(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(allow_nan=False),
                st.text(),
                st.binary(),
            ),
            *(
                st.decimals(allow_nan=False),
                st.uuids(),
                st.dates(),
                st.datetimes(),
                st.times(),
            ),
            st.datetimes(timezones=st.just(UTC)),
            st.timedeltas(),
            st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(pd.Timestamp),
            st.datetimes(datetime(1700, 1, 2), datetime(2200, 1, 1)).map(
                lambda time: pd.Timestamp(time, tz="UTC").tz_convert("America/New_York")
            ),
            st.integers(-(2**63) + 1, 2**63 - 1).map(lambda count: np.datetime64(count, "ns")),
            st.integers(-(2**63) + 1, 2**63 - 1).map(lambda count: np.timedelta64(count, "D")),
        ),
        lambda values: st.lists(values, max_size=3).map(tuple),
        max_leaves=5,
    )
    | st.sampled_from([math.nan, Decimal("NaN")])
)
def test_cells_come_back(value: Any) -> None:
    back = unpack_scalar(json.loads(json.dumps(pack_scalar(value))))
    assert type(back) is type(value)
    # What is not a number is not its own equal.
    assert repr(back) == repr(value) or back == value


def test_the_mode_of_a_file_stays(tmp_path: Path) -> None:
    flow = FlowDensity(**ONE_GAUSSIAN).fit(NUMBERS)
    flow.save(tmp_path / "model")
    (tmp_path / "model").chmod(0o640)
    flow.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640
