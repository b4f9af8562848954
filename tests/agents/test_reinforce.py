"""The loss and the update: laws by enumeration in float64, and plain torch as the oracle of every run.

An expectation over actions is a sum of A terms. The run axis holds them: run a is the run that took action a.
"""

import math
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.information import entropy, entropy_from_log
from agents.policy import PolicyShape
from agents.reinforce import Experience, StackedLearner, loss_terms

SURE = torch.tensor([0.9, 0.05, 0.025, 0.025], dtype=torch.float64)
REWARDS = torch.tensor([0.8, 1.0, 0.4, 0.2], dtype=torch.float64)
Optimizer = Literal["sgd", "adam"]
OPTIMIZERS = pytest.mark.parametrize("optimizer", ["sgd", "adam"])
SHAPES = pytest.mark.parametrize(
    "shape",
    [PolicyShape(5, None, 4), PolicyShape(5, (), 4), PolicyShape(5, (8, 6), 4)],
    ids=["table", "linear", "mlp"],
)
laws = settings(deadline=None, max_examples=40)
four_logits = st.lists(st.floats(-6, 6), min_size=4, max_size=4).map(
    lambda logits: torch.tensor(logits, dtype=torch.float64)
)


def doubles(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def table(logits: Tensor, learning_rate: float = 1.0) -> StackedLearner:
    """Tabular policies with the logits [R, S, A]."""
    runs, states, actions = logits.shape
    shape = PolicyShape(states, None, actions)
    theta = doubles(runs, shape.parameters)
    theta[:, : states * actions] = logits.reshape(runs, -1)
    return StackedLearner(shape, theta, "sgd", learning_rate)


def one_step_each(advantages: Tensor) -> Experience:
    """One state, R = A runs; run a took action a once, with the a-th advantage."""
    actions = len(advantages)
    return Experience(torch.diag(advantages)[:, None], doubles(actions, 1) + 1, doubles(actions) + 1)


def one_visit(advantage: float = 0.0) -> Experience:
    """One run, one state, one step; each action has the same advantage."""
    return Experience(doubles(1, 1, 4) + advantage, doubles(1, 1) + 1, doubles(1) + 1)


def gradient(logits: Tensor, experience: Experience, entropy_coef: float = 0.0) -> Tensor:
    """Gradient of the loss in the logits of every run, [R, S, A]."""
    learner = table(logits)
    learner.step(loss_terms(learner.log_pi(), experience, doubles(len(logits)) + entropy_coef).loss)
    assert learner.theta.grad is not None
    return learner.theta.grad[:, : logits[0].numel()].reshape(logits.shape).clone()


def close(measured: Tensor, expected: Tensor) -> None:
    """Equal but for rounding: a few products and sums of order 1, in double precision."""
    torch.testing.assert_close(measured, expected, rtol=1e-12, atol=1e-12)


# --- the policy gradient ---


@laws
@given(four_logits, st.floats(-2, 2))
def test_the_expected_update_is_the_policy_gradient_whatever_the_baseline(logits: Tensor, baseline: float) -> None:
    pi = torch.softmax(logits, -1)
    each = gradient(logits.expand(4, 1, 4), one_step_each(REWARDS - baseline))
    expected = (pi[:, None] * each[:, 0]).sum(0)
    close(expected, -pi * (REWARDS - pi @ REWARDS))  # descent on the loss is ascent on pi . r


def test_the_score_is_one_hot_minus_the_policy() -> None:
    """d log pi(a) / d theta_b = 1[a = b] - pi(b)."""
    each = gradient(SURE.log().expand(4, 1, 4), one_step_each(doubles(4) + 1))
    close(-each[:, 0], torch.eye(4, dtype=torch.float64) - SURE)


# State 0: actions 0 and 1 end (reward 0.5 and 0), 2 and 3 pay 0.1 and lead to state 1, whose actions pay and end.
TRAJECTORIES = [
    ([(0, 0)], [0.5]),
    ([(0, 1)], [0.0]),
    *(([(0, a), (1, b)], [0.1, float(REWARDS[b])]) for a in (2, 3) for b in range(4)),
]


@pytest.mark.parametrize("discount_weighting", [False, True])
def test_reward_to_go_over_two_steps_is_unbiased(discount_weighting: bool) -> None:
    """With the factor discount^t: the gradient of the discounted return. Without: of each visited state's value,
    counted as often as it is visited."""
    discount, runs = 0.8, len(TRAJECTORIES)
    sums, visits = doubles(runs, 2, 4), doubles(runs, 2)
    for run, (steps, rewards) in enumerate(TRAJECTORIES):
        for t, (state, action) in enumerate(steps):
            weight = discount**t if discount_weighting else 1.0
            visits[run, state] += weight
            sums[run, state, action] += weight * sum(discount**k * r for k, r in enumerate(rewards[t:]))
    logits = torch.tensor([[0.3, -0.2, 0.5, 0.0], [1.0, 0.2, -0.4, 0.1]], dtype=torch.float64)
    each = gradient(logits.expand(runs, 2, 4), Experience(sums, visits, doubles(runs) + 1))
    pi = torch.softmax(logits, -1)
    chance = doubles(runs)
    for run, (steps, _) in enumerate(TRAJECTORIES):
        chance[run] = math.prod(float(pi[step]) for step in steps)
    assert chance.sum().item() == pytest.approx(1, abs=1e-12)

    free = logits.clone().requires_grad_()
    first, second = torch.softmax(free, -1)
    goes_on, later = first[2:].sum(), second @ REWARDS
    if discount_weighting:
        objective = first[0] * 0.5 + goes_on * (0.1 + discount * later)
    else:
        objective = first[0] * 0.5 + goes_on * (0.1 + discount * later.detach()) + goes_on.detach() * later
    (truth,) = torch.autograd.grad(objective, free)
    close(-(chance[:, None, None] * each).sum(0), truth)


# --- the entropy term ---


def test_the_entropy_gradient_by_hand() -> None:
    """dH / d theta_a = -pi_a (log pi_a + H), and the loss holds -H."""
    measured = -gradient(SURE.log()[None, None], one_visit(), entropy_coef=1.0)[0, 0]
    close(measured, -SURE * (SURE.log() + entropy(SURE)))
    assert measured.tolist() == pytest.approx([-0.291325, 0.128334, 0.081496, 0.081496], abs=5e-7)


@pytest.mark.parametrize(
    "logits",
    [[0.0, 0.0, 0.0, 0.0], [60.0, 0.0, 0.0, 0.0], [800.0, 0.0, 0.0, 0.0]],
    ids=["uniform", "corner", "underflown"],
)
def test_the_entropy_gradient_is_zero_at_uniform_and_at_a_corner(logits: list[float]) -> None:
    """So the term holds an agent back from a corner, but does not fetch it from there."""
    measured = gradient(torch.tensor([[logits]], dtype=torch.float64), one_visit(), entropy_coef=1.0)
    assert measured.abs().max() < 1e-15


@laws
@given(four_logits)
def test_a_step_without_advantage_raises_the_entropy(logits: Tensor) -> None:
    learner = table(logits[None, None], learning_rate=0.01)
    before = entropy(torch.softmax(logits, -1))
    learner.step(loss_terms(learner.log_pi(), one_visit(), doubles(1) + 1).loss)
    assert learner.theta.grad is not None
    slope = learner.theta.grad.norm()
    after = entropy(learner.log_pi().detach().exp())[0, 0]
    # To first order the gain is 0.01 slope^2: half of it stands clear of the curvature, and of rounding.
    assert after >= before + 0.005 * slope**2 - 1e-15


@laws
@given(four_logits)
def test_one_sample_of_the_entropy_would_regularise_nothing(logits: Tensor) -> None:
    """-log pi(a_t): the right mean, but a gradient of zero on average. Hence the sum over all actions."""
    free = logits.clone().requires_grad_()
    log_pi = torch.log_softmax(free, -1)
    pi = log_pi.detach().exp()
    close(-(pi * log_pi.detach()).sum(), entropy(pi))
    expected = sum(pi[a] * torch.autograd.grad(-log_pi[a], free, retain_graph=True)[0] for a in range(4))
    assert isinstance(expected, Tensor)
    close(expected, doubles(4))


@laws
@given(four_logits, st.floats(0, 2))
def test_an_advantage_that_tells_nothing_leaves_the_entropy_term_alone(logits: Tensor, coefficient: float) -> None:
    """Equal advantages cancel on average; what is left is the coefficient times the entropy's gradient."""
    pi = torch.softmax(logits, -1)
    each = gradient(logits.expand(4, 1, 4), one_step_each(doubles(4) + 1), coefficient)
    expected = (pi[:, None] * each[:, 0]).sum(0)
    close(expected, coefficient * pi * (pi.log() + entropy(pi)))


# --- the loss ---


def random_experience(seed: int, runs: int, states: int = 5, actions: int = 4) -> Experience:
    generator = torch.Generator().manual_seed(seed)
    visits = torch.randint(0, 4, (runs, states), generator=generator).double()
    sums = torch.randn(runs, states, actions, generator=generator, dtype=torch.float64) * (visits > 0)[..., None]
    return Experience(sums, visits, torch.randint(1, 9, (runs,), generator=generator).double())


def random_theta(shape: PolicyShape, runs: int, dtype: torch.dtype = torch.float64) -> Tensor:
    theta = torch.zeros(runs, shape.parameters, dtype=dtype)
    used = sum(map(math.prod, shape.shapes))
    theta[:, :used] = torch.randn(runs, used, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return theta


def random_log_pi(runs: int) -> Tensor:
    shape = PolicyShape(5, None, 4)
    return StackedLearner(shape, random_theta(shape, runs), "sgd", 1.0).log_pi().detach()


def test_the_loss_is_policy_loss_plus_coefficient_times_negative_entropy() -> None:
    log_pi, experience = random_log_pi(3), random_experience(0, runs=3)
    coefficients = torch.tensor([0.0, 0.1, 2.0], dtype=torch.float64)
    terms = loss_terms(log_pi, experience, coefficients)
    close(terms.loss, terms.policy_loss + coefficients * terms.negative_entropy)
    for run in range(3):
        n = experience.normalizer[run]
        policy_loss = -sum(experience.advantage_sums[run, s] @ log_pi[run, s] for s in range(5)) / n
        summed = sum(experience.visit_counts[run, s] * entropy_from_log(log_pi[run, s]) for s in range(5)) / n
        close(terms.policy_loss[run], policy_loss)
        close(terms.negative_entropy[run], -summed)  # summed over the steps, as the other term is


def test_a_higher_entropy_gives_a_lower_loss() -> None:
    log_pi = torch.stack([SURE, doubles(4) + 0.25]).log()[:, None]
    experience = Experience(doubles(2, 1, 4), doubles(2, 1) + 1, doubles(2) + 1)
    sure, uniform = loss_terms(log_pi, experience, doubles(2) + 0.1).loss
    close(uniform - sure, 0.1 * (entropy(SURE) - math.log(4)))
    assert uniform < sure


def test_a_coefficient_of_zero_is_no_entropy_term_at_all() -> None:
    """Bit for bit the step of the policy loss alone."""
    shape, experience = PolicyShape(5, (8,), 4), random_experience(4, runs=2)
    moved = []
    for term in ("loss", "policy_loss"):
        learner = StackedLearner(shape, random_theta(shape, 2, torch.float32), "adam", 0.1)
        terms = loss_terms(learner.log_pi().double(), experience, doubles(2))
        learner.step(getattr(terms, term))
        moved.append(learner.theta.detach())
    assert torch.equal(*moved)


def test_rows_of_one_state_add_up() -> None:
    """A finite world has a row per state, any other world a row per step: the same loss, the same gradient."""
    shape = PolicyShape(5, (8,), 4)
    generator = torch.Generator().manual_seed(2)
    states, actions = (
        torch.randint(0, 5, (30,), generator=generator),
        torch.randint(0, 4, (30,), generator=generator),
    )
    advantages = torch.randn(30, generator=generator, dtype=torch.float64)
    by_state = Experience(doubles(1, 5, 4), doubles(1, 5), doubles(1) + 3)
    by_step = Experience(doubles(1, 30, 4), doubles(1, 30) + 1, doubles(1) + 3)
    for t, (s, a) in enumerate(zip(states.tolist(), actions.tolist(), strict=True)):
        by_state.advantage_sums[0, s, a] += advantages[t]
        by_state.visit_counts[0, s] += 1
        by_step.advantage_sums[0, t, a] = advantages[t]
    results = []
    for experience, rows in ((by_state, None), (by_step, torch.eye(5, dtype=torch.float64)[states][None])):
        learner = StackedLearner(shape, random_theta(shape, 1), "sgd", 0.1)
        loss = loss_terms(learner.log_pi(rows), experience, doubles(1) + 0.3).loss
        learner.step(loss)
        results.append((loss.detach(), learner.theta.detach()))
    close(results[0][0], results[1][0])
    close(results[0][1], results[1][1])


@SHAPES
def test_the_gradient_is_that_of_finite_differences(shape: PolicyShape) -> None:
    experience, coefficient = random_experience(3, runs=2), torch.tensor([0.0, 0.7], dtype=torch.float64)

    def losses(theta: Tensor) -> Tensor:
        learner = StackedLearner(shape, theta.clone(), "sgd", 1.0)
        return loss_terms(learner.log_pi().detach(), experience, coefficient).loss

    theta = random_theta(shape, 2)
    learner = StackedLearner(shape, theta.clone(), "sgd", 1.0)
    learner.step(loss_terms(learner.log_pi(), experience, coefficient).loss)
    assert learner.theta.grad is not None
    step = 1e-6
    for p in range(shape.parameters):
        moved = doubles(shape.parameters)
        moved[p] = step
        slope = (losses(theta + moved) - losses(theta - moved)) / (2 * step)
        torch.testing.assert_close(learner.theta.grad[:, p], slope, rtol=1e-6, atol=1e-8)


# --- the update ---


def plain(shape: PolicyShape, theta: Tensor) -> tuple[torch.nn.Module, list[Tensor]]:
    """One run's policy as everybody writes it in torch, and its parameters in the order of `shape.shapes`."""
    layers = [layer[0].clone() for layer in shape.split(theta[None])]
    if shape.hidden_sizes is None:
        embedding = torch.nn.Embedding(shape.inputs, shape.actions, _weight=layers[0])
        return embedding, [embedding.weight]
    modules: list[torch.nn.Module] = []
    parameters: list[Tensor] = []
    widths = [shape.inputs, *shape.hidden_sizes, shape.actions]
    for (a, b), weight, bias in zip(pairwise(widths), layers[::2], layers[1::2], strict=True):
        linear = torch.nn.Linear(a, b, dtype=theta.dtype)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias
        modules += [linear, torch.nn.Tanh()]
        parameters += [linear.weight, linear.bias]
    return torch.nn.Sequential(*modules[:-1]), parameters


@SHAPES
@OPTIMIZERS
@pytest.mark.parametrize("max_grad_norm", [0.0, 0.5])
def test_each_run_moves_as_a_plain_torch_training_of_it_alone(
    shape: PolicyShape, optimizer: Optimizer, max_grad_norm: float
) -> None:
    runs, updates, rate = 3, 25, 0.05
    coefficients = torch.tensor([0.0, 0.05, 0.5], dtype=torch.float64)
    theta = random_theta(shape, runs)
    learner = StackedLearner(shape, theta.clone(), optimizer, rate, max_grad_norm)
    experiences = [random_experience(update, runs) for update in range(updates)]
    norms = [learner.step(loss_terms(learner.log_pi(), e, coefficients).loss) for e in experiences]
    for run in range(runs):
        model, parameters = plain(shape, theta[run])
        kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        alone = kind(parameters, lr=rate)
        states = torch.arange(5) if shape.hidden_sizes is None else torch.eye(5, dtype=torch.float64)
        for update, experience in enumerate(experiences):
            log_pi = torch.log_softmax(model(states), -1)
            policy_loss = -(experience.advantage_sums[run] * log_pi).sum()
            summed_entropy = (experience.visit_counts[run] * entropy_from_log(log_pi)).sum()
            alone.zero_grad()
            ((policy_loss - coefficients[run] * summed_entropy) / experience.normalizer[run]).backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm or math.inf)
            torch.testing.assert_close(norms[update][run], norm, rtol=1e-9, atol=1e-12)
            alone.step()
        for layer, parameter in zip(shape.split(learner.theta.detach()[run : run + 1]), parameters, strict=True):
            expected = parameter.T if "weight" in shape.labels[0] and parameter.ndim == 2 else parameter
            torch.testing.assert_close(layer[0], expected.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm_limit", [0.25])
def test_clipping_shortens_long_gradients_alone_run_by_run(norm_limit: float) -> None:
    advantages = torch.tensor([0.1, 10.0], dtype=torch.float64)  # run 0 stays below the limit
    experience = Experience(doubles(2, 1, 4), doubles(2, 1) + 1, doubles(2) + 1)
    experience.advantage_sums[:, 0, 1] = advantages
    moved = {}
    for limit in (0.0, norm_limit):
        learner = StackedLearner(PolicyShape(1, None, 4), doubles(2, 16), "sgd", 1.0, limit)
        moved[limit] = (
            learner.step(loss_terms(learner.log_pi(), experience, doubles(2)).loss),
            learner.theta.detach(),
        )
    (norm, free), (norm_before_clipping, clipped) = moved[0.0], moved[norm_limit]
    close(norm_before_clipping, norm)
    assert norm[0] < norm_limit < norm[1]
    assert torch.equal(clipped[0], free[0])
    close(clipped[1] / clipped[1].norm(), free[1] / free[1].norm())  # the direction is kept
    assert clipped[1].norm().item() == pytest.approx(norm_limit, rel=1e-5)


def trained(
    shape: PolicyShape, theta: Tensor, optimizer: Optimizer, experiences: list[Experience], limit: float = 0.0
) -> StackedLearner:
    learner = StackedLearner(shape, theta.clone(), optimizer, 0.05, limit)
    coefficient = doubles(len(theta)) + 0.1
    for experience in experiences:
        learner.step(loss_terms(learner.log_pi().double(), experience, coefficient).loss)
    return learner


def of_run(experience: Experience, run: int) -> Experience:
    return Experience(*(part[run : run + 1] for part in experience))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("hidden", [None, (), (5, 7), (64, 6), (64, 64)])
@pytest.mark.parametrize("actions", [3, 4])
@OPTIMIZERS
def test_a_run_alone_moves_bit_for_bit_as_among_others(
    hidden: tuple[int, ...] | None, optimizer: Optimizer, actions: int, dtype: torch.dtype
) -> None:
    shape, runs = PolicyShape(51, hidden, actions), 7
    theta = random_theta(shape, runs, dtype)
    experiences = [random_experience(update, runs, states=51, actions=actions) for update in range(10)]
    together = trained(shape, theta, optimizer, experiences, limit=0.5)
    for run in (0, 3, 6):
        alone = trained(shape, theta[run : run + 1], optimizer, [of_run(e, run) for e in experiences], limit=0.5)
        assert torch.equal(alone.theta[0], together.theta[run])


@SHAPES
@OPTIMIZERS
def test_the_padding_stays_zero(shape: PolicyShape, optimizer: Optimizer) -> None:
    used = sum(map(math.prod, shape.shapes))
    assert used < shape.parameters
    learner = trained(shape, random_theta(shape, 2), optimizer, [random_experience(u, 2) for u in range(5)])
    assert (learner.theta.detach()[:, used:] == 0).all()


@OPTIMIZERS
def test_a_frozen_run_stays_a_uniform_policy_and_its_neighbours_do_not_notice(optimizer: Optimizer) -> None:
    shape = PolicyShape(5, (8,), 4)
    theta = random_theta(shape, 3)
    experiences = [random_experience(update, 3) for update in range(12)]
    undisturbed = trained(shape, theta, optimizer, experiences)
    learner = trained(shape, theta, optimizer, experiences[:4])
    learner.freeze(np.array([False, True, False]))
    coefficient = doubles(3) + 0.1
    for experience in experiences[4:]:
        learner.step(loss_terms(learner.log_pi(), experience, coefficient).loss)
    assert learner.frozen.tolist() == [False, True, False]
    assert (learner.theta.detach()[1] == 0).all()
    close(learner.log_pi().detach()[1].exp(), doubles(5, 4) + 0.25)
    assert torch.equal(learner.theta[[0, 2]], undisturbed.theta[[0, 2]])


@OPTIMIZERS
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_run_that_is_no_longer_finite_spoils_no_other(optimizer: Optimizer, poison: float) -> None:
    shape = PolicyShape(5, (8,), 4)
    theta = random_theta(shape, 3)
    experiences = [random_experience(update, 3) for update in range(6)]
    undisturbed = trained(shape, theta, optimizer, experiences, limit=0.5)
    experiences[2].advantage_sums[1, 0, 0] = poison
    spoilt = trained(shape, theta, optimizer, experiences, limit=0.5)
    assert not spoilt.theta[1].isfinite().all()
    assert torch.equal(spoilt.theta[[0, 2]], undisturbed.theta[[0, 2]])


@SHAPES
@OPTIMIZERS
def test_a_loaded_learner_goes_on_bit_for_bit(shape: PolicyShape, optimizer: Optimizer) -> None:
    theta = random_theta(shape, 3, torch.float32)
    experiences = [random_experience(update, 3) for update in range(8)]
    whole = trained(shape, theta, optimizer, experiences)
    half = trained(shape, theta, optimizer, experiences[:4])
    half.freeze(np.array([False, False, True]))
    state = half.state()
    again = StackedLearner(shape, half.theta.detach().clone(), optimizer, 0.05)
    again.load(state)
    for experience in experiences[4:]:
        again.step(loss_terms(again.log_pi().double(), experience, doubles(3) + 0.1).loss)
    assert torch.equal(again.theta[:2], whole.theta[:2])
    assert again.frozen.tolist() == [False, False, True]
    assert (again.theta.detach()[2] == 0).all()


@OPTIMIZERS
def test_a_gradient_in_parts_is_the_gradient(optimizer: Optimizer) -> None:
    """Rows in chunks, each chunk of some of the runs only: where an update is too large for one piece."""
    shape, runs = PolicyShape(5, (8,), 4), 3
    theta, experience = random_theta(shape, runs), random_experience(0, runs)
    coefficient = torch.tensor([0.0, 0.2, 0.4], dtype=torch.float64)
    rows = torch.eye(5, dtype=torch.float64).expand(runs, -1, -1)
    whole = StackedLearner(shape, theta.clone(), optimizer, 0.1, 0.5)
    norm = whole.step(loss_terms(whole.log_pi(rows), experience, coefficient).loss)
    parts = StackedLearner(shape, theta.clone(), optimizer, 0.1, 0.5)
    parts.zero_grad()
    for some in ([0, 2], [1]):
        for states in (slice(0, 2), slice(2, 5)):
            runs_of_part = torch.tensor(some)
            part = Experience(
                experience.advantage_sums[some, states],
                experience.visit_counts[some, states],
                experience.normalizer[some],
            )
            log_pi = parts.log_pi(rows[some, states], runs_of_part)
            parts.accumulate(loss_terms(log_pi, part, coefficient[some]).loss)
    close(parts.apply(), norm)
    close(parts.theta.detach(), whole.theta.detach())
