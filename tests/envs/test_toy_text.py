"""The tables of FrozenLake, CliffWalking and Taxi are the originals, and what has no table is not given one."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit, TransformReward
from numpy.typing import NDArray
from scipy import stats

import envs
from envs.finite_mdp import FiniteMDP
from envs.toy_text import finite_mdp_of, time_limit_of
from experiments.gradients.cases import TAXI

Make = Callable[[], gymnasium.Env[Any, Any]]
ORIGINALS: dict[str, Make] = {
    "slippery lake": lambda: gymnasium.make("FrozenLake-v1"),
    "dry lake": lambda: gymnasium.make("FrozenLake-v1", is_slippery=False),
    "8x8 lake": lambda: gymnasium.make("FrozenLake8x8-v1"),
    "own lake": lambda: gymnasium.make(
        "FrozenLake-v1",
        desc=generate_random_map(size=6, seed=3),
        success_rate=0.8,
        reward_schedule=(10, -1, -0.1),
    ),
    "wide lake": lambda: gymnasium.make("FrozenLake-v1", desc=["SFFFF", "FHSFG"]),
    "cliff": lambda: gymnasium.make("CliffWalking-v1"),
    "slippery cliff": lambda: gymnasium.make("CliffWalking-v1", is_slippery=True),
    "taxi": lambda: gymnasium.make(TAXI),
    "taxi in the rain": lambda: gymnasium.make(TAXI, is_rainy=True),
}


def table(env: gymnasium.Env[Any, Any]) -> FiniteMDP:
    mdp = finite_mdp_of(env)
    assert mdp is not None
    return mdp


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_transition_is_the_original_one(name: str) -> None:
    env = ORIGINALS[name]()
    mdp, original = table(env), env.unwrapped
    assert (mdp.states, mdp.actions) == (env.observation_space.n, env.action_space.n)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(mdp.start, original.initial_state_distrib)  # type: ignore[attr-defined]
    for s in range(mdp.states):
        for a in range(mdp.actions):
            outcomes = original.P[s][a]  # type: ignore[attr-defined]
            for k in range(mdp.outcomes):
                if k < len(outcomes):
                    found = (
                        mdp.probability[s, a, k],
                        mdp.next_state[s, a, k],
                        mdp.reward[s, a, k],
                        mdp.terminated[s, a, k],
                    )
                    assert found == tuple(outcomes[k])
                else:
                    assert mdp.probability[s, a, k] == 0


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_original_given_the_same_uniforms_walks_through_the_table(name: str) -> None:
    """Toy worlds draw one uniform a reset and one a step, whether it matters or not."""
    env = ORIGINALS[name]().unwrapped
    mdp = table(env)
    numbers, actions = np.random.default_rng(5), np.random.default_rng(0)
    state, _ = env.reset(seed=5)
    expected = mdp.sample_start(np.array([numbers.random()]))
    assert state == expected[0]
    for _ in range(3000):
        action = actions.integers(mdp.actions, size=1)
        state, reward, terminated, *_ = env.step(int(action[0]))
        step = mdp.step(expected, action, np.array([numbers.random()]))
        assert (state, reward, terminated) == (step.next_state[0], step.reward[0], step.terminated[0])
        expected = step.next_state
        if terminated:
            state, _ = env.reset()
            expected = mdp.sample_start(np.array([numbers.random()]))
            assert state == expected[0]


@pytest.mark.parametrize("name", ["slippery lake", "own lake", "slippery cliff", "taxi in the rain"])
def test_frequencies_of_the_original_fit_the_probabilities_of_the_table(name: str) -> None:
    """The table's world and the original's: same chances, by a statistic that does not share their uniforms."""
    env = ORIGINALS[name]().unwrapped
    mdp = table(env)
    rng = np.random.default_rng(2)
    env.reset(seed=2)
    statistic, freedom = 0.0, 0
    uncertain = np.argwhere((mdp.probability > 0).sum(-1) > 1)  # (state, action) pairs
    for s, a in rng.choice(uncertain, size=20, replace=False).tolist():
        outcomes: dict[tuple[int, float], float] = {}
        for k in range(mdp.outcomes):
            key = (int(mdp.next_state[s, a, k]), float(mdp.reward[s, a, k]))
            outcomes[key] = outcomes.get(key, 0.0) + float(mdp.probability[s, a, k])
        counts = dict.fromkeys(outcomes, 0)
        for _ in range(500):
            env.s = s  # type: ignore[attr-defined]
            state, reward, *_ = env.step(a)
            counts[state, float(reward)] += 1  # a KeyError: an outcome the table does not know
        possible = [key for key, p in outcomes.items() if p > 0]
        assert all(counts[key] == 0 for key in outcomes if key not in possible)
        expected = 500 * np.array([outcomes[key] for key in possible])
        statistic += float(((np.array([counts[key] for key in possible]) - expected) ** 2 / expected).sum())
        freedom += len(possible) - 1
    assert freedom > 20
    assert statistic < stats.chi2.ppf(0.999, freedom)


def uniform_policy(mdp: FiniteMDP) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transition matrix [S, S] of running episodes and mean reward [S] under the uniform policy."""
    weight = mdp.probability / mdp.actions
    onward = np.zeros((mdp.states, mdp.states))
    origin = np.broadcast_to(np.arange(mdp.states)[:, None, None], weight.shape)
    np.add.at(onward, (origin, mdp.next_state), np.where(mdp.terminated, 0.0, weight))
    return onward, (weight * mdp.reward).sum((1, 2))


@pytest.mark.parametrize(
    ("name", "limit", "expected"), [("slippery lake", 100, 0.01394), ("8x8 lake", 200, 0.00190)]
)
def test_a_uniform_policy_crosses_the_lake_with_its_known_probability(
    name: str, limit: int, expected: float
) -> None:
    onward, reward = uniform_policy(table(ORIGINALS[name]()))
    value = np.zeros(len(reward))
    for _ in range(limit):
        value = reward + onward @ value
    assert value[0] == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
    ("name", "limit", "expected"), [("slippery lake", 100, 0.7442), ("8x8 lake", 200, 0.9132)]
)
def test_the_best_policy_within_the_limit_has_its_known_value(name: str, limit: int, expected: float) -> None:
    mdp = table(ORIGINALS[name]())
    value = np.zeros(mdp.states)
    for _ in range(limit):
        value = (
            (mdp.probability * (mdp.reward + np.where(mdp.terminated, 0, value[mdp.next_state]))).sum(-1).max(-1)
        )
    assert value[0] == pytest.approx(expected, abs=5e-5)


def test_a_uniform_policy_walks_along_the_cliff_for_6453_steps() -> None:
    onward, _ = uniform_policy(table(ORIGINALS["cliff"]()))
    steps = np.linalg.solve(np.eye(len(onward)) - onward, np.ones(len(onward)))
    assert steps[36] == pytest.approx(6453, abs=0.5)


@pytest.mark.parametrize(
    ("world", "shape", "cell"), [("FrozenLake8x8-v1", (8, 8), (4, 1)), ("CliffWalking-v1", (4, 12), (1, 5))]
)
def test_arrows_point_where_actions_go(world: str, shape: tuple[int, int], cell: tuple[int, int]) -> None:
    """From a cell with neighbours on all sides, without slipping."""
    mdp = table(gymnasium.make(world, is_slippery=False))
    drawing = mdp.drawing
    assert drawing is not None
    assert (drawing.height, drawing.width) == shape
    state = cell[0] * shape[1] + cell[1]
    np.testing.assert_array_equal(drawing.cells[state], cell)
    np.testing.assert_array_equal(drawing.cells[mdp.next_state[state, :, 0]], cell + drawing.action_vectors)
    assert len(np.unique(mdp.next_state[state])) == 4


def test_drawings_show_what_entering_a_cell_pays() -> None:
    lake = table(gymnasium.make("FrozenLake-v1", desc=["SFF", "HFG"], reward_schedule=(5, -1, 0))).drawing
    assert lake is not None
    assert (lake.height, lake.width) == (2, 3)
    assert lake.goals == {(1, 0): -1.0, (1, 2): 5.0}
    cliff = table(gymnasium.make("CliffWalking-v1")).drawing
    assert cliff is not None
    assert cliff.goals == {(3, 11): -1.0} | {(3, column): -100.0 for column in range(1, 11)}


def test_taxi_has_six_actions_and_no_grid_of_states() -> None:
    mdp = table(gymnasium.make(TAXI))
    assert (mdp.states, mdp.actions, mdp.drawing) == (500, 6, None)
    assert mdp.has_random_start


@pytest.mark.parametrize("world", envs.WORLDS)
def test_our_own_worlds_have_the_table_they_run_on(world: str) -> None:
    env = gymnasium.make(world)
    assert finite_mdp_of(env) is env.unwrapped.mdp  # type: ignore[attr-defined]
    assert finite_mdp_of(RecordEpisodeStatistics(env)) is env.unwrapped.mdp  # type: ignore[attr-defined]


class MeltingLake(FrozenLakeEnv):
    """A subclass may do in `step` what its table does not say."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: gymnasium.make("CartPole-v1"),
        lambda: gymnasium.make("Blackjack-v1"),
        pytest.param(lambda: gymnasium.make(TAXI, fickle_passenger=True), id="taxi whose passenger changes plans"),
        lambda: TransformReward(gymnasium.make("FrozenLake-v1"), lambda reward: -float(reward)),
        lambda: TransformReward(gymnasium.make("FourAction/TwoRooms-v0"), lambda reward: -float(reward)),
        MeltingLake,
    ],
)
def test_what_a_table_would_not_describe_has_none(make: Make) -> None:
    assert finite_mdp_of(make()) is None


@pytest.mark.parametrize(
    ("make", "given", "limit"),
    [
        (lambda: gymnasium.make("FourAction/TwoRooms-v0"), None, 50),
        (lambda: gymnasium.make("FourAction/TwoRooms-v0"), 7, 7),
        (lambda: gymnasium.make("FourAction/TwoRooms-v0", max_episode_steps=20), None, 20),
        (lambda: gymnasium.make("FourAction/DeepSea-v0", depth=12), None, 12),
        (lambda: gymnasium.make("FourAction/DeepSea-v0", depth=12), 5, 5),
        (lambda: gymnasium.make("FrozenLake8x8-v1"), None, 200),
        (lambda: gymnasium.make("CliffWalking-v1"), 100, 100),
        (lambda: gymnasium.make("CartPole-v1"), None, 500),
    ],
)
def test_time_limit(make: Make, given: int | None, limit: int) -> None:
    assert time_limit_of(make(), given) == limit


def test_a_world_without_a_time_limit_asks_for_one() -> None:
    with pytest.raises(ValueError, match=r"max_episode_steps: CliffWalking-v1 has no time limit .* give one"):
        time_limit_of(gymnasium.make("CliffWalking-v1"))
    with pytest.raises(ValueError, match="max_episode_steps: FrozenLakeEnv has no time limit"):
        time_limit_of(FrozenLakeEnv())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_time_limit_must_be_positive(limit: int) -> None:
    with pytest.raises(ValueError, match="max_episode_steps: must be 1 or more"):
        time_limit_of(gymnasium.make("CartPole-v1"), limit)


def test_a_time_limit_wrapped_by_hand_counts() -> None:
    assert time_limit_of(TimeLimit(gymnasium.make("CliffWalking-v1"), 30)) == 30
