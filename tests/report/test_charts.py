"""Ticks of charts."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skflow.report.charts import LEFT, log_ticks, score_chart


@given(least=st.floats(1e-7, 0.5), times=st.floats(6, 1e6))
def test_a_logarithmic_axis_has_ticks_enough_to_be_read(least: float, times: float) -> None:
    most = min(least * times, 1.0)
    ticks = log_ticks(np.log10(least), np.log10(most))
    assert ticks == sorted(ticks)
    assert all(least * (1 - 1e-9) <= tick <= most * (1 + 1e-9) for tick in ticks)
    assert len(ticks) >= 2 or most < 6 * least
    assert len(ticks) <= 8


def test_few_decades_are_divided() -> None:
    assert log_ticks(np.log10(0.0016), np.log10(0.07)) == pytest.approx(
        [0.002, 0.005, 0.01, 0.02, 0.05]
    )
    assert log_ticks(np.log10(0.0016), np.log10(0.2)) == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize("deepest", [-7.5, -60.0, -3e5])
def test_scores_have_no_tick_beyond_the_axis(deepest: float) -> None:
    scores = np.linspace(deepest, 0, 50)
    chart = score_chart(scores, scores, None, deepest)
    places = [float(x) for x in re.findall(r'class="tick" x1="([^"]+)"', chart)]
    assert len(places) >= 3
    assert min(places) >= LEFT
