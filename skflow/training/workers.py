"""Data-parallel training: processes that fit one model together, each on its share of a batch.

All processes of a group of torch.distributed do the same work on the same rows, with the same
random numbers, but for gradients and scores: of each batch, and of the held-out rows, each process
takes its share, and one sum over all processes follows. So batches are the same rows for any
number of processes, and no process has fewer steps than another. Process 0 decides what depends on
the time, on a file or on the machine.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from skflow.clock import Clock

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)  # of the slowest process, between two sums
SILENCE = 20.0  # seconds until a process that says nothing is taken for lost


class LostProcessError(RuntimeError):
    """A process of a data-parallel fit has ended or does not answer."""


@dataclass(frozen=True)
class Workers:
    """The processes of a fit.

    Attributes
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    group : ProcessGroup, optional
        Of gloo: for everything but gradients, which go by the group that the user began.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @classmethod
    def join(cls) -> Self:
        """Return the processes of torch's group; this one alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return cls()
        group = dist.new_group(backend="gloo", timeout=TIMEOUT)
        return cls(dist.get_rank(), dist.get_world_size(), group)

    @property
    def is_alone(self) -> bool:
        """Whether this process is the only one."""
        return self.size == 1

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's share of some rows: a part of them, in their order."""
        return rows if self.is_alone else rows.tensor_split(self.size)[self.rank]

    def reduce(self, parameters: Sequence[nn.Parameter], share: float) -> None:
        """Replace gradients of shares of a batch by that of the whole batch, in one sum.

        Parameters
        ----------
        parameters : sequence of Parameter
            Their gradients are those of the mean over this process's rows.
        share : float
            Share of the batch's rows that are this process's.
        """
        if self.is_alone:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]) * share
        with self._naming_the_lost():
            dist.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum(self, value: float) -> float:
        """Return the sum of the values of all processes."""
        if self.is_alone:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        with self._naming_the_lost():
            dist.all_reduce(total, group=self.group)
        return float(total)

    def agree(self, value: T) -> T:
        """Return the value of process 0, which may be anything that can be pickled."""
        if self.is_alone:
            return value
        values = [value]
        with self._naming_the_lost():
            dist.broadcast_object_list(values, group=self.group)
        return values[0]

    def generator(self, common: torch.Generator) -> torch.Generator:
        """Return a generator of this process's own, by that of all, which stays as it is."""
        if self.is_alone:
            return common
        own = torch.Generator(common.device).set_state(common.get_state())
        seed = int(torch.randint(2**62, (1,), generator=own, device=own.device))
        return own.manual_seed(seed + self.rank)

    @contextmanager
    def _naming_the_lost(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            lost = (
                ", ".join(map(str, silent_processes(self.rank, self.size))) or "none that is known"
            )
            raise LostProcessError(
                f"Process {self.rank} of {self.size}, counted from 0, has lost others: {lost}. "
                "Start all again; with checkpoint_path the fit goes on after its last epoch."
            ) from error


ALONE = Workers()


def silent_processes(rank: int, size: int) -> list[int]:
    """Return the processes that do not say, within some seconds, that they have lost others."""
    store = dist.distributed_c10d._get_default_store()
    names = [f"skflow lost others: {process}" for process in range(size)]
    end = time.monotonic() + SILENCE
    try:
        store.set(names[rank], "")
        while time.monotonic() < end and not store.check(names):
            time.sleep(0.2)
        return [process for process, name in enumerate(names) if not store.check([name])]
    except RuntimeError:  # of process 0, which holds the store
        return [0]


class SharedClock(Clock):
    """A clock that all processes of a fit read alike: that of process 0.

    Parameters
    ----------
    own : Clock
        Clock of this process.
    workers : Workers
        All of them read the clock at the same places.
    """

    def __init__(self, own: Clock, workers: Workers) -> None:
        super().__init__(own.limit, own.now)
        self.own = own
        self.workers = workers

    def passed(self) -> float:
        """Return the seconds since the start, by process 0."""
        return self.workers.agree(self.own.passed())
