"""The sampled gradients that are compared with exact ones: worlds, policies, options, and biased options."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from gymnasium.envs.registration import find_highest_version

from experiments.analysis.estimates import holm
from experiments.gradients.agreement import Agreement
from experiments.gradients.checks import Setting

LEVEL = 0.001  # of all tests together: how often a correct program is called wrong
RUNS, STEPS = 1000, 80_000  # per case
EXACT = 1e-9  # the largest error of an exact gradient
TAXI = f"Taxi-v{find_highest_version(None, 'Taxi')}"  # each version of Gymnasium makes only the highest of Taxi's

SMALL: dict[str, dict[str, Any]] = {
    "Bandit": {"id": "FourAction/Bandit-v0", "kwargs": {"reward_std": 0.3}},
    "ObservationMatters": {"id": "FourAction/ObservationMatters-v0"},
    "TwoState": {"id": "FourAction/TwoState-v0"},
    "Grid": {"id": "FourAction/Grid-v0"},
    "DeepSea, depth 4": {"id": "FourAction/DeepSea-v0", "kwargs": {"depth": 4}},
}
# The longest come first: then all cores end at about the same time.
LARGE: dict[str, dict[str, Any]] = {
    "Taxi": {"id": TAXI, "max_episode_steps": 20},
    "TwoRooms": {"id": "FourAction/TwoRooms-v0"},
    "FourRooms": {"id": "FourAction/FourRooms-v0"},
    "Trap": {"id": "FourAction/Trap-v0"},
    "Trap, absorbing": {
        "id": "FourAction/Trap-v0",
        "kwargs": {"absorbing": True},
        "max_episode_steps": 25,
    },
    "FrozenLake": {"id": "FrozenLake-v1"},
    "FrozenLake8x8": {"id": "FrozenLake8x8-v1"},
    "CliffWalking": {"id": "CliffWalking-v1", "max_episode_steps": 100},
}

SOFT, WEIGHTED = {"entropy_objective": "soft_return"}, {"discount_weighting": True}
NOISE = {"behaviour_epsilon": 0.2}
POLICIES: dict[str, dict[str, Any]] = {
    "tabular": {"policy": "tabular"},
    "mlp": {"policy": "mlp", "hidden_sizes": [8]},
    "linear": {"policy": "mlp", "hidden_sizes": []},
}
# Policy -> options that should agree. The batch mean should up to the factor 1 - 1/E on the returns' part.
UNBIASED: dict[str, list[dict[str, Any]]] = {
    "tabular": [
        {"discount": 1.0},
        {"discount": 0.9},
        {"discount": 0.9, **WEIGHTED},
        {"discount": 0.9, "baseline": "leave_one_out"},
        {"discount": 0.9, "baseline": "running_mean", **WEIGHTED},
        {"discount": 0.9, "baseline": "value"},
        {"discount": 0.9, "baseline": "batch_mean"},
        {"discount": 0.9, **SOFT},
        {"discount": 1.0, **SOFT, "soft_return_offset": "uniform", "baseline": "leave_one_out"},
        {"discount": 0.9, **SOFT, **WEIGHTED, "baseline": "value"},
        {"discount": 0.9, **NOISE, "baseline": "leave_one_out"},
    ],
    "mlp": [{"discount": 0.9}, {"discount": 0.9, **SOFT, "baseline": "running_mean"}],
    "linear": [{"discount": 0.9, **WEIGHTED, "baseline": "leave_one_out"}],
}
# The other path through the code, which steps a Gymnasium environment without tables.
STEPPED: dict[str, list[dict[str, Any]]] = {
    "tabular": [{"discount": 0.9, "baseline": "leave_one_out"}],
    "mlp": [{"discount": 0.9, **SOFT, **WEIGHTED, "baseline": "running_mean"}],
}
BIASED: dict[str, tuple[dict[str, Any], str]] = {
    "batch_mean": ({"baseline": "batch_mean"}, "the returns' part shrinks by the factor 1 - 1/E, here 3/4"),
    "normalize_advantages": ({"normalize_advantages": True}, "divided by a deviation that depends on the actions"),
    "max_grad_norm": ({"max_grad_norm": 0.1}, "long gradients count less"),
    "per_step": ({"loss_reduction": "per_step"}, "a ratio of two random sums"),
    "behaviour_gradient": (
        {**NOISE, "behaviour_gradient": "policy"},
        "the score is not that of the mixture that acts",
    ),
    "no discount_weighting": ({}, "the update of most programs, not the gradient of the discounted return"),
}
ENTROPY_COEF = {"entropy_coef": 0.1}


class Task(NamedTuple):
    """A world, a policy in it, and options to check."""

    world: str
    environment: dict[str, Any]
    policy: str
    options: list[dict[str, Any]]


class Row(NamedTuple):
    """A case and its results."""

    world: str
    options: str
    found: Agreement
    exact_error: float  # error of the step with gradient = "exact"


def tasks(worlds: Mapping[str, dict[str, Any]]) -> Iterator[Task]:
    """Every option in every world."""
    for name, environment in worlds.items():
        for policy, options in UNBIASED.items():
            yield Task(name, environment, policy, options)
    for name in ("TwoState", "Grid"):
        for policy, options in STEPPED.items():
            yield Task(f"{name}, stepped", {**SMALL[name], "tables": False}, policy, options)


def examine(task: Task) -> list[Row]:
    """Compare both gradients in all cases of a task."""
    torch.set_num_threads(1)
    setting = Setting(task.environment, POLICIES[task.policy])
    runs = RUNS if task.world != "Taxi" else 400  # its 500 states make updates slow
    steps = STEPS if task.environment.get("tables", True) else STEPS // 10  # a simulator is slow
    return [
        Row(
            task.world,
            f"{task.policy}, {describe(options)}",
            setting.check(options | ENTROPY_COEF, runs, steps),
            setting.exact_mode_error(options | ENTROPY_COEF),
        )
        for options in task.options
    ]


def biased() -> Iterator[tuple[str, str, Agreement]]:
    """The options that are biased by design, in the two rooms: name, reason, and comparison with the exact
    gradient."""
    setting = Setting(LARGE["TwoRooms"], POLICIES["tabular"])
    plain = {"discount": 0.9, **ENTROPY_COEF}
    for name, (options, reason) in BIASED.items():
        truths: dict[str, dict[str, Any]] = {"no discount_weighting": WEIGHTED, "behaviour_gradient": NOISE}
        reference = setting.exact_step(plain | truths.get(name, {}))
        yield name, reason, setting.check(plain | options, RUNS, STEPS, reference)


def judged(rows: Sequence[Row]) -> list[tuple[bool, float]]:
    """Whether each case agrees, and the smaller p of its two tests, corrected for all tests together (Holm)."""
    adjusted, _ = holm([p for row in rows for p in (row.found.p_z, row.found.p_chi_squared)])
    smaller = adjusted.reshape(-1, 2).min(1).tolist()
    return [(p > LEVEL and row.exact_error < EXACT, p) for row, p in zip(rows, smaller, strict=True)]


def describe(options: Mapping[str, Any]) -> str:
    """The options of a case in a few words."""
    words = [f"discount {options['discount']:g}" + " and gamma^t" * ("discount_weighting" in options)]
    words += ["random actions"] if "behaviour_epsilon" in options else []
    words += [options["baseline"]] if "baseline" in options else []
    words += (
        ["soft return" + " - ln A" * ("soft_return_offset" in options)] if "entropy_objective" in options else []
    )
    return ", ".join(words)
