"""The comparison is fair by test: arms differ in what the config says, and a run knows nothing but its config."""

from typing import Any

import numpy as np
import pytest
import torch

from experiments import load_config
from experiments.training.loop import Training
from tests.experiments.comparisons import (
    BANDIT,
    BOTH_ARMS,
    CONFIGS,
    MLP,
    NOISY_BANDIT,
    SLIPPERY_LAKE,
    SURE_POLICY,
    TABLE,
    TWO_ROOMS,
    UNPAID,
    Values,
    assert_same,
    comparison,
    run_by_run,
)

# Where the coefficient itself stands, and what it enters.
COEFFICIENT_COLUMNS = {"updates.entropy_coef", "updates.loss", "updates.grad_norm"}

SETUPS: dict[str, dict[str, Any]] = {
    "table": {"environment": TWO_ROOMS, "agent": TABLE},
    "mlp": {"environment": TWO_ROOMS, "agent": MLP},
    "odd widths": {"environment": TWO_ROOMS, "agent": MLP | {"hidden_sizes": [5, 7], "initialization": "torch"}},
    "three actions": {
        "environment": BANDIT | {"kwargs": {"rewards": [1.0, 0.9, 0.1]}},
        "agent": MLP | {"initialization": "small_uniform"},
    },
    "bandit": {"environment": BANDIT, "agent": TABLE | {"initial_policy": SURE_POLICY}, "episodes": 1},
    "noisy rewards": {"environment": NOISY_BANDIT, "agent": TABLE | {"baseline": "running_mean"}},
    "slippery": {"environment": SLIPPERY_LAKE, "agent": TABLE | {"baseline": "leave_one_out"}},
    "random start": {"environment": UNPAID, "agent": MLP | {"baseline": "batch_mean"}},
    "value baseline": {
        "environment": TWO_ROOMS,
        "agent": TABLE | {"baseline": "value", "discount_weighting": True},
    },
    "biased habits": {
        "environment": TWO_ROOMS,
        "agent": MLP | {"normalize_advantages": True, "loss_reduction": "per_step", "max_grad_norm": 0.1},
    },
    "soft return": {"environment": TWO_ROOMS, "agent": TABLE | {"entropy_objective": "soft_return"}},
    "stepped": {"environment": TWO_ROOMS | {"tables": False}, "agent": MLP},
    "cart pole": {
        "environment": {"id": "CartPole-v1", "max_episode_steps": 30, "normalize_observations": True},
        "agent": MLP | {"baseline": "running_mean"},
    },
    "exact": {"environment": SLIPPERY_LAKE, "agent": MLP | {"gradient": "exact", "hidden_sizes": [6]}},
}
EVERY_SETUP = pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)


def first_update(values: Values) -> Values:
    """The episodes of the first update, and what the update's row says of them."""
    return {
        name: column[values[f"{kind}.update"] == 0]
        for kind in ("updates", "steps")
        for name, column in values.items()
        if name.startswith(kind)
    }


# --- arms ---


@EVERY_SETUP
def test_same_seed_arms_agree_until_the_first_gradient_step(setup: dict[str, Any]) -> None:
    runs = run_by_run(comparison(**setup))
    elsewhere = set(COEFFICIENT_COLUMNS)
    if setup["agent"].get("entropy_objective") == "soft_return":
        elsewhere.add("updates.policy_loss")  # entropy counts as reward
    for seed in range(3):
        without, with_entropy = (first_update(runs[arm, seed]) for arm in BOTH_ARMS)
        assert_same(without, with_entropy, elsewhere)


def test_after_the_first_gradient_step_they_differ() -> None:
    """So the test above compares something: only the first update is common."""
    runs = run_by_run(comparison())
    for seed in range(3):
        without, with_entropy = runs["without_entropy", seed], runs["with_entropy", seed]
        assert (without["updates.entropy_nats"][1:] != with_entropy["updates.entropy_nats"][1:]).all()


def test_arms_that_differ_in_the_optimiser_too_play_the_same_first_episodes() -> None:
    """Such arms are batches of their own; parameters and streams are those of the seed all the same."""
    differences: dict[str, dict[str, Any]] = {
        "base": {},
        "sgd": {"optimizer": "sgd"},
        "faster": {"learning_rate": 0.1},
        "with_baseline": {"baseline": "leave_one_out"},
        "undiscounted": {"discount": 1.0},
        "clipped": {"max_grad_norm": 0.1},
        "scheduled": {"entropy_coef": {"schedule": "linear", "start": 0.5, "end": 0.0}},
        "controlled": {"entropy_coef": {"schedule": "target_entropy", "target_bits": 1.0, "rate": 0.1}},
    }
    runs = run_by_run(comparison(arms=differences))
    elsewhere = COEFFICIENT_COLUMNS | {"updates.policy_loss", "updates.cross_entropy_to_optimal"}
    elsewhere |= {
        "updates.optimal_action_probability",
        "updates.path_optimal_action_probability",
    }  # undiscounted, more actions are optimal
    for arm in differences:
        for seed in range(3):
            assert_same(first_update(runs[arm, seed]), first_update(runs["base", seed]), elsewhere)


def test_arms_that_differ_in_nothing_are_the_same_runs() -> None:
    runs = run_by_run(comparison(arms={"one": {}, "other": {}, "spelt_out": {"discount": 0.97}}))
    for seed in range(3):
        assert_same(runs["one", seed], runs["other", seed])
        assert_same(runs["one", seed], runs["spelt_out", seed])


@EVERY_SETUP
def test_a_coefficient_of_zero_is_no_term_at_all(setup: dict[str, Any]) -> None:
    zeros: dict[str, Any] = {
        "number": 0.0,
        "linear": {"schedule": "linear", "start": 0.0, "end": 0.0},
        "exponential": {"schedule": "exponential", "start": 0.0, "decay": 0.9},
        "controller": {"schedule": "target_entropy", "target_bits": 0.0, "rate": 0.1},  # always above its target
    }
    arms: dict[str, dict[str, Any]] = {"without": {}} | {
        name: {"entropy_coef": value} for name, value in zeros.items()
    }
    runs = run_by_run(comparison(**setup, arms=arms, seeds=2))
    for arm in zeros:
        for seed in range(2):
            assert_same(runs[arm, seed], runs["without", seed])
            assert (runs[arm, seed]["updates.loss"] == runs[arm, seed]["updates.policy_loss"]).all()


@pytest.mark.parametrize("agent", [TABLE, MLP | {"learning_rate": 0.001}], ids=["table", "mlp"])
def test_without_reward_only_the_entropy_term_moves_the_policy_and_upward(agent: dict[str, Any]) -> None:
    config = comparison(UNPAID, agent | {"initial_policy": SURE_POLICY}, updates=12)
    runs = run_by_run(config)
    for seed in range(3):
        still = runs["without_entropy", seed]
        assert (still["updates.all_state_entropy_bits"] == still["updates.all_state_entropy_bits"][0]).all()
        assert (still["updates.grad_norm"] == 0).all()
        assert (still["updates.start_policy"] == still["updates.start_policy"][0]).all()
        np.testing.assert_allclose(
            still["runs.start_policy"][0], SURE_POLICY, atol=1e-6
        )  # a network's, in float32
        moved = runs["with_entropy", seed]["updates.all_state_entropy_bits"]
        assert moved[0] == still["updates.all_state_entropy_bits"][0]
        assert (np.diff(moved) > 0).all()


# --- a run is a function of its config ---


@EVERY_SETUP
def test_the_same_config_gives_the_same_bits(setup: dict[str, Any]) -> None:
    config = comparison(**setup, seeds=2)
    first = run_by_run(config)
    np.random.seed(1)  # noqa: NPY002  (whatever the global generators hold)
    torch.manual_seed(1)
    torch_state, numpy_state = torch.random.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    second = run_by_run(config)
    assert torch.equal(torch.random.get_rng_state(), torch_state)  # they are not even touched
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002
    for run in first:
        assert_same(first[run], second[run])


@EVERY_SETUP
def test_removing_an_arm_or_seeds_changes_no_other_run(setup: dict[str, Any]) -> None:
    arms = BOTH_ARMS | {"undiscounted": {"discount": 1.0}, "slower": {"learning_rate": 0.001}}
    everything = run_by_run(comparison(**setup, arms=arms, seeds=[4, 9, 2]))
    fewer_arms = {name: arms[name] for name in ("slower", "with_entropy")}  # in another order, too
    for kept, seeds in ((fewer_arms, [4, 9, 2]), (arms, [9]), ({"with_entropy": arms["with_entropy"]}, [2])):
        for run, values in run_by_run(comparison(**setup, arms=kept, seeds=seeds)).items():
            assert_same(values, everything[run])


def test_a_seed_of_the_default_comparison_alone_is_that_seed_among_all() -> None:
    default = load_config(CONFIGS / "two_rooms.toml", ["training.updates=4"])
    alone = load_config(CONFIGS / "two_rooms.toml", ["training.updates=4", "training.seeds=[3017]"])
    everything = run_by_run(default)
    assert len(everything) == 60
    for run, values in run_by_run(alone).items():
        assert_same(values, everything[run])


@EVERY_SETUP
def test_seeds_shared_between_workers_train_the_same_parameters(setup: dict[str, Any]) -> None:
    config = comparison(**setup, seeds=3)
    whole, share = Training(config), Training(config, seeds=[1])
    for training in (whole, share):
        training.advance()
    parameters = whole.parameters()
    for name, layer in share.parameters().items():
        np.testing.assert_array_equal(layer, parameters[name])


def test_different_seeds_are_different_runs() -> None:
    runs = run_by_run(comparison(seeds=[0, 1, 2**40], updates=2))
    for name in ("steps.entropy_nats", "updates.visit_entropy_bits"):
        seen = {values[name].tobytes() for (arm, _), values in runs.items() if arm == "with_entropy"}
        assert len(seen) == 3


@pytest.mark.parametrize("agent", [TABLE, MLP], ids=["table", "mlp"])
def test_a_run_that_overflows_is_reported_and_its_neighbours_do_not_notice(agent: dict[str, Any]) -> None:
    explosion = {"exploding": {"entropy_coef": 1e308}}
    together = run_by_run(comparison(agent=agent, arms=BOTH_ARMS | explosion, seeds=2))
    for run, values in run_by_run(comparison(agent=agent, seeds=2)).items():
        assert_same(values, together[run])
        assert not values["runs.failed"]
        assert values["runs.failed_update"].tolist() == [None]
    for seed in range(2):
        failed = together["exploding", seed]
        assert failed["runs.failed"].all()
        assert failed["runs.failed_update"].tolist() == [0]
        assert failed["updates.update"].tolist() == [0]  # its last row; what a frozen run does is no result
        assert set(failed["steps.update"]) == {0}
        for reading in ("succeeds", "solved", "greedy_solved", "stuck", "never_successful"):
            assert failed[f"runs.{reading}"].tolist() == [None]  # a failed run has no value
