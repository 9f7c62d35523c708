"""Fits that go on where they were interrupted.

After each epoch all that the next ones depend on is written, whole or not at all: the model
as training found it, the weights with their moments and averages, the best weights so far,
the generators. What a fit computes before that, such as the encoding, is the same each
time. So on the same CPU an interrupted fit ends with the weights, bit for bit, of one that
was not.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from sklearn.utils import check_random_state

from skflow.archive.document import Fields, Rows, Scalar, Size
from skflow.archive.files import Arrays, Document, prefixed, read, take_prefixed, write
from skflow.archive.parameters import pack_parameter
from skflow.archive.replacing import find_target
from skflow.archive.scalars import pack_scalar, unpack_scalar
from skflow.clock import Clock
from skflow.exceptions import ModelFileError
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe, model_state, restore_model
from skflow.initialization.gaussian_mixture import PriorStrength
from skflow.initialization.search import InitialConfig, MarginalChoice
from skflow.rows import RowSource, encoded_blocks
from skflow.training.loop import History
from skflow.training.state import TrainingState

FORMAT = "skflow checkpoint"
VERSION = 1
# Parameters that change no weight, or whose draw is told apart by the seed.
FREE = ("device", "verbose", "checkpoint_path", "random_state")
REMEDY = "Delete it to begin anew, or give another checkpoint_path."


class _CandidateFields(Fields):
    n_bins: Size
    shifts: bool
    n_components: Size
    strength: list[float]


class _StageFields(Fields):
    passed: Annotated[float, msgspec.Meta(ge=0.0)]
    stage: Annotated[int, msgspec.Meta(ge=0, le=1)]
    candidate: _CandidateFields | None
    best_scores: tuple[Scalar, Scalar]
    n_iter: list[Rows]
    numbers: dict[str, Scalar] | None


def draw_seed(random_state: Any, checkpoint_path: str | os.PathLike[str] | None, field: str) -> int:
    """Draw the seed of a fit, or return that of the interrupted fit that it goes on with.

    ``field`` is where the checkpoint holds it.
    """
    if random_state is None and checkpoint_path is not None and Path(checkpoint_path).exists():
        kept = _read_file(checkpoint_path)[0].get(field)
        if type(kept) is int:
            return kept
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _read_file(path: str | os.PathLike[str]) -> tuple[Document, Arrays]:
    target = find_target(path)
    try:
        return read(target)
    except ModelFileError as error:
        raise ModelFileError(
            f"{path} is no checkpoint to go on from. {REMEDY} ({error})"
        ) from error


def fingerprint(estimator: Any, seed: int, sources: Iterable[RowSource], start: Arrays) -> str:
    """Return what tells a fit from all others: parameters, seed, rows, versions.

    ``start`` is the model that a warm start goes on from.
    """
    parameters = estimator.get_params(deep=False)
    told = {
        "parameters": {
            name: pack_parameter(value) for name, value in parameters.items() if name not in FREE
        },
        "columns": repr(estimator.schema_),
        "seed": seed,
        "versions": [version("skflow"), torch.__version__],
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for source in sources:
        digest.update(f"{len(source)} rows".encode())
        for _, rows in encoded_blocks(source, len(estimator.schema_.columns)):
            for array in (rows.labels, rows.novel, rows.values, rows.log_volume):
                digest.update(array.tobytes())
    for array in start.values():
        digest.update(array.tobytes())
    return digest.hexdigest()


@dataclass
class _Stage:
    """One training of a fit: without the rows held out, then with them.

    Attributes
    ----------
    number : int
        From 0.
    start, generator : Arrays
        The model as training found it, and the state of the fit's generator then.
    candidate : Candidate or None
        Of the closed form.
    history, standing : History, Standing
        After the last epoch that was kept.
    earlier, earlier_history, n_iter : Arrays, History, list of int
        What the stage before ended with, and the epochs that were best there.
    """

    number: int = 0
    start: Arrays = field(default_factory=dict)
    generator: Arrays = field(default_factory=dict)
    candidate: InitialConfig | None = None
    history: History = field(default_factory=History)
    standing: TrainingState | None = None
    earlier: Arrays = field(default_factory=dict)
    earlier_history: History = field(default_factory=History)
    n_iter: list[int] = field(default_factory=list)


class Checkpoint:
    """The file of one fit; a keeper of its trainings.

    Parameters
    ----------
    path : str or path-like
        What is there already is gone on with.
    head : dict
        Fingerprint and seeds, which tell the fit from others.
    clock : Clock
        Of the fit; the seconds of an interrupted one count.

    Raises
    ------
    ModelFileError
        Where the file is of another fit, or damaged.
    OSError
        Where no file can be.
    """

    def __init__(self, path: str | os.PathLike[str], head: dict[str, Any], clock: Clock) -> None:
        self.path = find_target(path)
        self.head = head
        self.clock = clock
        self.stage = _Stage()
        self.kept: _Stage | None = None
        self.written: tuple[int, ...] | None = None
        if self.path.exists():
            self.kept = self._read()
            self.written = self._mark()

    # Of a plan of fits.

    @property
    def has_second_stage(self) -> bool:
        """Whether the interrupted fit had begun to fit all rows."""
        return self.kept is not None and self.kept.number > 0

    def restore_start(
        self, recipe: FlowRecipe, generator: torch.Generator
    ) -> tuple[Model, InitialConfig | None] | None:
        """Return the model that the stage began with, or ended with; None where neither is kept."""
        kept = self.kept
        if kept is None or kept.number < self.stage.number:
            return None
        is_past = kept.number > self.stage.number
        if not is_past:
            generator.set_state(torch.tensor(kept.generator["state"]))
        return restore_model(recipe, _copy(kept.earlier if is_past else kept.start)), kept.candidate

    def begin(
        self, model: Model, candidate: InitialConfig | None, generator: torch.Generator
    ) -> None:
        """Keep the model that a stage begins with."""
        self.stage.start = _copy(model_state(model))
        self.stage.candidate = candidate
        self.stage.generator = {"state": generator.get_state().numpy().copy()}
        self._write()

    def skip(self, history: History) -> list[int] | None:
        """Return the best epochs of a stage that is past, and fill in its history."""
        if self.kept is None or self.kept.number <= self.stage.number:
            return None
        _fill(history, self.kept.earlier_history)
        self.stage = _Stage(number=self.stage.number + 1)
        return self.kept.n_iter

    def follow(self, history: History) -> None:
        """Take the history of the stage that is trained from now on, on from what is kept."""
        if self.kept is not None and self.kept.number == self.stage.number:
            self.stage = self.kept
        _fill(history, self.stage.history)
        self.stage.history = history

    def end(self, model: Model, n_iter: list[int]) -> None:
        """Take what a stage ended with, to be kept with the next one."""
        self.stage = _Stage(
            number=self.stage.number + 1,
            earlier=_copy(model_state(model)),
            earlier_history=self.stage.history,
            n_iter=n_iter,
        )

    # Of a training: the protocol of keepers.

    def restore(self) -> TrainingState | None:
        """Return where the training of this stage stood."""
        return self.stage.standing

    def keep(self, standing: TrainingState) -> None:
        """Write where it stands."""
        self.stage.standing = standing
        self._write()

    def _write(self) -> None:
        mark = self._mark()
        if mark is not None and mark != self.written:  # where it was deleted, it is written anew
            raise ModelFileError(
                f"Another fit has written {self.path} meanwhile. Give each fit a checkpoint_path "
                "of its own."
            )
        write(self.path, *_pack(self.stage, self.head | {"passed": self.clock.passed()}))
        self.written = self._mark()

    def _mark(self) -> tuple[int, ...] | None:
        """Return what changes whenever anybody writes the file; None where there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> _Stage:
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
            fields = msgspec.convert(document, _StageFields)
            self.clock.add(fields.passed)
            return _unpack(fields, arrays)
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise ModelFileError(f"{self.path} is no sound checkpoint: {error} {REMEDY}") from error


def _copy(arrays: Arrays) -> Arrays:
    """Copy arrays, lest training changes them where they lie."""
    return {name: array.copy() for name, array in arrays.items()}


def _fill(history: History, kept: History) -> None:
    for name, values in vars(kept).items():
        setattr(history, name, values)


def _pack(stage: _Stage, head: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    candidate, standing = stage.candidate, stage.standing
    document = {
        "format": FORMAT,
        "version": VERSION,
        **head,
        "stage": stage.number,
        "candidate": None if candidate is None else _pack_candidate(candidate),
        "best_scores": [pack_scalar(h.best_score) for h in (stage.history, stage.earlier_history)],
        "n_iter": stage.n_iter,
        "numbers": None,
    }
    arrays = prefixed("start", stage.start) | prefixed("generator", stage.generator)
    arrays |= prefixed("earlier", stage.earlier)
    for name, history in (("now", stage.history), ("before", stage.earlier_history)):
        arrays |= {
            f"history.{name}.{key}": np.array(values, dtype=np.float64)
            for key, values in history.as_dict().items()
        }
    if standing is not None:
        numbers = standing.numbers.items()
        document["numbers"] = {name: pack_scalar(number) for name, number in numbers}
        arrays |= prefixed("standing", standing.arrays)
    return document, arrays


def _unpack(fields: _StageFields, arrays: Arrays) -> _Stage:
    names = History().as_dict()
    now, before = (
        History(
            **{name: arrays.pop(f"history.{which}.{name}").tolist() for name in names},
            best_score=unpack_scalar(score),
        )
        for which, score in zip(("now", "before"), fields.best_scores, strict=True)
    )
    standing = None
    if fields.numbers is not None:
        numbers = {name: unpack_scalar(number) for name, number in fields.numbers.items()}
        standing = TrainingState(numbers, take_prefixed("standing", arrays))
    return _Stage(
        number=fields.stage,
        start=take_prefixed("start", arrays),
        generator=take_prefixed("generator", arrays),
        candidate=None if fields.candidate is None else _unpack_candidate(fields.candidate),
        history=now,
        standing=standing,
        earlier=take_prefixed("earlier", arrays),
        earlier_history=before,
        n_iter=fields.n_iter,
    )


def _pack_candidate(candidate: InitialConfig) -> dict[str, Any]:
    return {
        "n_bins": candidate.view.n_bins,
        "shifts": candidate.view.shifts,
        "n_components": candidate.n_components,
        "strength": [float(rows) for rows in candidate.strength],
    }


def _unpack_candidate(fields: _CandidateFields) -> InitialConfig:
    choice = MarginalChoice(fields.n_bins, fields.shifts)
    return InitialConfig(choice, fields.n_components, PriorStrength(*fields.strength))
