"""Held-out nats per row and fit seconds of FlowDensity(), beside flows and classics.

    python -m pip install . zuko nflows pyvinecopulib
    python -m benchmarks.density --data DIR [--seeds 0 1 2] [--methods zuko] [--tables stock]
    python -m benchmarks.density --fresh FlowDensity --data DIR
    python -m benchmarks.density --page

Every method gets the same rows of a table and one thread; seconds are the processor's.
FlowDensity runs with its defaults, and again cut short, which shows how soon it reaches
the score of the best flow beside it. The flows of zuko and nflows are trained as
``peers/flows.py`` describes, 300 processor seconds a rate at most; the rate that is best on a
table's first split is taken for its other splits. GaussianMixture and
KernelDensity get standardised columns (the Jacobian is put back), choose their settings
on a tenth of the training rows, and are then fitted once more to all of them, which no
flow is. VineDensity has pair copulas of all families, and of kernels alone above 20 columns;
the mean is over rows of a density above 0. The pages mention it, their tables leave it out.

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

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks.common.records import (
    add_arguments,
    drop_records,
    is_of,
    measure_missing,
    read_records,
)
from benchmarks.common.tables import load_tables, split
from benchmarks.pages import density as pages
from benchmarks.peers import flows
from benchmarks.peers.classics import measure_kernel, measure_mixture
from benchmarks.peers.vine import measure_vine
from skflow import FlowDensity

FloatArray = NDArray[np.float64]
Method = Callable[..., dict]

LIBRARIES = ("skflow", "scikit-learn", "torch", "numpy", "zuko", "nflows", "pyvinecopulib")
MAX_SECONDS = 300.0  # of a flow's training at one rate


def measure_flow(train: FloatArray, test: FloatArray, seed: int, **settings: int) -> dict:
    """Measure FlowDensity, all that ``settings`` do not name at its default."""
    start = time.process_time()
    flow = FlowDensity(random_state=seed, **settings).fit(train)
    seconds = time.process_time() - start
    return {"nats": flow.score(test), "seconds": seconds, "epochs": flow.n_iter_}


def _peer(build: Callable) -> Method:
    return partial(_measure_peer, build)


def _measure_peer(
    build: Callable,
    train: FloatArray,
    test: FloatArray,
    seed: int,
    rates: Sequence[float] = flows.RATES,
) -> dict:
    return flows.fit_score(build, train, test, seed, MAX_SECONDS, rates)


PEERS: dict[str, Method] = {
    "zuko autoregressive": _peer(flows.Autoregressive),
    "zuko coupling": _peer(flows.Coupling),
    "nflows coupling": _peer(flows.nflows_coupling),
}
METHODS: dict[str, Method] = {
    "FlowDensity()": measure_flow,
    **PEERS,
    "GaussianMixture": measure_mixture,
    "KernelDensity": measure_kernel,
    "VineDensity": measure_vine,
    "FlowDensity(n_layers=0)": partial(measure_flow, n_layers=0),
    "FlowDensity(max_iter=3)": partial(measure_flow, max_iter=3),
    "FlowDensity(max_iter=10)": partial(measure_flow, max_iter=10),
    "FlowDensity(max_iter=30)": partial(measure_flow, max_iter=30),
}


def measure(
    tables: dict[str, FloatArray], results: Path, table: str, seed: int, method: str
) -> dict:
    """Return one result; where the method fails, its nats are None, and the error is kept."""
    n_rows, n_columns = tables[table].shape
    train, test = split(tables[table], seed)
    settings = {}
    if method in PEERS and seed > 0:
        settings["rates"] = chosen_rates(results, table, method)
    try:
        measured = METHODS[method](train, test, seed, **settings)
    except flows.LIBRARY_ERRORS as error:
        message = f"{type(error).__name__}: {error}"[:200]
        measured = {"nats": None, "seconds": None, "error": message}
    return {"rows": n_rows, "columns": n_columns, **measured}


def chosen_rates(results: Path, table: str, method: str) -> Sequence[float]:
    """Return the learning rate that a peer chose on a table's first split; all, if all failed."""
    job = {"table": table, "seed": 0, "method": method}
    found = [record for record in read_records(results) if is_of(record, job)]
    if not found:
        raise ValueError(f"Later seeds take the rate that seed 0 chose: measure {job} first.")
    return [found[0]["rate"]] if "rate" in found[0] else flows.RATES


def _chosen(beginnings: list[str]) -> list[str]:
    """Return the methods whose names begin so."""
    return [method for method in METHODS if method.startswith(tuple(beginnings))]


def main() -> None:
    """Measure what ``--data`` allows and is not there yet; write the pages with ``--page``."""
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
        pages.write(read_records(arguments.results))


if __name__ == "__main__":
    main()
