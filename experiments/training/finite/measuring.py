"""Measures of one run's policy and visits, compiled. Readable counterparts: `experiments.training.exploration`.

S: states, A: actions. Entropies in nats.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.rows import fill

Array = NDArray[Any]
Mask = NDArray[np.bool_]

MIN_PROBABILITY = 1e-300  # below this a sum cannot be trusted, since some of its terms may have become 0


@compiled()
def mean_over(values: Array, weights: Array) -> float:
    """Weighted mean of a value of states, [S] both; NaN without any weight."""
    total = weight = 0.0
    for s in range(len(values)):
        if weights[s] > 0:
            total += values[s] * weights[s]
            weight += weights[s]
    return total / weight if weight > 0 else math.nan


@compiled()
def mean_divergence(log_p: Array, log_q: Array, states: Mask) -> float:
    """KL(p||q), mean over some states, [S, A] both and [S]; 0 without any."""
    total, number = 0.0, 0
    for s in range(len(states)):
        if states[s]:
            divergence = 0.0
            for a in range(log_p.shape[1]):
                divergence += math.exp(log_p[s, a]) * (log_p[s, a] - log_q[s, a])
            total += max(divergence, 0.0)
            number += 1
    return total / number if number > 0 else 0.0


@compiled()
def mean_optimal_probability(pi: Array, optimal: Mask, visits: Array) -> float:
    """The total probability of the optimal actions, mean over the visits: [S, A] twice, [S]."""
    total = weight = 0.0
    for s in range(len(visits)):
        if visits[s] > 0:
            weight += visits[s]
            for a in range(pi.shape[1]):
                total += visits[s] * pi[s, a] * optimal[s, a]
    return total / weight


@compiled()
def mean_cross_entropy(log_pi: Array, pi: Array, optimal: Mask, visits: Array) -> float:
    """-ln of the total probability of the optimal actions, mean over the visits: [S, A] thrice, [S]."""
    total = weight = 0.0
    for s in range(len(visits)):
        if visits[s] > 0:
            total += visits[s] * _cross_entropy(log_pi[s], pi[s], optimal[s])
            weight += visits[s]
    return total / weight


@compiled()
def _cross_entropy(log_pi: Array, pi: Array, optimal: Mask) -> float:
    probability, peak, relative = 0.0, -math.inf, 0.0
    for a in range(len(pi)):
        if optimal[a]:
            probability += pi[a]
            peak = max(peak, log_pi[a])
    if probability > MIN_PROBABILITY:
        return -math.log(probability)
    for a in range(len(pi)):
        if optimal[a]:
            relative += math.exp(log_pi[a] - peak)
    return -(peak + math.log(relative))


@compiled()
def entropy_of_visits(visits: Array, steps: float) -> float:
    """Entropy of the distribution of visits, [S], whose sum is `steps`."""
    found = 0.0
    for s in range(len(visits)):
        if visits[s] > 0:
            share = visits[s] / steps
            found -= share * math.log(share)
    return found


@compiled()
def share_of(found: Mask, possible: Mask) -> float:
    """The share of the possible states that were found, [S] both."""
    both = total = 0
    for s in range(len(found)):
        both += found[s] and possible[s]
        total += possible[s]
    return both / total


@compiled()
def at_start(start: Array, pi: Array, optimal: Mask, policy: Array) -> float:
    """Fill in the action probabilities at the start, as means over starts, [A]; returns that of the optimal
    actions."""
    fill(policy, 0.0)
    best = 0.0
    for s in range(len(start)):
        if start[s] > 0:
            for a in range(len(policy)):
                policy[a] += start[s] * pi[s, a]
                best += start[s] * pi[s, a] * optimal[s, a]
    return best
