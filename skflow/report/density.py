"""DensityReport: what a fitted density is, and how its draws compare with rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import kstest, rankdata

from skflow.fitted.round_trip import InverseError
from skflow.fitted.table_density import TableDensity
from skflow.report.columns import ShownColumn
from skflow.report.density_sections import ColumnPicture, DensitySections, LatentFit, PairGap
from skflow.report.drift import compare_columns, describe
from skflow.report.page import Page
from skflow.report.text import clean
from skflow.table.codec import TableCodec
from skflow.table.column_codec import ColumnCodec
from skflow.table.frames import Conditions
from skflow.table.schema import Schema
from skflow.table.storage import StoredColumn, StoredTable

FloatArray = NDArray[np.float64]

TITLE = "Density report"
N_DRAWN = 2_000
MOST_ROWS = 20_000  # rows whose columns, pairs and latents are compared
MOST_PAIRED = 200  # columns
MOST_PAIRS = 10


class DensityReport(Page):
    """Report on a fitted density: one HTML file that needs no server and no network.

    It has what each column is taken for, the scores of training and of held-out rows, the round
    trip, and drawn rows, beside rows where some are given: their scores, columns, pairs of
    columns and latents. It is made by :meth:`FlowDensity.report`, shown by notebooks, and
    follows the reader's light or dark mode. All parameters are stored as attributes.

    Parameters
    ----------
    html : str
        The whole page.
    title : str, default=""
        Its title.

    See Also
    --------
    FlowDensity.report : Makes the report.
    """


@dataclass(frozen=True)
class DensityFacts:
    """A fitted density, and what its fit left.

    Attributes
    ----------
    density : TableDensity
    schema : Schema
    history : dict of lists
        Scores and seconds of epochs.
    score : float
        Nats per row of the best epoch.
    inverse_error : InverseError
    device : str
        Where it was trained.
    """

    density: TableDensity
    schema: Schema
    history: Mapping[str, Sequence[float]]
    score: float
    inverse_error: InverseError
    device: str


def report_density(
    facts: DensityFacts,
    table: StoredTable | None,
    conditions: Conditions | None,
    device: str | torch.device,
    title: str | None,
) -> DensityReport:
    """Compare draws with rows, where there are any, and put the report together."""
    density = facts.density
    codec = density.codec
    scores, seconds, few = None, 0.0, np.arange(0)
    if table is not None:
        start = time.perf_counter()
        scores = density.log_prob(table, device)
        seconds = time.perf_counter() - start
        few = np.random.RandomState(0).permutation(table.n_rows)[:MOST_ROWS]
        table = table.take(few)
    drawn = None
    if not codec.conditions or conditions is not None:
        rows = None
        if conditions is not None:  # those of the rows, in turn
            rows = conditions.take(np.resize(few, N_DRAWN))
        sampled = density.sample(N_DRAWN, np.random.RandomState(0), device, rows)
        drawn = density.container.read(sampled)
    sections = DensitySections(
        facts.schema,
        facts.history,
        facts.score,
        facts.inverse_error,
        facts.device,
        sum(parameter.numel() for parameter in density.model.parameters()),
        scores,
        seconds,
        [] if drawn is None else picture_columns(codec, table, drawn),
        [] if drawn is None or table is None else compare_pairs(codec, table, drawn),
        [] if table is None else measure_latents(density, table, device),
    )
    return DensityReport.build(title or TITLE, sections.markup())


def picture_columns(
    codec: TableCodec, table: StoredTable | None, drawn: StoredTable
) -> list[ColumnPicture]:
    """Return where cells of rows, and of drawn rows, lie on an axis; the largest gaps first."""
    columns = zip(codec.columns, drawn.columns, strict=True)
    if table is None:
        return [
            ColumnPicture(
                clean(other.name),
                None,
                None,
                places(each, other, other)[1],
                "",
                describe(each, other),
            )
            for each, other in columns
        ]
    of_rows = {column.name: column for column in table.columns}
    by_name = {other.name: (each, other) for each, other in columns}
    pictures = []
    for change in compare_columns(codec, table, drawn):
        each, other = by_name[change.key]
        here, there = places(each, of_rows[change.key], other)
        pictures.append(
            ColumnPicture(change.name, change.distance, here, there, change.now, change.before)
        )
    return sorted(pictures, key=lambda picture: -(picture.distance or 0.0))


def places(
    codec: ColumnCodec, column: StoredColumn, drawn: StoredColumn
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of cells and of drawn cells on one axis."""
    shown = ShownColumn.of(codec, column, drawn)
    return shown.places[shown.cells], shown.usual


def compare_pairs(codec: TableCodec, table: StoredTable, drawn: StoredTable) -> list[PairGap]:
    """Return the pairs of columns whose correlation differs most between rows and drawn rows."""
    names = [clean(column.name) for column in table.columns[:MOST_PAIRED]]
    correlations = []
    for rows in (table, drawn):
        scores = np.column_stack(
            [
                normal_scores(each, column)
                for each, column in zip(codec.columns, rows.columns[:MOST_PAIRED], strict=False)
            ]
        )
        scores -= scores.mean(axis=0)
        size = np.sqrt((scores**2).sum(axis=0))
        size[size == 0] = 1.0
        correlations.append(scores.T @ scores / np.outer(size, size))
    here, there = correlations
    one, other = np.triu_indices(len(names), 1)
    order = np.argsort(-np.abs(here - there)[one, other], kind="stable")[:MOST_PAIRS]
    return [
        PairGap(names[i], names[j], float(here[i, j]), float(there[i, j]))
        for i, j in zip(one[order], other[order], strict=True)
    ]


def normal_scores(codec: ColumnCodec, column: StoredColumn) -> FloatArray:
    """Normal quantiles of ranks, 0 where missing; of a column without order, of label indices."""
    numbers = (
        codec.numbers(column)
        if codec.is_ordered
        else np.where(column.present, codec.encode(column).labels, np.nan)
    )
    present = ~np.isnan(numbers)
    scores = np.zeros(len(numbers))
    scores[present] = ndtri(rankdata(numbers[present]) / (present.sum() + 1))
    return scores


def measure_latents(
    density: TableDensity, table: StoredTable, device: str | torch.device
) -> list[LatentFit]:
    """Return mean, deviation and distance from the normal of latents of values, worst first."""
    latents = density.latents(table, device)
    fits = []
    for name, is_label, latent in zip(
        density.codec.latent_names, density.codec.latent_is_label, latents.T, strict=True
    ):
        there = latent[latent != 0.0]  # a value that is absent has latent 0
        if is_label or not len(there):
            continue
        distance = float(kstest(there, "norm", method="asymp").statistic)
        fits.append(
            LatentFit(clean(name), len(there), float(there.mean()), float(there.std()), distance)
        )
    return sorted(fits, key=lambda fit: -fit.distance)
