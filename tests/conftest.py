"""Settings that must hold before anything is imported, and tables and flows to share."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before scipy: array API checks are skipped otherwise

import numpy as np
import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from skflow import FlowDensity
from tests.settings import FOUR_LAYERS
from tests.tables import Table, clustered, correlated, randomise

torch.set_num_threads(1)

SHARING = ("tests/command_line", "tests/plotting", "tests/report")


class SharedFitsScheduling(LoadFileScheduling):
    """Tests that share their fits stay in one process: those of a file, or of a whole folder."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        folder = file.rpartition("/")[0]
        return folder if folder in SHARING else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedFitsScheduling:
    """Schedule by shared fits."""
    return SharedFitsScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def table() -> Table:
    """400 rows of 5 correlated columns in different units."""
    return correlated(400, 5, seed=0)


@pytest.fixture(scope="session")
def trained(table: Table) -> FlowDensity:
    """A flow with trained coupling layers. Do not fit it again."""
    return FlowDensity(**FOUR_LAYERS, n_components=3, max_iter=12, early_stopping=False).fit(table)


@pytest.fixture(scope="session", params=["trained", "randomised"])
def flow32(request: pytest.FixtureRequest) -> FlowDensity:
    """A flow of a clustered float32 table, trained or with weights drawn at random."""
    table = clustered(1000, 5, seed=1).astype(np.float32)
    flow = FlowDensity(**FOUR_LAYERS, n_components=6, max_iter=12).fit(table)
    return randomise(flow, seed=2) if request.param == "randomised" else flow
