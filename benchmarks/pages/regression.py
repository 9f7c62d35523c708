"""Page of the benchmark of probabilistic regressors, from the results that are kept."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common import report

OURS = "FlowRegressor"
FIGURE = "regression.png"
FIGURES = (("nll", 3), ("crps", 3), ("rmse", 3), ("qice", 3), ("coverage", 3), ("seconds", 0))
HEADER = (
    *("table", "method", "splits", "NLL", "CRPS", "RMSE", "QICE", "90 % coverage", "seconds"),
    *("best published NLL", "log(step)"),
)


def write(
    records: Sequence[dict],
    published: Mapping[str, tuple[float, str]],
    limits: Mapping[str, float],
    methods: Sequence[str],
) -> None:
    """Write the page of all results there are, and its picture."""
    of_pair: dict[tuple[str, str], dict[int, dict]] = {}
    for record in records:
        pair = record["table"], record["method"]
        of_pair.setdefault(pair, {})[record["split"]] = record
    tables = [table for table in published if (table, OURS) in of_pair]
    rows = []
    for table in tables:
        best, source = published[table]
        limit = f"{limits[table]:.2f}" if table in limits else ""
        for method in methods:
            own = list(of_pair.get((table, method), {}).values())
            if own:
                cells = [_mean(own, name, places) for name, places in FIGURES]
                of_table = [f"{best:.2f} ({source})", limit]
                rows.append([table, method, str(len(own)), *cells, *of_table])
    peers = [method for method in methods if not method.startswith(OURS)]
    ratios = {peer: [_ratio(of_pair, table, peer) for table in tables] for peer in peers}
    _draw(tables, ratios)
    beaten = {
        peer: f"{sum(r > 1 for r in own)} of {sum(np.isfinite(own))}"
        for peer, own in ratios.items()
        if np.isfinite(own).any()
    }
    nll = [np.mean([r["nll"] for r in of_pair[table, OURS].values()]) for table in tables]
    n_published = sum(own < published[table][0] for own, table in zip(nll, tables, strict=True))
    counts = ", ".join(f"{peer} on {count} tables" for peer, count in beaten.items())
    summary = (
        f"{OURS} has a lower CRPS than {counts}, and a lower NLL than the best that is published "
        f"on {n_published} of {len(tables)}. Means over the official splits that were measured; "
        "the picture compares on the splits that both methods have. Lower is better, but "
        "coverage should be 0.9. Best published NLL are means of 20 splits; log(step) is the least "
        "that a density can have on the grid of y: a lower one has spikes at the grid's points."
    )
    footer = report.footer_of(records, "python -m benchmarks.regression --data DIR --page")
    report.write(
        "regression",
        report.command(),
        summary,
        HEADER,
        rows,
        footer=footer,
        figure=(FIGURE, f"CRPS of other regressors over that of {OURS}, for each table"),
    )


def _mean(records: Sequence[dict], name: str, places: int) -> str:
    values = [record[name] for record in records if record[name] is not None]
    return f"{np.mean(values):.{places}f}" if values else ""


def _ratio(of_pair: Mapping[tuple[str, str], dict], table: str, peer: str) -> float:
    """CRPS of a peer over ours on the splits that both have; nan where there is none."""
    ours, theirs = of_pair[table, OURS], of_pair.get((table, peer), {})
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return np.nan
    means = [np.mean([part[split]["crps"] for split in common]) for part in (theirs, ours)]
    return float(means[0] / means[1])


def _draw(tables: Sequence[str], ratios: Mapping[str, Sequence[float]]) -> None:
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(tables) + 1.4), layout="constrained")
    places = np.arange(len(tables))[::-1]
    for (peer, own), marker in zip(ratios.items(), "osD^vP*", strict=False):
        if np.isfinite(own).any():
            axes.plot(own, places, marker, label=peer, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    ticks = (0.7, 1, 1.5, 2, 3, 5, 10)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(places, tables)
    axes.set_xlabel(f"CRPS over that of {OURS}: right of 1 is worse than {OURS}")
    axes.legend(fontsize="small", loc="upper right")
    figure.savefig(report.PAGES / FIGURE, dpi=120)
    plt.close(figure)
