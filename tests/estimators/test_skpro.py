"""The adapter of the examples, by skpro's own checks, where skpro is installed."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_skpro_accepts_the_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skpro")
    checks = pytest.importorskip("skpro.utils.estimator_checks")
    monkeypatch.syspath_prepend(EXAMPLES)
    adapter = importlib.import_module("skpro_adapter").SkproFlowRegressor
    results = checks.check_estimator(adapter, raise_exceptions=False)
    failed = {name: result for name, result in results.items() if result != "PASSED"}
    assert failed == {}
