"""The value of a measure in each run, which may be infinite or missing.

* An infinite length, and the time of an event that never happened, are values: they are larger than any number.
* A *failed* run has no value, except for what happened before it failed: the time of an event, a success, and the
  failure itself.
* A measure that means nothing here (`stuck` where the optimum is not known) has no value in any run.

How a failed run counts depends on the use: a claim takes it both at its worst and at its best
(`experiments.analysis.contrasts`); estimates and curves, which belong to no claim, take it at the worse end of the
measure, `Measure.failed_as`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.measures import RUN_MEASURES, FailedAs, Kind, is_time

Array = NDArray[np.float64]


def kind_of(measure: str, columns: Mapping[str, NDArray[Any]]) -> Kind:
    """The kind of the measure in a column: from `RUN_MEASURES`, or else guessed from its values."""
    if measure in RUN_MEASURES:
        return RUN_MEASURES[measure].kind
    known = [value for value in np.asarray(columns[measure]).tolist() if value is not None]
    boolean = bool(known) and all(isinstance(value, bool) for value in known)
    return "fraction" if boolean else "number"


def values_of(measure: str, columns: Mapping[str, NDArray[Any]]) -> Array:
    """One number per run, [n]; infinite: an event that never happened, or an infinite value; NaN: no value.

    Args:
        measure: the name of a column.
        columns: the columns of an arm's runs, [n] each. None or NaN: no value, or, for a time, an event that never
            happened (as does a negative number). `failed` marks the failed runs, if there are any.
    Raises:
        ValueError: the measure is not one number (or truth value) per run.
    """
    column = np.asarray(columns[measure]).tolist()
    if not all(value is None or isinstance(value, bool | int | float) for value in column):
        raise ValueError(f"measure {measure!r} is not one number per run")
    values = np.array([np.nan if value is None else value for value in column], float)
    failed = np.asarray(columns.get("failed", False), bool)
    if measure == "failed":
        return values
    if is_time(measure):
        values = np.where(np.isnan(values) | (values < 0), np.inf, values)
        return np.where(failed & np.isinf(values), np.nan, values)
    unknown = failed & (values != 0) if measure == "never_successful" else failed
    return np.where(unknown, np.nan, values)


def is_one_run(columns: Mapping[str, NDArray[Any]]) -> bool:
    """Whether all runs of an arm, [n] in each column, have the same results and differ only in their seed."""
    others = [np.asarray(column).tolist() for name, column in columns.items() if name != "seed"]
    return all(len(set(map(str, column))) == 1 for column in others)


def counted(values: Array, failed_as: FailedAs, kind: Kind = "number") -> Array:
    """The values, [n], with the missing ones set to the worse end, or left out where neither end is worse."""
    if failed_as == "missing":
        return values[~np.isnan(values)]
    return np.where(np.isnan(values), ends(kind)[failed_as == "high"], values)


def ends(kind: Kind) -> tuple[float, float]:
    """The lowest and the highest value a measure of this kind can have."""
    return (0.0, 1.0) if kind == "fraction" else (-np.inf, np.inf)
