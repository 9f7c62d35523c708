"""Partitions of Dask, in threads and in processes of its own, are scored as the whole table is."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skflow import BatchTask, FlowDensity, FlowOutlierDetector
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN

pytestmark = pytest.mark.usefixtures("few_candidates_in_file", "few_fits_in_file")

dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("dask.distributed")

# Object columns of mixed types have no place in Parquet, nor in other processes of Dask.
ROWS = every_kind(130).drop(columns=["object", "float16"]).assign(id=np.arange(130))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    FlowDensity(**ONE_GAUSSIAN).fit(ROWS.drop(columns="id")).save(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet files: of no rows, one row, the others."""
    folder = tmp_path_factory.mktemp("rows")
    for k, part in enumerate((ROWS[:0], ROWS[:1], ROWS[1:100], ROWS[100:])):
        part.to_parquet(folder / f"part{k}.parquet")
    return folder


@pytest.fixture(scope="module", params=["threads", "processes"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "threads":
        yield "threads"
        return
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=None
    )
    with cluster, distributed.Client(cluster):
        yield "distributed"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("from_files", [True, False])
def test_scores_equal_local_ones(
    from_files: bool, scheduler: str, model: Path, files: Path
) -> None:
    local = BatchTask(model, keep={"id": "int64"})(ROWS).set_index("id")["log_density"]
    frame = dd.read_parquet(files) if from_files else dd.from_pandas(ROWS, npartitions=7)
    task = BatchTask(model, keep={"id": "int64"})
    scores = frame.map_partitions(task, meta=task.meta)
    assert list(scores.columns) == ["id", "log_density"]
    computed = scores.compute(scheduler=scheduler).set_index("id")["log_density"].sort_index()
    np.testing.assert_allclose(computed, local, atol=1e-12, rtol=1e-12)


def test_a_detector_on_a_cluster(scheduler: str) -> None:
    rows = ROWS[["decimal", "colour", "levels"]]
    quick = FlowDensity(n_layers=0, n_components=1)
    detector = FlowOutlierDetector(quick, random_state=0).fit(rows)
    task = BatchTask(detector, ["p_values", "predict"])
    frame = dd.from_pandas(rows, npartitions=3)
    # A partition without rows.
    frame = dd.concat([frame, frame[frame["levels"] > 99]])
    answers = frame.map_partitions(task, meta=task.meta).compute(scheduler=scheduler)
    np.testing.assert_allclose(answers["p_value"], detector.p_values(rows))
    pd.testing.assert_series_equal(answers.dtypes, task.meta.dtypes)
