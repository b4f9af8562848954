"""Stacked policies: the same function as a plain network of each run, and initial parameters as promised."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.policy import ALIGNMENT, Initialization, PolicyShape

TABLE = PolicyShape(inputs=5, hidden_sizes=None, actions=3)
LINEAR = PolicyShape(inputs=5, hidden_sizes=(), actions=3)
MLP = PolicyShape(inputs=5, hidden_sizes=(8, 7), actions=3)
SHAPES = pytest.mark.parametrize("shape", [TABLE, LINEAR, MLP], ids=["table", "linear", "mlp"])
HOW = pytest.mark.parametrize("how", ["orthogonal", "torch", "small_uniform"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_theta(shape: PolicyShape, runs: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Parameters [R, P] of no special kind; 0 in the padding, as everywhere."""
    theta = torch.zeros(runs, shape.parameters, dtype=dtype)
    used = sum(map(math.prod, shape.shapes))
    theta[:, :used] = torch.randn(runs, used, generator=generator(1), dtype=dtype)
    return theta


def network(shape: PolicyShape, theta: Tensor) -> torch.nn.Sequential:
    """One run's policy as everybody writes it in torch."""
    assert shape.hidden_sizes is not None
    widths = [shape.inputs, *shape.hidden_sizes, shape.actions]
    linears = [torch.nn.Linear(a, b, dtype=theta.dtype) for a, b in pairwise(widths)]
    layers = [view[0] for view in shape.split(theta[None])]
    with torch.no_grad():
        for linear, weight, bias in zip(linears, layers[::2], layers[1::2], strict=True):
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
    modules: list[torch.nn.Module] = []
    for linear in linears:
        modules += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*modules[:-1])


# --- the layout of the flat buffer ---


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.none() | st.lists(st.integers(1, 9), max_size=3).map(tuple), st.integers(2, 6))
def test_the_layers_tile_the_buffer_in_order(inputs: int, hidden: tuple[int, ...] | None, actions: int) -> None:
    shape = PolicyShape(inputs, hidden, actions)
    buffer = torch.arange(2 * shape.parameters).reshape(2, -1)
    layers = shape.split(buffer)
    assert [tuple(layer.shape[1:]) for layer in layers] == shape.shapes
    assert len(shape.labels) == len(set(shape.labels)) == len(layers)
    flat = torch.cat([layer.reshape(2, -1) for layer in layers], dim=1)
    used = flat.shape[1]
    assert torch.equal(flat, buffer[:, :used])
    assert used <= shape.parameters < used + ALIGNMENT
    assert shape.parameters % ALIGNMENT == 0
    layers[0].zero_()  # views, not copies
    assert (buffer[:, : math.prod(shape.shapes[0])] == 0).all()


def test_layers_are_named_in_order() -> None:
    assert TABLE.labels == ["logits"]
    assert LINEAR.labels == ["weight_0", "bias_0"]
    assert MLP.labels == ["weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2"]


# --- the function ---


@pytest.mark.parametrize("shape", [LINEAR, MLP], ids=["linear", "mlp"])
def test_logits_are_those_of_a_plain_network_of_each_run(shape: PolicyShape) -> None:
    theta = random_theta(shape, runs=3)
    rows = torch.randn(3, 6, shape.inputs, generator=generator(2), dtype=torch.float64)
    for_rows = shape.logits(theta, rows)
    for_states = shape.logits(theta)
    states = torch.eye(shape.inputs, dtype=torch.float64)
    for run in range(3):
        plain = network(shape, theta[run])
        torch.testing.assert_close(for_rows[run], plain(rows[run]), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(for_states[run], plain(states), rtol=1e-13, atol=1e-13)


def test_a_table_has_one_free_logit_for_each_state_and_action() -> None:
    theta = random_theta(TABLE, runs=2)
    states = torch.eye(TABLE.inputs, dtype=torch.float64).expand(2, -1, -1)
    assert torch.equal(TABLE.logits(theta), theta[:, :15].reshape(2, 5, 3))
    assert torch.equal(TABLE.logits(theta, states), TABLE.logits(theta))


def test_no_hidden_layer_is_a_table_plus_a_bias_shared_by_all_states() -> None:
    theta = random_theta(LINEAR, runs=2)
    weight, bias = LINEAR.split(theta)
    assert torch.equal(LINEAR.logits(theta), weight + bias[:, None])


@pytest.mark.parametrize("shape", [TABLE, LINEAR, MLP, PolicyShape(51, (64, 6), 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_does_not_know_its_neighbours(shape: PolicyShape, dtype: torch.dtype) -> None:
    theta = random_theta(shape, runs=7, dtype=dtype)
    rows = torch.randn(7, 6, shape.inputs, generator=generator(2), dtype=dtype)
    together, of_rows = shape.logits(theta), shape.logits(theta, rows)
    for run in range(7):
        alone = theta[run : run + 1]
        assert torch.equal(shape.logits(alone)[0], together[run])
        assert torch.equal(shape.logits(alone, rows[run : run + 1])[0], of_rows[run])


# --- initial parameters ---


def initial(
    shape: PolicyShape, how: Initialization, policy: Sequence[float] | None = None, seed: int = 0
) -> Tensor:
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal(shape.parameters) if how == "orthogonal" else rng.random(shape.parameters)
    return torch.from_numpy(shape.initial(numbers, how, policy))


def layers_of(shape: PolicyShape, how: Initialization, seed: int = 0) -> list[Tensor]:
    theta = initial(shape, how, seed=seed)
    return [layer[0] for layer in shape.split(theta[None])]


def assert_uniform(values: Tensor, bound: float) -> None:
    """U(-bound, bound) has mean 0 and variance bound^2 / 3; the variance of its square is 4 bound^4 / 45."""
    n = values.numel()
    assert values.abs().max() <= bound
    assert values.abs().max() > bound * (1 - 7 / n)  # all below: exp(-7), one in a thousand
    assert abs(values.mean()) < 3.29 * bound / math.sqrt(3 * n)  # 99.9 %, two-sided normal
    assert abs(values.square().mean() - bound**2 / 3) < 3.29 * bound**2 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize(("inputs", "hidden"), [(51, (64, 64)), (100, (32,)), (8, (64, 16))])
def test_orthogonal_layers_have_equal_singular_values(inputs: int, hidden: tuple[int, ...]) -> None:
    layers = layers_of(PolicyShape(inputs, hidden, 4), "orthogonal")
    weights, biases = layers[::2], layers[1::2]
    for weight, gain in zip(weights, [math.sqrt(2)] * len(hidden) + [0.01], strict=True):
        singular = torch.linalg.svdvals(weight)
        torch.testing.assert_close(singular, torch.full_like(singular, gain), rtol=1e-10, atol=0)
    assert all((bias == 0).all() for bias in biases)


def test_torchs_habit_is_uniform_within_one_over_the_root_of_the_inputs_biases_too() -> None:
    layers = layers_of(PolicyShape(100, (300, 200), 4), "torch")
    for layer, fan_in in zip(layers[:4], [100, 100, 300, 300], strict=True):
        assert_uniform(layer, 1 / math.sqrt(fan_in))
    assert layers[5].abs().max() <= 1 / math.sqrt(200)
    # The same rule as torch.nn.Linear's.
    theirs = torch.nn.Linear(100, 300)
    assert theirs.weight.abs().max() <= 1 / math.sqrt(100)
    assert theirs.bias.abs().max() <= 1 / math.sqrt(100)


def test_small_uniform_starts_near_the_uniform_policy() -> None:
    shape = PolicyShape(100, (300, 200), 50)
    layers = layers_of(shape, "small_uniform")
    bounds = [1 / math.sqrt(3), 1 / math.sqrt(300), 0.1 / math.sqrt(200)]
    for weight, bound in zip(layers[::2], bounds, strict=True):
        assert_uniform(weight, bound)
    assert all((bias == 0).all() for bias in layers[1::2])


def test_a_table_starts_uniform() -> None:
    hows: tuple[Initialization, ...] = ("orthogonal", "torch", "small_uniform")
    for how in hows:
        assert (initial(TABLE, how) == 0).all()


@SHAPES
@HOW
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("policy", [(0.9, 0.05, 0.05), (0.2, 0.3, 0.5)])
def test_an_initial_policy_holds_in_every_state(
    shape: PolicyShape, how: Initialization, dtype: torch.dtype, policy: Sequence[float]
) -> None:
    theta = initial(shape, how, policy).to(dtype)
    pi = torch.softmax(shape.logits(theta[None]), -1)
    expected = torch.tensor(policy, dtype=dtype).expand_as(pi)
    precision = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(pi, expected, rtol=precision, atol=0)


@SHAPES
@HOW
def test_initial_parameters_come_from_the_runs_own_numbers(shape: PolicyShape, how: Initialization) -> None:
    torch.manual_seed(5)
    untouched = torch.random.get_rng_state()
    np_state = repr(np.random.get_state())  # noqa: NPY002  (that nobody uses it is the point)
    first = initial(shape, how, seed=3)
    assert torch.equal(torch.random.get_rng_state(), untouched)
    assert repr(np.random.get_state()) == np_state  # noqa: NPY002
    torch.manual_seed(6)
    assert torch.equal(initial(shape, how, seed=3), first)
    if shape.hidden_sizes is not None:
        assert not torch.equal(initial(shape, how, seed=4), first)


@SHAPES
@HOW
def test_the_padding_starts_at_zero(shape: PolicyShape, how: Initialization) -> None:
    used = sum(map(math.prod, shape.shapes))
    assert used < shape.parameters  # these shapes have some
    assert (initial(shape, how)[used:] == 0).all()
