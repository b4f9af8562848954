"""What training hands out: tables that agree with each other, and the known results."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import binom

from agents import information
from experiments import load_config, train
from experiments.session import run as session
from experiments.training.loop import Training
from tests.experiments.comparisons import (
    BANDIT,
    BOTH_ARMS,
    CONFIGS,
    MLP,
    SLIPPERY_LAKE,
    SURE_POLICY,
    TABLE,
    TWO_ROOMS,
    comparison,
    run_by_run,
)

BITS_OF_SURE_POLICY = -(0.9 * math.log2(0.9) + 0.05 * math.log2(0.05) + 2 * 0.025 * math.log2(0.025))
LEARNING = {
    "two rooms": {"environment": TWO_ROOMS, "agent": MLP},
    "slippery": {"environment": SLIPPERY_LAKE, "agent": TABLE},
    "bandit": {"environment": BANDIT, "agent": TABLE | {"initial_policy": SURE_POLICY}, "episodes": 1},
}
EVERY_WORLD = pytest.mark.parametrize("setup", LEARNING.values(), ids=LEARNING)

# --- shape ---


def test_the_default_comparison_has_its_shape() -> None:
    config = load_config(CONFIGS / "two_rooms.toml", ["training.updates=3"])
    result = train(config)
    runs = [(arm, seed) for arm in ("without_entropy", "with_entropy") for seed in range(3000, 3030)]
    updates = result.updates
    assert updates.num_rows == 3 * len(runs)
    found = list(zip(*(updates[name].to_pylist() for name in ("update", "arm", "seed")), strict=True))
    assert found == [(update, *run) for update in range(3) for run in runs]
    steps = zip(*(result.steps[name].to_pylist() for name in ("update", "arm", "seed", "t")), strict=True)
    in_order = [(update, runs.index((arm, seed)), t) for update, arm, seed, t in steps]
    assert in_order == sorted(set(in_order))
    assert list(zip(result.runs["arm"].to_pylist(), result.runs["seed"].to_pylist(), strict=True)) == runs
    assert {
        tuple(pair) for pair in zip(result.steps["arm"].to_pylist(), result.steps["seed"].to_pylist(), strict=True)
    } == set(runs)
    assert set(result.summary["arms"]) == {"without_entropy", "with_entropy"}
    first = np.array(updates["update"]) == 0
    np.testing.assert_allclose(np.array(updates["entropy_bits"])[first], 2, atol=0.001)  # a nearly uniform start
    coefficients = dict(zip(updates["arm"].to_pylist(), updates["entropy_coef"].to_pylist(), strict=True))
    assert coefficients == {"without_entropy": 0.0, "with_entropy": 0.03}


RUN = {"arm", "seed"}
UPDATE_COLUMNS = RUN | {
    *("update", "env_steps", "episodes", "return_mean", "episode_length", "entropy_nats", "entropy_bits"),
    *("entropy_coef", "policy_loss", "negative_entropy", "loss", "grad_norm", "kl_from_previous", "kl_to_uniform"),
    *("optimal_action_probability", "cross_entropy_to_optimal", "state_coverage", "visit_entropy_bits"),
}
STEP_COLUMNS = RUN | {"env_step", "update", "t", "live", "entropy_nats", "entropy_bits"}
RUN_COLUMNS = RUN | {
    *("final_return", "greedy_return", "solved", "succeeds", "stuck", "first_success_env_step"),
    *("final_entropy_bits", "greedy_solved", "final_success_rate"),
    *("state_coverage", "start_policy"),
}


def test_the_tables_have_the_columns_that_others_read() -> None:
    result = train(comparison(updates=1))
    assert set(result.updates.column_names) >= UPDATE_COLUMNS
    assert set(result.steps.column_names) == STEP_COLUMNS
    assert set(result.runs.column_names) >= RUN_COLUMNS


@pytest.mark.parametrize("episodes", [1, 5])
def test_the_bandit_starts_from_the_texts_policy_in_every_run(episodes: int) -> None:
    config = load_config(
        CONFIGS / "bandit.toml", ["training.updates=2", f"training.episodes_per_update={episodes}"]
    )
    result = train(config)
    for table in (result.updates, result.steps):
        first = np.array(table["update"]) == 0
        assert first.sum() == 2 * 100
        for bits in (np.array(table["entropy_bits"]), np.array(table["entropy_nats"]) / math.log(2)):
            np.testing.assert_allclose(bits[first], BITS_OF_SURE_POLICY, atol=1e-12)
    assert pytest.approx(0.618996, abs=5e-7) == BITS_OF_SURE_POLICY


# --- the tables agree with each other ---


@EVERY_WORLD
def test_a_row_of_steps_is_a_lock_step(setup: dict[str, Any]) -> None:
    config = comparison(**setup)
    for values in run_by_run(config).values():
        live, env_step, t, update = (values[f"steps.{name}"] for name in ("live", "env_step", "t", "update"))
        assert (np.diff(env_step) > 0).all()
        np.testing.assert_array_equal(env_step, np.cumsum(live))
        assert live.min() >= 1
        for u in range(config.training.updates):
            own = update == u
            np.testing.assert_array_equal(t[own], np.arange(own.sum()))
            assert live[own][0] == config.training.episodes_per_update
            assert (np.diff(live[own]) <= 0).all()  # an ended episode does not start again


@EVERY_WORLD
def test_updates_sum_up_their_steps(setup: dict[str, Any]) -> None:
    config = comparison(**setup)
    episodes = config.training.episodes_per_update
    for values in run_by_run(config).values():
        live, nats, update = (values[f"steps.{name}"] for name in ("live", "entropy_nats", "update"))
        steps = np.bincount(update, live)
        np.testing.assert_array_equal(values["updates.env_steps"], np.cumsum(steps))
        np.testing.assert_array_equal(values["updates.episodes"], episodes * np.arange(1, len(steps) + 1))
        np.testing.assert_allclose(values["updates.episode_length"], steps / episodes, atol=1e-12)
        mean = np.bincount(update, live * nats) / steps
        np.testing.assert_allclose(values["updates.entropy_nats"], mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(values["updates.entropy_bits"], mean / math.log(2), rtol=1e-12, atol=1e-12)
        # Both loss terms are summed over an episode and averaged over episodes.
        np.testing.assert_allclose(
            values["updates.negative_entropy"], -mean * steps / episodes, rtol=1e-6, atol=1e-6
        )  # of a network in float32
        assert values["runs.env_steps"] == values["updates.env_steps"][-1]
        assert values["runs.episodes"] == values["updates.episodes"][-1]


def test_one_episode_at_a_time_has_a_row_for_each_environment_step() -> None:
    for values in run_by_run(comparison(episodes=1)).values():
        assert (values["steps.live"] == 1).all()
        np.testing.assert_array_equal(values["steps.env_step"], np.arange(1, len(values["steps.live"]) + 1))


@EVERY_WORLD
def test_final_values_are_means_over_the_last_twentieth_of_the_updates(setup: dict[str, Any]) -> None:
    config = comparison(**setup, updates=40)  # the last two
    enough = config.environment.solved_return
    assert enough is not None
    for values in run_by_run(config).values():
        last = {name: values[f"updates.{name}"][-2:] for name in ("return_mean", "entropy_bits")}
        assert values["runs.final_return"][0] == pytest.approx(last["return_mean"].mean(), rel=1e-12)
        assert values["runs.final_entropy_bits"][0] == pytest.approx(last["entropy_bits"].mean(), rel=1e-12)
        solved = last["return_mean"].mean() >= enough - 1e-9
        assert values["runs.solved"][0] == solved == values["updates.solved"][-1]


def test_the_measures_of_a_bandit_are_those_of_its_policy() -> None:
    """`agents.information` as the oracle: one state, whose policy stands in the table."""
    config = comparison(BANDIT, TABLE | {"initial_policy": SURE_POLICY}, updates=30, episodes=2)
    for values in run_by_run(config).values():
        pi = torch.tensor(values["updates.start_policy"])
        entropy = information.entropy(pi)
        best = pi[:, 1]
        for name, expected in {
            "entropy_nats": entropy,
            "all_state_entropy_bits": information.entropy(pi, "bits"),
            "effective_actions": information.effective_actions(pi),
            "kl_to_uniform": information.kl_divergence(pi, torch.full_like(pi, 0.25)),
            "optimal_action_probability": best,
            "path_optimal_action_probability": best,
            "cross_entropy_to_optimal": information.information(best),
        }.items():
            np.testing.assert_allclose(values[f"updates.{name}"], expected, rtol=1e-9, atol=1e-12, err_msg=name)
        moved = information.kl_divergence(pi[:-1], pi[1:])
        np.testing.assert_allclose(values["updates.kl_from_previous"][1:], moved, rtol=1e-6, atol=1e-12)
        assert values["updates.kl_from_previous"][0] == 0
        final = values["runs.start_policy"][0]
        succeeds, greedy_solved = values["runs.succeeds"][0], values["runs.greedy_solved"][0]
        assert greedy_solved == (final.argmax() == 1)
        assert values["runs.stuck"][0] == (final.max() > 0.9 and not succeeds and not greedy_solved)


def test_exact_gradients_take_no_steps() -> None:
    result = train(comparison(SLIPPERY_LAKE, TABLE | {"gradient": "exact"}))
    assert result.steps.num_rows == 0
    assert set(result.steps.column_names) == STEP_COLUMNS
    assert set(result.updates["env_steps"].to_pylist()) == {0}


# --- successes ---


def corridor(agent: dict[str, Any], **more: Any) -> dict[str, np.ndarray]:
    """One run through a corridor of three steps, with a policy that goes right nineteen times in twenty."""
    world = {"id": "FourAction/Grid-v0", "kwargs": {"map": ["S..G"]}, "max_episode_steps": 5, "solved_return": 1.0}
    straight = {"initial_policy": [0.01, 0.97, 0.01, 0.01], "learning_rate": 1e-6}
    config = comparison(world, TABLE | straight | agent, {"a": {}}, **more)
    (values,) = run_by_run(config).values()
    return values


def test_the_first_success_is_counted_in_environment_steps() -> None:
    alone = corridor({}, seeds=1, episodes=1)
    lengths = alone["updates.episode_length"]
    assert lengths[0] == 3  # straight
    assert alone["runs.first_success_env_step"][0] == 3
    four = corridor({}, seeds=1, episodes=4)
    live = four["steps.live"][four["steps.update"] == 0]
    assert four["updates.success_rate"][0] > 0
    assert four["runs.first_success_env_step"][0] == live[:3].sum()  # the lock-step in which the first one arrived


def test_a_success_that_never_comes_has_no_time() -> None:
    values = corridor({"initial_policy": [0.97, 0.01, 0.01, 0.01]}, seeds=1, updates=1, episodes=1)
    assert values["updates.success_rate"][0] == 0
    assert values["runs.first_success_env_step"][0] is None


# --- schedules ---


def test_the_coefficient_that_is_logged_is_the_one_applied() -> None:
    arms: dict[str, dict[str, Any]] = {
        "linear": {"entropy_coef": {"schedule": "linear", "start": 0.4, "end": 0.0, "fraction": 0.5}},
        "exponential": {"entropy_coef": {"schedule": "exponential", "start": 1.0, "decay": 0.5}},
        "held": {"entropy_coef": {"schedule": "target_entropy", "target_bits": 2.0, "rate": 0.5, "start": 0.1}},
    }
    runs = run_by_run(comparison(BANDIT, TABLE | {"initial_policy": SURE_POLICY}, arms, updates=9))
    for seed in range(3):
        applied = {arm: runs[arm, seed]["updates.entropy_coef"] for arm in arms}
        assert applied["linear"] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0, 0])
        assert applied["exponential"] == pytest.approx(0.5 ** np.arange(9))
        error = 2.0 - runs["held", seed]["updates.entropy_bits"]
        assert applied["held"] == pytest.approx(0.1 + 0.5 * np.concatenate([[0], np.cumsum(error[:-1])]))
        for arm in arms:
            values = runs[arm, seed]
            weighed = applied[arm] * values["updates.negative_entropy"]
            np.testing.assert_allclose(
                values["updates.loss"], values["updates.policy_loss"] + weighed, rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("bits", [0.5, 1.0, 1.5])
def test_the_controller_holds_its_entropy_from_a_coefficient_of_zero(bits: float) -> None:
    """Exact gradients, so that nothing but the controller decides where it settles."""
    controller = {"schedule": "target_entropy", "target_bits": bits, "rate": 0.05}
    agent = TABLE | {"gradient": "exact", "learning_rate": 2.0, "entropy_coef": controller}
    (values,) = run_by_run(comparison(BANDIT, agent, {"a": {}}, seeds=1, updates=600, episodes=1)).values()
    coefficient, entropy = values["updates.entropy_coef"], values["updates.entropy_bits"]
    assert entropy[0] == pytest.approx(2.0)  # starts above its target ...
    assert (coefficient[:5] == 0).all()
    assert coefficient.min() >= 0
    assert entropy[-1] == pytest.approx(bits, abs=0.01)  # ... falls, and is caught there
    assert coefficient[-1] > 0


# --- files ---


@pytest.mark.parametrize("workers", [1, 2])
def test_the_files_hold_the_tables_of_the_same_training_in_memory(workers: int, tmp_path: Path) -> None:
    config = comparison()
    folder = tmp_path / "run"
    session.run(config, session.Options(folder, workers=workers), lambda record: None, lambda line: None)
    result = train(config)
    for name in ("updates", "steps", "runs"):
        in_memory: pa.Table = getattr(result, name)
        on_disk = pq.read_table(folder / f"{name}.parquet")
        assert on_disk.schema.names == in_memory.schema.names
        assert on_disk.schema.types == in_memory.schema.types
        for column in in_memory.schema.names:
            first, second = (np.array(table[column].to_pylist()) for table in (on_disk, in_memory))
            np.testing.assert_array_equal(first, second, err_msg=f"{name}.{column}")
    assert load_config(folder / "config.toml") == config


# --- known results: fixed seeds, and quantiles with a name ---

NORMAL_99_9 = 3.29  # two-sided


def assert_binomial(count: int, number: int, probability: float) -> None:
    """The count lies within the central 99.9 % of the binomial distribution."""
    low, high = binom.ppf([0.0005, 0.9995], number, probability)
    assert low <= count <= high


def by_arm(training: Training, column: np.ndarray) -> dict[str, np.ndarray]:
    return {arm: column[..., np.array(training.runs.arm) == arm] for arm in training.config.arms}


@pytest.mark.slow
def test_two_rooms_a_third_solves_it_without_the_term_and_nine_in_ten_with_it() -> None:
    training = Training(load_config(CONFIGS / "two_rooms.toml", ["training.seeds={ first = 0, count = 100 }"]))
    bits = training.advance().columns["entropy_bits"]
    solved = by_arm(training, training.final()["solved"])
    assert_binomial(solved["without_entropy"].sum(), 100, 1 / 3)
    assert_binomial(solved["with_entropy"].sum(), 100, 0.9)
    # The path entropy, in bits, at the start and after each fifth: means of 100 runs of a prototype, two decimals.
    prototype = {
        "without_entropy": [2.00, 0.16, 0.02, 0.02, 0.02, 0.01],
        "with_entropy": [2.00, 1.58, 1.04, 0.69, 0.44, 0.35],
    }
    for arm, seen in by_arm(training, bits[[0, 60, 120, 180, 240, 299]]).items():
        error = seen.std(axis=1, ddof=1) * math.sqrt(2 / 100)  # of a difference of two such means
        assert (np.abs(seen.mean(axis=1) - prototype[arm]) < NORMAL_99_9 * error + 0.005).all()


@pytest.mark.slow
def test_bandit_a_third_stays_stuck_without_term_and_baseline_and_none_with_either() -> None:
    """The chance of staying stuck is that of 200 000 runs, the means those of 20 000, of another program."""
    runs, baseline = 200, {"baseline": "running_mean"}
    arms = BOTH_ARMS | {f"{arm}_and_baseline": agent | baseline for arm, agent in BOTH_ARMS.items()}
    agent = TABLE | {"initial_policy": SURE_POLICY}
    training = Training(comparison(BANDIT, agent, arms, seeds=runs, updates=2000, episodes=1))
    training.advance()
    final = training.final()
    stuck = by_arm(training, final["stuck"])
    assert_binomial(stuck["without_entropy"].sum(), runs, 0.3016)
    for arm in set(arms) - {"without_entropy"}:
        assert_binomial(stuck[arm].sum(), runs, 0.001)
    paid = by_arm(training, final["start_policy"] @ np.array([0.8, 1.0, 0.4, 0.2]))
    for arm, mean in {"without_entropy": 0.936, "with_entropy": 0.979}.items():
        error = paid[arm].std(ddof=1) / math.sqrt(runs)
        assert abs(paid[arm].mean() - mean) < NORMAL_99_9 * error + 0.0005


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_rooms", "bandit"])
def test_the_claim_of_the_config_is_supported(name: str) -> None:
    summary = train(load_config(CONFIGS / f"{name}.toml")).summary
    assert [claim["verdict"] for claim in summary["claims"]] == ["supported"]
