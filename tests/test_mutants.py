"""Mutants die: each mistake this project could make and not notice breaks a law, and is caught by it.

A mutant is the real code with one function wrapped into a wrong one. A law is a function that asserts. As the code
stands every law holds.
"""

import math
import pkgutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import binom
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import reinforce
from agents.information import entropy
from agents.policy import PolicyShape
from experiments import train
from experiments.session import run as session
from experiments.training.finite import one_run, telling
from experiments.training.loop import Training
from tests.experiments.comparisons import (
    BANDIT,
    MLP,
    SURE_POLICY,
    TABLE,
    TWO_ROOMS,
    UNPAID,
    comparison,
    run_by_run,
)
from tests.experiments.interpreted import interpret

# --- laws ---


def without_reward_the_entropy_rises() -> None:
    arms = {"with_entropy": {"entropy_coef": 0.1}}
    runs = run_by_run(comparison(UNPAID, TABLE | {"initial_policy": SURE_POLICY}, arms))
    for values in runs.values():
        assert (np.diff(values["updates.all_state_entropy_bits"]) > 0).all()


def the_coefficient_weighs_the_entropy() -> None:
    runs = run_by_run(comparison(TWO_ROOMS, MLP, {"a": {"entropy_coef": 0.5}}))
    for values in runs.values():
        weighed = values["updates.entropy_coef"] * values["updates.negative_entropy"]
        assert (values["updates.entropy_coef"] == 0.5).all()
        np.testing.assert_allclose(
            values["updates.loss"], values["updates.policy_loss"] + weighed, rtol=1e-12, atol=1e-12
        )


def the_loss_counts_the_entropy_in_nats() -> None:
    runs = run_by_run(comparison(BANDIT, TABLE, {"a": {}}, updates=1))
    for values in runs.values():
        assert values["updates.negative_entropy"].tolist() == pytest.approx([-math.log(4)])


def the_entropy_term_survives_sampling() -> None:
    """Equal advantages tell nothing: the expected update is the coefficient times the slope of the entropy."""
    pi = torch.tensor(SURE_POLICY, dtype=torch.float64)
    shape = PolicyShape(1, None, 4)
    theta = torch.zeros(4, shape.parameters, dtype=torch.float64)
    theta[:, :4] = pi.log()
    learner = reinforce.StackedLearner(shape, theta, "sgd", 1.0)
    ones = torch.ones(4, dtype=torch.float64)
    each_action_once = reinforce.Experience(torch.eye(4, dtype=torch.float64)[:, None], ones[:, None], ones)
    learner.step(reinforce.loss_terms(learner.log_pi(), each_action_once, 0.1 * ones).loss)
    expected_move = (pi[:, None] * (learner.theta.detach()[:, :4] - pi.log())).sum(0)
    slope = -pi * (pi.log() + entropy(pi))
    np.testing.assert_allclose(expected_move, 0.1 * slope, atol=1e-12)


def each_action_is_paid_the_discounted_rewards_that_follow_it() -> None:
    """Straight through a corridor to a reward of 1 after three steps: 1/4, 1/2 and 1 at discount 1/2."""
    corridor = {"id": "FourAction/Grid-v0", "kwargs": {"map": ["S..G"]}, "max_episode_steps": 9}
    pi = [0.01, 0.97, 0.01, 0.01]
    agent = TABLE | {"initial_policy": pi, "learning_rate": 1.0, "discount": 0.5}
    training = Training(comparison(corridor, agent, {"a": {}}, seeds=1, updates=1, episodes=1))
    records = training.advance()
    assert records.columns["episode_length"].tolist() == [[3]]  # it went straight
    moved = training.parameters()["a/seed_0/logits"] - np.log(pi)
    to_go = np.array([0.25, 0.5, 1.0, 0.0])  # nobody acts at the goal
    np.testing.assert_allclose(moved, to_go[:, None] * (np.array([0, 1, 0, 0]) - pi), atol=1e-12)


def actions_follow_the_policy() -> None:
    pi = [0.4, 0.3, 0.2, 0.1]
    for action, probability in enumerate(pi):
        bandit = BANDIT | {"kwargs": {"rewards": [float(a == action) for a in range(4)]}}
        config = comparison(bandit, TABLE | {"initial_policy": pi}, {"a": {}}, seeds=1, updates=1, episodes=1000)
        taken = 1000 * train(config).updates["return_mean"][0].as_py()
        low, high = binom.ppf([0.0005, 0.9995], 1000, probability)  # 99.9 %
        assert low <= round(taken) <= high


def a_run_is_a_function_of_its_config() -> None:
    config = comparison(TWO_ROOMS, MLP | {"initialization": "torch"}, {"a": {}})
    first, second = Training(config), Training(config)
    one, other = first.advance().columns, second.advance().columns
    np.testing.assert_array_equal(one["loss"], other["loss"])
    np.testing.assert_array_equal(one["visit_entropy_bits"], other["visit_entropy_bits"])
    for name, layer in first.parameters().items():
        np.testing.assert_array_equal(layer, second.parameters()[name])


def the_logged_entropy_is_that_of_the_policy() -> None:
    result = train(comparison(BANDIT, TABLE | {"initial_policy": SURE_POLICY}, updates=1))
    nats = float(entropy(torch.tensor(SURE_POLICY, dtype=torch.float64)))
    for table in (result.updates, result.steps):
        np.testing.assert_allclose(table["entropy_nats"], nats, atol=1e-12)
    np.testing.assert_allclose(result.updates["entropy_bits"], nats / math.log(2), atol=1e-12)


def tensorboard_shows_the_logged_entropy() -> None:
    config = comparison(BANDIT, TABLE | {"initial_policy": SURE_POLICY}, seeds=1, updates=3, episodes=1)
    with tempfile.TemporaryDirectory() as folder:
        session.run(config, session.Options(Path(folder) / "run"), lambda record: None, lambda line: None)
        for (arm, seed), values in run_by_run(config).items():
            board = EventAccumulator(str(Path(folder) / "run" / "tensorboard" / arm / f"seed_{seed}"))
            board.Reload()
            for tag, kind, column in (
                ("step/entropy_bits", "steps.env_step", "steps.entropy_nats"),
                ("policy/entropy_bits", "updates.update", "updates.entropy_nats"),
            ):
                points = board.Scalars(tag)
                assert [point.step for point in points] == values[kind].tolist()
                bits = values[column] / math.log(2)
                np.testing.assert_allclose([point.value for point in points], bits, rtol=1e-6, atol=1e-6)


# --- mutants ---


def with_the_sign_turned(right: Any) -> Any:
    return lambda score, softmax, epsilon, sums, counts, normalizer, coefficient, regularizer, gradient: right(
        score, softmax, epsilon, sums, counts, normalizer, -coefficient, regularizer, gradient
    )


def without_coefficient(right: Any) -> Any:
    return lambda score, softmax, epsilon, sums, counts, normalizer, coefficient, regularizer, gradient: right(
        score, softmax, epsilon, sums, counts, normalizer, 0.0, regularizer, gradient
    )


def in_bits(right: Any) -> Any:
    def wrong(*given: Any) -> Any:
        policy_loss, negative_entropy, weighed = right(*given)
        return policy_loss, negative_entropy / math.log(2), weighed

    return wrong


def negated(right: Any) -> Any:
    return lambda *arguments: -right(*arguments)


def of_one_sample(right: Any) -> Any:
    """-log pi of the action taken, in place of the sum over all actions."""

    def wrong(log_pi: torch.Tensor, experience: reinforce.Experience, *weighed: Any) -> Any:
        taken = (experience.advantage_sums != 0).double()
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(reinforce, "entropy_from_log", lambda log_pi: -(taken * log_pi).sum(-1))
            return right(log_pi, experience, *weighed)

    return wrong


def with_a_discount_too_many(right: Any) -> Any:
    """discount^(k - t + 1): the step's own reward is discounted too."""

    def wrong(steps: Any, discount: float, bonus: Any, returns: Any) -> None:
        right(steps, discount, bonus, returns)
        returns *= discount

    return wrong


def undiscounted(right: Any) -> Any:
    return lambda steps, discount, bonus, returns: right(steps, 1.0, bonus, returns)


def of_the_next_step(right: Any) -> Any:
    def wrong(steps: Any, discount: float, bonus: Any, returns: Any) -> None:
        right(steps, discount, bonus, returns)
        returns[:] = [*returns[1:], 0.0]

    return wrong


def greedy(right: Any) -> Any:
    return lambda pi, found: right(np.eye(pi.shape[1])[pi.argmax(1)], found)


def with_a_seed_of_the_global_generator(right: Any) -> Any:
    return lambda world, edges, entropy, numbers, *filled: right(
        world, edges, entropy, numbers._replace(seed=int(torch.randint(2**40, ()))), *filled
    )


def with_the_entropy_of_steps_negated(right: Any) -> Any:
    def wrong(world: Any, edges: Any, entropy: Any, *rest: Any) -> Any:
        return right(world, edges, -entropy, *rest)

    return wrong


def drawn_from_the_global_generator(right: Any) -> Any:
    return lambda shape, numbers, *how: right(shape, torch.rand(len(numbers), dtype=torch.float64).numpy(), *how)


def with_values_negated(right: Any) -> Any:
    return lambda tag, steps, values, time: right(tag, steps, -values, time)


class Mutant(NamedTuple):
    target: str  # what is replaced
    wrong: Callable[[Any], Any]  # by what
    law: Callable[[], None]  # which law that breaks


TRAINING = "experiments.training.finite.one_run"
MUTANTS = {
    "flipped sign of the entropy": Mutant(
        f"{TRAINING}.gradient_by_logits", with_the_sign_turned, without_reward_the_entropy_rises
    ),
    "ignored coefficient": Mutant(
        f"{TRAINING}.gradient_by_logits", without_coefficient, without_reward_the_entropy_rises
    ),
    "entropy in bits": Mutant(f"{TRAINING}.loss_terms", in_bits, the_loss_counts_the_entropy_in_nats),
    "one-sample entropy": Mutant("agents.reinforce.loss_terms", of_one_sample, the_entropy_term_survives_sampling),
    "shifted discount": Mutant(
        f"{TRAINING}.returns_to_go",
        with_a_discount_too_many,
        each_action_is_paid_the_discounted_rewards_that_follow_it,
    ),
    "forgotten discount": Mutant(
        f"{TRAINING}.returns_to_go", undiscounted, each_action_is_paid_the_discounted_rewards_that_follow_it
    ),
    "advantage shifted by one step": Mutant(
        f"{TRAINING}.returns_to_go", of_the_next_step, each_action_is_paid_the_discounted_rewards_that_follow_it
    ),
    "greedy actions": Mutant(f"{TRAINING}.cumulative", greedy, actions_follow_the_policy),
    "actions from the global generator": Mutant(
        f"{TRAINING}.play", with_a_seed_of_the_global_generator, a_run_is_a_function_of_its_config
    ),
    "parameters from the global generator": Mutant(
        "agents.policy.PolicyShape.initial", drawn_from_the_global_generator, a_run_is_a_function_of_its_config
    ),
    "negated entropy in the updates": Mutant(
        "experiments.training.finite.telling.mean_over", negated, the_logged_entropy_is_that_of_the_policy
    ),
    "negated entropy in the steps": Mutant(
        f"{TRAINING}.play", with_the_entropy_of_steps_negated, the_logged_entropy_is_that_of_the_policy
    ),
    "negated entropy in TensorBoard": Mutant(
        "experiments.tensorboard.sink.scalar_block", with_values_negated, tensorboard_shows_the_logged_entropy
    ),
}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch, one_run, telling)


@pytest.mark.parametrize("law", dict.fromkeys(m.law for m in MUTANTS.values()), ids=lambda law: law.__name__)
def test_the_law_holds(law: Callable[[], None]) -> None:
    law()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_dies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(mutant.target, mutant.wrong(pkgutil.resolve_name(mutant.target)))
    with pytest.raises(AssertionError):
        mutant.law()
