"""Held-out density, its seconds, its stability, and densities known in closed form."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common.report import read
from benchmarks.figures.claim import (
    OTHERS,
    OURS,
    WIDTH,
    Claim,
    dot_panel,
    listed,
    number,
    numbers,
    simplify,
    spread,
)
from benchmarks.pages.density import FLOW, PEERS


def held_out() -> Claim:
    """Draw held-out nats per column of each method, beside those of FlowDensity."""
    rows, measured = read("density")
    rows = [row for row in rows if np.isfinite(number(row["margin per column"]))]
    rows = [row for row in rows if "so far" not in row["margin per column"]]
    names = [row["table"] for row in rows]
    n_columns = np.array([number(row["rows x columns"].split(" x ")[1]) for row in rows])
    ours = numbers(rows, FLOW)
    series = {peer: (numbers(rows, peer) - ours) / n_columns for peer in PEERS}
    label = "held-out nats per column, minus those of FlowDensity"
    figure, axes = dot_panel(names, series, label, line=(0, "FlowDensity"), legend=2)
    axes.set_xscale("symlog", linthresh=0.1)
    ticks = [-3, -1, -0.3, -0.1, -0.03, 0]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(-4, 0.02)
    margins = numbers(rows, "margin per column")
    lost = [
        f"on {row['table']} {max(PEERS, key=lambda peer: number(row[peer]))} is ahead by {-m:.3f}"
        for row, m in zip(rows, margins, strict=True)
        if m <= 0
    ]
    sentence = (
        f"With its defaults, FlowDensity gives held-out rows a higher density than all "
        f"{len(PEERS)} other methods on {(margins > 0).sum()} of {len(rows)} tables; over the best "
        f"of them it gains {np.median(margins):.2f} nats per column in the median"
        f"{''.join('; ' + loss for loss in lost)}."
    )
    alt = (
        f"Held-out nats per column of {listed(PEERS)} minus those of FlowDensity, on "
        f"{len(rows)} tables; nearly all dots are left of 0."
    )
    return Claim(sentence, alt, figure, measured)


def seconds() -> Claim:
    """Draw processor seconds to the score of the best other flow."""
    rows, measured = read("density_seconds")
    rows = [row for row in rows if np.isfinite(number(row["its seconds"]))]
    reached = np.array([row["reached by"] != "not reached" for row in rows])
    theirs, all_rates = numbers(rows, "its seconds"), numbers(rows, "all rates")
    own = np.where(
        reached, numbers(rows, "FlowDensity's seconds"), numbers(rows, "seconds of the defaults")
    )
    figure, axes = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
    axes.hlines(own, theirs, all_rates, color="0.8", linewidth=1.2, zorder=1)
    style = {"linestyle": "", "markersize": 6}
    axes.plot(theirs[reached], own[reached], label="one learning rate", **style, **OURS)
    axes.plot(all_rates, own, label="its choice among three included", **style, **OTHERS[3])
    if not reached.all():
        label = "score not reached: seconds of the defaults"
        axes.plot(theirs[~reached], own[~reached], label=label, **style, **OTHERS[5])
    ends = [min(own.min(), theirs.min()) / 1.5, max(all_rates.max(), own.max()) * 1.5]
    axes.plot(ends, ends, color="0.4", linewidth=1)
    axes.annotate("as long", (ends[1] / 3, ends[1] / 2.6), fontsize=8, rotation=31, ha="right")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("processor seconds of the best other flow", fontsize=9)
    axes.set_ylabel("seconds of FlowDensity to its score", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    simplify(axes)
    ratios = np.where(reached, numbers(rows, "ratio"), np.inf)
    in_all = np.where(reached, own / all_rates, np.inf)
    tables = np.array([row["table"] for row in rows])
    slower, missed = tables[reached & (ratios > 1)].tolist(), tables[~reached].tolist()
    sentence = (
        f"FlowDensity reaches the score of the best other flow on {reached.sum()} of {len(rows)} "
        f"tables, in {np.median(ratios):.2f} times its processor seconds in the median, or "
        f"{np.median(in_all):.2f} times where the choice of its learning rate counts. It takes "
        f"longer on {listed(slower) or 'none'}, and does not reach that score on "
        f"{listed(missed) or 'none'}."
    )
    alt = (
        "Seconds of FlowDensity to the score of the best other flow over that flow's seconds, on "
        f"{len(rows)} tables, both logarithmic; most dots are below the diagonal."
    )
    return Claim(sentence, alt, figure, measured)


def stability() -> Claim:
    """Draw the scores at other learning rates than the default."""
    rows, measured = read("stability")
    series = {
        f"{rate} the default rate": numbers(rows, f"nats per column, {column}")
        for rate, column in (("a third of", "a third"), ("three times", "three times"))
    }
    tables = [row["table"] for row in rows]
    label = "held-out nats per column minus those at the default rate"
    figure, _ = dot_panel(tables, series, label, line=(0, "the default rate"))
    third, thrice = (spread(values, "+.3f") for values in series.values())
    fits, diverged = (int(numbers(rows, column).sum()) for column in ("fits", "diverged"))
    sentence = (
        f"Training diverged in {diverged} of {fits} fits at a third of the default learning rate, "
        "at the default, and at three times it. Held-out nats per column differ from those of the "
        f"default by {third} at a third, and by {thrice} at three times it."
    )
    alt = f"Held-out nats per column at other learning rates, on {len(rows)} tables, all near 0."
    return Claim(sentence, alt, figure, measured)


def known() -> Claim:
    """Draw the error of the log-density where it is known."""
    rows, measured = read("known_densities")
    names = [f"{row['density']}, {row['columns']} columns" for row in rows]
    columns = {
        "mean absolute error": "mean absolute error per column",
        "99 % quantile of the error": "99 % quantile per column",
    }
    series = {name: numbers(rows, column) for name, column in columns.items()}
    label = "error of the log-density of fresh rows, nats per column"
    figure, axes = dot_panel(names, series, label, ours="mean absolute error")
    axes.set_xlim(left=0)
    error, quantile = (values.max() for values in series.values())
    sentence = (
        f"Where the true density is known, the log-density of fresh rows is off by at most "
        f"{error:.3f} nats per column in the mean, and by at most {quantile:.2f} for 99 % of rows."
    )
    alt = f"Errors of the log-density for {listed(names)}."
    return Claim(sentence, alt, figure, measured)
