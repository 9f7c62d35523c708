"""Detection of outliers, p-values, reasons and repairs."""

import re

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common.records import RESULTS, read_records
from benchmarks.common.report import read
from benchmarks.figures.claim import (
    OTHERS,
    OURS,
    WIDTH,
    Claim,
    dot_panel,
    dots,
    listed,
    number,
    numbers,
    panels,
    simplify,
    spread,
)
from benchmarks.pages.comparison import SIMPLEST, Comparison, means
from benchmarks.pages.outliers import CONTAMINATED, DETECTION, DETECTOR, EXPLAINED, ODDBENCH


def detection() -> Claim:
    """Draw AUROC where training rows are normal."""
    return _compare(DETECTION, "detection", "Trained on normal rows")


def contaminated() -> Claim:
    """Draw AUROC where training rows hold the outliers."""
    return _compare(CONTAMINATED, "contaminated", "With unlabelled outliers in the training rows")


def oddbench() -> Claim:
    """Draw AUROC on the tables of OddBench."""
    return _compare(ODDBENCH, "oddbench", "Trained on normal rows of OddBench")


def _compare(comparison: Comparison, part: str, setting: str) -> Claim:
    records = read_records(RESULTS / "outliers.jsonl")
    every = comparison.tables([record for record in records if record["part"] == part])
    tables = [table for table in every if table.is_complete]
    compared = tables[0].compared
    areas = dict(zip(compared, means(tables, compared, "auroc").T, strict=True))
    _, measured = read(comparison.page)
    ours, knn = areas[comparison.detector], areas[SIMPLEST]
    figure, (left, right) = plt.subplots(ncols=2, figsize=(WIDTH, 3.6), layout="constrained")
    left.plot(knn, ours, linestyle="", markersize=5, alpha=0.8, **OURS)
    low = min(knn.min(), ours.min()) - 0.03
    left.plot([low, 1], [low, 1], color="0.4", linewidth=1)
    left.set_xlabel(f"AUROC of {SIMPLEST}, a dot for each table", fontsize=9)
    left.set_ylabel(f"AUROC of {_break(comparison.detector)}", fontsize=9)
    left.text(
        0.98,
        0.04,
        f"below the line:\n{SIMPLEST} is better",
        ha="right",
        transform=left.transAxes,
        fontsize=8,
    )
    order = sorted(areas, key=lambda method: -areas[method].mean())
    for place, method in enumerate(reversed(order)):
        style = OURS if method == comparison.detector else OTHERS[0]
        right.plot(areas[method].mean(), place, markersize=6, **style)
    right.set_yticks(range(len(order)), [_break(name) for name in reversed(order)])
    right.locator_params(axis="x", nbins=4)
    right.set_xlabel(f"mean AUROC over {len(tables)} tables", fontsize=9)
    right.grid(axis="both", color="0.9", linewidth=0.8)
    for axes in (left, right):
        simplify(axes)
    peers = compared[1:]
    best = max(peers, key=lambda peer: areas[peer].mean())
    behind = np.max([areas[peer] for peer in peers], axis=0) - ours
    worst = int(behind.argmax())
    rivals = {"the mean distance of five neighbours": knn}
    if best != SIMPLEST:
        rivals[f"{best}, the best of the others in the mean,"] = areas[best]
    beside = [
        f"{name} has {area.mean():.3f}, less on {(area < ours).sum()} and more on "
        f"{(area > ours).sum()}"
        for name, area in rivals.items()
    ]
    sentence = (
        f"{setting}, {comparison.detector} has a mean AUROC of {ours.mean():.3f} over "
        f"{len(tables)} tables; {'; '.join(beside)}. It is above all {len(peers)} others on "
        f"{(behind < 0).sum()}, and behind the best by {behind[worst]:.3f} at most, on "
        f"{tables[worst].record['table']}."
    )
    alt = (
        f"Left, AUROC of {comparison.detector} over that of {SIMPLEST} for {len(tables)} tables; "
        f"right, mean AUROC of {listed(order)}, best first."
    )
    return Claim(sentence, alt, figure, measured)


def _break(name: str) -> str:
    """Return a name with a line for each parenthesis that holds something."""
    return re.sub(r"\((?!\))", "\n(", name)


def mixed() -> Claim:
    """Draw AUROC among categories, dates and missing values."""
    rows, measured = read("outliers_mixed")
    kinds = {
        "cells": "one to three cells",
        "rows": "all cells",
        "values": "one value",
    }
    found = list(dict.fromkeys(row["planted"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, every = panels(len(found), len(methods), legend=0)
    sentences = []
    for axes, kind in zip(every, found, strict=True):
        own = [row for row in rows if row["planted"] == kind]
        means = numbers(own, "mean AUROC")
        dots(axes, methods, {kind: means}, ours=kind)
        places = np.arange(len(own))[::-1]
        axes.hlines(places, numbers(own, "lowest"), numbers(own, "highest"), color="0.75", zorder=1)
        axes.set_title(kinds.get(kind, kind), fontsize=9)
        peers = [i for i, row in enumerate(own) if row["method"] not in methods[:2]]
        best = max(peers, key=lambda i: means[i])
        sentences.append(f"{means[0]:.3f} ({own[best]['method']} {means[best]:.3f})")
    every[len(found) // 2].set_xlabel("AUROC: mean, lowest and highest over tables", fontsize=9)
    words = [kinds.get(kind, kind) for kind in found]
    pairs = [f"{a} for {w}" for a, w in zip(sentences, words, strict=True)]
    n_tables = rows[2][f"{DETECTOR} above it"].split()[-1]
    sentence = (
        f"Where cells of tables of mixed columns are replaced, {DETECTOR} has a mean AUROC over "
        f"{n_tables} tables of {listed(pairs)}; in brackets the best of the other methods."
    )
    alt = f"Mean, lowest and highest AUROC of {listed(methods)}, in {len(found)} panels."
    return Claim(sentence, alt, figure, measured)


def p_values() -> Claim:
    """Draw the shares of normal rows at or below 0.01 and 0.05."""
    rows, measured = read("outliers_calibration")
    rows = sorted(rows, key=lambda row: number(row["share at 0.05"]))
    figure, every = panels(2, len(rows), legend=0)
    beyond = []
    for axes, level in zip(every, (0.01, 0.05), strict=True):
        shares = numbers(rows, f"share at {level}")
        errors = np.array([number(row[f"share at {level}"].split("±")[1]) for row in rows])
        axes.axvline(level, color="0.4", linewidth=1)
        places = np.arange(len(rows))[::-1]
        axes.hlines(places, shares - 2 * errors, shares + 2 * errors, color="0.75", zorder=1)
        dots(axes, [row["table"] for row in rows], {"": shares}, ours="")
        axes.set_xlim(left=0)
        axes.set_xlabel(f"share at or below {level}", fontsize=9)
        beyond.append(int((shares - 2 * errors > level).sum()))
    shares = [
        spread(numbers(rows, f"share at {level}"), ".1%").replace("%", " %")
        for level in (0.01, 0.05)
    ]
    sentence = (
        "The share of normal rows, to which nothing was fitted, with a p-value of 0.05 or less is "
        f"{shares[1]}; with one of 0.01 or less it is {shares[0]}. It is higher than the level by "
        f"two standard errors on {beyond[1]} and {beyond[0]} of {len(rows)} tables."
    )
    alt = (
        f"Shares of normal rows at or below 0.01 and 0.05, on {len(rows)} tables, around the level."
    )
    return Claim(sentence, alt, figure, measured)


def blame() -> Claim:
    """Draw how often the blamed columns are the planted ones."""
    rows, measured = read("outliers_blame")
    series = {method: numbers(rows, method) for method in EXPLAINED}
    series["by chance"] = numbers(rows, "by chance")
    tables = [row["table"] for row in rows]
    label = "share of rows, all planted cells among the three most blamed"
    figure, axes = dot_panel(tables, series, label, ours=EXPLAINED[0], legend=2)
    axes.set_xlim(left=-0.01)
    ours, *others = (series[method] for method in EXPLAINED)
    ahead = (ours > np.max(others, axis=0)).sum()
    single = spread(numbers(rows, "a single cell"), ".0%")
    sentence = (
        f"One planted cell is among the three that score_features blames most in {single} of "
        f"flagged rows; all of one to three cells are in {spread(ours, '.0%')}, more than by "
        f"Shapley values and standard scores on {ahead} of {len(rows)} tables."
    )
    alt = f"Share of rows found by {listed(list(series))}, on {len(rows)} tables."
    return Claim(sentence, alt, figure, measured)


def repair() -> Claim:
    """Draw how many planted cells a repair restores."""
    rows, measured = read("outliers_repair")
    series = {
        "repair": numbers(rows, "restored"),
        "nearest unremarkable row": numbers(rows, "restored by nearest row"),
        "left as planted": numbers(rows, "restored as planted"),
    }
    tables = [row["table"] for row in rows]
    label = "share of planted cells that are nearer to the truth than a median"
    figure, axes = dot_panel(tables, series, label, ours="repair")
    axes.set_xlim(0, 1)
    ours, nearest, _ = series.values()
    changed, planted = (numbers(rows, name) for name in ("columns changed", "cells planted"))
    sentence = (
        f"repair restores {spread(ours, '.0%')} of the planted cells, more than the nearest "
        f"unremarkable row on {(ours > nearest).sum()} of {len(rows)} tables, and changes "
        f"{np.median(changed):.1f} columns where {np.median(planted):.1f} were planted; the "
        f"nearest row differs in {np.median(numbers(rows, 'nearest row differs')):.0f}."
    )
    alt = f"Share of planted cells that are restored, on {len(rows)} tables."
    return Claim(sentence, alt, figure, measured)
