"""The cells of a sweep, trained apart from each other, so that one that fails does not stop the others."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from experiments.config.failures import explained
from experiments.config.mistakes import one_line
from experiments.config.schema import Config, ConfigError
from experiments.config.sweeps import Cell
from experiments.session.engines import Engine
from experiments.session.processes import Ended
from experiments.session.surroundings import plain_arithmetic
from experiments.storage.sweep_folder import Finished, SweepFolder, settings_text
from experiments.storage.tables import run_table
from experiments.training.loop import Training

T = TypeVar("T")

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


def _attempt(cell: Cell) -> Finished | Failed:
    """Train a cell, or say why that failed."""
    return _unless_failed(lambda: train_cell(cell.config))


def _unless_failed(action: Callable[[], T]) -> T | Failed:
    try:
        return action()
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        return Failed(one_line(failure), isinstance(error, ConfigError))


def train_cells(
    cells: Sequence[Cell], folder: SweepFolder, engine: Engine, meanwhile: Callable[[], None]
) -> Generator[tuple[Cell, Failed | None], None, None]:
    """Train cells, and write the table of each into the locked folder of their sweep as soon as it is there.

    The tables are written here and not where they are trained, which may be another machine. For `meanwhile` see
    `Engine.each`.

    Yields:
        each cell when it is done, with the reason where it failed.
    """
    with closing(engine.each(_attempt, cells, lambda cell: settings_text(cell.settings), meanwhile)) as answers:
        for cell, answer in answers:
            if isinstance(answer, Ended):
                answer = Failed(answer.why)
            elif isinstance(answer, Finished):
                answer = _unless_failed(partial(folder.write_cell, cell.config, answer))
            yield cell, answer
