"""summary.json: per arm and measure an estimate with its interval, per claim a verdict, and how it was made."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.claims import Claim, judge
from experiments.config import Config
from experiments.inference import Band, iqm_interval, wilson_interval
from experiments.records import Column, Runs

FRACTIONS = ("solved", "stuck", "failed")
NUMBERS = ("final_return", "greedy_return", "final_entropy_bits", "state_coverage", "first_success_env_step")
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
    return {
        "name": config.name,
        "description": config.description,
        "failed_runs": _failed_runs(runs, columns),
        "arms": {arm: _arm(config, arm, values) for arm, values in by_arm.items()},
        "claims": _verdicts(config, by_arm),
    }


def _failed_runs(runs: Runs, columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Which runs are frozen because they were no longer finite, and since which update."""
    updates = columns["failed_update"].tolist()
    rows = [dict(zip(("arm", "seed", "update"), row, strict=True)) for row in zip(*runs, updates, strict=True)]
    return [row for row in rows if row["update"] >= 0]


def _arm(config: Config, arm: str, values: Mapping[str, Column]) -> dict[str, Any]:
    n = 1 if config.agent_of(arm).gradient == "exact" and _is_one_run(values) else len(values["solved"])
    measures: dict[str, Any] = {}
    for name in FRACTIONS:
        hits = values[name][:n]
        if hits.dtype.kind == "f":  # NaN: nobody knows who is stuck where the optimum is unknown
            continue
        measures[name] = _entry(wilson_interval(int(hits.sum()), n), n) | {"count": int(hits.sum())}
    for name in NUMBERS:
        finite = _numbers(name, values[name][:n])
        if len(finite):
            measures[name] = _entry(iqm_interval(finite[:, None]), len(finite)) | {"mean": float(finite.mean())}
    if n == 1:  # runs without chance and with equal parameters are one run: there is nothing to estimate
        measures = {name: entry | {"low": None, "high": None} for name, entry in measures.items()}
    return {
        "runs": len(values["solved"]),
        "n": n,
        "env_steps": int(values["env_steps"].sum()),
        "measures": measures,
    }


def _numbers(name: str, values: Column) -> NDArray[np.float64]:
    """The values there are: a success that never came has no time, a failed run no return."""
    numbers = values.astype(float)
    return numbers[np.isfinite(numbers) & ((numbers >= 0) | (name != "first_success_env_step"))]


def _is_one_run(values: Mapping[str, Column]) -> bool:
    return all((column == column[:1]).all() for column in values.values() if column.dtype.kind != "f") and all(
        np.array_equal(column, np.broadcast_to(column[:1], column.shape), equal_nan=True)
        for column in values.values()
        if column.dtype.kind == "f"
    )


def _entry(interval: Band, n: int) -> dict[str, Any]:
    estimate, low, high = (float(np.ravel(end)[0]) for end in interval)
    return {"estimate": estimate, "low": low, "high": high, "n": n}


def _verdicts(config: Config, by_arm: Mapping[str, Mapping[str, Column]]) -> list[dict[str, Any]]:
    measures = {
        arm: {name: _with_gaps(name, column) for name, column in values.items() if column.ndim == 1}
        for arm, values in by_arm.items()
    }
    seeds = {arm: np.array(config.training.seed_list) for arm in config.arms}
    exact = [arm for arm in config.arms if config.agent_of(arm).gradient == "exact"]
    claims = [Claim(claim.statement, claim.measure, claim.expect) for claim in config.claims]
    return [asdict(verdict) for verdict in judge(claims, measures, seeds, exact)]


def _with_gaps(name: str, column: Column) -> Column:
    """A time that never came (-1) is missing, not early."""
    if name != "first_success_env_step":
        return column
    return np.where(column < 0, np.nan, column)


def provenance(wall_seconds: float, env_steps: int) -> dict[str, Any]:
    """Versions, machine and clock."""
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "platform": f"{sys.platform} {platform.machine()}",
        "wall_seconds": round(wall_seconds, 3),
        "env_steps": env_steps,
        "env_steps_per_second": round(env_steps / wall_seconds) if wall_seconds > 0 else 0,
    }
