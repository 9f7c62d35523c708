"""Rows prepared block by block: nothing changes but the memory it takes."""

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.dequantization import dequantize, fork
from skflow.fitted.fit import TableRows
from skflow.flow.model import Rows
from skflow.initialization.degenerate import _share_left, _triangular_factor
from skflow.rows import EncodedRows, row_blocks
from skflow.training.blur import Blur
from skflow.training.preparation import empty_labels, prepare, read_labels
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import TWO_GAUSSIANS
from tests.tables import correlated

SIZES = [7, 64, 10_000]


@pytest.fixture(scope="module")
def fitted() -> tuple[FlowDensity, pd.DataFrame]:
    df = every_kind(400)
    return FlowDensity(**TWO_GAUSSIANS).fit(df), df


def source_of(flow: FlowDensity, df: pd.DataFrame) -> TableRows:
    density = flow._density
    return TableRows.all_of(density.codec, density.container.read(df))


def cut(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    """Make blocks of so many rows."""
    monkeypatch.setattr("skflow.rows.BLOCK_ENTRIES", 1)
    monkeypatch.setattr("skflow.rows.MIN_BLOCK_ROWS", n_rows)


def test_blocks_hold_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for n_rows, n_columns in ((1, 0), (5, 1), (100_000, 3), (3000, 1000), (1_000_000, 2)):
        rows = [np.arange(block.start, block.stop) for block in row_blocks(n_rows, n_columns)]
        np.testing.assert_array_equal(np.concatenate(rows), np.arange(n_rows))
    cut(monkeypatch, 3)
    assert list(row_blocks(7, 5)) == [slice(0, 3), slice(3, 6), slice(6, 7)]


@pytest.mark.parametrize("size", SIZES[:-1])
def test_blocks_are_prepared_as_the_whole(
    fitted: tuple[FlowDensity, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    flow, df = fitted
    source, model = source_of(flow, df), flow._density.model
    assert len(source.quantized_columns) >= 4
    prepared = []
    for n_rows in (size, SIZES[-1]):
        cut(monkeypatch, n_rows)
        prepared.append(prepare(model, source, [], seeded(0)))
    blocks, whole = prepared
    assert torch.equal(blocks.scores.labels, whole.scores.labels)
    torch.testing.assert_close(blocks.scores.y, whole.scores.y, rtol=0, atol=0, equal_nan=True)
    assert blocks.offset == pytest.approx(whole.offset, abs=1e-9)
    torch.testing.assert_close(
        blocks.blur.values, whole.blur.values, rtol=0, atol=0, equal_nan=True
    )
    assert torch.equal(read_labels(source, model.labels.sizes.tolist()), whole.scores.labels)


def test_prepared_rows_are_those_of_the_model(fitted: tuple[FlowDensity, pd.DataFrame]) -> None:
    """Scores and offset of whole float64 rows, computed at once."""
    flow, df = fitted
    source, model = source_of(flow, df), flow._density.model
    scores, offset, _ = prepare(model, source, [], seeded(0))
    rows = dequantize(source.take(slice(None)), source.quantized_columns, fork(seeded(0)))
    labels, novel, x = Rows.of(rows)
    with torch.no_grad():
        y, log_det = model.values.marginals.forward_and_log_det(x)
        fixed = log_det + model.labels.novel_log_prob(novel)
    assert torch.equal(scores.labels.long(), labels)
    torch.testing.assert_close(scores.y, y.float(), rtol=0, atol=0, equal_nan=True)
    assert offset == pytest.approx(float(fixed.mean()) + rows.log_volume.mean(), abs=1e-9)


@pytest.mark.parametrize("size", SIZES[:-1])
def test_scores_do_not_depend_on_blocks(
    fitted: tuple[FlowDensity, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    flow, df = fitted
    scores, latents = flow.score_samples(df), flow.transform(df)
    cut(monkeypatch, size)
    np.testing.assert_allclose(flow.score_samples(df), scores, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flow.transform(df), latents, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("most", "dtype"),
    [(3, torch.uint8), (255, torch.uint8), (256, torch.int16), (40_000, torch.int32)],
)
def test_labels_take_as_few_bytes_as_hold_them(most: int, dtype: torch.dtype) -> None:
    labels = empty_labels([2, most], 5)
    assert labels.dtype == dtype
    labels[1] = most
    assert (labels[1].long() == most).all()
    assert empty_labels([], 5).shape == (0, 5)


def on_grids(n_rows: int, own: float) -> EncodedRows:
    """Two columns whose cells are of one width, one whose cells are not, with holes."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (n_rows, 4)).astype(float)
    cells = np.tile([1.0, 0.0, 0.25, 0.5], (n_rows, 1))
    cells[n_rows // 2 :, 2] = own
    values[::3, 3], cells[::3, 3] = np.nan, 0.0
    nothing = np.empty((n_rows, 0))
    return EncodedRows(nothing.astype(np.int64), nothing, values, cells, np.zeros(n_rows))


@pytest.mark.parametrize(("own", "kept"), [(0.25, []), (0.125, [1])])
def test_cells_are_kept_once_where_they_are_all_alike(
    fitted: tuple[FlowDensity, pd.DataFrame], own: float, kept: list[int]
) -> None:
    rows = on_grids(60, own)
    marginals = fitted[0]._density.model.values.marginals.of_columns([0, 1, 2, 3])
    blur = Blur(marginals, rows.quantized_columns, len(rows))
    for block in (slice(0, 20), slice(20, 41), slice(41, 60)):
        blur.keep(block, rows.take(block))
    assert rows.quantized_columns == [0, 2, 3]
    assert list(blur.own_widths) == kept
    widths = blur.widths.repeat(1, len(rows))
    for j, cells in blur.own_widths.items():
        widths[j] = cells
    there = rows.bin_widths[:, rows.quantized_columns].T > 0
    np.testing.assert_allclose(
        widths.numpy()[there], rows.bin_widths[:, rows.quantized_columns].T[there]
    )


def test_maps_of_some_columns_are_those_of_all(fitted: tuple[FlowDensity, pd.DataFrame]) -> None:
    marginals = fitted[0]._density.model.values.marginals
    n_columns = marginals.x_knots.shape[1]
    x = 3 * torch.randn(n_columns, 50, generator=seeded(0), dtype=torch.float64)
    y, _ = marginals.forward_and_log_det(x)
    some = [4, 0, n_columns - 1]
    assert torch.equal(marginals.of_columns(some).forward_and_log_det(x[some])[0], y[some])


@pytest.mark.parametrize("size", SIZES)
def test_what_columns_leave_of_each_other(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """By blocks as by a decomposition of standardised columns at once."""
    X = correlated(300, 4, seed=0)
    near, exact = X[:, 2] + 1e-4 * X[:, 3], X[:, 0] - 2 * X[:, 1] + 5
    X = np.column_stack((X, near, np.full(300, 2.0), exact))
    X[7, 3] = np.nan
    nothing = np.empty((300, 0))
    rows = EncodedRows(nothing.astype(np.int64), nothing, X, np.zeros_like(X), np.zeros(300))
    cut(monkeypatch, size)
    factor, varying = _triangular_factor(rows, X.shape[1])
    assert varying.tolist() == [0, 1, 2, 4, 6]
    columns = X[:, varying]
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    expected = np.diag(np.linalg.qr(standardised, mode="r")) ** 2 / 300
    np.testing.assert_allclose(_share_left(factor, varying), expected, rtol=1e-8, atol=1e-20)
