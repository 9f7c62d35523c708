"""Pages of the benchmark of outliers, from the results that are kept."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np

from benchmarks.common import report
from benchmarks.pages.comparison import MISSING, SPREAD, Comparison, spread
from benchmarks.planted.mixed import KINDS

DETECTOR, ROBUST = "FlowOutlierDetector()", "FlowOutlierDetector(robust=True)"
MAX_TIME = 3  # seconds of each fit of a density, where tables are many
LIMITED = f"FlowOutlierDetector(FlowDensity(max_time={MAX_TIME}))"
COMMAND = "python -m benchmarks.outliers --data DIR --page"
DENSITY = "its density"  # of the detector
MADE = "made rows"  # of the cost of scoring; no table is called so

DETECTION = Comparison(
    DETECTOR,
    ROBUST,
    "outliers_detection",
    "Trained on a half of the normal rows; the other half and all outliers are scored.",
)
CONTAMINATED = Comparison(
    ROBUST,
    DETECTOR,
    "outliers_contaminated",
    "Trained on all rows, unlabelled outliers among them; the same rows are scored. "
    "No row is its own neighbour; LOF has the scores from its fit.",
)
ODDBENCH = Comparison(
    LIMITED,
    DETECTOR,
    "outliers_oddbench",
    "Trained on the training rows of each table, which are normal; its test rows are scored. "
    f"Each fit of a density ends after {MAX_TIME} seconds of the clock.",
)


def write(records: Sequence[dict]) -> None:
    """Print and write the pages of each part; of one without results, that there are none."""
    for part, (pages, write_part) in WRITERS.items():
        of_part = [record for record in records if record["part"] == part]
        if of_part:
            write_part(of_part, COMMAND)
            continue
        for page in pages:
            command = f"python -m benchmarks.outliers --data DIR --parts {part} --page"
            text = f"Not measured yet: ``{command}`` writes this page.\n"
            (report.PAGES / f"{page}.rst").write_text(text)


class Tables:
    """Results of the detector alone, averaged over the seeds of each table."""

    def __init__(self, records: Sequence[dict]) -> None:
        self.records: dict[str, list[dict]] = {}
        for record in records:
            self.records.setdefault(record["table"], []).append(record)

    def mean(self, table: str, *keys: str) -> float:
        """Return the mean of a figure, which lies under ``keys``, over the seeds that have it.

        Where no row was flagged there is none; where no seed has one, nan.
        """
        found: list[Any] = [
            reduce(getitem, keys, record) for record in self.records[table] if keys[0] in record
        ]
        return float(np.mean(found)) if found else np.nan

    def means(self, *keys: str) -> np.ndarray:
        """Return those of all tables that have the figure."""
        every = np.array([self.mean(table, *keys) for table in self.records])
        return every[np.isfinite(every)]

    def shape(self, table: str) -> list[str]:
        """Return the first cells of a row: name, shape and number of seeds."""
        n_rows, n_columns = (self.records[table][0][key] for key in ("rows", "columns"))
        return [table, f"{n_rows:,} x {n_columns}", str(len(self.records[table]))]

    def cell(self, form: str, table: str, *keys: str) -> str:
        """Return a mean as it is shown."""
        value = self.mean(table, *keys)
        return format(value, form) if np.isfinite(value) else MISSING


def _write_calibration(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    n_told, n_in_excess = (
        sum(record[key] < 0.01 for record in records) for key in ("distance_p", "excess_p")
    )
    shares = [
        f"at or below {alpha} {spread(tables.means(key), '.4f')}"
        for alpha, key in ((0.01, "share_01"), (0.05, "share_05"))
    ]
    summary = (
        "p-values of fresh normal rows, which should be uniform, or where rows are repeated "
        f"no smaller. Shares of them are {' and '.join(shares)}. The distance is that of "
        "Kolmogorov and Smirnov, the excess the most by which the share at or below any level "
        "is above that level. Two samples of one kind, as many as the fresh and the calibration "
        f"rows, have less than once in 100 times the distance of {n_told} of {len(records)} fits, "
        f"and the excess of {n_in_excess}. The commonest p-value is that of rows which are "
        "repeated: where it is common, the distance is that of its step. The standard error of a "
        "share is that of counting both for one seed, the p-values are the lowest of the seeds. "
        f"The largest distances come first. {SPREAD}"
    )
    header = (
        "table",
        "rows x columns",
        "seeds",
        "fresh rows",
        "calibration rows",
        "share of the commonest",
        "distance",
        "its p-value",
        "excess",
        "its p-value",
        "share at 0.01",
        "share at 0.05",
    )
    rows = [
        [
            *tables.shape(name),
            tables.cell(",.0f", name, "fresh"),
            tables.cell(",.0f", name, "calibration"),
            tables.cell(".1%", name, "commonest"),
            tables.cell(".4f", name, "distance"),
            _lowest(tables.records[name], "distance_p"),
            tables.cell(".4f", name, "excess"),
            _lowest(tables.records[name], "excess_p"),
            *(_share(tables, name, *of) for of in ((0.01, "share_01"), (0.05, "share_05"))),
        ]
        for name in sorted(tables.records, key=lambda name: -tables.mean(name, "distance"))
    ]
    footer = report.footer_of(records, command)
    report.write("outliers_calibration", command, summary, header, rows, footer=footer)


def _lowest(records: Sequence[dict], key: str) -> str:
    return f"{min(record[key] for record in records):.2g}"


def _share(tables: Tables, table: str, alpha: float, key: str) -> str:
    n_fresh, n_calibration = tables.mean(table, "fresh"), tables.mean(table, "calibration")
    error = np.sqrt(alpha * (1 - alpha) * (1 / n_fresh + 1 / n_calibration))
    return f"{tables.mean(table, key):.4f} ± {error:.4f}"


EXPLAINED = (
    "score_features",
    "Shapley, detector",
    "Shapley, IsolationForest",
    "standard score",
)


def _tell_tellable(tables: Tables) -> str:
    """Return a sentence on how many planted cells can be found at all, where that was measured."""
    shares = tables.means("tellable")
    if not len(shares):
        return ""
    return (
        f"Strange beside the true values of the others are {spread(shares, '.1%')} of the planted "
        f"cells; all such of a row: {spread(tables.means('found_tellable'), '.1%')}. "
    )


def _write_mixed(records: Sequence[dict], command: str) -> None:
    methods = list(dict.fromkeys(record["method"] for record in records))
    of_method = {
        method: Tables([record for record in records if record["method"] == method])
        for method in methods
    }
    ours = of_method[DETECTOR]
    names = [name for name in ours.records if all(name in t.records for t in of_method.values())]
    auroc = {
        kind: np.array(
            [[of_method[m].mean(name, "auroc", kind) for name in names] for m in methods]
        )
        for kind in KINDS
    }
    peers = [i for i, method in enumerate(methods) if method not in (DETECTOR, DENSITY)]
    own = methods.index(DETECTOR)
    sentences = []
    for kind, what in zip(KINDS, ("one to three cells", "all cells", "one value"), strict=True):
        best = max(peers, key=lambda i: auroc[kind][i].mean())
        ahead = (auroc[kind][own] > auroc[kind][peers].max(axis=0)).sum()
        sentences.append(
            f"{what}: {auroc[kind][own].mean():.4f}, the best of the others ({methods[best]}) "
            f"{auroc[kind][best].mean():.4f}, ahead of all others on {ahead} of {len(names)} tables"
        )
    summary = (
        "Fresh rows of tables of mixed columns, 5,000 of a table at most, beside the same with one "
        "to three cells of other rows, with all cells of other rows, or with one value replaced "
        "by any that its column has, rare ones as often as others; rows that are as they were are "
        "left out. AUROC, mean over tables. "
        f"{'; '.join(sentences)}. The density is that of the same fit; the others have an "
        "indicator for each category."
    )
    header = (
        "planted",
        "method",
        "mean AUROC",
        "lowest",
        "highest",
        f"{DETECTOR} above it",
    )
    rows = []
    for kind in KINDS:
        for i, method in enumerate(methods):
            ahead = (auroc[kind][own] > auroc[kind][i]).sum()
            rows.append(
                [
                    kind,
                    method,
                    *(f"{f(auroc[kind][i]):.4f}" for f in (np.mean, np.min, np.max)),
                    "" if i == own else f"{ahead} of {len(names)}",
                ]
            )
    footer = report.footer_of(records, command)
    report.write("outliers_mixed", command, summary, header, rows, footer=footer)


def _write_blame(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    found = {method: tables.means("found", method) for method in EXPLAINED}
    summary = (
        "Fresh rows with one to three cells of other rows, 200 for each table and seed; flagged "
        "are those of a p-value below 0.05. A row is found where all of its planted cells are "
        "among the three columns most blamed; also given are the share of rows of which any is, "
        "and the share of rows with a single planted cell in which that is. Shares are of flagged "
        "rows: of all of them, then of the first 50, which every method got. "
    )
    if len(found[EXPLAINED[0]]):
        shares = [f"{method} {spread(found[method], '.1%')}" for method in EXPLAINED]
        ours, *others = found.values()
        ahead = (ours > np.max(others, axis=0)).sum()
        gains = ours - found["Shapley, detector"]
        summary += (
            f"Flagged: {spread(tables.means('flagged'), '.1%')}. Any planted cell: "
            f"{spread(tables.means('found_any'), '.1%')}; a single one: "
            f"{spread(tables.means('found_single'), '.1%')}. {_tell_tellable(tables)}All: "
            f"{'; '.join(shares)}; by "
            f"chance {spread(tables.means('found_by_chance'), '.1%')}. score_features is ahead of "
            f"all others on {ahead} of {len(ours)} tables; over the share of Shapley values "
            f"of the same detector its own is {spread(gains, '+.1%')}. "
            f"Tables where it is furthest behind come first. {SPREAD}"
        )
    header = (
        "table",
        "rows x columns",
        "seeds",
        "flagged",
        "any cell",
        "a single cell",
        "all tellable cells",
        "all cells",
        *EXPLAINED,
        "by chance",
        "seconds a row",
    )

    def lead(name: str) -> float:
        ours, *others = (tables.mean(name, "found", method) for method in EXPLAINED)
        return np.nan_to_num(ours - max(others), nan=np.inf)

    rows = [
        [
            *tables.shape(name),
            tables.cell(".1%", name, "flagged"),
            tables.cell(".1%", name, "found_any"),
            tables.cell(".1%", name, "found_single"),
            tables.cell(".1%", name, "found_tellable"),
            tables.cell(".1%", name, "found_of_all"),
            *(tables.cell(".1%", name, "found", method) for method in EXPLAINED),
            tables.cell(".1%", name, "found_by_chance"),
            tables.cell(".4f", name, "seconds_per_row"),
        ]
        for name in sorted(tables.records, key=lead)
    ]
    footer = report.footer_of(records, command)
    report.write("outliers_blame", command, summary, header, rows, footer=footer)


KNOWING = ("score_features", "true conditionals", "best three")


def _write_known(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    shares = {
        key: [f"{who} {spread(tables.means(key, who), '.1%')}" for who in KNOWING]
        for key in ("found", "found_single")
    }
    summary = (
        "The same of normal rows whose columns share factors, so that their density is known: "
        "true conditionals are the tail probability of each cell given the others of its row by "
        "that density, which score_features estimates; the best three cells are those without "
        "which the others are likeliest. All planted cells among three, of the rows that "
        f"FlowOutlierDetector flags: {'; '.join(shares['found'])}. Where one was planted: "
        f"{'; '.join(shares['found_single'])}. {SPREAD}"
    )
    header = (
        "table",
        "rows x columns",
        "seeds",
        "flagged",
        *(f"all cells: {who}" for who in KNOWING),
        *(f"a single cell: {who}" for who in KNOWING),
    )
    rows = [
        [
            *tables.shape(name),
            tables.cell(".1%", name, "flagged"),
            *(tables.cell(".1%", name, "found", who) for who in KNOWING),
            *(tables.cell(".1%", name, "found_single", who) for who in KNOWING),
        ]
        for name in tables.records
    ]
    footer = report.footer_of(records, command)
    report.write("outliers_known", command, summary, header, rows, footer=footer)


FIRST = ("first", "exact", "score_features", "marginal")


def _write_explain(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    kinds = {
        kind: "; ".join(f"{key} {spread(tables.means(kind, key), '.1%')}" for key in FIRST)
        for kind in ("swap", "slip", "block")
    }
    summary = (
        "Usual rows made strange (a p-value of 0.01 or less) by one cell of another row (swap), by "
        "one number that is ten times as large or 4 to 10 standard deviations away (slip), or by a "
        "block of numbers that depend on each other and are extreme together (block); up to 100 of "
        "each. First is the share of rows whose first line of explain names a planted cell; exact, "
        "those where it names the planted cells and no other; beside them are the lowest cell of "
        "score_features and the line of the highest marginal surprise. "
        + " ".join(f"Of {kind}: {text}." for kind, text in kinds.items())
        + f" {SPREAD}"
    )
    header = (
        "table",
        "rows x columns",
        "seeds",
        *(f"{kind}: {key}" for kind in kinds for key in FIRST),
        "seconds a row",
    )
    rows = [
        [
            *tables.shape(name),
            *(tables.cell(".1%", name, kind, key) for kind in kinds for key in FIRST),
            tables.cell(".3f", name, "slip", "seconds_per_row"),
        ]
        for name in tables.records
    ]
    footer = report.footer_of(records, command)
    report.write("outliers_explain", command, summary, header, rows, footer=footer)


REPAIRED = ("repair", "nearest row")


def _write_repair(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    summary = (
        "Repairs of the flagged rows, beside the nearest training row that is unremarkable, "
        "standardised distance; unremarkable is a p-value of 0.1 or more. A planted cell is "
        "restored where the value put there is nearer to the true one than the column's median is; "
        "the error is the median one, over that of the column's median. As planted is what doing "
        "nothing gives. "
    )
    if len(tables.means("unremarkable")):
        changed = [spread(tables.means("changed", who), ".2f") for who in REPAIRED]
        nearer = [
            f"{who} {spread(tables.means('restored', who, 'nearer'), '.1%')}"
            for who in (*REPAIRED, "as planted")
        ]
        ratios = [
            f"{who} {spread(tables.means('restored', who, 'error_ratio'), '.2f')}"
            for who in (*REPAIRED, "as planted")
        ]
        summary += (
            f"Repaired rows that are unremarkable: {spread(tables.means('unremarkable'), '.1%')}. "
            f"Columns changed: {changed[0]}, where {spread(tables.means('planted_cells'), '.2f')} "
            f"were planted; the nearest row differs in {changed[1]}. Restored: "
            f"{'; '.join(nearer)}. Error: {'; '.join(ratios)}. Tables with the fewest restored "
            f"come first. {SPREAD}"
        )
    header = (
        "table",
        "rows x columns",
        "seeds",
        "flagged",
        "unremarkable",
        "cells planted",
        "columns changed",
        "nearest row differs",
        "restored",
        "restored by nearest row",
        "restored as planted",
        "error",
        "error of nearest row",
        "error as planted",
        "seconds a row",
    )

    def order(name: str) -> float:
        return np.nan_to_num(tables.mean(name, "restored", "repair", "nearer"), nan=np.inf)

    rows = [_repair_row(tables, name) for name in sorted(tables.records, key=order)]
    footer = report.footer_of(records, command)
    report.write("outliers_repair", command, summary, header, rows, footer=footer)


def _repair_row(tables: Tables, name: str) -> list[str]:
    candidates = (*REPAIRED, "as planted")
    return [
        *tables.shape(name),
        tables.cell(".1%", name, "flagged"),
        tables.cell(".1%", name, "unremarkable"),
        tables.cell(".2f", name, "planted_cells"),
        *(tables.cell(".2f", name, "changed", who) for who in REPAIRED),
        *(tables.cell(".1%", name, "restored", who, "nearer") for who in candidates),
        *(tables.cell(".2f", name, "restored", who, "error_ratio") for who in candidates),
        tables.cell(".4f", name, "seconds_per_row"),
    ]


def _write_cost(records: Sequence[dict], command: str) -> None:
    tables = Tables(records)
    ratios = {
        name: tables.mean(name, "seconds") / tables.mean(name, "simpler") for name in tables.records
    }
    fits = [ratio for name, ratio in ratios.items() if name != MADE]
    summary = (
        "Processor seconds of a fit over those of FlowDensity() on the same rows, on tables of "
        "2,000 training rows or more, a quarter of which the detector holds out; and of scoring "
        "made rows over those of finding their five nearest neighbours, both among 20,000 others. "
    )
    if fits:
        summary += f"A fit takes {spread(fits, '.2f')} times as long. "
    if MADE in ratios:
        summary += f"Scoring takes {ratios[MADE]:.2f} times as long as nearest neighbours. "
    summary += f"The highest ratios come first. {SPREAD}"
    header = (
        "table",
        "rows x columns",
        "seeds",
        "what",
        "seconds",
        "beside",
        "its seconds",
        "ratio",
    )
    rows = [
        [
            *tables.shape(name),
            "score_samples" if name == MADE else "fit",
            tables.cell(".2f", name, "seconds"),
            "nearest neighbours" if name == MADE else "FlowDensity.fit",
            tables.cell(".2f", name, "simpler"),
            f"{ratios[name]:.2f}",
        ]
        for name in sorted(ratios, key=lambda name: -ratios[name])
    ]
    footer = report.footer_of(records, command)
    report.write("outliers_cost", command, summary, header, rows, footer=footer)


# Pages and their writer, by part.
WRITERS: dict[str, tuple[Sequence[str], Callable[[Sequence[dict], str], None]]] = {
    "detection": (("outliers_detection", "outliers_detection_tables"), DETECTION.write),
    "contaminated": (("outliers_contaminated", "outliers_contaminated_tables"), CONTAMINATED.write),
    "oddbench": (("outliers_oddbench", "outliers_oddbench_tables"), ODDBENCH.write),
    "calibration": (("outliers_calibration",), _write_calibration),
    "mixed": (("outliers_mixed",), _write_mixed),
    "blame": (("outliers_blame",), _write_blame),
    "known": (("outliers_known",), _write_known),
    "explain": (("outliers_explain",), _write_explain),
    "repair": (("outliers_repair",), _write_repair),
    "cost": (("outliers_cost",), _write_cost),
}
