"""Whatever dtype a column has: it comes back from files and pickles, or is refused by fit."""

import pickle
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skflow import FlowDensity, load
from tests.archive.bases import Thing
from tests.settings import ONE_GAUSSIAN, TWO_GAUSSIANS

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N = 60
COUNTS = np.arange(N) % 50
HOLES = np.arange(N) % 7 == 3
LETTERS = [f"a{count % 3}" for count in COUNTS]
PRICES = [Decimal(int(count)) / 4 for count in COUNTS]
SIZES = ("8", "16", "32", "64")
NUMBERS = [*(f"Int{n}" for n in SIZES), *(f"UInt{n}" for n in SIZES), "Float32", "Float64"]


def polars_frame() -> pl.DataFrame:
    """A column of each dtype, and one of each with holes."""
    dtypes: list[tuple[list[Any], Any]] = [
        *((COUNTS.tolist(), getattr(pl, name)) for name in NUMBERS),
        *((COUNTS.tolist(), pl.Datetime(unit)) for unit in ("ms", "us", "ns")),
        *((COUNTS.tolist(), pl.Datetime(unit, "Asia/Tokyo")) for unit in ("ms", "us", "ns")),
        *((COUNTS.tolist(), pl.Duration(unit)) for unit in ("ms", "us", "ns")),
        *((PRICES, pl.Decimal(digits, 2)) for digits in (10, 38)),
        *((LETTERS, dtype) for dtype in (pl.String, pl.Categorical, pl.Enum(["a2", "a1", "a0"]))),
        *((COUNTS.tolist(), pl.Date), ((COUNTS > 9).tolist(), pl.Boolean), ([None] * N, pl.Null)),
        *(([(1,), (2,)] * (N // 2), pl.Object), ([1, "a", None] * (N // 3), pl.Object)),
        *((COUNTS.tolist(), pl.Object), ([None] * N, pl.Object)),
    ]
    if hasattr(pl, "Float16"):
        dtypes.append((COUNTS.tolist(), pl.Float16))
    if hasattr(pl, "Categories"):
        own = pl.Categorical(pl.Categories("own", "space", physical=pl.UInt8))
        # Earlier versions of narwhals read only the categories that all columns share.
        if nw.from_native(pl.Series(LETTERS, dtype=own), series_only=True).dtype == nw.Categorical:
            dtypes.append((LETTERS, own))
    columns = {}
    for j, (cells, dtype) in enumerate(dtypes):
        whole = pl.Series(cells, dtype=dtype if dtype == pl.Object else None).cast(dtype)
        holed = [None if hole else cell for hole, cell in zip(HOLES, whole.to_list(), strict=True)]
        columns |= {f"{j}": whole, f"{j} holed": pl.Series(holed, dtype=dtype)}
    return pl.DataFrame(columns)


def with_holes(columns: dict[str, pd.Series]) -> pd.DataFrame:
    rows = np.where(HOLES, -1, np.arange(N))  # no row is called -1
    holed = {f"{name} holed": column.reindex(rows) for name, column in columns.items()}
    return pd.DataFrame(
        columns | {name: column.set_axis(range(N)) for name, column in holed.items()}
    )


def pandas_frame() -> pd.DataFrame:
    counts, letters = pd.Series(COUNTS), pd.Series(LETTERS)
    numpy = [*(name.lower() for name in NUMBERS), "float16"]
    days = pd.period_range("2020", periods=3, freq="D").start_time
    columns = {
        **{name: counts.astype(name) for name in (*NUMBERS, *numpy, "object")},
        **{f"when {u}": counts.astype(f"M8[{u}]") for u in ("s", "ms", "us", "ns")},
        **{f"while {u}": counts.astype(f"m8[{u}]") for u in ("s", "ms", "us", "ns")},
        **{name: letters.astype(name) for name in ("str", "string[python]", "string[pyarrow]")},
        **{name: (counts > 9).astype(name) for name in ("bool", "boolean")},
        "texts": letters.astype(object),
        "interval": pd.cut(counts, 3),
        "days": pd.Series(pd.Categorical.from_codes(COUNTS % 3, days)),
        "category": letters.astype("category"),
        "of arrow": letters.astype("string[pyarrow]").astype("category"),
        "of nullable": (counts % 3).astype("Int64").astype("category"),
        "of objects": pd.Series(pd.Categorical([(1,), "a"] * (N // 2))),
    }
    return with_holes(columns)


def arrow_frame() -> pd.DataFrame:
    dates = [date(2020, 1, 1) + timedelta(int(count)) for count in COUNTS]
    dtypes: list[tuple[Any, Any]] = [
        *((COUNTS, getattr(pa, name.lower())()) for name in NUMBERS),
        *((COUNTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        *((COUNTS, pa.duration(unit)) for unit in ("s", "ms", "us", "ns")),
        *((dates, dtype) for dtype in (pa.date32(), pa.date64())),
        *((PRICES, pa.decimal128(digits, 2)) for digits in (10, 38)),
        *((LETTERS, dtype) for dtype in (pa.string(), pa.large_string())),
        *((LETTERS, pa.dictionary(pa.int32(), pa.string())), (COUNTS > 9, pa.bool_())),
        ([None] * N, pa.null()),
    ]
    dtypes += [
        (PRICES, getattr(pa, f"decimal{n}")(5, 2)) for n in (32, 64) if hasattr(pa, f"decimal{n}")
    ]
    arrays = [pa.array(cells, type=dtype) for cells, dtype in dtypes]
    return with_holes({f"{a.type}": pd.Series(pd.arrays.ArrowExtensionArray(a)) for a in arrays})


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        return
    assert one.schema == other.schema
    for name in one.columns:  # polars compares no objects
        assert one[name].to_list() == other[name].to_list()


@pytest.mark.filterwarnings("ignore::skflow.exceptions.DegenerateDensityWarning")
@pytest.mark.parametrize("make", [polars_frame, pandas_frame, arrow_frame])
def test_every_dtype_comes_back(make: Any, tmp_path: Path) -> None:
    frame = make()
    flow = FlowDensity(**ONE_GAUSSIAN).fit(frame)
    latents = flow.transform(frame)
    flow.save(tmp_path / "model")
    for loaded in (load(tmp_path / "model"), pickle.loads(pickle.dumps(flow))):
        np.testing.assert_array_equal(loaded.transform(frame), latents)
        assert_same(loaded.inverse_transform(latents), frame)


@pytest.mark.parametrize("make", [pl.Series, pd.Series])
def test_objects_that_no_file_holds_are_pickled(make: Any, tmp_path: Path) -> None:
    cells = make([Thing(i % 2) for i in range(N)], dtype=pl.Object if make is pl.Series else object)
    frame = cells.to_frame("odd")
    flow = FlowDensity(**TWO_GAUSSIANS).fit(frame)
    loaded = pickle.loads(pickle.dumps(flow))
    assert_same(loaded.inverse_transform(loaded.transform(frame)), frame)
    with pytest.raises(TypeError, match=r"'odd'.*Thing.* save the model with joblib\.dump"):
        flow.save(tmp_path / "model")


@pytest.mark.parametrize(
    "column",
    [
        *(pl.Series([None] * N, dtype=dtype) for dtype in (pl.Time, pl.Binary, pl.List(pl.Int8))),
        pd.Series([None] * N, dtype="period[D]"),
        pd.Series([None] * N, dtype=pd.ArrowDtype(pa.month_day_nano_interval())),
    ],
    ids=lambda column: str(column.dtype),
)
def test_dtypes_that_are_not_supported_are_refused_without_values_as_well(column: Any) -> None:
    frame = column.to_frame("odd")
    with pytest.raises(TypeError, match=r"'odd': dtype .* is not supported"):
        FlowDensity(**TWO_GAUSSIANS).fit(frame)
