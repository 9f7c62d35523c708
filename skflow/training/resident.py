"""Training rows on the device, in a fixed place: encoded, dequantized and gaussianized.

Only what training reads is kept: float32 values, labels in as few bytes as hold them, weights
where rows have them, and the centers of bins that each epoch dequantizes.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.dequantization import dequantize, fork
from skflow.flow.batch import Batch
from skflow.flow.marginals import Marginals
from skflow.flow.model import Model, Part, Rows
from skflow.flow.recipe import WIDE
from skflow.rows import (
    EncodedRows,
    RowSource,
    WindowedRows,
    encoded_blocks,
    row_blocks,
    weighted_mean,
    weighted_sum,
    window_of,
)
from skflow.training.workers import ALONE, Workers

EVALUATION_ROWS = 8192  # at once, or fewer where a row takes many entries
EVALUATION_ENTRIES = 500_000  # or as many as one matrix of regressions has


class ResidentRows:
    """A window of rows that stays where it is on the device: captured steps read there.

    Parameters
    ----------
    model : Model
        In float64, on the CPU; its marginals gaussianize the values.
    source : RowSource
        All rows, or a source of windows: the first one is read, and all have as many rows.
    fixed : sequence of Part
        Parts of the model that are not trained: their log-density is part of the offset.
    generator : torch.Generator
        On the CPU; dequantizes the first window.
    device : torch.device

    Attributes
    ----------
    batch : Batch
        All rows.
    offset : float
        Mean in nats per row of what is not trained: log-determinants of encoding and marginals,
        log-density of fixed parts.
    centers : Tensor of float64, shape (n_quantized, n_rows)
        Values of columns on a grid, at the centers of their bins; NaN where missing.
    widths : Tensor of float64, shape (n_quantized, 1)
        Bin width of each such column where all rows share it; else 1.
    own_widths : dict of Tensor, shape (n_rows,)
        Bin widths of each row, in the other columns.
    """

    def __init__(
        self,
        model: Model,
        source: RowSource,
        fixed: Sequence[Part],
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        if isinstance(source, WindowedRows):  # the model moves to the device before later windows
            model, fixed = copy.deepcopy((model, list(fixed)))
        self.model = model
        self.fixed = fixed
        self.quantized_columns = list(source.quantized_columns)
        self.columns = torch.tensor(self.quantized_columns, dtype=torch.int64, device=device)
        self.marginals: Marginals | None = None
        if self.quantized_columns:
            self.marginals = model.column_marginals(self.quantized_columns).to(device)
        self.source, window = source, window_of(source, 0)
        n_rows, n_quantized = len(window), len(self.quantized_columns)
        labels = empty_labels(model.labels.sizes.tolist(), n_rows).to(device)
        gaussianized = torch.empty(
            (len(model.value_labels), n_rows), dtype=torch.float32, device=device
        )
        self.batch = Batch(labels, gaussianized)
        self.centers = torch.empty((n_quantized, n_rows), dtype=torch.float64, device=device)
        self.refill(window, generator)

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Take the next window of rows, where there are several, or dequantize those at hand.

        Parameters
        ----------
        epoch : int
            Which window it is depends on this number alone, so that training can be resumed.
        generator : torch.Generator
            On the device.
        """
        if isinstance(self.source, WindowedRows) and self.source.n_windows > 1:
            seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
            self.refill(self.source.window(epoch), torch.Generator().manual_seed(seed))
        else:
            self.redraw(generator)

    def refill(self, source: RowSource, generator: torch.Generator) -> None:
        """Encode, dequantize and gaussianize another window of rows into the place of this one.

        Raises
        ------
        ValueError
            Where the window has another number of rows.
        """
        n_rows = self.batch.n_rows
        if len(source) != n_rows:
            raise ValueError(f"A window has {len(source)} rows, expected {n_rows} in all of them.")
        self.widths = torch.zeros_like(self.centers[:, :1])
        self.own_widths: dict[int, Tensor] = {}
        noise, total, mass = fork(generator), 0.0, 0.0
        n_entries = len(self.batch.y) + len(self.batch.labels)
        for block, rows in encoded_blocks(source, n_entries):
            self._keep_bins(block, rows)
            moved = Rows.of(dequantize(rows, self.quantized_columns, noise))
            given = None if rows.given is None else Rows.of(rows.given.at_levels())
            with torch.no_grad():
                sent, offset = self.model.gaussianize(moved, given)
            weight = None if rows.weight is None else torch.from_numpy(rows.weight)
            sent = sent._replace(weight=weight)
            of_fixed = sum(mean_log_prob(part, sent) for part in self.fixed)
            total += float(weighted_sum(offset, weight))
            total += float(weighted_sum(rows.log_volume, rows.weight)) + of_fixed * rows.mass
            mass += rows.mass
            self._keep(block, sent)
        self.offset = total / mass

    def redraw(self, generator: torch.Generator) -> None:
        """Dequantize the values on grids once more, into their place.

        A density fitted to the same draw in each epoch fits the draw.

        Parameters
        ----------
        generator : torch.Generator
            On the device.
        """
        if self.marginals is None:
            return
        for block in row_blocks(self.batch.n_rows, len(self.columns)):
            centers = self.centers[:, block]
            with torch.no_grad():
                noise = torch.empty_like(centers).uniform_(-0.5, 0.5, generator=generator)
                noise *= self.widths
                for j, widths in self.own_widths.items():
                    noise[j] *= widths[block]
                values, _ = self.marginals.forward_and_log_det(centers + noise)
            gaussianized = self.batch.y
            gaussianized[self.columns, block] = values.to(gaussianized.dtype)

    def _keep(self, block: slice, rows: Batch) -> None:
        """Write some of the rows into their place."""
        n_rows = self.batch.n_rows
        if rows.weight is not None and self.batch.weight is None:
            self.batch = self.batch._replace(weight=self.batch.y.new_empty(n_rows))
        if rows.given is not None and self.batch.given is None:
            n_labels, n_values = len(rows.given.labels), len(rows.given.y)
            labels = torch.empty((n_labels, n_rows), dtype=torch.int32, device=self.batch.y.device)
            given = Batch(labels, self.batch.y.new_empty(n_values, n_rows))
            self.batch = self.batch._replace(given=given)
        for place, part in ((self.batch, rows), (self.batch.given, rows.given)):
            if place is not None and part is not None:
                place.labels[:, block] = part.labels.to(place.labels)
                place.y[:, block] = part.y.to(place.y)
        if rows.weight is not None and self.batch.weight is not None:
            self.batch.weight[block] = rows.weight.to(self.batch.weight)

    def _keep_bins(self, block: slice, rows: EncodedRows) -> None:
        """Keep centers and widths of the bins of some rows."""
        values = torch.from_numpy(rows.values[:, self.quantized_columns].T.copy())
        self.centers[:, block] = values.to(self.centers)
        for j, widths in enumerate(rows.bin_widths[:, self.quantized_columns].T):
            if not self._is_shared(j, widths[widths > 0]):
                self.own_widths[j][block] = torch.from_numpy(widths.copy()).to(self.own_widths[j])

    def _is_shared(self, j: int, widths: NDArray[np.float64]) -> bool:
        """Whether these bins of column ``j`` are as wide as all before them."""
        if j in self.own_widths:
            return False
        width = self.widths[j]
        if widths.size and not width:
            width.fill_(float(widths[0]))
        if (widths == float(width)).all():
            return True
        self.own_widths[j] = width.float().repeat(self.batch.n_rows)
        width.fill_(1.0)
        return False


def empty_labels(n_labels: Sequence[int], n_rows: int) -> Tensor:
    """Return room for labels; ``n_labels[j]``, one more than the last, is a novel label."""
    most = max(n_labels, default=0)
    dtypes = (torch.uint8, torch.int16, torch.int32)
    dtype = next(dtype for dtype in dtypes if most <= torch.iinfo(dtype).max)
    return torch.empty((len(n_labels), n_rows), dtype=dtype)


def mean_log_prob(part: Part, rows: Batch, workers: Workers = ALONE) -> float:
    """Weighted mean of a part's log-density over rows, block by block, in nats per row.

    Each process scores its share of the rows. Many columns are scored by the joint
    sum, which needs no step per column.
    """
    quantize = len(rows.y) <= WIDE
    entries = max(EVALUATION_ENTRIES, len(rows.y) ** 2)
    size = min(EVALUATION_ROWS, max(64, entries // max(1, part.entries_per_row)))
    own = workers.share(torch.arange(rows.n_rows, device=rows.y.device))
    with torch.inference_mode():
        blocks = [part.log_prob(rows.take(b), quantize=quantize) for b in own.split(size)]
        values, weight = torch.cat(blocks).double(), rows.weight
        if workers.is_alone:
            return float(weighted_mean(values, weight))
        own_weight = torch.ones_like(values) if weight is None else weight[own]
        total, mass = weighted_sum(values, own_weight), own_weight.double().sum()
        return workers.sum(float(total)) / workers.sum(float(mass))
