"""Sections of the report on a density, as markup."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skflow.fitted.reasons.words import number_words
from skflow.fitted.round_trip import InverseError
from skflow.report.charts import column_chart, curve_chart
from skflow.report.elements import MOST_LISTED, entry, left_out, meter, section, table, tiles
from skflow.report.text import LEFT_TO_RIGHT, clean, count, markup, spell_share
from skflow.table.schema import Schema

FloatArray = NDArray[np.float64]
Places = NDArray[np.intp]

#: Kinds in plain words, and why a column is of one.
KINDS = {
    "categorical": ("labels", "strings, categories, objects or booleans; or an option says so"),
    "implied": ("computed numbers", "a constraint computes them from other columns"),
    "levels": ("few numbers", "few different numbers, each often: each is an event of its own"),
    "constant": ("one value", "all rows hold the same"),
    "clock": ("times of day", "all numbers spell times of day, such as 517"),
    "integer": ("whole numbers", "all numbers are whole"),
    "decimal": ("decimal numbers", "all numbers are multiples of one step"),
    "continuous": ("any numbers", "the numbers lie on no common grid"),
    "date": ("dates", "its dtype holds dates"),
    "duration": ("durations", "its dtype holds durations"),
}


@dataclass(frozen=True)
class ColumnPicture:
    """A column of rows beside drawn rows.

    Attributes
    ----------
    name : str
    distance : float or None
        Distance of the two distributions, from 0 to 1; None without rows.
    here, there : ndarray of intp or None
        Places of rows, and of drawn rows, from 0 to 1000.
    now, drawn : str
        Usual cells of both.
    """

    name: str
    distance: float | None
    here: Places | None
    there: Places
    now: str
    drawn: str


@dataclass(frozen=True)
class PairGap:
    """Correlation of two columns, of rows and of drawn rows."""

    one: str
    other: str
    here: float
    there: float


@dataclass(frozen=True)
class LatentFit:
    """A latent of values: rows, mean, standard deviation, distance from the normal."""

    name: str
    n_rows: int
    mean: float
    deviation: float
    distance: float


@dataclass(frozen=True)
class DensitySections:
    """Markup of the report on a density.

    Attributes
    ----------
    schema : Schema
    history : dict of lists
    score : float
    inverse_error : InverseError
    device : str
    n_parameters : int
    scores : ndarray of shape (n_rows,) or None
        Log-densities of rows in nats; None without rows.
    seconds : float
        Time that these took.
    columns : sequence of ColumnPicture
    pairs : sequence of PairGap
    latents : sequence of LatentFit
    """

    schema: Schema
    history: Mapping[str, Sequence[float]]
    score: float
    inverse_error: InverseError
    device: str
    n_parameters: int
    scores: FloatArray | None
    seconds: float
    columns: Sequence[ColumnPicture]
    pairs: Sequence[PairGap]
    latents: Sequence[LatentFit]

    def markup(self) -> str:
        """Return all sections."""
        sections = [
            self.head(),
            self.kinds(),
            f'<div class="beside">{self.training()}{self.round_trip()}</div>',
            self.marginals(),
        ]
        if self.pairs:
            sections.append(self.worst_pairs())
        if self.latents:
            sections.append(self.normality())
        return "\n".join(sections)

    @property
    def has_conditions(self) -> bool:
        """Whether columns are given, and scores are those of the others."""
        return any(column.is_given for column in self.schema.columns)

    def head(self) -> str:
        """Numbers at a glance."""
        validation = self.history["validation_score"]
        is_held_out = any(not math.isnan(score) for score in validation)
        n_epochs, seconds = len(validation), sum(self.history["seconds"])
        numbers = [
            (
                "score",
                f"{self.score:.4g}",
                f"nats per {'held-out' if is_held_out else 'training'} row"
                + (", given the conditions" if self.has_conditions else ""),
                "score",
            ),
            ("columns", f"{len(self.schema.columns):,}", "their kinds are below", "n-columns"),
            (
                "training",
                count(n_epochs, "epoch") if n_epochs > 1 else "none",
                f"{number_words(seconds, 3)} seconds on {clean(self.device)}",
                "n-epochs",
            ),
            (
                "size",
                f"{self.n_parameters:,}",
                f"parameters, {4 * self.n_parameters / 1e6:.2g} MB in single precision",
                "n-parameters",
            ),
        ]
        if self.scores is not None:
            n = len(self.scores)
            known = (
                f"standard error {self.scores.std(ddof=1) / math.sqrt(n):.2g}; " if n > 1 else ""
            )
            numbers.append(
                (
                    "score of these rows",
                    f"{self.scores.mean():.4g}",
                    f"nats per row{', given the conditions' if self.has_conditions else ''}, "
                    f"{known}{count(n, 'row')}, "
                    f"{n / max(self.seconds, 1e-9):,.0f} per second",
                    "score-of-rows",
                )
            )
        return f'<section aria-label="Summary">{tiles(numbers)}</section>'

    def kinds(self) -> str:
        """What each column is taken for, and why."""
        rows = []
        for column in self.schema.columns[:MOST_LISTED]:
            words, why = KINDS.get(column.kind, (column.kind, ""))
            if not (column.levels or column.valued or column.is_implied):
                words, why = "nothing", "all of its cells are missing"
            described = column.describe()  # a list of labels, each in a script of its own
            holds = markup(LEFT_TO_RIGHT + clean(described, 160)) if described else ""
            rows.append(
                f'<tr><th scope="row">{markup(clean(column.name))}</th><td>{words}</td>'
                f"<td>{why}</td><td>{holds}</td>"
                f"<td>{markup(clean(column.dtype))}</td></tr>"
            )
        said = left_out(len(self.schema.columns))
        found = [markup(clean(str(each), 160)) for each in self.schema.constraints]
        return section(
            "kinds",
            "What each column is taken for",
            (f"<p>{said}</p>" if said else "")
            + table("kind-table", "Kinds", ("Column", "taken for", "why", "holds", "dtype"), rows)
            + ("<p>Nearly all rows keep these constraints:</p>" if found else "")
            + ("<ul>" + "".join(f"<li>{each}</li>" for each in found) + "</ul>" if found else ""),
        )

    def training(self) -> str:
        """Scores of training and of held-out rows, epoch by epoch."""
        train, held_out = self.history["train_score"], self.history["validation_score"]
        if len(train) < 2:
            content = "<p>No curve: the density is that of the initialization alone.</p>"
        else:
            content = (
                f"<figure>{curve_chart(train, held_out)}<figcaption>"
                f"{entry('here line', 'training rows')} {entry('there', 'held-out rows')}"
                "</figcaption></figure>"
            )
        return section("training", "Training", content)

    def round_trip(self) -> str:
        """Rows to latents and back."""
        equal, error = self.inverse_error
        content = (
            "<p>The round trip was not measured.</p>"
            if math.isnan(equal)
            else f"<p>Rows become latents and come back: the largest error is <b>{error:.2g}</b> "
            f'of the scale of its column, and <b id="equal">{spell_share(equal)}</b> of cells are '
            "equal to the last digit. Labels and numbers on a grid come back exactly, others up to "
            "rounding errors.</p>"
        )
        return section("round-trip", "Round trip", content)

    def marginals(self) -> str:
        """Columns of rows beside those of drawn rows."""
        if not self.columns:
            return section(
                "columns",
                "Columns",
                "<p>This density has conditions: pass rows to see draws beside them.</p>",
            )
        rows = [
            f'<tr><th scope="row">{markup(column.name)}</th>'
            f'<td class="picture">{column_chart(column.here, column.there)}</td>'
            + (
                ""
                if column.distance is None
                else f'<td class="number">{column.distance:.3f}</td>'
                f'<td class="bar">{meter(column.distance)}</td><td>{markup(column.now)}</td>'
            )
            + f"<td>{markup(column.drawn)}</td></tr>"
            for column in self.columns[:MOST_LISTED]
        ]
        has_rows = self.scores is not None
        head = ("2:distance", "these rows") if has_rows else ()
        key = f"{entry('here', 'these rows')} " if has_rows else ""
        return section(
            "columns",
            "Columns, drawn beside real" if has_rows else "Columns, drawn",
            f'<p class="keys">{key}{entry("there", "drawn rows")}; far '
            f"values on a logarithmic axis.{left_out(len(self.columns))}</p>"
            + table(
                "column-table", "Columns", ("Column", "distribution", *head, "drawn rows"), rows
            ),
        )

    def worst_pairs(self) -> str:
        """Pairs whose correlation differs most."""
        rows = [
            f'<tr><th scope="row">{markup(pair.one)}</th><th scope="row">{markup(pair.other)}</th>'
            f'<td class="number">{pair.here:z.3f}</td><td class="number">{pair.there:z.3f}</td>'
            f'<td class="number">{pair.there - pair.here:+z.3f}</td></tr>'
            for pair in self.pairs
        ]
        return section(
            "pairs",
            "Pairs that differ most",
            "<p>Correlation of the normal quantiles of ranks; labels count in the order of the "
            f"schema. Differences up to about {self.chance():.2g} are chance.</p>"
            + table(
                "pair-table",
                "Pairs",
                ("Column", "and", "#:these rows", "#:drawn rows", "#:difference"),
                rows,
            ),
        )

    def chance(self) -> float:
        """Two standard errors of the difference of two correlations near 0."""
        n_rows = 1 if self.scores is None else len(self.scores)
        return 2 * math.sqrt(1 / n_rows + 1 / len(self.columns[0].there))

    def normality(self) -> str:
        """Latents of values beside the standard normal."""
        rows = [
            f'<tr><th scope="row">{markup(fit.name)}</th><td class="number">{fit.n_rows:,}</td>'
            f'<td class="number">{fit.mean:z.3f}</td><td class="number">{fit.deviation:.3f}</td>'
            f'<td class="number">{fit.distance:.3f}</td><td class="bar">{meter(fit.distance)}</td>'
            "</tr>"
            for fit in self.latents[:MOST_LISTED]
        ]
        return section(
            "latents",
            "Latents",
            "<p>Latents of values are standard normal where the density is right: mean 0, standard "
            "deviation 1, distance from the normal distribution function 0."
            f"{left_out(len(self.latents))}</p>"
            + table(
                "latent-table",
                "Latents",
                ("Latent", "#:rows", "#:mean", "#:deviation", "2:distance"),
                rows,
            ),
        )
