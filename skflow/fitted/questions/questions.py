"""Questions to the joint density of a table: some of its cells, given others."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skflow.conditioning.answering import PARTICLES, answer
from skflow.conditioning.importance import ImportanceSampler
from skflow.conditioning.partial_rows import PartialRows
from skflow.conditioning.particles import Answers
from skflow.exceptions import FewEffectiveDrawsWarning, warn_caller
from skflow.fitted.cells import in_fitted_dtypes, put
from skflow.fitted.table_density import TableDensity
from skflow.flow.model import Rows
from skflow.outliers.conditionals import Conditional
from skflow.outliers.joint_density import JointDensity
from skflow.table.codec import TableCodec
from skflow.table.storage import StoredColumn, StoredTable
from skflow.torch_state import usual_torch

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Device = str | torch.device
Answer = Callable[[ImportanceSampler, PartialRows, torch.Tensor, int, int], Answers]

# Least for a row with one unknown cell that is surely a value, with another one, and with more.
DRAWS_ON_LINE, FEW_DRAWS, MANY_DRAWS = 20, 32, 64
ACCURATE_DRAWS = 256  # for the density of a row, or a typical cell
DRAWS_PER_SAMPLE = 8
MOST_SAMPLES = 64  # rows out of the same draws
QUADRATURE_FACTORS = 60_000  # at once: each is evaluated at a hundred nodes


@dataclass(frozen=True)
class PartialTable:
    """Rows of which some cells are unknown.

    Attributes
    ----------
    table : StoredTable
        All fitted columns; an unknown cell holds anything.
    known : ndarray of bool, shape (n_rows, n_columns)
    kept, broken : frozenset of int
        Constraints that are kept in all rows, and those that are broken: their targets are cells
        of their own, also where they are as implied. Of others the cells decide.
    """

    table: StoredTable
    known: Mask
    kept: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()

    @property
    def decided(self) -> frozenset[int]:
        """Constraints that are kept or broken in all rows."""
        return self.kept | self.broken

    def decide(self, i: int, *, is_kept: bool) -> "PartialTable":
        """Return the rows with constraint i kept, or broken."""
        name = "kept" if is_kept else "broken"
        return replace(self, **{name: getattr(self, name) | {i}})

    def take(self, rows: Any) -> "PartialTable":
        """Return some of the rows, by slice, mask or index."""
        return replace(self, table=self.table.take(rows), known=self.known[rows])

    def only(self, columns: Mask) -> "PartialTable":
        """Return the rows with no column known but some of those that are."""
        return replace(self, known=self.known & columns)


def with_columns(codec: TableCodec, table: StoredTable, columns: list[int]) -> PartialTable:
    """Return rows of some columns, the others unknown.

    Parameters
    ----------
    codec : TableCodec
    table : StoredTable
        Its columns are some of the fitted ones.
    columns : list of int
        Which ones.
    """
    missing = np.ones(table.n_rows, dtype=np.int8)
    every = [
        replace(
            fitted.stored,
            values=np.zeros(table.n_rows, dtype=fitted.stored.values.dtype),
            missing=missing,
        )
        for fitted in codec.columns
    ]
    for j, column in zip(columns, table.columns, strict=True):
        every[j] = column
    known = np.zeros((table.n_rows, len(every)), dtype=bool)
    known[:, columns] = True
    return PartialTable(replace(table, columns=tuple(every)), known)


class Questions:
    """Draws and densities of unknown cells, given the known cells of each row.

    Parameters
    ----------
    density : TableDensity
    device : str or torch.device
    what : {"known", "present", "every"}
        Labels that are drawn: all that fitted rows have; those without missing markers; or all,
        labels never seen included.
    answer : callable, default=answer
        Draws of rows with unknown cells.
    """

    def __init__(
        self, density: TableDensity, device: Device, what: str, answer: Answer = answer
    ) -> None:
        if density.model.given_marginals is not None:
            raise ValueError(
                "The density was fitted with given=..., for one question. Fit FlowDensity() "
                "without given, on all columns, for any other."
            )
        self.density = density
        self.codec = density.codec
        self.device = device
        self.answer = answer
        #: Draws of a row of which a density is wanted.
        self.n_accurate = ACCURATE_DRAWS
        #: Least for a row with several unknown cells.
        self.n_least = MANY_DRAWS
        entries = []
        for j in self.codec.labelled:
            labels = self.codec.columns[j].labels
            n_allowed = {
                "known": labels.n_labels,
                "present": labels.n_labels - len(labels.markers),
                "every": labels.n_labels + 1,
            }[what]
            entries.append(np.arange(labels.n_labels + 1) < n_allowed)
        self.allowed = torch.tensor(np.concatenate([np.zeros(0, dtype=bool), *entries]))
        #: Number of labels of each labelled column that may be drawn: its first ones.
        self.n_allowed = np.array([own.sum() for own in entries], dtype=np.int64)

    @property
    def drawable(self) -> Mask:
        """Whether any cell may be drawn, for each column."""
        return np.array([codec.labels.has_values for codec in self.codec.columns])

    def log_density(self, partial: PartialTable) -> tuple[FloatArray, FloatArray]:
        """Log-density of the known cells of each row, the others summed out, and its error.

        Returns
        -------
        log_density : ndarray of shape (n_rows,), float64
            In nats, in the table's own units.
        error : ndarray of shape (n_rows,), float64
            Standard error, in nats; 0 where the density is exact.
        """
        if partial.known.all():
            log_prob = self.density.log_prob(partial.table, self.device, partial.broken)
            return log_prob, np.zeros(len(partial.known))
        log_density, error = np.zeros((2, len(partial.known)))
        if not partial.known.any():
            return log_density, error
        for rows, offset, answers in self._answers(partial, None, self.n_accurate):
            log_density[rows] = answers.log_density.cpu().numpy() + offset
            error[rows] = answers.error.cpu().numpy()
        return log_density, error

    def log_density_without(self, partial: PartialTable, j: int) -> FloatArray:
        """Log-density of all columns but one, that one summed out by quadrature, ``(n_rows,)``."""
        n_rows = len(partial.known)
        joint = JointDensity(self.density.model, self.device, n_rows)
        size = max(1, min(1000, QUADRATURE_FACTORS // max(1, joint.n_factors)))
        parts = []
        for start in range(0, n_rows, size):
            part = partial.take(slice(start, start + size))
            rows = self.codec.encode(part.table, part.known, part.broken)
            own = self.codec.columns[j].encode(part.table.columns[j])
            volume = rows.log_volume - own.log_volume
            parts.append(Conditional(self.codec, joint, rows, j).log_total() + volume)
        return np.concatenate(parts)

    def draw(
        self, partial: PartialTable, uniform: FloatArray, n_draws: int, n_chosen: int
    ) -> Iterator[tuple[NDArray[np.intp], list[StoredColumn]]]:
        """Draw the unknown cells of rows.

        Yields
        ------
        rows : ndarray of intp
            Some of the rows.
        columns : list of StoredColumn
            Their cells, ``n_chosen`` of each row after the other, as the codec decodes them.
        """
        for rows, _, answers in self._answers(partial, uniform, n_draws, n_chosen):
            with inference():
                model, y = self.density.model, answers.y.flatten(1).cpu()
                # Draws of the mixture's floor, which keeps densities finite, may lie far beyond.
                y = y.clamp(*model.marginals.reach())
                # A known cell may be missing where no fitted row had a missing value.
                y = y.masked_fill(y.isnan() & (model.value_labels[:, :1] < 0), 0.0)
                values = model.marginals.inverse(y)
            labels = answers.labels.flatten(1).cpu().numpy().T
            nothing = np.full(labels.shape, np.nan)
            decoded = self.codec.decode(labels, nothing, values.numpy().T, on_grid=True)
            yield rows, decoded

    @property
    def n_uniform(self) -> int:
        """Uniform numbers that each row takes."""
        return 2 + len(self.codec.latent_names)

    def _answers(
        self, partial: PartialTable, uniform: FloatArray | None, n_draws: int, n_chosen: int = 0
    ) -> Iterator[tuple[NDArray[np.intp], FloatArray, Answers]]:
        """Yield some rows, the log-volume of their known cells, and the answers for them.

        Each has ``n_draws`` draws at least.
        """
        n_rows = len(partial.known)
        if uniform is None:
            uniform = np.random.RandomState(0).random_sample((n_rows, self.n_uniform))
        effort = np.maximum(self.fewest_draws(partial.known), n_draws)
        sizes, n_unreliable = [], 0
        sampler = self.make_sampler(int(effort.sum()))
        for rows in _blocks(partial.known, effort):
            with inference():  # no longer than for these rows: modes of torch end in turn
                encoded, offset = self.encode(partial.take(rows), sampler)
                own = torch.tensor(uniform[rows]).to(sampler.device)
                answers = self.answer(sampler, encoded, own, int(effort[rows[0]]), n_chosen)
                sizes.append(answers.effective_size.cpu().numpy())
                n_unreliable += int((~answers.is_reliable).sum())
            yield rows, offset, answers
        if n_unreliable:
            warn_caller(
                f"{n_unreliable} of {n_rows} rows have few effective draws, at least "
                f"{np.concatenate(sizes).min():.1f}; the median of all rows is "
                f"{np.median(np.concatenate(sizes)):.0f}. Their draws and densities are rough.",
                FewEffectiveDrawsWarning,
            )

    def make_sampler(self, n_draws: int) -> ImportanceSampler:
        """Return a sampler on the device that suits so many draws."""
        model, components = self.density.move_model(n_draws, self.device), self.density.components
        with inference():
            return ImportanceSampler(model, components, self.allowed)

    def fewest_draws(self, known: Mask) -> NDArray[np.int64]:
        """Fewest draws of rows, ``(n_rows,)``, by which of their cells are known."""
        of_columns = []
        for label, value in self.codec.indices:
            n_labels = 1 if label is None else int(self.n_allowed[label])
            if value is None:  # each label is one draw
                of_columns.append(min(n_labels, FEW_DRAWS))
            else:
                of_columns.append(DRAWS_ON_LINE if n_labels == 1 else FEW_DRAWS)
        of_one_cell = (~known).astype(np.int64) @ np.array(of_columns)
        return np.where((~known).sum(axis=1) > 1, self.n_least, of_one_cell.clip(min=1))

    def encode(
        self, partial: PartialTable, sampler: ImportanceSampler
    ) -> tuple[PartialRows, FloatArray]:
        """Encode rows; and the log-volume of their known cells, ``(n_rows,)``, in nats."""
        layout, n_rows = self.codec.layout, len(partial.known)
        labels = np.zeros((n_rows, len(layout.n_labels)), dtype=np.int64)
        label_is_known = np.ones(labels.shape, dtype=bool)
        novel = np.full(labels.shape, np.nan)
        values = np.full((n_rows, len(layout.value_labels)), np.nan)
        value_is_known = np.ones(values.shape, dtype=bool)
        log_volume = np.zeros(n_rows)
        table = self.codec.implied.leave_out(partial.table, partial.known, partial.broken)
        for j, (codec, (label, value)) in enumerate(
            zip(self.codec.columns, self.codec.indices, strict=True)
        ):
            known, encoded = partial.known[:, j], codec.encode(table.columns[j])
            log_volume += np.where(known, encoded.log_volume, 0.0)
            if label is not None:
                labels[:, label] = np.where(known, encoded.labels, 0)
                novel[:, label] = np.where(known, encoded.novel, np.nan)
                label_is_known[:, label] = known | (self.n_allowed[label] == 1)  # the label 0
            if value is not None:
                values[:, value] = np.where(known, encoded.values, np.nan)
                value_is_known[:, value] = known
        parts = (labels, novel, values, label_is_known, value_is_known)
        sent = [torch.tensor(np.ascontiguousarray(part.T)).to(sampler.device) for part in parts]
        batch, of_marginals = sampler.model.gaussianize(Rows(*sent[:3]))
        return PartialRows(
            batch.labels, batch.y, *sent[3:]
        ), log_volume + of_marginals.cpu().numpy()


@contextmanager
def inference() -> Iterator[None]:
    """Set torch's modes for answers: its defaults, but without gradients."""
    with usual_torch(), torch.inference_mode():
        yield


def _blocks(known: Mask, effort: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of rows with as many draws, those with the same columns known together.

    Such rows share what is computed once.
    """
    patterns = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)[1].ravel()
    for n_draws in np.unique(effort):
        own = np.flatnonzero(effort == n_draws)
        own = own[np.argsort(patterns[own], kind="stable")]
        size = max(1, PARTICLES // int(n_draws))
        yield from (own[start : start + size] for start in range(0, len(own), size))


def sample_rows(
    questions: Questions, partial: PartialTable, n_samples: int, generator: np.random.RandomState
) -> Any:
    """Draw whole rows, ``n_samples`` for each row of ``partial``, in the fitted container."""
    n_rows, n_parts = len(partial.known), math.ceil(n_samples / MOST_SAMPLES)
    n_chosen = math.ceil(n_samples / n_parts)  # each part has draws of its own
    uniform = generator.random_sample((n_rows * n_parts, questions.n_uniform))
    parts = partial.take(np.repeat(np.arange(n_rows), n_parts))
    rows = partial.take(np.repeat(np.arange(n_rows), n_samples))
    columns = list(in_fitted_dtypes(questions.codec.columns, rows.table).columns)
    for own, drawn in questions.draw(parts, uniform, DRAWS_PER_SAMPLE * n_chosen, n_chosen):
        source, part = np.divmod(np.repeat(own, n_chosen), n_parts)
        number = np.tile(np.arange(n_chosen), len(own)) * n_parts + part
        kept = np.flatnonzero(number < n_samples)
        at = (source * n_samples + number)[kept]
        columns = [
            column if rows.known[0, j] else put(column, at, cells.take(kept))
            for j, (column, cells) in enumerate(zip(columns, drawn, strict=True))
        ]
    return questions.density.container.build(columns, None)
