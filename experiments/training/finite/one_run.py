"""One run in a finite world, trained by a block of updates: all of training, compiled.

S: states, A: actions, E: episodes of an update, T: time limit, N: steps of an update, P: parameters, U: updates.

It calls the formulas, each a small function (in `agents/kernels/` and `measuring.py`) that is tested against its
readable counterpart. The parameters, moments and tables of one run stay in the core's cache, and nothing returns
to Python in between.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.episodes import Numbers, Steps, Tables, play
from agents.kernels.loss import gradient_by_logits, loss_terms
from agents.kernels.network import backward, forward
from agents.kernels.optimizers import move
from agents.kernels.returns import (
    RUNNING_MEAN,
    VALUE,
    add_up,
    count_and_add_up,
    discount_weights,
    move_values,
    normalize,
    returns_to_go,
    subtract_baseline,
)
from agents.kernels.rows import are_finite, copy, copy_row, fill, total
from agents.kernels.softmax import cumulative, entropies, log_softmax, mix_with_uniform
from experiments.training.finite.measuring import (
    at_start,
    entropy_of_visits,
    mean_cross_entropy,
    mean_divergence,
    mean_optimal_probability,
    mean_over,
    share_of,
)

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# What is measured in every update: the columns of `Block.columns`.
COLUMNS = (
    "return_mean", "episode_length", "truncation_rate", "success_rate", "success_step",
    "entropy_coef", "policy_loss", "negative_entropy", "regularizer", "loss", "grad_norm",
    "entropy_nats", "all_state_entropy_bits", "kl_from_previous", "optimal_action_probability",
    "path_optimal_action_probability", "cross_entropy_to_optimal", "state_coverage", "visit_entropy_bits",
)  # fmt: skip
OF_EPISODES, OF_LOSS, OF_POLICY = 0, 5, 11  # where each group of columns begins
NATS = math.log(2)  # per bit


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


def advance(
    options: Options, world: World, run: Run, memory: Memory, block: Block, purposes: tuple[int, ...]
) -> tuple[Ints, Array]:
    """Train a run by a block of updates; once it fails, or has taken all its steps, it no longer moves.

    Returns:
        for the lock-steps of the block, update by update: the episodes still running, and their mean entropy in
        nats.
    """
    most = len(block.columns) * options.time_limit
    live, entropy = np.empty(most, np.int64), np.empty(most)
    filled = _train(options, world, run, memory, block, purposes, _scratch(options, world, memory), live, entropy)
    return live[:filled].copy(), entropy[:filled].copy()


@compiled()
def _train(
    options: Options, world: World, run: Run, memory: Memory, block: Block, purposes: tuple[int, ...],
    scratch: Scratch, live: Ints, entropy: Array,
) -> int:  # fmt: skip
    """`advance`, with its results [U * T] to fill in; returns the number of lock-steps."""
    filled, env_steps = 0, block.env_steps
    for u in range(len(block.columns)):
        update, columns, steps = block.first + u, block.columns[u], scratch.steps
        if memory.failed_update[0] >= 0 or env_steps >= run.max_env_steps:
            break
        coefficient = block.entropy_coef[u] if math.isnan(run.target_bits) else memory.controlled[0]
        policy, acting = _policies(options, memory.theta, block.epsilon[u], scratch)
        numbers = Numbers(run.seed, update, purposes[0], purposes[1], purposes[2], purposes[3])
        cumulative(acting.pi, scratch.edges)
        n, length, cut_off = play(world.tables, scratch.edges, acting.entropy, numbers, steps, memory.visited)
        normalizer = _weigh(options, run, memory, coefficient, acting.entropy, n, scratch)

        epsilon, score = (0.0, policy) if options.score_of_policy else (block.epsilon[u], acting)
        experience = scratch.advantage_sums, scratch.counts, normalizer
        terms = loss_terms(score.log_pi, score.entropy, *experience, options.regularizer)
        loss = terms[0] + coefficient * terms[2]
        gradient_by_logits(
            score, policy.pi, epsilon, *experience, coefficient, options.regularizer, scratch.by_logits
        )
        _gradient_by_theta(options, memory.theta, scratch)
        grad_norm = move(
            memory.theta, scratch.by_theta, memory.means, update + 1, run.learning_rate, options.max_grad_norm
        )

        _tell_episodes(options, steps, cut_off, columns)
        _put(columns, OF_LOSS, (coefficient, *terms, loss, grad_norm))
        _tell_policy(world, acting, memory, n, scratch.visits, columns, block.start_policy[u])
        _keep_snapshot(block, update, acting.pi, memory.visits)
        for t in range(length):
            live[filled + t], entropy[filled + t] = steps.live[t], steps.entropy[t] / steps.live[t]
        block.length[u] = length
        env_steps += n
        filled += length
        _control(run, columns[OF_POLICY] / NATS, memory)
        _freeze_if_failed(update, loss + grad_norm, memory)
    return filled


def _scratch(options: Options, world: World, memory: Memory) -> Scratch:
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


@compiled(inlined=True)
def _policies(options: Options, theta: Array, epsilon: float, scratch: Scratch) -> tuple[Policy, Policy]:
    """The policy of the parameters, and the policy that acts."""
    if len(options.widths) > 0:
        forward(theta, options.widths, scratch.rows, scratch.hidden, scratch.logits)
    else:
        copy(
            theta[: scratch.logits.size].reshape(scratch.logits.shape[0], scratch.logits.shape[1]), scratch.logits
        )
    policy, mixture = scratch.policy, scratch.mixture
    log_softmax(scratch.logits, policy.log_pi, policy.pi)
    entropies(policy.log_pi, policy.pi, policy.entropy)
    if epsilon == 0:
        return policy, policy
    mix_with_uniform(policy.pi, epsilon, mixture.log_pi, mixture.pi)
    entropies(mixture.log_pi, mixture.pi, mixture.entropy)
    return policy, mixture


@compiled(inlined=True)
def _weigh(
    options: Options, run: Run, memory: Memory, entropy_coef: float, entropy: Array, n: int, scratch: Scratch
) -> float:
    """From the steps, fill in advantage sums, weighted counts and visits of states; returns the divisor of the
    loss.

    The readable counterpart is `experiments.training.advantages`.
    """
    steps, baseline = scratch.steps, options.baseline
    returns, advantages, weights = scratch.of_steps[0, :n], scratch.of_steps[1, :n], scratch.of_steps[2, :n]
    for s in range(len(entropy)):
        scratch.bonus[s] = entropy_coef * (entropy[s] - options.soft_return_offset) if options.soft_return else 0.0
    returns_to_go(steps, run.discount, scratch.bonus, returns)
    mean = memory.returns[0] / max(memory.returns[1], 1.0)
    subtract_baseline(baseline, steps, returns, memory.values, mean, advantages)
    if options.normalize_advantages:
        normalize(advantages)
    if options.discount_weighting:
        discount_weights(steps, run.discount, weights)
        for k in range(n):
            advantages[k] *= weights[k]
    count_and_add_up(steps, advantages, scratch.visits, scratch.flat_sums)
    if options.discount_weighting:
        add_up(steps.state[:n], weights, scratch.counts)
    else:
        copy_row(scratch.visits, scratch.counts)
    if baseline == RUNNING_MEAN:
        memory.returns[0] += total(returns)
        memory.returns[1] += n
    elif baseline == VALUE:
        add_up(steps.state[:n], returns, scratch.sums)
        move_values(memory.values, scratch.sums, scratch.visits, options.value_learning_rate)
    return float(n if options.per_step else options.episodes)


@compiled(inlined=True)
def _gradient_by_theta(options: Options, theta: Array, scratch: Scratch) -> None:
    if len(options.widths) > 0:
        backward(theta, options.widths, scratch.rows, scratch.hidden, scratch.by_logits, scratch.by_theta)
    else:
        table = scratch.by_logits
        copy(table, scratch.by_theta[: table.size].reshape(table.shape[0], table.shape[1]))


@compiled(inlined=True)
def _put(columns: Array, first: int, values: tuple[float, ...]) -> None:
    for place in range(len(values)):
        columns[first + place] = values[place]


@compiled(inlined=True)
def _tell_episodes(options: Options, steps: Steps, cut_off: int, columns: Array) -> None:
    """Fill in the means over the update's episodes, and the lock-step at which the first success ended."""
    returns, length, successes, first = 0.0, 0, 0, -1
    for e in range(options.episodes):
        returns += steps.returns[e]
        length += steps.lengths[e]
        if steps.returns[e] >= options.solved_return - 1e-9:
            successes += 1
            first = steps.lengths[e] - 1 if first < 0 else min(first, steps.lengths[e] - 1)
    mean = 1 / options.episodes
    rate = successes * mean if options.solved_return < math.inf else math.nan
    _put(columns, OF_EPISODES, (returns * mean, length * mean, cut_off * mean, rate, float(first)))


@compiled(inlined=True)
def _tell_policy(
    world: World, acting: Policy, memory: Memory, n: int, visits: Array, columns: Array, start_policy: Array
) -> None:
    """Fill in the measures of the policy that acted and of its visits; it becomes the previous policy."""
    best = at_start(world.start, acting.pi, world.optimal, start_policy)
    told = (
        mean_over(acting.entropy, visits),
        mean_over(acting.entropy, world.acting) / NATS,
        mean_divergence(memory.previous_log_pi, acting.log_pi, memory.previous_visited),
        best,
        mean_optimal_probability(acting.pi, world.optimal, visits),
        mean_cross_entropy(acting.log_pi, acting.pi, world.optimal, visits),
        share_of(memory.visited, world.reachable),
        entropy_of_visits(visits, n) / NATS,
    )
    _put(columns, OF_POLICY, told)
    copy(acting.log_pi, memory.previous_log_pi)
    for s in range(len(visits)):
        memory.visits[s] += visits[s]
        memory.previous_visited[s] = visits[s] > 0


@compiled(inlined=True)
def _keep_snapshot(block: Block, update: int, pi: Array, visits: Array) -> None:
    for m in range(len(block.snapshot_updates)):
        if block.snapshot_updates[m] == update:
            copy(pi, block.snapshot_policy[m])
            copy_row(visits, block.snapshot_visits[m])


@compiled(inlined=True)
def _control(run: Run, entropy_bits: float, memory: Memory) -> None:
    """One step of `agents.schedules.target_entropy`."""
    if run.target_bits == run.target_bits and entropy_bits == entropy_bits:
        memory.controlled[0] = max(memory.controlled[0] + run.target_rate * (run.target_bits - entropy_bits), 0.0)


@compiled(inlined=True)
def _freeze_if_failed(update: int, loss: float, memory: Memory) -> None:
    """Freeze a run with a number that is not finite: its parameters become 0, a uniform policy."""
    if not (math.isfinite(loss) and are_finite(memory.theta)):
        memory.failed_update[0] = update
        fill(memory.theta, 0.0)
