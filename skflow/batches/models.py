"""Models as they travel to other processes, and loaded once in each."""

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from skflow.estimators.loading import load
from skflow.estimators.persistence import Saveable
from skflow.exceptions import ModelFileError

MOST_LOADED = 8  # models that a process keeps


@dataclass(frozen=True)
class ModelSource:
    """A model file: its path, or its content where it has none.

    Attributes
    ----------
    digest : str
        SHA-256 of the content.
    path : str or None
        Absolute; read by each process that loads the model.
    content : bytes or None
    """

    digest: str
    path: str | None = None
    content: bytes | None = None

    @classmethod
    def of(cls, model: Any) -> Self:
        """Return the source of a model: a fitted estimator, or the path of a file.

        Raises
        ------
        TypeError
            Where it is neither.
        """
        if isinstance(model, str | os.PathLike):
            path = os.path.abspath(os.fspath(model))
            return cls(_digest(Path(path).read_bytes()), path=path)
        if not isinstance(model, Saveable):
            raise TypeError(
                "model must be a fitted estimator of skflow, or the path of a file that its save "
                f"wrote; got {type(model).__name__}."
            )
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model"
            model.save(file)
            content = file.read_bytes()
        return cls(_digest(content), content=content)

    def load(self, device: str) -> Any:
        """Load the model, of exactly the content that the source was made of.

        Raises
        ------
        ModelFileError
            Where the file is damaged, or another one by now.
        OSError
            Where it cannot be read.
        """
        content = self.content if self.path is None else Path(self.path).read_bytes()
        if content is None or _digest(content) != self.digest:
            raise ModelFileError(
                f"{self.path} has changed since the task was made: some batches would be answered "
                "by one model, some by another. Make the task again from the new file, answer all "
                "batches by it, and write later models to paths of their own."
            )
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "model"
            copy.write_bytes(content)
            try:
                estimator = load(copy, device)
            except ModelFileError as error:
                message = str(error).replace(str(copy), self.path or "The model")
                raise ModelFileError(message) from error
        quiet = {"verbose": 0} if "verbose" in estimator.get_params(deep=False) else {}
        return estimator.set_params(**quiet)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class LoadedModels:
    """Models that this process has loaded, each once; the latest ones are kept.

    Threads that ask for a model at the same time wait for the first of them to load it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def get(self, source: ModelSource, device: str) -> Any:
        """Return the estimator of a source, which nobody may change; see ModelSource.load."""
        key = (source.digest, device)
        with self._lock:
            if key not in self._models:
                self._models[key] = source.load(device)
            self._models.move_to_end(key)
            while len(self._models) > MOST_LOADED:
                self._models.popitem(last=False)
            return self._models[key]


LOADED = LoadedModels()
if hasattr(os, "register_at_fork"):  # another thread may hold the lock at that moment
    os.register_at_fork(after_in_child=LOADED.__init__)  # type: ignore[misc]
