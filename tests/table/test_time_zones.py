"""Dates of every time zone and unit: read, given back, and kept in model files."""

import json
import pickle
import zoneinfo
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import dateutil.tz
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skflow import FlowDensity, load
from skflow.archive.dtypes import pack_dtype, unpack_dtype
from skflow.command_line.main import main
from skflow.table.frames import Container
from tests.settings import TWO_GAUSSIANS, slow_but


def is_known(zone: str, convert: Callable[[str], Any]) -> bool:
    """Whether a library has heard of a zone of this machine; early versions lack some."""
    try:
        convert(zone)
    except Exception:
        return False
    return True


@cache
def zones_of_pandas() -> list[str]:
    return [
        zone
        for zone in sorted(zoneinfo.available_timezones())
        if is_known(zone, lambda name: pd.Timestamp(0, tz=name))
    ]


@cache
def zones_of_polars() -> list[str]:
    return [
        zone
        for zone in zones_of_pandas()
        if zone not in ("Factory", "localtime")
        and is_known(zone, lambda name: pl.Series([0]).cast(pl.Datetime("us", name)).dt.hour())
    ]


# A name of each form.
NAMES = ["America/New_York", "America/Port-au-Prince", "America/Indiana/Knox", "Etc/GMT+3", "NZ"]
UNITS = ["s", "ms", "us", "ns"]
FIXED = ["+01:00", "-09:30", "UTC+05:45", UTC, timezone(timedelta(hours=-3))]
# Of these a model file holds nothing, for they have no name that stands for all that they are.
UNNAMED = [
    dateutil.tz.gettz("America/New_York"),
    dateutil.tz.tzutc(),
    dateutil.tz.tzoffset(None, 3600),
    timezone(timedelta(hours=1), "CET"),
]


def instants(unit: str) -> pd.Series:
    """Dates in UTC, one of them missing, about a change of summer time."""
    dates = pd.Series(pd.date_range("2026-03-07", periods=20, freq="7h", tz="UTC"))
    return dates.mask(dates.index == 3).dt.as_unit(unit)


def pandas_frame(unit: str, zones: list[Any]) -> pd.DataFrame:
    """A column of each zone."""
    dates = instants(unit)
    return pd.DataFrame({f"{j}": dates.dt.tz_convert(zone) for j, zone in enumerate(zones)})


def arrow_frame(unit: str, zones: list[str]) -> pd.DataFrame:
    dates = instants(unit)
    dtypes = [pd.ArrowDtype(pa.timestamp(unit, zone)) for zone in zones]
    return pd.DataFrame({f"{j}": dates.astype(dtype) for j, dtype in enumerate(dtypes)})


def polars_frame(unit: str, zones: list[str]) -> pl.DataFrame:
    dates = pl.Series(instants(unit).dt.tz_localize(None).to_numpy())
    dtypes = [pl.Datetime(unit, zone) for zone in zones]
    return pl.DataFrame({f"{j}": dates.cast(dtype) for j, dtype in enumerate(dtypes)})


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, pl.DataFrame):
        assert one.schema == other.schema
        assert one.equals(other)
    else:
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def assert_read_and_given_back(frame: Any) -> None:
    container = Container.fit(frame, list(frame.columns))
    stored = container.read(frame).columns
    counts = instants("ns").dropna().astype("int64").to_numpy()
    for column in stored:
        assert (column.family.name, column.zoned) == ("date", True)
        seconds = column.values[column.present] * float(column.tick)
        np.testing.assert_array_equal(seconds, counts / 1e9)
    assert_same(container.build(stored, None), frame)


@pytest.mark.parametrize("unit", slow_but(["s"], UNITS))
def test_pandas_frames_of_every_zone(unit: str) -> None:
    assert_read_and_given_back(pandas_frame(unit, [*zones_of_pandas(), *FIXED, *UNNAMED]))


@pytest.mark.parametrize("unit", slow_but(["ns"], UNITS))
def test_arrow_columns_of_every_zone(unit: str) -> None:
    part = zones_of_pandas()[UNITS.index(unit) :: len(UNITS)]  # pandas takes a second for each ten
    assert_read_and_given_back(arrow_frame(unit, [*part, *FIXED[:2]]))


@pytest.mark.parametrize("unit", slow_but(["us"], UNITS[1:]))
def test_polars_frames_of_every_zone(unit: str) -> None:
    assert_read_and_given_back(polars_frame(unit, zones_of_polars()))


@pytest.mark.parametrize("unit", slow_but(["s", "ns"], UNITS))
def test_files_hold_dtypes_of_every_zone(unit: str) -> None:
    dtypes: list[Any] = [pd.DatetimeTZDtype(unit, zone) for zone in [*zones_of_pandas(), *FIXED]]
    dtypes += [pd.ArrowDtype(pa.timestamp(unit, zone)) for zone in [*zones_of_pandas(), *FIXED[:2]]]
    dtypes += [pl.Datetime(unit, zone) for zone in zones_of_polars() if unit != "s"]
    for dtype in dtypes:
        packed = json.loads(json.dumps(pack_dtype(dtype)))
        assert unpack_dtype(packed) == dtype


@pytest.mark.parametrize("make", [pandas_frame, arrow_frame, polars_frame])
def test_models_come_back_from_files_and_pickles(make: Any, tmp_path: Path) -> None:
    frame = make("us", NAMES if make is polars_frame else [*NAMES, "+01:00"])
    flow = FlowDensity(**TWO_GAUSSIANS).fit(frame)
    flow.save(tmp_path / "model")
    latents = flow.transform(frame)
    assert_same(flow.inverse_transform(latents), frame)
    for loaded in (load(tmp_path / "model"), pickle.loads(pickle.dumps(flow))):
        np.testing.assert_array_equal(loaded.transform(frame), latents)
        assert_same(loaded.inverse_transform(latents), frame)


@pytest.mark.parametrize("zone", UNNAMED, ids=str)
def test_zones_without_a_name_are_pickled_and_refused_by_files(zone: Any, tmp_path: Path) -> None:
    frame = pandas_frame("us", [zone])
    flow = FlowDensity(**TWO_GAUSSIANS).fit(frame)
    loaded = pickle.loads(pickle.dumps(flow))
    assert_same(loaded.inverse_transform(loaded.transform(frame)), frame)
    with pytest.raises(TypeError, match=r"Column '0': .*time zone .*; convert it to UTC"):
        flow.save(tmp_path / "model")


def test_most_zones_are_known() -> None:
    assert len(zones_of_polars()) > 0.95 * len(zoneinfo.available_timezones())


def test_the_command_line_reads_parquet_files_of_zones(tmp_path: Path) -> None:
    zones = ["America/New_York", "Etc/GMT+3", "America/Argentina/Buenos_Aires"]
    if int(pd.__version__.partition(".")[0]) > 2:  # before, an offset was read without a name
        zones.append("+05:45")
    table, model, scores = (str(tmp_path / name) for name in ("t.parquet", "m", "s.csv"))
    frame = pandas_frame("us", zones)
    frame.to_parquet(table)
    assert main(["fit", table, "-o", model, "--quiet", "--max-iter", "1"]) == 0
    assert main(["score", model, table, "-o", scores, "--quiet"]) == 0
    written = pd.read_csv(scores)["log_density"]
    np.testing.assert_allclose(written, load(model).score_samples(frame), rtol=1e-9)
