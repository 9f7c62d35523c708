"""Rows on the device: filled block by block, in one place, weighted, dequantized in each epoch."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from skflow import FlowDensity
from skflow.clock import Clock
from skflow.dequantization import dequantize, fork
from skflow.fitted.initialize import initialize
from skflow.fitted.settings import FitSettings
from skflow.fitted.table_rows import TableRows
from skflow.flow.model import Model, Rows
from skflow.flow.recipe import choose_recipe
from skflow.rows import EncodedRows, RowSource, WindowedRows, row_blocks
from skflow.training.options import choose_options
from skflow.training.resident import ResidentRows, empty_labels
from tests.laws import seeded
from tests.mixed import every_kind
from tests.settings import TWO_GAUSSIANS

SIZES = [7, 64, 10_000]


@pytest.fixture(scope="module")
def fitted() -> tuple[FlowDensity, pd.DataFrame]:
    df = every_kind(400)
    return FlowDensity(**TWO_GAUSSIANS).fit(df), df


def source_of(flow: FlowDensity, df: pd.DataFrame) -> TableRows:
    density = flow._density
    return TableRows.all_of(density.codec, density.container.read(df))


class Source:
    """Encoded rows as a source of them."""

    def __init__(self, rows: EncodedRows) -> None:
        self.rows = rows
        self.quantized_columns = rows.quantized_columns
        self.take = rows.take

    def __len__(self) -> int:
        return len(self.rows)


def resident(model: Model, source: RowSource) -> ResidentRows:
    return ResidentRows(model, source, [], seeded(0), torch.device("cpu"))


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
def test_blocks_are_filled_as_the_whole(
    fitted: tuple[FlowDensity, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    flow, df = fitted
    source, model = source_of(flow, df), flow._density.model
    assert len(source.quantized_columns) >= 4
    prepared = []
    for n_rows in (size, SIZES[-1]):
        cut(monkeypatch, n_rows)
        prepared.append(resident(model, source))
    blocks, whole = prepared
    assert torch.equal(blocks.batch.labels, whole.batch.labels)
    exact = {"rtol": 0, "atol": 0, "equal_nan": True}
    torch.testing.assert_close(blocks.batch.y, whole.batch.y, **exact)
    assert blocks.offset == pytest.approx(whole.offset, abs=1e-9)
    torch.testing.assert_close(blocks.centers, whole.centers, **exact)


def test_prepared_rows_are_those_of_the_model(fitted: tuple[FlowDensity, pd.DataFrame]) -> None:
    """Values and offset of whole float64 rows, computed at once."""
    flow, df = fitted
    source, model = source_of(flow, df), flow._density.model
    filled = resident(model, source)
    batch, offset = filled.batch, filled.offset
    rows = dequantize(source.take(slice(None)), source.quantized_columns, fork(seeded(0)))
    labels, novel, x = Rows.of(rows)
    with torch.no_grad():
        y, log_det = model.marginals.forward_and_log_det(x)
        fixed = log_det + model.novel_log_prob(novel)
    assert torch.equal(batch.labels.long(), labels)
    torch.testing.assert_close(batch.y, y.float(), rtol=0, atol=0, equal_nan=True)
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


def plain_model(rows: EncodedRows) -> tuple[Model, None]:
    """A model of columns of numbers, fitted to the rows as they are."""
    n_columns = rows.values.shape[1]
    recipe = choose_recipe(
        len(rows),
        n_labels=(),
        unseen=(),
        value_labels=tuple((-1, 0, 1) for _ in range(n_columns)),
        n_layers=0,
        hidden_units=4,
        n_bins=4,
        dropout=0.0,
    )
    bounds = [(-np.inf, np.inf)] * n_columns
    auto = dict.fromkeys(("max_iter", "batch_size", "learning_rate", "weight_decay"), "auto")
    options = choose_options(len(rows), clock=Clock(), tol=1e-4, n_iter_no_change="auto", **auto)
    names = [str(j) for j in range(n_columns)]
    settings = FitSettings(recipe, bounds, names, 1, options, torch.device("cpu"))
    return initialize(Source(rows), None, settings, seeded(0))


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
    monkeypatch: pytest.MonkeyPatch, own: float, kept: list[int]
) -> None:
    rows = on_grids(60, own)
    model, _ = plain_model(rows)
    cut(monkeypatch, 20)
    filled = resident(model, Source(rows))
    assert rows.quantized_columns == [0, 2, 3]
    assert list(filled.own_widths) == kept
    widths = filled.widths.repeat(1, len(rows))
    for j, cells in filled.own_widths.items():
        widths[j] = cells
    there = rows.bin_widths[:, rows.quantized_columns].T > 0
    np.testing.assert_allclose(
        widths.numpy()[there], rows.bin_widths[:, rows.quantized_columns].T[there]
    )


def test_each_window_and_draw_lies_in_the_place_of_those_before() -> None:
    rows = on_grids(60, 0.25)
    filled = resident(plain_model(rows)[0], Source(rows))
    place, draws = filled.batch.y.data_ptr(), [filled.batch.y.clone()]
    for seed in range(2):
        filled.redraw(seeded(seed))
        draws.append(filled.batch.y.clone())
    offset = filled.offset
    window = rows.take(np.roll(np.arange(60), 7))
    filled.refill(Source(replace(window, log_volume=window.log_volume + 2)), seeded(5))
    assert filled.batch.y.data_ptr() == place
    assert filled.offset == pytest.approx(offset + 2, abs=0.5)
    assert all((first[0] != draws[2][0]).all() for first in draws[:2])
    assert all(torch.equal(first[1], draws[2][1]) for first in draws[:2])
    torch.testing.assert_close(filled.batch.y[1], draws[0][1].roll(7))
    with pytest.raises(ValueError, match="has 59 rows, expected 60"):
        filled.refill(Source(rows.take(slice(59))), seeded(5))


class Windows(WindowedRows):
    """Rows in windows of 100."""

    def __init__(self, rows: EncodedRows) -> None:
        self.rows, self.sample = rows, rows
        self.n_windows = len(rows) // 100
        self.quantized_columns = rows.quantized_columns

    def window(self, epoch: int) -> RowSource:
        place = epoch % self.n_windows * 100
        return Source(self.rows.take(slice(place, place + 100)))


def test_later_windows_are_those_of_the_model_before_training(
    fitted: tuple[FlowDensity, pd.DataFrame],
) -> None:
    """Whose parts have moved to the device meanwhile, in float32, and changed there."""
    flow, df = fitted
    model = copy.deepcopy(flow._density.model)
    rows = source_of(flow, df).take(slice(None))
    fixed = [model.labels]
    filled = ResidentRows(model, Windows(rows), fixed, seeded(0), torch.device("cpu"))
    place = filled.batch.y.data_ptr()
    model.float()
    for parameter in model.parameters():
        parameter.data += 1
    filled.begin_epoch(2, seeded(1))
    assert filled.batch.y.data_ptr() == place
    own = flow._density.model
    alone = ResidentRows(
        own, Source(rows.take(slice(200, 300))), [own.labels], seeded(0), torch.device("cpu")
    )
    bare = [j for j in range(len(filled.batch.y)) if j not in filled.quantized_columns]
    assert torch.equal(filled.batch.labels, alone.batch.labels)
    torch.testing.assert_close(
        filled.batch.y[bare], alone.batch.y[bare], rtol=0, atol=0, equal_nan=True
    )
    assert torch.equal(filled.centers.nan_to_num(), alone.centers.nan_to_num())
    assert filled.offset == pytest.approx(alone.offset, abs=1.0)


def test_weights_of_rows_reach_batches_and_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight counts as equal rows."""
    rows = replace(on_grids(60, 0.25), bin_widths=np.zeros((60, 4)))
    times = np.arange(60) % 3 + 1
    rows = replace(rows, log_volume=np.linspace(-1, 1, 60))
    model, _ = plain_model(rows)
    cut(monkeypatch, 20)
    weighted = resident(model, Source(replace(rows, weight=times.astype(float))))
    repeated = resident(model, Source(rows.take(np.repeat(np.arange(60), times))))
    assert repeated.batch.weight is None
    assert weighted.offset == pytest.approx(repeated.offset, abs=1e-9)
    assert weighted.offset != pytest.approx(resident(model, Source(rows)).offset, abs=1e-4)
    assert weighted.batch.take(torch.tensor([3, 5])).weight.tolist() == [1.0, 3.0]


def test_maps_of_some_columns_are_those_of_all(fitted: tuple[FlowDensity, pd.DataFrame]) -> None:
    marginals = fitted[0]._density.model.marginals
    n_columns = marginals.x_knots.shape[1]
    x = 3 * torch.randn(n_columns, 50, generator=seeded(0), dtype=torch.float64)
    y, _ = marginals.forward_and_log_det(x)
    some = [4, 0, n_columns - 1]
    assert torch.equal(marginals.of_columns(some).forward_and_log_det(x[some])[0], y[some])
