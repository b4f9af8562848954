"""The HParams tab: a row per arm, with the mean over its seeds of each run's final measures."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.measures import RUN_MEASURES, Measure, Need
from experiments.config.schema import ARM_TRAINING, Config
from experiments.tensorboard.events import Hyperparameter
from experiments.training.records import Column

# Tag -> column of runs.parquet: scalars that each run writes once, at its end.
FINAL_TAGS = {
    f"final/{name.removeprefix('final_')}": name
    for name, measure in RUN_MEASURES.items()
    if measure.shown == "everywhere"
}


def metrics(known: Collection[Need]) -> dict[str, str]:
    """Titles, by tag, of the final measures that a comparison has.

    Args:
        known: which of the things that a measure may need this comparison has.
    """
    return {
        tag: _title(RUN_MEASURES[name])
        for tag, name in FINAL_TAGS.items()
        if set(RUN_MEASURES[name].needs) <= set(known)
    }


def _title(measure: Measure) -> str:
    """TensorBoard takes means over the seeds; everywhere else a number's estimate is the interquartile mean."""
    return measure.axis if measure.kind == "fraction" else f"mean of {measure.axis}"


def final_values(columns: Mapping[str, Column], budget: int) -> dict[str, NDArray[np.float64]]:
    """The final measures of every run, by tag, [R]; NaN: no value.

    A failed run counts as false in every fraction. If an event never happened in a run, its time is the budget. If
    such a run were left out, or counted with the steps that it took, an arm whose runs give up soon and end their
    episodes early would look quick.

    Args:
        columns: the columns of runs.parquet, [R].
        budget: the number of steps that a run may take, the same for all.
    """
    return {tag: _final(RUN_MEASURES[name], columns, columns[name], budget) for tag, name in FINAL_TAGS.items()}


def _final(measure: Measure, columns: Mapping[str, Column], values: Column, budget: int) -> NDArray[np.float64]:
    if measure.kind == "fraction":
        values = np.where(columns["failed"], 0.0, values)
    elif measure.kind == "time":
        values = np.where(columns["env_steps"] > 0, np.where(values < 0, budget, values), np.nan)
    return np.asarray(values, np.float64)


def hyperparameters(config: Config) -> dict[str, dict[str, Hyperparameter]]:
    """The hyperparameters of every arm: the entropy coefficient and those in which arms differ. These are few, so
    that the results fit beside them.

    TensorBoard wants values of one type under each name: if one arm has a number and another a schedule, both
    become text.
    """
    agents = {
        arm: config.agent_of(arm).model_dump()
        | {key: getattr(config.training_of(arm), key) for key in ARM_TRAINING}
        for arm in config.arms
    }
    first = next(iter(agents.values()))
    differing = [name for name in first if any(agent[name] != first[name] for agent in agents.values())]
    rows: dict[str, dict[str, Hyperparameter]] = {arm: {} for arm in agents}
    for name in dict.fromkeys(["entropy_coef", *differing]):
        types = {type(agent[name]) for agent in agents.values()}
        plain = len(types) == 1 and types <= {bool, int, float, str}
        for arm, agent in agents.items():
            rows[arm][name] = agent[name] if plain else _text(agent[name])
    return rows


def values(rows: Mapping[str, Mapping[str, Hyperparameter]]) -> dict[str, Sequence[Hyperparameter]]:
    """For each hyperparameter, its values in the arms."""
    return {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}


def _text(value: Any) -> str:
    if isinstance(value, dict):  # a schedule
        kind, *rest = value.values()
        return f"{kind}({', '.join(f'{number:g}' for number in rest)})"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(part) for part in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
