import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import expon

from skflow.outliers.tails import Tail, log_harmonic_mean


def test_ranks_above_the_edge_are_counted() -> None:
    normal = np.arange(100.0)
    scores = np.array([10.0, 49.5, 99.0, 1e9])
    counted = [(1 + (normal <= s).sum()) / 101 for s in scores]
    np.testing.assert_allclose(Tail(normal).log_prob(scores), np.log(counted))


def test_beyond_the_edge_an_exponential_tail_is_met() -> None:
    normal = -expon.rvs(size=100_000, random_state=0)
    far = -np.array([3.0, 6.0, 12.0, 30.0])
    np.testing.assert_allclose(Tail(normal).log_prob(far), expon.logsf(-far), rtol=0.02)


def test_own_rows_are_compared_to_the_others() -> None:
    normal = np.random.default_rng(0).normal(size=40)
    tail = Tail(normal)
    for i in (0, 7, int(normal.argmin())):
        others = np.delete(normal, i)
        edge, below = tail.edge, others[others < tail.edge]
        expected = np.log((1 + (others <= normal[i]).sum()) / 40)
        if normal[i] < edge:
            # The edge stays where it was: only what lies below it changes.
            share, depth = tail.n_below / 40, (edge - below).mean()
            expected = np.log(share) - (edge - normal[i]) / depth
        assert tail.leave_one_out_log_prob(normal)[i] == pytest.approx(expected)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20),
)
def test_any_scores_give_finite_probabilities_in_their_order(normal, scores) -> None:
    tail, scores = Tail(np.array(normal)), np.sort(scores)
    log_probs = tail.log_prob(scores)
    assert np.isfinite(log_probs).all()
    assert (log_probs <= 0).all()
    assert (np.diff(log_probs) >= -1e-12).all()


def test_equal_scores_say_little_of_what_lies_below() -> None:
    tail = Tail(np.full(50, 3.0))
    beyond = np.log(6 / 51)  # of 50 rows, 5 count as the lowest
    log_probs = tail.log_prob(np.array([3.0, 2.9, 2.0]))
    np.testing.assert_allclose(log_probs, [0.0, beyond - 1, beyond - 10])


@pytest.mark.parametrize("n_rows", [3, 5, 14])
def test_of_few_rows_the_lowest_is_no_stranger_than_a_row_beyond_all(n_rows) -> None:
    normal = np.random.default_rng(0).normal(size=n_rows)
    tail = Tail(normal)
    assert tail.leave_one_out_log_prob(normal).min() > -100
    assert tail.log_prob(np.array([normal.min() - 1000.0]))[0] < -100


def test_quantile_of_many_rows_is_counted() -> None:
    normal = np.random.default_rng(0).permutation(5_000).astype(float)
    assert (normal < Tail(normal).quantile(0.01)).sum() == 49  # the p-value of the 50th is 0.01


def test_quantile_of_few_rows_is_read_off_the_exponential() -> None:
    normal = -expon.ppf((np.arange(60) + 0.5) / 60)
    assert Tail(normal).quantile(1e-3) == pytest.approx(-expon.isf(1e-3), abs=0.5)


def test_harmonic_mean() -> None:
    probs, weights = np.array([[0.5, 1e-300, 0.01], [1.0, 1.0, 1.0]]), np.array([0.7, 0.2, 0.1])
    expected = np.log(1 / (weights / probs).sum(axis=1))
    np.testing.assert_allclose(log_harmonic_mean(np.log(probs), weights), expected, atol=1e-12)
    assert np.isfinite(log_harmonic_mean(np.array([[-1e5, 0.0, 0.0]]), weights)).all()
