"""Mixed tables: likelihood, rows back, sampled rows."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common.report import read
from benchmarks.figures.claim import (
    OTHERS,
    OURS,
    WIDTH,
    Claim,
    dot_panel,
    dots,
    listed,
    name_series,
    number,
    numbers,
    panels,
    spread,
)


def likelihood() -> Claim:
    """Draw held-out nats beyond independent columns, and beyond random forests."""
    rows, measured = read("mixed_likelihood")
    forest = {row["table"]: row for row in read("mixed_likelihood_forest")[0]}
    names = [row["table"] for row in rows]
    series = {
        "adversarial random forests": numbers([forest[name] for name in names], "difference"),
        "independent columns": numbers(rows, "difference"),
    }
    behind = {name: -values for name, values in series.items()}
    label = "held-out nats per row, minus those of FlowDensity"
    figure, axes = dot_panel(names, behind, label, line=(0, "FlowDensity"))
    axes.set_xscale("symlog", linthresh=1)
    ticks = [-10, -3, -1, -0.5, 0]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(right=0.1)
    found = [
        f"{name} on {(values > 0).sum()} of {len(values)}, by {spread(values, '.2f')}"
        for name, values in series.items()
    ]
    sentence = (
        f"FlowDensity gives held-out rows of mixed tables more nats per row than {found[0]}; and "
        f"than {found[1]}: the same columns one by one, so this is what their relations are worth."
    )
    alt = f"Held-out nats of {listed(list(series))} minus those of FlowDensity: all left of 0."
    return Claim(sentence, alt, figure, measured)


def round_trip() -> Claim:
    """Draw the largest errors of cells that are not promised to be equal."""
    rows, measured = read("mixed_round_trip")
    error = numbers(rows, "largest error of others")
    promised = numbers(rows, "promised")
    figure, (left, right) = panels(2, len(rows), legend=0)
    names = [row["table"] for row in rows]
    dots(left, names, {"": promised * numbers(rows, "of these equal")}, ours="")
    left.set_xlim(-0.03, 1.03)
    left.set_xlabel("share of cells that are\npromised and equal", fontsize=9)
    dots(right, names, {"": np.where(error > 0, error, np.nan)}, ours="")
    right.axvline(1e-11, color="0.4", linewidth=1)
    right.set_xscale("log")
    right.set_xlabel("largest error of the others\n(line: the limit)", fontsize=9)
    unequal = (numbers(rows, "of these equal") < 1).sum()
    sentence = (
        f"On {len(rows) - unequal} of {len(rows)} tables, every "
        f"cell that is promised comes back from its latents as it was, dtype and missing marker "
        f"included; the largest error of the other cells is {np.nanmax(error):.0e} of their "
        "column's scale."
    )
    alt = (
        f"Left, the share of cells promised and equal on {len(rows)} tables; right, the largest "
        "error of the others, below the limit of 1e-11."
    )
    return Claim(sentence, alt, figure, measured)


def constraints() -> Claim:
    """Draw the shares of rows that keep each constraint: fitted and sampled ones."""
    rows, measured = read("constraints")
    names = [f"{row['table']}: {row['constraint'].split(',')[0]}"[:48] for row in rows]
    series = {
        "without the search": numbers(rows, "without the search"),
        "fitted rows": numbers(rows, "fitted rows"),
        "sampled rows": numbers(rows, "sampled rows"),
    }
    figure, axes = dot_panel(
        names, series, "share of rows that keep the constraint", "sampled rows"
    )
    axes.set_xlim(-0.03, 1.03)
    apart = np.abs(series["sampled rows"] - series["fitted rows"])
    sentence = (
        f"Rows sampled by FlowDensity keep the {len(rows)} constraints that it found in made and "
        f"real tables as often as the fitted rows do: within a point for "
        f"{(apart < 0.0101).sum()} of them, and {100 * apart.max():.1f} points at most; "
        f"without the search for constraints {np.median(series['without the search']):.0%} of "
        "sampled rows keep one in the median."
    )
    alt = "Shares of fitted and of sampled rows that keep each constraint: the same but for noise."
    return Claim(sentence, alt, figure, measured)


def synthetic() -> Claim:
    """Draw how near sampled rows are to held-out ones."""
    rows, measured = read("mixed_synthetic")
    tables = list(dict.fromkeys(row["table"] for row in rows))
    methods = list(dict.fromkeys(row["rows judged"] for row in rows))
    of_pair = {(row["rows judged"], row["table"]): row for row in rows}
    figure, every = panels(3, 2 * len(tables))
    columns = ("column shapes", "pair trends", "learned from them")
    for axes, column in zip(every, columns, strict=True):
        series = {
            method: numbers([of_pair[method, table] for table in tables], column)
            for method in methods
        }
        dots(axes, tables, series, ours="FlowDensity")
        axes.set_xlabel(column, fontsize=9)
    name_series(figure, every[0], columns=4)
    ours, *others = (of_pair[method, "mean"] for method in methods if method != "training rows")
    marks = of_pair["training rows", "mean"]
    found, behind = [], []
    for column in columns:
        beside = [f"{row['rows judged']} {row[column]}" for row in [*others, marks]]
        found.append(f"{column} {ours[column]} ({listed(beside)})")
        behind += [
            f"{column} of {table}"
            for table in tables
            if number(of_pair["FlowDensity", table][column])
            < max(number(of_pair[row["rows judged"], table][column]) for row in others)
        ]
    sentence = (
        f"Rows sampled by FlowDensity score, in the mean over tables: {listed(found)}. Others are "
        f"ahead in {listed(behind) or 'none'}."
    )
    alt = f"Scores of rows sampled by {listed(methods)}, in three panels; 1 is best."
    return Claim(sentence, alt, figure, measured)


def protocol() -> Claim:
    """Draw scores of sampled rows of adult beside those of diffusion models."""
    rows, measured = read("synthetic")
    rows = [row for row in rows if row["method"] != "training rows"]
    names = [row["method"].replace(" (published)", "") for row in rows]
    columns = ("trends", "C2ST, XGBoost", "learned from them")
    figure, every = panels(len(columns), len(names), legend=0)
    found = []
    for axes, column in zip(every, columns, strict=True):
        values = numbers(rows, column)
        dots(axes, names, {"": values}, ours="")
        axes.axvline(values[0], color=OURS["color"], linewidth=1)
        axes.locator_params(axis="x", nbins=3)
        axes.set_xlabel(column, fontsize=9)
        best = int(np.argmax(values[1:])) + 1
        found.append((column, values[0], names[best], values[best]))
    seconds = [row["seconds"] for row in rows]
    slowest = int(np.argmax([number(cell) for cell in seconds[1:]])) + 1
    scores = [f"{column} {own:.3f} ({name} {best:.3f})" for column, own, name, best in found]
    ahead = [f"{name} in {column}" for column, own, name, best in found if best > own]
    sentence = (
        f"Rows of adult sampled by FlowDensity, with the best published score in brackets: "
        f"{listed(scores)}. Ahead of FlowDensity: {listed(ahead) or 'none'}. A fit with its "
        f"sample takes {number(seconds[0]):,.0f} seconds of one CPU core; {names[slowest]} trains "
        f"for {number(seconds[slowest]):,.0f} seconds of a GPU."
    )
    alt = f"Three scores of rows sampled by {listed(names)}; 1 is best."
    return Claim(sentence, alt, figure, measured)


def cost() -> Claim:
    """Draw what mixed columns cost beside columns of numbers."""
    rows, measured = read("mixed_cost")
    ratio = next(row for row in rows if row["table"] == "ratio")
    columns = [
        column for column in ratio if column != "table" and np.isfinite(number(ratio[column]))
    ]
    figure, axes = plt.subplots(figsize=(WIDTH, 2.0), layout="constrained")
    dots(axes, columns, {"": np.array([number(ratio[column]) for column in columns])}, ours="")
    axes.axvline(1, color=OTHERS[5]["color"], linewidth=1)
    axes.set_xlabel("adult over as many columns of numbers", fontsize=9)
    sentence = (
        f"A fit of adult, 9 of its 15 columns text, takes {ratio['fit, processor']} times the "
        f"processor seconds of 15 columns of numbers, in {ratio['epochs']} times the epochs; "
        f"scoring takes {ratio['score, processor']} times as long."
    )
    return Claim(sentence, "Ratios of seconds, memory and epochs.", figure, measured)
