"""What the compiled training of a run tells of each update: the row of its block, and the snapshots.

S: states, A: actions, U: updates.
"""

import math
from typing import Any

from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.episodes import Steps
from agents.kernels.rows import copy, copy_row
from experiments.training.finite.measuring import (
    at_start,
    entropy_of_visits,
    mean_cross_entropy,
    mean_divergence,
    mean_optimal_probability,
    mean_over,
    share_of,
)
from experiments.training.finite.run_data import Block, Memory, Options, Policy, World

Array = NDArray[Any]

# What is measured in every update: the columns of `Block.columns`.
COLUMNS = (
    "return_mean", "episode_length", "truncation_rate", "success_rate", "success_step",
    "entropy_coef", "policy_loss", "negative_entropy", "regularizer", "loss", "grad_norm",
    "entropy_nats", "all_state_entropy_bits", "kl_from_previous", "optimal_action_probability",
    "path_optimal_action_probability", "cross_entropy_to_optimal", "state_coverage", "visit_entropy_bits",
)  # fmt: skip
OF_EPISODES, OF_LOSS, OF_POLICY = 0, 5, 11  # where each group of columns begins
NATS = math.log(2)  # per bit


@compiled(inlined=True)
def put(columns: Array, first: int, values: tuple[float, ...]) -> None:
    for place in range(len(values)):
        columns[first + place] = values[place]


@compiled(inlined=True)
def tell_episodes(options: Options, steps: Steps, cut_off: int, columns: Array) -> None:
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
    put(columns, OF_EPISODES, (returns * mean, length * mean, cut_off * mean, rate, float(first)))


@compiled(inlined=True)
def tell_policy(
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
    put(columns, OF_POLICY, told)
    copy(acting.log_pi, memory.previous_log_pi)
    for s in range(len(visits)):
        memory.visits[s] += visits[s]
        memory.previous_visited[s] = visits[s] > 0


@compiled(inlined=True)
def keep_snapshot(block: Block, update: int, pi: Array, visits: Array) -> None:
    for m in range(len(block.snapshot_updates)):
        if block.snapshot_updates[m] == update:
            copy(pi, block.snapshot_policy[m])
            copy_row(visits, block.snapshot_visits[m])
