"""One fitted model, used from many threads and processes at once, gives the same numbers.

16 threads, a thousand scorings each: pytest -m slow tests/estimators/test_concurrency.py
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import NamedTuple

import joblib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from skflow import FlowDensity, FlowOutlierDetector
from tests.mixed import every_kind
from tests.settings import TWO_GAUSSIANS, TWO_LAYERS, slow_but
from tests.tables import correlated, unfitted

pytestmark = pytest.mark.usefixtures("few_candidates_in_file")

N_THREADS = 16
MIXED = every_kind(200)
NUMBERS = correlated(200, 3, seed=0)
SIZES = (1, 7, 64, 200)


class Answers(NamedTuple):
    """What a model says of rows."""

    scores: NDArray
    latents: NDArray
    rows: NDArray
    drawn: NDArray


def ask(flow: FlowDensity, X: NDArray) -> Answers:
    latents = flow.transform(X)
    return Answers(
        flow.score_samples(X),
        latents,
        flow.inverse_transform(latents),
        flow.sample(5, random_state=0),
    )


def assert_same(one: Answers, other: Answers) -> None:
    for name, ours, theirs in zip(Answers._fields, one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    return FlowDensity(**TWO_LAYERS).fit(NUMBERS)


@pytest.fixture(scope="module")
def detector() -> FlowOutlierDetector:
    return unfitted(FlowOutlierDetector, **TWO_GAUSSIANS).fit(NUMBERS)


def test_threads_share_a_density(flow: FlowDensity) -> None:
    expected = {size: ask(flow, NUMBERS[:size]) for size in SIZES}
    with ThreadPoolExecutor(N_THREADS) as threads:
        asked = [(size, threads.submit(ask, flow, NUMBERS[:size])) for size in SIZES * 6]
        for size, answer in asked:
            assert_same(answer.result(), expected[size])


def test_threads_share_a_detector(detector: FlowOutlierDetector) -> None:
    expected = detector.p_values(NUMBERS), detector.score_features(NUMBERS[:20])
    with ThreadPoolExecutor(N_THREADS) as threads:
        p_values = [threads.submit(detector.p_values, NUMBERS) for _ in range(16)]
        reasons = [threads.submit(detector.score_features, NUMBERS[:20]) for _ in range(8)]
        for answer in p_values:
            np.testing.assert_array_equal(answer.result(), expected[0])
        for answer in reasons:
            np.testing.assert_array_equal(answer.result(), expected[1])


def test_threads_fit_and_score_at_once(flow: FlowDensity) -> None:
    """Fits set the number of torch's threads for a while, which scores of others must survive."""
    expected = flow.score_samples(NUMBERS)
    with ThreadPoolExecutor(4) as threads:
        fits = [threads.submit(FlowDensity(**TWO_LAYERS).fit, NUMBERS) for _ in range(2)]
        scores = [threads.submit(flow.score_samples, NUMBERS) for _ in range(20)]
        for answer in scores:
            np.testing.assert_allclose(answer.result(), expected, rtol=1e-12)
        for fit in fits:
            np.testing.assert_array_equal(fit.result().score_samples(NUMBERS), expected)


@pytest.mark.parametrize(
    ("method", "n_processes"), slow_but([("fork", 2)], [("fork", 2), ("spawn", 1)])
)
def test_processes_share_a_density(flow: FlowDensity, method: str, n_processes: int) -> None:
    expected = ask(flow, NUMBERS)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(n_processes, mp_context=context) as processes:
        for answer in [processes.submit(ask, flow, NUMBERS) for _ in range(4)]:
            assert_same(answer.result(), expected)


@pytest.mark.slow
def test_loky_shares_a_mixed_density() -> None:
    flow = FlowDensity(**TWO_LAYERS).fit(MIXED)
    expected = flow.score_samples(MIXED)
    scores = joblib.Parallel(n_jobs=2)(joblib.delayed(flow.score_samples)(MIXED) for _ in range(4))
    for answer in scores:
        np.testing.assert_array_equal(answer, expected)


def score_in_child(flow: FlowDensity, X: NDArray, answers: "multiprocessing.Queue") -> None:
    answers.put(flow.score_samples(X))


@pytest.mark.slow
def test_a_fork_of_a_process_whose_torch_has_threads() -> None:
    """Threads do not survive a fork: a child that waited for them would hang."""
    X = correlated(4_000, 8, seed=0)
    flow = FlowDensity(n_layers=0, n_components=8, random_state=0).fit(X[:500])
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = flow.score_samples(X)  # large enough for both threads
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=score_in_child, args=(flow, X, answers))
        child.start()
        np.testing.assert_allclose(answers.get(timeout=60), expected, rtol=1e-12)
        child.join(60)
        assert child.exitcode == 0
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sixteen_threads_a_thousand_scorings_each(flow: FlowDensity) -> None:
    sizes = np.random.default_rng(0).integers(1, 200, size=1_000)
    expected = {size: flow.score_samples(NUMBERS[:size]) for size in set(sizes.tolist())}

    def score_all(thread: int) -> int:
        order = np.random.default_rng(thread).permutation(sizes)
        return sum(
            not np.array_equal(flow.score_samples(NUMBERS[:size]), expected[size])
            for size in order.tolist()
        )

    with ThreadPoolExecutor(N_THREADS) as threads:
        assert sum(threads.map(score_all, range(N_THREADS))) == 0
