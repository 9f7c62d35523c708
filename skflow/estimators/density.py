"""FlowDensity: the density of a table, reversible row by row."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin, TransformerMixin, _fit_context
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from skflow.clock import Clock
from skflow.device import fitting_threads, resolve_device
from skflow.estimators.display import SchemaDisplay
from skflow.estimators.failures import explained_exhaustion, keep_earlier_fit
from skflow.estimators.persistence import SaveableDensity
from skflow.estimators.questions import JointQuestions
from skflow.estimators.training_rows import in_memory, is_dataset, read_training_rows
from skflow.estimators.validation import (
    Count,
    check_latents,
    check_table,
    check_weight,
    read_conditions,
)
from skflow.fitted.checkpoint import draw_seed, open_checkpoint
from skflow.fitted.fit import FitChoices, FitState, fit_model
from skflow.fitted.round_trip import InverseError
from skflow.fitted.settings import FitSettings
from skflow.fitted.table_density import TableDensity
from skflow.fitted.table_rows import TableRows
from skflow.fitted.torch_distribution import FlowDistribution
from skflow.flow.model import Rows
from skflow.flow.recipe import model_state, without_idle_layers
from skflow.report.density import DensityFacts, DensityReport, report_density
from skflow.reporter import Reporter
from skflow.table.constraints.constraint import Constraint
from skflow.table.schema import Schema
from skflow.table.storage import StoredTable
from skflow.torch_state import usual_torch
from skflow.training.loop import History
from skflow.training.workers import ALONE, SharedClock, Workers

FloatArray = NDArray[np.float64]

COMPARED_ROWS = 256  # for inverse_error_
QUICKLY_COMPARED = 100  # columns; more may take twice as long as a fit without layers
MOST_SAMPLES = 2**40  # at once; no machine holds as many
FEWEST_ROWS = 2
FEWEST_ROWS_TO_SPLIT = 100
MOST_ROWS_TO_REFIT = 5_000  # with more, a tenth of them is hardly missed


class FlowDensity(
    SchemaDisplay, SaveableDensity, JointQuestions, TransformerMixin, DensityMixin, BaseEstimator
):
    r"""Exact, reversible density of any table.

    A column is a label and, perhaps, a value: a category is a label alone, a plain
    float a value alone, a number with missing values or with a value repeated by the
    thousand is both. Labels :math:`l` have exact autoregressive probabilities [2]_; given them,
    an invertible map :math:`f`, a coupling normalizing flow, sends the values
    :math:`x` that are there to independent standard normal variables:

    .. math:: \log p(l, x) = \log P(l) + \log N(f(x; l); 0, I)
              + \log |\det \partial f(x; l) / \partial x|.

    The map consists of per-column marginals and a Gaussian mixture, both fitted by the
    initialization, with trained rational-quadratic coupling layers between them
    [1]_. It needs no encoding, imputation or scaling in front: densities are those of
    the columns as they were given.

    Parameters
    ----------
    n_layers : int or "auto", default="auto"
        Coupling layers, by turns from the first column to the last and back. 0 leaves the
        initialization alone, a Gaussian mixture copula; so do layers that no epoch improves.
    hidden_units : int or "auto", default="auto"
        Width of the networks that choose the splines.
    n_bins : int, default=8
        Bins of each spline.
    n_components : int or "auto", default="auto"
        Gaussian components of the last layer. "auto" chooses on held-out rows.
    dropout : float or "auto", default="auto"
        Dropout rate inside the networks, in [0, 1).
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of the networks' matrices.
    learning_rate : float or "auto", default="auto"
        Peak of the learning rate's schedule.
    batch_size : int or "auto", default="auto"
        Rows per gradient step; their effective number, with ``sample_weight``.
    max_iter : int or "auto", default="auto"
        Epochs at most.
    max_time : float, default=None
        Seconds at most; a first epoch that would be late ends early. The schedule ends with
        ``max_iter`` or ``max_time``, whichever comes first.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, keep the weights that score them best, and stop
        when they stop improving. "auto": from 100 rows on.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without a gain of ``tol`` before training stops; "auto": as many as led to the last.
    tol : float, default=1e-4
        Smallest gain that counts, in nats per row.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Names, indices or a mask of columns whose values are labels. "from_dtype": category and
        Enum dtypes, strings, booleans, objects that are no numbers; None: what is not numeric.
    column_kinds : dict or Schema, default=None
        Overrules what columns are taken for: ``{column: kind}``, or the ``schema_`` of a fitted
        estimator with its levels, grids, atoms and bounds, for densities on the same measure.
    bounds : dict, default=None
        ``{column: (low, high)}``, None for an open side. Without it a column that is
        never negative, or never positive, is bounded at 0.
    constraints : "auto", None or sequence of Constraint, default="auto"
        Exact relations that nearly all rows keep, as ``total = net + tax``. "auto" finds them; a
        sequence, as some of ``schema_.constraints`` or of :mod:`skflow.constraints`, is taken as
        it is; None is none.
    given : array-like of str or int, default=None
        Columns that are conditions: names or indices. The density is then that of the other
        columns given these, and is fitted for that question alone; ``X`` holds all columns, as
        ever. Conditions may be of every kind, with missing values, categories and numbers that
        no fitted row has. None: the joint density of all columns.
    handle_unknown : {"error", "ignore"}, default="error"
        What :meth:`transform` does where a cell was never seen and has no place on the line:
        a category, or a missing value in a column that had none. "error" refuses it. "ignore"
        sends it to the end that belongs to labels never seen, or to 0 in a column without labels,
        and :meth:`inverse_transform` gives it back as missing. Scores do not change.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:<index>"; "auto" takes CUDA where there is one and
        the work is large enough. Read at each call.
    random_state : int, RandomState instance or None, default=None
        Seed of held-out rows, starting weights and batches. Torch's global
        generators are never touched.
    verbose : int, default=0
        1 shows one progress bar: nats per row, the best so far, seconds left if there is
        no further gain and at most. Without a terminal it is a line every few seconds.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the fit before, keeping its
        marginals and schema.
    checkpoint_path : str or path-like, default=None
        A file that is written after each epoch, and that a ``fit`` of the same rows,
        parameters and seed goes on from: whatever stops it, one epoch is lost at most.
        The file stays; delete it when the model is saved, or before a warm start.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the table had names.
    n_iter_ : int
        Epochs of the last ``fit``. An initialization that is not trained counts as one.
    history_ : dict of lists
        One entry per epoch: ``train_score`` and ``validation_score`` (NaN without
        held-out rows), in nats per row; ``learning_rate``; ``seconds``.
    best_validation_score_ : float
        Mean log-density of the held-out rows under the weights that were kept, in
        nats per row; of the training rows where none were held out.
    schema_ : Schema
        What each column is taken for. Densities with equal schemas are comparable.
    inverse_error_ : InverseError
        ``share_equal``, the share of cells that ``inverse_transform(transform(X))``
        gives back equal, and ``largest_error`` relative to the column's scale, on
        at most 256 held-out (else training) rows. NaN for more than 100 columns where
        a third of ``max_time`` is over.
    device_ : str
        Where training ran.

    See Also
    --------
    sklearn.mixture.GaussianMixture : Fewer assumptions to check, weaker densities.
    sklearn.neighbors.KernelDensity : No training, slow scores, weak in many columns.

    References
    ----------
    .. [1] C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, "Neural Spline
       Flows", NeurIPS 2019, :arxiv:`1906.04032`.
    .. [2] B. Uria, M.-A. Cote, K. Gregor, I. Murray, H. Larochelle, "Neural
       Autoregressive Distribution Estimation", JMLR 2016, :arxiv:`1605.02226`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity
    >>> X = load_iris(as_frame=True).data
    >>> flow = FlowDensity(n_layers=0, n_components=3, random_state=0).fit(X)
    >>> flow.score_samples(X.head(3)).round(1)
    array([-1.3, -2. ,  0.8])
    >>> flow.inverse_transform(flow.transform(X)).equals(X)
    True
    >>> flow.sample(2, random_state=0)
       sepal length (cm)  sepal width (cm)  petal length (cm)  petal width (cm)
    0                5.2               3.8                2.1               0.5
    1                6.8               2.9                1.5               1.7
    """

    _doc_link_module = "skflow"
    _doc_link_template = "https://skflow.readthedocs.io/en/latest/api/skflow.{estimator_name}.html"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_layers": [Count(0), StrOptions({"auto"})],
        "hidden_units": [Count(1), StrOptions({"auto"})],
        "n_bins": [Count(2)],
        "n_components": [Count(1), StrOptions({"auto"})],
        "dropout": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "batch_size": [Count(1), StrOptions({"auto"})],
        "max_iter": [Count(1), StrOptions({"auto"})],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Count(1), StrOptions({"auto"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "column_kinds": [dict, Schema, None],
        "bounds": [dict, None],
        "constraints": ["array-like", StrOptions({"auto"}), None],
        "given": ["array-like", str, Integral, None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "checkpoint_path": [str, os.PathLike, None],
    }

    def __init__(
        self,
        *,
        n_layers: int | str = "auto",
        hidden_units: int | str = "auto",
        n_bins: int = 8,
        n_components: int | str = "auto",
        dropout: float | str = "auto",
        weight_decay: float | str = "auto",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        max_time: float | None = None,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        categorical_features: ArrayLike | str | None = "from_dtype",
        column_kinds: Mapping[Any, str] | Schema | None = None,
        bounds: Mapping[Any, tuple[float | None, float | None]] | None = None,
        constraints: Sequence[Constraint] | str | None = "auto",
        given: ArrayLike | None = None,
        handle_unknown: str = "error",
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        checkpoint_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.n_layers = n_layers
        self.hidden_units = hidden_units
        self.n_bins = n_bins
        self.n_components = n_components
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_time = max_time
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.categorical_features = categorical_features
        self.column_kinds = column_kinds
        self.bounds = bounds
        self.constraints = constraints
        self.given = given
        self.handle_unknown = handle_unknown
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.checkpoint_path = checkpoint_path

    _density: TableDensity

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        sample_weight: ArrayLike | str | None = None,
        X_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the density of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A pandas or polars DataFrame of any columns, an array, or a ``pyarrow.dataset.Dataset``
            of Parquet files, which may be larger than memory.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or str, default=None
            How much each row counts, as a share of all weights: a common factor changes nothing,
            and a row of weight 0 is as if it were not there. None gives all rows the same weight.
            For a dataset: the name of its column of weights. The schema is that of the rows of
            positive weight, whatever the weight. Sizes that are "auto", and the regularization,
            follow from the effective number of rows, ``sum(w) ** 2 / sum(w ** 2)``.
        X_val : array-like of shape (n_samples_val, n_features), default=None
            Rows for early stopping, or a dataset of them, instead of a share of ``X``, with
            equal weights.

        Returns
        -------
        self : FlowDensity

        Raises
        ------
        ValueError
            Where ``X`` is no table of at least 2 rows, holds infinite numbers, identifiers or free
            text, or a parameter is out of range or contradicts the columns, or weights are
            negative, not finite or all 0. An earlier fit is then left as it was.
        TypeError
            Where a column holds what is no number, date or label.
        MemoryError
            Where layers so large do not fit into memory.

        Warns
        -----
        DegenerateDensityWarning
            Where a column is an exact linear function of others.
        DivergenceWarning
            Where training had to go back to earlier weights.
        UserWarning
            Where the fit is interrupted: which weights are kept.
        """
        with keep_earlier_fit(self):
            clock, validation = Clock(self.max_time), None
            workers = Workers.join() if is_dataset(X) else ALONE
            encodable, weight = read_training_rows(self, self, X, sample_weight, FEWEST_ROWS)
            if X_val is not None:
                checked = check_table(self, in_memory(X_val, sample_weight), reset=False)
                rows = encodable.container.read(checked)
                # The initialization may join them to the training rows, which have weights.
                ones = None if weight is None else np.ones(rows.n_rows)
                validation = TableRows.all_of(encodable.codec, replace(rows, weight=ones))
            self._fit(encodable, encodable.rows, validation, clock, workers=workers)
        return self

    def _fit(
        self,
        encodable: Any,
        rows: Any,
        validation: TableRows | None,
        clock: Clock,
        name: str = "fit",
        choices: FitChoices | None = None,
        workers: Workers = ALONE,
    ) -> FitChoices:
        """Fit to some rows of a table; ``validation``, or an earlier fit, decides the end."""
        warm = self.warm_start and hasattr(self, "_density")
        codec = encodable.codec
        if not warm:
            self.schema_ = codec.schema
            self._n_features_out = len(codec.latent_names)
        threads = fitting_threads(len(rows) * len(codec.columns))
        verbose = 0 if workers.rank else self.verbose
        with usual_torch(), explained_exhaustion(), threads, Reporter(name, verbose) as shown:
            seed = workers.agree(draw_seed(self.random_state, self.checkpoint_path, "seed"))
            generator = torch.Generator().manual_seed(seed)
            rows = rows.keep()
            held_out = None if validation is None else validation.keep()
            stops = self.early_stopping  # "auto" is a text
            stops = rows.mass >= FEWEST_ROWS_TO_SPLIT if isinstance(stops, str) else stops
            if validation is None and choices is None and stops:
                train, held_out = rows.split(self.validation_fraction, generator)
                held_out = held_out.keep()
            else:
                train = rows.unsplit()
            device = resolve_device(self.device, len(train) * len(codec.columns))
            common = clock if workers.is_alone else SharedClock(clock, workers)
            settings = FitSettings.choose(
                self, codec, train.mass, device=device, seed=seed, clock=common, reporter=shown
            )
            settings = replace(settings, options=replace(settings.options, workers=workers))
            state = FitState()
            if warm:
                settings = replace(settings, recipe=self._density.recipe)
                state = FitState(initial=model_state(self._density.model))
            sources = [train] if held_out is None else [train, held_out]
            checkpoint = open_checkpoint(self, seed, sources, state.initial, clock, settings.recipe)
            if checkpoint is not None:
                state = workers.agree(checkpoint.state) or state
            few = train is not rows and rows.mass <= MOST_ROWS_TO_REFIT
            every = rows if few and isinstance(train, TableRows) and not self.warm_start else None
            first = state.finished or state
            save = None if checkpoint is None or workers.rank else checkpoint.save
            try:
                fit_model(train, held_out, every, settings, generator, state, save, choices)
            finally:
                # Also when interrupted: the best weights so far are in the model.
                if first.model is not None:
                    parts = (settings.recipe, first.model)
                    parts = parts if self.warm_start else without_idle_layers(*parts)
                    self._density = TableDensity(encodable.container, codec, *parts)
                    self.device_ = str(device)
                    self._describe_fit(first.history, held_out or train, clock)
        return first.choices

    def _describe_fit(self, history: History, rows: TableRows, clock: Clock) -> None:
        """Set the attributes that describe a fit; ``rows`` are sent there and back."""
        self.history_ = history.as_dict()
        self.n_iter_ = len(history.train_score)
        self.best_validation_score_ = history.best_score
        self.inverse_error_ = InverseError(math.nan, math.nan)
        if len(rows.codec.columns) <= QUICKLY_COMPARED or clock.allows(2 * clock.passed()):
            compared = rows.stored(slice(COMPARED_ROWS))
            self.inverse_error_ = self._density.measure_inverse_error(compared, self.device)

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,), float64
            In nats: the log-probability of what is an event (a category, a level,
            an atom, a missing value), and the log-density of what has a value, per
            unit of each original column: per 1 for integers, where density and
            probability coincide; per second for dates and durations, whatever they
            are stored in. Positive values are normal: a density above 1, as where
            columns vary by less than 1.

        Raises
        ------
        ValueError, TypeError
            Where ``X`` has other columns than the fitted table, or cells that can
            not be what their column holds.
        """
        table = self._read(X)
        return self._density.log_prob(table, self.device)

    def score(
        self, X: ArrayLike, y: Any = None, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean of :meth:`score_samples`, in nats per row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the mean; None gives all rows the same weight.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError, TypeError
            As :meth:`score_samples`; where weights are negative, not finite or all 0.
        """
        scores = self.score_samples(X)
        weight = None if sample_weight is None else check_weight(sample_weight, scores)
        return float(np.average(scores, weights=weight))

    def transform(self, X: ArrayLike) -> FloatArray:
        """Send rows to latents: standard normal and independent if the fit is right.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_latents), float64
            Or a DataFrame, as ``set_output`` says. The latent of a label is the
            normal quantile of the middle of its interval of probability, given the
            labels before. A missing value has latent 0.

        Raises
        ------
        ValueError
            Where rows could not be brought back: a category never seen, a missing
            value in a column that had none. Not with ``handle_unknown="ignore"``.
        """
        table = self._read(X)
        if self.handle_unknown == "error":
            self._density.codec.refuse_irreversible(table)
        return self._density.latents(table, self.device)

    def inverse_transform(self, Z: ArrayLike, *, given: Any = None) -> Any:
        """Send latents back to rows.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_latents)
            Latents. The index of a pandas frame is kept.
        given : array or DataFrame of n_samples rows, default=None
            Conditions of the rows, for a density that was fitted with the parameter ``given``:
            these columns, or all columns.

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes that were fitted. Equal to the rows that
            :meth:`transform` was given, missing markers included, for labels, float16, float32,
            integers, dates and float64 of at most 13 significant digits. Other numbers come back
            within 1e-11 of the column's scale, or of their own size where that is larger. With
            ``handle_unknown="ignore"``, what was never seen is missing. Where the fitted dtype
            has no missing marker, integers and booleans of pandas become nullable, and arrays of
            integers become arrays of floats, if these hold all of them, else of objects.
        """
        check_is_fitted(self)
        latents = check_latents(self, Z, self._density.codec.latent_names)
        conditions = read_conditions(self, given, "inverse_transform")
        if conditions is not None and len(conditions) != len(latents):
            raise ValueError(
                f"given has {len(conditions)} rows and Z has {len(latents)}: pass the condition "
                "of each row."
            )
        ignore = self.handle_unknown == "ignore"
        return self._density.inverse(
            latents, self.device, Z, given=conditions, unknown_as_missing=ignore
        )

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        given: Any = None,
    ) -> Any:
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            As many as memory holds: draw more in parts.
        random_state : int, RandomState instance or None, default=None
            None draws fresh rows at each call.
        given : array or DataFrame, default=None
            Conditions, for a density that was fitted with the parameter ``given``: these
            columns, or all columns. For each of its rows ``n_samples`` rows are drawn, one
            after the other.

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes that were fitted, conditions included; values lie
            on each column's grid, inside its support and among its labels. A row with a value
            far beyond all that were fitted is drawn again.
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"n_samples": [Count(1, MOST_SAMPLES)]},
            {"n_samples": n_samples},
            caller_name=f"{type(self).__name__}.sample",
        )
        conditions = read_conditions(self, given, "sample")
        n_rows = n_samples if conditions is None else n_samples * len(conditions)
        generator = check_random_state(random_state)
        try:
            if conditions is not None:
                conditions = conditions.take(np.repeat(np.arange(len(conditions)), n_samples))
            return self._density.sample(n_rows, generator, self.device, conditions)
        except MemoryError as error:
            raise MemoryError(f"n_samples={n_samples} are too many at once: draw fewer.") from error

    def as_torch(self, given: Any = None) -> FlowDistribution:
        """Return the density as a distribution of torch, differentiable in its values.

        Parameters
        ----------
        given : array or DataFrame, default=None
            Conditions, for a density that was fitted with the parameter ``given``: these
            columns, or all columns. There is a distribution for each row.

        Returns
        -------
        distribution : torch.distributions.Distribution
            With ``log_prob``, ``sample`` and ``rsample`` of rows of floats, in the units and
            the order of the columns that are no conditions. ``log_prob`` is that of
            :meth:`score_samples` without its rounding of inputs, which has no gradient: the same
            to about 1e-5 nats. ``batch_shape`` is ``(n_rows,)`` of the conditions, else empty.

        Raises
        ------
        ValueError
            Naming the columns that a tensor of floats cannot hold: labels, missing values,
            atoms, dates, durations. Also for conditions where the density has none, and the
            reverse.

        Examples
        --------
        >>> import numpy as np, torch
        >>> from skflow import FlowDensity
        >>> X = np.random.default_rng(0).normal(size=(100, 2))
        >>> flow = FlowDensity(given=[0], n_layers=0, n_components=1, random_state=0).fit(X)
        >>> distribution = flow.as_torch(given=[[0.0], [1.0], [2.0]])
        >>> value = torch.tensor([0.5], requires_grad=True)
        >>> distribution.log_prob(value).sum().backward()
        >>> round(value.grad.item(), 1)
        -0.9
        """
        check_is_fitted(self)
        conditions = read_conditions(self, given, "as_torch")
        codec, rows = self._density.codec, None
        if conditions is not None and codec.given is not None:
            rows = Rows.of(codec.given.encode(conditions.rows))
        return FlowDistribution(codec, self._density.model, rows)

    def report(self, X: ArrayLike | None = None, *, title: str | None = None) -> DensityReport:
        """Report on the density: one HTML page, to look at and to send.

        The page has what each column is taken for and why, the scores of training, the round
        trip, and the columns of drawn rows; with ``X``, beside those of these rows, their
        score, the pairs of columns that differ most, and their latents.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows to compare with, best such that the density was not fitted to.
        title : str, default=None
            Title of the page; None is "Density report".

        Returns
        -------
        report : DensityReport
            Shown by notebooks, with ``save(path)`` and ``open()``.

        Raises
        ------
        ValueError, TypeError
            As :meth:`transform`.
        """
        check_is_fitted(self)
        table = None if X is None else self._read(X)
        has_conditions = bool(self._density.codec.conditions)
        given = read_conditions(self, X, "report") if has_conditions and X is not None else None
        ends = (self.best_validation_score_, self.inverse_error_, self.device_)
        facts = DensityFacts(self._density, self.schema_, self.history_, *ends)
        return report_density(facts, table, given, self.device, title)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of latents: the column's; ``<column>_label`` too for a label beside a value.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Must be the fitted names, where given.

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array(self._density.codec.latent_names, dtype=object)

    def _read(self, X: ArrayLike) -> StoredTable:
        check_is_fitted(self)
        return self._density.container.read(check_table(self, X, reset=False))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
