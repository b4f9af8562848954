"""The fast code does what the textbook does: the same steps, returns, losses, gradients and parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import envs  # noqa: F401  (registers our ids)
from agents.information import entropy_from_log
from agents.reinforce import StackedLearner
from envs.toy_text import finite_mdp_of
from experiments import load_config, textbook
from experiments.config.schema import Agent
from experiments.textbook import Reinforce, Terms, episode
from experiments.training import batch
from experiments.training.finite import rollout
from experiments.training.finite.rollout import FiniteRollout
from experiments.training.initial import initial_learner
from experiments.training.loop import Training
from experiments.training.worlds import World
from tests.experiments.comparisons import CONFIGS, NOISY_BANDIT, TWO_ROOMS, comparison
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
def test_the_fast_rollout_plays_the_textbook_episodes(world: str) -> None:
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
        entropies = entropy_from_log(log_pi)
        fast = fast_rollout.collect(np.exp(log_pi), entropies, update)
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
            np.testing.assert_allclose(fast.entropy, total / live, rtol=0, atol=1e-12)  # means of a few entropies
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
    given = np.exp(log_pi), entropy_from_log(log_pi), 0
    enough = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 100).collect(*given)
    monkeypatch.setattr(rollout, "FIRST_ROOM", 3)
    small = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 100)
    for one, other in zip(enough, small.collect(*given), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_kept_of_an_update_keeps_nothing_larger_alive() -> None:
    mdp = finite_mdp_of(WORLDS["two rooms"]())
    assert mdp is not None
    log_pi = random_log_policies(mdp.states, mdp.actions, 0)
    played = FiniteRollout(mdp, SEEDS, ARMS, EPISODES, 20_000).collect(np.exp(log_pi), entropy_from_log(log_pi), 0)
    for kept in (played.live, played.entropy, played.returns, played.lengths):
        owner: Any = kept.base  # what numba allocated
        assert memoryview(owner).nbytes == kept.nbytes


# --- the whole update, from the same parameters ---

HABITS: dict[str, dict[str, Any]] = {
    "plain": {},
    "entropy": {"entropy_coef": 0.1},
    "batch mean": {"baseline": "batch_mean", "entropy_coef": 0.1},
    "leave one out": {"baseline": "leave_one_out", "entropy_coef": 0.1},
    "running mean": {"baseline": "running_mean"},
    "value": {"baseline": "value", "value_learning_rate": 0.3},
    "discount weighting": {"discount_weighting": True, "entropy_coef": 0.1, "baseline": "running_mean"},
    "per step": {"loss_reduction": "per_step", "entropy_coef": 0.1},
    "normalised": {"normalize_advantages": True, "baseline": "leave_one_out"},
    "clipped": {"max_grad_norm": 0.05},
    "adam": {"optimizer": "adam", "learning_rate": 0.05, "entropy_coef": 0.1},
    "soft return": {"entropy_objective": "soft_return", "entropy_coef": 0.2},
    "soft return above uniform": {
        "entropy_objective": "soft_return",
        "soft_return_offset": "uniform",
        "entropy_coef": 0.2,
        "baseline": "leave_one_out",
    },
    "everything": {
        "baseline": "value",
        "discount_weighting": True,
        "normalize_advantages": True,
        "loss_reduction": "per_step",
        "max_grad_norm": 0.5,
        "optimizer": "adam",
        "entropy_coef": 0.3,
    },
}
POLICIES: dict[str, dict[str, Any]] = {
    "table": {"policy": "tabular"},
    "linear": {"policy": "mlp", "hidden_sizes": []},
    "network": {"policy": "mlp", "hidden_sizes": [16, 8]},
}
LEARNT_IN: dict[str, dict[str, Any]] = {
    "two rooms": TWO_ROOMS | {"max_episode_steps": 15},
    "small lake": {"id": "FrozenLake-v1", "kwargs": {"desc": ["SFG", "FHF"]}, "max_episode_steps": 15},
    "noise": NOISY_BANDIT | {"max_episode_steps": 1},
}


@pytest.mark.parametrize("world", LEARNT_IN.values(), ids=LEARNT_IN)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_the_fast_update_is_the_textbooks(
    habit: dict[str, Any], policy: dict[str, Any], world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "initial_learner", in_double_precision)
    options = {"optimizer": "sgd", "learning_rate": 0.5, "discount": 0.9} | habit | policy
    config = comparison(world, options, {"a": {}}, seeds=[5, 8], updates=3)
    training, agent = Training(config), config.agent_of("a")
    env = training.world.make()
    # Adam divides by the root of the squares plus 1e-8: of a gradient that is all rounding it makes 1e-9.
    close = {"rtol": 1e-7, "atol": 1e-8}
    books = [Reinforce(env, agent) for _ in config.training.seed_list]
    own = [
        OwnEpisodes(env, seed, training.world.time_limit, config.training.episodes_per_update)
        for seed in config.training.seed_list
    ]
    for _ in range(config.training.updates):
        log_pi = training.batches[0].learner.log_pi().detach().double().numpy()
        start = [parameters(training, seed) for seed in config.training.seed_list]
        columns = training.advance(1).columns
        for run, seed in enumerate(config.training.seed_list):
            take_over(start[run], books[run])
            episodes = own[run].update(log_pi[run])
            terms = books[run].learn(episodes, float(habit.get("entropy_coef", 0.0)))
            found = [columns[name][0, run] for name in Terms._fields]
            np.testing.assert_allclose(found, terms, **close)
            mean_return = np.mean([sum(step.reward for step in steps) for steps in episodes])
            np.testing.assert_allclose(columns["return_mean"][0, run], mean_return, rtol=0, atol=1e-12)
            for layer, moved in zip(books[run].network.parameters(), parameters(training, seed), strict=True):
                torch.testing.assert_close(moved, layer.detach(), **close)


def in_double_precision(agents: Sequence[Agent], world: World, seeds: Sequence[int]) -> StackedLearner:
    """Networks are trained in single precision, whose rounding hides what is to be seen here."""
    learner, agent = initial_learner(agents, world, seeds), agents[0]
    theta = learner.theta.detach().double()
    return StackedLearner(learner.shape, theta, agent.optimizer, agent.learning_rate, agent.max_grad_norm)


def parameters(training: Training, seed: int) -> list[torch.Tensor]:
    """Weights and biases of a run, laid out as torch's own layers have them."""
    prefix = f"a/seed_{seed}/"
    return [tensor.t().clone() for name, tensor in training.parameters().items() if name.startswith(prefix)]


def take_over(values: list[torch.Tensor], book: Reinforce) -> None:
    """Set the parameters of a textbook agent."""
    with torch.no_grad():
        for layer, value in zip(book.network.parameters(), values, strict=True):
            layer.copy_(value)


# --- the command ---


def test_both_runs_start_from_the_texts_policy() -> None:
    config = load_config(CONFIGS / "bandit.toml", ["training.updates=3"])
    for arm in config.arms:
        first, *_ = textbook.train(config, arm, seed=0)
        assert first[0][0].entropy_nats / np.log(2) == pytest.approx(0.618996, abs=5e-7)  # {.9, .05, .025, .025}


def test_a_run_is_a_function_of_its_seed() -> None:
    config = load_config(CONFIGS / "bandit.toml", ["training.updates=20"])
    one, same, other = (list(textbook.train(config, "with_entropy", seed)) for seed in (3, 3, 4))
    assert one == same != other


def test_the_command_prints_the_entropy_of_both(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = load_config(CONFIGS / "bandit.toml", ["training.updates=2"])
    monkeypatch.setattr(textbook, "load_config", lambda path: short)
    assert textbook.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"{arm}: 0.62 " in shown for arm in short.arms)
