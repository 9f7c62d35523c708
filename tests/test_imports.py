"""What importing and fitting pull in, seen from a fresh interpreter."""

import subprocess
import sys

import pytest

FOREIGN = ["matplotlib", "pytest", "hypothesis", "sphinx", "torch._dynamo", "torch._inductor"]

IMPORT = "import sys, skflow; "
FIT = (
    "import sys, numpy, torch, skflow; torch.set_num_threads(1); "
    "X = numpy.random.default_rng(0).standard_normal((120, 3)); "
    "flow = skflow.FlowDensity(max_iter=2, n_layers=2, n_components=1, random_state=0).fit(X); "
    "flow.inverse_transform(flow.transform(X)); assert flow.n_iter_ == 2; "
)


@pytest.mark.parametrize("code", [IMPORT, FIT], ids=["import", "fit"])
def test_nothing_foreign_is_imported(code: str) -> None:
    report = f"print([name for name in {FOREIGN} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + report],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_public_names() -> None:
    code = "import skflow; print(*skflow.__all__, skflow.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *names, version = done.stdout.split()
    assert names == ["FlowDensity", "FlowOutlierDetector", "load"]
    assert version[0].isdigit()
