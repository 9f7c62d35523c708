"""Prediction with uncertainty, and imputation."""

import numpy as np

from benchmarks.common.records import RESULTS, read_records
from benchmarks.common.report import read
from benchmarks.figures.claim import Claim, dot_panel, listed
from benchmarks.pages import imputation as imputers
from benchmarks.pages import regression as pages
from benchmarks.peers.imputers import METHODS

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
    _, measured = read("imputation")
    records = read_records(RESULTS / "imputation.jsonl")
    crps, energy = (imputers.means(records, name) for name in ("crps", "energy"))
    peers = [peer for peer in METHODS if all(peer in own for own in crps.values())]
    peers.remove(imputers.OURS)
    names = [f"{table}, {hidden}" for table, hidden in crps]
    ratios = {
        peer: np.array([own[peer] / own[imputers.OURS] for own in crps.values()]) for peer in peers
    }
    label = f"CRPS over that of {imputers.OURS}: right of 1 is worse"
    figure, _ = dot_panel(names, ratios, label, line=(1, imputers.OURS), legend=3)
    nearer = imputers.count_ahead(imputers.over_mechanisms(energy), peers)
    sentence = (
        f"{imputers.OURS} has a lower CRPS than {imputers.count_ahead(crps, peers)} pairs of table "
        "and mechanism; averaged over mechanisms, its completed rows are nearer to the true ones, "
        f"by energy distance, than those of {nearer} tables."
    )
    alt = f"CRPS of {listed(peers)} over that of {imputers.OURS}, on {len(crps)} pairs."
    return Claim(sentence, alt, figure, measured)
