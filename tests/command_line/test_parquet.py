"""Parquet files hold what came in, whatever the first rows tell of a column."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skflow import FlowDensity, load
from skflow.command_line import commands, parquet
from skflow.command_line.main import main
from tests.settings import slow_but

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 40
DAY = datetime.date(2026, 1, 2)
COLUMNS = {
    "decimal": pa.array([None, *(Decimal(i) / 100 for i in range(N - 1))], pa.decimal128(10, 2)),
    "day": pa.array([None] * 20 + [DAY] * 20, pa.date32()),
    "nanoseconds": pa.array([None] * 20 + [10**18 + i for i in range(20)], pa.timestamp("ns")),
    "instant": pa.array([None] * 20 + [10**15] * 20, pa.timestamp("us", tz="Europe/Berlin")),
    "stay": pa.array([None] * 20 + list(range(20)), pa.duration("ms")),
    "small": pa.array([None] * 20 + [3] * 20, pa.int8()),
    "large": pa.array([2**63 + 5] * N, pa.uint64()),
    "single": pa.array([None] * 20 + [0.1] * 20, pa.float32()),
    "flag": pa.array([None] * 20 + [True] * 20),
    "text": pa.array([None] * 20 + ["a"] * 20),
    "label": pa.array([None] * 20 + ["a", "b"] * 10).dictionary_encode(),
    "list": pa.array([None] * 20 + [[1, 2]] * 20),
    "struct": pa.array([None] * 20 + [{"a": 1}] * 20),
    "time": pa.array([None] * 20 + [datetime.time(3, 4)] * 20, pa.time64("us")),
    "nothing": pa.nulls(N),
}


@pytest.fixture
def model(tmp_path: Path) -> str:
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60)})
    FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X).save(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.mark.parametrize("batch_rows", ["7", "100"])
def test_kept_columns_keep_their_types(batch_rows: str, model: str, tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(N) / 7} | COLUMNS)
    pq.write_table(table, tmp_path / "in.parquet")
    out = str(tmp_path / "out.parquet")
    command = ["score", model, f"{tmp_path}/in.parquet", "--keep", "--batch-rows", batch_rows]
    assert main([*command, "-o", out]) == 0
    kept = pq.read_table(out)
    assert kept.drop_columns("log_density").equals(table)
    assert len(pd.read_parquet(out)) == N


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_kept_rows_keep_their_index(suffix: str, model: str, tmp_path: Path) -> None:
    """It is no column to fit, but tells rows apart."""
    frame = pd.DataFrame(
        {"x": np.arange(9) / 7}, index=pd.Index([*range(1001, 1009), 7], name="id")
    )
    frame.to_parquet(tmp_path / "in.parquet")
    out = f"{tmp_path}/out.{suffix}"
    assert main(["score", model, f"{tmp_path}/in.parquet", "--keep", "-o", out]) == 0
    kept = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    assert list(kept) == ["id", "x", "log_density"]
    assert kept["id"].tolist() == frame.index.tolist()
    fit = ["fit", f"{tmp_path}/in.parquet", "-o", f"{tmp_path}/again", "--max-iter", "1", "-q"]
    assert main(fit) == 0
    assert load(tmp_path / "again").feature_names_in_.tolist() == ["x"]


@pytest.mark.parametrize(
    ("names", "told"), [(["q", "q"], r"names columns twice: ['q']."), ([], "has no columns.")]
)
def test_columns_must_have_names_of_their_own(
    names: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pa.table([pa.array([1.0, 2.0])] * len(names), names=names)
    pq.write_table(table, tmp_path / "in.parquet")
    assert main(["fit", f"{tmp_path}/in.parquet", "-o", f"{tmp_path}/model"]) == 2
    assert told in capsys.readouterr().err


def test_numbers_of_text_are_of_one_type(model: str, tmp_path: Path) -> None:
    """The first batch has whole numbers only, the second none at all."""
    (tmp_path / "in.csv").write_text("x,id\n1,007\n2,NA\n,1\n,2\n0.5,x\n")
    out = str(tmp_path / "out.parquet")
    command = ["score", model, f"{tmp_path}/in.csv", "--keep", "--batch-rows", "2", "-o", out]
    assert main(command) == 0
    kept = pq.read_table(out)
    assert kept["x"].to_pylist() == [1.0, 2.0, None, None, 0.5]
    assert kept["id"].to_pylist() == ["007", "NA", "1", "2", "x"]


def test_whole_numbers_may_be_broken_later(tmp_path: Path) -> None:
    """Odd rows are those one looks for."""
    X = pd.DataFrame({"i": np.arange(60) % 23, "x": np.arange(60) / 7})
    FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X).save(tmp_path / "model")
    (tmp_path / "in.csv").write_text("i,x\n1,0\n2,1\n42.5,0\n1e20,0\n5,0\nTrue,True\n")
    out = f"{tmp_path}/out.parquet"
    command = ["score", f"{tmp_path}/model", f"{tmp_path}/in.csv", "--keep", "--batch-rows", "2"]
    assert main([*command, "-o", out]) == 0
    kept = pq.read_table(out)
    assert kept["i"].to_pylist() == [1, 2, 42.5, 1e20, 5, 1]
    assert kept["x"].to_pylist() == [0, 1, 0, 0, 0, 1]


def test_decimals_may_grow(tmp_path: Path) -> None:
    cells = [Decimal(i) / 100 for i in range(0, 40_000, 100)] + [Decimal("0.25")] * 200
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0)
    flow.fit(pd.DataFrame({"price": cells})).save(tmp_path / "model")
    out = str(tmp_path / "out.parquet")
    command = ["sample", f"{tmp_path}/model", "-n", "90", "--batch-rows", "10", "-o", out]
    assert main([*command, "--random-state", "0"]) == 0
    assert pq.read_table(out).num_rows == 90


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_polars_rows_are_written_as_they_are(suffix: str, tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    start = datetime.datetime(2026, 1, 2, 3)
    X = pl.DataFrame(
        {
            "stay": [datetime.timedelta(hours=i % 30) for i in range(80)],
            "at": [start + datetime.timedelta(minutes=i) for i in range(80)],
            "day": [DAY + datetime.timedelta(days=i % 9) for i in range(80)],
            "zoned": pl.Series([start] * 80).dt.replace_time_zone("Europe/Berlin"),
            "label": pl.Series([None, "a", "b", "a"] * 20, dtype=pl.Categorical),
            "count": [None, 1, 2, 3] * 20,
        }
    )
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X)
    flow.save(tmp_path / "model")
    out = f"{tmp_path}/rows.{suffix}"
    command = ["sample", f"{tmp_path}/model", "-n", "50", "--random-state", "3", "-o", out]
    assert main(command) == 0
    drawn = flow.sample(50, random_state=3)
    if suffix == "parquet":
        assert pl.read_parquet(out).equals(drawn)
    scores = f"{tmp_path}/scores.csv"
    assert main(["score", f"{tmp_path}/model", out, "-o", scores]) == 0
    np.testing.assert_allclose(pd.read_csv(scores)["log_density"], flow.score_samples(drawn))


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_fails_on_the_way_leaves_nothing(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = parquet._convert

    def fail_later(frame: pd.DataFrame, schema: Any) -> Any:
        if isinstance(schema, pa.Schema):  # that of the first rows
            raise commands.CommandError("no more")
        return convert(frame, schema)

    monkeypatch.setattr(parquet, "_convert", fail_later)
    command = ["sample", model, "-n", "9", "--batch-rows", "3", "-o", f"{tmp_path}/out.parquet"]
    assert main(command) == 2
    assert capsys.readouterr().err == "skflow: error: no more\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def write_months(folder: Path) -> pd.DataFrame:
    """Write rows to three files, one of them in a folder below."""
    (folder / "rows" / "late").mkdir(parents=True)
    rows = pd.DataFrame({"x": np.arange(90) % 7, "y": np.arange(90) / 8, "key": np.arange(90)})
    for k, name in enumerate(("0.parquet", "1.parquet", "late/2.parquet")):
        rows[k * 30 : (k + 1) * 30].to_parquet(folder / "rows" / name)
    return rows


@pytest.mark.parametrize(
    ("table", "n_rows"),
    slow_but([("rows/*.parquet", 60)], [("rows", 90), ("rows/*.parquet", 60)]),
)
def test_folders_and_patterns_are_fitted_as_one_table(
    table: str, n_rows: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_months(tmp_path)
    out = f"{tmp_path}/model"
    quick = ["--max-iter", "1", "--random-state", "0", "--categorical", "x", "--drop", "key"]
    assert main(["fit", f"{tmp_path}/{table}", "-o", out, *quick]) == 0
    density = FlowDensity(max_iter=1, random_state=0, column_kinds={"x": "categorical"})
    expected = density.fit(rows[:n_rows][["x", "y"]]).score_samples(rows[["x", "y"]])
    np.testing.assert_array_equal(load(out).score_samples(rows[["x", "y"]]), expected)
    assert main(["fit", f"{tmp_path}/{table}", "-o", out, "--outliers", *quick]) == 0
    assert load(out).n_calibration_ == n_rows
    weighted = ["--weight", "key", *quick[:-2], "--drop", "y"]
    assert main(["fit", f"{tmp_path}/{table}", "-o", out, *weighted]) == 0
    density.fit(rows[:n_rows][["x"]], sample_weight=rows[:n_rows]["key"])
    found, expected = (flow.score_samples(rows[["x"]]) for flow in (load(out), density))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert main(["fit", f"{tmp_path}/{table}", "-o", out, "--weight", "y", "--drop", "y"]) == 2
    assert "--drop and --weight both name 'y'" in capsys.readouterr().err
    assert main(["fit", f"{tmp_path}/{table}", "-o", out, "--drop", "z"]) == 2
    assert "has no columns 'z'" in capsys.readouterr().err
    assert main(["fit", f"{tmp_path}/none*.parquet", "-o", out]) == 2
    assert "there are no files" in capsys.readouterr().err
