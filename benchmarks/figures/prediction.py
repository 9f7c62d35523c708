"""Prediction with uncertainty, and imputation."""

import numpy as np

from benchmarks.common.records import RESULTS, read_records
from benchmarks.common.report import read
from benchmarks.figures.claim import Claim, dot_panel, listed, number, numbers
from benchmarks.pages import regression as pages

RATIOS = (0.7, 1, 1.5, 2, 3, 5, 10)


def regression() -> Claim:
    """Draw the CRPS of other regressors over that of FlowRegressor."""
    _, measured = read("regression")
    records = read_records(RESULTS / "regression.jsonl")
    ratios = pages.ratios_of(records, "crps")
    tables = list(dict.fromkeys(record["table"] for record in records))
    series = {
        peer: np.array([own.get(table, np.nan) for table in tables]) for peer, own in ratios.items()
    }
    label = f"CRPS over that of {pages.OURS}: right of 1 is worse"
    figure, axes = dot_panel(tables, series, label, line=(1, pages.OURS), legend=2, height=2)
    axes.set_xscale("log")
    axes.set_xticks(RATIOS, [f"{tick:g}" for tick in RATIOS])
    axes.minorticks_off()
    n_ahead = {peer: sum(ratio > 1 for ratio in own.values()) for peer, own in ratios.items()}
    counts = [f"{peer} on {n} of {len(ratios[peer])}" for peer, n in n_ahead.items()]
    behind = [peer for peer, n in n_ahead.items() if 2 * n < len(ratios[peer])]
    losses = f"; it is behind {listed(behind)} on most of them" if behind else ""
    sentence = (
        f"{pages.OURS} has a lower CRPS than {listed(counts)} tables that both were measured "
        f"on{losses}."
    )
    alt = f"CRPS of {listed(list(ratios))} over that of {pages.OURS}, on {len(tables)} tables."
    return Claim(sentence, alt, figure, measured)


def imputation() -> Claim:
    """Draw the CRPS of other imputers over that of FlowImputer."""
    rows, measured = read("imputation")
    of_pair: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        of_pair.setdefault((row["table"], row["hidden"]), {})[row["method"]] = row
    ours = numbers([own["FlowImputer"] for own in of_pair.values()], "CRPS")
    peers = [method for method in next(iter(of_pair.values())) if method != "FlowImputer"]
    series = {peer: numbers([own[peer] for own in of_pair.values()], "CRPS") for peer in peers}
    names = [f"{table}, {hidden}" for table, hidden in of_pair]
    ratios = {peer: values / ours for peer, values in series.items()}
    label = "CRPS over that of FlowImputer: right of 1 is worse"
    figure, _ = dot_panel(names, ratios, label, line=(1, "FlowImputer"))
    n_energy = {
        peer: sum(
            number(own["FlowImputer"]["energy"]) < number(own[peer]["energy"])
            for own in of_pair.values()
        )
        for peer in peers
    }
    crps = [f"{peer} on {(values > ours).sum()}" for peer, values in series.items()]
    energy = [f"{peer} on {count}" for peer, count in n_energy.items()]
    sentence = (
        f"Of {len(of_pair)} pairs of table and mechanism, FlowImputer has a lower CRPS than "
        f"{listed(crps)}; its completed rows are nearer to the true ones, by energy distance, "
        f"than those of {listed(energy)}."
    )
    alt = f"CRPS of {listed(peers)} over that of FlowImputer, on {len(of_pair)} pairs."
    return Claim(sentence, alt, figure, measured)
