"""Draws and densities of any columns given any others, against integrals of the joint density."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import cumulative_trapezoid
from scipy.special import logsumexp

from skflow import FlowDensity
from skflow.conditioning import distillation
from skflow.conditioning.answering import answer
from skflow.conditioning.particles import Answers
from skflow.fitted.questions import questions
from skflow.flow import blocks
from tests.settings import EIGHT_EPOCHS, ONE_GAUSSIAN, TWO_LAYERS, slow_but

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

FloatArray = NDArray[np.float64]
# As many components as by default: draws start from the initialization.
CHOSEN_EIGHT_EPOCHS = EIGHT_EPOCHS | {"n_components": "auto"}
NAMES = ["a", "b", "c"]
KNOWN = ["kind", "size", "price"]


def bent(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Three columns, the second a noisy parabola of the first."""
    rng = np.random.default_rng(seed)
    a, c = rng.standard_normal((2, n_rows))
    b = a**2 + 0.5 * rng.standard_normal(n_rows)
    return pd.DataFrame({"a": a, "b": 10 * b, "c": c + 0.5 * a})


def mixed(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Categories, numbers with missing values, numbers that are often 0, and dates."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["u", "v", "w"], n_rows, p=[0.5, 0.3, 0.2])
    size = rng.standard_normal(n_rows) + 2 * (kind == "v")
    price = np.where(rng.random(n_rows) < 0.4, 0.0, np.exp(0.5 * size + rng.normal(size=n_rows)))
    day = np.datetime64("2020-01-01") + (200 + 50 * size).astype(int).astype("m8[D]")
    df = pd.DataFrame({"kind": kind, "size": size, "price": price, "day": day})
    df["size"] = df["size"].mask(rng.random(n_rows) < 0.1)
    return df


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    """A flow with trained layers over three columns."""
    return FlowDensity(**CHOSEN_EIGHT_EPOCHS).fit(bent(1000))


@pytest.fixture(scope="module")
def mixed_flow() -> FlowDensity:
    """A flow over categories, numbers and dates."""
    return FlowDensity(**TWO_LAYERS).fit(mixed(800))


def summed_out(flow: FlowDensity, rows: pd.DataFrame, column: str) -> FloatArray:
    """Log-density of the other columns, by trapezoids."""
    values = bent(1000)[column]
    spread = float(values.std())
    u = np.linspace(-6, 6, 1501)
    grid = float(values.median()) + spread * np.sinh(u) / 3
    step = spread * np.cosh(u) / 3 * (u[1] - u[0])
    repeated = rows.loc[rows.index.repeat(len(grid))].assign(**{column: np.tile(grid, len(rows))})
    scores = flow.score_samples(repeated).reshape(len(rows), -1)
    return logsumexp(scores + np.log(step), axis=1)


@pytest.mark.parametrize("column", NAMES)
def test_one_target_given_all_others(flow: FlowDensity, column: str) -> None:
    rows = bent(30, seed=1)
    found = flow.log_density_given(rows, targets=[column])
    expected = flow.score_samples(rows) - summed_out(flow, rows, column)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("column", NAMES)
def test_one_column_summed_out_by_draws(flow: FlowDensity, column: str) -> None:
    """Importance sampling meets the trapezoids within a few standard errors."""
    rows, others = bent(30, seed=1), [name for name in NAMES if name != column]
    found = flow.marginal_log_density(rows[others])
    np.testing.assert_allclose(found, summed_out(flow, rows, column), atol=0.1)
    target, error = flow.log_density_given(rows[others], targets=others, return_error=True)
    np.testing.assert_allclose(target, found)
    assert np.quantile(error, 0.9) < 0.1
    assert (error < 0.3).all()


def test_the_chain_rule_holds_within_the_errors(flow: FlowDensity) -> None:
    """log p(a, b | c) = log p(a | c) + log p(b | a, c)."""
    rows = bent(50, seed=2)
    both, error = flow.log_density_given(rows, targets=["a", "b"], return_error=True)
    first, of_first = flow.log_density_given(rows[["a", "c"]], targets="a", return_error=True)
    second, of_second = flow.log_density_given(rows, targets="b", return_error=True)
    errors = np.sqrt(error**2 + of_first**2 + of_second**2)
    assert (np.abs(both - first - second) <= 4 * errors + 2e-3).all()


def test_a_gaussian_copula_has_gaussian_conditionals() -> None:
    """One component without layers: the conditional of normal scores is a regression."""
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
    rows = pd.DataFrame(rng.multivariate_normal(np.zeros(3), covariance, 20_000), columns=NAMES)
    flow = FlowDensity(**ONE_GAUSSIAN).fit(rows)
    given = rows.head(1).assign(a=0.7, c=-0.4)
    gain = np.linalg.solve(covariance[np.ix_([0, 2], [0, 2])], covariance[[0, 2], 1])
    mean, variance = gain @ [0.7, -0.4], 1 - gain @ covariance[[0, 2], 1]
    drawn = flow.sample_given(given[["a", "c"]], n_samples=4000, random_state=0)["b"]
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.04)
    assert float(drawn.var()) == pytest.approx(variance, rel=0.1)
    at = given.loc[given.index.repeat(3)].assign(b=mean + np.array([-0.5, 0.0, 0.5]))
    expected = stats.norm(mean, variance**0.5).logpdf(at["b"])
    np.testing.assert_allclose(flow.log_density_given(at, targets="b"), expected, atol=0.1)


def ranks_of_truths(flow: FlowDensity, rows: pd.DataFrame, given: list[str]) -> FloatArray:
    """Ranks of hidden cells among 19 draws of them, ``(n_hidden, n_rows)``; at random if equal."""
    drawn = flow.sample_given(rows[given], n_samples=19, random_state=0)
    rng = np.random.default_rng(0)
    ranks = []
    for name in (name for name in rows.columns if name not in given):
        both = pd.concat((drawn[name], rows[name]))
        codes = both.rank(method="dense").fillna(0).to_numpy()  # categories by name, missing first
        draws, truth = codes[: len(drawn)].reshape(len(rows), 19), codes[len(drawn) :, None]
        n_equal = (draws == truth).sum(axis=1)
        ranks.append((draws < truth).sum(axis=1) + rng.integers(0, n_equal + 1))
    return np.array(ranks)


def assert_uniform(ranks: FloatArray) -> None:
    for own in ranks:
        assert stats.chisquare(np.bincount(own, minlength=20)).pvalue > 1e-4


GIVEN = [["b", "c"], ["c"], ["a"], ["b"]]


@pytest.mark.parametrize(
    ("n_components", "given"),
    slow_but([(2, GIVEN[0])], itertools.product([1, 2, 3, "auto"], GIVEN)),
)
def test_hidden_truths_have_uniform_ranks(n_components: Any, given: list[str]) -> None:
    """Among draws of one value, evenly spread over its density, and of two."""
    flow = FlowDensity(**EIGHT_EPOCHS | {"n_components": n_components}).fit(bent(1000))
    assert_uniform(ranks_of_truths(flow, flow.sample(1000, random_state=1), given))


@pytest.mark.parametrize(
    "given",
    slow_but(
        [["size", "day"]],
        [["size", "day"], ["size", "price", "day"], ["kind"], ["size"], ["kind", "size", "day"]],
    ),
)
def test_hidden_labels_numbers_and_missing_cells_have_uniform_ranks(
    given: list[str], mixed_flow: FlowDensity
) -> None:
    assert_uniform(ranks_of_truths(mixed_flow, mixed_flow.sample(600, random_state=1), given))


@pytest.mark.parametrize(
    ("table", "given"),
    slow_but([(bent, "a")], [*itertools.product([bent], "ab"), *itertools.product([mixed], KNOWN)]),
)
@pytest.mark.filterwarnings("ignore::skflow.exceptions.FewEffectiveDrawsWarning")
def test_ranks_are_uniform_where_the_proposal_is_poor(
    table: Callable[[int], pd.DataFrame], given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draws start from one component: their effective number is small, and they are moved."""
    monkeypatch.setattr(distillation, "N_COMPONENTS", (1,))
    flow, sizes = FlowDensity(**EIGHT_EPOCHS).fit(table(800)), []

    def seen(*args: Any) -> Answers:
        answers = answer(*args)
        sizes.append(answers.effective_size)
        return answers

    monkeypatch.setattr(questions.Questions.__init__, "__defaults__", (seen,))
    assert_uniform(ranks_of_truths(flow, flow.sample(400, random_state=1), [given]))
    assert float(torch.cat(sizes).min()) < 2 * 19


@pytest.mark.parametrize(
    ("column", "share_missing"),
    slow_but([("a", 0.0)], itertools.product(NAMES, [0.0, 0.1])),
)
def test_imputed_cells_are_uniform_in_their_conditional_distribution(
    column: str, share_missing: float, flow: FlowDensity
) -> None:
    """Against trapezoids of the joint density; also in a column that has missing values."""
    if share_missing:
        fitted = bent(1000)
        hidden = np.random.default_rng(0).random(1000) < share_missing
        fitted[column] = fitted[column].mask(hidden)
        flow = FlowDensity(**CHOSEN_EIGHT_EPOCHS).fit(fitted)
    rows = bent(300, seed=1)
    drawn = flow.impute(rows.assign(**{column: np.nan}), random_state=0)[column].to_numpy()
    values = bent(1000)[column]
    grid = float(values.median()) + float(values.std()) * np.sinh(np.linspace(-5, 5, 1001)) / 3
    repeated = rows.loc[rows.index.repeat(len(grid))].assign(**{column: np.tile(grid, len(rows))})
    density = np.exp(flow.score_samples(repeated).reshape(len(rows), -1))
    cumulative = cumulative_trapezoid(density, grid, axis=1, initial=0)
    ranks = [np.interp(at, grid, own / own[-1]) for at, own in zip(drawn, cumulative, strict=True)]
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings(  # a row in thousands lies far out; ranks must be uniform all the same
    "ignore::skflow.exceptions.FewEffectiveDrawsWarning"
)
@pytest.mark.parametrize("seed", range(20))
def test_hidden_truths_of_any_table_have_uniform_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, 5)) @ rng.normal(size=(5, 5))
    rows[:, 0] += np.abs(rows[:, 1])
    df = pd.DataFrame(rows, columns=list("abcde"))
    flow = FlowDensity(n_layers=2, hidden_units=16, max_iter=10, random_state=seed).fit(df)
    given = list(rng.choice(df.columns, 2, replace=False))
    assert_uniform(ranks_of_truths(flow, flow.sample(1000, random_state=1), given))


@pytest.mark.filterwarnings("ignore::skflow.exceptions.StrangeLabelsWarning")
def test_probabilities_of_a_label_sum_to_one(mixed_flow: FlowDensity) -> None:
    """All categories and the novel one, given all other columns."""
    rows = mixed(20, seed=1)
    each = [mixed_flow.log_density_given(rows.assign(kind=kind), targets="kind") for kind in "uvwx"]
    np.testing.assert_allclose(logsumexp(each, axis=0), 0.0, atol=1e-4)


def test_the_chain_rule_holds_for_labels_and_values(mixed_flow: FlowDensity) -> None:
    rows = mixed(60, seed=2)
    both, error = mixed_flow.log_density_given(rows, targets=["kind", "price"], return_error=True)
    part = rows[["kind", "size", "day"]]
    first, of_first = mixed_flow.log_density_given(part, targets="kind", return_error=True)
    second, of_second = mixed_flow.log_density_given(rows, targets="price", return_error=True)
    errors = np.sqrt(error**2 + of_first**2 + of_second**2)
    assert (np.abs(both - first - second) <= 4 * errors + 0.01).all()


def test_draws_of_labels_follow_their_probabilities(mixed_flow: FlowDensity) -> None:
    rows = mixed(1, seed=3).assign(size=0.3)
    drawn = mixed_flow.sample_given(rows[["size"]], n_samples=4000, random_state=0)
    for kind in "uvw":
        given = rows[["size"]].assign(kind=kind)
        log_prob, error = mixed_flow.log_density_given(given, targets="kind", return_error=True)
        share = float((drawn["kind"] == kind).mean())
        assert np.log(share) == pytest.approx(log_prob[0], abs=4 * error[0] + 0.1)


def test_all_columns_known_is_the_score(mixed_flow: FlowDensity) -> None:
    rows = mixed(20, seed=4)
    np.testing.assert_array_equal(
        mixed_flow.marginal_log_density(rows[["day", "price", "kind", "size"]]),
        mixed_flow.score_samples(rows),
    )


def test_draws_are_whole_rows_of_the_fitted_table(mixed_flow: FlowDensity) -> None:
    """In its order and dtypes, the given cells as they were, as many as are wanted of each row."""
    rows = mixed(5, seed=5)
    drawn = mixed_flow.sample_given(rows[["price", "kind"]], n_samples=3, random_state=0)
    assert list(drawn.columns) == list(rows.columns)
    assert (drawn.dtypes == mixed(800).dtypes).all()
    repeated = rows.loc[rows.index.repeat(3), ["price", "kind"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(drawn[["price", "kind"]], repeated)
    many = mixed_flow.sample_given(rows[["kind"]], n_samples=200, random_state=0)
    assert len(many) == 1000
    assert many["kind"].tolist() == np.repeat(rows["kind"], 200).tolist()


def test_draws_depend_on_the_seed_and_on_the_row_alone(
    flow: FlowDensity, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = bent(40, seed=6)[["b"]]
    drawn = flow.sample_given(rows, n_samples=2, random_state=3)
    pd.testing.assert_frame_equal(drawn, flow.sample_given(rows, n_samples=2, random_state=3))
    assert not drawn.equals(flow.sample_given(rows, n_samples=2, random_state=4))
    fewer = flow.sample_given(rows.head(7), n_samples=2, random_state=3)
    pd.testing.assert_frame_equal(fewer, drawn.head(14), rtol=1e-9)
    monkeypatch.setattr(questions, "PARTICLES", 300)
    monkeypatch.setattr(blocks, "CPU_ENTRIES", 20_000)
    small = flow.sample_given(rows, n_samples=2, random_state=3)
    pd.testing.assert_frame_equal(small, drawn, rtol=1e-9)


def test_polars_and_arrays() -> None:
    rows = bent(300)
    of_polars = FlowDensity(**ONE_GAUSSIAN).fit(pl.from_pandas(rows))
    drawn = of_polars.sample_given(pl.from_pandas(rows[["c"]].head(4)), random_state=0)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.columns == NAMES
    of_array = FlowDensity(**ONE_GAUSSIAN).fit(rows.to_numpy())
    table = pd.DataFrame(rows.to_numpy()[:4])[[2]]  # the column of position 2
    found = of_array.sample_given(table, random_state=0)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, drawn.to_numpy())
    named = of_array.sample_given(table.set_axis(["x2"], axis=1), random_state=0)
    np.testing.assert_array_equal(named, found)
    np.testing.assert_allclose(
        of_array.log_density_given(rows.to_numpy()[:4], targets=[1]),
        of_polars.log_density_given(pl.from_pandas(rows.head(4)), targets="b"),
    )


def test_errors_say_what_to_do(flow: FlowDensity) -> None:
    rows = bent(5)
    with pytest.raises(ValueError, match=r"not fitted: \['z'\].*\['a', 'b', 'c'\]"):
        flow.sample_given(rows.assign(z=1)[["z", "a"]])
    with pytest.raises(ValueError, match="array of 2 columns"):
        flow.sample_given(rows.to_numpy()[:, :2])
    with pytest.raises(ValueError, match="at least one row and one column"):
        flow.sample_given(rows[["a"]].head(0))
    with pytest.raises(
        ValueError, match=r"targets must be columns of X, \['a', 'b'\]; got \['c'\]"
    ):
        flow.log_density_given(rows[["a", "b"]], targets=["c"])
    with pytest.raises(ValueError, match="targets must name at least one column"):
        flow.log_density_given(rows, targets=[])
    with pytest.raises(ValueError, match="n_samples"):
        flow.sample_given(rows[["a"]], n_samples=0)
    with pytest.raises(ValueError, match="once each"):
        flow.log_density_given(rows, targets=["a", "a"])
    with pytest.raises(TypeError, match="convert it"):
        flow.sample_given(rows[["a"]].astype(str))
    conditional = FlowDensity(**ONE_GAUSSIAN, given=["a"]).fit(bent(100))
    with pytest.raises(ValueError, match="without given"):
        conditional.sample_given(rows[["a"]])


def test_draws_lie_where_fitted_rows_make_them_likely() -> None:
    """The floor of the mixture, which keeps densities finite, draws no number far beyond."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    X = pd.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=300), "z": rng.normal(size=300)})
    flow = FlowDensity(n_layers=0, random_state=0).fit(X)
    for known in (0.0, 10.0):
        drawn = flow.sample_given(pd.DataFrame({"x": [known]}), n_samples=2000, random_state=0)
        assert drawn[["y", "z"]].abs().to_numpy().max() < 6
