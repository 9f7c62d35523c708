"""Settings that must hold before anything is imported, and tables and flows to share."""

import copy
import gc
import os
from collections.abc import Iterator

os.environ["SCIPY_ARRAY_API"] = "1"  # before scipy: array API checks are skipped otherwise

import numpy as np
import pytest
import torch
from hypothesis import settings
from joblib import parallel_config
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from skflow import FlowDensity
from tests.settings import FOUR_LAYERS, all_candidates, fewer_candidates, fewer_fits
from tests.tables import Table, clustered, correlated, randomise

torch.set_num_threads(1)

# No test asserts a time. Everything else is as hypothesis has it, on CI or elsewhere.
settings.register_profile("any duration", settings.default, deadline=None)
settings.load_profile("any duration")

SHARING = ("tests/plotting", "tests/report")  # folders whose tests share their fits
# Tests that start workers of joblib: the same two serve all of them in one process.
WITH_WORKERS = (
    *("tests/batches/test_batch_task.py", "tests/command_line"),
    "tests/estimators/test_model_selection.py",
    *("tests/estimators/test_outlier.py", "tests/estimators/test_regressor.py"),
    "tests/test_device.py",
)
# Files of many tests begin first. Few long ones would end last, beside an idle process, so they
# go with a file of many.
LONG_WITH_MANY = (
    *("tests/estimators/test_bad_input_table.py", "tests/estimators/test_determinism.py"),
    *("tests/fitted/test_dataset_rows.py", "tests/guard/test_guard.py"),
    *("tests/test_imports.py", "tests/test_readme.py", "tests/training/test_workers.py"),
)


class SharedFitsScheduling(LoadFileScheduling):
    """Tests that share fits or workers stay in one process: those of a file, or of several."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        folder = file.rpartition("/")[0]
        if {file, folder} & {*WITH_WORKERS}:
            return "workers"
        if file in LONG_WITH_MANY:
            return "long with many"
        return folder if folder in SHARING else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedFitsScheduling:
    """Schedule by shared fits."""
    return SharedFitsScheduling(config, log)


def pytest_collection_finish() -> None:
    """Leave what is there before the first test to no later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; commands come after others who share workers.

    A command that fails stops its workers, and starting them costs two imports of torch.
    """
    items.sort(key=lambda item: item.nodeid.startswith("tests/command_line/"))
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def few_fits() -> Iterator[None]:
    """Estimators of several fits make a few of them, where their number is not the point."""
    with fewer_fits():
        yield


@pytest.fixture(scope="module")
def few_fits_in_file() -> Iterator[None]:
    """The same for all tests of a file, and for the fits that they share."""
    with fewer_fits():
        yield


@pytest.fixture
def few_candidates() -> Iterator[None]:
    """Fits take the first initialization, where its choice is not the point."""
    with fewer_candidates():
        yield


@pytest.fixture(scope="module")
def few_candidates_in_file() -> Iterator[None]:
    """The same for all tests of a file, and for the fits that they share."""
    with fewer_candidates():
        yield


@pytest.fixture
def every_candidate() -> Iterator[None]:
    """Fits choose among all candidates, in a test of such a file."""
    with all_candidates():
        yield


@pytest.fixture
def shared_workers() -> Iterator[None]:
    """joblib's workers as the command line asks for them: those of one test serve the next."""
    with parallel_config("loky", max_nbytes=None):
        yield


@pytest.fixture(scope="session")
def table() -> Table:
    """400 rows of 5 correlated columns in different units."""
    return correlated(400, 5, seed=0)


@pytest.fixture(scope="session")
def trained(table: Table) -> FlowDensity:
    """A flow with trained coupling layers. Do not fit it again."""
    return FlowDensity(**FOUR_LAYERS, n_components=3, max_iter=6, early_stopping=False).fit(table)


@pytest.fixture(scope="session")
def trained32() -> FlowDensity:
    """A trained flow of a clustered float32 table."""
    table = clustered(600, 5, seed=1).astype(np.float32)
    return FlowDensity(**FOUR_LAYERS, n_components=6, max_iter=6).fit(table)


@pytest.fixture(scope="session", params=["trained", "randomised"])
def flow32(request: pytest.FixtureRequest, trained32: FlowDensity) -> FlowDensity:
    """A flow of a clustered float32 table, trained or with weights drawn at random."""
    if request.param == "trained":
        return trained32
    return randomise(copy.deepcopy(trained32), seed=2)
