"""What importing and fitting pull in, seen from a fresh interpreter."""

import subprocess
import sys

import pytest

ENGINES = ["pyarrow", "dask", "distributed", "pyspark", "ray"]
FOREIGN = ["matplotlib", "pytest", "hypothesis", "sphinx", "torch._dynamo", "torch._inductor"]

IMPORT = "import sys, skflow; "
LATE_NAMES = (
    "import pickle, skflow; assert set(skflow.__all__) <= set(dir(skflow)); "
    "from skflow import *; from skflow.estimators import density; "
    "assert FlowDensity is skflow.FlowDensity is density.FlowDensity; "
    "assert pickle.loads(pickle.dumps(FlowDensity)) is FlowDensity; "
    "assert issubclass(skflow.exceptions.ModelFileError, ValueError); "
    "assert not hasattr(skflow, 'FlowDensities'); "
)
FIT = LATE_NAMES + (
    "import sys, numpy, torch; torch.set_num_threads(1); "
    "X = numpy.array([['a', 'x'], ['b', 'y'], ['b', 'x']] * 40); "
    "skflow.FlowDensity(max_iter=1, n_layers=1, n_components=1, random_state=0).fit(X); "
    "X = numpy.random.default_rng(0).standard_normal((120, 3)); "
    "flow = skflow.FlowDensity(max_iter=2, n_layers=2, n_components=1, random_state=0).fit(X); "
    "flow.inverse_transform(flow.transform(X)); assert flow.n_iter_ == 2; "
)


@pytest.mark.parametrize(
    ("code", "foreign", "then"),
    [
        (IMPORT, FOREIGN + ENGINES, ""),
        (FIT, FOREIGN, "; import skflow.plotting"),
    ],
    ids=["import", "fit"],
)
def test_nothing_foreign_is_imported(code: str, foreign: list[str], then: str) -> None:
    report = f"print([name for name in {foreign} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + report + then],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import skflow", 0),
        ("import skflow; dir(skflow); skflow.__version__", 0),
        *(
            (f"from skflow.command_line.main import main; sys.exit(main({arguments}))", status)
            for arguments, status in (
                (["--version"], 0),
                (["--help"], 0),
                (["fit", "--help"], 0),
                (["scroe"], 2),
                (["score", "model.skflow"], 2),
                (["fit", "nowhere.csv", "-o", "model.skflow"], 2),
                (["fit", "nowhere.xlsx", "-o", "model.skflow"], 2),
                (["score", "nowhere.skflow", "nowhere.csv"], 2),
                (["outliers", "nowhere.skflow", "-"], 2),
                (["inspect", "nowhere.skflow"], 2),
            )
        ),
    ],
)
def test_what_takes_long_to_import_is_imported_late(code: str, status: int) -> None:
    watch = (
        "import sys, atexit; heavy = {'torch', 'sklearn', 'pandas', 'numpy', 'scipy'}; "
        "atexit.register(lambda: print('late:', [*heavy & {*sys.modules}], file=sys.stderr)); "
    )
    done = subprocess.run(
        [sys.executable, "-c", watch + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert done.stderr.splitlines()[-1] == "late: []"


def test_public_names() -> None:
    code = "import skflow; print(*skflow.__all__, skflow.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *names, version = done.stdout.split()
    estimators = ["Classifier", "Density", "Imputer", "OutlierDetector", "Regressor"]
    others = ["BatchTask", "ConditionalDistribution"]
    assert names == [*others, *(f"Flow{name}" for name in estimators), "load"]
    assert version[0].isdigit()
