"""One training from config to results: folder, sinks, checkpoints, summary. What `train.py` runs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch

from experiments.board import BoardSink
from experiments.config import Config, ConfigError
from experiments.records import UpdateRecord
from experiments.snapshots import SnapshotSink
from experiments.store import Checkpoints, Position, RunFolder, State, StoreError, TableSink
from experiments.summary import provenance, summarize
from experiments.tables import run_table, step_table, update_table
from experiments.training import Training
from experiments.workers import Workers


class Sink(Protocol):
    """Something that consumes records and can be cut back to an earlier position."""

    def write(self, record: UpdateRecord) -> None: ...
    def flush(self) -> Position: ...
    def restore(self, position: Position) -> None: ...


class Options(NamedTuple):
    """How to train, none of which changes a number.

    Attributes:
        out: run folder.
        resume: go on from the last checkpoint.
        overwrite: replace what is in the folder.
        workers: processes.
        log_steps: write each how many lock-steps; 0: none.
        flush_seconds: how often TensorBoard gets to see something new.
        checkpoint_seconds: how often a moment is kept for `resume`.
    """

    out: Path
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    log_steps: int = 1
    flush_seconds: float = 2.0
    checkpoint_seconds: float = 30.0


class Result(NamedTuple):
    """A finished training in memory."""

    updates: pa.Table
    steps: pa.Table
    runs: pa.Table
    summary: Mapping[str, Any]


Notify = Callable[[str], None]
Advance = Callable[[UpdateRecord], None]


@contextmanager
def single_threaded() -> Iterator[None]:
    """One torch thread: for these shapes more gain little, and they collapse when anything else is running."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train_in_memory(config: Config) -> Result:
    """Train without a folder; see `experiments.train`."""
    began = time.monotonic()
    with single_threaded():
        training = Training(config)
        records = list(training.records())
        columns = training.final()
    summary = summarize(config, training.runs, columns)
    summary |= provenance(time.monotonic() - began, int(np.sum(columns["env_steps"])))
    return Result(
        update_table(records, training.runs),
        step_table(records, training.runs),
        run_table(columns, training.runs),
        summary,
    )


def run(config: Config, options: Options, on_update: Advance, notify: Notify) -> Mapping[str, Any]:
    """Train into a folder and return its summary.

    Args:
        config: what to train.
        options: how.
        on_update: called with every record, for a progress bar.
        notify: called with one line of text that the user should see.
    Raises:
        ConfigError: the config does not fit its world, or the folder holds another config.
        StoreError: the folder cannot be used.
    """
    with ExitStack() as stack:
        stack.enter_context(single_threaded())
        training = Training(config)
        folder = RunFolder(options.out)
        _check_folder(folder, options)
        stack.enter_context(folder.locked())
        session = _Session(config, training, folder, options, notify)
        if options.resume and folder.is_finished:
            notify(f"{folder.path} is finished; nothing to do")
            return folder.read_summary()
        workers = stack.enter_context(session.begin())
        session.train(workers, on_update)
        return session.finish(workers)


def _check_folder(folder: RunFolder, options: Options) -> None:
    if options.resume:
        if not (folder.path / "config.toml").exists():
            raise StoreError(f"{folder.path}: nothing to resume there; leave out --resume to begin")
    elif folder.holds_anything and not options.overwrite:
        raise StoreError(
            f"{folder.path} holds results; go on with --resume, replace it with --overwrite, or use --out"
        )


class _Session:
    def __init__(
        self, config: Config, training: Training, folder: RunFolder, options: Options, notify: Notify
    ) -> None:
        self._config, self._training, self._folder, self._options = config, training, folder, options
        self._notify = notify
        self._tables = TableSink(folder, training.runs, options.log_steps)
        self._checkpoints = Checkpoints(folder)
        self._sinks: dict[str, Sink] = {}
        self._began = time.monotonic()
        self._seconds_before = 0.0

    def begin(self) -> Workers:
        """Prepare the folder, or find the moment to go on from."""
        if self._options.resume:
            if self._folder.read_config() != self._config:
                raise ConfigError(f"{self._folder.path}: holds another config than this one; use another --out")
            found = self._last_moment()
            if found is not None:
                states, positions = found
                self._open_sinks()
                for name, sink in self._sinks.items():
                    sink.restore(positions[name])
                self._seconds_before = float(positions["clock"]["seconds"])
                return Workers(self._training, len(states), states)
        self._folder.clear()
        self._folder.write_config(self._config)
        self._open_sinks()
        return Workers(self._training, self._options.workers)

    def _open_sinks(self) -> None:
        self._board = BoardSink(self._folder, self._training, self._options.log_steps)
        snapshots = SnapshotSink(self._folder, self._training.runs)
        self._sinks = {"tables": self._tables, "board": self._board, "snapshots": snapshots}

    def _last_moment(self) -> tuple[Sequence[State], Mapping[str, Position]] | None:
        for candidate in self._checkpoints.candidates():
            if isinstance(candidate, str):
                self._notify(f"checkpoint left out: {candidate}")
            elif missing := self._tables.missing(candidate[1]["tables"]):
                self._notify(f"checkpoint left out: {missing} is missing")
            else:
                return candidate
        self._notify("no checkpoint yet: training begins anew")
        return None

    def train(self, workers: Workers, on_update: Advance) -> None:
        """All updates that are left, with flushes and checkpoints at their times."""
        last_flush = last_moment = time.monotonic()
        updates = self._config.training.updates

        def moment_due(update: int) -> bool:
            nonlocal last_moment
            due = time.monotonic() - last_moment >= self._options.checkpoint_seconds or update == updates
            if due:
                last_moment = time.monotonic()
            return due

        for block in workers.blocks(moment_due):
            for record in block.records:
                for sink in self._sinks.values():
                    sink.write(record)
                on_update(record)
            if block.states is not None:
                self._checkpoints.save(workers.update_count, block.states, self._flush() | self._clock())
                last_flush = time.monotonic()
            elif time.monotonic() - last_flush >= self._options.flush_seconds:
                self._sinks["board"].flush()
                last_flush = time.monotonic()

    def _flush(self) -> dict[str, Position]:
        return {name: sink.flush() for name, sink in self._sinks.items()}

    def _clock(self) -> dict[str, Position]:
        return {"clock": {"seconds": self._seconds_before + time.monotonic() - self._began}}

    def finish(self, workers: Workers) -> Mapping[str, Any]:
        """Results out of the last moment. Killed in here, a resumed training does it again."""
        columns = workers.final()
        runs = self._training.runs
        self._tables.finish()
        self._folder.write_table("runs.parquet", run_table(columns, runs))
        self._folder.write_policies(workers.parameters())
        seconds = self._seconds_before + time.monotonic() - self._began
        summary = summarize(self._config, runs, columns)
        summary |= provenance(seconds, int(np.sum(columns["env_steps"])))
        self._board.finish(columns, summary)
        self._folder.write_summary(summary)
        self._tables.clean()
        self._checkpoints.clean()
        return summary
