"""FlowDensity: the density of a table, reversible row by row."""

import copy
import math
import time
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin, TransformerMixin, _fit_context
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from skflow.estimators.fitting import hold_out_rows, keep_earlier_fit, warn_if_degenerate
from skflow.estimators.round_trip import InverseError, compare_rows
from skflow.flow.model import Model
from skflow.flow.recipe import FlowRecipe, choose_recipe, model_state, restore_model
from skflow.table.codec import TableCodec
from skflow.table.frames import Container
from skflow.table.schema import infer_schema
from skflow.training.device import fitting_threads, resolve_device
from skflow.training.fitting import EncodedRows, start_model, train_model
from skflow.training.loop import History
from skflow.training.options import TrainingOptions, choose_options

FloatArray = NDArray[np.float64]

BLOCK_ENTRIES = 2_000_000  # of the largest array while scoring
COMPARED_ROWS = 256  # for inverse_error_


class FlowDensity(TransformerMixin, DensityMixin, BaseEstimator):
    r"""Exact, reversible density of a numeric table.

    A coupling normalizing flow: an invertible map :math:`f` sends rows to
    independent standard normal variables, and the density is

    .. math:: \log p(x) = \log N(f(x); 0, I) + \log |\det \partial f / \partial x|.

    The map consists of per-column marginals and a Gaussian mixture, both fitted in
    closed form, with trained rational-quadratic coupling layers between them
    [1]_. It needs no scaling in front: densities are those of the columns as
    they were given.

    Parameters
    ----------
    n_layers : int or "auto", default="auto"
        Coupling layers. 0 leaves the closed form alone, which is a sound model.
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
        Rows per gradient step.
    max_iter : int or "auto", default="auto"
        Epochs at most.
    max_time : float, default=None
        Seconds at most, kept to within one epoch. The schedule ends with
        ``max_iter`` or ``max_time``, whichever comes first.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, keep the weights that score them best, and stop
        when they stop improving. "auto": from 100 rows on.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without a gain of ``tol`` before training stops.
    tol : float, default=1e-4
        Smallest gain that counts, in nats per row.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:<index>"; "auto" takes CUDA where there is one and
        the work is large enough. Read at each call.
    random_state : int, RandomState instance or None, default=None
        Seed of held-out rows, starting weights and batches. Torch's global
        generators are never touched.
    verbose : int, default=0
        1 shows one progress bar.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the fit before, keeping its
        marginals and schema.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Names of the columns, where the table had names.
    n_iter_ : int
        Epochs of the last ``fit``. A closed form that is not trained counts as one.
    history_ : dict of lists
        One entry per epoch: ``train_score`` and ``validation_score`` (NaN without
        held-out rows), in nats per row; ``learning_rate``; ``seconds``.
    best_validation_score_ : float
        Mean log-density of the held-out rows under the weights that were kept, in
        nats per row; of the training rows where none were held out.
    schema_ : Schema
        What each column is taken for.
    inverse_error_ : InverseError
        ``share_equal``, the share of cells that ``inverse_transform(transform(X))``
        gives back equal, and ``largest_error`` relative to the column's scale, on
        at most 256 held-out (else training) rows.
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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowDensity
    >>> X = load_iris(as_frame=True).data
    >>> flow = FlowDensity(max_iter=5, random_state=0).fit(X)
    >>> Z = flow.transform(X)
    >>> bool((flow.inverse_transform(Z) == X).all(axis=None))
    True
    """

    _doc_link_module = "skflow"
    _doc_link_template = "https://skflow.readthedocs.io/en/latest/api/skflow.{estimator_name}.html"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_layers": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "hidden_units": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_bins": [Interval(Integral, 2, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "dropout": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
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
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
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
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    _container: Container
    _codec: TableCodec
    _recipe: FlowRecipe
    _model: Model

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: Any = None, *, X_val: ArrayLike | None = None) -> Self:
        """Fit the density of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers: an array, or a pandas or polars DataFrame.
        y : None
            Ignored.
        X_val : array-like of shape (n_samples_val, n_features), default=None
            Rows for early stopping, instead of a share of ``X``.

        Returns
        -------
        self : FlowDensity

        Raises
        ------
        ValueError
            Where ``X`` is no table of at least 2 rows of finite numbers, or a
            parameter is out of range. An earlier fit is then left as it was.

        Warns
        -----
        DegenerateDensityWarning
            Where a column is an exact linear function of others.
        DivergenceWarning
            Where training had to go back to earlier weights.
        """
        with keep_earlier_fit(self):
            started = time.monotonic()
            warm = self.warm_start and hasattr(self, "_model")
            matrix = validate_data(
                self, X, reset=not warm, dtype=np.float64, order="C", ensure_min_samples=2
            )
            with fitting_threads(matrix.size):
                self._fit(X, matrix, X_val, warm=warm, started=started)
        return self

    def _fit(
        self,
        X: ArrayLike,
        matrix: FloatArray,
        X_val: ArrayLike | None,
        *,
        warm: bool,
        started: float,
    ) -> None:
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        generator = torch.Generator().manual_seed(int(seed))
        train, held_out = hold_out_rows(
            matrix, self.early_stopping, self.validation_fraction, generator
        )
        if X_val is not None:
            train, held_out = matrix, self._validate_rows(X_val)
        if not warm:
            self._fit_table(X, matrix)
        rows = self._encode_blurred(train, generator)
        held_out_rows = None if held_out is None else self._encode_blurred(held_out, generator)
        n_rows, n_columns = train.shape
        if warm:
            self._model = restore_model(self._recipe, model_state(self._model))
        else:
            warn_if_degenerate(rows.matrix, self._container.names)
            self._recipe = choose_recipe(
                n_rows, n_columns, self.n_layers, self.hidden_units, self.n_bins, self.dropout
            )
            self._model = start_model(
                rows, held_out_rows, self._recipe, self.n_components, generator
            )
        device = resolve_device(self.device, train.size)
        history = History()
        try:
            train_model(
                self._model,
                rows,
                held_out_rows,
                self._training_options(n_rows, n_columns, started),
                device=device,
                generator=generator,
                verbose=self.verbose,
                history=history,
            )
        finally:
            # Also when interrupted: the best weights so far are in the model.
            self.device_ = str(device)
            self.history_ = history.as_dict()
            self.n_iter_ = len(history.train_score)
            self.best_validation_score_ = history.best_score
            compared = train if held_out is None else held_out
            self.inverse_error_ = self._measure_inverse_error(compared[:COMPARED_ROWS])

    def _fit_table(self, X: ArrayLike, matrix: FloatArray) -> None:
        """Learn how to encode the columns, and what to give rows back in."""
        self._container = Container(X, list(_check_feature_names_in(self)))
        self.schema_ = infer_schema(matrix, self._container.names, self._container.dtypes)
        self._codec = TableCodec(matrix, self.schema_, self._container.dtypes)
        self._n_features_out = matrix.shape[1]

    def _encode_blurred(self, matrix: FloatArray, generator: torch.Generator) -> EncodedRows:
        noise = torch.rand(matrix.shape, generator=generator, dtype=torch.float64).numpy()
        return EncodedRows(*self._codec.encode(self._codec.blur(matrix, noise)))

    def _training_options(self, n_rows: int, n_columns: int, started: float) -> TrainingOptions:
        return choose_options(
            n_rows,
            n_columns,
            max_iter=self.max_iter,
            deadline=None if self.max_time is None else started + self.max_time,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
        )

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,), float64
            In nats, per unit of each original column (per 1 for integers, where
            density and probability coincide). Positive values are normal: a
            density above 1, as where columns vary by less than 1.
        """
        encoded, log_volume = self._codec_of(X)
        return log_volume + self._by_blocks(Model.log_prob, encoded)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Mean of :meth:`score_samples`, in nats per row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        score : float
        """
        return float(np.mean(self.score_samples(X)))

    def transform(self, X: ArrayLike) -> FloatArray:
        """Send rows to latents: standard normal and independent if the fit is right.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features), float64
            Or a DataFrame, as ``set_output`` says.
        """
        encoded, _ = self._codec_of(X)
        return self._by_blocks(Model.latents, encoded)

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """Send latents back to rows.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            Latents. The index of a pandas frame is kept.

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes that were fitted. Equal to the rows
            that :meth:`transform` was given, for float16, float32, integers and
            float64 of at most 13 significant digits; other float64 within 1e-11
            of the column's scale.
        """
        check_is_fitted(self)
        latents = check_array(Z, dtype=np.float64, input_name="Z")
        if latents.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {latents.shape[1]} columns, but this {type(self).__name__} gives "
                f"{self._n_features_out} latents per row. Pass what transform returned."
            )
        return self._decode(latents, like=Z)

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            None draws fresh rows at each call.

        Returns
        -------
        X : array or DataFrame of shape (n_samples, n_features)
            In the container and the dtypes that were fitted.
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"n_samples": [Interval(Integral, 1, None, closed="left")]},
            {"n_samples": n_samples},
            caller_name=f"{type(self).__name__}.sample",
        )
        shape = (n_samples, self._n_features_out)
        return self._decode(check_random_state(random_state).standard_normal(shape))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of the latents: each column's own.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Must be the fitted names, where given.

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        return _check_feature_names_in(self, input_features)

    def _validate_rows(self, X: ArrayLike) -> FloatArray:
        return validate_data(self, X, reset=False, dtype=np.float64, order="C")

    def _codec_of(self, X: ArrayLike) -> tuple[FloatArray, FloatArray]:
        check_is_fitted(self)
        return self._codec.encode(self._validate_rows(X))

    def _decode(self, latents: FloatArray, like: Any = None) -> Any:
        columns = self._codec.decode(self._by_blocks(Model.inverse, latents))
        return self._container.build(columns, like)

    def _by_blocks(
        self, method: Callable[[Model, torch.Tensor], torch.Tensor], matrix: FloatArray
    ) -> FloatArray:
        """Apply a method of the model to rows, block by block, in float64."""
        device = resolve_device(self.device, matrix.size)
        # A copy only where it has to move: what is fitted never changes.
        model = self._model if device.type == "cpu" else copy.deepcopy(self._model).to(device)
        rows = max(64, BLOCK_ENTRIES // model.entries_per_row)
        blocks = []
        with torch.inference_mode():
            for block in np.array_split(matrix, max(1, math.ceil(len(matrix) / rows))):
                columns = torch.tensor(np.ascontiguousarray(block.T), device=device)
                blocks.append(method(model, columns).cpu().numpy().T)
        return np.concatenate(blocks)

    def _measure_inverse_error(self, matrix: FloatArray) -> InverseError:
        encoded, _ = self._codec.encode(matrix)
        decoded = self._by_blocks(Model.inverse, self._by_blocks(Model.latents, encoded))
        return compare_rows(matrix, self._codec.decode(decoded), self._codec.scales)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "_model" in state:
            # Arrays by name: no torch object, so no device, is in the pickle.
            state = {**state, "_model": model_state(state["_model"])}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_model" in state:
            self._model = restore_model(state["_recipe"], state["_model"])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags
