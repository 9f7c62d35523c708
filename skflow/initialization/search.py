"""The search of the initialization: marginals and mixture, chosen on held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skflow.clock import Clock
from skflow.flow.context import Vocabulary, sum_embeddings
from skflow.flow.effects import LabelEffects
from skflow.flow.floored_components import EllipticalComponents, GaussianComponents
from skflow.flow.mixture import Mixture
from skflow.flow.recipe import WIDE
from skflow.initialization.elliptical import fit_elliptical, radius_responsibilities
from skflow.initialization.folds import MANY_ROWS, Fold, Race, make_folds
from skflow.initialization.gaussian_mixture import (
    PriorStrength,
    SufficientStatistics,
    fit_gaussian_mixture,
    prior_strengths,
    responsibilities,
)
from skflow.initialization.gaussianized_rows import GaussianizedRows
from skflow.initialization.imputation import impute
from skflow.initialization.joint_marginals import JointMarginals
from skflow.initialization.label_effects import fit_mean_effects, fit_weight_effects
from skflow.initialization.marginals import gaussianizing_bins
from skflow.reporter import Reporter
from skflow.rows import EncodedRows

CPU = torch.device("cpu")
FEW_ROWS = 30  # too few to choose anything by: one Gaussian on standardised columns
FEW_COMPONENTS = (1, 8)  # enough to choose marginals
COMPONENTS = (1, 4, 8, 16, 32, 64, 128, 256)
MANY_COMPONENTS = 32
BEST_PRIORS = 3
LEAST_GAIN = 0.01  # nats per row that more components must bring: each costs time for ever
EM_ROWS = 20_000  # more add little to where the mixture starts
EM_STEPS = 60
SEARCH_STEPS = 15  # enough to rank candidates
COVARIANCE_ENTRIES = 100_000  # in all components together
MOST_SHIFTING = 32  # columns of labels that may move means: more would explain any row
# From many rows on, this share of a candidate's overfit counts against it: layers do not undo it.
OVERFIT = 0.5
SEARCH_SHARE = 1 / 5  # of the time a fit may take: after it no further candidate is tried


@dataclass(frozen=True)
class InitialFit:
    """Fitted marginals and mixture, and how they were chosen to be."""

    marginals: JointMarginals
    mixture: Mixture
    candidate: "InitialConfig | None"


@dataclass(frozen=True)
class SearchContext:
    """The table and the flow that marginals and mixture are fitted for.

    Attributes
    ----------
    bounds : sequence of (low, high)
        Support of each valued column.
    n_labels : tuple of int
        Known labels of each labelled column that the mixture depends on, those of conditions last.
    bound : float
        Bound of the mixture layer.
    clock : Clock
        Clock of the whole fit.
    device : torch.device
        Where expectation maximisation runs, in float64.
    lines : sequence of int
        Columns of values of the condition that are levels.
    precedes_training : bool
        Whether coupling layers will be trained afterwards.
    reporter : Reporter
        Shows what is tried.
    """

    bounds: Sequence[tuple[float, float]]
    n_labels: tuple[int, ...]
    bound: float
    clock: Clock
    device: torch.device = CPU
    lines: Sequence[int] = ()
    precedes_training: bool = False
    reporter: Reporter = field(default_factory=Reporter)

    @property
    def n_entries(self) -> int:
        """Labels in the vocabulary, "never seen" of each column among them."""
        return sum(self.n_labels) + len(self.n_labels)

    def codes(self, rows: EncodedRows) -> Tensor:
        """Return labels as indices into the vocabulary, ``(n_labelled, n_rows)``."""
        own = [rows.labels] if rows.given is None else [rows.labels, rows.given.at_levels().labels]
        labels: Tensor = Vocabulary(self.n_labels)(torch.tensor(np.concatenate(own, axis=1).T))
        return labels


@dataclass(frozen=True)
class _Prepared:
    """Rows sent through their marginals, less the effects of their labels.

    Columns of the condition come before the rows' own.

    Attributes
    ----------
    marginals : JointMarginals
    codes : Tensor of int64, shape (n_labelled, n_rows)
    mean_effects : Tensor of shape (n_entries, n_columns)
    residuals : Tensor of shape (n_columns, n_rows)
        Gaussianized values less the effects of labels; missing values are imputed.
    weight : Tensor of shape (n_rows,) or None
    statistics : SufficientStatistics
        Statistics of the residuals, at most ``EM_ROWS`` of them, on the design's device.
    has_absent : bool
    """

    marginals: JointMarginals
    codes: Tensor
    mean_effects: Tensor
    residuals: Tensor
    weight: Tensor | None
    statistics: SufficientStatistics
    has_absent: bool


class _PreparedFold(NamedTuple):
    """Rows to fit, rows to score, and of rows that were fitted as many, where these count."""

    train: _Prepared
    held_out: GaussianizedRows
    seen: GaussianizedRows | None


def fit_initial(
    train: EncodedRows,
    validation: EncodedRows | None,
    n_components: int | None,
    design: SearchContext,
    generator: torch.Generator,
    candidate: "InitialConfig | None" = None,
) -> InitialFit:
    """Fit marginals and mixture to ``train``.

    Marginals (lines, standardizing, gaussianizing), the number of components and the strength of
    their prior are those with the highest mean log-density on rows held out: on small tables by
    cross-validation over all rows given, on large ones on ``validation``, or a third of the rows
    where that is None. Where large ones are trained on afterwards, a part of what a candidate
    overfits counts against it.

    Where rows have conditions, the mixture is of both, fitted to their joint density; what is
    compared is the density of the rows given their conditions.

    A row of weight 2 counts as two equal rows, in all sums, means and numbers of rows; a row of
    weight 0 as none. Random draws are of rows, whatever their weight: those of folds, of the rows
    that expectation maximization takes, and of values that are imputed. The starting centres of
    the mixture are drawn by weight.

    Parameters
    ----------
    train, validation : EncodedRows
        Values on a grid must have been dequantized.
    n_components : int or None
        None chooses it.
    design : SearchContext
    generator : torch.Generator
    candidate : InitialConfig, optional
        What was chosen before; nothing is compared then.
    """
    if train.values.shape[1] == 0:
        effects = [LabelEffects(torch.zeros(design.n_entries, 1, dtype=torch.float64))]
        blank = Mixture(1, 0, design.bound, effects if design.n_entries else [])
        n_bins = gaussianizing_bins(train.mass)
        return InitialFit(JointMarginals.fit(train, n_bins, lines=design.lines), blank, None)
    search = _Search(n_components, design, generator)
    if candidate is None and (train.mass < FEW_ROWS or search.is_late):
        candidate = search.first(train)
    return search.fit(train, candidate or search.best(make_folds(train, validation, generator)))


@dataclass(frozen=True)
class MarginalChoice:
    """How rows are seen before components are fitted.

    Attributes
    ----------
    n_bins : int
        Number of bins of the marginals; 0 for straight lines, which keep linear relations.
    shifts : bool
        Whether labels move the components' means. Where values repeat, narrow
        components want to stay where they are.
    """

    n_bins: int
    shifts: bool


@dataclass(frozen=True)
class InitialConfig:
    """What is chosen on held-out rows; without a prior's strength the components are elliptical."""

    view: MarginalChoice
    n_components: int
    strength: PriorStrength | None


class _Search:
    """Fits candidates and compares them on held-out rows."""

    def __init__(
        self, n_components: int | None, design: SearchContext, generator: torch.Generator
    ) -> None:
        self.n_components = n_components
        self.design = design
        # Every candidate starts from the same draw: they differ in nothing else.
        self.seed = int(torch.randint(2**31, (1,), generator=generator))
        self.n_tried, self.race = 0, Race()
        self.prepared: dict[MarginalChoice, list[_PreparedFold]] = {}

    @property
    def is_late(self) -> bool:
        """Whether the search has had its share of the time."""
        return self.design.clock.share() > SEARCH_SHARE

    def first(self, train: EncodedRows) -> InitialConfig:
        """Return what is fitted where there are too few rows, or no time, to choose."""
        if self.n_components is None and train.mass >= FEW_ROWS and train.n_values > WIDE:
            return InitialConfig(self.elliptical_view(1), 1, None)
        return InitialConfig(MarginalChoice(1, True), self.n_components or 1, PriorStrength(1, 0))

    def best(self, folds: list[Fold]) -> InitialConfig:
        """Choose the marginals with few components, then climb with each prior."""
        n_rows, n_columns = folds[0].train.mass, folds[0].train.n_values
        priors, ladder = prior_strengths(n_columns), self._component_counts(n_rows, n_columns)
        few = [k for k in ladder if k in FEW_COMPONENTS] or ladder
        more = [k for k in ladder if k not in few]
        scores: dict[InitialConfig, float] = {}
        is_wide = self.n_components is None and n_columns > WIDE
        if is_wide and len(ladder) == 1:  # a sum over so many columns ranks views
            folds = folds[:1]
        gaussianizing = gaussianizing_bins(n_rows)
        for n_bins in (1, 0, gaussianizing) if is_wide else ():
            scores |= self._grow_components(folds, self.elliptical_view(n_bins), [1], [None])
        for n_bins in (1, gaussianizing) if len(ladder) > 1 or not is_wide else ():
            view = MarginalChoice(n_bins, shifts=True)
            strengths = [priors["shared"], priors["narrow"]]
            scores |= self._grow_components(folds, view, few, strengths)
        n_bins = max(scores, key=scores.__getitem__).view.n_bins
        moving, every = MarginalChoice(n_bins, shifts=True), list(priors.values())
        scores |= self._grow_components(folds, moving, more, every)
        if self.design.n_entries:
            still, narrow = MarginalChoice(n_bins, shifts=False), [priors["free"], priors["narrow"]]
            scores |= self._grow_components(folds, still, more or few, narrow)
        return max(scores, key=scores.__getitem__)

    def elliptical_view(self, n_bins: int) -> MarginalChoice:
        """Return how rows are seen by elliptical components."""
        return MarginalChoice(n_bins, shifts=len(self.design.n_labels) <= MOST_SHIFTING)

    def _grow_components(
        self,
        folds: list[Fold],
        view: MarginalChoice,
        ladder: list[int],
        priors: Sequence[PriorStrength | None],
    ) -> dict[InitialConfig, float]:
        """Raise the number of components under each prior until its score falls.

        Where components, and so the cost, are many, only the best priors go on.
        """
        scores: dict[InitialConfig, float] = {}
        if not ladder or (self.n_tried and self.is_late):
            return scores
        prepared = self._prepare_folds(folds, view)
        masses = None
        if folds[0].train.weight is not None:
            masses = np.array([fold.held_out.mass for fold in folds[: len(prepared)]])
        climbing = dict.fromkeys(priors, -np.inf)
        for n_components in ladder:
            for strength, top in list(climbing.items()):
                if self.n_tried and self.is_late:
                    return scores
                components = "1 component" if n_components == 1 else f"{n_components} components"
                self.design.reporter.note(f"initial fit, {components}, try {self.n_tried + 1}")
                candidate = InitialConfig(view, n_components, strength)
                each = (self._evaluate(fold, candidate) for fold in prepared)
                score = self.race.mean_score(each, len(prepared), masses)
                scores[candidate] = climbing[strength] = score
                self.n_tried += 1
                if not score > top + LEAST_GAIN:
                    del climbing[strength]
            if n_components >= MANY_COMPONENTS:
                best = sorted(climbing, key=climbing.__getitem__, reverse=True)[:BEST_PRIORS]
                climbing = {strength: climbing[strength] for strength in best}
        return scores

    def _prepare_folds(self, folds: list[Fold], view: MarginalChoice) -> list[_PreparedFold]:
        """Prepare each fold once per view, the first one in any case, the others in time."""
        if view in self.prepared:
            return self.prepared[view]
        prepared = self.prepared[view] = []
        for fold in folds:
            if prepared and self.is_late:
                break
            train = self._prepare(fold.train, view)
            held_out, seen = self._gaussianize(train.marginals, fold.held_out), None
            if self.design.precedes_training and fold.train.mass >= MANY_ROWS:
                step = max(1, len(fold.train) // len(fold.held_out))
                seen = self._gaussianize(train.marginals, fold.train.take(slice(None, None, step)))
            prepared.append(_PreparedFold(train, held_out, seen))
        return prepared

    def _gaussianize(self, marginals: JointMarginals, rows: EncodedRows) -> GaussianizedRows:
        codes = self.design.codes(rows) if self.design.n_labels else None
        return GaussianizedRows.through(marginals, rows, codes)

    def _evaluate(self, fold: _PreparedFold, candidate: InitialConfig) -> float:
        mixture = self._fit_mixture(fold.train, candidate, SEARCH_STEPS)
        score = fold.held_out.mean_log_density(mixture)
        if fold.seen is None:
            return score
        return score - OVERFIT * (fold.seen.mean_log_density(mixture) - score)

    def fit(self, train: EncodedRows, candidate: InitialConfig) -> InitialFit:
        """Fit one candidate."""
        prepared = self._prepare(train, candidate.view)
        mixture = self._fit_mixture(prepared, candidate, EM_STEPS)
        return InitialFit(prepared.marginals, mixture, candidate)

    def _prepare(self, train: EncodedRows, view: MarginalChoice) -> _Prepared:
        marginals = JointMarginals.fit(train, view.n_bins, self.design.bounds, self.design.lines)
        weight = None if train.weight is None else torch.tensor(train.weight)
        y, _ = marginals.gaussianize(train)
        codes = self.design.codes(train)
        effects, residuals = y.new_zeros(self.design.n_entries, len(y)), y
        if view.shifts:
            effects = fit_mean_effects(y, codes, self.design.n_entries, weight)
            residuals = y - sum_embeddings(codes, effects)
        generator = torch.Generator().manual_seed(self.seed)
        filled = impute(residuals, generator, self.design.clock, weight)
        drawn = torch.randperm(len(train), generator=generator)[:EM_ROWS]
        statistics = SufficientStatistics(
            filled[:, drawn].to(self.design.device),
            None if weight is None else weight[drawn].to(self.design.device),
        )
        has_absent = bool(y.isnan().any())
        return _Prepared(marginals, codes, effects, filled, weight, statistics, has_absent)

    def fit_components(
        self, prepared: _Prepared, candidate: InitialConfig, n_iter: int
    ) -> GaussianComponents | EllipticalComponents:
        """Fit the components of a candidate, on the CPU in the end."""
        rows = prepared.statistics
        if candidate.strength is None:
            parts = fit_elliptical(rows.y, rows.weight)
            return EllipticalComponents(*(part.to(CPU) for part in parts))
        components = fit_gaussian_mixture(
            rows,
            min(candidate.n_components, rows.y.shape[1]),
            strength=candidate.strength,
            n_iter=n_iter,
            generator=torch.Generator().manual_seed(self.seed),
            has_time=lambda: not self.design.clock.is_over,
        )
        return GaussianComponents(*(part.to(CPU) for part in components))

    def _fit_mixture(self, prepared: _Prepared, candidate: InitialConfig, n_iter: int) -> Mixture:
        components = self.fit_components(prepared, candidate, n_iter)
        effects = []
        if self.design.n_entries:
            if isinstance(components, EllipticalComponents):
                given = radius_responsibilities(prepared.residuals, components)
            else:
                given = responsibilities(prepared.residuals, components)
            on_weights = fit_weight_effects(
                given, prepared.codes, self.design.n_entries, prepared.weight
            )
            effects = [LabelEffects(torch.cat((on_weights, prepared.mean_effects), dim=1))]
        return Mixture.from_components(
            components,
            self.design.bound,
            effects,
            has_missing=prepared.has_absent,
            n_given=prepared.marginals.n_given,
            lines=self.design.lines,
        )

    def _component_counts(self, n_rows: float, n_columns: int) -> list[int]:
        if self.n_components is not None:
            return [self.n_components]
        # Each component should rest on some rows; a step of the fit costs their number
        # times the square of the columns.
        most = min(n_rows // 6, COVARIANCE_ENTRIES // n_columns**2)
        return [k for k in COMPONENTS if k == 1 or k <= most]
