"""The tables of a world in the form that exact equations need, and the two recursions over a finite horizon.

Letters: R runs, T time steps, S states, A actions, K outcomes of an action.
In this file runs are the last axis. Every operation then works element by element on whole rows of runs, so a run
gets the same numbers, bit for bit, whichever runs are beside it (BLAS and NumPy's sums take another order for R =
1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from envs.finite_mdp import FiniteMDP

Floats = NDArray[np.float64]
Discount = float | Floats  # one for all runs, or one per run, [R]


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Expected rewards and the transitions that do not end the episode."""

    reward: Floats  # [S, A] mean reward of an action
    ends: Floats  # [S, A] probability that the episode ends with an action
    start: Floats  # [S]
    onward: Any  # sparse [S * A, S]: P(next state and the episode goes on | state, action)
    arrivals: Any  # sparse [S, S * A]: its transpose

    @cached_property
    def links(self) -> tuple[NDArray[np.int64], Any]:
        """Which entries of a chain, as places in [S * S], can differ from 0, and what each is made of.

        The second array is sparse, [number of entries, S * A]: P(next state of the entry | its state, action).
        """
        entries = self.onward.tocoo()
        states = len(self.start)
        place = entries.row // self.reward.shape[1] * states + entries.col
        places, which = np.unique(place, return_inverse=True)
        return places, csr_array((entries.data, (which, entries.row)), shape=(len(places), self.reward.size))

    def ahead(self, values: Floats) -> Floats:
        """Expected value of the next state, 0 if the episode ends: [S] or [S, R] -> [S, A] or [S, A, R]."""
        return np.asarray(self.onward @ values).reshape(*self.reward.shape, *values.shape[1:])

    def arrive(self, flow: Floats) -> Floats:
        """Where the probability flow through the actions goes: [S, A, R] -> [S, R]."""
        return np.asarray(self.arrivals @ flow.reshape(self.reward.size, -1))

    def chain(self, pi: Floats) -> Floats:
        """The state transitions under a policy, P(s' and the episode goes on | s): [R, S, A] -> [R, S, S]."""
        places, links = self.links
        states = len(self.start)
        transitions = np.zeros((len(pi), states * states))
        transitions[:, places] = (links @ pi.reshape(len(pi), -1).T).T
        return transitions.reshape(-1, states, states)


@lru_cache(maxsize=16)
def dynamics(mdp: FiniteMDP) -> Dynamics:
    """The Dynamics of a world; computed once and cached."""
    probability = mdp.probability
    goes_on = np.where(mdp.terminated, 0.0, probability)
    onward = transitions(mdp, goes_on)
    return Dynamics(
        reward=(probability * mdp.reward).sum(-1),
        ends=(probability - goes_on).sum(-1),
        start=mdp.start,
        onward=onward,
        arrivals=csr_array(onward.T),
    )


def transitions(mdp: FiniteMDP, probability: Floats) -> Any:
    """Sparse [S * A, S]: the `probability` of all outcomes, [S, A, K], summed by next state."""
    rows = np.repeat(np.arange(mdp.states * mdp.actions), mdp.outcomes)
    possible = probability.ravel() > 0
    entries = (probability.ravel()[possible], (rows[possible], mdp.next_state.ravel()[possible]))
    return csr_array(entries, shape=(mdp.states * mdp.actions, mdp.states))


def runs_last(pi: Floats) -> Floats:
    """[R, S, A] -> [S, A, R]."""
    return np.ascontiguousarray(pi.transpose(1, 2, 0))


def runs_first(values: Floats) -> Floats:
    """[..., R] -> [R, ...], the numbers of a run side by side.

    This layout makes NumPy add up a run's numbers in the same order for any R: with runs as the last axis it would
    add whole rows of several runs, but the numbers of a single run in pairs.
    """
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


def mean_over_actions(policy: Floats, values: Floats) -> Floats:
    """Sum of policy x values over the actions, one action after the other: [S, A, R] twice -> [S, R]."""
    mean = policy[:, 0] * values[:, 0]
    for a in range(1, policy.shape[1]):
        mean += policy[:, a] * values[:, a]
    return mean


def forward(model: Dynamics, policy: Floats, horizon: int, discount: Discount) -> Floats:
    """discount^t P(s_t = s, the episode still runs), t = 0 ... horizon - 1: policy [S, A, R] -> [T, S, R]."""
    states, _, runs = policy.shape
    visits = np.empty((horizon, states, runs))
    visits[0] = model.start[:, None]
    for t in range(1, horizon):
        np.multiply(model.arrive(visits[t - 1][:, None] * policy), discount, out=visits[t])
    return visits


def backward(
    model: Dynamics, policy: Floats, horizon: int, discount: Discount, bonus: Floats | None
) -> Iterator[tuple[Floats, Floats]]:
    """Action values [S, A, R] and state values [S, R] with 1, 2 ... horizon steps left.

    The reward `bonus` [S, R] is paid in every later state, but not in the state that the values belong to.
    The caller may overwrite the action values.
    """
    action_values = np.repeat(model.reward[:, :, None], policy.shape[2], axis=2)
    for _ in range(horizon - 1):
        values = mean_over_actions(policy, action_values)
        yield action_values, values
        action_values = model.ahead(values if bonus is None else values + bonus)
        action_values *= discount
        action_values += model.reward[:, :, None]
    yield action_values, mean_over_actions(policy, action_values)
