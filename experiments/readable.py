"""One episode as anyone would write it: look at the policy, draw an action, `env.step`, note the entropy.

The fast rollout of `experiments.rollout` is tested to give exactly these steps.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from experiments.measures import entropy


class Step(NamedTuple):
    """One step of an episode."""

    observation: Any  # what the action was chosen on
    action: int
    reward: float
    entropy_nats: float  # of the policy at that observation
    next_observation: Any
    terminated: bool  # False at the last step: the time limit cut the episode off


def episode(
    env: "gymnasium.Env[Any, Any]",
    log_policy: Callable[[Any], NDArray[np.float64]],
    uniforms: Iterable[float],
) -> Iterator[Step]:
    """Play one episode, from `env.reset` to its end or time limit.

    Args:
        env: the environment.
        log_policy: log-probabilities of the actions, [A], for an observation.
        uniforms: numbers in [0, 1), one is taken for each step.
    """
    observation, _ = env.reset()
    for uniform in uniforms:
        log_pi = log_policy(observation)
        action = int((np.exp(log_pi).cumsum()[:-1] <= uniform).sum())  # inverse CDF
        next_observation, reward, terminated, truncated, _ = env.step(action)
        yield Step(observation, action, float(reward), float(entropy(log_pi)), next_observation, bool(terminated))
        if terminated or truncated:
            return
        observation = next_observation
