"""Partitions of Spark are scored as the whole table is.

pytest -m slow tests/batches/test_spark.py, where pyspark and Java are installed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skflow import BatchTask, FlowDensity
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN

pyspark = pytest.importorskip("pyspark.sql")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Of types that Spark reads from Parquet: it knows neither float16 nor objects of several types,
# and takes durations for integers.
ROWS = every_kind(240).drop(columns=["object", "float16", "while"]).assign(id=np.arange(240))


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_PYTHON", sys.executable)  # else the first python3 of the PATH
        builder = pyspark.SparkSession.builder.master("local[2]")
        session = builder.config("spark.ui.enabled", False).getOrCreate()
        yield session
        session.stop()


def test_scores_equal_local_ones(session: Any, tmp_path: Path) -> None:
    FlowDensity(**ONE_GAUSSIAN).fit(ROWS.drop(columns="id")).save(tmp_path / "model")
    for k, part in enumerate((ROWS[:0], ROWS[:1], ROWS[1:100], ROWS[100:])):
        part.to_parquet(tmp_path / f"part{k}.parquet", coerce_timestamps="us")
    task = BatchTask(tmp_path / "model", keep={"id": "int64"})
    frame = session.read.parquet(str(tmp_path / "*.parquet"))
    scores = frame.repartition(5).mapInArrow(task.stream, task.ddl).toPandas()
    scores = scores.set_index("id")["log_density"].sort_index()
    local = task(ROWS).set_index("id")["log_density"]
    np.testing.assert_allclose(scores, local, atol=1e-12, rtol=1e-12)


def test_an_empty_table(session: Any) -> None:
    rows = ROWS[["decimal", "colour", "levels"]]
    task = BatchTask(FlowDensity(**ONE_GAUSSIAN).fit(rows), ["transform", "score_samples"])
    frame = session.createDataFrame(rows).filter("levels > 99")
    answers = frame.mapInPandas(task.stream, task.ddl).toPandas()
    assert list(answers) == list(task.meta)
    assert len(answers) == 0
