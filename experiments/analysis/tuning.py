"""Which of its tries an arm chooses: the one with the best mean, of several the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.over_worlds import world_means
from experiments.analysis.values import ends, values_of
from experiments.config.measures import RUN_MEASURES


def score(measure: str, columns: Mapping[str, NDArray[Any]], worlds: NDArray[np.int64] | None) -> float:
    """The mean of a measure over runs, or over worlds of their runs' means; a failed run counts as the worse end.

    Args:
        measure: a fraction or a number with a worse end.
        columns: of an arm's runs, [n] each.
        worlds: of a family, the world of each run, [n].
    """
    kind, failed_as = RUN_MEASURES[measure].kind, RUN_MEASURES[measure].failed_as
    values = values_of(measure, columns)
    values = np.where(np.isnan(values), ends(kind)[failed_as == "high"], values)
    return float(values.mean() if worlds is None else world_means(values, worlds).mean())


def best(measure: str, scores: Sequence[float]) -> int:
    """The place of the best score: the highest, or the lowest where a high one is bad; of equal ones the first."""
    sign = -1.0 if RUN_MEASURES[measure].failed_as == "high" else 1.0
    return int(np.argmax([sign * number for number in scores]))
