"""summary.json: per arm and measure an estimate with its interval, per claim a verdict, and how it was made."""

import math
import platform
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from experiments.claims import Claim, Comparison, compare, decide
from experiments.config import Config
from experiments.exact_tests import Interval, median_interval
from experiments.inference import Band, iqm_interval, wilson_interval
from experiments.outcomes import FRACTIONS, OF_SUCCESS, OUTCOMES, TIMES
from experiments.records import Column, Runs

BAD = ("stuck", "never_successful", "failed")  # fractions whose worse end is 1
PACKAGES = ("gymnasium", "torch", "numpy", "scipy", "tensorboard")


def summarize(config: Config, runs: Runs, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Arms and verdicts; clocks and versions are added by whoever knows them.

    Args:
        config: what was trained.
        runs: what stands where on the run axis.
        columns: of runs.parquet, [R].
    """
    by_arm = {
        arm: {name: column[np.array(runs.arm) == arm] for name, column in columns.items()} for arm in config.arms
    }
    unknown = _unknown(config, columns)
    found = {
        "name": config.name,
        "description": config.description,
        "failed_runs": _failed_runs(runs, columns),
        "arms": {arm: _arm(config, arm, values, unknown) for arm, values in by_arm.items()},
        "claims": [asdict(verdict) for verdict in decide(comparisons(config, by_arm))],
    }
    return cast(dict[str, Any], in_json(found))


def in_json(value: Any) -> Any:
    """The same with null for numbers that JSON cannot hold: the mean of huge rewards is not finite."""
    if isinstance(value, dict):
        return {key: in_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failed_runs(runs: Runs, columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Which runs are frozen because they were no longer finite, and since which update."""
    updates = columns["failed_update"].tolist()
    rows = [dict(zip(("arm", "seed", "update"), row, strict=True)) for row in zip(*runs, updates, strict=True)]
    return [row for row in rows if row["update"] >= 0]


def _unknown(config: Config, columns: Mapping[str, Column]) -> set[str]:
    """Measures that mean nothing in this comparison: of success without a goal, fractions that no run knows."""
    no_goal = OF_SUCCESS if config.environment.solved_return is None else ()
    return {*no_goal, *(name for name in FRACTIONS if np.isnan(columns[name].astype(float)).all())}


def _arm(config: Config, arm: str, values: Mapping[str, Column], unknown: Collection[str]) -> dict[str, Any]:
    n = 1 if config.agent_of(arm).gradient == "exact" and _is_one_run(values) else len(values["solved"])
    failed = values["failed"].astype(bool)
    measures: dict[str, Any] = {}
    for name, outcome in OUTCOMES.items():
        if name in unknown:
            continue
        if name == "first_success_env_step" and not values["env_steps"].any():
            continue  # exact gradients take no steps
        if name == "first_optimal_update" and np.isnan(values["final_optimal_action_probability"][~failed]).any():
            continue  # nobody knows the optimum
        column = values[name]
        if outcome.kind == "fraction":  # a failed run counts as the worse end
            column = np.where(failed, float(name in BAD), column)
        entry = _SUMMARIES[outcome.kind](column[:n])
        if entry is not None:
            measures[name] = entry
    if n == 1:  # runs without chance and with equal parameters are one run: there is nothing to estimate
        measures = {name: entry | {"low": None, "high": None} for name, entry in measures.items()}
    return {
        "runs": len(values["solved"]),
        "n": n,
        "env_steps": int(values["env_steps"].sum()),
        "measures": measures,
    }


def _fraction(hits: Column) -> dict[str, Any] | None:
    if np.isnan(hits).any():  # as who is stuck outside finite worlds
        return None
    return _entry(wilson_interval(hits.sum(), len(hits)), len(hits)) | {"count": int(hits.sum())}


def _number(values: Column) -> dict[str, Any] | None:
    finite = values[np.isfinite(values)].astype(float)  # a failed run has no return; "failed" counts it
    if not len(finite):
        return None
    return _entry(iqm_interval(finite), len(finite)) | {"mean": float(finite.mean())}


def _time(values: Column) -> dict[str, Any]:
    """The median with its exact interval; null: later than the last step of training."""
    entry = _entry(median_interval(np.where(values < 0, np.inf, values)), len(values))
    return entry | {"count": int((values >= 0).sum())}


_SUMMARIES: dict[str, Callable[[Column], dict[str, Any] | None]] = {
    "fraction": _fraction,
    "number": _number,
    "time": _time,
}


def _is_one_run(values: Mapping[str, Column]) -> bool:
    return all((column == column[:1]).all() for column in values.values() if column.dtype.kind != "f") and all(
        np.array_equal(column, np.broadcast_to(column[:1], column.shape), equal_nan=True)
        for column in values.values()
        if column.dtype.kind == "f"
    )


def _entry(interval: Band | Interval, n: int) -> dict[str, Any]:
    ends = [float(end) for end in interval]
    estimate, low, high = (end if np.isfinite(end) else None for end in ends)
    return {"estimate": estimate, "low": low, "high": high, "n": n}


def comparisons(config: Config, by_arm: Mapping[str, Mapping[str, Column]]) -> list[Comparison]:
    """The config's claims beside the results, not yet corrected for each other.

    Args:
        by_arm: arm -> column of runs.parquet -> [n], in the order of the config's seeds.
    """
    measures = {
        arm: {name: _with_gaps(name, column) for name, column in values.items() if column.ndim == 1}
        for arm, values in by_arm.items()
    }
    seeds = {arm: np.array(config.training.seed_list) for arm in config.arms}
    exact = [arm for arm in config.arms if config.agent_of(arm).gradient == "exact"]
    return [compare(Claim(**claim.model_dump()), measures, seeds, exact) for claim in config.claims]


def _with_gaps(name: str, column: Column) -> Column:
    """A time that never came (-1) is missing, not early; a truth value is one, or None where it is missing."""
    if name in TIMES:
        return np.where(column < 0, np.nan, column)
    if name in FRACTIONS:
        numbers = column.astype(float)
        truths = (numbers > 0).astype(object)
        truths[np.isnan(numbers)] = None
        return truths
    return column


def provenance(wall_seconds: float, env_steps: int) -> dict[str, Any]:
    """Versions, machine and clock."""
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "platform": f"{sys.platform} {platform.machine()}",
        "wall_seconds": round(wall_seconds, 3),
        "env_steps": env_steps,
        "env_steps_per_second": round(env_steps / wall_seconds) if wall_seconds > 0 else 0,
    }
