"""summary.json: an estimate with its interval per arm and measure, a verdict per claim, and how they were made."""

import math
import platform
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from experiments.analysis.claims import Claim, Comparison, compare, decide
from experiments.analysis.estimates import Band, iqm_interval, wilson_interval
from experiments.analysis.exact_tests import Array, Interval, median_interval
from experiments.analysis.over_worlds import Worlds as Ints
from experiments.analysis.over_worlds import mean_interval, world_means
from experiments.analysis.values import counted, is_one_run, values_of
from experiments.config.measures import RUN_MEASURES, Kind
from experiments.config.schema import Config
from experiments.config.version import __version__
from experiments.training.records import Column, Runs
from experiments.training.worlds import time_limit

PACKAGES = ("gymnasium", "torch", "numpy", "scipy", "tensorboard")


def summarize(config: Config, runs: Runs, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Arms and verdicts; see `provenance` for times and versions.

    Args:
        config: what was trained.
        runs: which run is where on the run axis.
        columns: the columns of runs.parquet, [R].
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
    """The same value with null for numbers that JSON cannot hold, such as the infinite mean of huge rewards."""
    if isinstance(value, dict):
        return {key: in_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failed_runs(runs: Runs, columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """The runs that were frozen because their numbers were no longer finite, and since which update."""
    updates = columns["failed_update"].tolist()
    names = ("arm", "seed", "world", "update")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*runs, updates, strict=True) if row[-1] >= 0]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _unknown(config: Config, columns: Mapping[str, Column]) -> set[str]:
    """Measures that mean nothing in this comparison: success without a goal, and fractions that no run knows."""
    no_goal = config.environment.solved_return is None
    return {
        name
        for name, measure in RUN_MEASURES.items()
        if (no_goal and "goal" in measure.needs)
        or (measure.kind == "fraction" and np.isnan(columns[name].astype(float)).all())
    }


def _arm(config: Config, arm: str, values: Mapping[str, Column], unknown: Collection[str]) -> dict[str, Any]:
    worlds = worlds_of(config)
    if worlds is not None:
        n, values = len(values["solved"]), shares_of_budget(config, values)
        known = {name: _over_worlds(name, values, worlds) for name in RUN_MEASURES if name not in unknown}
    else:
        n = 1 if config.agent_of(arm).gradient == "exact" and is_one_run(values) else len(values["solved"])
        known = {name: _measure(name, values, n) for name in RUN_MEASURES if name not in unknown}
    if not values["env_steps"].any():  # exact gradients take no steps
        known["first_success_env_step"] = None
    if np.isnan(values["final_optimal_action_probability"]).all():  # the optimum is not known
        known["first_optimal_update"] = None
    measures = {name: entry for name, entry in known.items() if entry is not None}
    if n == 1:  # runs without chance and with equal parameters are one run: there is nothing to estimate
        measures = {name: entry | {"low": None, "high": None} for name, entry in measures.items()}
    return {
        "runs": len(values["solved"]),
        "n": n,
        "env_steps": int(values["env_steps"].sum()),
        "measures": measures,
    }


def _measure(name: str, columns: Mapping[str, Column], n: int) -> dict[str, Any] | None:
    """The estimate of a measure over an arm's first n runs; None: no run has a value, or it means nothing here.

    See `experiments.analysis.values` for what counts as a value. A failed run counts as the worse end of its
    measure, or is left out where neither end is worse.
    """
    measure, runs = RUN_MEASURES[name], values_of(name, columns)[:n]
    missing = np.isnan(runs)
    unknown = missing & ~columns["failed"][:n].astype(bool)
    nothing = unknown.any() if measure.kind == "fraction" else missing.all()
    if nothing:
        return None
    values = counted(runs, measure.failed_as, measure.kind)
    return _SUMMARIES[measure.kind](values) | {"n": len(values), "left_out": n - len(values)}


def _over_worlds(name: str, columns: Mapping[str, Column], worlds: Ints) -> dict[str, Any] | None:
    """As `_measure`, in a family: the mean over worlds of their seeds' means, with a bootstrap over worlds."""
    kind, runs = RUN_MEASURES[name].kind, values_of(name, columns)
    if np.isnan(runs).all() or (kind == "fraction" and (np.isnan(runs) & ~columns["failed"].astype(bool)).any()):
        return None
    end: Kind = "number" if kind == "number" else "fraction"  # of a time: all of the budget
    failed_as = RUN_MEASURES[name].failed_as
    known = ~np.isnan(runs) if failed_as == "missing" else np.full(len(runs), True)
    values = counted(np.minimum(runs, 1.0) if kind == "time" else runs, failed_as, end)
    entry = _entry(mean_interval(world_means(values, worlds[known])))
    entry |= {"n": len(values), "left_out": int((~known).sum()), "worlds": len(np.unique(worlds[known]))}
    if kind == "number":
        return entry | {"mean": entry["estimate"]}
    return entry | {"count": int(values.sum()) if kind == "fraction" else int(np.isfinite(runs).sum())}


def _fraction(hits: Array) -> dict[str, Any]:
    return _entry(wilson_interval(hits.sum(), len(hits))) | {"count": int(hits.sum())}


def _number(values: Array) -> dict[str, Any]:
    """Interquartile mean and mean; null: infinite."""
    mean = float(values.mean()) if np.isfinite(values).all() else None
    return _entry(iqm_interval(values)) | {"mean": mean}


def _time(values: Array) -> dict[str, Any]:
    """The median with its exact interval; null: later than the last step of training."""
    return _entry(median_interval(values)) | {"count": int(np.isfinite(values).sum())}


_SUMMARIES: dict[Kind, Callable[[Array], dict[str, Any]]] = {
    "fraction": _fraction,
    "number": _number,
    "time": _time,
}


def _entry(interval: Band | Interval) -> dict[str, Any]:
    ends = [float(end) for end in interval]
    estimate, low, high = (end if np.isfinite(end) else None for end in ends)
    return {"estimate": estimate, "low": low, "high": high}


def comparisons(config: Config, by_arm: Mapping[str, Mapping[str, Column]]) -> list[Comparison]:
    """The config's claims compared with the results, not yet corrected for each other.

    Args:
        by_arm: arm -> column of runs.parquet -> [n], in the order of the config's seeds.
    """
    measures = {
        arm: {name: column for name, column in values.items() if column.ndim == 1}
        for arm, values in by_arm.items()
    }
    worlds = worlds_of(config)
    seeds = np.tile(config.training.seed_list, len(config.environment.world_list))
    if worlds is not None:
        measures = {arm: shares_of_budget(config, columns) for arm, columns in measures.items()}
    exact = [arm for arm in config.arms if config.agent_of(arm).gradient == "exact"]
    arms, claims = config.arms, [Claim(**claim.model_dump()) for claim in config.claims]
    by_world = None if worlds is None else dict.fromkeys(arms, worlds)
    return [compare(claim, measures, dict.fromkeys(arms, seeds), exact, by_world) for claim in claims]


def worlds_of(config: Config) -> Ints | None:
    """The world of each run of an arm, [n]; None: it is no family."""
    worlds = config.environment.world_list
    return None if worlds == (None,) else np.repeat(np.array(worlds, np.int64), len(config.training.seed_list))


def shares_of_budget(config: Config, columns: Mapping[str, Column]) -> dict[str, Column]:
    """The same with times as shares of what a run may take in the arm that has most: its steps if no episode ends
    early, or its updates.

    A time that never came stays negative.
    """
    limit = time_limit(config.environment)
    steps = max(config.most_steps(arm, limit) for arm in config.arms)
    times = [name for name, measure in RUN_MEASURES.items() if measure.kind == "time"]
    budgets = {name: steps if name.endswith("_env_step") else config.most_updates for name in times}
    return {
        name: np.where(column < 0, -1.0, column / budgets[name]) if name in budgets else column
        for name, column in columns.items()
    }


def provenance(wall_seconds: float, env_steps: int, arithmetic: Mapping[str, str]) -> dict[str, Any]:
    """Versions, machine and clock; and what the last bits of the numbers depend on (`numerics.arithmetic`)."""
    return {
        "versions": versions(),
        "platform": f"{sys.platform} {platform.machine()}",
        "arithmetic": dict(arithmetic),
        "wall_seconds": round(wall_seconds, 3),
        "env_steps": env_steps,
        "env_steps_per_second": round(env_steps / wall_seconds) if wall_seconds > 0 else 0,
    }


def versions() -> dict[str, str]:
    """Of this program, Python, and the packages on which numbers depend."""
    return {
        "entropy-exploration": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
