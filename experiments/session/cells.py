"""The cells of a sweep, each trained in a process of its own, so that one that fails does not stop the others."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.config.failures import explained
from experiments.config.mistakes import one_line
from experiments.config.schema import Config, ConfigError
from experiments.session.processes import Ended, each_apart
from experiments.session.surroundings import plain_arithmetic
from experiments.storage.sweep_folder import Finished, SweepFolder
from experiments.storage.tables import run_table
from experiments.training.loop import Training

BLOCK = 50  # updates at a time: bounds the memory that records take


class Failed(NamedTuple):
    """Why a cell has no results."""

    why: str  # one line
    refused: bool = False  # its config does not fit its world: trying again would change nothing


def train_cell(config: Config) -> Finished:
    """Train in memory, and keep the final measures of the runs."""
    began = time.process_time()
    with plain_arithmetic(), np.errstate(invalid="ignore", over="ignore"), closing(Training(config)) as training:
        while (left := config.most_updates - training.update_count) > 0:
            training.advance(min(BLOCK, left))
        columns = training.final()
        table = run_table(columns, training.runs)
    return Finished(table, int(columns["env_steps"].sum()), time.process_time() - began)


def _attempt(task: tuple[Config, Path]) -> Failed | None:
    """Train a cell and write its table; returns why that failed, or None."""
    config, path = task
    try:
        SweepFolder(path).write_cell(config, train_cell(config))
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        return Failed(one_line(failure), isinstance(error, ConfigError))
    return None


def train_cells(
    configs: Sequence[Config], path: Path, workers: int, meanwhile: Callable[[], None]
) -> Iterator[tuple[Config, Failed | None]]:
    """Train the cells of a locked sweep folder, `workers` at a time; for `meanwhile` see `each_apart`.

    Yields:
        each config when it is done, with the reason where it failed.
    """
    tasks = [(config, path) for config in configs]
    with closing(each_apart(_attempt, tasks, workers, meanwhile)) as answers:
        for (config, _), answer in answers:
            ended = isinstance(answer, Ended)
            yield config, Failed(f"its process ended unexpectedly ({answer.why})") if ended else answer
