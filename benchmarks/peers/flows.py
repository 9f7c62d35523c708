"""Normalizing flows of other libraries, trained as a careful user would.

Columns are standardised; a tenth of the training rows is held out. AdamW with its
default decay, gradients clipped, a cosine schedule; weights are kept that score the
held-out rows best, and training ends when they have not improved for ``PATIENCE``
epochs, after ``MAX_EPOCHS``, or after ``max_seconds`` of processor time, whichever comes
first. The schedule ends with the epochs or the seconds, so that a run cut short has
been annealed as well. Each rate is tried, the best on held-out rows taken. A
rate at which a loss is not finite, or which the library stops by an error, has failed.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import zuko
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
)
from nflows.transforms.base import InputOutsideDomain
from nflows.utils import create_alternating_binary_mask
from numpy.typing import NDArray
from torch import Tensor, nn

FloatArray = NDArray[np.float64]

WIDTH = 128
N_BINS = 8
BOUND = 5.0  # of the splines, in standard deviations; zuko's default
RATES = (3e-4, 1e-3, 3e-3)
MAX_EPOCHS = 300
PATIENCE = 20
LARGEST_NORM = 5.0  # of gradients
SCORED_AT_ONCE = 4096
LIBRARY_ERRORS = (AssertionError, InputOutsideDomain, RuntimeError, ValueError)


class Autoregressive(nn.Module):
    """zuko's neural spline flow, autoregressive."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.flow = zuko.flows.NSF(
            features=n_columns, bins=N_BINS, transforms=3, hidden_features=(WIDTH, WIDTH)
        )

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of rows."""
        return self.flow().log_prob(x)


class Coupling(nn.Module):
    """zuko's neural spline flow of coupling layers."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.flow = zuko.flows.NSF(
            features=n_columns, bins=N_BINS, transforms=6, hidden_features=(WIDTH, WIDTH), passes=2
        )

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of rows."""
        return self.flow().log_prob(x)


def nflows_coupling(n_columns: int) -> nn.Module:
    """Return nflows' rational-quadratic coupling layers.

    Masks alternate within each pair of layers and columns are permuted between pairs,
    so that every column is transformed three times.
    """
    layers = []
    for i in range(6):
        mask = create_alternating_binary_mask(n_columns, even=i % 2 == 0)
        layers.append(
            PiecewiseRationalQuadraticCouplingTransform(
                mask, _residual_net, num_bins=N_BINS, tails="linear", tail_bound=BOUND
            )
        )
        if i % 2:
            layers.append(RandomPermutation(n_columns))
    return Flow(CompositeTransform(layers), StandardNormal([n_columns]))


def _residual_net(n_in: int, n_out: int) -> nn.Module:
    return ResidualNet(n_in, n_out, hidden_features=WIDTH, num_blocks=2)


@dataclass(frozen=True)
class Run:
    """What training at one rate came to; ``held_out``, its best score, is None where it failed."""

    rate: float
    epochs: int
    seconds: float
    ended: str
    held_out: float | None
    best_epoch: int
    seconds_to_best: float


def fit_score(
    build: Callable[[int], nn.Module],
    train: FloatArray,
    test: FloatArray,
    seed: int,
    max_seconds: float,
    rates: Sequence[float] = RATES,
) -> dict:
    """Return nats per row of ``test``, processor seconds and how they came about.

    ``seconds`` are those of the chosen rate alone, ``seconds_in_all`` those of every rate,
    where there was a choice.
    """
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    train, test = (torch.as_tensor((x - mean) / deviation).float() for x in (train, test))
    runs, best, model = fit_best(build, train, seed, max_seconds, rates)
    details: dict = {"runs": [asdict(run) for run in runs]}
    if len(rates) > 1:
        details["seconds_in_all"] = sum(run.seconds for run in runs)
    if best is None:
        return {"nats": None, "seconds": None, "error": "every rate failed", **details}
    return {
        "nats": mean_score(model, test) - float(np.log(deviation).sum()),
        "seconds": best.seconds,
        "rate": best.rate,
        "epochs": best.epochs,
        **details,
    }


def fit_best(
    build: Callable[[int], nn.Module],
    train: Tensor,
    seed: int,
    max_seconds: float,
    rates: Sequence[float] = RATES,
) -> tuple[list[Run], Run | None, nn.Module]:
    """Return the runs, and the one that is best on a tenth of the rows with its model.

    It is None where every rate failed.
    """
    n_held_out = len(train) // 10
    trained = [
        _train(build, train[n_held_out:], train[:n_held_out], rate, seed, max_seconds)
        for rate in rates
    ]
    runs = [run for run, _ in trained]
    sound = [pair for pair in trained if pair[0].held_out is not None]
    if not sound:
        return runs, None, trained[0][1]
    return runs, *max(sound, key=lambda pair: pair[0].held_out)


def _train(
    build: Callable[[int], nn.Module],
    train: Tensor,
    held_out: Tensor,
    rate: float,
    seed: int,
    max_seconds: float,
) -> tuple[Run, nn.Module]:
    torch.manual_seed(seed)
    start = time.process_time()
    model = build(train.shape[1])
    best_score, best_epoch, best_seconds, best_weights = -math.inf, 0, 0.0, None
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    ended, epoch, seconds = "all epochs", 0, 0.0
    try:
        for epoch in range(1, MAX_EPOCHS + 1):
            done = max((epoch - 1) / MAX_EPOCHS, seconds / max_seconds)
            optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2
            _train_epoch(model, optimizer, train)
            score = mean_score(model, held_out)
            seconds = time.process_time() - start
            if score > best_score:
                best_score, best_epoch, best_seconds = score, epoch, seconds
                best_weights = copy.deepcopy(model.state_dict())
            if epoch - best_epoch >= PATIENCE:
                ended = "no improvement"
                break
            if seconds >= max_seconds:
                ended = "max_seconds"
                break
    except LIBRARY_ERRORS as error:
        ended, best_score = f"{type(error).__name__}: {error}"[:200], None
    seconds = time.process_time() - start
    if best_score is not None:
        model.load_state_dict(best_weights)
    return Run(rate, epoch, seconds, ended, best_score, best_epoch, best_seconds), model


def _train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, train: Tensor) -> None:
    model.train()
    for rows in torch.randperm(len(train)).split(_batch_size(len(train))):
        loss = -model.log_prob(train[rows]).mean()
        if not loss.isfinite():
            raise ValueError(f"the loss is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
        optimizer.step()


def _batch_size(n_rows: int) -> int:
    return min(512, max(64, 2 ** int(math.log2(n_rows / 32))))


@torch.no_grad()
def mean_score(model: nn.Module, rows: Tensor) -> float:
    """Return the mean log-density of rows, in nats."""
    model.eval()
    scores = torch.cat([model.log_prob(part).double() for part in rows.split(SCORED_AT_ONCE)])
    if not scores.isfinite().all():
        raise ValueError("a log-density is not finite")
    return scores.mean().item()
