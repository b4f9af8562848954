"""What TensorBoard is told: every step, every update, run by run.

R: runs, U: updates of one flush, K: tags. Blocks of records are laid out once a flush and run, not once a point.
"""

import math
import time

import numpy as np
from numpy.typing import NDArray

from experiments.event_files import EventFile, scalar_block, scalars_block
from experiments.records import Runs, UpdateRecord
from experiments.store import Position, RunFolder

STEP_TAG = "step/entropy_bits"

# Tag -> column of updates.parquet. A column that a world does not have (all NaN) is left out.
UPDATE_TAGS = {
    "policy/entropy_bits": "entropy_bits",
    "policy/entropy_nats": "entropy_nats",
    "policy/effective_actions": "effective_actions",
    "policy/kl_from_previous": "kl_from_previous",
    "policy/cross_entropy_to_optimal": "cross_entropy_to_optimal",
    "loss/policy": "policy_loss",
    "loss/negative_entropy": "negative_entropy",
    "loss/total": "loss",
    "loss/entropy_coef": "entropy_coef",
    "loss/grad_norm": "grad_norm",
    "explore/state_coverage": "state_coverage",
    "explore/visit_entropy_bits": "visit_entropy_bits",
    "explore/solved": "solved",
    "episode/return": "return_mean",
    "episode/length": "episode_length",
}


class BoardSink:
    """Writes the event files of all runs below `tensorboard/`.

    Args:
        folder: the run folder.
        runs: what stands where on the run axis.
        log_steps: each how many lock-steps a point of `step/entropy_bits` is written; 0: none.
    """

    def __init__(self, folder: RunFolder, runs: Runs, log_steps: int) -> None:
        self._folder, self._runs, self._log_steps = folder, runs, log_steps
        root = folder.path / "tensorboard"
        self._files = {
            f"{arm}/seed_{seed}": EventFile(root / arm / f"seed_{seed}")
            for arm, seed in zip(runs.arm, runs.seed, strict=True)
        }
        self._records: list[UpdateRecord] = []

    def write(self, record: UpdateRecord) -> None:
        self._records.append(record)

    def flush(self) -> Position:
        """Bring everything to disk; TensorBoard sees it at its next reload."""
        if self._records:
            now = time.time()
            self._write_updates(now)
            if self._log_steps and self._records[0].steps is not None:
                self._write_steps(now)
            self._records.clear()
        for file in self._files.values():
            file.flush()
        return {name: file.size for name, file in self._files.items()}

    def restore(self, position: Position) -> None:
        """Forget what was written after the position."""
        for name, file in self._files.items():
            file.truncate_to(int(position[name]))

    def _write_updates(self, now: float) -> None:
        updates = np.array([record.update for record in self._records])
        active = np.stack([record.active for record in self._records])
        tags, columns = self._scalars()
        for place, file in enumerate(self._files.values()):
            rows = active[:, place]
            file.write(scalars_block(tags, updates[rows], columns[rows, place], now))

    def _scalars(self) -> tuple[list[str], NDArray[np.float32]]:
        """The tags and their values, [U, R, K]."""
        first = self._records[0].columns
        names = {tag: name for tag, name in UPDATE_TAGS.items() if not np.isnan(first[name].astype(float)).all()}
        values = [np.stack([r.columns[name] for r in self._records]) for name in names.values()]
        start = np.stack([record.columns["start_policy"] for record in self._records])
        tags = [*names, *(f"policy/start_probability_{a}" for a in range(start.shape[2]))]
        stacked = np.stack([value.astype(np.float32) for value in values], axis=2)
        return tags, np.concatenate([stacked, start.astype(np.float32)], axis=2)

    def _write_steps(self, now: float) -> None:
        """One point a lock-step; `every` picks among each update's lock-steps."""
        every = self._log_steps
        steps = [record.steps for record in self._records if record.steps is not None]
        live = np.concatenate([s.live[::every] for s in steps])
        env_step = np.concatenate([s.env_step[::every] for s in steps])
        bits = np.concatenate([s.entropy_nats[::every] for s in steps]) / math.log(2)
        # Runs first, so that a run's points lie side by side.
        live, env_step, bits = (np.ascontiguousarray(a.T) for a in (live, env_step, bits))
        for place, file in enumerate(self._files.values()):
            there = live[place] > 0
            if there.any():
                file.write(scalar_block(STEP_TAG, env_step[place, there], bits[place, there], now))
