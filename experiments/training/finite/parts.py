"""The functions that the training of a run calls, in parts that several processes can compile at the same time."""

from typing import Any

from agents.kernels import returns, softmax
from agents.kernels.compiled import compile_for, is_missing
from agents.kernels.episodes import Numbers, play
from agents.kernels.loss import gradient_by_logits, loss_terms
from agents.kernels.network import backward, forward
from agents.kernels.optimizers import move
from agents.kernels.rows import are_finite, copy, copy_row, fill, total
from experiments.training.finite import measuring, one_run
from experiments.training.finite.run_data import Memory, Options, Run, World, make_scratch

PARTS = range(3)


def are_missing() -> bool:
    """Whether the training of a run has not been compiled yet, on this machine and from these sources."""
    return is_missing(one_run._train)


def compile_part(part: int, options: Options, world: World, run: Run, memory: Memory) -> None:
    """Compile the functions of a part for the types with which the training of this run calls them.

    A function that is missing here is compiled with the training itself, later than it could be.
    """
    for function, arguments in _calls(options, world, run, memory)[part]:
        compile_for(function, *arguments)


def _calls(options: Options, world: World, run: Run, memory: Memory) -> list[list[tuple[Any, tuple[Any, ...]]]]:
    """For each part, functions with arguments of the right types. The parts take about the same time."""
    scratch, theta, n, number = make_scratch(options, world, memory), memory.theta, 0, 0.0
    policy, steps, table, row = scratch.policy, scratch.steps, scratch.edges, scratch.counts
    of_steps, network = scratch.of_steps[0], (theta, options.widths, scratch.rows, scratch.hidden)
    numbers = Numbers(run.seed, *[n] * (len(Numbers._fields) - 1))
    return [
        [(forward, (*network, scratch.logits)), (backward, (*network, scratch.by_logits, scratch.by_theta))],
        [
            (play, (world.tables, table, row, numbers, steps, memory.visited)),
            (returns.returns_to_go, (steps, number, row, of_steps)),
            (returns.subtract_baseline, (n, steps, of_steps, row, number, of_steps)),
            (returns.normalize, (of_steps,)),
            (returns.discount_weights, (steps, number, of_steps)),
            (returns.count_and_add_up, (steps, of_steps, row, scratch.flat_sums)),
            (returns.add_up, (steps.state, of_steps, row)),
            (returns.move_values, (row, row, row, number)),
        ],
        [
            (move, (theta, theta, memory.means, n, number, number)),
            (loss_terms, (table, row, table, row, number, n)),
            (gradient_by_logits, (policy, table, number, table, row, number, number, n, scratch.by_logits)),
            (softmax.log_softmax, (scratch.logits, table, table)),
            (softmax.entropies, (table, table, row)),
            (softmax.mix_with_uniform, (table, number, table, table)),
            (softmax.cumulative, (table, table)),
            (measuring.mean_over, (row, row)),
            (measuring.mean_divergence, (table, table, memory.visited)),
            (measuring.at_start, (row, table, world.optimal, row)),
            (measuring.mean_optimal_probability, (table, world.optimal, row)),
            (measuring.mean_cross_entropy, (table, table, world.optimal, row)),
            (measuring.share_of, (memory.visited, world.reachable)),
            (measuring.entropy_of_visits, (row, n)),
            (copy, (table, table)),
            (copy_row, (row, row)),
            (total, (of_steps,)),
            (are_finite, (theta,)),
            (fill, (theta, number)),
        ],
    ]
