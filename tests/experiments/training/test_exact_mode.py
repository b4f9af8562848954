"""`gradient = "exact"`: in every finite world, with every policy and objective, the mean of what episodes give."""

import math
from typing import Any

import numpy as np
import pytest

from envs.exact import evaluate
from experiments.config.schema import ConfigError
from experiments.gradients.cases import TAXI
from experiments.training.loop import Training
from tests.experiments.comparisons import comparison

WORLDS: dict[str, dict[str, Any]] = {
    "bandit": {"id": "FourAction/Bandit-v0"},
    "one action matters": {"id": "FourAction/OneActionMatters-v0"},
    "observation matters": {"id": "FourAction/ObservationMatters-v0"},
    "two states": {"id": "FourAction/TwoState-v0"},
    "grid": {"id": "FourAction/Grid-v0"},
    "deep sea": {"id": "FourAction/DeepSea-v0"},
    "two rooms": {"id": "FourAction/TwoRooms-v0"},
    "four rooms": {"id": "FourAction/FourRooms-v0"},
    "trap": {"id": "FourAction/Trap-v0"},
    "absorbing trap": {"id": "FourAction/Trap-v0", "kwargs": {"absorbing": True}},
    "frozen lake": {"id": "FrozenLake-v1"},
    "large frozen lake": {"id": "FrozenLake8x8-v1"},
    "cliff": {"id": "CliffWalking-v1", "max_episode_steps": 30},
}
LARGE_WORLD = {"id": TAXI, "max_episode_steps": 10}
TABLE, NETWORK = {"policy": "tabular"}, {"policy": "mlp", "hidden_sizes": [5], "initialization": "torch"}
LINEAR = NETWORK | {"hidden_sizes": []}
SOFT = {"entropy_objective": "soft_return"}
SOFT_ABOVE_UNIFORM = SOFT | {"soft_return_offset": "uniform"}
# What only episodes can tell (which states were visited, whether one succeeded), or a goal (what is solved).
UNKNOWN = {"state_coverage", "success_rate", "succeeded", "solved"}


def exact(world: dict[str, Any], agent: dict[str, Any], updates: int = 2, seeds: int = 2) -> Training:
    arms = {"without": {"entropy_coef": 0.0}, "with": {"entropy_coef": 0.1}}
    shared = {"gradient": "exact", "learning_rate": 0.1, "discount": 0.9} | agent
    return Training(comparison(world, shared, arms, seeds=seeds, updates=updates, episodes=1))


def one_update(*trainings: Training) -> list[dict[str, np.ndarray]]:
    """The columns of the next update of each training, [R] each."""
    return [{name: column[0] for name, column in t.advance(1).columns.items()} for t in trainings]


def policy_of(training: Training) -> np.ndarray:
    """[R, S, A]."""
    return np.asarray(training.batches[0].learner.log_pi().detach().exp().numpy())


@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
@pytest.mark.parametrize(
    ("policy", "objective"),
    [(TABLE, SOFT_ABOVE_UNIFORM), (NETWORK, {}), (LINEAR, SOFT)],
    ids=["table", "network", "linear"],
)
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_it_works_in_every_finite_world(
    world: dict[str, Any], policy: dict[str, Any], objective: dict[str, Any], horizon: str
) -> None:
    """Two updates of everything are finite, and move the policy; what nobody knows is not made up."""
    gentle = {
        "learning_rate": 1e-4
    }  # at the cliff, a large step makes a policy that never ends and costs infinity
    training = exact(world, policy | objective | gentle | {"horizon": horizon, "discount_weighting": True})
    records = training.advance()
    assert records.steps is None
    assert records.active.all()
    for name, column in records.columns.items():
        if name in UNKNOWN:
            assert np.isnan(column).all(), name
        elif name == "episode_length":  # infinite where episodes never end
            assert (column >= 1).all()
        else:
            assert np.isfinite(column).all(), name
    at_rest = world["id"] == "FourAction/TwoState-v0" and policy is TABLE  # uniform, where it begins, and unpaid
    moved = records.columns["kl_from_previous"][-1, np.array(training.runs.arm) == "with"]
    assert (moved > 0).all() or at_rest
    final = training.final()
    assert not final["failed"].any()
    assert np.isfinite(final["final_return"]).all()
    assert (final["env_steps"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
@pytest.mark.parametrize(
    ("policy", "objective"), [(TABLE, SOFT_ABOVE_UNIFORM), (NETWORK, {})], ids=["table", "network"]
)
def test_it_works_in_a_large_world_too(policy: dict[str, Any], objective: dict[str, Any], horizon: str) -> None:
    """Five hundred states take seconds each time."""
    test_it_works_in_every_finite_world(LARGE_WORLD, policy, objective, horizon)


# --- what is reported ---


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
@pytest.mark.parametrize("world", ["two rooms", "frozen lake"])
def test_an_update_reports_what_an_episode_is_like_on_average(world: str, horizon: str, weighted: bool) -> None:
    """Returns and lengths undiscounted, whatever the loss weighs; path means by the steps themselves, or with
    an infinite horizon by discount^t."""
    training = exact(WORLDS[world], NETWORK | {"horizon": horizon, "discount_weighting": weighted})
    pi = policy_of(training)
    (columns,) = one_update(training)
    mdp, limit = training.world.mdp, training.world.time_limit if horizon == "time_limit" else None
    assert mdp is not None
    found = evaluate(mdp, pi, horizon=limit)
    np.testing.assert_allclose(columns["return_mean"], found.expected_return, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(columns["episode_length"], found.expected_length, rtol=1e-9, atol=1e-12)
    weights = found.visit_counts
    if horizon == "infinite":
        # sum_t discount^t P(s_t = s), by summing up a long while
        weights, now = np.zeros_like(weights), np.tile(mdp.start, (len(pi), 1))
        onward = np.zeros((mdp.states, mdp.actions, mdp.states))
        for s, a, k in np.ndindex(mdp.next_state.shape):
            onward[s, a, mdp.next_state[s, a, k]] += mdp.probability[s, a, k] * ~mdp.terminated[s, a, k]
        for t in range(400):
            weights += 0.9**t * now
            now = np.einsum("rs,rsa,sab->rb", now, pi, onward)
    entropy = -(pi * np.log(pi)).sum(-1)
    expected = (weights * entropy).sum(-1) / weights.sum(-1)
    np.testing.assert_allclose(columns["entropy_nats"], expected, rtol=1e-9, atol=1e-12)


def test_the_expected_share_of_episodes_cut_off_is_the_chance_to_be_alive_at_the_limit() -> None:
    """Corridor S.G under the uniform policy: of four actions one goes right and one, in the middle, back."""
    corridor = {"id": "FourAction/Grid-v0", "kwargs": {"map": ["S.G"]}, "max_episode_steps": 4}
    (expected,) = set(exact(corridor, TABLE).advance(1).columns["truncation_rate"].ravel().tolist())
    at_start, in_the_middle = 1.0, 0.0
    for _ in range(4):
        at_start, in_the_middle = (
            at_start * 3 / 4 + in_the_middle / 4,
            at_start / 4 + in_the_middle / 2,
        )
    assert expected == pytest.approx(at_start + in_the_middle, rel=1e-12)
    endless = exact(corridor, TABLE | {"horizon": "infinite"}).advance(1)
    assert (endless.columns["truncation_rate"] == 0).all()


def test_an_absorbing_state_changes_nothing_but_the_length_where_entropy_does_not_count() -> None:
    """Nothing is paid in it: the same updates, returns and policies; only its time goes on."""
    agent = TABLE | {"horizon": "infinite", "discount_weighting": True, "learning_rate": 1.0}
    ended, absorbing = (exact(WORLDS[name], agent, updates=20) for name in ("trap", "absorbing trap"))
    plain, endless = ended.advance().columns, absorbing.advance().columns
    without = np.array(ended.runs.arm) == "without"
    for name in ("return_mean", "policy_loss", "grad_norm", "optimal_action_probability", "regret"):
        np.testing.assert_allclose(  # values of order 1 out of linear systems; a regret is 0, or all rounding
            plain[name][:, without], endless[name][:, without], rtol=1e-9, atol=1e-12
        )
    assert (endless["episode_length"] == math.inf).all()
    assert (plain["episode_length"] < math.inf).all()
    np.testing.assert_allclose(policy_of(ended)[:2], policy_of(absorbing)[:2, :25], rtol=1e-9, atol=1e-12)


# --- that it climbs what it says ---


@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
@pytest.mark.parametrize("policy", [TABLE, NETWORK], ids=["table", "network"])
@pytest.mark.parametrize("world", ["two rooms", "frozen lake", "absorbing trap"])
def test_small_steps_climb_the_soft_return(world: str, policy: dict[str, Any], horizon: str) -> None:
    """Every update of a small enough step raises E sum_t discount^t (r_t + coefficient x entropy_t)."""
    training = exact(
        WORLDS[world],
        policy | SOFT | {"horizon": horizon, "discount_weighting": True, "learning_rate": 0.01},
        updates=10,
    )
    mdp, limit = training.world.mdp, training.world.time_limit if horizon == "time_limit" else None
    assert mdp is not None

    def soft_return() -> np.ndarray:
        pi = policy_of(training)
        bonus = np.repeat([0.0, 0.1], 2)[:, None] * -(pi * np.log(pi)).sum(-1)
        return evaluate(mdp, pi, horizon=limit, discount=0.9, entropy_bonus=bonus).expected_return

    values = [soft_return()]
    for _ in range(10):
        training.advance(1)
        values.append(soft_return())
    assert (np.diff(values, axis=0) > 0).all()


def test_the_mean_of_many_sampled_updates_is_an_exact_one() -> None:
    """In the tables too: 4000 episodes against the expectation. (The policy loss is a surrogate: of it only the
    gradient is the same, since the exact one subtracts the value of the state.)"""
    world = WORLDS["two rooms"] | {"max_episode_steps": 20}
    agent = {"policy": "tabular", "discount": 0.9, "learning_rate": 0.1, "entropy_coef": 0.1}
    sampled, expected = (
        Training(
            comparison(world, agent | {"gradient": gradient}, {"a": {}}, seeds=40, updates=1, episodes=episodes)
        )
        for gradient, episodes in (("sampled", 100), ("exact", 1))
    )
    samples, exactly = one_update(sampled, expected)
    for name in ("return_mean", "episode_length", "truncation_rate", "negative_entropy"):
        error = samples[name].std(ddof=1) / math.sqrt(40)
        assert abs(samples[name].mean() - exactly[name][0]) < 3.55 * error + 1e-12  # 99.9 %, 39 degrees of freedom


# --- single runs ---


def test_runs_that_start_alike_are_one_run_without_an_interval() -> None:
    from experiments import train

    tables, networks = (
        train(comparison(WORLDS["grid"], agent | {"gradient": "exact"}, {"a": {}, "b": {"discount": 0.5}}))
        for agent in (TABLE, NETWORK)
    )
    for arm in ("a", "b"):
        assert tables.summary["arms"][arm]["n"] == 1
        assert tables.summary["arms"][arm]["measures"]["final_return"]["low"] is None
        assert networks.summary["arms"][arm]["n"] == 3


@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
def test_a_run_does_not_know_its_neighbours(horizon: str) -> None:
    """Bit for bit, at a time limit and in linear systems."""
    agent = NETWORK | SOFT | {"horizon": horizon, "discount_weighting": True}
    alone, together = (exact(WORLDS["absorbing trap"], agent, updates=5, seeds=n) for n in (1, 4))
    everything = together.advance().columns
    for name, column in alone.advance().columns.items():
        np.testing.assert_array_equal(column, everything[name][:, [0, 4]], err_msg=name)


# --- refusals ---


def test_a_policy_that_never_ends_costs_infinity_and_stops_nobody() -> None:
    """A step of 0.1 on a gradient of hundreds; the discounted gradient stays finite."""
    training = exact(WORLDS["cliff"], NETWORK | {"horizon": "infinite", "discount_weighting": True})
    last = {name: column[-1] for name, column in training.advance().columns.items()}
    assert (last["return_mean"] == -math.inf).any()
    assert (last["episode_length"] >= 1).all()
    assert np.isfinite(last["grad_norm"]).all()


def test_infinite_visits_are_refused_with_a_way_out() -> None:
    with pytest.raises(
        ConfigError, match=r"agent.horizon: .*may never end.*give a horizon, or a discount below 1"
    ):
        exact(WORLDS["absorbing trap"], TABLE | {"horizon": "infinite"})
    with pytest.raises(ConfigError, match="may never end"):
        exact(
            WORLDS["absorbing trap"], TABLE | {"horizon": "infinite", "discount": 1.0, "discount_weighting": True}
        )


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule": "linear", "start": 0.1, "end": -0.1},
        {"schedule": "linear", "start": -0.1, "end": 0.1},
        {"schedule": "exponential", "start": -1.0, "decay": 0.9},
        {"schedule": "target_entropy", "target_bits": -1.0, "rate": 0.1},
    ],
    ids=str,
)
def test_a_schedule_that_would_go_negative_is_refused(schedule: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"agent\.entropy_coef\.\w+: .*greater than or equal to 0"):
        comparison(agent={"entropy_coef": schedule})


def test_the_first_optimal_update_is_the_first_whose_policy_mostly_acts_optimally() -> None:
    from experiments import train

    arms = {"soon": {"learning_rate": 2.0}, "never": {"learning_rate": 1e-6}}
    agent = TABLE | {"gradient": "exact", "initial_policy": [0.4, 0.3, 0.2, 0.1]}
    result = train(comparison(WORLDS["bandit"], agent, arms, seeds=1, updates=50, episodes=1))
    best = np.array(result.updates["optimal_action_probability"]).reshape(50, 2)
    soon, never = result.runs["first_optimal_update"].to_pylist()
    assert (best[:soon, 0] <= 0.5).all()
    assert best[soon, 0] > 0.5
    assert soon > 0
    assert never is None
