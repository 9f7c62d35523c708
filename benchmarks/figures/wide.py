"""Tables of many columns."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.common.records import RESULTS, read_records
from benchmarks.common.report import read
from benchmarks.figures.claim import OTHERS, OURS, WIDTH, Claim, dots, listed, name_series, simplify
from benchmarks.wide import DEFAULTS, FLOWS, OF_LABELS


def wide() -> Claim:
    """Draw nats per column beside those of FlowDensity, and seconds as columns grow."""
    _, measured = read("wide")
    found = {
        (record["method"], record["table"]): record
        for record in read_records(RESULTS / "wide.jsonl")
        if record.get("nats") is not None and record["method"] not in OF_LABELS
    }
    others = list(dict.fromkeys(method for method, _ in found if method not in FLOWS))
    every = [table for method, table in found if method == DEFAULTS]
    every.sort(key=lambda table: (table.split()[0], found[DEFAULTS, table]["columns"]))
    tables = [table for table in every if (others[0], table) in found]  # not of labels alone
    peers = [peer for peer in others if all((peer, table) in found for table in tables)]
    ours = np.array([found[DEFAULTS, table]["nats"] for table in tables])
    behind = {peer: np.array([found[peer, t]["nats"] for t in tables]) - ours for peer in peers}
    figure, (top, bottom) = plt.subplots(
        nrows=2, figsize=(WIDTH, 5.8), height_ratios=(len(tables), 9), layout="constrained"
    )
    top.axvline(0, color=OURS["color"], linewidth=2)
    dots(top, tables, behind)
    top.set_xscale("symlog", linthresh=0.1)
    ticks = [-3, -1, -0.3, -0.1, -0.05, 0]
    top.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    top.set_xlim(-4, 0.02)
    top.set_xlabel("held-out nats per column, minus those of FlowDensity()", fontsize=9)
    growing = [table for table in tables if table.startswith("factors")]
    for method, style in zip((DEFAULTS, *peers), (OURS, *OTHERS), strict=False):
        records = [found[method, table] for table in growing]
        columns, seconds = ([record[name] for record in records] for name in ("columns", "seconds"))
        bottom.plot(columns, seconds, label=method, markersize=5, **style)
    bottom.set_xscale("log")
    bottom.set_yscale("log")
    bottom.set_xticks(columns, [f"{n:,}" for n in columns])
    bottom.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    bottom.minorticks_off()
    bottom.set_xlabel(f"columns, {records[0]['rows']:,} rows of 10 factors", fontsize=9)
    bottom.set_ylabel("seconds of a fit", fontsize=9)
    simplify(bottom)
    name_series(figure, bottom)
    best = np.max(list(behind.values()), axis=0)
    narrow = next(r for r in (found[DEFAULTS, t] for t in growing) if r["columns"] >= 100)
    widest, peer = (found[method, growing[-1]] for method in (DEFAULTS, peers[0]))
    more, longer = (widest[key] / narrow[key] for key in ("columns", "seconds"))
    sentence = (
        f"On {len(tables)} tables of {min(r['columns'] for r in found.values())} to "
        f"{max(r['columns'] for r in found.values()):,} columns, FlowDensity is ahead of "
        f"{listed(peers)} by {-best[best < 0].max():.3f} to {-best.min():.2f} nats per column on "
        f"{(best < 0).sum()}, and behind the best of them by {best.max():.4f} at most on the "
        f"others. A fit takes {widest['seconds']:.0f} s of the processor at {columns[-1]:,} "
        f"columns, {widest['seconds'] / peer['seconds']:.1f} times those of {peers[0]}, and "
        f"{narrow['seconds']:.0f} s at {narrow['columns']}: it grows as the number of columns to "
        f"the power {np.log(longer) / np.log(more):.1f}."
    )
    alt = (
        f"Above, held-out nats per column of {listed(peers)} minus those of FlowDensity on "
        f"{len(tables)} tables; below, seconds of a fit over columns."
    )
    return Claim(sentence, alt, figure, measured)
