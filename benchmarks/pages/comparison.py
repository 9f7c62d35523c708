"""Pages that compare detectors: each table, and all that every method has, taken together.

Methods are compared on the seeds that all of them have on a table; of the detector, those count
which the version of skflow has that measured it last. A variant of the detector, of that version,
is shown beside them; it takes no part in ranks and wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.common import report
from benchmarks.peers.detectors import PEERS

FloatArray = NDArray[np.float64]

MISSING = "missing"
AREAS = {"auroc": "AUROC", "ap": "Average precision"}
SECONDS = ("fit_seconds", "score_seconds")
SIMPLEST = "kNN mean"  # the mean distance of five neighbours
QUICKEST = "IsolationForest"  # of those that take no distances


@dataclass(frozen=True)
class Comparison:
    """The detector of a part, its variant, the pages' name and their text."""

    detector: str
    variant: str
    page: str
    protocol: str

    def write(self, records: Sequence[dict], command: str) -> None:
        """Print and write the two pages."""
        tables = self.tables(records)
        self._write_tables(tables, command)
        self._write_summary(tables, command)

    def tables(self, records: Sequence[dict]) -> "list[Table]":
        """Return the results of the detector's part, table by table.

        Those that are compared are the detector and the peers which have any result.
        """
        measured = {record["method"] for record in records}
        compared = (self.detector, *(peer for peer in PEERS if peer in measured))
        found: dict[str, Table] = {}
        for record in records:
            found.setdefault(record["table"], Table(record, compared)).add(record)
        for table in found.values():
            table.drop_other_versions(self.variant)
        return list(found.values())

    def _footer(self, tables: "list[Table]", command: str) -> str:
        used = [record for table in tables for record in table.used(self.variant)]
        return report.footer_of(used, command, own=self.detector)

    def _write_summary(self, tables: "list[Table]", command: str) -> None:
        complete = [table for table in tables if table.is_complete]
        summary = f"{self.protocol} {len(complete)} of {len(tables)} tables have every method."
        header = (
            "method",
            "tables",
            "mean AUROC",
            "mean AP",
            "wins by AUROC",
            "wins by AP",
            "mean rank by AUROC",
            "mean rank by AP",
            f"{self.detector} above it, by AUROC",
            "fit seconds",
            "scoring seconds",
        )
        rows = []
        if complete:
            summary = f"{summary} {self._summarise(complete)}"
            compared = complete[0].compared
            ranked = {key: _ranks(means(complete, compared, key)) for key in AREAS}
            for i, method in enumerate(compared):
                wins = [str((ranks[:, i] == 1).sum()) for ranks in ranked.values()]
                places = [f"{ranks[:, i].mean():.2f}" for ranks in ranked.values()]
                rows.append(self._row(method, complete, [*wins, *places]))
            with_variant = [table for table in complete if table.has([self.variant])]
            if with_variant:
                rows.insert(1, self._row(self.variant, with_variant, [""] * 4))
        footer = self._footer(complete or tables, command)
        report.write(self.page, command, summary, header, rows, footer=footer)

    def _row(self, method: str, tables: "list[Table]", places: list[str]) -> list[str]:
        ours, theirs = means(tables, (self.detector, method), "auroc").T
        precision = means(tables, (method,), "ap")
        above = "" if method == self.detector else f"{(ours > theirs).sum()} of {len(tables)}"
        fit, score = (np.median(means(tables, (method,), key)) for key in SECONDS)
        areas = [f"{theirs.mean():.4f}", f"{precision.mean():.4f}"]
        return [method, str(len(tables)), *areas, *places, above, f"{fit:.3f}", f"{score:.3f}"]

    def _summarise(self, tables: "list[Table]") -> str:
        sentences = [f"{area}: {self._compare(tables, key)}" for key, area in AREAS.items()]
        for key, does in zip(SECONDS, ("fits", "scores"), strict=True):
            ours, theirs = means(tables, (self.detector, QUICKEST), key).T
            sentences.append(
                f"It {does} in {spread(ours / theirs, ',.1f')} times the processor seconds of "
                f"{QUICKEST}."
            )
        gains = [table.gain(self.variant) for table in tables]
        gains = [gain for gain in gains if np.isfinite(gain)]
        if gains:
            sentences.append(
                f"{self.variant} gains in AUROC {spread(gains, '+.4f')} over {len(gains)} tables, "
                f"in the mean {np.mean(gains):+.4f}, on the seeds that both have; it takes no part "
                "in wins and ranks."
            )
        return " ".join([*sentences, SPREAD, "Seconds in the table are medians over tables."])

    def _compare(self, tables: "list[Table]", key: str) -> str:
        compared = tables[0].compared
        areas = means(tables, compared, key)
        best = 1 + int(areas[:, 1:].mean(axis=0).argmax())
        ours, theirs = areas[:, 0], areas[:, best]
        behind = (areas.max(axis=1) - ours).max()
        return (
            f"{self.detector} has {ours.mean():.4f} in the mean, {compared[best]}, the best "
            f"of the others in the mean, {theirs.mean():.4f}. It is above that one on "
            f"{(ours > theirs).sum()} of {len(tables)} tables and below on "
            f"{(ours < theirs).sum()}, by {spread(ours - theirs, '+.4f')}; above all others on "
            f"{(ours > areas[:, 1:].max(axis=1)).sum()}, and {behind:.4f} at most behind the best."
        )

    def _write_tables(self, tables: "list[Table]", command: str) -> None:
        summary = (
            "AUROC / average precision, means over seeds; those of all methods are in "
            "``benchmarks/results``. The margin is that of "
            f"{self.detector} in AUROC over the best of the others, with its standard error over "
            "seeds; losses come first."
        )
        varied = any(table.has([self.variant]) for table in tables)
        methods = [self.detector, *([self.variant] if varied else []), SIMPLEST]
        given = ("table", "rows x columns", "outliers", "seeds", "detector measured")
        header = (*given, *methods, "best other", "margin")
        rows = sorted((table.row(methods) for table in tables), key=lambda row: row[0])
        shown = [row for _, row in rows]
        footer = self._footer(tables, command)
        report.write(f"{self.page}_tables", command, summary, header, shown, footer=footer)


class Table:
    """The results of one table, by method and seed.

    Parameters
    ----------
    record : dict
        Any result of it.
    compared : sequence of str
        Methods that share their seeds, the detector first.
    """

    def __init__(self, record: dict, compared: Sequence[str]) -> None:
        self.record = record
        self.compared = compared
        self.results: dict[str, dict[int, dict]] = {}

    def add(self, record: dict) -> None:
        """Add a result."""
        self.results.setdefault(record["method"], {})[record["seed"]] = record

    def drop_other_versions(self, variant: str) -> None:
        """Drop results of the detector and of a variant but those of the version measured last."""
        ours = self.results.get(self.compared[0], {}).values()
        if not ours:
            return
        last = max(ours, key=lambda record: record["date"])["versions"]["skflow"]
        for method in (self.compared[0], variant):
            self.results[method] = {
                seed: record
                for seed, record in self.results.get(method, {}).items()
                if record["versions"]["skflow"] == last
            }

    def used(self, variant: str) -> list[dict]:
        """Return the results of the compared methods and of a variant on the seeds that count."""
        every = [self.results.get(name, {}) for name in (*self.compared, variant)]
        return [results[seed] for results in every for seed in self.seeds if seed in results]

    @property
    def seeds(self) -> list[int]:
        """Those that the compared methods have which were measured at all."""
        measured = [set(self.results[name]) for name in self.compared if name in self.results]
        return sorted(set.intersection(*measured)) if measured else []

    @property
    def is_complete(self) -> bool:
        """Whether every compared method has a result on each of the seeds."""
        return self.has(self.compared)

    def has(self, methods: Sequence[str]) -> bool:
        """Return whether there is a result of each of ``methods`` on each of the seeds."""
        seeds = set(self.seeds)
        return bool(seeds) and all(seeds <= self.results.get(name, {}).keys() for name in methods)

    def values(self, method: str, key: str) -> FloatArray:
        """Return what a method got, by seed."""
        return np.array([self.results[method][seed][key] for seed in self.seeds])

    def gain(self, variant: str) -> float:
        """Return what a variant gains in AUROC, on the seeds that it has; nan without any."""
        ours, varied = (self.results.get(name, {}) for name in (self.compared[0], variant))
        shared = varied.keys() & ours.keys()
        gains = [varied[seed]["auroc"] - ours[seed]["auroc"] for seed in shared]
        return float(np.mean(gains)) if gains else np.nan

    def row(self, methods: Sequence[str]) -> tuple[float, list[str]]:
        """Return the margin of the detector, and the cells of this table."""
        ranked = [name for name in self.compared if self.has([name])]
        best = max(ranked, key=lambda name: self.values(name, "auroc").mean(), default=None)
        cells = [self._cell(name, bold=name == best) for name in methods]
        others = [name for name in ranked if name != self.compared[0]]
        peer = max(others, key=lambda name: self.values(name, "auroc").mean(), default=None)
        cells.append(f"{self._cell(peer, bold=peer == best)} {peer}" if peer else MISSING)
        n_rows, n_columns, n_outliers = (self.record[k] for k in ("rows", "columns", "outliers"))
        shape = [f"{n_rows:,} x {n_columns}", f"{n_outliers / n_rows:.1%}", str(len(self.seeds))]
        own = self.results.get(self.compared[0], {})
        shape.append(
            " and ".join(sorted({own[seed]["date"] for seed in self.seeds if seed in own}))
        )
        if not self.has(self.compared[:1]) or peer is None:
            return np.inf, [self.record["table"], *shape, *cells, MISSING]
        margins = self.values(self.compared[0], "auroc") - self.values(peer, "auroc")
        margin = f"{margins.mean():+.4f}"
        if len(margins) > 1:
            margin += f" ± {margins.std(ddof=1) / np.sqrt(len(margins)):.4f}"
        if len(ranked) < len(self.compared):
            margin += " so far"
        return float(margins.mean()), [self.record["table"], *shape, *cells, margin]

    def _cell(self, method: str, bold: bool) -> str:
        if not self.has([method]):
            return MISSING
        areas = " / ".join(f"{self.values(method, key).mean():.3f}" for key in AREAS)
        return f"**{areas}**" if bold else areas


def means(tables: Sequence[Table], methods: Sequence[str], key: str) -> FloatArray:
    """Return means over seeds, a row for each table and a column for each method."""
    return np.array([[table.values(name, key).mean() for name in methods] for table in tables])


def _ranks(areas: FloatArray) -> NDArray[np.int64]:
    return 1 + (areas[:, None, :] > areas[:, :, None]).sum(axis=2)


SPREAD = "Where three figures are given, they are median, lowest and highest over tables."


def spread(values: ArrayLike, form: str) -> str:
    """Return the median, lowest and highest of values."""
    figures = np.asarray(values)
    middle, low, high = (
        format(figure, form) for figure in (np.median(figures), figures.min(), figures.max())
    )
    return f"{middle} ({low} to {high})"
