"""Probabilities of labels: they sum to 1, and latents give the labels back."""

import copy
import itertools
from functools import cache

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.special import ndtr, ndtri
from torch import Tensor

from skflow.flow.batch import Batch
from skflow.flow.categorical import AutoregressiveCategorical
from skflow.initialization.label_tree import fit_label_tree
from skflow.training.optimizer import AdamW
from tests.laws import seeded

N_LABELS = (3, 2, 5, 1)
UNSEEN = (0.1, 1e-9, 1e-3, 0.2)


def training_labels(n_rows: int = 300) -> Tensor:
    """Each column depends on the one before; some labels are never seen, label 4 nearly so."""
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=n_rows)
    second = (first + (rng.random(n_rows) < 0.2)) % 2
    third = np.minimum(first + second, rng.integers(4, size=n_rows))
    third[0] = 4
    return torch.tensor(np.stack((first, second, third, np.zeros(n_rows, dtype=int))))


def batch_of(labels: Tensor) -> Batch:
    """Rows of labels alone."""
    return Batch(labels, torch.empty(0, labels.shape[1], device=labels.device))


def untrained(
    n_labels: tuple[int, ...] = N_LABELS, labels: Tensor | None = None, n_groups: int | None = None
) -> AutoregressiveCategorical:
    start = fit_label_tree(training_labels() if labels is None else labels, n_labels)
    start = start if n_groups is None else start._replace(n_groups=n_groups)
    unseen = UNSEEN[: len(n_labels)]
    return AutoregressiveCategorical(
        n_labels, unseen, start, width=8, dropout=0.0, generator=seeded(0)
    ).eval()


@cache
def trained() -> AutoregressiveCategorical:
    model, labels = untrained(), training_labels()
    optimizer = AdamW(model, weight_decay=0.0, max_norm=5.0)
    for _ in range(60):
        (-model.log_prob(batch_of(labels)).mean()).backward()
        optimizer.step(0.05)
    return model


def randomised(size: float = 1.0, n_groups: int | None = None) -> AutoregressiveCategorical:
    """Logits of order ``size``: at 20, most labels have the least probability there is."""
    model = untrained(n_groups=n_groups)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=seeded(1), dtype=torch.float64)
            last = size if name.startswith("groups") and name.endswith("weight") else 1.0
            parameter.copy_(last * noise)
            if name.endswith("floor_logit"):
                parameter.fill_(-40.0 if size > 1 else 0.0)
    return model


MODELS = {
    "untrained": untrained,
    "trained": lambda: copy.deepcopy(trained()),
    "randomised": randomised,
    "extreme": lambda: randomised(20.0),
    "grouped": lambda: randomised(n_groups=3),
}
every_model = pytest.mark.parametrize("name", MODELS)


def all_labels(n_labels: tuple[int, ...] = N_LABELS, *, unseen: bool = True) -> Tensor:
    """Every combination, "never seen" among them."""
    ranges = [range(n + unseen) for n in n_labels]
    return torch.tensor(list(itertools.product(*ranges))).T.contiguous()


def no_novel(labels: Tensor) -> Tensor:
    return torch.full(labels.shape, torch.nan, dtype=torch.float64)


@every_model
def test_probabilities_of_all_combinations_sum_to_one(name: str) -> None:
    model = MODELS[name]()
    with torch.inference_mode():
        total = model.log_prob(batch_of(all_labels())).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-12)


@every_model
def test_a_label_never_seen_has_its_own_probability(name: str) -> None:
    """Whatever the other labels are."""
    model, labels = MODELS[name](), all_labels()
    with torch.inference_mode():
        probability = model.log_prob(batch_of(labels)).exp()
    for j, (size, unseen) in enumerate(zip(N_LABELS, UNSEEN, strict=True)):
        found = probability[labels[j] == size].sum()
        assert float(found) == pytest.approx(unseen, rel=1e-9)


def slow_log_prob(model: AutoregressiveCategorical, row: np.ndarray) -> float:
    """The module's formula, one column after the other, with NumPy."""
    state = {name: p.detach().numpy() for name, p in model.state_dict().items()}
    offsets = np.cumsum([0, *(size + 1 for size in N_LABELS)])
    before, total = np.zeros(state["weight"].shape[1]), 0.0
    n_groups, group = len(state["bias"]), -1
    for j, size in enumerate(N_LABELS):
        if j * n_groups >= (group + 1) * len(N_LABELS):  # the first column of a group
            group, prefix = group + 1, before
        if row[j] == size:
            total += np.log(UNSEEN[j])
        else:
            h = prefix + state["bias"][group]
            inner = np.maximum(state["block.first.weight"] @ np.maximum(h, 0), -np.inf)
            inner = np.maximum(inner + state["block.first.bias"], 0)
            h = h + state["block.second.weight"] @ inner + state["block.second.bias"]
            heads, g = next(
                (heads, heads.columns.tolist().index(j))
                for heads in model.groups
                if j in heads.columns.tolist()
            )
            parent = int(heads.parents[g])
            start = heads.table[heads.first_row[g] + (row[parent] if parent >= 0 else 0)]
            logits = start + heads.bias[g, :, 0] + heads.weight[g] @ torch.tensor(h).clamp_min(0)
            softmax = torch.softmax(logits[:size], dim=0)
            floor = heads._floor()[g].squeeze()
            share = (1 - floor) * softmax + floor * heads.frequencies[g, :size, 0]
            total += np.log1p(-UNSEEN[j]) + np.log(float(share[row[j]]))
        before = before + state["weight"][offsets[j] + row[j]]
    return total


@every_model
def test_log_prob_is_the_stated_formula(name: str) -> None:
    model, labels = MODELS[name](), all_labels()
    with torch.no_grad():
        found = model.log_prob(batch_of(labels))
        expected = [slow_log_prob(model, row) for row in labels.T.numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@every_model
def test_every_label_has_a_probability(name: str) -> None:
    """Of at least 1e-9 given the labels before it, so that its interval can be found again."""
    model, labels = MODELS[name](), all_labels(unseen=False)
    with torch.no_grad():
        before, starts = model._embeddings_before(labels), model._starts(None)
        for j, size in enumerate(N_LABELS):
            _, share = model._intervals(j, before[model._group(j)], labels, starts)
            assert share.shape == (size, labels.shape[1])
            assert float(share.min()) >= 0.999e-9
            torch.testing.assert_close(share.sum(dim=0), torch.ones(labels.shape[1]).double())


@every_model
def test_labels_come_back(name: str) -> None:
    model, labels = MODELS[name](), all_labels(unseen=False)
    with torch.inference_mode():
        z = model.latents(labels, no_novel(labels))
        back, novel = model.inverse(z)
    assert torch.isfinite(z).all()
    assert torch.equal(back, labels)
    assert novel.isnan().all()


@every_model
def test_labels_come_back_in_other_batches(name: str) -> None:
    """Of 1 row, and of latents that are 1e-13 off."""
    model, labels = MODELS[name](), all_labels(unseen=False)
    with torch.inference_mode():
        together = model.latents(labels, no_novel(labels))
        for i in range(0, labels.shape[1], 3):
            row = labels[:, i : i + 1]
            z = model.latents(row, no_novel(row))
            torch.testing.assert_close(z, together[:, i : i + 1], rtol=1e-9, atol=1e-9)
            assert torch.equal(model.inverse(z)[0], row)
        for shift in (-1e-13, 1e-13):
            assert torch.equal(model.inverse(together + shift)[0], labels)


# Coordinates of numbers never seen: a value of 1e308 is sent to some 700 by asinh.
WIDE = np.concatenate((-np.geomspace(1e3, 1e-9, 40), [0.0], np.geomspace(1e-9, 1e3, 40)))


@every_model
@pytest.mark.parametrize("column", range(4))
def test_numbers_never_seen_come_back(name: str, column: int) -> None:
    """Known labels before and after them as well."""
    model = MODELS[name]()
    labels = torch.tensor([[2], [1], [3], [0]]).repeat(1, len(WIDE))
    labels[column] = N_LABELS[column]
    novel = no_novel(labels)
    novel[column] = torch.tensor(WIDE)
    with torch.inference_mode():
        back, novel_back = model.inverse(model.latents(labels, novel))
    assert torch.equal(back, labels)
    torch.testing.assert_close(novel_back, novel, rtol=1e-11, atol=1e-11, equal_nan=True)


def test_latents_of_labels_are_ordered() -> None:
    """Numbers far left, known labels in order, numbers far right."""
    model = randomised()
    labels = torch.tensor([[2], [1], [3], [0]])
    for column, size in enumerate(N_LABELS):
        rows = labels.repeat(1, size + 8)
        rows[column] = torch.tensor([*[size] * 4, *range(size), *[size] * 4])
        novel = no_novel(rows)
        novel[column, :4] = torch.tensor([-1e3, -1.0, -1e-2, -1e-5])
        novel[column, -4:] = torch.tensor([1e-5, 1e-2, 1.0, 1e3])
        with torch.inference_mode():
            z = model.latents(rows, novel)
        assert (z[column].diff() > 0).all()


def test_latents_are_quantiles_of_the_middle_of_intervals() -> None:
    model = randomised()
    labels = torch.tensor([[0, 1, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    with torch.inference_mode():
        combinations = all_labels()
        probability = model.log_prob(batch_of(combinations)).exp()
        z = model.latents(labels, no_novel(labels))[0].numpy()
    share = [float(probability[combinations[0] == k].sum()) for k in range(3)]
    below = UNSEEN[0] / 2 + np.cumsum(share) - share
    np.testing.assert_allclose(z, ndtri(below + np.array(share) / 2), rtol=1e-9)


@every_model
def test_normal_latents_become_labels_as_often_as_they_are_probable(name: str) -> None:
    model = MODELS[name]()
    z = torch.randn(4, 40_000, generator=seeded(3), dtype=torch.float64)
    with torch.inference_mode():
        drawn, novel = model.inverse(z)
        combinations = all_labels()
        probability = model.log_prob(batch_of(combinations)).exp().numpy()
    flat = np.ravel_multi_index(drawn.numpy(), [size + 1 for size in N_LABELS])
    frequency = np.bincount(flat, minlength=combinations.shape[1]) / z.shape[1]
    deviation = np.sqrt(probability * (1 - probability) / z.shape[1]) + 1e-9
    assert np.abs((frequency - probability) / deviation)[probability > 1e-4].max() < 5
    assert torch.equal(novel.isnan(), drawn < torch.tensor(N_LABELS)[:, None])


def test_latents_can_be_kept_to_known_labels() -> None:
    model = randomised()
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64).repeat(4, 1)
    with torch.inference_mode():
        moved = model.known_latents(z)
        labels, novel = model.inverse(moved)
    assert (moved.diff(dim=1) >= 0).all()
    assert novel.isnan().all()
    assert (labels < torch.tensor(N_LABELS)[:, None]).all()
    # Half of the mass of "never seen" was at either end: the middle stays.
    assert ndtr(moved[:, 2000].numpy()) == pytest.approx(0.5)


def test_density_of_numbers_never_seen_integrates_to_one() -> None:
    model = untrained()

    def density(u: float) -> float:
        novel = torch.tensor([[np.sinh(u)]], dtype=torch.float64)
        return float(model.novel_log_prob(novel).exp()) * np.cosh(u)

    assert integrate.quad(density, -40, 40, limit=500)[0] == pytest.approx(1, abs=1e-6)
    together = torch.tensor([[0.5, torch.nan], [torch.nan, torch.nan], [2.0, torch.nan]])
    apart = model.novel_log_prob(together[[0], :1]) + model.novel_log_prob(together[[2], :1])
    torch.testing.assert_close(model.novel_log_prob(together)[:1], apart)
    assert model.novel_log_prob(together)[1] == 0


@every_model
def test_float32_agrees_with_float64(name: str) -> None:
    model, labels = MODELS[name](), all_labels()
    with torch.inference_mode():
        expected = model.log_prob(batch_of(labels))
        found = model.float().log_prob(batch_of(labels))
    assert found.dtype == torch.float32
    tolerance = 0.1 if name == "extreme" else 1e-4  # logits of 100 lose five digits
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=tolerance)


@pytest.mark.cuda
@every_model
def test_cuda_agrees_with_cpu(name: str) -> None:
    model, labels = MODELS[name](), all_labels(unseen=False)
    with torch.inference_mode():
        expected = model.log_prob(batch_of(labels)), model.latents(labels, no_novel(labels))
        model, labels = model.cuda(), labels.cuda()
        z = model.latents(labels, no_novel(labels).cuda())
        torch.testing.assert_close(model.log_prob(batch_of(labels)).cpu(), expected[0])
        torch.testing.assert_close(z.cpu(), expected[1], rtol=1e-9, atol=1e-9)
        assert torch.equal(model.inverse(z)[0], labels)


@every_model
def test_gradients_are_finite(name: str) -> None:
    model = MODELS[name]().train()
    model.log_prob(batch_of(all_labels())).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_no_labelled_column_is_certain() -> None:
    model = untrained((), torch.empty(0, 5, dtype=torch.int64))
    labels = torch.empty(0, 5, dtype=torch.int64)
    assert model.log_prob(batch_of(labels)).tolist() == [0.0] * 5
    assert not model.has_more_to_learn


def test_a_thousand_levels_stay_affordable() -> None:
    """Memory grows with the levels, not with their square: one head, no table of pairs."""
    rng = np.random.default_rng(0)
    labels = torch.tensor(np.stack([rng.integers(n, size=3000) for n in (1000, 1000, 3)]))
    model = untrained((1000, 1000, 3), labels)
    n_parameters = sum(p.numel() for p in model.parameters())
    assert model.entries_per_row <= 2 * 1024
    assert n_parameters <= 2003 * 8 + 2 * 1024 * 10 + 1000
    assert sum(b.numel() for b in model.buffers()) < 20_000
