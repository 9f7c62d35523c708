"""Speed of a step, of scoring and of growth; what a search costs and gains."""

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
    number,
    numbers,
    simplify,
    spread,
)


def speed() -> Claim:
    """Draw steps beside matrix products, scoring and epochs as rows grow."""
    pages = [read(f"speed_{name}") for name in ("step", "scoring", "growth", "sampling")]
    steps, scoring, growth, sampling = (rows for rows, _ in pages)
    measured = " ".join(line.partition(" with ")[0] for _, line in pages)
    figure, panel = plt.subplot_mosaic(
        [["step", "step"], ["scoring", "growth"]],
        figsize=(WIDTH, 4.2),
        height_ratios=(1, 2.4),
        layout="constrained",
    )
    top, left, right = panel["step"], panel["scoring"], panel["growth"]
    training = [row for row in steps if row["work"].startswith("training")][1:]
    ratios = numbers(training, "times the matrix products")
    methods = [row["method"] for row in training]
    dots(top, methods, {"": ratios}, ours="")
    top.set_xlim(0, 1.1 * ratios.max())
    top.set_xlabel("a training step, times its matrix products", fontsize=8)
    lines = {"KernelDensity": OTHERS[0], "FlowDensity": OURS, "GaussianMixture": OTHERS[1]}
    for method, style in lines.items():
        spent = numbers(scoring, f"{method}, µs per row")
        left.plot(numbers(scoring, "rows fitted"), spent, label=method, markersize=5, **style)
    left.legend(fontsize=8, frameon=False, loc="upper left")
    left.set_xlabel("rows fitted", fontsize=8)
    left.set_ylabel("µs per row scored", fontsize=8)
    growth = [row for row in growth if row["columns"] == "10"]
    growth.sort(key=lambda row: number(row["rows"]))
    right.plot(numbers(growth, "rows"), numbers(growth, "seconds per epoch"), markersize=5, **OURS)
    right.set_xlabel("rows fitted, 10 columns", fontsize=8)
    right.set_ylabel("seconds per epoch", fontsize=8)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
    left.set_ylim(0.3, 1e7)
    for axes in (top, left, right):
        simplify(axes)
    gains = numbers(sampling, "times the faster peer")
    sentence = (
        "A training step takes "
        + ", ".join(f"{m} {r:.2f}" for m, r in zip(methods, ratios, strict=True))
        + " times its matrix products. From 1,000 rows on, FlowDensity scores faster than "
        "KernelDensity, and slower than GaussianMixture whatever the rows. It samples "
        f"{spread(gains, '.2f')} times the rows per second of the faster of zuko and nflows."
    )
    alt = (
        "Above, a training step of each library over its matrix products; left, microseconds per "
        "scored row over rows fitted; right, seconds per epoch over rows, a straight line."
    )
    return Claim(sentence, alt, figure, measured)


def selection() -> Claim:
    """Draw what a search gains over the defaults."""
    rows, measured = read("selection_gain")
    names = [f"{row['table']}: {row['ratio']} times the seconds" for row in rows]
    series = {
        "chosen by the search": numbers(rows, "its gain per column"),
        "best on the test rows themselves": numbers(rows, "gain of the best on the test rows"),
    }
    label = "held-out nats per column, gained over the defaults"
    figure, _ = dot_panel(names, series, label, line=(0, "the defaults"))
    gains = [
        f"{gain:+.3f} nats per column on {row['table']}, at {number(row['ratio']):.0f} times the "
        "seconds"
        for row, gain in zip(rows, series["chosen by the search"], strict=True)
    ]
    sentence = f"A search over eight candidates changes the score by {listed(gains)}."
    alt = f"Gains of a search over the defaults, on {len(rows)} tables."
    return Claim(sentence, alt, figure, measured)


def first_fit() -> Claim:
    """Draw the seconds of a first fit, import included."""
    rows, measured = read("fit_time")
    names = [row["rows x columns"] for row in rows]
    series = {
        "FlowDensity": numbers(rows, "first fit"),
        "GaussianMixture(16)": numbers(rows, "GaussianMixture(16)"),
        "import skflow": numbers(rows, "import skflow"),
    }
    figure, axes = dot_panel(names, series, "seconds in a fresh process", ours="FlowDensity")
    axes.set_xlim(left=0)
    found = [
        f"{number(row['first fit']):.1f} s for {row['rows x columns']}, "
        f"{number(row['ratio of fits']):.0f} times those of GaussianMixture(16)"
        for row in rows
    ]
    sentence = f"The first fit in a fresh process takes {'; '.join(found)}."
    alt = "Seconds of a first fit of FlowDensity and of a mixture, and of the import."
    return Claim(sentence, alt, figure, measured)


def memory() -> Claim:
    """Draw peaks of memory of tables in files beside those of a tenth of their rows."""
    (scored, when_scored), (fitted, when_fitted) = read("memory_score"), read("memory_fit")
    scored.sort(key=lambda row: number(row["rows"]))
    sizes = [column.partition(" rows")[0] for column in fitted[0] if column.endswith("peak, MB")]
    names = ["scoring", *(row["part of the fit"] for row in fitted)]
    series = {
        label: np.r_[
            number(scored[place]["peak, MB"]), numbers(fitted, f"{sizes[place]} rows: peak, MB")
        ]
        for label, place in (("a tenth of the rows", 0), ("all rows", -1))
    }
    label = "peak of memory so far, MB"
    figure, axes = dot_panel(names, series, label, ours="all rows")
    axes.set_xlim(left=0)
    sentence = (
        "Scoring {} rows of 10 columns from a Parquet file peaks at {:,.0f} MB, scoring {} at "
        "{:,.0f} MB; a fit to {} rows of 20 mixed columns at {:,.0f} MB, one to {} at {:,.0f} MB."
    ).format(
        *(scored[-1]["rows"], series["all rows"][0]),
        *(scored[0]["rows"], series["a tenth of the rows"][0]),
        *(sizes[-1], series["all rows"][-1], sizes[0], series["a tenth of the rows"][-1]),
    )
    alt = "Peaks of scoring and of the parts of a fit, for all rows and for a tenth of them."
    return Claim(sentence, alt, figure, f"{when_scored} {when_fitted.partition(' with ')[0]}")
