"""The native vector environment equals n single ones, step by step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import envs
from envs.tabular import TabularEnv
from envs.tabular_vector import TabularVectorEnv
from tests.envs.random_world import RANDOM_WORLD

N = 5
Pair = tuple[VectorEnv[Any, Any, Any], VectorEnv[Any, Any, Any]]


def registered(world: str, mode: AutoresetMode, **kwargs: Any) -> Pair:
    native = gymnasium.make_vec(world, num_envs=N, autoreset_mode=mode, **kwargs)
    singles = gymnasium.make_vec(
        world, num_envs=N, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **kwargs
    )
    assert isinstance(native, TabularVectorEnv)
    assert isinstance(singles, SyncVectorEnv)
    return native, singles


def stochastic(mode: AutoresetMode) -> Pair:
    singles = [lambda: TimeLimit(TabularEnv(RANDOM_WORLD), 6) for _ in range(N)]
    return TabularVectorEnv(RANDOM_WORLD, N, 6, mode), SyncVectorEnv(singles, autoreset_mode=mode)


PAIRS: dict[str, Callable[[AutoresetMode], Pair]] = {
    world: partial(registered, world) for world in envs.WORLDS
} | {
    "noisy bandit": lambda mode: registered("FourAction/Bandit-v0", mode, reward_std=0.5),
    "short rooms": lambda mode: registered("FourAction/TwoRooms-v0", mode, max_episode_steps=3),
    "deep sea 3": lambda mode: registered("FourAction/DeepSea-v0", mode, depth=3, mapping_seed=5),
    "everything random": stochastic,
}


def assert_equal(native: tuple[Any, ...], singles: tuple[Any, ...]) -> None:
    """What reset or step returned: arrays with their types, and the info."""
    assert len(native) == len(singles)
    for ours, theirs in zip(native, singles, strict=True):
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert list(map(type, ours)) == list(map(type, theirs))  # within an array of objects, too
            assert_array_equal(ours, theirs)
        else:
            assert ours.keys() == theirs.keys()
            assert_equal(tuple(ours.values()), tuple(theirs[name] for name in ours))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", [4, [8, 1, 300, 2, 7]])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_automatic_resets_equal_those_of_single_environments(mode: AutoresetMode, name: str, seed: Any) -> None:
    pair = PAIRS[name](mode)
    actions = np.random.default_rng(0)
    assert_equal(*(env.reset(seed=seed) for env in pair))
    for _ in range(250):
        action = actions.integers(pair[0].single_action_space.n, size=N)  # type: ignore[attr-defined]
        assert_equal(*(env.step(action) for env in pair))
    assert_equal(*(env.reset() for env in pair))  # goes on with the same generators
    assert_equal(*(env.step(action) for env in pair))


@pytest.mark.parametrize("name", PAIRS)
def test_disabled_autoreset_equals_single_environments(name: str) -> None:
    pair = PAIRS[name](AutoresetMode.DISABLED)
    actions = np.random.default_rng(1)
    assert_equal(*(env.reset(seed=11) for env in pair))
    for _ in range(250):
        action = actions.integers(pair[0].single_action_space.n, size=N)  # type: ignore[attr-defined]
        steps = [env.step(action) for env in pair]
        assert_equal(*steps)
        ended = steps[0][2] | steps[0][3]
        if ended.any():
            assert_equal(*(env.reset(options={"reset_mask": ended.copy()}) for env in pair))


ACTIONS = st.lists(st.integers(0, RANDOM_WORLD.actions - 1), min_size=N, max_size=N)


@given(
    mode=st.sampled_from(AutoresetMode),
    seed=st.one_of(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=N, max_size=N)),
    limit=st.integers(1, 6),
    actions=st.lists(ACTIONS, min_size=1, max_size=30),
)
def test_in_every_mode_any_actions_give_what_single_environments_give(
    mode: AutoresetMode, seed: Any, limit: int, actions: list[list[int]]
) -> None:
    singles = [lambda: TimeLimit(TabularEnv(RANDOM_WORLD), limit) for _ in range(N)]
    pair = TabularVectorEnv(RANDOM_WORLD, N, limit, mode), SyncVectorEnv(singles, autoreset_mode=mode)
    assert_equal(*(env.reset(seed=seed) for env in pair))
    for action in actions:
        steps = [env.step(np.array(action)) for env in pair]
        assert_equal(*steps)
        ended = steps[0][2] | steps[0][3]
        if mode is AutoresetMode.DISABLED and ended.any():
            assert_equal(*(env.reset(options={"reset_mask": ended.copy()}) for env in pair))


def test_the_last_observation_of_an_episode_comes_with_the_step_that_ends_it() -> None:
    env = gymnasium.make_vec("FourAction/Bandit-v0", num_envs=3, autoreset_mode="SameStep", max_episode_steps=2)
    env.reset(seed=0)
    *_, info = env.step(np.zeros(3, dtype=np.int64))
    assert info["_final_obs"].tolist() == [True, True, True]
    assert all(info["final_obs"][i] in env.single_observation_space for i in range(3))
    assert info["final_info"] == {}


def test_the_runs_above_ended_episodes_in_both_ways() -> None:
    """What would be missing from the comparisons if no episode was terminated, or none truncated."""
    native, _ = PAIRS["everything random"](AutoresetMode.NEXT_STEP)
    native.reset(seed=0)
    ends = [native.step(np.zeros(N, dtype=np.int64))[2:4] for _ in range(100)]
    assert any((terminated & ~truncated).any() for terminated, truncated in ends)
    assert any((truncated & ~terminated).any() for terminated, truncated in ends)


def test_spaces_metadata_and_seeds_are_those_of_single_environments() -> None:
    native, singles = PAIRS["FourAction/TwoRooms-v0"](AutoresetMode.NEXT_STEP)
    for name in (
        "num_envs",
        "observation_space",
        "action_space",
        "single_observation_space",
        "single_action_space",
    ):
        assert getattr(native, name) == getattr(singles, name)
    assert native.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    for seed in (3, [5, 4, 3, 2, 1]):
        native.reset(seed=seed)  # type: ignore[arg-type]
        singles.reset(seed=seed)  # type: ignore[arg-type]
        assert native.np_random_seed == singles.np_random_seed
    assert [g.bit_generator.state for g in native.np_random] == [g.bit_generator.state for g in singles.np_random]  # type: ignore[attr-defined]


def test_a_masked_reset_seeds_and_starts_only_the_masked() -> None:
    env = TabularVectorEnv(RANDOM_WORLD, 3, autoreset_mode="Disabled")
    env.reset(seed=[1, 2, 3])
    states = [generator.bit_generator.state for generator in env.np_random]
    options = {"reset_mask": np.array([False, True, False])}
    env.reset(seed=[7, 8, 9], options=options)
    assert env.np_random_seed == (1, 8, 3)
    assert [env.np_random[i].bit_generator.state for i in (0, 2)] == [states[0], states[2]]
    assert set(options) == {"reset_mask"}  # not taken out of the caller's dictionary


def test_what_a_caller_does_to_results_changes_nothing() -> None:
    spoilt, kept = (TabularVectorEnv(RANDOM_WORLD, N, 6) for _ in range(2))
    results: list[Any] = [env.reset(seed=0) for env in (spoilt, kept)]
    for _ in range(20):
        assert_equal(*results)
        for array in results[0][:-1]:
            array[:] = 1 - array.astype(np.int64)
        results = [env.step(np.zeros(N, dtype=np.int64)) for env in (spoilt, kept)]


def test_an_ended_episode_must_be_reset_where_autoreset_is_disabled() -> None:
    env = gymnasium.make_vec("FourAction/Bandit-v0", num_envs=3, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step(np.array([0, 1, 2]))
    env.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(ResetNeeded, match=r"sub-environments \[1\] have ended"):
        env.step(np.array([0, 1, 2]))


def test_steps_that_make_no_sense_are_refused() -> None:
    env = TabularVectorEnv(RANDOM_WORLD, 2)
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.step(np.array([0, 0]))
    env.reset(seed=0)
    for actions in ([0, 2], [-1, 0], [0], [0.0, 1.0]):
        with pytest.raises(InvalidAction, match="needs 2 actions 0 to 1"):
            env.step(np.array(actions))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"autoreset_mode": "Sometimes"}, "'Sometimes' is not a valid AutoresetMode"),
        ({"render_mode": "human"}, "render_mode: must be 'ansi' or 'rgb_array'"),
        ({"num_envs": 0}, "num_envs: must be 1 or more"),
        ({"max_episode_steps": 0}, "max_episode_steps: must be 1 or more"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabularVectorEnv(RANDOM_WORLD, **kwargs)


@pytest.mark.parametrize(
    ("mask", "seed", "message"),
    [
        (np.array([True]), None, "reset_mask: must be 2 booleans"),
        (np.array([1, 0]), None, "reset_mask: must be 2 booleans"),
        (np.array([False, False]), None, "not all False"),
        (np.array([True, True]), [1], "seed: a list must give 2 seeds, not 1"),
    ],
)
def test_resets_that_make_no_sense_are_refused(mask: Any, seed: Any, message: str) -> None:
    env = TabularVectorEnv(RANDOM_WORLD, 2)
    with pytest.raises(ValueError, match=message):
        env.reset(seed=seed, options={"reset_mask": mask})


@pytest.mark.parametrize("render_mode", ["ansi", "rgb_array"])
def test_frames_are_those_of_single_environments(render_mode: str) -> None:
    pair = registered(
        "FourAction/FourRooms-v0", AutoresetMode.NEXT_STEP, render_mode=render_mode, max_episode_steps=2
    )
    for env in pair:
        env.reset(seed=0)
    for _ in range(4):  # a step, the last one, the start of another episode, a step
        frames = [env.render() for env in pair]
        for ours, theirs in zip(*frames, strict=True):
            assert_array_equal(ours, theirs)
        for env in pair:
            env.step(np.array([0, 1, 2, 3, 1]))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_wrappers_record_episodes(mode: AutoresetMode) -> None:
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        gymnasium.make_vec("FourAction/TwoRooms-v0", num_envs=2, autoreset_mode=mode)
    )
    env.reset(seed=0)
    env.step(np.array([1, 0]))
    *_, info = env.step(np.array([1, 0]))
    assert_array_equal(info["_episode"], [True, False])
    assert info["episode"]["r"][0] == pytest.approx(0.2)
    assert info["episode"]["l"][0] == 2
