"""Blocks of Ray Data are scored as the whole table is.

pytest -m slow tests/batches/test_ray.py, where ray is installed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skflow import BatchTask, FlowDensity
from tests.mixed import every_kind
from tests.settings import ONE_GAUSSIAN

ray = pytest.importorskip("ray")
data = pytest.importorskip("ray.data")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROWS = every_kind(240).drop(columns=["object", "float16"]).assign(id=np.arange(240))


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.parametrize("batch_format", ["pandas", "pyarrow"])
def test_scores_equal_local_ones(batch_format: str, tmp_path: Path) -> None:
    FlowDensity(**ONE_GAUSSIAN).fit(ROWS.drop(columns="id")).save(tmp_path / "model")
    (tmp_path / "rows").mkdir()
    for k, part in enumerate((ROWS[:0], ROWS[:1], ROWS[1:100], ROWS[100:])):
        part.to_parquet(tmp_path / "rows" / f"part{k}.parquet")
    task = BatchTask(tmp_path / "model", keep={"id": "int64"})
    frame = data.read_parquet(str(tmp_path / "rows"))
    scores = frame.map_batches(task, batch_format=batch_format, batch_size=50).to_pandas()
    scores = scores.set_index("id")["log_density"].sort_index()
    local = task(ROWS).set_index("id")["log_density"]
    np.testing.assert_allclose(scores, local, atol=1e-12, rtol=1e-12)
