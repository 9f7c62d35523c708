import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import expon

from skflow.outliers.tails import SHALLOWEST, Tail, log_harmonic_mean, quantile


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


# Weights of calibration rows


def weighted(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=n_rows), rng.choice([0.2, 1.0, 5.0], n_rows)


def test_probabilities_are_shares_of_the_weight() -> None:
    normal, weight = weighted(60)
    tail, mean = Tail(normal, weight), weight.mean()
    for score in (normal.min(), 0.0, normal[3], 9.0):
        expected = (mean + weight[normal <= score].sum()) / (mean + weight.sum())
        assert tail.probability(score) == pytest.approx(expected)
    assert tail.probability(-9.0) == pytest.approx(1 / 61)


def test_weights_of_own_rows_are_left_out() -> None:
    normal, weight = weighted(60)
    tail, mean = Tail(normal, weight), weight.mean()
    found = tail.leave_one_out_log_prob(normal, weight)
    for i in (0, 7, int(normal.argmin())):
        others, own = np.delete(normal, i), np.delete(weight, i)
        whole = own.sum() + mean
        expected = np.log((mean + own[others <= normal[i]].sum()) / whole)
        if normal[i] < tail.edge:
            below = others < tail.edge
            share = (mean + own[below].sum()) / whole
            depth = np.average(tail.edge - others[below], weights=own[below])
            expected = np.log(share) - (tail.edge - normal[i]) / max(depth, SHALLOWEST)
        assert found[i] == pytest.approx(expected)


def test_a_common_factor_of_weights_changes_nothing() -> None:
    normal, weight = weighted(200)
    one, other, plain = Tail(normal, weight), Tail(normal, 4 * weight), Tail(normal)
    alike = Tail(normal, np.full(200, 8.0))
    for first, second in ((one, other), (plain, alike)):
        np.testing.assert_array_equal(first.log_prob(normal), second.log_prob(normal))
        for p in (0.003, 0.01, 0.1, 0.5):
            assert first.quantile(p) == second.quantile(p)
            assert first.threshold(p) == second.threshold(p)
            assert first.least_score(p) == second.least_score(p)


def test_thresholds_agree_with_probabilities() -> None:
    normal, weight = weighted(200)
    tail = Tail(normal, weight)
    for p in (0.05, 0.2, 0.5):
        below, least = np.nextafter(tail.threshold(p), -np.inf), tail.least_score(p)
        assert tail.probability(below) <= p <= tail.probability(least)
        assert p < tail.probability(tail.threshold(p))
        assert tail.probability(np.nextafter(least, -np.inf)) < p


def test_quantiles_are_weighted() -> None:
    scores, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 8.0])
    assert quantile(scores, 0.5, weight) == 2.0
    assert quantile(scores, 0.95, weight) == 3.0
    assert quantile(scores, 0.25, None) == np.quantile(scores, 0.25)
