"""What api.md promises of FlowDensity, beyond exactness and bad input."""

import copy
import io
import pickle
import pickletools
import time

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowDensity
from tests.settings import ONE_TINY_LAYER, TWO_EPOCHS, TWO_GAUSSIANS, TWO_LAYERS
from tests.tables import Table, correlated

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")


def test_score_is_the_mean_as_a_python_float(trained: FlowDensity, table: Table) -> None:
    score = trained.score(table)
    assert type(score) is float
    assert score == pytest.approx(trained.score_samples(table).mean(), abs=1e-12)


def test_outputs_are_float64_arrays(flow32: FlowDensity) -> None:
    X = np.zeros((3, 5), dtype=np.float32)
    for output in (flow32.score_samples(X), flow32.transform(X)):
        assert type(output) is np.ndarray
        assert output.dtype == np.float64


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_scores_are_densities_of_the_original_units(scale: float) -> None:
    """One normal column: the score is scipy's log-density, whatever the unit."""
    x = scale * (5 + np.random.default_rng(0).standard_normal((4000, 1)))
    flow = FlowDensity(n_components=1, random_state=0).fit(x)
    expected = -0.5 * np.log(2 * np.pi) - np.log(scale) - (x[:, 0] / scale - 5) ** 2 / 2
    assert abs(flow.score_samples(x) - expected).mean() < 0.05


def test_a_scaler_in_front_would_change_the_score_by_its_jacobian(table: Table) -> None:
    # Scaled columns are of both signs: 0 must be the end of none.
    ends = dict.fromkeys(range(5), (None, None))
    flow = FlowDensity(n_layers=0, n_components=1, random_state=0, bounds=ends).fit(table)
    scaler = StandardScaler().fit(table)
    scaled = clone(flow).fit(scaler.transform(table))
    np.testing.assert_allclose(
        flow.score(table),
        scaled.score(scaler.transform(table)) - np.log(scaler.scale_).sum(),
        atol=0.01,
    )


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batches_agree(trained: FlowDensity, table: Table, size: int) -> None:
    for method in (trained.score_samples, trained.transform):
        together = method(table[:64])
        apart = np.concatenate([method(table[i : min(i + size, 64)]) for i in range(0, 64, size)])
        np.testing.assert_allclose(apart, together, rtol=1e-9, atol=1e-9)


def test_blocks_agree(trained: FlowDensity, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained.score_samples(table), trained.transform(table)
    monkeypatch.setattr("skflow.flow.blocks.CPU_ENTRIES", 1)
    np.testing.assert_allclose(trained.score_samples(table), whole[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(trained.transform(table), whole[1], rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("every_candidate")
def test_latents_are_standard_normal() -> None:
    X = correlated(3000, 3, seed=1)
    Z = FlowDensity(**TWO_EPOCHS).fit(X[:2000]).transform(X[2000:])
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(3), atol=0.2)


# Randomness


def test_integer_random_state_fits_bitwise_alike(table: Table) -> None:
    first, second = (FlowDensity(**TWO_EPOCHS).fit(table) for _ in range(2))
    np.testing.assert_array_equal(first.score_samples(table), second.score_samples(table))
    assert first.history_["train_score"] == second.history_["train_score"]
    other = FlowDensity(**TWO_EPOCHS | {"random_state": 1}).fit(table)
    assert (first.score_samples(table) != other.score_samples(table)).any()


def test_integer_random_state_touches_no_global_generator(table: Table) -> None:
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    flow = FlowDensity(**TWO_EPOCHS, dropout=0.1).fit(table)
    flow.sample(3, random_state=0)
    flow.transform(table)
    assert (np.random.get_state()[1] == numpy_state[1]).all()  # noqa: NPY002
    assert np.random.get_state()[2] == numpy_state[2]  # noqa: NPY002
    assert (torch.get_rng_state() == torch_state).all()


@pytest.mark.slow
def test_a_fit_does_not_depend_on_global_generators(table: Table) -> None:
    scores = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        scores.append(FlowDensity(**TWO_EPOCHS, dropout=0.1).fit(table).score_samples(table))
    np.testing.assert_array_equal(*scores)


def test_none_draws_from_numpys_global_generator(table: Table) -> None:
    scores = []
    for seed in (0, 0, 1):
        np.random.seed(seed)  # noqa: NPY002
        torch_state = torch.get_rng_state()
        flow = FlowDensity(**TWO_EPOCHS | {"random_state": None}).fit(table)
        assert (torch.get_rng_state() == torch_state).all()
        scores.append(flow.score_samples(table))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()


def test_samples_are_fresh_with_none_and_repeat_with_an_integer(trained: FlowDensity) -> None:
    assert (trained.sample(4) != trained.sample(4)).any()
    np.testing.assert_array_equal(
        trained.sample(4, random_state=3), trained.sample(4, random_state=3)
    )
    generator = np.random.RandomState(3)
    assert (trained.sample(4, generator) != trained.sample(4, generator)).any()
    assert trained.sample().shape == (1, 5)


@pytest.mark.usefixtures("every_candidate")
def test_samples_are_like_the_table(trained: FlowDensity, table: Table) -> None:
    samples = trained.sample(4000, random_state=0)
    quartiles = [0.1, 0.25, 0.5, 0.75, 0.9]
    spread = np.subtract(*np.quantile(table, [0.9, 0.1], axis=0))
    difference = np.quantile(samples, quartiles, axis=0) - np.quantile(table, quartiles, axis=0)
    assert (np.abs(difference) < 0.15 * spread).all()
    ranks = [x.argsort(axis=0).argsort(axis=0) for x in (samples, table)]
    np.testing.assert_allclose(*(np.corrcoef(rank.T) for rank in ranks), atol=0.2)


# Training


def test_history(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS).fit(table)
    assert set(flow.history_) == {"train_score", "validation_score", "learning_rate", "seconds"}
    assert {len(values) for values in flow.history_.values()} == {flow.n_iter_} == {2}
    assert np.isfinite(flow.history_["validation_score"]).all()
    assert flow.best_validation_score_ >= max(flow.history_["validation_score"])
    assert flow.device_ == "cpu"


def test_history_without_held_out_rows(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, early_stopping=False).fit(table)
    assert np.isnan(flow.history_["validation_score"]).all()
    assert flow.best_validation_score_ >= max(flow.history_["train_score"]) - 1e-9


def test_history_is_in_nats_of_the_original_columns(table: Table) -> None:
    """Of rows handed over as X_val, so that they are known."""
    flow = FlowDensity(**TWO_EPOCHS).fit(table[:300], X_val=table[300:])
    assert flow.score(table[300:]) == pytest.approx(flow.best_validation_score_, abs=1e-3)


def test_training_improves_on_its_start() -> None:
    """A ring: no mixture of two components is as good as layers that bend."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 2000)
    X = np.column_stack((np.cos(angle), np.sin(angle))) + 0.1 * rng.standard_normal((2000, 2))
    start = FlowDensity(**TWO_GAUSSIANS).fit(X[:1000])
    trained = FlowDensity(**TWO_LAYERS | {"max_iter": 10}).fit(X[:1000])
    assert trained.score(X[1000:]) > start.score(X[1000:]) + 0.1


def test_early_stopping_stops(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 200}, n_iter_no_change=2, tol=10.0).fit(table)
    assert flow.n_iter_ == 2


def test_max_iter_is_kept(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 4}, early_stopping=False).fit(table)
    assert flow.n_iter_ == 4


def test_max_time_is_kept_to_within_one_epoch(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that each reading moves: no timing on a busy machine."""
    clock = iter(np.arange(0.0, 1e5, 0.02))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    flow = FlowDensity(**TWO_EPOCHS | {"max_iter": 100_000}, max_time=3.0, early_stopping=False)
    flow.fit(table)
    assert 1 < flow.n_iter_ < 60
    rates = flow.history_["learning_rate"]
    assert rates[-1] < 0.2 * max(rates)


def test_x_val_replaces_the_split(table: Table) -> None:
    far = table + 100 * table.std(axis=0)
    flow = FlowDensity(**TWO_EPOCHS, early_stopping=False).fit(table, X_val=far)
    near = FlowDensity(**TWO_EPOCHS, early_stopping=False).fit(table, X_val=table)
    assert flow.best_validation_score_ < near.best_validation_score_ - 10


@pytest.mark.parametrize("X_val", [np.zeros((3, 2)), np.full((3, 5), np.inf), np.zeros(5)])
def test_x_val_is_checked(table: Table, X_val: Table) -> None:
    with pytest.raises(ValueError, match=r"features|infinity|2D array"):
        FlowDensity(**TWO_EPOCHS).fit(table, X_val=X_val)


def test_x_val_in_a_pipeline(table: Table) -> None:
    with config_context(enable_metadata_routing=True):
        flow = FlowDensity(**TWO_EPOCHS).set_fit_request(X_val=True)
        pipeline = make_pipeline(StandardScaler(), flow, transform_input=["X_val"])
        pipeline.fit(table[:300], X_val=table[300:])
        by_hand = FlowDensity(**TWO_EPOCHS)
        scaler = StandardScaler().fit(table[:300])
        by_hand.fit(scaler.transform(table[:300]), X_val=scaler.transform(table[300:]))
        np.testing.assert_array_equal(
            pipeline.score_samples(table), by_hand.score_samples(scaler.transform(table))
        )


def test_warm_start_goes_on(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, early_stopping=False, warm_start=True).fit(table)
    schema, first = flow.schema_, flow.best_validation_score_
    marginals = flow._density.model.marginals
    flow.fit(table)
    assert flow.schema_ is schema
    assert flow.best_validation_score_ >= first
    for name in ("x_knots", "y_knots", "derivatives"):
        kept = (getattr(part, name) for part in (marginals, flow._density.model.marginals))
        assert torch.equal(*kept)


def test_warm_start_refuses_other_columns(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, warm_start=True).fit(table)
    with pytest.raises(ValueError, match="X has 3 features, but FlowDensity is expecting 5"):
        flow.fit(table[:, :3])
    assert flow.set_params(warm_start=False).fit(table[:, :3]).n_features_in_ == 3


def test_verbose_draws_one_bar_on_stderr(
    table: Table, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    FlowDensity(**TWO_EPOCHS).fit(table)
    assert capfd.readouterr() == ("", "")
    FlowDensity(**TWO_EPOCHS, verbose=1).fit(table)
    out, err = capfd.readouterr()
    assert out == ""
    assert "nats/row" in err
    assert "best" in err
    assert "2/2" in err


@pytest.mark.parametrize(
    "params",
    [
        {"n_layers": -1},
        {"hidden_units": 0},
        {"n_bins": 1},
        {"n_components": "many"},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"batch_size": 0},
        {"max_iter": 0},
        {"max_time": 0},
        {"early_stopping": "yes"},
        {"validation_fraction": 1.0},
        {"tol": -1.0},
        {"random_state": "seed"},
    ],
)
def test_parameters_are_checked(params: dict) -> None:
    (name,) = params
    with pytest.raises(ValueError, match=f"The {name!r} parameter of FlowDensity must be"):
        FlowDensity(**params).fit(np.eye(3))


# scikit-learn's tools


def test_clone_keeps_parameters_and_drops_the_fit(trained: FlowDensity) -> None:
    twin = clone(trained)
    assert twin.get_params() == trained.get_params()
    assert not hasattr(twin, "n_iter_")


def test_grid_search_and_cross_validation(table: Table) -> None:
    flow = FlowDensity(**ONE_TINY_LAYER)
    search = GridSearchCV(flow, {"n_components": [1, 2]}, cv=2).fit(table)
    assert search.best_params_["n_components"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(table) == search.best_estimator_.score(table)
    assert cross_val_score(flow, table, cv=2).shape == (2,)


@pytest.mark.slow
def test_halving_search_over_max_iter(table: Table) -> None:
    search = HalvingGridSearchCV(
        FlowDensity(**ONE_TINY_LAYER),
        {"n_layers": [0, 1]},
        resource="max_iter",
        min_resources=1,
        max_resources=2,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(table)
    assert search.best_estimator_.max_iter == 2


def test_pipeline_and_frozen(trained: FlowDensity, table: Table) -> None:
    pipeline = make_pipeline(FrozenEstimator(trained), StandardScaler()).fit(table)
    Z = trained.transform(table)
    np.testing.assert_allclose(pipeline.transform(table), (Z - Z.mean(axis=0)) / Z.std(axis=0))
    np.testing.assert_allclose(
        pipeline.inverse_transform(pipeline.transform(table)), table, rtol=1e-9, atol=1e-9
    )


def test_fit_transform_is_fit_then_transform(table: Table) -> None:
    np.testing.assert_array_equal(
        FlowDensity(**TWO_GAUSSIANS).fit_transform(table),
        FlowDensity(**TWO_GAUSSIANS).fit(table).transform(table),
    )


def test_y_is_ignored(table: Table) -> None:
    labels = np.arange(len(table)) % 2
    flow, reference = (
        FlowDensity(**TWO_GAUSSIANS).fit(table, labels),
        FlowDensity(**TWO_GAUSSIANS).fit(table),
    )
    assert flow.score(table, labels) == reference.score(table)


def through_joblib(flow: FlowDensity) -> FlowDensity:
    buffer = io.BytesIO()
    joblib.dump(flow, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize(
    "copied", [lambda flow: pickle.loads(pickle.dumps(flow)), through_joblib, copy.deepcopy]
)
def test_copies_are_the_same(trained: FlowDensity, table: Table, copied) -> None:
    twin = copied(trained)
    np.testing.assert_array_equal(twin.score_samples(table), trained.score_samples(table))
    Z = trained.transform(table)
    np.testing.assert_array_equal(twin.transform(table), Z)
    np.testing.assert_array_equal(twin.inverse_transform(Z), trained.inverse_transform(Z))
    assert repr(twin.schema_) == repr(trained.schema_)
    assert repr(twin.history_) == repr(trained.history_)  # NaN is not equal to NaN
    twin.set_params(max_iter=1).fit(table)


def test_a_fitted_pickle_goes_on_training(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, warm_start=True).fit(table)
    twin = pickle.loads(pickle.dumps(flow)).fit(table)
    np.testing.assert_array_equal(twin.score_samples(table), flow.fit(table).score_samples(table))


def test_pickles_hold_no_torch_object(trained: FlowDensity) -> None:
    strings = {
        str(argument) for _, argument, _ in pickletools.genops(pickle.dumps(trained)) if argument
    }
    assert not {text for text in strings if text.split(".")[0].split(" ")[0] == "torch"}


def test_pickles_hold_no_training_rows(trained: FlowDensity, table: Table) -> None:
    """No value that occurs once is stored: neither a cell nor a row of them."""
    data = pickle.dumps(trained)
    assert not any(cell.tobytes() in data for cell in table.ravel())


def test_methods_leave_the_estimator_as_it_is(trained: FlowDensity, table: Table) -> None:
    before = dict(vars(trained))
    data = pickle.dumps(trained)
    trained.score_samples(table)
    trained.inverse_transform(trained.transform(table))
    trained.sample(3)
    trained.get_feature_names_out()
    assert vars(trained) == before
    assert pickle.dumps(trained) == data


def test_html_links_to_the_documentation(trained: FlowDensity) -> None:
    html = trained._repr_html_()
    assert "https://skflow.readthedocs.io/en/latest/api/skflow.FlowDensity.html" in html


def test_device_is_read_at_each_call(trained: FlowDensity, table: Table) -> None:
    flow = copy.deepcopy(trained)
    expected = flow.score_samples(table)
    for device in ("cpu", torch.device("cpu")):
        np.testing.assert_array_equal(flow.set_params(device=device).score_samples(table), expected)
    with pytest.raises(ValueError, match="float64"):
        flow.set_params(device="mps").score_samples(table)


@pytest.mark.cuda
def test_cuda(table: Table) -> None:
    flow = FlowDensity(**TWO_EPOCHS, device="cuda").fit(table)
    assert flow.device_.startswith("cuda")
    on_gpu = flow.score_samples(table), flow.transform(table)
    flow = pickle.loads(pickle.dumps(flow)).set_params(device="cpu")
    np.testing.assert_allclose(flow.score_samples(table), on_gpu[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flow.transform(table), on_gpu[1], rtol=1e-9, atol=1e-9)


# Integers


@pytest.mark.parametrize("n_levels", [3, 20])
def test_integer_scores_are_probabilities(n_levels: int) -> None:
    rng = np.random.default_rng(3)
    X = rng.binomial(n_levels - 1, 0.4, size=(3000, 1))
    flow = FlowDensity(**TWO_EPOCHS | {"n_components": "auto", "max_iter": 5}).fit(X)
    levels = np.arange(-50, n_levels + 50)[:, None]
    probabilities = np.exp(flow.score_samples(levels))
    assert probabilities.sum() == pytest.approx(1, abs=0.05)
    frequencies = np.bincount(X[:, 0], minlength=n_levels) / len(X)
    assert np.abs(probabilities[50 : 50 + n_levels] - frequencies).max() < 0.06


def test_pairs_of_integers_sum_to_one() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 5, size=4000)
    X = np.column_stack((a, a + rng.integers(0, 3, size=4000)))
    flow = FlowDensity(**TWO_EPOCHS | {"n_components": "auto", "max_iter": 10}).fit(X)
    grid = np.stack(np.meshgrid(np.arange(-20, 30), np.arange(-20, 30)), axis=-1).reshape(-1, 2)
    assert np.exp(flow.score_samples(grid)).sum() == pytest.approx(1, abs=0.1)
    assert flow.score(X) < 0


@pytest.mark.parametrize("power", [3, 5])
def test_samples_of_numbers_dense_near_zero_have_their_size(power: int) -> None:
    """They are modelled by logarithms of their sizes, with both signs far apart."""
    powers = np.random.default_rng(1).normal(size=(300, 1)) ** power
    drawn = FlowDensity(n_layers=0, random_state=0).fit(powers).sample(5000, random_state=0)
    assert np.abs(drawn).max() < 200 * np.abs(powers).max()
