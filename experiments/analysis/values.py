"""What a measure says of each run: a value, which may be infinite, or nothing.

* An infinite length and a time that never came are values: they are larger than any number.
* A *failed* run has no value, except of what happened before it failed: a time that came, a success, and the
  failure itself.
* A measure that means nothing here (`stuck` where nobody knows the optimum) has no value in any run.

What a failed run counts as is decided where it is counted: a claim takes it at its worst and at its best
(`experiments.analysis.contrasts`); estimates and curves, which know no claim, at the worse end of the measure,
which is `Measure.failed_as`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.measures import RUN_MEASURES, FailedAs, Kind, is_time

Array = NDArray[np.float64]


def kind_of(measure: str, columns: Mapping[str, NDArray[Any]]) -> Kind:
    """What kind of measure a column is of: as `RUN_MEASURES` says, else by its values."""
    if measure in RUN_MEASURES:
        return RUN_MEASURES[measure].kind
    known = [value for value in np.asarray(columns[measure]).tolist() if value is not None]
    boolean = bool(known) and all(isinstance(value, bool) for value in known)
    return "fraction" if boolean else "number"


def values_of(measure: str, columns: Mapping[str, NDArray[Any]]) -> Array:
    """One number per run, [n]; infinite: a time that never came, or an infinite value; NaN: no value.

    Args:
        measure: the name of a column.
        columns: of an arm's runs, [n] each; None or NaN where nothing is known (a time: that it never came, as a
            negative number says, too); `failed` marks the failed runs, if there are any.
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
    """Whether all runs of an arm, [n] in each column, ended the same in everything but the name of their seed."""
    others = [np.asarray(column).tolist() for name, column in columns.items() if name != "seed"]
    return all(len(set(map(str, column))) == 1 for column in others)


def counted(values: Array, failed_as: FailedAs, kind: Kind = "number") -> Array:
    """The values, [n], with those that are missing at the given end; left out where there is no worse end."""
    if failed_as == "missing":
        return values[~np.isnan(values)]
    return np.where(np.isnan(values), ends(kind)[failed_as == "high"], values)


def ends(kind: Kind) -> tuple[float, float]:
    """The lowest and the highest value a measure of this kind can have."""
    return (0.0, 1.0) if kind == "fraction" else (-np.inf, np.inf)
