"""Held-out nats per row and fit seconds of FlowDensity(), beside flows and classics.

    python -m pip install . zuko nflows
    python benchmarks/density.py --data DIR [--seeds 0 1 2] [--methods zuko] [--tables stock]
    python benchmarks/density.py --fresh FlowDensity --data DIR
    python benchmarks/density.py --page

Every method gets the same rows of a table and one thread; seconds are the processor's.
FlowDensity runs with its defaults, and again cut short, which says how soon it reaches
the score of the best flow beside it. The flows of zuko and nflows are trained as
``flow_peers.py`` says, 300 processor seconds a rate at most; the rate that is best on a
table's first split is taken for its other splits. GaussianMixture and
KernelDensity get standardised columns (the Jacobian is put back), choose their settings
on a tenth of the training rows, and are then fitted once more to all of them, which no
flow is.

What is measured is kept in ``results/density.jsonl``, one result a line, and not measured
twice, so the work can be stopped, resumed and shared out. ``--fresh`` drops the results
of a method before measuring it again. ``--page`` writes the pages of all there is;
without ``--data`` nothing is measured.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import density_pages
import flow_peers
import numpy as np
import torch
from numpy.typing import NDArray
from records import add_arguments, drop_records, is_of, measure_missing, read_records
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from tables import load_tables, split
from threadpoolctl import threadpool_limits

from skflow import FlowDensity

FloatArray = NDArray[np.float64]
Method = Callable[..., dict]

LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy", "zuko", "nflows")
MAX_SECONDS = 300.0  # of a flow's training at one rate
COMPONENTS = (1, 2, 3, 5, 8, 12, 20, 30, 50)
COVARIANCES = ("full", "tied", "diag", "spherical")
BANDWIDTHS = np.geomspace(0.02, 1.0, 14)


def measure_flow(train: FloatArray, test: FloatArray, seed: int, **settings: int) -> dict:
    """Measure FlowDensity, all that ``settings`` do not name at its default."""
    start = time.process_time()
    flow = FlowDensity(random_state=seed, **settings).fit(train)
    seconds = time.process_time() - start
    return {"nats": flow.score(test), "seconds": seconds, "epochs": flow.n_iter_}


def measure_mixture(train: FloatArray, test: FloatArray, seed: int) -> dict:
    """Measure a Gaussian mixture; components and covariance chosen on held-out rows."""
    grid = [
        GaussianMixture(k, covariance_type=covariance, random_state=seed)
        for k in COMPONENTS
        for covariance in COVARIANCES
        if 5 * k <= len(train)
    ]
    return _measure_best(grid, ("n_components", "covariance_type"), train, test)


def measure_kernel(train: FloatArray, test: FloatArray, seed: int) -> dict:
    """Measure a Gaussian kernel density; bandwidth chosen on held-out rows."""
    grid = [KernelDensity(bandwidth=float(h)) for h in BANDWIDTHS]
    return _measure_best(grid, ("bandwidth",), train, test)


def _measure_best(
    grid: list, parameters: tuple[str, ...], train: FloatArray, test: FloatArray
) -> dict:
    began = time.process_time()
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    n_held_out = len(train) // 10
    scores = []
    for model in grid:
        try:
            model.fit(train[n_held_out:])
            scores.append(model.score_samples(train[:n_held_out]).mean())
        except ValueError:  # a component of the mixture collapsed
            scores.append(-np.inf)
    best = grid[int(np.argmax(scores))]
    start = time.process_time()
    best.fit(train)
    ended = time.process_time()
    return {
        "nats": float(best.score_samples(test).mean() - np.log(deviation).sum()),
        "seconds": ended - start,
        "seconds_in_all": ended - began,
        **{name: best.get_params()[name] for name in parameters},
    }


def _peer(build: Callable) -> Method:
    return partial(_measure_peer, build)


def _measure_peer(
    build: Callable,
    train: FloatArray,
    test: FloatArray,
    seed: int,
    rates: Sequence[float] = flow_peers.RATES,
) -> dict:
    return flow_peers.fit_score(build, train, test, seed, MAX_SECONDS, rates)


PEERS: dict[str, Method] = {
    "zuko autoregressive": _peer(flow_peers.Autoregressive),
    "zuko coupling": _peer(flow_peers.Coupling),
    "nflows coupling": _peer(flow_peers.nflows_coupling),
}
METHODS: dict[str, Method] = {
    "FlowDensity()": measure_flow,
    **PEERS,
    "GaussianMixture": measure_mixture,
    "KernelDensity": measure_kernel,
    "FlowDensity(n_layers=0)": partial(measure_flow, n_layers=0),
    "FlowDensity(max_iter=3)": partial(measure_flow, max_iter=3),
    "FlowDensity(max_iter=10)": partial(measure_flow, max_iter=10),
    "FlowDensity(max_iter=30)": partial(measure_flow, max_iter=30),
}


def measure(
    tables: dict[str, FloatArray], results: Path, table: str, seed: int, method: str
) -> dict:
    """Return one result; where the method fails, its nats are None and the error is told."""
    n_rows, n_columns = tables[table].shape
    train, test = split(tables[table], seed)
    settings = {}
    if method in PEERS and seed > 0:
        settings["rates"] = chosen_rates(results, table, method)
    try:
        measured = METHODS[method](train, test, seed, **settings)
    except flow_peers.LIBRARY_ERRORS as error:
        told = f"{type(error).__name__}: {error}"[:200]
        measured = {"nats": None, "seconds": None, "error": told}
    return {"rows": n_rows, "columns": n_columns, **measured}


def chosen_rates(results: Path, table: str, method: str) -> Sequence[float]:
    """Return the learning rate that a peer chose on a table's first split; all, if all failed."""
    job = {"table": table, "seed": 0, "method": method}
    found = [record for record in read_records(results) if is_of(record, job)]
    if not found:
        raise ValueError(f"Later seeds take the rate that seed 0 chose: measure {job} first.")
    return [found[0]["rate"]] if "rate" in found[0] else flow_peers.RATES


def _chosen(beginnings: list[str]) -> list[str]:
    """Return the methods whose names begin so."""
    return [method for method in METHODS if method.startswith(tuple(beginnings))]


def main() -> None:
    """Measure what ``--data`` allows and is not there yet; write the pages if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="holds reg/, uci_gp/ and density/")
    parser.add_argument("--tables", nargs="+", help="all, if not given")
    add_arguments(parser, "density")
    arguments = parser.parse_args()
    if arguments.data is not None:
        tables = load_tables(arguments.data)
        tables = {name: tables[name] for name in arguments.tables or tables}
        methods = _chosen(arguments.fresh or arguments.methods)
        jobs = [
            {"table": table, "seed": seed, "method": method}
            for seed in arguments.seeds
            for table in tables
            for method in methods
        ]
        if arguments.fresh:
            drop_records(arguments.results, jobs)
        warnings.simplefilter("ignore", ConvergenceWarning)
        torch.set_num_threads(1)
        with threadpool_limits(1):
            measure_missing(
                arguments.results,
                jobs,
                partial(measure, tables, arguments.results),
                LIBRARIES,
                ("nats", "seconds"),
            )
    if arguments.page:
        density_pages.write(read_records(arguments.results))


if __name__ == "__main__":
    main()
