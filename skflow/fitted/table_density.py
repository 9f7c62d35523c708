"""A fitted density of a table: its codec and its model, applied to whole tables."""

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from skflow.archive.document import TableFields
from skflow.archive.table import pack_table, unpack_table
from skflow.conditioning.components import MixedComponents
from skflow.conditioning.distillation import distill
from skflow.device import resolve_device
from skflow.exceptions import StrangeLabelsWarning, warn_caller
from skflow.fitted.blocks import join, send, send_given, send_rows
from skflow.fitted.round_trip import InverseError, compare_columns
from skflow.flow.blocks import Block, device_blocks
from skflow.flow.model import Latents, Model, Rows
from skflow.flow.recipe import FlowRecipe, model_state, restore_model
from skflow.outliers.standardized import standardized_scores
from skflow.rows import EncodedRows, block_size
from skflow.table.codec import TableCodec
from skflow.table.column_codec import MIN_PROBABILITY
from skflow.table.frames import Conditions, Container
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

MOST_DRAWS = 20  # of one row
NONE: frozenset[int] = frozenset()


@dataclass
class TableDensity:
    """Log-densities, latents and rows of tables, block by block, in float64.

    Attributes
    ----------
    container : Container
        Container of the fitted rows, in which rows are returned.
    codec : TableCodec
        Encoding of tables as labels and values.
    recipe : FlowRecipe
        Sizes of the model.
    model : Model
        Map of labels and values to standard normal variables.
    """

    container: Container
    codec: TableCodec
    recipe: FlowRecipe
    model: Model
    _components: MixedComponents | None = None

    def log_prob(
        self,
        table: StoredTable,
        device: str | torch.device,
        broken: frozenset[int] | None = None,
    ) -> FloatArray:
        """Log-density of each row, ``(n_rows,)``, in nats, in the table's own units.

        Where a label of a target says the same as "implied", it is the sum over both; but where it
        is known which constraints are ``broken``, and imply no cell.
        """
        model, parts = self.move_model(table.n_rows, device), []
        is_whole = broken is None
        for block, encoded in self._encoded_blocks(table, model, broken or NONE, warns=is_whole):
            with block:
                log_volume, rows = send_rows(encoded, model.value_labels.device)
                given = send_given(encoded, model.value_labels.device)
                parts.append((log_volume + model.log_prob(rows, given)).cpu())
        log_prob = join(parts)
        for i in self.codec.ambiguous if is_whole else ():
            kept = np.flatnonzero(self.codec.implied.are_kept(i, table.columns))
            if kept.size:
                other = self.log_prob(table.take(kept), device, frozenset({i}))
                log_prob[kept] = np.logaddexp(log_prob[kept], other)
        return log_prob

    def standardized_scores(
        self,
        table: StoredTable,
        device: str | torch.device,
        never_seen: NDArray[np.bool_],
        label_log_tails: FloatArray,
        *,
        warns: bool,
    ) -> FloatArray:
        """Measures of normality that no column's unit changes, ``(n_rows, 3)``, in nats.

        ``never_seen`` says which entries of the labels' vocabulary count as novel labels, and
        ``label_log_tails`` how unlikely each is.
        """
        model, parts = self.move_model(table.n_rows, device), []
        device = model.value_labels.device
        is_never_seen = torch.tensor(never_seen, device=device)
        log_tails = torch.tensor(label_log_tails, device=device)
        for block, encoded in self._encoded_blocks(table, model, warns=warns):
            with block:
                rows = send_rows(encoded, device)[1]
                if never_seen.any():
                    rows = model.with_novel(rows, is_never_seen)
                always_there = rows.values[model.value_labels[:, 0] < 0]
                missing = math.log(MIN_PROBABILITY) * always_there.isnan().sum(dim=0)
                scores = torch.stack(standardized_scores(model, rows, log_tails))
                parts.append((scores + missing).cpu())
        return join(parts)

    def latents(self, table: StoredTable, device: str | torch.device) -> FloatArray:
        """Latents of each row, ``(n_rows, n_latents)``, in the order of the columns."""
        model, of_labels, of_values = self.move_model(table.n_rows, device), [], []
        for block, encoded in self._encoded_blocks(table, model):
            with block:
                rows = send_rows(encoded, model.value_labels.device)[1]
                sent = model.latents(rows, send_given(encoded, model.value_labels.device))
                of_labels.append(sent.labels.cpu())
                of_values.append(sent.values.cpu())
        latents = np.empty((table.n_rows, len(self.codec.latent_names)))
        latents[:, self.codec.latent_is_label] = join(of_labels)
        latents[:, ~self.codec.latent_is_label] = join(of_values)
        return latents

    def inverse(
        self,
        latents: FloatArray,
        device: str | torch.device,
        like: Any = None,
        *,
        given: Conditions | None = None,
        unknown_as_missing: bool = False,
    ) -> Any:
        """Rows that have these latents, in the container; ``like`` lends its pandas index.

        ``given`` are their conditions, where the density has some. What was never seen is
        missing, or becomes one of the rarest labels; see :meth:`TableCodec.decode`.
        """
        columns = self._columns(latents, device, given, unknown_as_missing=unknown_as_missing)
        return self.container.build(columns, like, None if given is None else given.dtypes)

    def sample(
        self,
        n_rows: int,
        random_state: np.random.RandomState,
        device: str | torch.device,
        given: Conditions | None = None,
    ) -> Any:
        """New rows, in the container: known labels only, values on grids and in supports.

        ``given`` are the conditions of the rows, where the density has some. A row with a value
        far beyond all that were fitted is drawn again: it comes from the floor of the mixture,
        which is there to keep scores finite. So is one whose implied cells nothing implies.
        """
        drawn: list[NDArray] = []
        again = np.arange(n_rows)
        for _ in range(MOST_DRAWS):
            conditions = None if given is None else given.take(again)
            z = random_state.standard_normal((len(again), len(self.codec.latent_names)))
            u = random_state.random_sample((len(again), len(self.codec.value_codecs)))
            *fresh, is_within_reach = self._draw(z, u, conditions, device)
            drawn = drawn or [array.copy() for array in fresh]
            for array, rows in zip(drawn, fresh, strict=True):
                array[again] = rows
            again = again[~is_within_reach | self.codec.find_unfounded(*fresh)]
            if not len(again):
                break
        columns = self.codec.decode(
            *drawn, on_grid=True, given=None if given is None else given.stored
        )
        return self.container.build(columns, None, None if given is None else given.dtypes)

    def draw(
        self, z: FloatArray, u: FloatArray, given: Conditions, device: str | torch.device
    ) -> tuple[list[StoredColumn], NDArray[np.bool_]]:
        """Columns of draws given conditions, and which rows are within reach.

        Parameters
        ----------
        z : ndarray of shape (n_rows, n_labelled + n_valued)
            Standard normal, independent: for labels, then for values.
        u : ndarray of shape (n_rows, n_valued)
            Uniform on [0, 1), independent.
        given : Conditions
        device : str or torch.device
        """
        *drawn, is_within_reach = self._draw(z, u, given, device)
        return self.codec.decode(*drawn, on_grid=True, given=given.stored), is_within_reach

    def middle_condition(self) -> Conditions | None:
        """A row of conditions: first labels, and the middles of values."""
        codec, marginals = self.codec.given, self.model.given_marginals
        if codec is None or marginals is None:
            return None
        labels = np.zeros((1, len(codec.labelled)), dtype=np.int64)
        for column, first, _ in codec.layout.value_labels:
            if column >= 0:
                labels[0, column] = first
        middle = torch.zeros((len(codec.layout.value_labels), 1), dtype=torch.float64)
        values = marginals.inverse(middle).numpy().T
        columns = codec.decode(labels, np.full(labels.shape, np.nan), values, on_grid=True)
        row = StoredTable(tuple(columns), 1, self.container.library)
        return Conditions(row, row, {})

    def measure_inverse_error(self, table: StoredTable, device: str | torch.device) -> InverseError:
        """Send rows there and back, and compare."""
        given = None
        if self.codec.conditions:
            conditions = table.select(self.codec.conditions)
            given = Conditions(conditions, conditions, {})
        columns = self._columns(self.latents(table, device), device, given)
        compared = self.codec.targets
        return compare_columns(
            table.select(compared).columns,
            [columns[j] for j in compared],
            self.codec.scales[compared],
        )

    def _columns(
        self,
        latents: FloatArray,
        device: str | torch.device,
        given: Conditions | None,
        *,
        unknown_as_missing: bool = False,
    ) -> list[StoredColumn]:
        unknown = self.container.unknown if unknown_as_missing else None
        encoded = self._of_latents(latents, device, given, zero_as_missing=unknown_as_missing)
        stored = None if given is None else given.stored
        return self.codec.decode(*encoded, on_grid=False, unknown=unknown, given=stored)

    def _of_latents(
        self,
        latents: FloatArray,
        device: str | torch.device,
        given: Conditions | None,
        *,
        zero_as_missing: bool = False,
    ) -> tuple[NDArray, ...]:
        """Labels, novel numbers and values of latents.

        With ``zero_as_missing``, a latent of 0 is a missing value also in columns that had none.
        """
        is_label, model = self.codec.latent_is_label, self.move_model(len(latents), device)
        device, parts = model.value_labels.device, []
        for block in device_blocks(len(latents), model):
            with block:
                of_labels, of_values = (
                    send(latents[block.rows, columns], device) for columns in (is_label, ~is_label)
                )
                if zero_as_missing:  # no label marks a missing value of a column that had none
                    had_none = model.value_labels[:, :1] < 0
                    of_values = of_values.masked_fill(had_none & (of_values == 0), torch.nan)
                rows = model.inverse(
                    Latents(of_labels, of_values), self._send_given(given, block, device)
                )
                parts.append([tensor.cpu() for tensor in rows])
        return tuple(join(list(tensors)) for tensors in zip(*parts, strict=True))

    def _draw(
        self, z: FloatArray, u: FloatArray, given: Conditions | None, device: str | torch.device
    ) -> tuple[NDArray, ...]:
        """Labels, novel numbers and values of draws, and which rows are within reach.

        All random numbers are drawn before: the rows do not depend on the size of blocks.
        """
        model, parts = self.move_model(len(z), device), []
        device, n_labels = model.value_labels.device, len(self.codec.labelled)
        for block in device_blocks(len(z), model):
            with block:
                of_labels, of_values = (
                    send(part, device) for part in np.split(z[block.rows], [n_labels], axis=1)
                )
                rows = model.draw(
                    Latents(of_labels, of_values),
                    send(u[block.rows], device),
                    self._send_given(given, block, device),
                )
                parts.append([tensor.cpu() for tensor in (*rows, model.is_within_reach(rows))])
        return tuple(join(list(tensors)) for tensors in zip(*parts, strict=True))

    def _send_given(
        self, given: Conditions | None, block: Block, device: torch.device
    ) -> Rows | None:
        if given is None or self.codec.given is None:
            return None
        return send_rows(self.codec.given.encode(given.rows.take(block.rows)), device)[1]

    def _encoded_blocks(
        self,
        table: StoredTable,
        model: Model,
        broken: frozenset[int] = NONE,
        *,
        warns: bool = True,
    ) -> Iterator[tuple[Block, EncodedRows]]:
        """Encode rows block by block, each as large as the model's device has memory for.

        At the end a warning names columns of which no cell has a label that was fitted.
        """
        n_levels = [self.codec.columns[j].labels.first_marker for j in self.codec.labelled]
        known = np.zeros(len(n_levels), dtype=bool)
        most_on_cpu = block_size(self.codec.n_encoded)
        for block in device_blocks(table.n_rows, model, most_on_cpu):
            encoded = self.codec.encode(table.take(block.rows), None, broken)
            known |= (encoded.labels < n_levels).any(axis=0)
            yield block, encoded
        if warns:
            self._warn_of_strange_labels(table, known)

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

    @property
    def components(self) -> MixedComponents:
        """Proposals of draws of some columns given others: fitted at first use, then kept."""
        if self._components is None:
            self._components = distill(self.model)
        return self._components

    def move_model(self, n_rows: int, device: str | torch.device) -> Model:
        """Return the model on the device that suits a table of ``n_rows``.

        A copy only where it has to move: what is fitted never changes.
        """
        where = resolve_device(device, n_rows * self.codec.n_encoded)
        return self.model if where.type == "cpu" else copy.deepcopy(self.model).to(where)

    def __getstate__(self) -> dict[str, Any]:
        # Arrays by name: no torch object, so no device, is in the pickle. Nor are there objects
        # of pandas or polars, which skops does not know, but where no file could hold them.
        state = vars(self) | {"model": model_state(self.model), "_components": None}
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
