"""What a flow does with a batch, and the seconds it takes, methods in turn."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers.couplings import CouplingFlow

FloatArray = NDArray[np.float64]
Call = Callable[[], object]


def make_batch(
    n_rows: int, n_columns: int, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Tensor:
    """Return standard normal rows, ``(n_rows, n_columns)``."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_rows, n_columns, generator=generator).to(device, dtype)


def training(flow: CouplingFlow, rows: Tensor) -> Call:
    """Return one gradient step: forward, backward, clipping, AdamW."""
    flow.train()
    x, descend = flow.arrange(rows), flow.descent()

    def step() -> None:
        (-flow.log_prob(x).mean()).backward()
        descend()

    return step


def scoring(flow: CouplingFlow, rows: Tensor) -> Call:
    """Return the log-density of rows."""
    return _without_gradients(flow, flow.log_prob, rows)


def sampling(flow: CouplingFlow, rows: Tensor) -> Call:
    """Return standard normal rows sent back."""
    return _without_gradients(flow, flow.inverse, rows)


def _without_gradients(
    flow: CouplingFlow, function: Callable[[Tensor], Tensor], rows: Tensor
) -> Call:
    flow.eval()
    x = flow.arrange(rows)

    def call() -> Tensor:
        with torch.inference_mode():
            return function(x)

    return call


@dataclass(frozen=True)
class Work:
    """What is measured, and in which precision."""

    name: str
    prepare: Callable[[CouplingFlow, Tensor], Call]
    dtype: torch.dtype


TRAINING = Work("training step, float32", training, torch.float32)
SCORING = Work("scoring, float64", scoring, torch.float64)
FAST_SCORING = Work("scoring, float32", scoring, torch.float32)
SAMPLING = Work("sampling, float64", sampling, torch.float64)


def time_in_turn(
    calls: Mapping[str, Call], n_rounds: int, n_calls: int = 1, device: torch.device | str = "cpu"
) -> dict[str, FloatArray]:
    """Seconds per call of each method in each round.

    Each round runs every method once, ``n_calls`` times in a row, and begins with
    another one, so that what else the machine does falls on all of them alike.
    """
    names = list(calls)
    for name in names:
        seconds_per_call(calls[name], 1, device)  # what is done but once
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(n_rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(seconds_per_call(calls[name], n_calls, device))
    return {name: np.array(measured) for name, measured in seconds.items()}


def seconds_per_call(call: Call, n_calls: int, device: torch.device | str = "cpu") -> float:
    """Seconds of a call, the mean of some in a row, until the device has done them."""
    _synchronize(device)
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    _synchronize(device)
    return (time.perf_counter() - start) / n_calls


def _synchronize(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def describe(values: FloatArray, digits: int) -> str:
    """Return the median with the quartiles."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
