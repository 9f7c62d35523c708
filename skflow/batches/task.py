"""BatchTask: a fitted model as one callable for the partitions of any engine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from itertools import chain
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from skflow.batches.answers import answer, columns_of
from skflow.batches.columns import (
    Dtypes,
    build_frame,
    dtypes_of_rows,
    select_columns,
    split_columns,
)
from skflow.batches.models import LOADED, ModelSource
from skflow.batches.spark import spell_column
from skflow.device import one_thread
from skflow.table.frames import as_frame

Keep = Sequence[str] | Mapping[str, Any]


class BatchTask:
    """A fitted model as a callable that answers batches of rows, one at a time, anywhere.

    Dask, Spark, Ray and joblib send it to their processes and call it on each partition. It
    travels as the path of the model's file, or as the content of one, and loads the model once
    in each process. What it returns has the same columns and dtypes for each partition, of no
    rows as well, and these are known before any row is seen.

    ============================ =================================================================
    Engine                       Call
    ============================ =================================================================
    Dask                         ``frame.map_partitions(task, meta=task.meta)``
    Spark                        ``frame.mapInArrow(task.stream, task.ddl)``
    Ray Data                     ``data.map_batches(task, batch_format="pandas")``
    joblib                       ``Parallel(2)(delayed(task)(frame) for frame in frames)``
    ============================ =================================================================

    Parameters
    ----------
    model : str, path-like or estimator
        Path of a file that ``save`` wrote, which all processes can read; or a fitted FlowDensity,
        FlowOutlierDetector, FlowRegressor or FlowClassifier, whose file then travels with the
        task.
    methods : str or sequence of str, default="score_samples"
        Methods whose answers are the columns, in this order:

        * of a FlowDensity ``score_samples`` (column ``log_density``) and ``transform``
          (``latent_<name>``);
        * of a FlowOutlierDetector ``score_samples`` (``score``), ``decision_function``
          (``decision``), ``p_values`` (``p_value``), ``predict`` (``predicted``),
          ``score_features`` (``log_prob_<name>``) and ``repair`` (the columns of the rows);
        * of a FlowRegressor ``predict`` (``predicted``) and ``predict_interval`` (``low`` and
          ``high``); with several outputs ``predicted_<name>`` and so on;
        * of a FlowClassifier ``predict`` (``predicted``) and ``predict_proba``
          (``probability_<class>``).
    keep : sequence of str, or mapping of str to dtype, default=()
        Columns of the rows to put in front of the answers, such as a key: Spark and Ray do not
        keep the order of rows. A mapping names the dtypes that pandas converts them to; ``meta``,
        ``ddl`` and ``schema`` need them.
    batch_rows : int, default=50000
        Rows that are answered at a time, however large the partition is.
    threads : {1, None}, default=1
        CPU threads of torch while the task works: engines run a process or a thread on each core
        already. None leaves torch's own number.
    device : str, default="auto"
        As of :class:`FlowDensity`, of the processes that run the task.

    Attributes
    ----------
    meta : pandas DataFrame
        Answers without rows, which have their columns and dtypes.
    ddl : str
        The same in the words of Spark's SQL.
    schema : pyarrow.Schema
        The same as Arrow has it.

    Raises
    ------
    ModelFileError
        Where the file is no sound model; later, in a process that loads it, also where it has
        changed since the task was made.

    See Also
    --------
    load : One model in this process.

    Examples
    --------
    >>> import numpy as np, pandas as pd, skflow
    >>> X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    >>> flow = skflow.FlowDensity(n_layers=0, random_state=0).fit(X)
    >>> task = skflow.BatchTask(flow, keep={"id": "int64"})
    >>> task(X[:2].assign(id=[7, 8])).round(2)
       id  log_density
    0   7        -1.76
    1   8        -1.95
    >>> task.ddl
    'id bigint, log_density double'
    """

    def __init__(
        self,
        model: Any,
        methods: str | Sequence[str] = "score_samples",
        keep: Keep = (),
        *,
        batch_rows: int = 50_000,
        threads: int | None = 1,
        device: str = "auto",
    ) -> None:
        if batch_rows < 1:
            raise ValueError(f"batch_rows must be at least 1; got {batch_rows}.")
        if threads not in (1, None):
            raise ValueError(f"threads must be 1 or None, for torch's own number; got {threads!r}.")
        if isinstance(keep, str):
            raise TypeError(f"keep must be a sequence of names, or a mapping; got {keep!r}.")
        self.batch_rows, self.threads, self.device = batch_rows, threads, device
        self._model = ModelSource.of(model)
        estimator = self._load()
        self._answers = columns_of(estimator, [methods] if isinstance(methods, str) else methods)
        self._names = list(getattr(estimator, "feature_names_in_", ())) or None
        self._n_columns = estimator.n_features_in_
        dtypes = keep if isinstance(keep, Mapping) else dict.fromkeys(keep)
        self._kept: Dtypes = {
            name: None if dtype is None else pd.api.types.pandas_dtype(dtype)
            for name, dtype in dtypes.items()
        }
        names = [*self._kept, *chain.from_iterable(self._answers.values())]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"The answers would have several columns {twice}: rename those to keep, or leave "
                "out one of the methods."
            )

    def __call__(self, rows: Any) -> Any:
        """Answer the rows of a batch.

        Parameters
        ----------
        rows : pandas or polars DataFrame, pyarrow Table or RecordBatch, or array
            The columns that the model was fitted to, in any order, those to keep, and any others.
            Of a model that was fitted to an array, which has no names, the columns that are not
            kept, in order. There may be no rows.

        Returns
        -------
        answers : pandas DataFrame
            As many rows, with the same index. Rows of polars give a polars DataFrame, those of
            pyarrow a Table.

        Raises
        ------
        ModelFileError
            Where the model's file has changed since the task was made.
        ValueError, TypeError
            Where columns are missing, or as the methods raise.
        """
        if type(rows).__module__.partition(".")[0] == "pyarrow":
            arrow = import_module("skflow.datasets.arrow")
            if not hasattr(rows, "num_rows"):
                raise TypeError(
                    "rows must be one batch: a pyarrow Table or RecordBatch; got "
                    f"{type(rows).__module__}.{type(rows).__qualname__}. A task answers a dataset "
                    "batch by batch: map(task, X.to_batches())."
                )
            schema = None if None in self._kept.values() else self.schema
            return arrow.to_table(self(arrow.to_frame(rows)), schema)
        if as_frame(rows) is None:
            array = np.asarray(rows)
            if array.ndim != 2:
                raise TypeError(
                    "rows must be a pandas or polars DataFrame, a pyarrow Table or an array of two "
                    f"dimensions; got {type(rows).__module__}.{type(rows).__qualname__}."
                )
            rows = pd.DataFrame(array)
        chosen = select_columns(rows, self._names, list(self._kept), self._n_columns)
        blocks = []
        if len(chosen):
            estimator = self._load()
            with one_thread() if self.threads == 1 else nullcontext():
                for start in range(0, len(chosen), self.batch_rows):
                    block = chosen[start : start + self.batch_rows]
                    blocks.append(answer(estimator, block, self._answers))
        answers = pd.concat(blocks or [self._no_answers()], ignore_index=True)
        if not isinstance(rows, pd.DataFrame):
            polars = nw.get_native_namespace(rows)
            kept = [rows[name] for name in self._kept]
            return polars.DataFrame([*kept, *polars.from_pandas(answers)])
        dtypes = {name: dtype for name, dtype in self._kept.items() if dtype is not None}
        return pd.concat(
            [rows[list(self._kept)].astype(dtypes), answers.set_axis(rows.index)], axis=1
        )

    def stream(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Answer batches one after the other, as Spark hands them out.

        Parameters
        ----------
        batches : iterable of pandas DataFrame or pyarrow RecordBatch
            As ``mapInPandas`` and ``mapInArrow`` have them.

        Yields
        ------
        answers : pandas DataFrame or pyarrow RecordBatch
        """
        for answers in map(self, batches):
            if isinstance(answers, pd.DataFrame):
                yield answers
            else:
                yield from answers.to_batches()

    def sample(self, part: int, n_samples: int, random_state: int) -> pd.DataFrame:
        """Draw one part of a sample that several processes draw together.

        Parts are independent of each other, and each is the same wherever and whenever it is
        drawn.

        Parameters
        ----------
        part : int
            Number of the part, from 0 on.
        n_samples : int
            Rows of this part; with 0 the frame has its columns and dtypes, as ``meta`` does.
        random_state : int
            Seed of the whole sample.

        Returns
        -------
        rows : pandas DataFrame of n_samples rows
            With the columns that were fitted; integers and booleans are nullable.

        Raises
        ------
        TypeError
            Where the model has no joint density to draw from.

        Examples
        --------
        >>> import numpy as np, skflow
        >>> X = np.random.default_rng(0).normal(size=(60, 2))
        >>> task = skflow.BatchTask(skflow.FlowDensity(n_layers=0, random_state=0).fit(X))
        >>> [len(task.sample(part, 1000, random_state=0)) for part in range(3)]
        [1000, 1000, 1000]
        """
        density = self._load()
        density = getattr(density, "density_", density)
        if density.given is not None:
            raise TypeError(
                "sample draws whole rows, from a FlowDensity without given= or from a "
                "FlowOutlierDetector. Call sample(given=rows) of the model itself."
            )
        dtypes = dtypes_of_rows(density)
        seed = np.random.SeedSequence(random_state, spawn_key=(part,))
        blocks = [build_frame([[]] * len(dtypes), dtypes)]
        with one_thread() if self.threads == 1 else nullcontext():
            generator = np.random.RandomState(np.random.MT19937(seed))
            for start in range(0, n_samples, self.batch_rows):
                rows = density.sample(min(self.batch_rows, n_samples - start), generator)
                blocks.append(build_frame(split_columns(rows, list(dtypes.values())), dtypes))
        return pd.concat(blocks[1:] or blocks, ignore_index=True)

    @property
    def meta(self) -> pd.DataFrame:
        """Answers without rows, as Dask takes them: columns and dtypes."""
        unknown = [name for name, dtype in self._kept.items() if dtype is None]
        if unknown:
            raise ValueError(
                f"The dtypes of columns {unknown} are not known before rows are seen. Name them: "
                f"BatchTask(..., keep={dict.fromkeys(unknown, 'int64')})."
            )
        kept = build_frame([[]] * len(self._kept), self._kept)
        return pd.concat([kept, self._no_answers()], axis=1)

    @property
    def ddl(self) -> str:
        """Columns in the words of Spark's SQL, as its ``mapInPandas`` takes them."""
        return ", ".join(spell_column(str(name), dtype) for name, dtype in self.meta.dtypes.items())

    @property
    def schema(self) -> Any:
        """Columns as a ``pyarrow.Schema``, as Arrow and Parquet writers take them."""
        arrow = import_module("pyarrow")
        meta = self.meta
        strings = {
            name: "string"
            for name, dtype in meta.dtypes.items()
            if dtype is np.dtype(object)
            or (isinstance(dtype, pd.CategoricalDtype) and not len(dtype.categories))
        }
        return arrow.Schema.from_pandas(meta.astype(strings), preserve_index=False)

    def _load(self) -> Any:
        return LOADED.get(self._model, self.device)

    def _no_answers(self) -> pd.DataFrame:
        empty = [build_frame([[]] * len(dtypes), dtypes) for dtypes in self._answers.values()]
        return pd.concat(empty, axis=1)
