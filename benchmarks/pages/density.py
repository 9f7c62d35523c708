"""Pages of the benchmark of density, from the results that are kept.

Methods are compared on the seeds that all of them have on a table. What was not measured
is shown as missing, and a method that failed on a seed ranks last there.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import report

FloatArray = NDArray[np.float64]
Row = list[str]

FLOW = "FlowDensity()"
FLOW_PEERS = ("zuko autoregressive", "zuko coupling", "nflows coupling")
PEERS = (*FLOW_PEERS, "GaussianMixture", "KernelDensity")
METHODS = (FLOW, *PEERS)
CUT_SHORT = (  # the cheapest first; the defaults come last
    "FlowDensity(n_layers=0)",
    "FlowDensity(max_iter=3)",
    "FlowDensity(max_iter=10)",
    "FlowDensity(max_iter=30)",
)
COMMAND = "python -m benchmarks.density --data DIR --page"
MISSING, FAILED, NOT_REACHED = "missing", "failed", "not reached"


def write(results: list[dict]) -> None:
    """Print and write the three pages."""
    shown = (*METHODS, *CUT_SHORT)
    tables: dict[str, Table] = {}
    for result in results:
        if result["method"] in shown:
            tables.setdefault(result["table"], Table(result)).add(result)
    of_shown = [result for result in results if result["method"] in shown]
    footer = report.footer_of(of_shown, COMMAND, own="FlowDensity")
    _write_scores(tables, footer)
    _write_summary(tables, footer)
    _write_seconds(tables, footer)


class Table:
    """The results of one table, by method and seed."""

    def __init__(self, result: dict) -> None:
        self.n_columns = result["columns"]
        self.shape = f"{result['rows']:,} x {result['columns']}"
        self.results: dict[str, dict[int, dict]] = {}

    def add(self, result: dict) -> None:
        """Add a result of this table."""
        self.results.setdefault(result["method"], {})[result["seed"]] = result

    def has(self, methods: Iterable[str]) -> bool:
        """Return whether there is a result of every one of ``methods``."""
        return self.results.keys() >= set(methods)

    def seeds(self, methods: Iterable[str]) -> list[int]:
        """Return the seeds that those of ``methods`` have which were measured at all."""
        measured = [set(self.results[method]) for method in methods if method in self.results]
        return sorted(set.intersection(*measured)) if measured else []

    def scores(self, method: str, seeds: list[int]) -> FloatArray:
        """Return nats per row, -inf where the method failed."""
        nats = [self.results[method][seed]["nats"] for seed in seeds]
        return np.array([-np.inf if x is None else x for x in nats])

    def seconds(self, method: str, seeds: list[int], key: str = "seconds") -> float:
        """Return mean processor seconds of the fits that did not fail.

        Where there was nothing to choose, all seconds are those of the fit.
        """
        results = [self.results[method][seed] for seed in seeds]
        if not any(key in result for result in results):
            key = "seconds"
        spent = [result[key] for result in results if result.get(key) is not None]
        return float(np.mean(spent)) if spent else np.nan


def _write_scores(tables: dict[str, Table], footer: str) -> None:
    rows = [_score_row(name, table) for name, table in tables.items()]
    rows.sort(key=lambda row: row[0])
    complete = {name for name, table in tables.items() if table.has(METHODS)}
    margins = np.array([m for m, row in rows if row[0] in complete and np.isfinite(m)])
    summary = (
        "Held-out nats per row, mean and standard error over seeds; the margin is that of "
        "FlowDensity() over the best of the others, in nats per column. "
        f"{len(complete)} of {len(tables)} tables have every method. "
    )
    if len(margins):
        summary += (
            f"There, FlowDensity() is above all others on {(margins > 0).sum()}; its "
            f"lowest margin is {margins.min():+.3f}, the median {np.median(margins):+.3f}."
        )
    header = ("table", "rows x columns", "seeds", *METHODS, "margin per column")
    report.write("density", COMMAND, summary, header, [row for _, row in rows], footer=footer)


def _score_row(name: str, table: Table) -> tuple[float, Row]:
    seeds = table.seeds(METHODS)
    scores = {m: table.scores(m, seeds) for m in METHODS if m in table.results} if seeds else {}
    cells = [_score_cell(scores.get(method)) for method in METHODS]
    if len(scores) == len(METHODS):
        best = int(np.argmax([scores[method].mean() for method in METHODS]))
        cells[best] = f"**{cells[best]}**"
    shown = [name, table.shape, str(len(seeds)), *cells]
    peers = [scores[method] for method in PEERS if method in scores]
    if FLOW not in scores or not np.isfinite(scores[FLOW]).all() or not peers:
        return np.inf, [*shown, MISSING if FLOW not in scores or not peers else FAILED]
    best_peer = max(peers, key=lambda peer: peer.mean())
    margins = (scores[FLOW] - best_peer) / table.n_columns
    so_far = "" if table.has(METHODS) else " so far"
    return float(margins.mean()), [*shown, f"{margins.mean():+.3f}{_error(margins, 3)}{so_far}"]


def _score_cell(scores: FloatArray | None) -> str:
    if scores is None:
        return MISSING
    n_failed = int(np.isneginf(scores).sum())
    if n_failed:
        return f"{FAILED} {n_failed} of {len(scores)}"
    return f"{scores.mean():.2f}{_error(scores, 2)}"


def _error(values: FloatArray, digits: int) -> str:
    """Return the standard error of a mean over seeds, or nothing for a single seed."""
    if len(values) < 2:
        return ""
    return f" ± {values.std(ddof=1) / np.sqrt(len(values)):.{digits}f}"


def _write_summary(tables: dict[str, Table], footer: str) -> None:
    measured = [method for method in METHODS if any(method in t.results for t in tables.values())]
    complete = {name: t for name, t in tables.items() if t.has(measured) and t.seeds(measured)}
    means = np.array(
        [
            [table.scores(method, table.seeds(measured)).mean() for method in measured]
            for table in complete.values()
        ]
    ).reshape(-1, len(measured))
    n_columns = np.array([table.n_columns for table in complete.values()])
    losses = (means.max(axis=1, keepdims=True) - means) / n_columns[:, None]
    ranks = 1 + (means[:, None, :] > means[:, :, None]).sum(axis=2)
    rows = []
    for method in METHODS:
        if method not in measured or not complete:
            rows.append([method, *[MISSING] * 6])
            continue
        i = measured.index(method)
        worst = int(losses[:, i].argmax())
        loss = f"{losses[worst, i]:.3f}" if np.isfinite(losses[worst, i]) else FAILED
        rows.append(
            [
                method,
                f"{ranks[:, i].mean():.2f}",
                str((ranks[:, i] == 1).sum()),
                f"{loss} ({list(complete)[worst]})",
                _wins(tables, method),
                *_median_seconds(complete.values(), method, measured),
            ]
        )
    summary = (
        f"Rank, wins, worst loss and seconds over the {len(complete)} tables, of {len(tables)}, "
        f"that every method measured so far has ({len(measured)} of {len(METHODS)} methods). "
        "The worst loss is in nats per column behind the best method of that table. Seconds are "
        "the median over tables, of the processor, for one fit: of a flow at its chosen rate, of "
        "the others with their chosen settings. Choosing included, they are those a user waits."
    )
    header = (
        "method",
        "mean rank",
        "wins",
        "worst loss",
        "FlowDensity() above it",
        "seconds",
        "choosing included",
    )
    report.write("density_summary", COMMAND, summary, header, rows, footer=footer)


def _wins(tables: dict[str, Table], method: str) -> str:
    """Return on how many tables FlowDensity is above ``method``, of those that have both."""
    if method == FLOW:
        return ""
    pair = (FLOW, method)
    shared = [(t, t.seeds(pair)) for t in tables.values() if t.has(pair) and t.seeds(pair)]
    wins = [t.scores(FLOW, seeds).mean() > t.scores(method, seeds).mean() for t, seeds in shared]
    return f"{sum(wins)} of {len(wins)}" if shared else MISSING


def _median_seconds(tables: Iterable[Table], method: str, measured: Sequence[str]) -> list[str]:
    spent = [
        [table.seconds(method, table.seeds(measured), key) for key in ("seconds", "seconds_in_all")]
        for table in tables
    ]
    return [f"{seconds:,.2f}" for seconds in np.nanmedian(spent, axis=0)]


def _write_seconds(tables: dict[str, Table], footer: str) -> None:
    found = [_seconds_row(name, table) for name, table in tables.items()]
    found.sort(key=lambda item: (np.isnan(item[0]), -item[0]))
    ratios = np.array([ratio for ratio, _, _ in found if not np.isnan(ratio)])
    in_all = np.array([ratio for _, ratio, _ in found if not np.isnan(ratio)])
    summary = (
        "For each table the flow of another library with the best score, the processor seconds "
        "of its chosen learning rate alone, and of all three rates; then the shortest of "
        f"FlowDensity's runs that reaches that score, of {', '.join(CUT_SHORT)} and the defaults, "
        "in this order, its seconds alone, and its ratio to the seconds of the chosen rate. "
    )
    if len(ratios):
        reached = int(np.isfinite(ratios).sum())
        summary += (
            f"Reached on {reached} of {len(ratios)} tables; the median ratio, of which a score "
            f"not reached counts as the highest, is {_ratio(np.median(ratios))}, and "
            f"{_ratio(np.median(in_all))} where choosing the rate is counted."
        )
    header = (
        "table",
        "rows x columns",
        "seeds",
        "best other flow",
        "its nats",
        "its seconds",
        "all rates",
        "reached by",
        "FlowDensity's nats",
        "FlowDensity's seconds",
        "ratio",
        "seconds of the defaults",
    )
    rows = [row for _, _, row in found]
    report.write("density_seconds", COMMAND, summary, header, rows, footer=footer)


def _seconds_row(name: str, table: Table) -> tuple[float, float, Row]:
    """Return the ratio of seconds, that with choosing counted, and the row.

    A ratio is infinite where the score was not reached, nan where a run is missing.
    """
    seeds = table.seeds((*FLOW_PEERS, *CUT_SHORT, FLOW))
    if not table.has(FLOW_PEERS) or not seeds:
        return np.nan, np.nan, [name, table.shape, str(len(seeds)), *[MISSING] * 9]
    peer = max(FLOW_PEERS, key=lambda method: table.scores(method, seeds).mean())
    target = table.scores(peer, seeds).mean()
    seconds, in_all = (table.seconds(peer, seeds, key) for key in ("seconds", "seconds_in_all"))
    row = [name, table.shape, str(len(seeds)), peer]
    row += [f"{target:.2f}", f"{seconds:,.1f}", f"{in_all:,.1f}"]
    defaults = f"{table.seconds(FLOW, seeds):,.1f}" if table.has([FLOW]) else MISSING
    method = _first_to_reach(table, target, seeds)
    if method == MISSING:
        return np.nan, np.nan, [*row, *[MISSING] * 4, defaults]
    if method == NOT_REACHED:
        return np.inf, np.inf, [*row, NOT_REACHED, "", "", "", defaults]
    spent = table.seconds(method, seeds)
    cells = [f"{table.scores(method, seeds).mean():.2f}", f"{spent:,.1f}", _ratio(spent / seconds)]
    return spent / seconds, spent / in_all, [*row, method, *cells, defaults]


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if np.isfinite(ratio) else NOT_REACHED


def _first_to_reach(table: Table, target: float, seeds: list[int]) -> str:
    for method in (*CUT_SHORT, FLOW):
        if not table.has([method]):
            return MISSING
        if table.scores(method, seeds).mean() >= target:
            return method
    return NOT_REACHED
