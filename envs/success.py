"""The exact probability that the return of an episode reaches a given number.

Letters: R runs, T time steps, S states, A actions, K outcomes of an action.
"""

from math import erf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from envs import endless
from envs.dynamics import Floats, dynamics, mean_over_actions, runs_first, runs_last, transitions
from envs.finite_mdp import FiniteMDP

TOLERANCE = 1e-9  # returns that differ by less are the same: 0.1 + 0.2 reaches 0.3
MAX_RETURNS = 3000  # how many different returns are followed at once


class Payment(NamedTuple):
    """All outcomes with the same reward."""

    reward: float
    arrivals: (
        Any  # sparse [S + 1, S * A]: probability of each next state, and in the last row that the episode ends
    )
    goes_on: bool  # whether an episode can go on after some of them


def success_probability(mdp: FiniteMDP, pi: Floats, *, horizon: int | None, solved_return: float) -> Floats:
    """P(the undiscounted return of an episode reaches `solved_return`): pi [R, S, A] -> [R].

    With a horizon, the distribution of the state is followed for each return collected so far. A return that can
    no longer reach the number, or no longer miss it, is settled at once, so in most worlds few returns are
    followed. Without a horizon, a linear system is solved. This needs a world in which rewards are paid at most
    once: when the episode ends, or reaches states where nothing is paid any more. An episode that never does has
    return 0.

    Raises:
        ValueError: too many different returns; or no horizon, and rewards are paid on the way or are noisy.
    """
    if horizon is None:
        return _unlimited(mdp, pi, solved_return)
    policy = runs_last(pi)
    payments = _payments(mdp)
    least, most = _bounds(mdp, horizon)
    success = np.zeros(len(pi))
    mass_of = {0.0: np.repeat(mdp.start[:, None], len(pi), axis=1)}  # return so far -> [S, R]
    for t in range(horizon):
        if mdp.reward_std == 0:
            missing = solved_return - TOLERANCE
            success += _settle(mass_of, missing - most[horizon - t], missing - least[horizon - t])
        following: dict[float, Floats] = {}
        for earned, mass in mass_of.items():
            flow = (mass[:, None] * policy).reshape(mdp.states * mdp.actions, -1)
            for reward, arrivals, goes_on in payments:
                total, arrived = round(earned + reward, 9), arrivals @ flow
                success += _chance(mdp, total, t + 1, solved_return) * arrived[-1]
                if goes_on:
                    following[total] = following.get(total, 0.0) + arrived[:-1]
        if len(following) > MAX_RETURNS:
            raise ValueError(f"success_probability: more than {MAX_RETURNS} different returns after {t + 1} steps")
        mass_of = following
    for earned, mass in mass_of.items():
        success += _chance(mdp, earned, horizon, solved_return) * _over_states(mass)
    return success


def _chance(mdp: FiniteMDP, mean_return: float, steps: int, solved_return: float) -> float:
    """P(a return reaches the number), given the sum of its mean rewards and the number of noisy rewards."""
    excess = mean_return - solved_return
    if mdp.reward_std == 0:
        return float(excess >= -TOLERANCE)
    return (1 + erf(excess / (mdp.reward_std * sqrt(2 * steps)))) / 2


def _settle(mass_of: dict[float, Floats], hopeless_below: Floats, sure_from: Floats) -> Floats:
    """Remove the mass that is decided, given bounds [S] on the return so far; returns the part that succeeds,
    [R]."""
    success: Floats = np.zeros(())
    for earned in list(mass_of):
        mass = mass_of[earned]
        sure = earned >= sure_from
        success = success + _over_states(mass[sure])
        mass[sure | (earned < hopeless_below)] = 0.0
        if not mass.any():
            del mass_of[earned]
    return success


def _over_states(mass: Floats) -> Floats:
    """[S, R] -> [R]."""
    total: Floats = runs_first(mass).sum(-1)
    return total


def _payments(mdp: FiniteMDP) -> list[Payment]:
    payments = []
    for reward in np.unique(mdp.reward[mdp.probability > 0]):
        paid = np.where(mdp.reward == reward, mdp.probability, 0.0)
        goes_on = np.where(mdp.terminated, 0.0, paid)
        ends = csr_array((paid - goes_on).sum(-1).reshape(1, -1))
        arrivals = csr_array(vstack([transitions(mdp, goes_on).T, ends]))
        payments.append(Payment(float(reward), arrivals, bool(goes_on.any())))
    return payments


def _bounds(mdp: FiniteMDP, horizon: int) -> tuple[Floats, Floats]:
    """The least and the most that n = 0 ... T more steps can pay under any policy, each [T + 1, S]."""
    least, most = np.zeros((2, horizon + 1, mdp.states))
    impossible = np.where(mdp.probability > 0, 0.0, np.inf)
    for n in range(1, horizon + 1):
        for bound, sign in ((least, 1.0), (most, -1.0)):
            total = mdp.reward + np.where(mdp.terminated, 0.0, bound[n - 1][mdp.next_state])
            bound[n] = sign * (sign * total + impossible).min((1, 2))
    return least, most


def _unlimited(mdp: FiniteMDP, pi: Floats, solved_return: float) -> Floats:
    over = mdp.terminated | ~_paying(mdp)[mdp.next_state]
    on_the_way = (mdp.probability > 0) & ~over
    if mdp.reward_std > 0 or mdp.reward[on_the_way].any():
        raise ValueError(
            "success_probability: without a horizon it is known only where rewards are paid, without noise, "
            "when the episode ends; give a horizon"
        )
    never_ending_succeeds = solved_return <= TOLERANCE
    succeeds = mdp.reward >= solved_return - TOLERANCE
    decisive = over & (succeeds != never_ending_succeeds)
    chance = np.where(decisive, mdp.probability, 0.0).sum(-1)
    reward = mean_over_actions(pi.transpose(1, 2, 0), chance[:, :, None]).T
    probability: Floats = (endless.values(dynamics(mdp), pi, reward, 1.0) * mdp.start).sum(-1)
    return 1 - probability if never_ending_succeeds else probability


def _paying(mdp: FiniteMDP) -> NDArray[np.bool_]:
    """States from which a reward other than 0 can still be paid, [S]."""
    possible = mdp.probability > 0
    paying = (possible & (mdp.reward != 0)).any((1, 2))
    while True:
        grown = paying | (possible & ~mdp.terminated & paying[mdp.next_state]).any((1, 2))
        if (grown == paying).all():
            return paying
        paying = grown
