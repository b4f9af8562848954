"""The HParams tab: a row per arm, with the mean over its seeds of what each run came to."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.measures import RUN_MEASURES, Measure, Need
from experiments.config.schema import Config
from experiments.tensorboard.events import Hyperparameter
from experiments.training.records import Column

# Tag -> column of runs.parquet: scalars that each run writes once, at its end.
FINAL_TAGS = {
    f"final/{name.removeprefix('final_')}": name
    for name, measure in RUN_MEASURES.items()
    if measure.shown == "everywhere"
}


def metrics(known: Collection[Need]) -> dict[str, str]:
    """Titles, by tag, of what a comparison can tell of its runs' ends.

    Args:
        known: what the comparison has of all that a measure may need.
    """
    return {
        tag: RUN_MEASURES[name].axis
        for tag, name in FINAL_TAGS.items()
        if set(RUN_MEASURES[name].needs) <= set(known)
    }


def final_values(columns: Mapping[str, Column], budget: int) -> dict[str, NDArray[np.float64]]:
    """Of every run, by tag, [R]; NaN: the run cannot tell.

    A failed run counts as one of which no fraction is true. A run whose time never came counts with the budget.
    Left out, or counted with the steps that it took, it would make an arm look quick whose runs give up soon and
    end their episodes early.

    Args:
        columns: of runs.parquet, [R].
        budget: steps that a run may take, the same for all.
    """
    return {tag: _final(RUN_MEASURES[name], columns, columns[name], budget) for tag, name in FINAL_TAGS.items()}


def _final(measure: Measure, columns: Mapping[str, Column], values: Column, budget: int) -> NDArray[np.float64]:
    if measure.kind == "fraction":
        values = np.where(columns["failed"], 0.0, values)
    elif measure.kind == "time":
        values = np.where(columns["env_steps"] > 0, np.where(values < 0, budget, values), np.nan)
    return np.asarray(values, np.float64)


def hyperparameters(config: Config) -> dict[str, dict[str, Hyperparameter]]:
    """Of every arm: the entropy coefficient and whatever else differs; few, so that the results fit beside them.

    TensorBoard wants values of one type under a name: where a number meets a schedule, both become text.
    """
    agents = {
        arm: config.agent_of(arm).model_dump()
        | {"episodes_per_update": config.training_of(arm).episodes_per_update}
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
    """For each hyperparameter the values it has in the arms."""
    return {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}


def _text(value: Any) -> str:
    if isinstance(value, dict):  # a schedule
        kind, *rest = value.values()
        return f"{kind}({', '.join(f'{number:g}' for number in rest)})"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(part) for part in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
