"""REINFORCE as a textbook has it: one run, one step at a time, autograd and torch's own optimisers.

Nothing is shared with the fast code but the readable rollout and the streams of random numbers.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments import Config
from experiments.readable import Step
from experiments.worlds import make_world
from tests.experiments.replay import OwnEpisodes


class Trained(NamedTuple):
    logits: Tensor  # [S, A] at the end
    losses: list[float]  # of each update
    returns: list[float]


def reinforce(config: Config, arm: str, seed: int) -> Trained:
    """Train one run with a table of logits from zero, and a coefficient that is a number."""
    world, agent = make_world(config.environment), config.agent_of(arm)
    tau, discount = agent.entropy_coef, agent.discount
    assert isinstance(tau, float)
    logits = torch.zeros(world.inputs, world.actions, dtype=torch.float64, requires_grad=True)
    kind = torch.optim.Adam if agent.optimizer == "adam" else torch.optim.SGD
    optimizer = kind([logits], lr=agent.learning_rate)
    own = OwnEpisodes(world.make(), seed, world.time_limit, config.training.episodes_per_update)
    values = np.zeros(world.inputs)  # of the baseline "value"
    seen: list[float] = []  # all earlier returns-to-go, for "running_mean"
    trained = Trained(logits.detach(), [], [])
    for _ in range(config.training.updates):
        log_pi = torch.log_softmax(logits, -1)
        episodes = own.update(log_pi.detach().numpy())
        offset = math.log(world.actions) if agent.soft_return_offset == "uniform" else 0.0
        soft = tau if agent.entropy_objective == "soft_return" else 0.0
        to_go = [
            [return_to_go(steps[t:], discount, soft, offset) for t in range(len(steps))] for steps in episodes
        ]

        advantages = []
        for e, steps in enumerate(episodes):
            for t, step in enumerate(steps):
                same_time = [returns[t] if t < len(returns) else 0.0 for returns in to_go]
                baseline = {
                    "none": 0.0,
                    "batch_mean": np.mean(same_time),
                    "leave_one_out": np.mean(same_time[:e] + same_time[e + 1 :]),
                    "running_mean": np.mean(seen) if seen else 0.0,
                    "value": values[step.observation],
                }[agent.baseline]
                advantages.append(to_go[e][t] - baseline)
        if agent.normalize_advantages:
            advantages = list((np.array(advantages) - np.mean(advantages)) / (np.std(advantages) + 1e-8))

        policy_loss = negative_entropy = torch.zeros((), dtype=torch.float64)
        every_step = [(t, step) for steps in episodes for t, step in enumerate(steps)]
        for (t, step), advantage in zip(every_step, advantages, strict=True):
            weight = discount**t if agent.discount_weighting else 1.0
            at_state = log_pi[step.observation]
            policy_loss = policy_loss - weight * advantage * at_state[step.action]
            negative_entropy = negative_entropy + weight * (at_state.exp() * at_state).sum()
        parts = len(every_step) if agent.loss_reduction == "per_step" else len(episodes)
        loss = (policy_loss + tau * negative_entropy) / parts

        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if agent.max_grad_norm:
            torch.nn.utils.clip_grad_norm_([logits], agent.max_grad_norm)
        optimizer.step()

        returns_at: dict[int, list[float]] = {}
        for steps, returns in zip(episodes, to_go, strict=True):
            for step, value in zip(steps, returns, strict=True):
                returns_at.setdefault(int(step.observation), []).append(value)
        for state, found in returns_at.items():
            values[state] += agent.value_learning_rate * (np.mean(found) - values[state])
        seen += [value for returns in to_go for value in returns]
        trained.losses.append(loss.item())
        trained.returns.append(float(np.mean([sum(step.reward for step in steps) for steps in episodes])))
    return trained


def return_to_go(steps: list[Step], discount: float, soft: float, offset: float) -> float:
    """What follows from here on; with `soft`, the entropy of every later step is a reward, too."""
    total = sum(discount**k * step.reward for k, step in enumerate(steps))
    return total + soft * sum(discount**k * (step.entropy_nats - offset) for k, step in enumerate(steps) if k > 0)
