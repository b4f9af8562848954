"""One training from config to results, as `train.py` runs it: folder, sinks, checkpoints, summary."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from experiments.config.loading import MAX_BYTES
from experiments.config.schema import Config, ConfigError, one_line
from experiments.figures.showing import Showing
from experiments.session.compiling import Watch, compile_ahead
from experiments.session.engines import ATTEMPTS
from experiments.session.interrupts import Interrupts
from experiments.session.members import WorkerLost
from experiments.session.sinks import Sinks
from experiments.session.surroundings import plain_arithmetic
from experiments.session.workers import Elsewhere, Workers, check_states
from experiments.storage.checkpoints import Checkpoints, Moment, OlderFormat
from experiments.storage.descriptions import policies_of
from experiments.storage.run_folder import (
    SOURCE,
    TRAIN,
    NewerFormat,
    RunFolder,
    State,
    StoreError,
    config_text,
)
from experiments.storage.sources import JUDGING, digest
from experiments.storage.tables import run_table
from experiments.training.loop import Training
from experiments.training.numerics import arithmetic, differences
from experiments.training.records import Records

MAX_SHARE = 0.05  # of the time, for checkpoints


class Options(NamedTuple):
    """How to train. No option changes a number.

    Attributes:
        out: run folder.
        resume: whether to continue from the last checkpoint.
        overwrite: whether to replace the training in the folder.
        workers: the number of threads or processes.
        elsewhere: starts processes on a cluster, as in `Workers`; None: all work is done here.
        log_steps: k, to write every k-th lock-step of an update; 0: none.
        tensorboard: whether to write event files.
        flush_seconds: how often new points are written for TensorBoard.
        checkpoint_seconds: how often a moment is kept for `resume`; less often if that would be slow.
        command: the command that trains; folders of other commands are left alone.
        source: digest of the code that produces the results, stored with them.
    """

    out: Path
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    elsewhere: Elsewhere | None = None
    log_steps: int = 1
    tensorboard: bool = True
    flush_seconds: float = 2.0
    checkpoint_seconds: float = 30.0
    command: str = TRAIN
    source: str | None = None


class Progress(Watch, Protocol):
    """Shows how far a whole training is."""

    def training(self) -> None:
        """Every process is there, and training has begun."""

    def judging(self) -> None:
        """Everything is trained."""


Notify = Callable[[str], None]
Advance = Callable[[Records], None]


def run(
    config: Config,
    options: Options,
    on_block: Advance,
    notify: Notify,
    interrupts: Interrupts | None = None,
    showing: Showing | None = None,
    watch: Progress | None = None,
) -> Mapping[str, Any]:
    """Train into a folder and return its summary; where a cluster loses a process, go on from the last checkpoint.

    Args:
        config: what to train.
        options: how to train it.
        on_block: called with every block of updates, for a progress bar.
        notify: called with one line of text that the user should see.
        interrupts: the signals that may end it early, after a checkpoint.
        showing: collects what could not be written for TensorBoard; the results do not depend on it.
        watch: shows what is being done before the first block, and between the last one and the results.
    Raises:
        ConfigError: the config does not fit its world, or the folder holds another config.
        StoreError: the folder cannot be used.
        WorkerFailed: a process or a simulator failed; the folder can be resumed.
        KeyboardInterrupt: interrupted; the folder can be resumed if it `has_begun`.
    """
    interrupts, showing = interrupts or Interrupts(), showing or Showing()
    attempt, kept = 1, list[Path]()
    while True:
        try:
            return _run(config, options, on_block, notify, interrupts, showing, watch)
        except WorkerLost as error:
            before, kept = kept, Checkpoints(RunFolder(options.out)).paths()[:1]
            attempt = attempt + 1 if kept == before else 2  # those from one checkpoint count together
            if attempt > ATTEMPTS or interrupts.received is not None:
                raise
            notify(f"{error}; going on from the last checkpoint, attempt {attempt} of {ATTEMPTS}")
            options = options._replace(resume=True, overwrite=False)


def _run(
    config: Config,
    options: Options,
    on_block: Advance,
    notify: Notify,
    interrupts: Interrupts,
    showing: Showing,
    watch: Progress | None,
) -> Mapping[str, Any]:
    """Train until the end, or until a worker is lost."""
    with ExitStack() as stack:
        stack.enter_context(plain_arithmetic())
        stack.enter_context(np.errstate(invalid="ignore", over="ignore"))  # failed runs are reported later
        training = stack.enter_context(closing(Training(config)))
        stack.enter_context(plain_arithmetic())  # torch may have come with it
        folder = RunFolder(options.out)
        check_folder(folder, training.config, options)
        stack.enter_context(folder.locked())
        check_folder(folder, training.config, options)  # another command may have trained into it in the meantime
        for line in training.world.advice:
            notify(line)
        session = _Session(training, folder, options, notify, interrupts, showing)
        if options.resume and session.is_over:
            notify(f"{folder.path} is finished; nothing to do")
            folder.tidy()
            return folder.read_summary()
        pace = compile_ahead(training, notify, watch)
        workers, restored = session.begin(pace)
        stack.enter_context(workers)
        if watch is not None:
            watch.training()
        sinks = session.train(workers, restored, on_block)
        if watch is not None:
            watch.judging()
        return session.finish(workers, sinks)


def check_folder(folder: RunFolder, config: Config, options: Options) -> None:
    """Check that these options can be followed there; the advice in each message works.

    Args:
        folder: of the training; what says whose it is, is enough.
        config: as `Training.config` has it.
        options: how it would be trained.
    Raises:
        StoreError: they cannot.
        ConfigError: the folder holds another config.
    """
    folder.check_owner(options.command)
    if (size := len(config_text(config).encode())) > MAX_BYTES:
        raise ConfigError(
            f"{folder.path}: config.toml would take {size:,} bytes, and up to {MAX_BYTES:,} are read; a range of "
            "seeds takes less than a list, as in { first = 0, count = 100 }"
        )
    if options.resume:
        if not folder.path.exists() or (folder.holds_anything and not folder.has_begun):
            raise StoreError(f"{folder.path}: nothing to resume there; leave out --resume to start")
        if folder.has_begun and config_text(folder.read_config()) != config_text(config):
            raise ConfigError(
                f"{folder.path}: holds a different config; go on with its config.toml as the config, "
                "replace it with --overwrite, or use --out"
            )
    elif folder.holds_anything and not options.overwrite:
        how = "go on with --resume, " if holds(folder, config) else ""
        raise StoreError(f"{folder.path} holds results; {how}replace it with --overwrite, or use --out")


def holds(folder: RunFolder, config: Config) -> bool:
    """Whether `resume` would continue a training with this config there."""
    with suppress(ConfigError, StoreError, OSError):
        return folder.has_begun and config_text(folder.read_config()) == config_text(config)
    return False


class _Session:
    def __init__(
        self,
        training: Training,
        folder: RunFolder,
        options: Options,
        notify: Notify,
        interrupts: Interrupts,
        showing: Showing,
    ) -> None:
        self._config, self._training, self._folder, self._options = training.config, training, folder, options
        self._notify, self._interrupts, self._showing = notify, interrupts, showing
        self._checkpoints, self._arithmetic = Checkpoints(folder), arithmetic(not training.is_compiled)
        self._changes: list[str] = []  # of the arithmetic, when the training was resumed

    def begin(self, pace: float) -> tuple[Workers, Sinks | None]:
        """Prepare the folder, or find the moment from which to continue, and the sinks as they were then."""
        self._began, workers, elsewhere = time.monotonic(), self._options.workers, self._options.elsewhere
        last = self._last_moment() if self._options.resume and self._folder.has_begun else None
        if last is None:
            self._replace_folder()
            return Workers(self._training, workers, None, pace, elsewhere), None
        moment, sinks = last
        self._began -= moment.seconds
        self._compare_arithmetic(moment)
        return Workers(self._training, workers, moment.states, pace, elsewhere), sinks

    def _opened(self, log_steps: int, tensorboard: bool) -> Sinks:
        return Sinks(self._folder, self._training, self._showing, log_steps, tensorboard)

    def _replace_folder(self) -> None:
        """Remove an earlier training, and begin this one.

        If the command is killed meanwhile, the folder holds the earlier training, at worst unfinished, or this one
        before its first checkpoint. Either can be resumed or replaced.
        """
        self._folder.mark(self._options.command)
        if others := self._folder.clear():
            self._notify(_left_in_place(self._folder.path, others))
        self._folder.write_config(self._config)
        if self._options.source is not None:  # it describes the whole folder, so the old files go first
            self._folder.write(SOURCE, self._options.source)

    def _last_moment(self) -> tuple[Moment, Sinks] | None:
        """The newest usable checkpoint, with the sinks cut back to it; None: there is none yet."""
        size = sum(array.nbytes for array in self._training.state().values())
        paths = self._checkpoints.paths()
        for path in paths:
            try:
                moment = self._checkpoints.read(path, size)
                check_states(self._training, moment.states, moment.update)
                sinks = self._opened(moment.log_steps, "board" in moment.positions)
                sinks.restore(moment.positions)
            except (NewerFormat, OlderFormat):
                raise
            except (StoreError, ValueError, KeyError, TypeError) as error:
                self._notify(f"checkpoint not used: {path}: {one_line(error)}")
                continue
            self._checkpoints.forget_after(path)
            if moment.log_steps != self._options.log_steps:
                self._notify(f"--log-steps {moment.log_steps} is kept: this training began with it")
            return moment, sinks
        if paths:
            raise StoreError(f"{self._folder.path}: no checkpoint can be used; --overwrite starts again")
        self._notify("no checkpoint yet: training starts again")
        return None

    def _compare_arithmetic(self, moment: Moment) -> None:
        """Say so if the last bits of the numbers will differ from those of a training that was never stopped."""
        self._changes = list(moment.changes)
        if change := differences(moment.arithmetic, self._arithmetic):
            self._changes.append(one_line(change))
            self._notify(
                f"the last bits of the numbers may differ from here on, since the arithmetic has changed: {change}"
            )

    def train(self, workers: Workers, sinks: Sinks | None, on_block: Advance) -> Sinks:
        """All updates that are left, with flushes and checkpoints at their times; returns where they went."""
        last_flush, last_moment = -math.inf, time.monotonic()  # TensorBoard has something to show at once
        updates, wait = self._config.most_updates, self._options.checkpoint_seconds

        def moment_due(update: int) -> bool:
            nonlocal last_moment
            now, interrupted = time.monotonic(), self._interrupts.received is not None
            due = interrupted or update == updates or now - last_moment >= wait
            if due:
                last_moment = now
            return due

        with self._interrupts.deferred():
            blocks = workers.blocks(moment_due)
            if sinks is None:  # opened while the first block is trained
                sinks = self._opened(self._options.log_steps, self._options.tensorboard)
                if sinks.board is not None and sinks.board.note is not None:
                    self._notify(sinks.board.note)
            import experiments.analysis.summary  # noqa: F401  (for the end: training hides how long it takes)

            for block in blocks:
                sinks.write(block.records)
                on_block(block.records)
                now = time.monotonic()
                if block.states is not None:
                    cost = self._save(sinks, workers.update_count, block.states)
                    last_flush = time.monotonic()
                    wait = max(self._options.checkpoint_seconds, cost / MAX_SHARE)
                    if self._interrupts.received is not None:
                        self._notify(f"checkpoint kept after update {workers.update_count} of {updates}")
                        break
                elif sinks.board is not None and now - last_flush >= self._options.flush_seconds:
                    self._folder.check_in_place()
                    sinks.board.flush()
                    last_flush = now
        return sinks

    def _save(self, sinks: Sinks, update: int, states: Sequence[State]) -> float:
        """Store a checkpoint; returns the seconds that it took."""
        self._folder.check_in_place()
        positions = sinks.flush()
        began = time.monotonic()
        self._folder.sync("tensorboard")  # else a power failure might lose what the positions include
        seconds = began - self._began
        self._checkpoints.save(
            Moment(update, states, positions, sinks.log_steps, seconds, self._arithmetic, self._changes)
        )
        return time.monotonic() - began

    @property
    def is_over(self) -> bool:
        """Whether the results and the end of the event files are written: then no checkpoint is left."""
        return self._folder.is_finished and not self._checkpoints.paths()

    def finish(self, workers: Workers, sinks: Sinks) -> Mapping[str, Any]:
        """Write the results, and then what is shown of them; after a kill, a resumed training does it again."""
        from experiments.analysis.summary import provenance, summarize

        columns, runs = workers.final(), self._training.runs
        sinks.tables.finish()
        self._folder.write_table("runs.parquet", run_table(columns, runs))
        inputs = {world.number: world.inputs for world in self._training.worlds}
        about = {arm: policies_of(self._config, arm, inputs) for arm in self._config.arms}
        self._folder.write_policies(workers.parameters(), about)
        summary = summarize(self._config, runs, columns)
        summary |= provenance(time.monotonic() - self._began, int(np.sum(columns["env_steps"])), self._arithmetic)
        summary["judging"] = digest(JUDGING)
        if self._changes:
            summary["arithmetic_changes"] = self._changes
        self._folder.write_summary(summary)
        if sinks.board is None or sinks.board.finish(columns, summary):
            self._folder.tidy()  # otherwise --resume tries it again
        return self._folder.read_summary()


def _left_in_place(path: Path, others: Sequence[str]) -> str:
    few, more = ", ".join(others[:5]), f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"{path}: left in place, since this program did not write them: {few}{more}"
