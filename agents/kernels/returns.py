"""Returns-to-go, baselines and advantages of one run's steps, compiled.

E: episodes, T: time steps, S: states, A: actions, N: steps, by time and at the same time by episode
(`agents.kernels.episodes.Steps`). Readable counterparts: `agents.returns` and `experiments.training.advantages`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.episodes import Places, Steps
from agents.kernels.rows import fill

Array = NDArray[Any]

NONE, BATCH_MEAN, LEAVE_ONE_OUT, RUNNING_MEAN, VALUE = range(5)
BASELINES = ("none", "batch_mean", "leave_one_out", "running_mean", "value")


@compiled(makes_arrays=True)
def returns_to_go(steps: Steps, discount: float, bonus: Array, returns: Array) -> None:
    """G_t = r_t + discount * G'_(t+1), where G' includes the bonus of its state.

    Args:
        steps: the steps played.
        discount: in [0, 1].
        bonus: a reward for each step in a state, [S]. A step's own bonus is not in its return, where it would not
            depend on the action.
        returns: filled in, [N].
    """
    later = np.empty(len(steps.returns))
    fill(later, 0.0)
    for n in range(len(returns) - 1, -1, -1):
        episode = steps.episode[n]
        returns[n] = steps.reward[n] + discount * later[episode]
        later[episode] = returns[n] + bonus[steps.state[n]]


@compiled()
def subtract_baseline(
    kind: int, steps: Steps, returns: Array, values: Array, mean: float, advantages: Array
) -> None:
    """Returns-to-go minus the baseline, [N].

    Args:
        kind: one of the constants NONE, ...
        steps: the steps played.
        returns: the returns-to-go, [N].
        values: the values of the states, [S].
        mean: the mean of all earlier returns-to-go.
        advantages: filled in, [N].
    """
    if kind in (BATCH_MEAN, LEAVE_ONE_OUT):
        _subtract_mean_of_others(kind, steps, returns, advantages)
        return
    for n in range(len(returns)):
        advantages[n] = returns[n]
        if kind == RUNNING_MEAN:
            advantages[n] -= mean
        elif kind == VALUE:
            advantages[n] -= values[steps.state[n]]


@compiled(inlined=True)
def _subtract_mean_of_others(kind: int, steps: Steps, returns: Array, advantages: Array) -> None:
    """Subtract a mean over the E episodes at the same time step, in which an ended episode counts 0; it includes
    the step's own episode or not."""
    first, t, episodes = 0, 0, len(steps.returns)
    while first < len(returns):
        last, total = first + steps.live[t], 0.0
        for n in range(first, last):
            total += returns[n]
        for n in range(first, last):
            if kind == BATCH_MEAN:
                advantages[n] = returns[n] - total / episodes
            else:
                advantages[n] = returns[n] - (total - returns[n]) / (episodes - 1)
        first, t = last, t + 1


@compiled()
def normalize(advantages: Array) -> None:
    """Mean 0 and standard deviation 1. 1e-8 keeps equal advantages (deviation 0) at 0, as in the widespread
    implementations."""
    mean = variance = 0.0
    for n in range(len(advantages)):
        mean += advantages[n]
    mean /= len(advantages)
    for n in range(len(advantages)):
        advantages[n] -= mean
        variance += advantages[n] * advantages[n]
    deviation = math.sqrt(variance / len(advantages)) + 1e-8
    for n in range(len(advantages)):
        advantages[n] /= deviation


@compiled()
def discount_weights(steps: Steps, discount: float, weights: Array) -> None:
    """discount^t of every step, [N]."""
    n, t = 0, 0
    while n < len(weights):
        weight = discount**t
        for _ in range(steps.live[t]):
            weights[n] = weight
            n += 1
        t += 1


@compiled()
def add_up(places: Places, values: Array, sums: Array) -> None:
    """Add up the values [N] of each place; `sums` is flat."""
    fill(sums, 0.0)
    for n in range(len(values)):
        sums[places[n]] += values[n]


@compiled()
def move_values(values: Array, return_sums: Array, visits: Array, rate: float) -> None:
    """State values move by `rate` towards the mean return-to-go of each visited state, [S] each."""
    for state in range(len(values)):
        if visits[state] > 0:
            values[state] += rate * (return_sums[state] / visits[state] - values[state])


@compiled()
def count_and_add_up(steps: Steps, advantages: Array, visits: Array, sums: Array) -> None:
    """Count the steps in each state, [S], and add up the advantages [N] of each action in each state, [S * A].

    Both in one loop: a sum waits for the one before it at the same place, and meanwhile the other can go on.
    """
    fill(visits, 0.0)
    fill(sums, 0.0)
    for n in range(len(advantages)):
        visits[steps.state[n]] += 1
        sums[steps.taken[n]] += advantages[n]
