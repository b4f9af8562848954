"""The Gymnasium contract, for every world and render mode; and the environment is its table."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo, RenderCollection

import envs
from envs.tabular import TabularEnv
from tests.envs.random_world import RANDOM_WORLD


def make(world: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(world, **kwargs)


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array", "human"])
@pytest.mark.parametrize("world", envs.WORLDS)
def test_check_env_is_clean(world: str, render_mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TabularEnv.metadata, "render_fps", 1000)  # check_env opens windows: do not wait for them
    check_env(make(world, render_mode=render_mode).unwrapped)  # its complaints are warnings, hence errors here


def test_check_env_is_clean_where_everything_is_random() -> None:
    check_env(TabularEnv(RANDOM_WORLD), skip_render_check=True)  # no id, no other render modes


@pytest.mark.parametrize("world", envs.WORLDS)
def test_ids_work_with_and_without_an_import(world: str) -> None:
    assert type(make(f"envs:{world}").unwrapped) is type(make(world).unwrapped)


@pytest.mark.parametrize("world", envs.WORLDS)
def test_a_spec_survives_json(world: str) -> None:
    spec = make(world).spec
    assert spec is not None
    again = gymnasium.make(EnvSpec.from_json(spec.to_json()))
    np.testing.assert_array_equal(again.unwrapped.mdp.next_state, make(world).unwrapped.mdp.next_state)  # type: ignore[attr-defined]


def test_the_same_uniforms_give_the_trajectory_of_the_table_exactly() -> None:
    """A readable rollout through Gymnasium, and beside it the table fed with the same random numbers."""
    env = TabularEnv(RANDOM_WORLD)
    numbers = np.random.default_rng(7)  # reset(seed=7) makes the same generator
    actions = np.random.default_rng(0)

    for episode in range(50):
        state, _ = env.reset(seed=7 if episode == 0 else None)
        expected = int(RANDOM_WORLD.sample_start(np.array([numbers.random()]))[0])
        assert state == expected
        terminated = False
        while not terminated:
            action = int(actions.integers(2))
            state, reward, terminated, truncated, _ = env.step(action)
            step = RANDOM_WORLD.step(
                np.array([expected]),
                np.array([action]),
                np.array([numbers.random()]),
                np.array([numbers.standard_normal()]),
            )
            assert (state, reward, terminated) == (step.next_state[0], step.reward[0], step.terminated[0])
            assert not truncated
            expected = int(step.next_state[0])


@pytest.mark.parametrize("world", ["TwoRooms", "FourRooms", "Trap", "Maze", "DeepSea", "Bandit", "TwoState"])
def test_a_world_without_chance_draws_no_random_number(world: str) -> None:
    env = make(f"FourAction/{world}-v0").unwrapped
    env.reset(seed=0)
    before = env.np_random.bit_generator.state
    env.reset()
    env.step(0)
    assert env.np_random.bit_generator.state == before


def test_only_its_own_generator_is_used() -> None:
    """The global generator is left alone, and two environments of one seed agree."""
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    first, second = TabularEnv(RANDOM_WORLD), TabularEnv(RANDOM_WORLD)
    trajectories: list[list[Any]] = []
    for env in (first, second):
        trajectory: list[Any] = [env.reset(seed=3)]
        for _ in range(200):
            trajectory.append(env.step(1))
            if trajectory[-1][2]:
                trajectory.append(env.reset())
        trajectories.append(trajectory)
    assert trajectories[0] == trajectories[1]
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002


def test_stepping_without_a_running_episode_is_refused() -> None:
    env = TabularEnv(RANDOM_WORLD)
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.step(0)
    bandit = make("FourAction/Bandit-v0").unwrapped
    bandit.reset(seed=0)
    bandit.step(0)
    with pytest.raises(ResetNeeded, match="call reset first"):
        bandit.step(0)


@pytest.mark.parametrize("action", [-1, 4, 0.5, None])
def test_an_action_the_world_does_not_have_is_refused(action: Any) -> None:
    env = make("FourAction/TwoRooms-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="the action must be 0 to 3"):
        env.step(action)


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="render_mode: must be one of"):
        TabularEnv(RANDOM_WORLD, render_mode="hologram")


@pytest.mark.parametrize(("world", "limit"), [(w, entry[2]) for w, entry in envs.WORLDS.items() if entry[2]])
def test_the_time_limit_truncates(world: str, limit: int) -> None:
    """Up from the start leads nowhere in the rooms; elsewhere the world ends by then."""
    env = make(world)
    env.reset(seed=0)
    for t in range(1, limit + 1):
        *_, terminated, truncated, _ = env.step(0)
        assert truncated == (t == limit)
        if terminated:
            break


def test_an_episode_is_recorded_by_the_usual_wrappers() -> None:
    env = RecordEpisodeStatistics(make("FourAction/TwoRooms-v0"))
    env.reset(seed=0)
    for action in (1, 1):
        *_, info = env.step(action)
    assert info["episode"]["r"] == pytest.approx(0.2)
    assert info["episode"]["l"] == 2

    frames = RenderCollection(make("FourAction/TwoRooms-v0", render_mode="rgb_array"))
    frames.reset(seed=0)
    frames.step(1)
    before, after = frames.render()
    assert (np.asarray(before) != np.asarray(after)).any()


def test_a_video_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    env = RecordVideo(
        make("FourAction/TwoRooms-v0", render_mode="rgb_array"), str(tmp_path / "video"), disable_logger=True
    )
    env.reset(seed=0)
    for action in (1, 1):
        env.step(action)
    env.close()  # type: ignore[no-untyped-call]
    assert list(tmp_path.glob("video/*.mp4"))


def test_a_window_shows_every_step_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    monkeypatch.setitem(TabularEnv.metadata, "render_fps", 1000)
    env = make("FourAction/TwoRooms-v0", render_mode="human").unwrapped
    picture = make("FourAction/TwoRooms-v0", render_mode="rgb_array").unwrapped
    for each in (env, picture):
        each.reset(seed=0)
        each.step(3)
    screen = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    np.testing.assert_array_equal(screen, picture.render())
    env.close()
    assert not pygame.display.get_init()
    env.close()  # again: nothing happens
