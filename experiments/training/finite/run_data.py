"""What the compiled training of one run in a finite world reads and writes.

S: states, A: actions, E: episodes of an update, T: time limit, P: parameters, U: updates.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.kernels.episodes import Steps, Tables

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Options(NamedTuple):
    """What all runs of a batch have in common."""

    widths: Ints  # of the network: S, H, ..., A; empty: a table
    episodes: int  # E
    time_limit: int  # T
    solved_return: float  # infinite if there is none
    baseline: int  # a place in `agents.kernels.returns.BASELINES`
    value_learning_rate: float
    normalize_advantages: bool
    discount_weighting: bool
    per_step: bool
    soft_return: bool
    soft_return_offset: float  # nats
    regularizer: int  # a place in `agents.kernels.loss.REGULARIZERS`
    score_of_policy: bool  # the score of the policy, without its random actions
    max_grad_norm: float


class World(NamedTuple):
    """The world in which a run acts, with what its measures need."""

    tables: Tables
    start: Array  # [S] start distribution
    optimal: Mask  # [S, A] at the run's discount
    reachable: Mask  # [S]
    acting: Array  # [S] 1 for a reachable state in which episodes act


class Run(NamedTuple):
    """The options of one run."""

    seed: int
    discount: float
    learning_rate: float
    target_bits: float  # target of the entropy controller; NaN: a schedule
    target_rate: float
    max_env_steps: float  # it rests once it has taken so many; infinite: no limit


class Memory(NamedTuple):
    """What lasts from update to update: views of the arrays of all runs."""

    theta: Array  # [P]
    means: Array  # of Adam, [2, P]; for SGD, [0, P]
    controlled: Array  # [1] coefficient of the entropy controller
    failed_update: Ints  # [1] -1: none
    values: Array  # [S] baseline "value"
    returns: Array  # [2] sum and number of all returns-to-go, baseline "running_mean"
    visits: Array  # [S] steps in each state since the start of training
    visited: Mask  # [S] acted in or arrived at since then
    previous_log_pi: Array  # [S, A] the policy that acted in the previous update
    previous_visited: Mask  # [S] states in which it acted


class Block(NamedTuple):
    """The inputs for U updates, and the arrays to fill in."""

    first: int  # the number of the first
    env_steps: int  # of the run before it
    entropy_coef: Array  # [U] by schedule
    epsilon: Array  # [U] share of random actions
    snapshot_updates: Ints  # [M] numbers of updates
    columns: Array  # [U, len(COLUMNS)]
    start_policy: Array  # [U, A]
    length: Ints  # [U] lock-steps
    snapshot_policy: Array  # [M, S, A] filled in, as the visits are, for updates in which it moves
    snapshot_visits: Array  # [M, S]


class Policy(NamedTuple):
    """A policy as a table."""

    log_pi: Array  # [S, A]
    pi: Array  # [S, A]
    entropy: Array  # [S] nats


class Scratch(NamedTuple):
    """Working memory of an update, which the next one overwrites."""

    rows: Array  # [S, 0] the identity, see `agents.kernels.network.forward`
    hidden: Array  # [S * (H + ...)]
    logits: Array  # [S, A]
    by_logits: Array  # [S, A] gradient
    by_theta: Array  # [P] gradient
    policy: Policy
    mixture: Policy
    edges: Array  # [S, A]
    steps: Steps
    of_steps: Array  # [3, T * E] returns-to-go, advantages, weights
    advantage_sums: Array  # [S, A]
    counts: Array  # [S] visits, weighted
    visits: Array  # [S]
    sums: Array  # [S]
    bonus: Array  # [S] the bonus in a soft return
    flat_sums: Array  # [S * A] the advantage sums side by side


def make_scratch(options: Options, world: World, memory: Memory) -> Scratch:
    """Working memory for a run of these sizes."""
    states, actions = world.optimal.shape
    steps, number, table = options.time_limit * options.episodes, memory.theta.dtype, (states, actions)
    hidden, flat_sums = states * sum(options.widths[1:-1]), np.empty(states * actions)
    return Scratch(
        np.empty((states, 0), number), np.empty(hidden, number), np.empty(table, number), np.empty(table, number),
        np.zeros(len(memory.theta), number),
        Policy(np.empty(table), np.empty(table), np.empty(states)),
        Policy(np.empty(table), np.empty(table), np.empty(states)),
        np.empty(table),
        Steps(
            np.empty(steps, np.uint32), np.empty(steps, np.uint32), np.empty(steps, np.uint32), np.empty(steps),
            np.empty(options.time_limit, np.int64), np.empty(options.time_limit),
            np.empty(options.episodes), np.empty(options.episodes, np.int64),
        ),
        np.empty((3, steps)), flat_sums.reshape(states, actions), np.empty(states), np.empty(states),
        np.empty(states), np.empty(states), flat_sums,
    )  # fmt: skip
