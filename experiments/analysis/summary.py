"""summary.json: per arm and measure an estimate with its interval, per claim a verdict, and how it was made."""

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
from experiments.analysis.values import counted, is_one_run, values_of
from experiments.config.measures import RUN_MEASURES, Kind
from experiments.config.schema import Config
from experiments.config.version import __version__
from experiments.training.records import Column, Runs

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
    no_goal = config.environment.solved_return is None
    return {
        name
        for name, measure in RUN_MEASURES.items()
        if (no_goal and "goal" in measure.needs)
        or (measure.kind == "fraction" and np.isnan(columns[name].astype(float)).all())
    }


def _arm(config: Config, arm: str, values: Mapping[str, Column], unknown: Collection[str]) -> dict[str, Any]:
    n = 1 if config.agent_of(arm).gradient == "exact" and is_one_run(values) else len(values["solved"])
    known = {name: _measure(name, values, n) for name in RUN_MEASURES if name not in unknown}
    if not values["env_steps"].any():  # exact gradients take no steps
        known["first_success_env_step"] = None
    if np.isnan(values["final_optimal_action_probability"]).all():  # nobody knows the optimum
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
    """What is known of a measure of an arm's first n runs; None: nothing, or it means nothing here.

    `experiments.analysis.values` says what a value is. A failed run counts as the worse end of its measure, or is
    left out where there is none.
    """
    measure, runs = RUN_MEASURES[name], values_of(name, columns)[:n]
    missing = np.isnan(runs)
    unknown = missing & ~columns["failed"][:n].astype(bool)
    nothing = unknown.any() if measure.kind == "fraction" else missing.all()
    if nothing:
        return None
    values = counted(runs, measure.failed_as, measure.kind)
    return _SUMMARIES[measure.kind](values) | {"n": len(values), "left_out": n - len(values)}


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
    """The config's claims beside the results, not yet corrected for each other.

    Args:
        by_arm: arm -> column of runs.parquet -> [n], in the order of the config's seeds.
    """
    measures = {
        arm: {name: column for name, column in values.items() if column.ndim == 1}
        for arm, values in by_arm.items()
    }
    seeds = {arm: np.array(config.training.seed_list) for arm in config.arms}
    exact = [arm for arm in config.arms if config.agent_of(arm).gradient == "exact"]
    return [compare(Claim(**claim.model_dump()), measures, seeds, exact) for claim in config.claims]


def provenance(wall_seconds: float, env_steps: int, arithmetic: Mapping[str, str]) -> dict[str, Any]:
    """Versions, machine and clock; and what the last bits of the numbers depend on (`numerics.arithmetic`)."""
    return {
        "versions": {
            "entropy-exploration": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "platform": f"{sys.platform} {platform.machine()}",
        "arithmetic": dict(arithmetic),
        "wall_seconds": round(wall_seconds, 3),
        "env_steps": env_steps,
        "env_steps_per_second": round(env_steps / wall_seconds) if wall_seconds > 0 else 0,
    }
