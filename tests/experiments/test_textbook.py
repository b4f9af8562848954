"""The fast code does what the textbook does: the same steps, returns, losses, gradients and parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import envs  # noqa: F401  (registers our ids)
from agents.information import entropy_from_log
from agents.kernels.episodes import Numbers, Steps, play
from agents.policy import Policies
from envs.finite_mdp import FiniteMDP
from envs.toy_text import finite_mdp_of
from experiments import load_config, textbook
from experiments.config.schema import Agent
from experiments.gradients.cases import TAXI
from experiments.textbook import Reinforce, Step, Terms, episode
from experiments.training import batch
from experiments.training.finite.sampled import PURPOSES, tables
from experiments.training.initial import initial_policies
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
    "taxi": lambda: gymnasium.make(TAXI, max_episode_steps=20),
}
BOTH_ENDINGS = {
    "two rooms",
    "random start",
}  # with these policies some episodes end by themselves and some by time


class Played(NamedTuple):
    """What the compiled loop says of the episodes of an update."""

    steps: Steps  # those that were played
    lock_steps: int
    cut_off: int
    visited: NDArray[np.bool_]  # [S]

    @classmethod
    def by(cls, mdp: FiniteMDP, log_pi: Array, seed: int, update: int, episodes: int, limit: int) -> "Played":
        """Of one run under log-probabilities [S, A]."""
        kinds = (np.uint32, np.uint32, np.uint32, np.float64)
        room = Steps(
            *(np.empty(limit * episodes, kind) for kind in kinds),
            np.empty(limit, np.int64), np.empty(limit), np.empty(episodes), np.empty(episodes, np.int64),
        )  # fmt: skip
        visited = np.zeros(mdp.states, bool)
        edges, entropy = np.exp(log_pi).cumsum(-1), entropy_from_log(log_pi)
        numbers = Numbers(seed, update, *PURPOSES)
        n, lock_steps, cut_off = play(tables(mdp), edges, entropy, numbers, room, visited)
        of_steps = [array[:n] for array in room[:4]]
        return cls(
            Steps(*of_steps, room.live[:lock_steps], room.entropy[:lock_steps], *room[6:]),
            lock_steps,
            cut_off,
            visited,
        )


@pytest.mark.parametrize("world", WORLDS)
def test_the_compiled_episodes_are_the_textbooks(world: str) -> None:
    env = WORLDS[world]()
    mdp = finite_mdp_of(env)
    assert mdp is not None
    assert env.spec is not None
    limit = env.spec.max_episode_steps
    assert limit is not None
    lengths = set()
    for seed in SEEDS:
        own = OwnEpisodes(env, seed, limit, EPISODES)
        for update in range(UPDATES):
            log_pi = random_log_policies(mdp.states, mdp.actions, update)[0]
            played = Played.by(mdp, log_pi, seed, update, EPISODES, limit)
            episodes = own.update(log_pi)
            assert_same_episodes(played, episodes, mdp, entropy_from_log(log_pi))
            lengths |= {len(steps) for steps in episodes}
    if world in BOTH_ENDINGS:
        assert min(lengths) < limit == max(lengths)


def assert_same_episodes(played: Played, episodes: list[list[Step]], mdp: FiniteMDP, entropy: Array) -> None:
    """Step for step, in the order of time and at the same time of episodes."""
    fast, visited = played.steps, np.zeros(mdp.states, dtype=bool)
    for e, steps in enumerate(episodes):
        own = np.flatnonzero(fast.episode == e)
        assert fast.state[own].tolist() == [step.observation for step in steps]
        assert (fast.taken[own] % mdp.actions).tolist() == [step.action for step in steps]
        assert (fast.taken[own] // mdp.actions == fast.state[own]).all()
        assert fast.reward[own].tolist() == [step.reward for step in steps]
        assert fast.returns[e] == sum(step.reward for step in steps)
        assert fast.lengths[e] == len(steps)
        visited[[step.observation for step in steps]] = True
        visited[steps[-1].next_observation] = True
    assert played.cut_off == sum(not steps[-1].terminated for steps in episodes)
    assert (played.visited == visited).all()
    running = [[e for e, steps in enumerate(episodes) if len(steps) > t] for t in range(played.lock_steps)]
    assert fast.episode.tolist() == [e for at_t in running for e in at_t]
    assert fast.live.tolist() == [len(at_t) for at_t in running]
    totals = np.add.reduceat(entropy[fast.state], np.cumsum(fast.live) - fast.live)
    np.testing.assert_allclose(fast.entropy, totals, rtol=0, atol=1e-11)  # sums of a few entropies


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
    monkeypatch.setattr(batch, "initial_policies", in_double_precision)
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
        log_pi = training.batches[0].policies.log_pi()
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


def in_double_precision(agents: Sequence[Agent], world: World, seeds: Sequence[int]) -> Policies:
    """Networks are trained in single precision, whose rounding hides what is to be seen here."""
    policies = initial_policies(agents, world, seeds)
    return policies._replace(theta=policies.theta.astype(np.float64))


def parameters(training: Training, seed: int) -> list[torch.Tensor]:
    """Weights and biases of a run, laid out as torch's own layers have them."""
    prefix = f"a/seed_{seed}/"
    return [
        torch.from_numpy(array).t().clone()
        for name, array in training.parameters().items()
        if name.startswith(prefix)
    ]


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
