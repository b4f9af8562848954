"""Writes TensorBoard's event files: every step and update of every run, whole arms, and a guide to reading them.

R: runs, U: updates of one flush, K: tags. Blocks of records are laid out once per flush and run, not per point.
Files: the root (guide, layout, HParams), `aggregate/<arm>` and `<arm>/seed_<k>`, for a family of worlds
`<arm>/world_<w>/seed_<k>`. With more than MAX_RUNS runs, only the first of each arm have files of their own.
"""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from experiments.config.measures import TAGS
from experiments.figures.looks import in_order_of_colour, looks, rgb
from experiments.figures.showing import Showing
from experiments.storage.run_folder import Position, RunFolder
from experiments.tensorboard import hparams_tab, text_tab
from experiments.tensorboard.aggregates import aggregate_block, bands, charts, grid, known_needs
from experiments.tensorboard.event_file import EventFile
from experiments.tensorboard.events import (
    experiment_record,
    layout_record,
    session_end_record,
    session_start_record,
    text_record,
)
from experiments.tensorboard.images_tab import Arm, Artist
from experiments.tensorboard.links import (
    FEATURED,
    FEATURED_TAG,
    FEATURED_TAGS,
    ROOT,
    STEP_TAG,
    runs_in_order_of_colour,
)
from experiments.tensorboard.scalar_blocks import finite_scalars_block, scalar_block, scalars_block
from experiments.training.loop import Training
from experiments.training.records import Column, Records, Steps, joined

MAX_RUNS = 300  # that have files of their own; with more, TensorBoard's page would take minutes to load


class BoardSink:
    """Writes the event files below `tensorboard/`.

    From flush to flush only the files keep a state, so their sizes are all that a checkpoint needs.

    Attributes:
        note: which runs have files of their own, in a line; None: all have.

    Args:
        folder: the run folder.
        training: the training whose records will come.
        log_steps: k, to give `step/entropy_bits` a point for every k-th lock-step of an update; 0: none.
        showing: collects what could not be drawn or written at the end.
    """

    def __init__(self, folder: RunFolder, training: Training, log_steps: int, showing: Showing) -> None:
        self._config, self._world, self._log_steps = training.config, training.world, log_steps
        self._showing = showing
        root, runs, arm_of = folder.path / "tensorboard", training.runs, np.array(training.runs.arm)
        self._runs_of = {arm: np.flatnonzero(arm_of == arm) for arm in training.config.arms}
        pictured = {  # in the first world
            arm: Arm(self._runs_of[arm][: len(training.seeds)], training.seeds[0], rgb(look))
            for arm, look in looks(training.config).items()
        }
        paths, arms = runs.paths(), in_order_of_colour(training.config)
        written = _with_files(pictured.values(), len(paths))
        self.note = None if len(written) == len(paths) else _note(len(written), len(paths), runs.is_family)
        ordered = runs_in_order_of_colour(arms, [paths[place] for place in written])
        files = {  # TensorBoard hands out its colours in the order of the files' first events
            name: EventFile(root / name, folder.path, began)
            for name, began in zip(ordered, count(time.time(), 1e-6), strict=False)
        }
        self._of_arm = {arm: files[f"aggregate/{arm}"] for arm in arms}
        self._of_run = {place: files[paths[place]] for place in written}
        self._root = files[ROOT]
        self._files = {str(file.path.parent.relative_to(root)): file for file in self._all_files()}
        self._curves = bands(training.config, training.world)
        self._needs = known_needs(training.config, training.world)
        updates = {arm: training.config.training_of(arm).updates for arm in training.config.arms}
        self._grid = {arm: grid(own) for arm, own in updates.items()}
        self._records: list[Records] = []
        self._artist = Artist(pictured, updates, training.world)
        self._featured = {place for arm in pictured.values() for place in arm.runs[:FEATURED].tolist()}
        self._opened = False

    def _all_files(self) -> list[EventFile]:
        return [self._root, *self._of_arm.values(), *self._of_run.values()]

    def write(self, records: Records) -> None:
        self._records.append(records)
        self._artist.draw(records)

    def flush(self) -> Position:
        """Write everything to disk; TensorBoard reads it at its next reload."""
        now = time.time()
        if not self._opened:
            self._open(now)
        if self._records:
            records = joined(self._records)
            self._write_updates(records, now)
            if self._log_steps and records.steps is not None:
                self._write_steps(records, records.steps, now)
            self._write_arms(records, now)
            self._records.clear()
        for file in self._all_files():
            file.flush()
        return {name: file.size for name, file in self._files.items()}

    def restore(self, position: Position) -> None:
        """Drop everything written after the position."""
        self._opened = True
        self._records.clear()
        self._artist.forget()
        for name, file in self._files.items():
            file.truncate_to(int(position[name]))

    def finish(self, columns: Mapping[str, Column], summary: Mapping[str, Any]) -> bool:
        """Write what is known at the end: the columns of runs.parquet, and the verdicts.

        Returns:
            whether everything was written; if one part fails, the others are still written.
        """
        now, attempt, before = time.time(), self._showing.attempt, len(self._showing.failed)
        attempt("TensorBoard's last points", self.flush)
        self._artist.close()
        attempt("TensorBoard's HParams", lambda: self._write_finals(columns, now))
        verdict = attempt("TensorBoard's verdict", lambda: text_tab.verdict(summary))
        if verdict is not None:
            self._root.write(text_record(text_tab.VERDICT, self._config.most_updates, verdict, now))
        attempt("TensorBoard's last points", self.flush)
        return len(self._showing.failed) == before

    def _write_finals(self, columns: Mapping[str, Column], now: float) -> None:
        budget = max(self._config.most_steps(arm, self._world.time_limit) for arm in self._config.arms)
        finals = hparams_tab.final_values(columns, budget)
        shown = hparams_tab.metrics(self._needs)
        for place, file in self._of_run.items():
            known = {tag: finals[tag][place] for tag in shown if np.isfinite(finals[tag][place])}
            if known:
                file.write(scalars_block(list(known), [self._config.most_updates], [list(known.values())], now))
            file.write(session_end_record(now, failed=bool(columns["failed"][place])))

    def _open(self, now: float) -> None:
        self._opened = True
        for tag, page in text_tab.pages(self._config).items():
            self._root.write(text_record(tag, 0, page, now))
        self._root.write(layout_record(charts(self._curves), now))
        rows = hparams_tab.hyperparameters(self._config)
        metrics = hparams_tab.metrics(self._needs)
        self._root.write(experiment_record(hparams_tab.values(rows), metrics, now))
        for arm, row in rows.items():
            start = session_start_record(row, arm, now)
            for place in self._of_run.keys() & set(self._runs_of[arm].tolist()):
                self._of_run[place].write(start)

    def _write_updates(self, records: Records, now: float) -> None:
        """Numbers that are not finite get no point: columns that an arm does not have (all NaN), and numbers that
        overflowed in a run that failed."""
        start = records.columns["start_policy"]
        tags = [*TAGS, *(f"policy/start_probability_{a}" for a in range(start.shape[2]))]
        columns = np.concatenate(
            [np.stack([records.columns[name] for name in TAGS.values()], axis=2, dtype=np.float64), start],
            axis=2,
        )
        for place, file in self._of_run.items():
            rows = records.active[:, place]
            file.write(finite_scalars_block(tags, records.updates[rows], columns[rows, place], now))
            if place in self._featured:
                again = columns[rows, place][
                    :, [list(TAGS.values()).index(name) for name in FEATURED_TAGS.values()]
                ]
                file.write(finite_scalars_block(list(FEATURED_TAGS), records.updates[rows], again, now))

    def _write_steps(self, records: Records, steps: Steps, now: float) -> None:
        """One point for every lock-step of an update that is to be logged."""
        env_step, bits, logged = records.env_step, steps.entropy_nats / math.log(2), steps.t % self._log_steps == 0
        ends = np.cumsum(steps.length.sum(0))
        for place, file in self._of_run.items():
            start, end = ends[place - 1] if place else 0, ends[place]
            rows = start + np.flatnonzero(logged[start:end])
            for tag in (STEP_TAG, FEATURED_TAG) if place in self._featured else (STEP_TAG,):
                if len(rows):
                    file.write(scalar_block(tag, env_step[rows], bits[rows], now))

    def _write_arms(self, records: Records, now: float) -> None:
        for name, runs in self._runs_of.items():
            exact = self._config.agent_of(name).gradient == "exact"
            file = self._of_arm[name]
            file.write(aggregate_block(records, self._grid[name], runs, self._curves, exact, now))
            file.write(self._artist.taken(name, self._showing))


def _with_files(arms: Collection[Arm], runs: int) -> Sequence[int]:
    """The runs that have files of their own: all, or of too many the first seeds of each arm's first world."""
    if runs <= MAX_RUNS:
        return range(runs)
    most = max(1, MAX_RUNS // len(arms))
    return [place for arm in arms for place in arm.runs[:most].tolist()]


def _note(shown: int, runs: int, is_family: bool) -> str:
    """Which runs have files of their own, for the user."""
    first = "the first seeds of each arm" + " in the first world" * is_family
    return f"TensorBoard has curves of {shown} of {runs} runs, {first}; its curves of whole arms are of all runs"
