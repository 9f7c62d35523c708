"""The page on large tables: its code for Dask runs as it stands."""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import skflow
from tests.settings import ONE_GAUSSIAN, ROOT

dask = pytest.importorskip("dask")
pytest.importorskip("dask.dataframe")

PAGE = (ROOT / "docs" / "user_guide" / "large_tables.rst").read_text()


def code_of(title: str) -> str:
    """The code blocks of a section."""
    section = re.split(r"\n(?=.+\n-{3,}\n)", PAGE.split(f"\n{title}\n---")[1])[0]
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", section)
    return "\n".join(textwrap.dedent(block) for block in blocks)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # which Dask 2026.8 uses
def test_code_for_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(1200, 2)), columns=["a", "b"])
    flow = skflow.FlowDensity(**ONE_GAUSSIAN).fit(rows)
    flow.save("model.skflow")
    rows = rows.assign(id=range(len(rows)))
    Path("rows").mkdir()
    for k in range(3):
        rows[400 * k : 400 * (k + 1)].to_parquet(f"rows/{k}.parquet")
    names: dict[str, Any] = {"skflow": skflow}
    with dask.config.set(scheduler="threads"):
        exec(code_of("Dask").replace("100_000", "100"), names)
    scores = pd.Series(flow.score_samples(rows[["a", "b"]]))
    np.testing.assert_allclose(names["lowest"]["log_density"], scores.nsmallest(1000))
    assert len(pd.read_parquet("scores/")) == len(rows)
    drawn = pd.read_parquet("drawn/")
    assert drawn.shape == (1000, 2)
    assert drawn["a"].is_unique
