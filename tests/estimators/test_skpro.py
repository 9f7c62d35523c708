"""The adapter of the examples, by skpro's own checks, where skpro is installed."""

import runpy
from pathlib import Path

import pytest

ADAPTER = Path(__file__).parents[2] / "examples" / "skpro_adapter.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_skpro_accepts_the_adapter() -> None:
    pytest.importorskip("skpro")
    checks = pytest.importorskip("skpro.utils.estimator_checks")
    adapter = runpy.run_path(str(ADAPTER))["SkproFlowRegressor"]
    results = checks.check_estimator(adapter, raise_exceptions=False)
    failed = {name: result for name, result in results.items() if result != "PASSED"}
    assert failed == {}
