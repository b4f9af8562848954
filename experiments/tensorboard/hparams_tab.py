"""The HParams tab: a row an arm, with the mean over its seeds of what each run came to."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.schema import Config
from experiments.tensorboard.aggregates import COVERAGE, SOLVED, Curve, takes_steps
from experiments.tensorboard.events import Hyperparameter
from experiments.training.records import Column

RETURN, ENTROPY = "final/return", "final/entropy_bits"  # scalars that each run writes once, at its end
SUCCEEDS, SOLVED_AT_END, STATE_COVERAGE = "final/succeeds", "final/solved", "final/state_coverage"
FIRST_SUCCESS = "final/first_success_env_step"


def metrics(config: Config, shown: Collection[Curve]) -> dict[str, str]:
    """Titles, by tag, of what a comparison can tell of its runs' ends.

    Args:
        config: what is compared.
        shown: the measures that it has curves of.
    """
    titles = {RETURN: "final return"}
    if SOLVED in shown:
        titles |= {SUCCEEDS: "fraction that succeeds", SOLVED_AT_END: "fraction solved"}
    titles[ENTROPY] = "final entropy, bits"
    if COVERAGE in shown:
        titles[STATE_COVERAGE] = "state coverage"
    if SOLVED in shown and takes_steps(config):
        titles[FIRST_SUCCESS] = "first success, step"
    return titles


def final_values(columns: Mapping[str, Column], budget: int) -> dict[str, NDArray[np.float64]]:
    """Of every run, by tag, [R]; NaN: the run cannot tell.

    A failed run neither succeeds nor is solved. A run that never succeeded counts with the budget. Left out, or
    counted with the steps that it took, it would make an arm look quick whose runs give up soon and end their
    episodes early.

    Args:
        columns: of runs.parquet, [R].
        budget: steps that a run may take, the same for all.
    """
    first, steps = columns["first_success_env_step"], columns["env_steps"]
    values = {
        RETURN: columns["final_return"],
        SUCCEEDS: np.where(columns["failed"], 0.0, columns["succeeds"]),
        SOLVED_AT_END: np.where(columns["failed"], 0.0, columns["solved"]),
        ENTROPY: columns["final_entropy_bits"],
        STATE_COVERAGE: columns["state_coverage"],
        FIRST_SUCCESS: np.where(steps > 0, np.where(first < 0, budget, first), np.nan),
    }
    return {tag: np.asarray(column, np.float64) for tag, column in values.items()}


def hyperparameters(config: Config) -> dict[str, dict[str, Hyperparameter]]:
    """Of every arm: the entropy coefficient and whatever else differs; few, so that the results fit beside them.

    TensorBoard wants values of one type under a name: where a number meets a schedule, both become text.
    """
    agents = {arm: config.agent_of(arm).model_dump() for arm in config.arms}
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
