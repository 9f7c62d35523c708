"""Sections of the report on outliers, as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skflow.fitted.detector import Detector
from skflow.fitted.reasons.words import number_words
from skflow.outliers.tails import Tail
from skflow.report.charts import p_value_chart, score_chart
from skflow.report.drift import SUSPECT, ColumnChange, Uniformity
from skflow.report.elements import MOST_LISTED, entry, left_out, meter, section, table, tiles
from skflow.report.page import read_part
from skflow.report.reasons import MOST_REPAIRED
from skflow.report.rows import OutlierRows, Request
from skflow.report.text import clean, count, markup, spell_share

FloatArray = NDArray[np.float64]

RATES = (0.05, 0.1, 0.2)  # of false discoveries
LEVELS = (0.01, 0.05, 0.1)  # of p-values
UNLIKELY = np.log(0.01)  # of a cell that counts as a reason


@dataclass(frozen=True)
class Summary:
    """Numbers at the head of the report.

    Attributes
    ----------
    scores, p_values : ndarray of shape (n_rows,)
    calibration : Tail
    threshold : float
    rule : str
        The rule behind the threshold.
    n_flagged, n_shown, n_columns : int
    false_alarm_rate : float
        Largest share of normal rows to expect below the threshold.
    discoveries : dict of float to int
        Rows flagged at each rate of false discoveries.
    column_names : list of str
    """

    scores: FloatArray
    p_values: FloatArray
    calibration: Tail
    threshold: float
    rule: str
    n_flagged: int
    n_shown: int
    false_alarm_rate: float
    discoveries: dict[float, int]
    column_names: list[str]

    @classmethod
    def of(cls, detector: Detector, rows: OutlierRows, request: Request, n_shown: int) -> Self:
        """Count rows at the threshold and at rates of false discoveries."""
        just_below = np.nextafter(request.threshold, -np.inf)
        return cls(
            rows.scores,
            rows.p_values,
            detector.calibration,
            request.threshold,
            request.rule,
            int(np.count_nonzero(rows.is_flagged)),
            n_shown,
            float(detector.p_values(np.array([just_below]))[0]),
            {rate: int(np.count_nonzero(rows.q_values <= rate)) for rate in RATES},
            [clean(column.name) for column in rows.table.columns],
        )


@dataclass(frozen=True)
class OutlierSections:
    """Markup of a report, but for the table of rows, which the page's script draws.

    Attributes
    ----------
    summary : Summary
    changes : sequence of ColumnChange
    uniformity : Uniformity
    log_probs : ndarray of shape (n_shown, n_columns)
    """

    summary: Summary
    changes: Sequence[ColumnChange]
    uniformity: Uniformity
    log_probs: FloatArray

    def markup(self) -> str:
        """Return all sections."""
        return "\n".join(
            (
                self.head(),
                f'<div class="beside">{self.histogram()}{self.blame()}</div>',
                self.rows(),
                self.drift(),
                read_part("notes.html"),
            )
        )

    def head(self) -> str:
        """Numbers at a glance, and the threshold."""
        s = self.summary
        n = len(s.scores)
        expected = s.false_alarm_rate * n
        numbers = [
            ("rows scored", f"{n:,}", count(len(s.column_names), "column"), "n-rows"),
            ("flagged", f"{s.n_flagged:,}", spell_share(s.n_flagged / n), "n-flagged"),
            (
                "false alarms to expect",
                f"{number_words(round(expected, 1) if expected < 10 else round(expected))}",
                f"if all rows were normal: on average at most {spell_share(s.false_alarm_rate)}",
                "n-expected",
            ),
            *(
                (
                    f"at {spell_share(rate)} false discoveries",
                    f"{s.discoveries[rate]:,}",
                    "rows, by Benjamini and Hochberg",
                    f"n-discovered-{rate:g}",
                )
                for rate in RATES[1:2]
            ),
        ]
        others = ", ".join(f"{s.discoveries[rate]:,} at {spell_share(rate)}" for rate in RATES)
        smallest = 1 / (len(s.calibration.scores) + 1)
        weighted = (
            ""
            if s.calibration.weight is None
            else f" (by their weights, as exact as {s.calibration.effective_number:,.0f} rows of "
            "equal weight)"
        )
        return (
            '<a class="skip" href="#rows">Skip to the rows</a>'
            f'<section aria-label="Summary">{tiles(numbers)}'
            f"<p>Flagged rows score below <b>{s.threshold:.4g}</b>{s.rule}. P-values are counted "
            f"among {len(s.calibration.scores):,} calibration rows, to which nothing was fitted"
            f"{weighted}; none is below {smallest:.2g}. With a controlled rate of false "
            f"discoveries, instead of the threshold, rows would be flagged: {others}.</p></section>"
        )

    def histogram(self) -> str:
        """Scores beside those of the calibration rows."""
        s = self.summary
        chart = score_chart(s.scores, s.calibration.scores, s.calibration.weight, s.threshold)
        return section(
            "scores",
            "Scores",
            f"<figure>{chart}<figcaption>{entry('here', 'these rows')} "
            f"{entry('there', 'calibration rows')} {entry('limit', 'threshold')}"
            "</figcaption></figure>",
        )

    def rows(self) -> str:
        """What the table of rows shows, and the frame that the script fills."""
        s = self.summary
        if not s.n_flagged:
            title = "No row is flagged"
            shown = count(s.n_shown, "row")
            said = f"None is below the threshold. Shown: {shown}, the strangest first."
        elif s.n_shown < s.n_flagged:
            title = "Flagged rows"
            said = (
                f"The {s.n_shown:,} strangest of {s.n_flagged:,} flagged rows are shown, to bound "
                f"the size of this page; {s.n_flagged - s.n_shown:,} are left out. "
                "<code>skflow outliers --only</code> and <code>predict</code> list all."
            )
        else:
            title = "Flagged rows"
            said = f"Shown: {count(s.n_flagged, 'row')}, all that are flagged, the strangest first."
        if s.n_shown > MOST_REPAIRED:
            said += f" The first {MOST_REPAIRED:,} have repairs."
        return section("rows", title, f"<p>{said}</p>{read_part('rows.html')}")

    def blame(self) -> str:
        """How often each column is a reason."""
        log_probs = self.log_probs
        names = self.summary.column_names
        first = np.bincount(log_probs.argmin(axis=1), minlength=len(names))
        unlikely = (log_probs <= UNLIKELY).sum(axis=0)
        nats = -log_probs.mean(axis=0)
        order = np.lexsort((-nats, -unlikely, -first))
        most = max(1, int(first.max()))
        rows = [
            f'<tr><th scope="row">{markup(names[j])}</th><td class="number">{first[j]:,}</td>'
            f'<td class="bar">{meter(first[j] / most)}</td>'
            f'<td class="number">{unlikely[j]:,}</td></tr>'
            for j in order[:MOST_LISTED]
        ]
        return section(
            "blame",
            "Columns to blame",
            f"<p>Among {count(len(log_probs), 'row')} shown: the number in which a column is the "
            "strongest reason, and the number in which at most 1 in 100 draws of its cell, given "
            f"the rest of the row, are as unlikely.{left_out(len(names))}</p>"
            + table(
                "blame-table",
                "Columns to blame",
                ("Column", "2:strongest in", "#:unlikely in"),
                rows,
            ),
        )

    def drift(self) -> str:
        """P-values beside uniform ones, and columns beside those of drawn rows."""
        p_values, uniformity = self.summary.p_values, self.uniformity
        shares = "; ".join(
            f"{spell_share(float((p_values <= level).mean()))} are at most {level:g}"
            for level in LEVELS
        )
        verdict = (
            "These rows differ from the calibration rows as a whole"
            if uniformity.p_value <= SUSPECT
            else "As a whole these rows do not differ from the calibration rows by more than chance"
        )
        is_higher = uniformity.p_value <= SUSPECT and p_values.mean() > 0.5
        hint = (
            " They are more usual than fresh rows would be, as rows that were fitted are."
            if is_higher
            else ""
        )
        changed = [change for change in self.changes if change.is_large]
        said = f"Changed: {len(changed):,} of {count(len(self.changes), 'column')}."
        return section(
            "drift",
            "Change against training",
            '<div class="beside"><figure>'
            f"{p_value_chart(p_values)}"
            f"<figcaption>{entry('here', 'these rows')} {entry('there', 'without a change')}"
            "</figcaption></figure>"
            f'<p id="uniformity">P-values of rows like the training rows are uniform: 5 % are at '
            f"most 0.05. Here {shares}. <b>{verdict}</b>: the largest distance of their "
            f"distribution from the uniform one is {uniformity.distance:.2g} "
            f"(p = {uniformity.p_value:.2g}, by Kolmogorov and Smirnov).{hint}</p></div>"
            f"<p>{said} A distance is the largest difference of distribution functions, or half "
            "the sum of differences of shares, from 0 to 1. Rows drawn from the density stand for "
            "training rows, which a model does not hold, so a small distance may be its own error: "
            "a column counts as changed from a distance of 0.1 with an adjusted p-value of at most "
            f"0.01.{left_out(len(self.changes))}</p>"
            + table(
                "drift-table",
                "Changes of columns",
                (
                    *("Column", "2:distance", "#:adjusted p", "training, drawn", "these rows"),
                    "changed",
                ),
                map(change_row, self.changes[:MOST_LISTED]),
            ),
        )


def change_row(change: ColumnChange) -> str:
    """Return the change of a column as a row of a table."""
    p_value = f"{change.p_value:.2g}" if change.p_value else "&lt; 1e-300"
    return (
        f'<tr{" class=changed" if change.is_large else ""}><th scope="row">{markup(change.name)}'
        f'</th><td class="number">{change.distance:.3f}</td>'
        f'<td class="bar">{meter(change.distance)}</td><td class="number">{p_value}</td>'
        f"<td>{markup(change.before)}</td><td>{markup(change.now)}</td>"
        f"<td>{'yes' if change.is_large else 'no'}</td></tr>"
    )
