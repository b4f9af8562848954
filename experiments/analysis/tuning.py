"""Which of its tries an arm chooses: the one with the best mean, and among equals the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.analysis.over_worlds import world_means
from experiments.analysis.summary import worlds_of
from experiments.analysis.values import ends, values_of
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config


def scores(measure: str, config: Config, table: pa.Table) -> dict[str, float]:
    """The score of each arm in one try.

    Args:
        measure: the measure by which an arm chooses.
        config: of the try.
        table: its runs, as in runs.parquet.
    """
    worlds = worlds_of(config)
    return {arm: score(measure, columns_of(table, arm), worlds) for arm in config.arms}


def choose(measure: str, tries: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Arm -> the score of each of its tries, and the place of the one that it chooses; see `scores`."""
    of_arms = {arm: [each[arm] for each in tries] for arm in tries[0]}
    return {arm: {"chosen": best(measure, own), "scores": own} for arm, own in of_arms.items()}


def columns_of(table: pa.Table, arm: str) -> dict[str, NDArray[Any]]:
    """The columns of an arm's runs, [n] each; None where a run has no value."""
    rows = np.array(table["arm"].to_pylist()) == arm
    names = [name for name in table.column_names if name not in ("arm", "start_policy")]
    return {name: np.array(table[name].to_pylist(), dtype=object)[rows] for name in names}


def score(measure: str, columns: Mapping[str, NDArray[Any]], worlds: NDArray[np.int64] | None) -> float:
    """The mean of a measure over runs, or over the means of worlds; a failed run counts as the worse end.

    Args:
        measure: a fraction or a number with a worse end.
        columns: the columns of an arm's runs, [n] each.
        worlds: in a family, the world of each run, [n].
    """
    kind, failed_as = RUN_MEASURES[measure].kind, RUN_MEASURES[measure].failed_as
    values = values_of(measure, columns)
    values = np.where(np.isnan(values), ends(kind)[failed_as == "high"], values)
    return float(values.mean() if worlds is None else world_means(values, worlds).mean())


def best(measure: str, scores: Sequence[float]) -> int:
    """The place of the best score: the highest, or the lowest where a high one is bad; of equal ones the first."""
    sign = -1.0 if RUN_MEASURES[measure].failed_as == "high" else 1.0
    return int(np.argmax([sign * number for number in scores]))
