"""The fast rollout gives exactly the steps of the readable one: states, actions, rewards, entropies."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

import envs  # noqa: F401  (registers our ids)
from envs.toy_text import finite_mdp_of
from experiments import rollout
from experiments.measures import entropy
from experiments.readable import episode
from experiments.rollout import FiniteRollout
from tests.experiments.replay import OwnEpisodes

Array = NDArray[np.float64]
SEEDS, ARMS, EPISODES, UPDATES = (3, 11), 2, 4, 3
RUNS = len(SEEDS) * ARMS


def random_log_policies(states: int, actions: int, update: int) -> Array:
    """Another policy for every run, state and update, some of them nearly deterministic, [R, S, A]."""
    logits = 3 * np.random.default_rng(update).normal(size=(RUNS, states, actions))
    return np.asarray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))


WORLDS: dict[str, Callable[[], gymnasium.Env[Any, Any]]] = {
    "two rooms": lambda: gymnasium.make("FourAction/TwoRooms-v0"),
    "bandit with noise": lambda: gymnasium.make("FourAction/Bandit-v0", reward_std=0.5),
    "slippery lake": lambda: gymnasium.make("FrozenLake-v1", is_slippery=True),
    "lake": lambda: gymnasium.make("FrozenLake-v1", is_slippery=False),
    "random start": lambda: gymnasium.make(
        "FourAction/Grid-v0", map=["S.#S", "..#.", "S..G"], max_episode_steps=9
    ),
    "cliff": lambda: gymnasium.make("CliffWalking-v1", max_episode_steps=30),
    "taxi": lambda: gymnasium.make("Taxi-v4", max_episode_steps=20),
}
BOTH_ENDINGS = {
    "two rooms",
    "random start",
}  # with these policies some episodes end by themselves and some by time


@pytest.mark.parametrize("world", WORLDS)
def test_the_fast_rollout_is_the_readable_one(world: str) -> None:
    env = WORLDS[world]()
    mdp = finite_mdp_of(env)
    assert mdp is not None
    assert env.spec is not None
    limit = env.spec.max_episode_steps
    assert limit is not None
    fast_rollout = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, limit)
    own = [OwnEpisodes(env, seed, limit, EPISODES) for seed in SEEDS * ARMS]
    lengths = set()
    for update in range(UPDATES):
        log_pi = random_log_policies(mdp.states, mdp.actions, update)
        entropies = entropy(log_pi)
        fast = fast_rollout.collect(np.exp(log_pi), entropies)
        run_of, state, action = np.unravel_index(fast.row_action, (RUNS, mdp.states, mdp.actions))
        assert (fast.run == run_of).all()
        assert (fast.row(mdp.actions) == run_of * mdp.states + state).all()
        shape = (len(fast.live), RUNS, EPISODES)
        time, run_at, episode_at = np.unravel_index(fast.place, shape)
        assert (time == fast.time).all()
        assert (run_at == fast.run).all()
        in_order = np.ravel_multi_index((fast.run, fast.time, episode_at), (RUNS, limit, EPISODES))
        assert (np.diff(in_order) > 0).all()  # and none twice
        visited = np.zeros((RUNS, mdp.states), dtype=bool)
        cut_off = np.zeros(RUNS)
        for run in range(RUNS):
            for e, steps in enumerate(own[run].update(log_pi[run])):
                own_steps = np.flatnonzero((fast.run == run) & (episode_at == e))
                assert (fast.run[own_steps] == run).all()
                assert fast.time[own_steps].tolist() == list(range(len(steps)))
                assert state[own_steps].tolist() == [step.observation for step in steps]
                assert action[own_steps].tolist() == [step.action for step in steps]
                assert fast.reward[own_steps].tolist() == [step.reward for step in steps]
                assert entropies[run, state[own_steps]].tolist() == [step.entropy_nats for step in steps]
                visited[run, [step.observation for step in steps]] = True
                visited[run, steps[-1].next_observation] = True
                assert fast.returns[run, e] == sum(step.reward for step in steps)
                assert fast.lengths[run, e] == len(steps)
                lengths.add(len(steps))
                cut_off[run] += not steps[-1].terminated
        assert (fast.truncated == cut_off).all()
        assert (fast.visited == visited).all()
        np.testing.assert_array_equal(
            fast.visits.ravel(), np.bincount(fast.row(mdp.actions), minlength=visited.size)
        )
        lock_step = fast.time * RUNS + fast.run
        live = np.bincount(lock_step, minlength=fast.live.size).reshape(fast.live.shape)
        np.testing.assert_array_equal(fast.live, live)
        total = np.bincount(lock_step, entropies.ravel()[fast.row(mdp.actions)], minlength=live.size).reshape(
            live.shape
        )
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(fast.entropy, total / live, atol=1e-12)  # means of a few entropies
    if world in BOTH_ENDINGS:
        assert min(lengths) < limit == max(lengths)


def test_a_bandit_is_one_step() -> None:
    env = gymnasium.make("FourAction/Bandit-v0")
    steps = list(episode(env, lambda _: np.log([0.1, 0.2, 0.3, 0.4]), [0.35, 0.5]))
    assert [(step.action, step.reward) for step in steps] == [(2, 0.4)]  # 0.1 + 0.2 <= 0.35 < 0.1 + 0.2 + 0.3


@pytest.mark.parametrize(
    ("uniform", "action"), [(0.0, 0), (0.2499, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1 - 2**-53, 3)]
)
def test_the_action_is_the_number_of_cumulative_probabilities_reached(uniform: float, action: int) -> None:
    env = gymnasium.make("FourAction/Bandit-v0")
    (step,) = episode(env, lambda _: np.log(np.full(4, 0.25)), [uniform])
    assert step.action == action
    assert step.entropy_nats == pytest.approx(np.log(4))


def test_more_steps_than_there_is_room_for_are_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = finite_mdp_of(WORLDS["slippery lake"]())
    assert mdp is not None
    log_pi = random_log_policies(mdp.states, mdp.actions, 0)
    given = np.exp(log_pi), entropy(log_pi)
    enough = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 100).collect(*given)
    monkeypatch.setattr(rollout, "FIRST_ROOM", 3)
    small = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 100)
    for one, other in zip(enough, small.collect(*given), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_kept_of_an_update_keeps_nothing_larger_alive() -> None:
    mdp = finite_mdp_of(WORLDS["two rooms"]())
    assert mdp is not None
    log_pi = random_log_policies(mdp.states, mdp.actions, 0)
    played = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 20_000).collect(np.exp(log_pi), entropy(log_pi))
    for kept in (played.live, played.entropy, played.returns, played.lengths):
        owner: Any = kept.base  # what numba allocated
        assert memoryview(owner).nbytes == kept.nbytes
