"""Tables through a model block by block, on the device that is asked for."""

import copy
import pickle
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import Tensor

from skflow import FlowDensity
from skflow.fitted import blocks
from skflow.fitted.blocks import apply_by_blocks
from skflow.flow.model import Model
from tests.mixed import every_kind
from tests.settings import FOUR_LAYERS, ROOT, TWO_LAYERS, script
from tests.tables import Table, randomise

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Doubling:
    """A step that runs out of memory above some rows."""

    entries_per_row = 1
    value_label = torch.empty(0, 2)

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []

    def __call__(self, model: Model, labels: Tensor, values: Tensor) -> Sequence[Tensor]:
        self.sizes.append(values.shape[1])
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 2 * values, 2 * labels


def arrays(n_rows: int) -> list[np.ndarray]:
    values = np.arange(2.0 * n_rows).reshape(n_rows, 2)
    return [np.empty((n_rows, 0), dtype=np.int64), values]


@pytest.mark.parametrize(("n_rows", "sizes"), [(1, [1]), (100, [100]), (1001, [334, 334, 333])])
def test_blocks_are_about_equal(
    n_rows: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CPU_ENTRIES", 400)
    step, rows = Doubling(10**9), arrays(n_rows)
    values, labels = apply_by_blocks(step, step, rows)
    np.testing.assert_array_equal(values, 2 * rows[1])
    assert labels.shape == (n_rows, 0)
    assert step.sizes == sizes


def test_blocks_are_halved_where_memory_does_not_suffice() -> None:
    step, rows = Doubling(300), arrays(1000)
    np.testing.assert_array_equal(apply_by_blocks(step, step, rows)[0], 2 * rows[1])
    assert step.sizes == [1000, 500, 250, 250, 250, 250]
    with pytest.raises(torch.OutOfMemoryError):
        apply_by_blocks(step := Doubling(10), step, rows)


def test_blocks_on_cuda_follow_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 10**6)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10**6)
    for free, entries in ((10**6, 3 * 10**6 // 128), (10**12, blocks.CUDA_ENTRIES)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**12))
        assert blocks._entries_at_once(CUDA) == entries


# What needs a GPU.


@pytest.fixture(scope="module")
def mixed() -> pd.DataFrame:
    return every_kind(600)


@pytest.fixture(scope="module")
def trained_mixed(mixed: pd.DataFrame) -> FlowDensity:
    return FlowDensity(**TWO_LAYERS, device="cpu").fit(mixed)


def on(flow: FlowDensity, device: str) -> FlowDensity:
    return flow.set_params(device=device)


@pytest.mark.cuda
@pytest.mark.parametrize("weights", ["trained", "randomised"])
def test_scores_on_cuda_are_those_of_the_cpu(
    weights: str, trained_mixed: FlowDensity, mixed: pd.DataFrame
) -> None:
    """To a billionth of a nat: labels, holes, atoms, values on grids, what was never seen."""
    flow = copy.deepcopy(trained_mixed)
    if weights == "randomised":
        randomise(flow, seed=3)
    rows = pd.concat([mixed, every_kind(600, seed=1)], ignore_index=True)
    scores = [on(flow, device).score_samples(rows) for device in ("cuda", "cpu")]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-9)


@pytest.mark.cuda
def test_far_scores_on_cuda_are_those_of_the_cpu(table: Table) -> None:
    flow = randomise(FlowDensity(**FOUR_LAYERS, max_iter=2, device="cpu").fit(table), seed=3)
    far = np.concatenate([table, *(scale * table for scale in (10.0, 1e3, 1e6))])
    scores = [on(flow, device).score_samples(far) for device in ("cuda", "cpu")]
    np.testing.assert_allclose(*scores, rtol=1e-12, atol=1e-9)


@pytest.mark.cuda
def test_rows_come_back_on_cuda_and_across(trained_mixed: FlowDensity, mixed: pd.DataFrame) -> None:
    for there, back in (("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")):
        Z = on(trained_mixed, there).transform(mixed)
        Z = pd.DataFrame(Z, index=mixed.index)
        assert_frame_equal(on(trained_mixed, back).inverse_transform(Z), mixed, check_freq=False)


@pytest.mark.cuda
def test_samples_on_cuda_are_those_of_the_cpu(trained_mixed: FlowDensity) -> None:
    """Latents are drawn on the CPU; what follows differs by rounding."""
    frames = [on(trained_mixed, device).sample(500, random_state=0) for device in ("cuda", "cpu")]
    assert_frame_equal(*frames, rtol=1e-6, atol=1e-9)


@pytest.mark.cuda
def test_small_blocks_on_cuda(
    trained_mixed: FlowDensity, mixed: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = on(trained_mixed, "cuda").score_samples(mixed)
    monkeypatch.setattr(blocks, "CUDA_ENTRIES", 1)
    np.testing.assert_allclose(trained_mixed.score_samples(mixed), expected, rtol=0, atol=1e-9)


@pytest.mark.cuda
def test_a_fit_on_cuda_loads_without_one(
    mixed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = FlowDensity(**TWO_LAYERS, device="cuda").fit(mixed)
    assert flow.device_.startswith("cuda")
    (tmp_path / "flow.pkl").write_bytes(pickle.dumps((flow, mixed)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    files = [tmp_path / name for name in ("flow.pkl", "scores.npy")]
    subprocess.run(script("score_without_cuda", *files), check=True, cwd=ROOT)
    np.testing.assert_allclose(np.load(files[1]), flow.score_samples(mixed), rtol=0, atol=1e-9)


@pytest.mark.cuda
def test_the_closed_form_on_cuda_is_that_of_the_cpu(table: Table) -> None:
    """Expectation maximisation from the same draws, in float64 on both."""
    params = {"n_layers": 0, "n_components": 5, "random_state": 0}
    on_cuda, on_cpu = (
        FlowDensity(**params, device=device).fit(table) for device in ("cuda", "cpu")
    )
    assert {p.device for p in on_cuda._density.model.parameters()} == {CPU}
    scores = [flow.set_params(device="cpu").score_samples(table) for flow in (on_cuda, on_cpu)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-4)
