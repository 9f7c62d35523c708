"""Speed of skflow: a step, rows per second, scoring beside other densities, growth of fit.

    python -m pip install . zuko nflows
    python -m benchmarks.speed [--parts step sampling rates scoring growth] [--threads 1]

* ``step``: a training step and scoring at equal architecture, beside zuko's and nflows'
  spline couplings and beside the matrix products alone, which are the limit. Targets: a
  step at most 1.7 times the limit, scoring in float64 at most 2 times.
* ``sampling``: rows per second of sampling beside zuko and nflows at equal architecture, in
  few rounds of one process: minutes, where ``rates`` takes an hour. Target: 1.5 times the
  faster one in the median.
* ``rates``: rows per second and memory over columns and rows of a batch, each in a
  process of its own.
* ``scoring``: ``score_samples`` beside a kernel density and a Gaussian mixture, as the
  rows that were fitted grow.
* ``growth``: seconds per epoch and memory of ``fit`` as rows and columns grow. Targets:
  linear in rows; at most 3 times the float32 table and the model; 1,000 columns fit.

Each part writes a page of its own. Methods run in turn.
"""

import argparse
import pickle
import time
from functools import partial
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from threadpoolctl import threadpool_limits

from benchmarks.common import report
from benchmarks.common.alone import peak_memory, run_alone
from benchmarks.peers.couplings import FLOWS, LIMIT, Sizes, build
from benchmarks.peers.steps import (
    FAST_SCORING,
    SAMPLING,
    SCORING,
    TRAINING,
    describe,
    make_batch,
    seconds_per_call,
    time_in_turn,
)
from skflow import FlowDensity

Table = NDArray[np.float32]

PEERS = ("zuko", "nflows")
STEP_ROWS = 1024
WORKS = {work.name: work for work in (TRAINING, SCORING, SAMPLING)}
BATCHES = (256, 1024, 8192)
COLUMNS = {"sampling": (5, 20, 100), "rates": (5, 20, 100, 500), "growth": (10, 100, 1000)}
ROWS = {"scoring": (1_000, 10_000, 100_000), "growth": (10_000, 100_000, 1_000_000)}
MOST_CELLS = 1_000_000  # of a batch, for the peers
SCORED_ROWS = 2_000
TABLE_COLUMNS = 10  # while rows grow
TABLE_ROWS = 2_000  # while columns grow
EPOCHS = 3
MIB = 2**20
BLOCK_CELLS = 2**16  # of a table in the making


def measure_steps(arguments: argparse.Namespace) -> None:
    """Compare a training step and scoring at equal architecture."""
    sizes = Sizes()
    rows, ratios = [], {}
    for work in (TRAINING, SCORING, FAST_SCORING):
        batch = make_batch(STEP_ROWS, sizes.n_columns, work.dtype)
        flows = {method: build(method, sizes, work.dtype) for method in FLOWS}
        calls = {method: work.prepare(flow, batch) for method, flow in flows.items()}
        seconds = time_in_turn(calls, arguments.rounds, n_calls=2)
        for method in FLOWS:
            ratio = seconds[method] / seconds[LIMIT]
            ratios[work, method] = np.median(ratio)
            time_and_ratio = describe(1e3 * seconds[method], 1), describe(ratio, 2)
            rows.append([work.name, method, *time_and_ratio])
    write(
        "step",
        arguments,
        f"A training step of skflow takes {ratios[TRAINING, 'skflow']:.2f} times as long as its "
        f"matrix products (target: at most 1.7), zuko's {ratios[TRAINING, 'zuko']:.2f} and "
        f"nflows' {ratios[TRAINING, 'nflows']:.2f} times; scoring in float64 takes skflow "
        f"{ratios[SCORING, 'skflow']:.2f} times as long (target: at most 2). "
        f"{sizes.n_layers} coupling layers, width {sizes.hidden_units}, {sizes.n_bins} bins, "
        f"batches of {STEP_ROWS:,} rows and {sizes.n_columns} columns, standard normal base; a "
        "step is forward, backward, clipping and AdamW. Median (quartiles) of "
        f"{arguments.rounds} rounds, methods in turn, ratios within a round.",
        ("work", "method", "milliseconds", "times the matrix products"),
        rows,
    )


def measure_sampling(arguments: argparse.Namespace) -> None:
    """Compare rows per second of sampling, within rounds of one process."""
    rows, medians = [], []
    for n_rows, n_columns in product(arguments.sampling_batches, arguments.sampling_columns):
        batch = make_batch(n_rows, n_columns, SAMPLING.dtype)
        calls = {
            method: SAMPLING.prepare(build(method, Sizes(n_columns), SAMPLING.dtype), batch)
            for method in ("skflow", *PEERS)
        }
        seconds = time_in_turn(calls, arguments.sampling_rounds)
        faster = min(PEERS, key=lambda peer: float(np.median(seconds[peer])))
        ratio = seconds[faster] / seconds["skflow"]
        medians.append(np.median(ratio))
        rates = (f"{n_rows / np.median(taken):,.0f}" for taken in seconds.values())
        rows.append([str(n_columns), f"{n_rows:,}", *rates, describe(ratio, 2)])
        print(*rows[-1], sep="  ", flush=True)
    write(
        "sampling",
        arguments,
        f"Rows per second of skflow are {np.median(medians):.2f} times ({min(medians):.2f} to "
        f"{max(medians):.2f}) those of the faster peer: median (lowest to highest) over columns "
        "and batches (target: at least 1.5). In float64, with the sizes of a training step. Its "
        "layers bend all columns in up to 16 groups, one after the other; those of the peers half "
        f"of the columns at once. Median of {arguments.sampling_rounds} rounds, methods in turn, "
        "ratios (quartiles) within a round.",
        ("columns", "batch", "skflow", *PEERS, "times the faster peer"),
        rows,
    )


def measure_rates(arguments: argparse.Namespace) -> None:
    """Measure rows per second and memory, each in a process of its own."""
    rows, gains = [], {name: [] for name in WORKS}
    for name, n_columns, n_rows in product(WORKS, arguments.rates_columns, arguments.batches):
        methods = [method for method in FLOWS if not is_skipped(method, name, n_columns * n_rows)]
        runs: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
        for _ in range(arguments.repeats):
            for method in methods:
                measured = run_alone(
                    measure_rate, method, name, n_columns, n_rows, arguments.threads
                )
                runs[method].append(measured or (np.nan, np.nan))
        medians = {method: np.median(runs[method], axis=0) for method in methods}
        if medians.keys() >= set(PEERS):
            rate, *peers = (medians[method][0] for method in ("skflow", *PEERS))
            gains[name].append(rate / np.nanmax(peers))
        cells = [_format_rate(medians.get(method)) for method in FLOWS]
        rows.append([name, str(n_columns), f"{n_rows:,}", *cells])
        print(*rows[-1], sep="  ", flush=True)
    spans = [
        f"{np.median(gain):.2f} times ({min(gain):.2f} to {max(gain):.2f}) in {name}"
        for name, gain in gains.items()
        if gain
    ]
    write(
        "rates",
        arguments,
        "Rows per second, and in brackets the MiB that the process's peak rose by on batches of "
        "this size. Rows per second of skflow are those of the faster peer "
        f"{', '.join(spans)}: median (lowest to highest) over columns and batches. "
        f"Median of {arguments.repeats} processes each, methods in turn. "
        f"Skipped: the peers on batches of more than {MOST_CELLS:,} cells.",
        ("work", "columns", "batch", *FLOWS),
        rows,
    )


def is_skipped(method: str, work: str, n_cells: int) -> bool:
    """Return whether there is nothing to measure, or it would take too long."""
    return (method == LIMIT and work == SAMPLING.name) or (method in PEERS and n_cells > MOST_CELLS)


def measure_rate(
    method: str, work: str, n_columns: int, n_rows: int, n_threads: int, seconds: float = 2.0
) -> tuple[float, float]:
    """Return rows per second, and MiB that the batch takes, of one method in this process."""
    use_threads(n_threads)
    dtype, prepare = WORKS[work].dtype, WORKS[work].prepare
    flow = build(method, Sizes(n_columns), dtype)
    batch = make_batch(n_rows, n_columns, dtype)
    prepare(flow, batch[:8])()  # what libraries load at the first call is not the batch's
    before, start, times = peak_memory(), time.perf_counter(), []
    call = prepare(flow, batch)
    call()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        times.append(seconds_per_call(call, 1))
    return n_rows / float(np.median(times)), (peak_memory() - before) / MIB


def _format_rate(measured: NDArray[np.float64] | None) -> str:
    if measured is None:
        return ""
    rate, memory = measured
    return "out of memory" if np.isnan(rate) else f"{rate:,.0f} ({memory:,.0f})"


def measure_scoring(arguments: argparse.Namespace) -> None:
    """Compare ``score_samples`` with two densities of scikit-learn."""
    fresh = make_table(SCORED_ROWS, TABLE_COLUMNS, seed=1)
    rows, fastest = [], []
    for n_rows in arguments.scoring_rows:
        table = make_table(n_rows, TABLE_COLUMNS)
        models = {
            "FlowDensity": FlowDensity(n_components=8, max_iter=2, random_state=0),
            "KernelDensity": KernelDensity(bandwidth="scott"),
            "GaussianMixture": GaussianMixture(8, random_state=0),
        }
        calls = {
            name: partial(model.fit(table).score_samples, fresh) for name, model in models.items()
        }
        seconds = time_in_turn(calls, arguments.repeats)
        per_row = {name: 1e6 * taken / SCORED_ROWS for name, taken in seconds.items()}
        if np.median(per_row["FlowDensity"]) < np.median(per_row["KernelDensity"]):
            fastest.append(n_rows)
        rows.append([f"{n_rows:,}", *(describe(taken, 2) for taken in per_row.values())])
        print(*rows[-1], sep="  ", flush=True)
    ahead = f"from {min(fastest):,} rows on" if fastest else "at none of these sizes"
    write(
        "scoring",
        arguments,
        f"FlowDensity scores faster than KernelDensity {ahead}. Microseconds per row of "
        f"score_samples on {SCORED_ROWS:,} fresh rows of {TABLE_COLUMNS} columns, median "
        f"(quartiles) of {arguments.repeats} rounds, methods in turn. FlowDensity with the sizes "
        "that it chooses for these rows, trained briefly, which its scores' time does not depend "
        "on; both mixtures of 8 components; KernelDensity's tree with Scott's bandwidth.",
        ("rows fitted", *(f"{name}, µs per row" for name in models)),
        rows,
    )


def measure_growth(arguments: argparse.Namespace) -> None:
    """Measure ``fit`` over rows and columns, each in a process of its own."""
    shapes = [(n_rows, TABLE_COLUMNS) for n_rows in arguments.growth_rows]
    small, large = shapes[0], shapes[-1]
    shapes += [(TABLE_ROWS, n_columns) for n_columns in arguments.growth_columns]
    rows, per_row, shares = [], {}, {}
    for shape in shapes:
        measured = run_alone(measure_fit, *shape, arguments.threads)
        cells = ["out of memory"]
        if measured is not None:
            epoch, total, peak, given = measured
            per_row[shape], shares[shape] = 1e6 * epoch / shape[0], peak / given
            cells = [f"{epoch:,.2f}", f"{per_row[shape]:,.1f}", f"{total:,.1f}"]
            cells += [f"{peak:,.0f}", f"{given:,.1f}", f"{shares[shape]:,.1f}"]
        rows.append([f"{shape[0]:,}", f"{shape[1]:,}", *cells, *[""] * (6 - len(cells))])
        print(*rows[-1], sep="  ", flush=True)
    growth = per_row.get(large, np.nan) / per_row.get(small, np.nan)
    write(
        "growth",
        arguments,
        f"From {small[0]:,} to {large[0]:,} rows the seconds of an epoch grow {growth:.2f} times "
        f"as fast as the rows; at {large[0]:,} rows fit takes {shares.get(large, np.nan):.1f} "
        "times the float32 table and the model (target: at most 3). "
        f"{Sizes.n_layers} coupling layers, width {Sizes.hidden_units}, 8 components, batches of "
        f"{STEP_ROWS:,} rows; an epoch is the median of {EPOCHS}, fit has the initialization "
        "before them. Memory is what the process's peak rose by, the caller's float32 table "
        "included, after a first fit to few rows. One process each.",
        (
            "rows",
            "columns",
            "seconds per epoch",
            "µs per epoch and row",
            "seconds of fit",
            "peak, MiB",
            "table and model, MiB",
            "ratio",
        ),
        rows,
    )


def measure_fit(n_rows: int, n_columns: int, n_threads: int) -> tuple[float, float, float, float]:
    """Return seconds of an epoch and of fit, MiB of the peak and of table and model."""
    use_threads(n_threads)
    flow = FlowDensity(
        n_layers=Sizes.n_layers,
        hidden_units=Sizes.hidden_units,
        n_components=8,
        batch_size=STEP_ROWS,
        max_iter=EPOCHS,
        random_state=0,
    )
    flow.fit(make_table(500, 2))
    before = peak_memory()
    table = make_table(n_rows, n_columns)
    start = time.perf_counter()
    flow.fit(table)
    total = time.perf_counter() - start
    peak = peak_memory() - before
    given = table.nbytes + len(pickle.dumps(flow))
    return float(np.median(flow.history_["seconds"])), total, peak / MIB, given / MIB


def make_table(n_rows: int, n_columns: int, seed: int = 0) -> Table:
    """Return dependent columns, made block by block, so that no more memory is taken."""
    weights = np.random.default_rng(0).normal(size=(n_columns, n_columns))
    rng = np.random.default_rng((1, seed))
    table = np.empty((n_rows, n_columns), dtype=np.float32)
    for block in np.array_split(table, -(-table.size // BLOCK_CELLS)):
        hidden = rng.normal(size=block.shape)
        block[:] = np.sin(hidden @ weights) + 0.3 * hidden
    return table


def use_threads(n_threads: int) -> None:
    """Use this number of threads from now on."""
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)


def write(
    part: str,
    arguments: argparse.Namespace,
    summary: str,
    header: tuple[str, ...],
    rows: list[list[str]],
) -> None:
    """Print the table of one part and write its page."""
    threads = "1 thread" if arguments.threads == 1 else f"{arguments.threads} threads"
    report.write(
        f"speed_{part}",
        report.command(),
        f"{summary} On {threads}.",
        header,
        rows,
        peers=PEERS if part in ("step", "sampling", "rates") else (),
    )


PARTS = {
    "step": measure_steps,
    "sampling": measure_sampling,
    "rates": measure_rates,
    "scoring": measure_scoring,
    "growth": measure_growth,
}


def main() -> None:
    """Measure, print and write the results of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30, help="of step")
    parser.add_argument("--sampling-rounds", type=int, default=7)
    parser.add_argument("--sampling-batches", type=int, nargs="+", default=(1024, 8192))
    parser.add_argument("--repeats", type=int, default=3, help="of rates and scoring")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="of rates")
    for part, sizes in COLUMNS.items():
        parser.add_argument(f"--{part}-columns", type=int, nargs="+", default=sizes)
    for part, sizes in ROWS.items():
        parser.add_argument(f"--{part}-rows", type=int, nargs="+", default=sizes)
    arguments = parser.parse_args()
    use_threads(arguments.threads)
    for part in arguments.parts:
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
