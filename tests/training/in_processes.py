"""A training and a fit in one of several processes, whose results go to a file.

    python -m tests.training.in_processes FOLDER RANK SIZE [LOST_AFTER]

``FOLDER/rows`` holds Parquet files; process k writes ``FOLDER/k.npz``. The last process ends
without a word after ``LOST_AFTER`` epochs of the fit.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from skflow import FlowDensity, FlowOutlierDetector
from skflow.clock import Clock
from skflow.estimators import training_rows
from skflow.flow.batch import Batch
from skflow.flow.recipe import model_state
from skflow.training.objective import Objective
from skflow.training.options import choose_options
from skflow.training.workers import Workers
from tests.laws import seeded
from tests.training.steps import Part

N_EPOCHS = 3
FIT = {
    "n_layers": 1,
    "hidden_units": 8,
    "n_bins": 4,
    "n_components": 2,
    "dropout": 0.2,
    "max_iter": 4,
}


def train_in_double() -> dict[str, NDArray]:
    """Train a part of a model in float64, in steps of 50 rows; return weights and scores."""
    part, generator = Part("flow", 0.0), seeded(3)
    part.module.double()
    rows = part.rows._replace(y=part.rows.y.double())
    options = choose_options(
        rows.n_rows,
        clock=Clock(),
        tol=1e-4,
        max_iter=N_EPOCHS,
        batch_size=50,
        learning_rate=1e-3,
        weight_decay=0.1,
        n_iter_no_change=9,
    )
    options = replace(options, workers=Workers.join())
    objective, scores = Objective(part.module, options, n_batches=4), []
    held_out = rows.take(torch.arange(0, rows.n_rows, 3))
    objective.begin(rows, held_out, generator)
    for _ in range(N_EPOCHS):
        order = torch.randperm(rows.n_rows, generator=generator)
        for batch in objective.batches(order):
            objective.step(batch, 1e-3, objective.average.next_weight())
        scores.append([objective.train_score, objective.finish_epoch(held_out)])
    weights = {name: p.detach().numpy() for name, p in part.module.named_parameters()}
    return weights | {"scores": np.array(scores)}


def fit(folder: Path, seed: int) -> dict[str, NDArray]:
    """Fit a density to a dataset; return its arrays and history."""
    random_state = np.random.RandomState(seed)
    density = FlowDensity(random_state=random_state, checkpoint_path=folder / "checkpoint", **FIT)
    density.fit(ds.dataset(folder / "rows"))
    arrays = model_state(density._density.model)
    return arrays | {"history": np.array(density.history_["validation_score"])}


def detect(folder: Path, seed: int) -> dict[str, NDArray]:
    """Fit a detector to a dataset as if it were larger than memory; return what it says."""
    training_rows.MOST_BYTES_IN_MEMORY = 0
    density = FlowDensity(n_layers=0, n_components=1)
    random_state = np.random.RandomState(seed)
    dataset = ds.dataset(folder / "rows")
    detector = FlowOutlierDetector(density, random_state=random_state).fit(dataset)
    return {"scores": detector.score_samples(dataset.to_table().to_pandas())}


def end_after(n_epochs: int) -> None:
    """End this process after some epochs of a part of a model."""
    finish, n_finished = Objective.finish_epoch, 0

    def finish_or_end(self: Objective, held_out: Batch | None) -> float:
        nonlocal n_finished
        n_finished += 1
        if n_finished > n_epochs:
            os._exit(1)
        return finish(self, held_out)

    Objective.finish_epoch = finish_or_end  # type: ignore[method-assign]


def main() -> None:
    """Train and fit in this process."""
    folder, rank, size, *lost_after = Path(sys.argv[1]), *map(int, sys.argv[2:])
    torch.set_num_threads(1)
    store = f"file://{folder}/store{len(lost_after)}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    trained = {f"trained {name}": array for name, array in train_in_double().items()}
    if lost_after and rank == size - 1:
        end_after(*lost_after)
    fitted = {f"fitted {name}": array for name, array in fit(folder, seed=rank).items()}
    # Detectors of two processes would take as long as the rest of the quick test.
    found = detect(folder, seed=rank) if size > 2 else {}
    detected = {f"detected {name}": array for name, array in found.items()}
    np.savez(folder / f"{rank}.npz", **trained, **fitted, **detected)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
