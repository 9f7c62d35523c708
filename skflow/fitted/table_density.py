"""A fitted density of a table: its codec and its model, applied to whole tables."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skflow.archive.document import TableFields
from skflow.archive.table import pack_table, unpack_table
from skflow.device import resolve_device
from skflow.exceptions import StrangeLabelsWarning, warn_caller
from skflow.fitted.blocks import Step, apply_by_blocks, concatenate
from skflow.fitted.round_trip import InverseError, compare_columns
from skflow.flow.model import Latents, Model, Rows
from skflow.flow.recipe import FlowRecipe, model_state, restore_model
from skflow.outliers.peaks import Factors
from skflow.outliers.value_densities import Joint
from skflow.rows import row_blocks
from skflow.table.codec import TableCodec
from skflow.table.columns import MIN_PROBABILITY
from skflow.table.frames import Container
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

MOST_DRAWS = 20  # of one row


@dataclass
class TableDensity:
    """Log-densities, latents and rows of tables, block by block, in float64.

    Attributes
    ----------
    container : Container
        What rows came in, and are given back in.
    codec : TableCodec
        Tables to labels and values.
    recipe : FlowRecipe
        Sizes of the model.
    model : Model
        Labels and values to standard normal variables.
    """

    container: Container
    codec: TableCodec
    recipe: FlowRecipe
    model: Model

    def log_prob(self, table: StoredTable, device: str | torch.device) -> FloatArray:
        """Log-density of each row, in nats, in the table's own units."""

        def step(model: Model, log_volume: Tensor, *rows: Tensor) -> Sequence[Tensor]:
            return (log_volume + model.log_prob(Rows(*rows)),)

        return self._of_table(step, table, device)[0]

    def joint(self, device: str | torch.device) -> Joint:
        """Return the log-density of rows as they are encoded, per unit of that.

        To 1e-5 nats: reads are not rounded, as only an exact inverse needs, which halves
        the work.
        """
        unrounded = copy.deepcopy(self.model)
        unrounded.values.mixture.train()

        def of_labels(model: Model, labels: Tensor, novel: Tensor) -> Sequence[Tensor]:
            log_prob = model.labels.log_prob(labels) + model.labels.novel_log_prob(novel)
            return (log_prob[None],)

        def of_values(model: Model, labels: Tensor, values: Tensor) -> Sequence[Tensor]:
            return (model.values.log_prob(labels, values)[None],)

        def factors(model: Model, labels: Tensor, values: Tensor) -> Sequence[Tensor]:
            residuals, log_det = model.values.residuals(labels, values)
            log_density = residuals.log_prob() + log_det
            return (
                torch.stack((log_density, log_det)),
                residuals.standardised.flatten(0, 1),
                residuals.log_floors,
                residuals.log_weights,
            )

        def apply(step: Step, *arrays: NDArray) -> list[NDArray]:
            model = self._move_model(
                len(arrays[0]) * len(self.codec.latent_names), device, unrounded
            )
            return apply_by_blocks(step, model, arrays)

        with torch.inference_mode():
            log_peaks = unrounded.values.mixture.log_peaks().numpy()

        def numpy_factors(*arrays: NDArray) -> Factors:
            terms, standardised, floors, weights = apply(factors, *arrays)
            standardised = standardised.reshape(-1, *log_peaks.shape)
            return Factors(terms[:, 0], terms[:, 1], standardised, floors, weights, log_peaks)

        return Joint(
            lambda *arrays: apply(of_labels, *arrays)[0][:, 0],
            lambda *arrays: apply(of_values, *arrays)[0][:, 0],
            numpy_factors,
            log_peaks.size,
        )

    def standardized_scores(
        self,
        table: StoredTable,
        device: str | torch.device,
        never_seen: NDArray[np.bool_],
        *,
        warns: bool,
    ) -> FloatArray:
        """Measures of normality that no column's unit changes, ``(n_rows, 2)``.

        ``never_seen`` says which entries of the labels' vocabulary are taken for such.
        """

        def step(model: Model, log_volume: Tensor, *encoded: Tensor) -> Sequence[Tensor]:
            rows = Rows(*encoded)
            if never_seen.any():
                labels, known = rows.labels, model.labels
                is_never_seen = torch.tensor(never_seen).to(labels.device)
                hidden = is_never_seen[known.vocabulary(labels)]
                rows = rows._replace(labels=torch.where(hidden, known.sizes[:, None], labels))
            always_there = rows.values[model.value_label[:, 0] < 0]
            missing = math.log(MIN_PROBABILITY) * always_there.isnan().sum(dim=0)
            return (torch.stack(model.standardized_scores(rows)) + missing,)

        return self._of_table(step, table, device, warns=warns)[0]

    def latents(self, table: StoredTable, device: str | torch.device) -> FloatArray:
        """Latents of each row, ``(n_rows, n_latents)``, in the order of the columns."""

        def step(model: Model, log_volume: Tensor, *rows: Tensor) -> Sequence[Tensor]:
            return model.latents(Rows(*rows))

        of_labels, of_values = self._of_table(step, table, device)
        latents = np.empty((len(of_values), len(self.codec.latent_names)))
        latents[:, self.codec.latent_is_label] = of_labels
        latents[:, ~self.codec.latent_is_label] = of_values
        return latents

    def inverse(
        self,
        latents: FloatArray,
        device: str | torch.device,
        like: Any = None,
        *,
        unknown_as_missing: bool = False,
    ) -> Any:
        """Rows that have these latents, in the container; ``like`` lends its pandas index.

        What was never seen is missing, or becomes one of the rarest labels; see
        :meth:`TableCodec.decode`.
        """
        columns = self._columns(latents, device, unknown_as_missing=unknown_as_missing)
        return self.container.build(columns, like)

    def sample(
        self, n_rows: int, random_state: np.random.RandomState, device: str | torch.device
    ) -> Any:
        """New rows, in the container: known labels only, values on grids and in supports.

        A row with a value far beyond all that were fitted is drawn again: it comes from
        the floor of the mixture, which is there to keep scores finite.
        """

        def step(model: Model, of_labels: Tensor, of_values: Tensor) -> Sequence[Tensor]:
            rows = model.inverse(Latents(model.labels.known_latents(of_labels), of_values))
            return (*rows, model.values.marginals.is_within_reach(rows.values)[None])

        drawn: list[NDArray] = []
        again = np.arange(n_rows)
        for _ in range(MOST_DRAWS):
            latents = random_state.standard_normal((len(again), len(self.codec.latent_names)))
            fresh = self._of_latents(step, latents, device)
            drawn = drawn or [array.copy() for array in fresh]
            for array, rows in zip(drawn, fresh, strict=True):
                array[again] = rows
            again = again[~fresh[-1][:, 0]]
            if not len(again):
                break
        return self.container.build(self.codec.decode(*drawn[:-1], on_grid=True), None)

    def measure_inverse_error(self, table: StoredTable, device: str | torch.device) -> InverseError:
        """Send rows there and back, and compare."""
        columns = self._columns(self.latents(table, device), device)
        return compare_columns(table.columns, columns, self.codec.scales)

    def _columns(
        self, latents: FloatArray, device: str | torch.device, *, unknown_as_missing: bool = False
    ) -> list[StoredColumn]:
        def step(model: Model, of_labels: Tensor, of_values: Tensor) -> Sequence[Tensor]:
            if unknown_as_missing:  # no label says so of a column that had no hole at fit
                always_there = model.value_label[:, :1] < 0
                of_values = of_values.masked_fill(always_there & (of_values == 0), torch.nan)
            return model.inverse(Latents(of_labels, of_values))

        unknown = self.container.unknown if unknown_as_missing else None
        encoded = self._of_latents(step, latents, device)
        return self.codec.decode(*encoded, on_grid=False, unknown=unknown)

    def _of_table(
        self, step: Step, table: StoredTable, device: str | torch.device, *, warns: bool = True
    ) -> list[NDArray]:
        """Encode rows, block by block, and apply a step to their log-volumes and themselves."""
        n_columns = len(self.codec.latent_names)
        model = self._move_model(table.n_rows * n_columns, device)
        results = []
        n_levels = np.array([self.codec.columns[j].labels.n_known for j in self.codec.labelled])
        known = np.zeros(len(n_levels), dtype=bool)
        for block in row_blocks(table.n_rows, n_columns):
            encoded = self.codec.encode(table.take(block))
            known |= (encoded.labels < n_levels).any(axis=0)
            arrays = (encoded.log_volume, encoded.labels, encoded.novel, encoded.values)
            results.append(apply_by_blocks(step, model, arrays))
        if warns:
            self._warn_of_strange_labels(table, known)
        return concatenate(results)

    def _warn_of_strange_labels(self, table: StoredTable, known: NDArray[np.bool_]) -> None:
        """Warn of categories where no cell is ``known``, once for all such columns."""
        strange = [self.codec.labelled[k] for k in np.flatnonzero(~known)]
        reasons = list(filter(None, (self.codec.strangeness(table, j) for j in strange)))
        if reasons:
            warn_caller(
                "Some columns hold no label that was fitted: all of their cells are scored as rare "
                "events.\n  " + "\n  ".join(reasons),
                StrangeLabelsWarning,
            )

    def _of_latents(
        self, step: Step, latents: FloatArray, device: str | torch.device
    ) -> list[NDArray]:
        """Apply a step to latents of labels, and of values."""
        is_label = self.codec.latent_is_label
        model = self._move_model(latents.size, device)
        return apply_by_blocks(step, model, (latents[:, is_label], latents[:, ~is_label]))

    def _move_model(
        self, n_cells: int, device: str | torch.device, model: Model | None = None
    ) -> Model:
        """Return the model where so many cells are best worked on."""
        model = self.model if model is None else model
        where = resolve_device(device, n_cells)
        # A copy only where it has to move: what is fitted never changes.
        return model if where.type == "cpu" else copy.deepcopy(model).to(where)

    def __getstate__(self) -> dict[str, Any]:
        # Arrays by name: no torch object, so no device, is in the pickle. Nor are there objects
        # of pandas or polars, which skops does not know, but where no file could hold them.
        state = vars(self) | {"model": model_state(self.model)}
        try:
            table = json.dumps(pack_table(self.container, self.codec))
        except TypeError:
            return state
        del state["container"], state["codec"]
        return state | {"table": table}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "table" in state:
            fields = msgspec.json.decode(state.pop("table"), type=TableFields)
            state["container"], state["codec"] = unpack_table(fields)
        vars(self).update(state, model=restore_model(state["recipe"], state["model"]))
