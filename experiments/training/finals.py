"""The columns of runs.parquet: how each run of a batch ended.

R: runs, A: actions.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.training import exploration
from experiments.training.progress import Facts, Progress
from experiments.training.records import Column
from experiments.training.update import Ending


def final_columns(
    progress: Progress,
    facts: Facts,
    ending: Ending,
    failed_update: NDArray[np.int64],
    updates: int,
    has_tables: bool,
) -> dict[str, Column]:
    """The columns, [R] each (start_policy [R, A]). The policy is the one after the last step.

    Truth values are numbers, and NaN where there is none: in failed runs, or where it is not known.

    Args:
        progress: the progress at the end.
        facts: what is known about the runs.
        ending: their policies at the end, and what these earn.
        failed_update: the update in which a run failed, [R]; -1: it did not.
        updates: the number of updates that a run may take.
        has_tables: whether the world is finite.
    """
    failed = failed_update >= 0
    made = progress.episodes // facts.episodes if facts.episodes else np.full(len(failed), updates)
    final = {name: np.where(failed, np.nan, mean) for name, mean in progress.final_means(made).items()}
    final["greedy_return"] = np.where(failed, np.nan, ending.greedy_return)
    if not facts.episodes:  # exact gradients
        final["final_success_rate"] = ending.success_probability
    never = np.where(facts.tell_success, progress.first_success < 0, np.nan)
    readings = _readings(final, ending.start_policy, facts.solved_return)
    if not has_tables:
        readings["stuck"] = np.full(len(failed), math.nan)
    return {
        **final,
        **readings,
        "never_successful": np.where(failed & (never != 0), np.nan, never),
        "first_success_env_step": progress.first_success.copy(),
        "first_optimal_update": progress.first_optimal.copy(),
        "entropy_collapse_update": np.where(failed, -1, progress.collapsed_since),
        "regret": np.where(failed, np.nan, progress.regret / made),
        "state_coverage": ending.state_coverage,
        "env_steps": progress.env_steps.copy(),
        "episodes": progress.episodes.copy(),
        "failed": failed,
        "failed_update": failed_update.copy(),
        "start_policy": np.where(failed[:, None], np.nan, ending.start_policy),
    }


def _readings(
    final: Mapping[str, Column], start_policy: NDArray[np.float64], solved_return: float | None
) -> dict[str, Column]:
    """The three readings of how a run ended, and `stuck`, which excludes the first and the third."""
    succeeds = exploration.reaches(final["final_success_rate"], None if solved_return is None else 0.5)
    greedy_solved = exploration.reaches(final["greedy_return"], solved_return)
    return {
        "succeeds": succeeds,
        "solved": exploration.reaches(final["final_return"], solved_return),
        "greedy_solved": greedy_solved,
        "stuck": exploration.stuck(start_policy, succeeds, greedy_solved),
    }
