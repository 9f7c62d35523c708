"""Speed of skflow on a GPU beside zuko and nflows, and its agreement with the CPU.

    python -m pip install . zuko nflows
    python -m benchmarks.gpu [--device cuda]

Rows per second of training, scoring and sampling at equal architecture, eager and
compiled by ``torch.compile``, methods in turn; of ``FlowDensity(device="cuda")`` from
table to table, whose ``fit`` takes its steps as training takes them there; and the largest
difference of log-densities on GPU and CPU in float64 (target: at most 1e-9 nats).
Without a CUDA device nothing is measured.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import report
from benchmarks.peers.couplings import FLOWS, LIMIT, CouplingFlow, Sizes, build
from benchmarks.peers.steps import (
    SAMPLING,
    SCORING,
    TRAINING,
    Call,
    Work,
    describe,
    make_batch,
    time_in_turn,
)
from skflow import FlowDensity

FloatArray = NDArray[np.float64]

PEERS = ("zuko", "nflows")
BATCHES = {TRAINING: (1024, 8192), SCORING: (8192, 65536), SAMPLING: (8192, 65536)}
AGREEMENT = 1e-9  # nats
FAR_ROWS = 2048
RECOMPILATIONS = 64
EAGER = "skflow, eager"
HEADER = ("work", "rows at once", "method", "rows per second", f"times {EAGER}")


def measure_flows(device: torch.device, n_rounds: int) -> tuple[list[list[str]], float]:
    """Measure rows per second at equal architecture; return those of an eager step as well."""
    rows, step_rates = [], []
    for work, sizes in BATCHES.items():
        for n_rows in sizes:
            calls = prepare(work, n_rows, device)
            rates = {
                method: n_rows / seconds
                for method, seconds in time_in_turn(calls, n_rounds, 5, device).items()
            }
            if work is TRAINING:
                step_rates.append(float(np.median(rates[EAGER])))
            for method, rate in rates.items():
                relative = np.median(rate / rates[EAGER])
                rows.append(
                    [work.name, f"{n_rows:,}", method, describe(rate, 0), f"{relative:.2f}"]
                )
                print(*rows[-1], sep="  ", flush=True)
    return rows, step_rates[0]


def prepare(work: Work, n_rows: int, device: torch.device) -> dict[str, Call]:
    """Return the calls of each method, eager and, where that is possible, compiled."""
    torch.compiler.reset()  # so that each batch is compiled for its own size
    sizes = Sizes()
    batch = make_batch(n_rows, sizes.n_columns, work.dtype, device)
    calls = {}
    for method in FLOWS:
        if method == LIMIT and work is SAMPLING:
            continue
        calls[f"{method}, eager"] = work.prepare(build(method, sizes, work.dtype, device), batch)
        compiled = work.prepare(compile_flow(build(method, sizes, work.dtype, device)), batch)
        try:
            compiled()
        except RuntimeError as error:  # which compilers' errors derive from
            print(f"{method} cannot be compiled: {str(error).splitlines()[0]}", flush=True)
        else:
            calls[f"{method}, compiled"] = compiled
    return calls


def compile_flow(flow: CouplingFlow) -> CouplingFlow:
    """Return the flow with both directions compiled."""
    flow.log_prob = torch.compile(flow.log_prob, dynamic=False)
    flow.inverse = torch.compile(flow.inverse, dynamic=False)
    return flow


def fit(table: FloatArray, device: torch.device, n_epochs: int) -> FlowDensity:
    """Fit the estimator at the sizes of the flows; its steps are as training takes them."""
    flow = FlowDensity(
        n_layers=Sizes.n_layers,
        hidden_units=Sizes.hidden_units,
        n_bins=Sizes.n_bins,
        n_components=1,
        dropout=0.0,
        batch_size=BATCHES[TRAINING][0],
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        early_stopping=False,
        device=device,
        random_state=0,
    )
    return flow.fit(table)


def measure_estimator(
    flow: FlowDensity, table: FloatArray, n_rounds: int, step_rate: float
) -> list[list[str]]:
    """Measure the estimator's rows per second, those of ``fit`` beside those of an eager step."""
    n_rows = len(table)
    epochs = n_rows / np.array(flow.history_["seconds"][1:])  # the first one prepares
    scored = _rate(lambda: flow.score_samples(table), n_rows, n_rounds)
    sampled = _rate(lambda: flow.sample(n_rows, random_state=0), n_rows, n_rounds)
    relative = f"{np.median(epochs) / step_rate:.2f}"
    work, batch = "from table to table", f"{BATCHES[TRAINING][0]:,}"
    return [
        [TRAINING.name, batch, "FlowDensity.fit, epochs", describe(epochs, 0), relative],
        [work, f"{n_rows:,}", "FlowDensity.score_samples", describe(scored, 0), ""],
        [work, f"{n_rows:,}", "FlowDensity.sample", describe(sampled, 0), ""],
    ]


def largest_difference(flow: FlowDensity, table: FloatArray, device: torch.device) -> float:
    """Return how far log-densities on the device are from the CPU's, in nats.

    The rows reach from the data to 1,000 times as far out.
    """
    far = table[:FAR_ROWS]
    far = far * np.geomspace(1, 1000, len(far))[:, None]
    on_device, on_cpu = (
        flow.set_params(device=where).score_samples(far) for where in (device, "cpu")
    )
    flow.set_params(device=device)
    return float(np.abs(on_device - on_cpu).max())


def _rate(call: Callable[[], object], n_rows: int, n_rounds: int) -> FloatArray:
    seconds = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        call()  # its result is on the CPU, so the device is done
        seconds.append(time.perf_counter() - start)
    return n_rows / np.array(seconds[1:])


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200_000, help="of the estimator's table")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu needs a CUDA device, and torch finds none: nothing measured.")
    # Layers that break the graph are compiled one by one; past the limit they run eagerly.
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    device = arguments.device
    rows, step_rate = measure_flows(device, arguments.rounds)
    table = make_batch(arguments.rows, Sizes.n_columns, torch.float64).numpy()
    table[:, 1:] += np.sin(table[:, :-1])
    flow = fit(table, device, arguments.rounds)
    rows += measure_estimator(flow, table, arguments.rounds, step_rate)
    difference = largest_difference(flow, table, device)
    agree = "agree" if difference <= AGREEMENT else "do not agree"
    report.write(
        "gpu",
        report.command(),
        f"Log-densities on the GPU and on the CPU {agree} in float64: they differ by "
        f"{difference:.1e} nats at most (target: {AGREEMENT:.0e}), rows 1,000 times as far out "
        f"as the data among them. {Sizes.n_layers} coupling layers, width {Sizes.hidden_units}, "
        f"{Sizes.n_bins} bins, {Sizes.n_columns} columns. Rows per second, median (quartiles) of "
        f"{arguments.rounds} rounds, methods in turn.",
        HEADER,
        rows,
        peers=PEERS,
        device=f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}",
    )


if __name__ == "__main__":
    main()
