"""One training without a folder: its tables and its summary stay in memory."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from experiments.config.schema import Config
from experiments.session.surroundings import plain_arithmetic
from experiments.session.workers import Workers
from experiments.storage.descriptions import origin, stamped
from experiments.storage.run_folder import config_text
from experiments.storage.tables import run_table, step_table, update_table
from experiments.training.loop import Training
from experiments.training.numerics import arithmetic
from experiments.training.records import joined


class Result(NamedTuple):
    """A finished training in memory, which a notebook shows when it is the last line of a cell."""

    updates: pa.Table
    steps: pa.Table
    runs: pa.Table
    summary: Mapping[str, Any]
    config: Config

    def _repr_html_(self) -> str:
        from experiments.session.notebook import shown  # late: it draws

        return shown(self.config, self.updates, self.runs, self.summary)


def train_in_memory(config: Config) -> Result:
    """Train without a folder; see `experiments.train`."""
    from experiments.analysis.summary import provenance, summarize

    began = time.monotonic()
    with (
        plain_arithmetic(),
        np.errstate(invalid="ignore", over="ignore"),
        closing(Training(config)) as training,
        plain_arithmetic(),  # torch may have come with it
        Workers(training, 1) as workers,  # block by block, so that Ctrl-C need not wait for the end
    ):
        records = joined([block.records for block in workers.blocks(lambda _: False)])
        columns = workers.final()
        summary = summarize(config, training.runs, columns)
    summary |= provenance(
        time.monotonic() - began, int(np.sum(columns["env_steps"])), arithmetic(not training.is_compiled)
    )
    runs, made_by = training.runs, origin(config_text(training.config))
    summary["config_sha256"] = made_by["config_sha256"]
    return Result(
        stamped(update_table(records, runs), made_by),
        stamped(step_table(records, runs), made_by),
        stamped(run_table(columns, runs), made_by),
        summary,
        training.config,
    )
