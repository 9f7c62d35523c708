"""What every fit owes its caller: held-out rows, an earlier fit kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names_in

from skflow.clock import Clock
from skflow.exceptions import warn_caller
from skflow.fitted.checkpoint import Checkpoint
from skflow.fitted.stages import start_model, train_model
from skflow.fitted.table_density import TableDensity
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe, choose_recipe
from skflow.initialization.search import InitialConfig
from skflow.reporter import Reporter
from skflow.rows import EncodedRows
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.inference import infer_schema
from skflow.table.storage import StoredTable
from skflow.training.loop import History
from skflow.training.options import TrainingOptions, choose_options

FEWEST_ROWS_TO_SPLIT = 100


@contextmanager
def keep_earlier_fit(estimator: Any) -> Iterator[None]:
    """Put an estimator's state back where a fit fails.

    A first fit that is interrupted by the user stays, with the best weights so
    far; a later one gives way to the fit before it. A warning says which.
    """
    before = vars(estimator).copy()
    try:
        yield
    except BaseException as error:
        is_interrupted, is_first = isinstance(error, KeyboardInterrupt), "n_iter_" not in before
        kept = "the earlier fit is kept" if not is_first else "there is nothing to keep yet"
        if is_interrupted and is_first and "n_iter_" in vars(estimator):
            kept = f"the best weights of {estimator.n_iter_} epochs are kept, and can be used"
        else:
            vars(estimator).clear()
            vars(estimator).update(before)
        if is_interrupted:
            with suppress(Warning):  # an error made of it would hide the interrupt
                warn_caller(f"The fit of {type(estimator).__name__} was interrupted; {kept}.")
        raise


@contextmanager
def explained_exhaustion() -> Iterator[None]:
    """Raise a MemoryError that says what to lower, where torch runs out of memory."""
    try:
        yield
    except RuntimeError as error:
        # On a CPU torch raises no type of its own.
        if not (isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        raise MemoryError(
            "The fit does not fit into memory. Lower hidden_units, n_layers, n_bins or "
            f"batch_size, or fit fewer rows. ({str(error).splitlines()[0]})"
        ) from error


@dataclass(frozen=True)
class EncodableTable:
    """Training rows, what they came in, and how their columns are encoded.

    Attributes
    ----------
    container : Container
    codec : TableCodec
        Fitted to all rows of the table.
    table : StoredTable
    """

    container: Container
    codec: TableCodec
    table: StoredTable

    @classmethod
    def learn(cls, estimator: Any, X: Any) -> Self:
        """Infer the columns from all rows of ``X``, as the estimator's parameters say."""
        container = Container.fit(X, list(_check_feature_names_in(estimator)))
        table = container.read(X)
        schema = infer_schema(
            table,
            column_kinds=estimator.column_kinds,
            categorical_features=estimator.categorical_features,
            bounds=estimator.bounds,
        )
        return cls(container, TableCodec.fit(table, schema), table)

    @classmethod
    def read(cls, density: TableDensity, X: Any) -> Self:
        """Read rows as an earlier fit did, which a warm start goes on from."""
        return cls(density.container, density.codec, density.container.read(X))

    @property
    def rows(self) -> "TableRows":
        """All rows, encoded when they are asked for."""
        return TableRows.all_of(self.codec, self.table)


@dataclass(frozen=True)
class TableRows:
    """Rows of a table to learn from, or to judge by, encoded when they are asked for.

    Attributes
    ----------
    codec : TableCodec
    table : StoredTable
    rows : ndarray of int32 or int64
        Which of the table's rows these are, in as few bytes as number them.
    weight : ndarray of float64, shape (table.n_rows,), optional
        Of each row of the table; None weighs all rows alike.
    """

    codec: TableCodec
    table: StoredTable
    rows: NDArray[np.integer]
    weight: NDArray[np.float64] | None = None

    @classmethod
    def all_of(
        cls, codec: TableCodec, table: StoredTable, weight: NDArray[np.float64] | None = None
    ) -> Self:
        """Return all rows of a table."""
        dtype = np.int32 if table.n_rows < 2**31 else np.int64
        return cls(codec, table, np.arange(table.n_rows, dtype=dtype), weight)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def quantized_columns(self) -> list[int]:
        """Columns of values on a grid."""
        return self.codec.quantized_columns

    def stored(self, rows: Any) -> StoredTable:
        """Return some of the rows, as they are stored."""
        return self.table.take(self.rows[rows])

    def take(self, rows: Any) -> EncodedRows:
        """Encode some of the rows, by slice or index."""
        weight = None if self.weight is None else self.weight[self.rows[rows]]
        return replace(self.codec.encode(self.stored(rows)), weight=weight)

    def split(self, fraction: float, generator: torch.Generator) -> tuple[Self, Self]:
        """Split off a fraction of the rows at random: ``(train, held out)``."""
        n_rows = len(self)
        n_held_out = min(max(1, round(fraction * n_rows)), n_rows - 1)
        order = self.rows[torch.randperm(n_rows, generator=generator).numpy()]
        return replace(self, rows=order[n_held_out:]), replace(self, rows=order[:n_held_out])


def recipe_for(estimator: Any, codec: TableCodec, n_rows: int) -> FlowRecipe:
    """Return the sizes of a model of so many rows, as the estimator's parameters say."""
    return choose_recipe(
        n_rows,
        n_labels=codec.layout.n_labels,
        unseen=codec.layout.unseen,
        value_label=codec.layout.value_label,
        n_layers=estimator.n_layers,
        hidden_units=estimator.hidden_units,
        n_bins=estimator.n_bins,
        dropout=estimator.dropout,
    )


def options_for(estimator: Any, n_rows: int, clock: Clock) -> TrainingOptions:
    """Return how to train on so many rows, as the estimator's parameters say."""
    return choose_options(
        n_rows,
        max_iter=estimator.max_iter,
        clock=clock,
        batch_size=estimator.batch_size,
        learning_rate=estimator.learning_rate,
        weight_decay=estimator.weight_decay,
        n_iter_no_change=estimator.n_iter_no_change,
        tol=estimator.tol,
    )


@dataclass(frozen=True)
class FitPlan:
    """What all fits of one table share; see :mod:`skflow.fitted.stages`."""

    recipe: FlowRecipe
    bounds: Sequence[tuple[float, float]]
    n_components: int | str
    options: TrainingOptions
    held_out: TableRows | None
    device: torch.device
    generator: torch.Generator
    reporter: Reporter
    checkpoint: Checkpoint | None = None

    def start(
        self, rows: TableRows, candidate: InitialConfig | None = None
    ) -> tuple[Model, InitialConfig | None]:
        """Fit the closed form, unless an interrupted fit has done so."""
        checkpoint = self.checkpoint
        if checkpoint is not None:
            restored = checkpoint.restore_start(self.recipe, self.generator)
            if restored is not None:
                return restored
        model, candidate = start_model(
            rows,
            self.held_out,
            self.recipe,
            self.bounds,
            self.n_components,
            self.generator,
            self.options.clock,
            self.device,
            candidate,
            self.reporter,
        )
        if checkpoint is not None:
            checkpoint.begin(model, candidate, self.generator)
        return model, candidate

    def train(
        self, model: Model, rows: TableRows, history: History, n_iter: list[int] | None = None
    ) -> list[int]:
        """Train a model; return the epochs that were best, or run as many as were."""
        checkpoint = self.checkpoint
        if checkpoint is not None:
            done = checkpoint.skip(history)
            if done is not None:
                return done
            checkpoint.follow(history)
        best = train_model(
            model,
            rows,
            self.held_out,
            self.options,
            n_layers=self.recipe.n_layers,
            device=self.device,
            generator=self.generator,
            reporter=self.reporter,
            history=history,
            n_iter=n_iter,
            keeper=checkpoint,
        )
        if checkpoint is not None:
            checkpoint.end(model, best)
        return best

    def has_time_to_refit(self) -> bool:
        """Whether a fit that takes as long as all so far would end within the limit."""
        clock = self.options.clock
        began = self.checkpoint is not None and self.checkpoint.has_second_stage
        return began or clock.allows(clock.passed())

    def refit(
        self, rows: TableRows, candidate: InitialConfig | None, n_iter: list[int], score: float
    ) -> Model | None:
        """Fit once more what was chosen, to all rows, for as many epochs as were best.

        The rows held out are learnt from: unless they now score better than ``score``,
        something went wrong, and there is no model.
        """
        # From the first draw on again: what is drawn must not depend on the fit before.
        self.reporter.note("once more, with the held-out rows")
        seed = self.generator.initial_seed()
        plan = replace(self, generator=torch.Generator().manual_seed(seed))
        model, history = plan.start(rows, candidate)[0], History()
        plan.train(model, rows, history, n_iter)
        return model if history.best_score > score else None
