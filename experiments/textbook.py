"""REINFORCE with the entropy term, as a textbook writes it. Read this first.

python -m experiments.textbook    train the bandit once without the term and once with it, and print both entropies

One run, one episode, one step at a time, in plain torch and Gymnasium, with nothing clever. The fast code of this
project trains hundreds of runs at once; tests compare it with this file, update by update.

Source: Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*
(1992).
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.textbook")  # before anything else: Ctrl-C is heard from here on

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete, flatdim, flatten
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.information import entropy_from_log
from agents.regularizers import regularizer
from experiments.config.commands import as_typed
from experiments.config.loading import load_config
from experiments.config.schema import Agent, Config
from experiments.session.command_line import Parser
from experiments.training.worlds import make_world

Env = gymnasium.Env[Any, Any]
Array = NDArray[np.float64]
Returns = Sequence[Sequence[float]]  # returns-to-go of the steps of each episode


class Step(NamedTuple):
    """One step of an episode."""

    observation: Any  # what the policy saw when it chose the action
    action: int
    actions: int  # A, the number of actions there were
    reward: float
    entropy_nats: float  # of the policy at that observation
    next_observation: Any
    terminated: bool  # False in the last step: the time limit cut the episode off


class Terms(NamedTuple):
    """The loss of one update and the norm of its gradient before clipping."""

    policy_loss: float
    negative_entropy: float  # nats
    loss: float
    grad_norm: float


def episode(env: Env, log_policy: Callable[[Any], Array], uniforms: Iterable[float]) -> Iterator[Step]:
    """Play one episode, from `env.reset` to its end or to the time limit.

    Args:
        env: the environment.
        log_policy: log-probabilities of the actions, [A], for an observation.
        uniforms: numbers in [0, 1); each step takes one of them.
    """
    observation, _ = env.reset()
    for uniform in uniforms:
        log_pi = log_policy(observation)
        action = int((np.exp(log_pi).cumsum()[:-1] <= uniform).sum())  # inverts the cumulative distribution
        next_observation, reward, terminated, truncated, _ = env.step(action)
        entropy = float(-(np.exp(log_pi) * log_pi).sum())
        yield Step(observation, action, len(log_pi), float(reward), entropy, next_observation, bool(terminated))
        if terminated or truncated:
            return
        observation = next_observation


def returns_to_go(steps: Sequence[Step], agent: Agent, entropy_coef: float) -> list[float]:
    """G_t = r_t + discount * G_(t+1) for every step, [T].

    In a soft return, the entropy of every *later* step counts as a reward too. A step's own entropy is the same
    whatever action is taken, so the return leaves it out; it enters through the loss term.
    """
    soft = entropy_coef if agent.entropy_objective == "soft_return" else 0.0
    uniform = agent.soft_return_offset == "uniform"
    found, later = [], 0.0
    for step in reversed(steps):
        found.append(step.reward + agent.discount * later)
        later = found[-1] + soft * (step.entropy_nats - (math.log(step.actions) if uniform else 0.0))
    return found[::-1]


def network(env: Env, agent: Agent) -> nn.Sequential:
    """A network from an observation, [D], to logits, [A]; a table of logits is a linear layer without a bias."""
    assert isinstance(env.action_space, Discrete)
    actions, mlp = int(env.action_space.n), agent.policy == "mlp"
    widths = [flatdim(env.observation_space), *(agent.hidden_sizes if mlp else ()), actions]
    layers = [nn.Linear(*pair, bias=mlp, dtype=torch.float64) for pair in pairwise(widths)]
    if not mlp:
        start = torch.tensor(agent.initial_policy or [1 / actions] * actions, dtype=torch.float64)
        layers[0].weight = nn.Parameter(start.log()[:, None].repeat(1, widths[0]))
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.Tanh())][:-1])


class Reinforce:
    """A softmax policy with its baseline and its optimiser."""

    def __init__(self, env: Env, agent: Agent) -> None:
        self.agent, self.space = agent, env.observation_space
        self.network = network(env, agent)
        optimizer = torch.optim.Adam if agent.optimizer == "adam" else torch.optim.SGD
        self.optimizer = optimizer(self.network.parameters(), lr=agent.learning_rate)
        self.values: dict[Any, float] = defaultdict(float)  # of the states; for the baseline "value"
        self.seen: list[float] = []  # all earlier returns-to-go; for the baseline "running_mean"

    def log_pi(self, observation: Any) -> Tensor:
        """Log-probabilities of the actions, [A], differentiable. A state number becomes a one-hot row."""
        row = torch.as_tensor(flatten(self.space, observation)).double()
        return torch.log_softmax(self.network(row), -1)

    def learn(self, episodes: Sequence[Sequence[Step]], entropy_coef: float) -> Terms:
        """One gradient step on the episodes of one update."""
        agent = self.agent
        returns = [returns_to_go(steps, agent, entropy_coef) for steps in episodes]
        advantages = iter(self.advantages(episodes, returns))
        policy_loss = negative_entropy = weighed = torch.zeros((), dtype=torch.float64)
        for steps in episodes:
            for t, step in enumerate(steps):
                log_pi = self.log_pi(step.observation)
                weight = agent.discount**t if agent.discount_weighting else 1.0
                policy_loss = policy_loss - weight * next(advantages) * log_pi[step.action]
                negative_entropy = negative_entropy - weight * entropy_from_log(log_pi)
                # The negative entropy, unless the config asks for a control in its place.
                weighed = weighed + weight * regularizer(agent.regularizer, log_pi)
        divisor = sum(map(len, episodes)) if agent.loss_reduction == "per_step" else len(episodes)
        policy_loss, negative_entropy = policy_loss / divisor, negative_entropy / divisor
        loss = policy_loss + entropy_coef * weighed / divisor

        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), agent.max_grad_norm or math.inf)
        self.optimizer.step()
        self.learn_baseline(episodes, returns)
        return Terms(policy_loss.item(), negative_entropy.item(), loss.item(), norm.item())

    def advantages(self, episodes: Sequence[Sequence[Step]], returns: Returns) -> list[float]:
        """Returns-to-go minus the baseline, of every step of every episode in turn."""
        found = []
        for e, steps in enumerate(episodes):
            for t, step in enumerate(steps):
                at_t = [to_go[t] if t < len(to_go) else 0.0 for to_go in returns]  # an ended episode counts 0
                baseline = 0.0
                match self.agent.baseline:
                    case "batch_mean":
                        baseline = fmean(at_t)
                    case "leave_one_out":
                        baseline = fmean(at_t[:e] + at_t[e + 1 :])
                    case "running_mean":
                        baseline = fmean(self.seen) if self.seen else 0.0
                    case "value":
                        baseline = self.values[step.observation]
                found.append(returns[e][t] - baseline)
        if self.agent.normalize_advantages:
            found = [(advantage - fmean(found)) / (pstdev(found) + 1e-8) for advantage in found]
        return found

    def learn_baseline(self, episodes: Sequence[Sequence[Step]], returns: Returns) -> None:
        """Call it after the gradient step: a baseline must not know the returns from which it is subtracted."""
        seen_at: dict[Any, list[float]] = defaultdict(list)
        for steps, to_go in zip(episodes, returns, strict=True):
            for step, value in zip(steps, to_go, strict=True):
                self.seen.append(value)
                seen_at[step.observation].append(value)
        if self.agent.baseline == "value":
            for state, values in seen_at.items():
                self.values[state] += self.agent.value_learning_rate * (fmean(values) - self.values[state])


def train(config: Config, arm: str, seed: int) -> Iterator[list[list[Step]]]:
    """Train one run of an arm whose coefficient is a number; yields the episodes of every update."""
    agent = config.agent_of(arm)
    assert isinstance(agent.entropy_coef, float), "schedules are for the fast code"
    env, numbers = make_world(config.environment).make(), np.random.default_rng(seed)
    env.reset(seed=seed)
    learner = Reinforce(env, agent)
    training, env_steps = config.training_of(arm), 0
    for _ in range(training.updates):
        if training.max_env_steps is not None and env_steps >= training.max_env_steps:
            return
        with torch.no_grad():
            uniforms = iter(numbers.random, None)
            played = [
                list(episode(env, lambda seen: learner.log_pi(seen).numpy(), uniforms))
                for _ in range(training.episodes_per_update)
            ]
        env_steps += sum(map(len, played))
        learner.learn(played, agent.entropy_coef)
        yield played


@command("experiments.textbook")
def main(arguments: Sequence[str] | None = None) -> int:
    """One run without the term and one with it, on the same seed."""
    Parser("experiments.textbook", __doc__).parse_args(arguments)
    config = load_config("bandit")
    print(f"{config.description}\nentropy of the policy, bits, in updates 0, 250, 500, ... and the last:")
    for arm in config.arms:
        updates = list(train(config, arm, seed=0))
        bits = [
            np.mean([step.entropy_nats for steps in played for step in steps]) / math.log(2) for played in updates
        ]
        print(f"{arm:>16}: {' '.join(f'{value:.2f}' for value in [*bits[::250], bits[-1]])}")
    print(as_typed("One run proves nothing: python train.py bandit trains a hundred of each and judges them."))
    return 0


if __name__ == "__main__":
    leave(main)
