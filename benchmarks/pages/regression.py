"""Page of the benchmark of probabilistic regressors, from the results that are kept."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.common import report

OURS = "FlowRegressor"
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
    nll = [np.mean([r["nll"] for r in of_pair[table, OURS].values()]) for table in tables]
    n_published = sum(own < published[table][0] for own, table in zip(nll, tables, strict=True))
    crps, qice = (_count_ahead(ratios_of(records, name)) for name in ("crps", "qice"))
    summary = (
        f"{OURS} has a lower CRPS than {crps}; a lower QICE than {qice}; and a lower NLL than the "
        f"best that is published on {n_published} of {len(tables)}. Means over the official splits "
        "that were measured; counts, and the picture, compare on the splits that both methods "
        "have. Lower is better, but coverage should be 0.9. Best published NLL are means of 20 "
        "splits; log(step) is the least that a density can have on the grid of y: a lower one has "
        "spikes at the grid's points."
    )
    footer = report.footer_of(records, "python -m benchmarks.regression --data DIR --page")
    report.write(
        "regression",
        report.command(),
        summary,
        HEADER,
        rows,
        footer=footer,
    )


def _mean(records: Sequence[dict], name: str, places: int) -> str:
    values = [record[name] for record in records if record[name] is not None]
    return f"{np.mean(values):.{places}f}" if values else ""


def _count_ahead(ratios: Mapping[str, Mapping[str, float]]) -> str:
    """Spell on how many tables each peer is worse."""
    ahead = ((peer, sum(r > 1 for r in own.values()), len(own)) for peer, own in ratios.items())
    return ", ".join(f"{peer} on {count} of {total} tables" for peer, count, total in ahead)


def ratios_of(records: Sequence[dict], figure: str) -> dict[str, dict[str, float]]:
    """Return a figure of each peer over ours for each table, on the splits that both have."""
    figures: dict[tuple[str, str], dict[int, float]] = {}
    for record in records:
        of_pair = figures.setdefault((record["method"], record["table"]), {})
        of_pair[record["split"]] = record[figure]
    ratios: dict[str, dict[str, float]] = {}
    for (method, table), theirs in figures.items():
        ours = figures.get((OURS, table), {})
        common = sorted(ours.keys() & theirs.keys())
        if common and not method.startswith(OURS):
            means = [np.mean([part[split] for split in common]) for part in (theirs, ours)]
            ratios.setdefault(method, {})[table] = float(means[0] / means[1])
    return ratios
