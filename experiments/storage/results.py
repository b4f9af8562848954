"""Reading a finished run folder, for figures and pages.

C: arms, n: runs of an arm, U: updates, K: updates at which curves are drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config.measures import MEASURES
from experiments.config.schema import Config
from experiments.storage.run_folder import RunFolder
from experiments.storage.snapshots import FILE, Snapshots, check_fits, read_snapshots
from experiments.storage.stored_rows import NEEDED, RUN_KINDS, TIME, UpdateRows, fitting, kind_of
from experiments.storage.stored_tables import ROW_BYTES, arm_places, schema_of, values
from experiments.training.records import runs_of

Array = NDArray[np.float64]

CURVES = ("entropy_bits", "solved", "state_coverage", "optimal_action_probability")  # drawn over training
RUNS_FILE, UPDATES_FILE = "runs.parquet", "updates.parquet"


class Results(NamedTuple):
    """The content of a run folder."""

    config: Config
    summary: Mapping[str, Any]
    runs: dict[str, dict[str, NDArray[Any]]]  # arm -> column of runs.parquet -> [n]
    at: NDArray[np.int64]  # [K] updates
    curves: dict[str, dict[str, Array]]  # arm -> column of updates.parquet -> [n, K]; NaN: failed, or at its end
    snapshots: Snapshots | None
    ends: dict[str, int]  # arm -> the updates after which the first of its runs had made all of its own

    def is_one_run(self, arm: str) -> bool:
        """Whether the arm's runs are one run without chance, shown without an interval."""
        return bool(self.summary["arms"][arm]["n"] == 1)


def read_results(path: Path) -> Results:
    """Read the folder of a finished training. All of it is checked here and need not be checked again.

    Raises:
        StoreError: it is not a finished run folder, or is damaged.
        ConfigError: its config cannot be read.
    """
    folder = RunFolder(path)
    summary, config = folder.read_summary(), folder.read_config()
    runs, at = read_runs(folder, config), moments_of(config)
    snapshots = read_snapshots(folder)
    if snapshots is not None:
        check_fits(snapshots, path / FILE, config.most_updates, (len(config.arms),))
    curves, made = _read_curves(folder, config, runs, at)
    return Results(config, summary, runs, at, curves, snapshots, made)


def moments_of(config: Config) -> NDArray[np.int64]:
    """The updates at which the curves of a config's arms are drawn, [K]."""
    return np.unique(np.concatenate([moments(config.training_of(arm).updates) for arm in config.arms]))


def moments(updates: int, most: int = 90) -> NDArray[np.int64]:
    """The updates at which a curve is drawn: evenly spaced, and denser at the beginning."""
    even = np.linspace(0, updates - 1, most)
    early = np.geomspace(1, updates, most // 3) - 1
    return np.unique(np.concatenate([even, early]).round().astype(np.int64))


def read_runs(folder: RunFolder, config: Config) -> dict[str, dict[str, NDArray[Any]]]:
    """Arm -> column of runs.parquet -> [n], in the order of the config's seeds.

    Tables of earlier versions lack some measures; columns that this program does not know are not read.

    Raises:
        StoreError: the table is damaged, or belongs to another config.
    """
    place, arms, runs = folder.path / RUNS_FILE, list(config.arms), runs_of(config)
    folder.check(RUNS_FILE, ROW_BYTES * len(runs.arm))
    needed = {*NEEDED, *(claim.measure for claim in config.claims), *(["world"] if runs.is_family else [])}
    needed |= {"episodes" for arm in config.arms if config.training_of(arm).max_env_steps is not None}
    names = [name for name in RUN_KINDS if name in needed | set(schema_of(place).names)]
    table = folder.read_table(RUNS_FILE, ["arm", *names], max_rows=len(runs.arm))
    with fitting(place):
        kinds = RUN_KINDS | {"failed_update": replace(TIME, high=config.most_updates - 1)}
        columns = {name: values(table, name, kinds[name]) for name in names}
        found = [np.array(arms)[arm_places(table, arms)], columns["seed"]]
        expected: list[Sequence[Any]] = [runs.arm, runs.seed]
        if runs.is_family:
            found, expected = [*found, columns["world"]], [*expected, runs.world]
        if not all(map(np.array_equal, found, expected)):
            raise ValueError("its rows are not the runs of the config, in their order")
    by_arm = {name: column.reshape(len(arms), -1) for name, column in columns.items()}
    return {arm: {name: column[i] for name, column in by_arm.items()} for i, arm in enumerate(arms)}


def _read_curves(
    folder: RunFolder, config: Config, runs: Mapping[str, Mapping[str, NDArray[Any]]], at: NDArray[np.int64]
) -> tuple[dict[str, dict[str, Array]], dict[str, int]]:
    """Arm -> column of updates.parquet -> [n, K], at the updates `at`; and `Results.ends`."""
    reader = UpdateRows(runs_of(config), config.most_updates)
    batches = folder.read_batches(UPDATES_FILE, [*reader.columns, *CURVES], reader.max_rows)
    with fitting(folder.path / UPDATES_FILE):
        curves = curves_of(config, batches, reader, at)
        reader.check_complete(np.concatenate([updates_made(config, arm, runs[arm]) for arm in config.arms]))
    return curves, ends_of(config, reader, np.concatenate([runs[arm]["failed"] for arm in config.arms]))


def curves_of(
    config: Config, batches: Iterable[pa.RecordBatch], reader: UpdateRows, at: NDArray[np.int64]
) -> dict[str, dict[str, Array]]:
    """`Results.curves` from the rows of updates.parquet, in pieces, which the reader checks and counts."""
    curves = np.full((len(CURVES), len(config.arms) * config.runs_per_arm, len(at)), np.nan)
    for batch in batches:
        run, update = reader.take(batch)
        column = np.searchsorted(at, update)
        drawn = at[np.minimum(column, len(at) - 1)] == update
        for name, curve in zip(CURVES, curves, strict=True):
            curve[run[drawn], column[drawn]] = values(batch, name, kind_of(MEASURES[name]))[drawn]
    by_arm = curves.reshape(len(CURVES), len(config.arms), -1, len(at))
    return {arm: dict(zip(CURVES, by_arm[:, i], strict=True)) for i, arm in enumerate(config.arms)}


def ends_of(config: Config, reader: UpdateRows, failed: NDArray[Any]) -> dict[str, int]:
    """`Results.ends` from the rows that a reader has counted, and from which runs have failed, [R]."""
    made, known = (column.reshape(len(config.arms), -1) for column in (reader.rows, ~failed.astype(bool)))
    updates = {arm: config.training_of(arm).updates for arm in config.arms}
    return {arm: int(made[i][known[i]].min(initial=updates[arm])) for i, arm in enumerate(config.arms)}


def updates_made(config: Config, arm: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The updates that each run of an arm has made, [n], by the columns of runs.parquet."""
    training, failed_update = config.training_of(arm), columns["failed_update"]
    made = np.full(len(failed_update), training.updates)
    if training.max_env_steps is not None:
        made = columns["episodes"] // training.episodes_per_update
    return np.where(np.isnan(failed_update), made, failed_update + 1).astype(np.int64)
