"""Threads and devices that a fit takes, and gives back."""

import threading
from collections.abc import Iterator

import pytest
import torch
from joblib import Parallel, cpu_count, delayed

from skflow.device import THREADED_CELLS, fitting_threads, resolve_device

FEW, MANY = 10, THREADED_CELLS


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_a_thread(function) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def threads_of_a_new_thread() -> int:
    found: list[int] = []
    in_a_thread(lambda: found.append(torch.get_num_threads()))
    return found[0]


def test_small_fits_take_one_thread() -> None:
    with fitting_threads(FEW):
        assert torch.get_num_threads() == 1
        with fitting_threads(FEW):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with fitting_threads(MANY):
        assert torch.get_num_threads() == 3


def test_threads_come_back_after_a_failure() -> None:
    with pytest.raises(KeyboardInterrupt), fitting_threads(FEW):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("first_out", [0, 1])
def test_threads_come_back_where_two_fits_overlap(first_out: int) -> None:
    """In the threads of the fits, in those already there, and in those to come."""
    inside = [threading.Event(), threading.Event()]
    leave = [threading.Event(), threading.Event()]
    during, after = {}, {}

    def fit(which: int) -> None:
        with fitting_threads(FEW):
            inside[which].set()
            leave[which].wait()
            during[which] = torch.get_num_threads()
        after[which] = torch.get_num_threads()

    fits = [threading.Thread(target=fit, args=(which,)) for which in (0, 1)]
    for which, thread in enumerate(fits):
        thread.start()
        inside[which].wait()
    for which in (first_out, 1 - first_out):
        leave[which].set()
        fits[which].join()
    assert during == {0: 1, 1: 1}
    assert after == {0: 3, 1: 3}
    assert torch.get_num_threads() == threads_of_a_new_thread() == 3


@pytest.mark.slow
def test_workers_of_joblib_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """GridSearchCV with ``n_jobs`` starts such workers: none takes more than its share."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = Parallel(n_jobs=2, backend="loky")(delayed(torch.get_num_threads)() for _ in range(4))
    assert max(found) <= max(1, cpu_count() // 2)


def test_devices() -> None:
    assert resolve_device("cpu", 10**9).type == "cpu"
    assert resolve_device("auto", 1).type == "cpu"
    assert resolve_device(torch.device("cpu"), 1).type == "cpu"
    for device in ("mps", "meta", "abacus"):
        with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or 'cuda"):
            resolve_device(device, 1)


def test_auto_takes_cuda_where_the_work_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto", 10**9).type == "cuda"
    assert resolve_device("auto", 100).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto", 10**9).type == "cpu"
    with pytest.raises(ValueError, match="torch finds no CUDA device"):
        resolve_device("cuda", 10**9)
