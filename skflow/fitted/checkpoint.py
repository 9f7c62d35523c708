"""Checkpoints: files from which fits go on where they were interrupted.

After each epoch the state of the fit is written, whole or not at all. What is not in it, such as
the encoding, is the same each time it is computed. So on the same CPU an interrupted fit ends
with the weights, bit for bit, of one that was not.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from sklearn.utils import check_random_state

from skflow.archive.document import UNSOUND, Fields, Index, Rows, Scalar, Size
from skflow.archive.files import Document, read, write
from skflow.archive.parameters import pack_parameter
from skflow.archive.replacing import find_target
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.clock import Clock
from skflow.exceptions import ModelFileError
from skflow.fitted.fit import FitState
from skflow.flat_state import Arrays, prefixed, take_prefixed
from skflow.flow.recipe import FlowRecipe, model_state, restore_model
from skflow.initialization.gaussian_mixture import PriorStrength
from skflow.initialization.search import InitialConfig, MarginalChoice
from skflow.rows import RowSource, encoded_blocks
from skflow.training.loop import History
from skflow.training.state import TrainingState

FORMAT = "skflow checkpoint"
VERSION = 2
# Parameters that change no weight, or whose draw the seed stands for.
FREE = ("device", "verbose", "checkpoint_path", "random_state")
REMEDY = "Delete it to begin again, or give another checkpoint_path."


class _ConfigFields(Fields):
    n_bins: Index
    shifts: bool
    n_components: Size
    strength: list[float]


class _StateFields(Fields):
    passed: Annotated[float, msgspec.Meta(ge=0.0)]
    config: _ConfigFields | None
    best_scores: Annotated[list[Scalar], msgspec.Meta(min_length=1, max_length=2)]
    n_iter: list[Rows]
    numbers: dict[str, Scalar] | None


def draw_seed(random_state: Any, checkpoint_path: str | os.PathLike[str] | None, field: str) -> int:
    """Draw the seed of a fit, or return that of its checkpoint, which holds it in ``field``."""
    if random_state is None and checkpoint_path is not None and Path(checkpoint_path).exists():
        kept = _read_file(checkpoint_path)[0].get(field)
        if type(kept) is int:
            return kept
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _read_file(path: str | os.PathLike[str]) -> tuple[Document, Arrays]:
    try:
        return read(find_target(path))
    except ModelFileError as error:
        raise ModelFileError(
            f"{path} is no checkpoint to go on from. {REMEDY} ({error})"
        ) from error


def open_checkpoint(
    estimator: Any,
    seed: int,
    sources: Iterable[RowSource],
    initial: Arrays,
    clock: Clock,
    recipe: FlowRecipe,
) -> "Checkpoint | None":
    """Return the checkpoint of an estimator's fit; None where it wants none.

    A fingerprint of parameters, seed, rows and versions identifies the fit. ``sources``
    are its rows, ``initial`` is the model that a warm start goes on from.
    """
    if estimator.checkpoint_path is None:
        return None
    parameters = estimator.get_params(deep=False).items()
    facts = {
        "parameters": {key: pack_parameter(value) for key, value in parameters if key not in FREE},
        "columns": repr(estimator.schema_),
        "seed": seed,
        "versions": [version("skflow"), torch.__version__],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for source in sources:
        digest.update(f"{len(source)} rows".encode())
        for _, rows in encoded_blocks(source, len(estimator.schema_.columns)):
            for part in (rows, rows.given):
                for name in ("labels", "novel", "values", "log_volume", "weight"):
                    array = getattr(part, name, None)
                    digest.update(b"" if array is None else array.tobytes())
    for array in initial.values():
        digest.update(array.tobytes())
    state = estimator.random_state
    head = {
        "fingerprint": digest.hexdigest(),
        "seed": seed,
        "random_state": state if isinstance(state, int) else None,
    }
    return Checkpoint(estimator.checkpoint_path, head, clock, recipe)


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : str or path-like
    head : dict
        Fingerprint and seeds, which identify the fit.
    clock : Clock
        Clock of the fit; the seconds of an interrupted one count.
    recipe : FlowRecipe
        Sizes of the model.

    Attributes
    ----------
    state : FitState or None
        In the file, where there is one.

    Raises
    ------
    ModelFileError
        Where the file is of another fit, or damaged.
    OSError
        Where no file can be.
    """

    def __init__(
        self, path: str | os.PathLike[str], head: dict[str, Any], clock: Clock, recipe: FlowRecipe
    ) -> None:
        self.path = find_target(path)
        self.head = head
        self.clock = clock
        self.state = self._read(recipe) if self.path.exists() else None
        self.written = self._mark()

    def save(self, state: FitState) -> None:
        """Write the state of the fit.

        Raises
        ------
        ModelFileError
            Where another fit has written the file meanwhile.
        """
        mark = self._mark()
        if mark is not None and mark != self.written:  # where it was deleted, it is written again
            raise ModelFileError(
                f"Another fit has written {self.path} meanwhile. Give each fit a checkpoint_path "
                "of its own."
            )
        write(self.path, *_pack(state, self.head | {"passed": self.clock.passed()}))
        self.written = self._mark()

    def _mark(self) -> tuple[int, ...] | None:
        """Return what changes whenever anybody writes the file; None where there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self, recipe: FlowRecipe) -> FitState:
        document, arrays = _read_file(self.path)
        if (document.pop("format", None), document.pop("version", None)) != (FORMAT, VERSION):
            raise ModelFileError(f"{self.path} is no checkpoint that this skflow knows. {REMEDY}")
        if any(document.pop(name, None) != value for name, value in self.head.items()):
            raise ModelFileError(
                f"{self.path} is the checkpoint of another fit: of other rows, parameters, "
                "random_state or versions, or of the fit that a warm start is to go on from. "
                f"{REMEDY} Each fit needs its own."
            )
        try:
            fields = msgspec.convert(document, _StateFields)
            self.clock.add(fields.passed)
            return _unpack(fields, arrays, recipe)
        except UNSOUND as error:
            raise ModelFileError(f"{self.path} is no sound checkpoint: {error} {REMEDY}") from error


def _pack(state: FitState, head: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    config, training, first = state.config, state.training, state.finished
    histories = {"now": state.history} | ({} if first is None else {"before": first.history})
    document = {
        "format": FORMAT,
        "version": VERSION,
        **head,
        "config": config
        and {
            "n_bins": config.view.n_bins,
            "shifts": config.view.shifts,
            "n_components": config.n_components,
            "strength": [float(rows) for rows in config.strength or ()],
        },
        "best_scores": [pack_scalar(history.best_score) for history in histories.values()],
        "n_iter": [] if first is None else first.n_iter,
        "numbers": None,
    }
    arrays = prefixed("initial", state.initial)
    if state.generator is not None:
        arrays["generator"] = state.generator
    if first is not None and first.model is not None:
        arrays |= prefixed("finished", model_state(first.model))
    for name, history in histories.items():
        arrays |= {
            f"history.{name}.{key}": np.array(values, dtype=np.float64)
            for key, values in history.as_dict().items()
        }
    if training is not None:
        numbers = training.numbers.items()
        document["numbers"] = {name: pack_scalar(number) for name, number in numbers}
        arrays |= prefixed("training", training.arrays)
    return document, arrays


def _unpack(fields: _StateFields, arrays: Arrays, recipe: FlowRecipe) -> FitState:
    keys = History().as_dict()
    histories = [
        History(
            **{key: arrays.pop(f"history.{name}.{key}").tolist() for key in keys},
            best_score=unpack_scalar(score),
        )
        for name, score in zip(("now", "before"), fields.best_scores, strict=False)
    ]
    config = None
    if fields.config is not None:
        choice = MarginalChoice(fields.config.n_bins, fields.config.shifts)
        strength = PriorStrength(*fields.config.strength) if fields.config.strength else None
        config = InitialConfig(choice, fields.config.n_components, strength)
    state = FitState(
        initial=take_prefixed("initial", arrays),
        config=config,
        generator=arrays.get("generator"),
        history=histories[0],
    )
    if fields.numbers is not None:
        state.training = TrainingState(
            {name: unpack_scalar(number) for name, number in fields.numbers.items()},
            take_prefixed("training", arrays),
        )
    if fields.n_iter:
        state.finished = FitState(
            config=state.config,
            history=histories[1],
            n_iter=fields.n_iter,
            model=restore_model(recipe, take_prefixed("finished", arrays)),
        )
    return state
