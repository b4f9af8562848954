"""The equations of a fixed policy when episodes have no time limit: one linear system per run.

Letters: R runs, S states, A actions.
With a discount below 1 the systems always have one solution. Without discounting, a class of states that no
episode ever leaves makes them singular; such classes are found in the graph of the possible transitions and left
out.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.dynamics import Discount, Dynamics, Floats, mean_over_actions, runs_first

Flags = NDArray[np.bool_]

MIN_PROBABILITY = 1e-12  # the graph ignores actions that are rarer than this
MAX_STEPS = 1e14  # in longer episodes, rounding loses the chance that they end


class Structure(NamedTuple):
    """Facts about the graph of the possible transitions; R is 1 where they are the same for all runs."""

    reach: Flags  # [R, S, S] the second state can be reached from the first (each reaches itself)
    closed: Flags  # [R, S] the state belongs to a class that no episode leaves or ends in


def structure(model: Dynamics, pi: Floats) -> Structure:
    """The Structure under a policy [R, S, A]."""
    if pi.min() > MIN_PROBABILITY:
        return structure_of_any_action(model)
    return _structure(model, (pi > MIN_PROBABILITY).astype(np.float64))


@lru_cache(maxsize=16)
def structure_of_any_action(model: Dynamics) -> Structure:
    """The Structure under any policy that gives each action some probability."""
    return _structure(model, np.ones((1, *model.reward.shape)))


def _structure(model: Dynamics, taken: Floats) -> Structure:
    states = len(model.start)
    reach = np.asarray((model.chain(taken) > 0) | np.eye(states, dtype=bool))
    for _ in range((states - 1).bit_length()):  # paths of 1, 2, 4 ... steps
        paths = reach.astype(np.float32)
        reach = np.asarray(paths @ paths > 0)
    can_end = np.asarray(((taken > 0) & (model.ends > 0)).any(-1))
    ends_later = np.asarray((reach & can_end[:, None, :]).any(-1))
    returns = np.asarray((~reach | reach.transpose(0, 2, 1)).all(-1))
    return Structure(reach, returns & ~ends_later)


def reached(model: Dynamics, found: Structure) -> Flags:
    """The states that an episode can reach, [R, S]."""
    return np.asarray((found.reach & (model.start > 0)[:, None]).any(-2))


def values(model: Dynamics, pi: Floats, reward: Floats, discount: Discount) -> Floats:
    """Sum of discount^t reward(s_t) from every state on: pi [R, S, A], reward [R, S] -> [R, S].

    Without discounting, the value is infinite where the episode can reach a class of states that it never leaves
    and that pays (not a number where one class pays and another costs); a class that pays nothing is worth 0.
    """
    matrix, found, closed = _system(model, pi, discount)
    finite = _solve(matrix, reward)
    if found is None or not closed.any():
        return finite
    gains = (found.reach & (closed & (reward > 0))[:, None, :]).any(-1)
    loses = (found.reach & (closed & (reward < 0))[:, None, :]).any(-1)
    return np.select([gains & loses, gains, loses], [np.nan, np.inf, -np.inf], finite)


def state_values(model: Dynamics, pi: Floats, discount: Discount, bonus: Floats | None) -> Floats:
    """The values of a policy, [R, S]; a bonus [R, S] is paid in every state, the first included."""
    reward = mean_over_actions(pi.transpose(1, 2, 0), model.reward[:, :, None]).T
    return values(model, pi, reward if bonus is None else reward + bonus, discount)


def action_values(model: Dynamics, state_values: Floats, discount: Discount) -> Floats:
    """The action values [R, S, A] that belong to state values [R, S]."""
    ahead = runs_first(model.ahead(np.ascontiguousarray(state_values.T)))
    return model.reward + np.reshape(discount, (-1, 1, 1)) * ahead


def visits(model: Dynamics, pi: Floats, discount: Discount) -> Floats:
    """Sum of discount^t P(s_t = s): pi [R, S, A] -> [R, S].

    Without discounting, it is infinite where an episode stays for ever, and in all states of an episode that takes
    more than 1e14 steps.
    """
    matrix, found, closed = _system(model, pi, discount)
    undiscounted = np.equal(discount, 1.0)
    start = np.broadcast_to(model.start, matrix.shape[:2])
    counts = _solve(matrix.transpose(0, 2, 1), start)
    if found is not None:
        lost = undiscounted & ~((counts.min(-1) >= -1e-6) & (counts.sum(-1) <= MAX_STEPS))
        counts[(closed | lost[:, None]) & reached(model, found)] = np.inf
    return np.maximum(counts, 0.0)  # not -1e-18


def _system(model: Dynamics, pi: Floats, discount: Discount) -> tuple[Floats, Structure | None, Flags]:
    """I - discount x chain [R, S, S], without the closed classes [R, S] of undiscounted runs."""
    chain = model.chain(pi)
    undiscounted = np.broadcast_to(np.equal(discount, 1.0), len(pi))[:, None]
    found = structure(model, pi) if undiscounted.any() else None
    closed = np.zeros(chain.shape[:2], dtype=bool) if found is None else found.closed & undiscounted
    if closed.any():
        chain[closed] = 0.0
    chain *= -np.reshape(discount, (-1, 1, 1))
    chain += np.eye(chain.shape[1])
    return chain, found, closed


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Solve a linear system per run: [R, S, S], [R, S] -> [R, S]; not a number for runs without a solution."""
    try:
        return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0])
    except np.linalg.LinAlgError:  # in some undiscounted run, rounding has lost the chance to end
        singular = np.linalg.slogdet(matrix).sign == 0
        return _solve(np.where(singular[:, None, None], np.nan, matrix), right)
