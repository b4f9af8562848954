"""One run in a finite world, trained by a block of updates: all of training, compiled.

S: states, A: actions, E: episodes of an update, T: time limit, N: steps of an update, P: parameters, U: updates.

It calls the formulas, each a small function (in `agents/kernels/`, `measuring.py` and `telling.py`) that is tested
against its readable counterpart. The parameters, moments and tables of one run stay in the core's cache, and
nothing returns to Python in between.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.episodes import Numbers, play
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
from experiments.training.finite.run_data import Block, Memory, Options, Policy, Run, Scratch, World, make_scratch
from experiments.training.finite.telling import (
    NATS,
    OF_LOSS,
    OF_POLICY,
    keep_snapshot,
    put,
    tell_episodes,
    tell_policy,
)

Array = NDArray[Any]
Ints = NDArray[np.int64]


def advance(
    options: Options, world: World, run: Run, memory: Memory, block: Block, purposes: tuple[int, ...]
) -> tuple[Ints, Array]:
    """Train a run by a block of updates; once it fails, or has taken all its steps, it no longer moves.

    Returns:
        for the lock-steps of the block, update by update: the number of episodes still running, and their mean
        entropy in nats.
    """
    most = len(block.columns) * options.time_limit
    live, entropy = np.empty(most, np.int64), np.empty(most)
    scratch = make_scratch(options, world, memory)
    filled = _train(options, world, run, memory, block, purposes, scratch, live, entropy)
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

        tell_episodes(options, steps, cut_off, columns)
        put(columns, OF_LOSS, (coefficient, *terms, loss, grad_norm))
        tell_policy(world, acting, memory, n, scratch.visits, columns, block.start_policy[u])
        keep_snapshot(block, update, acting.pi, memory.visits)
        for t in range(length):
            live[filled + t], entropy[filled + t] = steps.live[t], steps.entropy[t] / steps.live[t]
        block.length[u] = length
        env_steps += n
        filled += length
        _control(run, columns[OF_POLICY] / NATS, memory)
        _freeze_if_failed(update, loss + grad_norm, memory)
    return filled


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
def _control(run: Run, entropy_bits: float, memory: Memory) -> None:
    """One step of `agents.schedules.target_entropy`."""
    if run.target_bits == run.target_bits and entropy_bits == entropy_bits:
        memory.controlled[0] = max(memory.controlled[0] + run.target_rate * (run.target_bits - entropy_bits), 0.0)


@compiled(inlined=True)
def _freeze_if_failed(update: int, loss: float, memory: Memory) -> None:
    """Freeze the run if one of its numbers is not finite: its parameters become 0, its policy uniform."""
    if not (math.isfinite(loss) and are_finite(memory.theta)):
        memory.failed_update[0] = update
        fill(memory.theta, 0.0)
