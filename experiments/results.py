"""A finished run folder, read for looking at it.

C: arms, n: runs of an arm, U: updates, K: updates that curves are drawn at.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.config import Config
from experiments.snapshots import Snapshots, read_snapshots
from experiments.store import RunFolder, StoreError

Array = NDArray[np.float64]

CURVES = ("entropy_bits", "solved", "state_coverage", "optimal_action_probability")


class Results(NamedTuple):
    """What a run folder holds."""

    config: Config
    summary: Mapping[str, Any]
    runs: dict[str, dict[str, NDArray[Any]]]  # arm -> column of runs.parquet -> [n]
    at: NDArray[np.int64]  # [K] updates
    curves: dict[str, dict[str, Array]]  # arm -> column of updates.parquet -> [n, K]; NaN: the run has failed
    snapshots: Snapshots | None

    def is_one_run(self, arm: str) -> bool:
        """Whether the arm's runs are one run without chance, shown without an interval."""
        return bool(self.summary["arms"][arm]["n"] == 1)


def read_results(path: Path) -> Results:
    """Read the folder of a finished training.

    Raises:
        StoreError: it is none, or damaged.
    """
    folder = RunFolder(path)
    summary, config = folder.read_summary(), folder.read_config()
    try:
        at = moments(config.training.updates)
        updates = folder.read_table("updates.parquet", ["arm", "seed", "update", *CURVES])
        runs = folder.read_table("runs.parquet")
        return Results(
            config, summary, _by_arm(config, runs), at, _curves(config, updates, at), read_snapshots(folder)
        )
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path}: the tables do not fit the config: {error}") from None


def moments(updates: int, most: int = 90) -> NDArray[np.int64]:
    """Updates at which a curve is drawn: evenly spaced, and denser at the beginning."""
    even = np.linspace(0, updates - 1, most)
    early = np.geomspace(1, updates, most // 3) - 1
    return np.unique(np.concatenate([even, early]).round().astype(np.int64))


def _by_arm(config: Config, table: pa.Table) -> dict[str, dict[str, NDArray[Any]]]:
    arm = np.array(table["arm"].to_pylist())
    columns = {name: table[name] for name in table.column_names if name not in ("arm", "start_policy")}
    values = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
    return {name: {key: value[arm == name] for key, value in values.items()} for name in config.arms}


def _curves(config: Config, table: pa.Table, at: NDArray[np.int64]) -> dict[str, dict[str, Array]]:
    update = table["update"].to_numpy()
    wanted = np.isin(update, at)
    seeds = np.array(config.training.seed_list)
    order = np.argsort(seeds)
    seed = order[np.searchsorted(seeds[order], table["seed"].to_numpy()[wanted])]
    codes, names = _codes(table["arm"].combine_chunks())
    place = np.searchsorted(at, update[wanted])
    curves: dict[str, dict[str, Array]] = {name: {} for name in config.arms}
    for column in CURVES:
        whole = np.full((len(names), len(seeds), len(at)), np.nan)
        whole[codes[wanted], seed, place] = table[column].to_numpy()[wanted].astype(float)
        for name, values in zip(names, whole, strict=True):
            curves[name][column] = values
    return curves


def _codes(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    return column.indices.to_numpy().astype(np.int64), column.dictionary.to_pylist()
