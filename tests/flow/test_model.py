"""The whole model, its weights random, with and without conditions."""

import copy
import inspect
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from skflow.flow import rational_quadratic
from skflow.flow.batch import Batch
from skflow.flow.effects import LabelEffects
from skflow.flow.model import Latents, Model, Rows
from skflow.flow.recipe import ConditionSizes, FlowRecipe, model_state, restore_model
from skflow.initialization.label_tree import fit_label_tree
from skflow.initialization.marginals import fit_marginals
from tests.laws import (
    BOUND,
    Case,
    mixture,
    normal_rows,
    random_labels,
    relative_error,
    seeded,
    skewed_table,
)

N_GIVEN_LABELS = (4, 2)
N_GIVEN_VALUES = 3
CONDITION = ConditionSizes(N_GIVEN_LABELS, N_GIVEN_VALUES)

# Known labels, and columns of values with the label that says "a value".
LAYOUTS = {
    "numbers": ((), ((-1, 0, 1),) * 4),
    "one number": ((), ((-1, 0, 1),)),
    "labels": ((3, 2, 4), ()),
    "one label": ((3,), ()),
    "a label and a number": ((3,), ((0, 1, 2),)),
    "both": ((3, 2), ((-1, 0, 1), (1, 1, 2), (-1, 0, 1), (0, 1, 3))),
}
every_layout = pytest.mark.parametrize("name", LAYOUTS)
given_or_not = pytest.mark.parametrize("has_condition", [False, True], ids=["alone", "given"])


def model_of(name: str, has_condition: bool) -> tuple[Model, FlowRecipe]:
    """Return a model as the initialization leaves it."""
    n_labels, value_labels = LAYOUTS[name]
    recipe = FlowRecipe(
        n_layers=2,
        hidden_units=16,
        n_bins=5,
        dropout=0.0,
        bound=BOUND,
        n_labels=n_labels,
        unseen=(0.1, 1e-3, 0.02)[: len(n_labels)],
        value_labels=value_labels,
        given=CONDITION if has_condition else None,
    )
    n_columns = len(value_labels)
    labels = random_labels(200, n_labels=tuple(n - 1 for n in n_labels)) if n_labels else None
    start = fit_label_tree(torch.empty(0, 200).long() if labels is None else labels, n_labels)
    components = mixture(0.5, 3, n_columns, Case(missing=True), recipe.n_given)
    if recipe.n_entries:
        n_effects = 3 + n_columns + recipe.n_given
        table = torch.randn(recipe.n_entries, n_effects, generator=seeded(4)) / 2
        components.effects.append(LabelEffects(table.double()))
    given_marginals = fit_marginals(skewed_table()[:N_GIVEN_VALUES].T.numpy(), 8)
    return (
        recipe.build(
            start,
            fit_marginals(skewed_table()[:n_columns].T.numpy(), 8),
            components,
            seeded(0),
            given_marginals if has_condition else None,
        ),
        recipe,
    )


def randomized(name: str, has_condition: bool) -> Model:
    """Return a model in which labels, values and conditions all matter."""
    model, _ = model_of(name, has_condition)
    generator = seeded(5)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            fan_in = parameter.shape[-1] if parameter_name.endswith("weight") else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += noise / (2 * max(1, fan_in) ** 0.5)
    return model


def rows_of(name: str, n_rows: int) -> Rows:
    """Rows with novel labels, novel numbers, and values where the labels say so."""
    n_labels, value_labels = LAYOUTS[name]
    labels = random_labels(n_rows, 3, n_labels) if n_labels else torch.empty(0, n_rows).long()
    sizes = torch.tensor(n_labels).view(-1, 1)
    numbers = torch.randn(labels.shape, generator=seeded(4), dtype=torch.float64)
    novel = numbers.where((labels == sizes) & (numbers > 0), torch.nan)
    values = skewed_table(n_rows)[: len(value_labels)]
    for j, (column, first, end) in enumerate(value_labels):
        if column >= 0:
            has_value = (labels[column] >= first) & (labels[column] < end)
            values[j, ~has_value] = torch.nan
    return Rows(labels, novel, values)


def conditions(n_rows: int, seed: int = 9) -> Rows:
    """Conditions of labels and numbers, a third of which are missing, some far out."""
    labels = random_labels(n_rows, seed, N_GIVEN_LABELS)
    values = 3 * normal_rows(n_rows, seed, N_GIVEN_VALUES)
    missing = torch.rand(values.shape, generator=seeded(seed + 1)) < 1 / 3
    nothing = torch.full(labels.shape, torch.nan, dtype=torch.float64)
    return Rows(labels, nothing, values.masked_fill(missing, torch.nan))


def given(has_condition: bool, n_rows: int, seed: int = 9) -> Rows | None:
    return conditions(n_rows, seed) if has_condition else None


def repeat(rows: Rows, n: int) -> Rows:
    """The first row, n times."""
    return Rows(*(part[:, :1].expand(-1, n) for part in rows))


@given_or_not
@every_layout
@pytest.mark.parametrize("n_rows", [1, 300])
def test_inverse_undoes_latents(name: str, has_condition: bool, n_rows: int) -> None:
    model, rows = randomized(name, has_condition), rows_of(name, n_rows)
    condition = given(has_condition, n_rows)
    with torch.no_grad():
        back = model.inverse(model.latents(rows, condition), condition)
    assert torch.equal(back.labels, rows.labels)
    assert relative_error(back.novel, rows.novel) < 1e-6
    assert relative_error(back.values, rows.values) < 1e-8


@given_or_not
@every_layout
def test_log_prob_is_that_of_the_map(name: str, has_condition: bool) -> None:
    """Values: log-determinant by autodiff, row by row. Labels: the width of their interval."""
    model, rows = randomized(name, has_condition), rows_of(name, 6)
    condition = given(has_condition, 6)
    found = model.log_prob(rows, condition)
    expected = model.label_log_probs(rows.labels, condition).sum(dim=0)
    expected = expected + model.novel_log_prob(rows.novel)
    for i in range(6):
        row = Rows(*(part[:, i : i + 1] for part in rows))
        one = None if condition is None else Rows(*(part[:, i : i + 1] for part in condition))
        present = ~row.values[:, 0].isnan()

        def latents(x: Tensor, row: Rows = row, one=one, present: Tensor = present) -> Tensor:
            values = row.values.clone()
            values[present, 0] = x
            return model.latents(row._replace(values=values), one).values[present, 0]

        x = row.values[present, 0]
        if len(x):
            jacobian = torch.autograd.functional.jacobian(latents, x)
            base = torch.distributions.Normal(0.0, 1.0).log_prob(latents(x)).sum()
            expected[i] += base + torch.linalg.slogdet(jacobian).logabsdet
    assert relative_error(found.detach(), expected.detach()) < 1e-8


@given_or_not
@every_layout
def test_rows_do_not_depend_on_their_batch(name: str, has_condition: bool) -> None:
    model, rows = randomized(name, has_condition), rows_of(name, 500)
    condition = given(has_condition, 500)
    with torch.no_grad():
        together = model.log_prob(rows, condition)
        for i in range(0, 500, 50):
            row = Rows(*(part[:, i : i + 1] for part in rows))
            one = None if condition is None else Rows(*(p[:, i : i + 1] for p in condition))
            assert relative_error(model.log_prob(row, one), together[i : i + 1]) < 1e-9


@given_or_not
@pytest.mark.parametrize("name", ["labels", "one label"])
def test_probabilities_sum_to_one(name: str, has_condition: bool) -> None:
    model, (n_labels, _) = randomized(name, has_condition), LAYOUTS[name]
    everything = itertools.product(*(range(n + 1) for n in n_labels))
    labels = torch.tensor(list(everything)).T.contiguous()
    nothing = torch.full(labels.shape, torch.nan, dtype=torch.float64)
    rows = Rows(labels, nothing, torch.empty(0, labels.shape[1], dtype=torch.float64))
    for seed in range(4):
        condition = repeat(conditions(1, seed), labels.shape[1]) if has_condition else None
        with torch.no_grad():
            total = model.log_prob(rows, condition).exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-10)


@given_or_not
def test_density_integrates_to_one(has_condition: bool) -> None:
    model = randomized("one number", has_condition)
    with torch.no_grad():  # a grid of the latent's quantiles: dense where the density is
        y = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[None]
        x, log_slope = model.marginals.inverse_and_log_det(y)
        labels = torch.empty(0, x.shape[1])
        rows = Rows(labels.long(), labels, x)
        for seed in range(3):
            condition = repeat(conditions(1, seed), x.shape[1]) if has_condition else None
            density = (model.log_prob(rows, condition) + log_slope).exp()
            assert float(torch.trapezoid(density, y[0])) == pytest.approx(1, abs=1e-4)


def test_densities_of_labels_and_values_sum_to_one() -> None:
    """A label says whether there is a value: summed over labels, integrated over the value."""
    n_labels, value_labels = (3,), ((0, 2, 3),)
    LAYOUTS["small"] = (n_labels, value_labels)
    try:
        model = randomized("small", has_condition=True)
    finally:
        del LAYOUTS["small"]
    with torch.no_grad():
        y = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[None]
        x, log_slope = model.marginals.inverse_and_log_det(y)
        nothing = torch.full_like(x, torch.nan)
        for seed in range(3):
            condition = conditions(1, seed)
            total = 0.0
            for label in (0, 1, 3):
                labels = torch.tensor([[label]])
                rows = Rows(labels, nothing[:, :1], nothing[:, :1])
                total += float(model.log_prob(rows, condition).exp())
            rows = Rows(torch.full(x.shape, 2), nothing, x)
            density = model.log_prob(rows, repeat(condition, x.shape[1])) + log_slope
            total += float(torch.trapezoid(density.exp(), y[0]))
            assert total == pytest.approx(1, abs=1e-4)


@every_layout
def test_other_conditions_give_other_densities(name: str) -> None:
    """Labels, numbers and missing values of a condition matter, each alone."""
    model, rows = randomized(name, has_condition=True), rows_of(name, 200)
    # Novel labels have a probability of their own, whatever the condition.
    sizes = torch.tensor(LAYOUTS[name][0]).view(-1, 1)
    rows = rows._replace(labels=torch.where(rows.labels == sizes, 0, rows.labels))
    condition = conditions(200)
    # Numbers that encoders do not clamp.
    labels, values = condition.labels.clone(), condition.values.clamp(0.2, 1)
    condition = condition._replace(values=values)
    labels[0] = (labels[0] + 1) % (N_GIVEN_LABELS[0] + 1)
    others = {
        "labels": condition._replace(labels=labels),
        "numbers": condition._replace(values=values * 0.9 + 0.1),
        "missing": condition._replace(values=values.nan_to_num(0.0)),
    }
    with torch.no_grad():
        usual = model.log_prob(rows, condition)
        for other in others.values():
            differ = (other.labels != condition.labels).any(dim=0)
            now = other.values.nan_to_num(7.0) != condition.values.nan_to_num(7.0)
            differ |= now.any(dim=0)
            changed = model.log_prob(rows, other) != usual
            assert changed[differ].double().mean() > 0.95
            assert not changed[~differ].any()


def test_novel_numbers_of_a_condition_count_as_novel_labels() -> None:
    model, rows, condition = randomized("both", True), rows_of("both", 50), conditions(50)
    other = condition._replace(novel=torch.ones_like(condition.novel))
    with torch.no_grad():
        assert torch.equal(model.log_prob(rows, condition), model.log_prob(rows, other))


@every_layout
def test_values_start_from_the_conditional_of_a_mixture(name: str) -> None:
    """Density of the mixture of condition and row, over that of the condition alone.

    Probabilities of labels start from those without a condition.
    """
    rows = rows_of(name, 100)
    alone, _ = model_of(name, False)
    model, _ = model_of(name, True)
    batch, _ = model.gaussianize(rows, conditions(100))
    assert batch.given is not None
    joint = copy.deepcopy(model.flow.mixture)
    joint.n_given, joint.effects = 0, joint.effects[:-1]
    with torch.no_grad():
        context = model.flow.context(batch.labels, batch.given)
        nothing = torch.full_like(batch.y, torch.nan)
        both, condition = (torch.cat((batch.given.y, y)) for y in (batch.y, nothing))
        expected = torch.zeros(100, dtype=torch.float64)
        if len(batch.y):
            expected = joint.log_prob(both, context) - joint.log_prob(condition, context)
        found = model.flow.log_prob(batch)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        of_labels = alone.labels.log_prob(Batch(batch.labels, batch.y))
        torch.testing.assert_close(model.labels.log_prob(batch), of_labels, rtol=1e-12, atol=1e-12)


@every_layout
def test_a_model_without_conditions_has_nothing_of_them(name: str) -> None:
    """The same starting weights of all else, from the same draws, under the same names."""
    alone, with_conditions = (model_of(name, has)[0] for has in (False, True))
    assert not [key for key in alone.state_dict() if "given" in key]
    assert len(alone.flow.mixture.effects) == bool(LAYOUTS[name][0])
    assert alone.flow.mixture.n_given == 0
    own = [key for key in with_conditions.state_dict() if "given" in key or "effects" in key]
    assert bool(own)


@every_layout
def test_both_parts_learn_from_conditions(name: str) -> None:
    """Gradients reach every weight of the condition's encoders, and of effects on values."""
    model, n_rows = randomized(name, has_condition=True), 200
    rows = rows_of(name, n_rows)
    batch, _ = model.gaussianize(rows, conditions(n_rows))
    sum(part.log_prob(batch, quantize=False).sum() for part in model.parts).backward()
    missing = [
        key
        for key, parameter in model.named_parameters()
        if ("given" in key or "effects" in key)
        and (LAYOUTS[name][1] or not key.startswith("flow."))
        and (parameter.grad is None or not parameter.grad.any())
    ]
    assert missing == []
    assert [part.has_more_to_learn for part in model.parts] == [
        bool(LAYOUTS[name][0]),
        bool(LAYOUTS[name][1]),
    ]


@given_or_not
@every_layout
def test_unrounded_inputs_change_little(name: str, has_condition: bool) -> None:
    """Whatever the mode of the modules, which concerns dropout only."""
    model, rows = randomized(name, has_condition), rows_of(name, 100)
    batch, _ = model.gaussianize(rows, given(has_condition, 100))
    near = batch._replace(y=batch.y.clamp(-0.99 * BOUND, 0.99 * BOUND))
    with torch.no_grad():
        exact = [part.log_prob(near) for part in model.parts]
        for part, expected in zip(model.parts, exact, strict=True):
            unrounded = part.log_prob(near, quantize=False)
            torch.testing.assert_close(unrounded, expected, rtol=0, atol=1e-2)
            part.train()
            assert torch.equal(part.log_prob(near), expected)
            assert torch.equal(part.log_prob(near, quantize=False), unrounded)


def test_the_way_to_the_spline_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    formula, ways = rational_quadratic.forward_and_log_derivative, []

    def watched(x: Tensor, cell: rational_quadratic.Bin) -> tuple[Tensor, Tensor]:
        ways.append([f.filename for f in inspect.stack() if "skflow/flow" in f.filename])
        return formula(x, cell)

    monkeypatch.setattr(rational_quadratic, "forward_and_log_derivative", watched)
    model = randomized("both", has_condition=True)
    model.log_prob(rows_of("both", 5), conditions(5))
    assert len(ways) > 2
    # Frames of the call in the flow's files; the formula is one more.
    assert max(len(way) + 1 for way in ways) <= 5
    assert max(len({*way, rational_quadratic.__file__}) for way in ways) <= 4


def test_parts_are_the_log_density() -> None:
    model, rows, condition = randomized("both", True), rows_of("both", 50), conditions(50)
    with torch.no_grad():
        batch, offset = model.gaussianize(rows, condition)
        total = offset + sum(part.log_prob(batch) for part in model.parts)
        by_label = model.label_log_probs(rows.labels, condition).sum(dim=0)
        by_label += model.novel_log_prob(rows.novel)
        by_value = model.value_log_prob(rows.labels, rows.values, condition)
        residuals, log_det = model.residuals(rows.labels, rows.values, condition)
    assert isinstance(batch, Batch)
    log_prob = model.log_prob(rows, condition)
    torch.testing.assert_close(log_prob, total, rtol=1e-12, atol=1e-12)
    inside = (batch.y.abs().nan_to_num(0.0) < BOUND).all(dim=0)
    close = {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close((by_label + by_value)[inside], log_prob[inside], **close)
    torch.testing.assert_close(residuals.log_prob() + log_det, by_value, rtol=1e-9, atol=1e-9)


@given_or_not
def test_draws_have_known_labels_only(has_condition: bool) -> None:
    model = randomized("both", has_condition)
    z = Latents(*(torch.randn(n, 400, generator=seeded(n), dtype=torch.float64) for n in (2, 4)))
    with torch.no_grad():
        rows = model.draw(
            z,
            torch.rand(4, 400, generator=seeded(6), dtype=torch.float64),
            given(has_condition, 400),
        )
        is_within_reach = model.is_within_reach(rows)
    assert (rows.labels < torch.tensor([[3], [2]])).all()
    assert rows.novel.isnan().all()
    assert torch.equal(rows.values[1].isnan(), rows.labels[1] != 1)
    assert is_within_reach.shape == (400,)


@given_or_not
def test_marked_labels_become_novel(has_condition: bool) -> None:
    model, _ = model_of("both", has_condition)
    rows = rows_of("both", 100)
    marked = torch.tensor([True, False, False, False, False, True, False])
    labels = model.with_novel(rows, marked).labels.numpy()
    before = rows.labels.numpy()
    np.testing.assert_array_equal(labels[0], np.where(before[0] == 0, 3, before[0]))
    np.testing.assert_array_equal(labels[1], np.where(before[1] == 1, 2, before[1]))


@given_or_not
@every_layout
def test_state_rebuilds_the_model(name: str, has_condition: bool) -> None:
    model, recipe = model_of(name, has_condition)
    rows, condition = rows_of(name, 20), given(has_condition, 20)
    again = restore_model(recipe, model_state(model))
    with torch.no_grad():
        assert torch.equal(again.log_prob(rows, condition), model.log_prob(rows, condition))


@pytest.mark.parametrize("n_extra", [1, 2**31])
def test_states_of_other_conditions_are_refused(n_extra: int) -> None:
    model, recipe = model_of("both", True)
    sizes = ConditionSizes(N_GIVEN_LABELS, N_GIVEN_VALUES + n_extra)
    with pytest.raises(ValueError, match="given"):
        restore_model(FlowRecipe(**vars(recipe) | {"given": sizes}), model_state(model))
    with pytest.raises(ValueError, match="given"):
        restore_model(FlowRecipe(**vars(recipe) | {"given": None}), model_state(model))


@pytest.mark.parametrize("has_condition", [False, True])
def test_conditions_that_do_not_fit_are_refused(has_condition: bool) -> None:
    model, rows = randomized("both", has_condition), rows_of("both", 5)
    expected = "takes a condition for each row" if has_condition else "takes no condition"
    with pytest.raises(ValueError, match=expected):
        model.log_prob(rows, given(not has_condition, 5))


@pytest.mark.cuda
@every_layout
def test_cuda_agrees_with_cpu(name: str) -> None:
    model, rows, condition = randomized(name, True), rows_of(name, 200), conditions(200)
    with torch.no_grad():
        expected = model.log_prob(rows, condition)
        model.cuda()
        rows, condition = (Rows(*(part.cuda() for part in one)) for one in (rows, condition))
        back = model.inverse(model.latents(rows, condition), condition)
        assert relative_error(model.log_prob(rows, condition).cpu(), expected) < 1e-9
    assert torch.equal(back.labels, rows.labels)
    assert relative_error(back.values, rows.values) < 1e-8


@given_or_not
@every_layout
def test_the_density_of_draws_is_that_of_the_map(name: str, has_condition: bool) -> None:
    """To 1e-5 nats; exactly where a column is so far out that others read it clamped."""
    model, rows = randomized(name, has_condition), rows_of(name, 60)
    with torch.no_grad():
        batch, _ = model.gaussianize(rows, given(has_condition, 60))
        batch.y[:, :20] *= 50
        found, expected = model.flow.log_prob_of_draws(batch), model.flow.log_prob(batch)
    far = (batch.y.abs() > model.flow.mixture.bound).any(dim=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[far], expected[far], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_groups", [200, 32, 5])
def test_groups_of_labels_are_those_of_the_state(n_groups: int) -> None:
    """A file may have one group for each of many columns, as those of version 0.1 have."""
    n_labels = (2,) * 200
    recipe = FlowRecipe(0, 16, 5, 0.0, BOUND, n_labels=n_labels, unseen=(1e-3,) * 200)
    labels = random_labels(50, n_labels=(1,) * 200)
    start = fit_label_tree(labels, n_labels)._replace(n_groups=n_groups)
    components = mixture(0.5, 1, 0, Case(), 0)
    components.effects.append(LabelEffects(torch.zeros(recipe.n_entries, 1).double()))
    model = recipe.build(start, fit_marginals(np.empty((50, 0)), 8), components, seeded(0))
    with torch.inference_mode():
        for heads in model.labels.groups:
            heads.weight.normal_(generator=seeded(1))
        again = restore_model(recipe, model_state(model)).labels
        expected = model.labels.column_log_probs(labels)
        assert torch.equal(again.column_log_probs(labels), expected)
    assert len(again.bias) == n_groups
