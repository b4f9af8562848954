"""Measures of exploration: pure functions of arrays.

R: runs, S: states, A: actions, U: updates. Entropies in nats unless the name says bits.
"""

import numpy as np
from numpy.typing import NDArray

from agents.information import entropy_of_weights

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_PROBABILITY = 1e-300  # below this a sum cannot be trusted, since some of its terms may have become 0
COLLAPSED_BITS = 0.1  # entropy of a policy that takes one of four actions with .99


def mean_over_visits(values: Array, visits: Array) -> Array:
    """Mean of a value of states over an update's steps: [R, S], visits [R, S] -> [R]; NaN without a step."""
    total = visits.sum(-1)
    return np.divide((values * visits).sum(-1), total, out=np.full(len(total), np.nan), where=total > 0)


def mean_over_visited(values: Array, visits: Array) -> Array:
    """Mean over the distinct states that an update visited: [R, S], visits [R, S] -> [R]; NaN without any."""
    return mean_over_visits(values, (visits > 0).astype(np.float64))


def mean_over_first(values: Array) -> Array:
    """Mean over the first axis, [W, R, ...] -> [R, ...].

    `values.mean(0)` would add up whole rows of several runs, but the numbers of a single run in pairs, and the
    last bits would differ. Here the numbers of a run lie side by side, whichever runs are beside it.
    """
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)).mean(-1)


def mean_over_kept(values: Array, kept: Mask) -> Array:
    """Mean over the first axis where `kept`, which is so at least once: [W, R] both -> [R]; as `mean_over_first`
    where all are."""
    by_run = np.ascontiguousarray(np.where(kept, values, 0.0).T)
    return np.asarray(by_run.sum(1) / kept.sum(0))


def mean_of_known(values: Array) -> Array:
    """Mean over the first axis without NaN: [W, R] -> [R]; NaN where there are only NaN."""
    by_run = np.ascontiguousarray(values.T)  # as in `mean_over_first`
    known = ~np.isnan(by_run)
    number = known.sum(1)
    return np.divide(
        np.where(known, by_run, 0.0).sum(1), number, out=np.full(len(number), np.nan), where=number > 0
    )


def trailing_means(values: Array, window: int) -> Array:
    """At each update, the mean of the last `window` updates without NaN: [window - 1 + U, R] -> [U, R]; NaN where
    there are only NaN. It adds up one update after another, so it does not matter where a block begins."""
    known, updates = ~np.isnan(values), len(values) - window + 1
    filled = np.where(known, values, 0.0)
    total, number = np.zeros((2, updates, *values.shape[1:]))
    for lag in range(window):
        total += filled[lag : lag + updates]
        number += known[lag : lag + updates]
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def kl_divergence(log_p: Array, log_q: Array, p: Array | None = None) -> Array:
    """KL(p||q) = sum p (log p - log q) in nats, [..., A] -> [...]; never below 0. p: exp(log_p), if known."""
    return np.maximum(((np.exp(log_p) if p is None else p) * (log_p - log_q)).sum(-1), 0.0)


def cross_entropy_to_optimal(log_pi: Array, optimal: Mask, pi: Array | None = None) -> Array:
    """-ln of the total probability of the optimal actions: how much the right action would surprise the agent, and
    the classification loss of the text. [R, S, A], optimal [R, S, A] or [S, A] -> [R, S]. pi: exp(log_pi),
    if known."""
    total = ((np.exp(log_pi) if pi is None else pi) * optimal).sum(-1)
    if total.min() > MIN_PROBABILITY:
        return -np.log(total)
    peak = np.where(optimal, log_pi, -np.inf).max(-1)
    relative = np.exp(np.where(optimal, log_pi - peak[..., None], -np.inf)).sum(-1)
    return np.where(
        total > MIN_PROBABILITY, -np.log(np.maximum(total, MIN_PROBABILITY)), -(peak + np.log(relative))
    )


def optimal_action_probability(pi: Array, optimal: Mask) -> Array:
    """Total probability of the optimal actions, [R, S, A], optimal [R, S, A] or [S, A] -> [R, S]."""
    return np.asarray((pi * optimal).sum(-1))


def state_coverage(visited: Mask, reachable: Mask) -> Array:
    """Visited / reachable states: [R, S], [S] -> [R]."""
    return np.asarray((visited & reachable).sum(-1) / reachable.sum())


def visit_entropy_bits(visits: Array) -> Array:
    """Entropy of the distribution of visits, [R, S] -> [R]."""
    return np.asarray(entropy_of_weights(visits, "bits"))


def reaches(values: Array, level: float | None) -> Array:
    """Truth values as numbers, of the same shape: 1 where the level is reached up to rounding; NaN where the
    value or the level is missing."""
    if level is None:
        return np.full(values.shape, np.nan)
    return np.where(np.isnan(values), np.nan, values >= level - 1e-9)


def stuck(start_policy: Array, succeeds: Array, greedy_solved: Array) -> Array:
    """Whether a run is sure of one action but misses the goal: max pi(.|start) > .9, and the run neither succeeds
    nor is solved by its most probable actions.

    Args:
        start_policy: [R, A].
        succeeds, greedy_solved: truth values as numbers, [R].
    Returns:
        a truth value as a number, [R]; NaN where one of the arguments is missing.
    """
    found = (start_policy.max(-1) > 0.9) & (succeeds == 0) & (greedy_solved == 0)
    missing = np.isnan(start_policy).any(-1) | np.isnan(succeeds) | np.isnan(greedy_solved)
    return np.where(missing, np.nan, found)


def first_success(returns: Array, lengths: Array | NDArray[np.int64], solved_return: float) -> NDArray[np.int64]:
    """Lock-step at which a run's first successful episode ended, [R, E] both -> [R]; -1: none did."""
    success = returns >= solved_return - 1e-9
    ended_at = np.where(success, lengths - 1, np.inf).min(1)
    return np.where(success.any(1), ended_at, -1.0).astype(np.int64)


def window(updates: int) -> int:
    """The number of updates, the last 5 % but at least one, from which `succeeds`, `solved` and final values
    come."""
    return max(1, round(0.05 * updates))


def entropy_collapse(since: NDArray[np.int64], entropy_bits: Array, first: int, active: Mask) -> NDArray[np.int64]:
    """The first update from which the path entropy has stayed below COLLAPSED_BITS, [R]; -1: it is not below.

    Args:
        since: the result for the updates before these, [R]; -1 at the start.
        entropy_bits: the path entropy of these updates, [U, R].
        first: the number of the first of them.
        active: whether the run made the update, [U, R]; it makes none after the first that it does not make.
    """
    above = active & ~(entropy_bits < COLLAPSED_BITS)
    fallen = len(above) - above[::-1].argmax(0)  # the row after the last one above
    fallen = np.where(fallen < active.sum(0), first + fallen, -1)
    below = np.where((since < 0) & active.any(0), first, since)
    return np.where(above.any(0), fallen, below)
