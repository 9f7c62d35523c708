"""Tables through a model block by block, on the device that is asked for."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

from skflow import FlowDensity
from skflow.fitted.blocks import join, send
from skflow.flow import blocks
from skflow.flow.blocks import device_blocks, rows_at_once
from skflow.rows import block_size
from skflow.table.codec import TableCodec
from tests.mixed import every_kind
from tests.settings import FOUR_LAYERS, TWO_LAYERS
from tests.tables import Table, randomise

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Narrow:
    """A model whose rows take one entry each."""

    entries_per_row = 1
    value_labels = torch.empty(0, 3)


def double(rows: np.ndarray, most: int = 10**9) -> tuple[np.ndarray, list[int]]:
    """Twice the rows, by blocks that exhaust the memory above ``most`` rows; sizes of blocks."""
    sizes, parts = [], []
    for block in device_blocks(len(rows), Narrow()):
        with block:
            sent = send(rows[block.rows], CPU)
            sizes.append(sent.shape[1])
            if sizes[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            parts.append(2 * sent)
    return join(parts), sizes


def rows_of(n_rows: int) -> np.ndarray:
    return np.arange(2.0 * n_rows).reshape(n_rows, 2)


@pytest.mark.parametrize(("n_rows", "sizes"), [(1, [1]), (100, [100]), (1001, [334, 334, 333])])
def test_blocks_are_about_equal(
    n_rows: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CPU_ENTRIES", 400)
    rows = rows_of(n_rows)
    doubled, found = double(rows)
    np.testing.assert_array_equal(doubled, 2 * rows)
    assert found == sizes
    assert double(np.empty((n_rows, 0), dtype=np.int64))[0].shape == (n_rows, 0)


def test_blocks_are_halved_where_memory_does_not_suffice() -> None:
    rows = rows_of(1000)
    doubled, sizes = double(rows, most=300)
    np.testing.assert_array_equal(doubled, 2 * rows)
    assert sizes == [1000, 500, 250, 250, 250, 250]
    with pytest.raises(torch.OutOfMemoryError):
        double(rows, most=10)


def test_other_errors_within_a_block_are_raised() -> None:
    block = next(device_blocks(1000, Narrow()))
    with pytest.raises(ZeroDivisionError), block:
        _ = 1 / 0


def give_memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let CUDA have free memory, 2 MB of it in torch's own hands."""
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 10**6)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10**6)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))


def test_blocks_on_cuda_follow_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, entries in ((10**6, 3 * 10**6 // 128), (10**12, blocks.CUDA_ENTRIES)):
        give_memory(monkeypatch, free)
        assert rows_at_once(CUDA, 10) == entries // 10


@pytest.mark.parametrize("method", ["score_samples", "transform"])
def test_blocks_are_as_large_as_the_device_has_room_for(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded, too, whatever the size that suits a CPU's caches."""
    X = np.random.default_rng(0).standard_normal((50_000, 2))
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0).fit(X[:200])
    expected, entries = getattr(flow, method)(X), flow._density.model.entries_per_row
    sizes, encode = [], TableCodec.encode

    def note(codec, table, *rest):
        sizes.append(table.n_rows)
        return encode(codec, table, *rest)

    monkeypatch.setattr(TableCodec, "encode", note)
    getattr(flow, method)(X)
    assert 1000 < max(sizes) <= block_size(2)  # the CPU
    monkeypatch.setattr(blocks, "rows_at_once", lambda cpu, *rest: rows_at_once(CUDA, *rest))
    for free, most in ((10**12, 50_000), (30_000 * entries * 128, 25_000)):
        give_memory(monkeypatch, free)
        sizes.clear()
        np.testing.assert_allclose(getattr(flow, method)(X), expected, rtol=0, atol=1e-9)
        assert set(sizes) == {most}
    monkeypatch.setattr(blocks, "CUDA_ENTRIES", 10_000 * entries)
    give_memory(monkeypatch, 10**12)
    sizes.clear()
    getattr(flow, method)(X)
    assert sizes == [10_000] * 5


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


LOAD = """
import pickle, sys
import numpy as np, pandas as pd, torch
assert not torch.cuda.is_available()
flow, df = pickle.load(open(sys.argv[1], "rb"))
np.save(sys.argv[2], flow.set_params(device="auto").score_samples(df))
"""


@pytest.mark.cuda
def test_a_fit_on_cuda_loads_without_one(
    mixed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = FlowDensity(**TWO_LAYERS, device="cuda").fit(mixed)
    assert flow.device_.startswith("cuda")
    (tmp_path / "flow.pkl").write_bytes(pickle.dumps((flow, mixed)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    files = [str(tmp_path / name) for name in ("flow.pkl", "scores.npy")]
    subprocess.run([sys.executable, "-c", LOAD, *files], check=True)
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
