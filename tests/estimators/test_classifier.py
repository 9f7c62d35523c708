"""FlowClassifier: exact probabilities, any classes, any table."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

import skflow
from skflow import FlowClassifier, FlowDensity

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

QUICK = FlowDensity(hidden_units=16, max_iter=30)


@pytest.fixture(scope="module")
def iris() -> tuple[FlowClassifier, pd.DataFrame, pd.Series]:
    data = load_iris(as_frame=True)
    names = pd.Series(data.target_names)[data.target].reset_index(drop=True)
    train, test, y_train, y_test = train_test_split(data.data, names, random_state=0)
    return FlowClassifier(QUICK, random_state=0).fit(train, y_train), test, y_test


def test_iris(iris) -> None:
    classifier, X, y = iris
    assert list(classifier.classes_) == ["setosa", "versicolor", "virginica"]
    assert classifier.score(X, y) > 0.85
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1)


def test_probabilities_are_those_of_the_density(iris) -> None:
    classifier, X, _ = iris
    for k in range(3):
        table = X.assign(**{"class": float(k)})
        log_probs = classifier.density_.score_samples(table)
        np.testing.assert_allclose(classifier.predict_log_proba(X)[:, k], log_probs, atol=1e-6)


def test_files_and_pickles(iris, tmp_path) -> None:
    classifier, X, _ = iris
    classifier.save(tmp_path / "model.skflow")
    loaded = skflow.load(tmp_path / "model.skflow")
    assert isinstance(loaded, FlowClassifier)
    for same in (loaded, pickle.loads(pickle.dumps(classifier))):
        np.testing.assert_array_equal(same.predict_proba(X), classifier.predict_proba(X))
        np.testing.assert_array_equal(same.predict(X), classifier.predict(X))


def test_columns_of_every_kind_and_missing_values() -> None:
    generator = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "colour": generator.choice(["red", "blue"], size=200),
            "size": generator.normal(size=200),
        }
    )
    y = ((X["colour"] == "red") ^ (generator.uniform(size=200) < 0.1)).to_numpy()
    X.loc[::5, "size"] = np.nan
    classifier = FlowClassifier(QUICK, random_state=0).fit(X, y)
    assert classifier.classes_.dtype == bool
    assert classifier.score(X, y) > 0.85


def test_the_seed_decides(iris) -> None:
    _, X, y = iris
    first, second = (FlowClassifier(QUICK, random_state=1).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_bad_input(iris) -> None:
    _, X, y = iris
    with pytest.raises(ValueError, match="given=None"):
        FlowClassifier(FlowDensity(given=[0])).fit(X, y)
    with pytest.raises(ValueError, match="Unknown label type"):
        FlowClassifier(QUICK).fit(X, np.random.default_rng(0).normal(size=len(X)))
    with pytest.raises(TypeError, match=r"all strings or all numbers.*\['NoneType', 'str'\]"):
        FlowClassifier(QUICK).fit(X, np.resize(np.array(["a", None], dtype=object), len(X)))
