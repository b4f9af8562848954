"""Sampled against exact gradients in every finite world, and the numbers of the text.

python -m experiments.verify            everything, about a minute
python -m experiments.verify --quick    only the smallest worlds

Exit status 1 if anything disagrees that should agree. What is biased by design is listed, with its bias.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from scipy import stats

from experiments.gradient_checks import Agreement, Setting
from experiments.inference import holm
from experiments.text_numbers import likelihood_ratios, numbers

LEVEL = 0.001  # of all tests together: once in a thousand sets of seeds a right program is called wrong
RUNS, STEPS = 1000, 80_000  # of a case
EXACT = 1e-9  # exact gradients differ by less

SMALL: dict[str, dict[str, Any]] = {
    "Bandit": {"id": "FourAction/Bandit-v0", "kwargs": {"reward_std": 0.3}},
    "ObservationMatters": {"id": "FourAction/ObservationMatters-v0"},
    "TwoState": {"id": "FourAction/TwoState-v0"},
    "Grid": {"id": "FourAction/Grid-v0"},
    "DeepSea, depth 4": {"id": "FourAction/DeepSea-v0", "kwargs": {"depth": 4}},
}
# What takes longest comes first: then all cores end at about the same time.
LARGE: dict[str, dict[str, Any]] = {
    "Taxi": {"id": "Taxi-v4", "max_episode_steps": 20},
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
# Policy -> what should agree. The batch mean should with its known factor, 1 - 1/E on the part of the returns.
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
# The other path of the code, which steps a Gymnasium environment and has no tables.
STEPPED: dict[str, list[dict[str, Any]]] = {
    "tabular": [{"discount": 0.9, "baseline": "leave_one_out"}],
    "mlp": [{"discount": 0.9, **SOFT, **WEIGHTED, "baseline": "running_mean"}],
}
BIASED: dict[str, tuple[dict[str, Any], str]] = {
    "batch_mean": ({"baseline": "batch_mean"}, "the part of the returns shrinks to 1 - 1/E, here 3/4"),
    "normalize_advantages": ({"normalize_advantages": True}, "divided by a deviation that depends on the actions"),
    "max_grad_norm": ({"max_grad_norm": 0.1}, "long gradients count less"),
    "per_step": ({"loss_reduction": "per_step"}, "a ratio of two random sums"),
    "behaviour_gradient": ({**NOISE, "behaviour_gradient": "policy"}, "the score is not that of what acts"),
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
    """A case and what came of it."""

    world: str
    options: str
    found: Agreement
    exact_error: float  # of the step with gradient = "exact"


def tasks(worlds: Mapping[str, dict[str, Any]]) -> Iterator[Task]:
    """Every option in every world."""
    for name, environment in worlds.items():
        for policy, options in UNBIASED.items():
            yield Task(name, environment, policy, options)
    for name in ("TwoState", "Grid"):
        for policy, options in STEPPED.items():
            yield Task(f"{name}, stepped", {**SMALL[name], "tables": False}, policy, options)


def examine(task: Task) -> list[Row]:
    """Both gradients of a task's cases."""
    torch.set_num_threads(1)
    setting = Setting(task.environment, POLICIES[task.policy])
    runs = RUNS if task.world != "Taxi" else 400  # of 500 states: its updates cost the most
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
    """What is off by design, in the two rooms: name, reason, and samples against the gradient of the return."""
    setting = Setting(LARGE["TwoRooms"], POLICIES["tabular"])
    plain = {"discount": 0.9, **ENTROPY_COEF}
    for name, (options, reason) in BIASED.items():
        truths: dict[str, dict[str, Any]] = {"no discount_weighting": WEIGHTED, "behaviour_gradient": NOISE}
        reference = setting.exact_step(plain | truths.get(name, {}))
        yield name, reason, setting.check(plain | options, RUNS, STEPS, reference)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks and print them; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="only the smallest worlds")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    wrong = print_numbers()
    wrong += print_gradients(list(tasks(SMALL if options.quick else LARGE | SMALL)))
    if not options.quick:
        print_biased()
    verdict = "nothing disagrees" if not wrong else f"{wrong} disagreements"
    print(f"\n{verdict}, {time.monotonic() - began:.0f} s")
    return int(wrong > 0)


def print_numbers() -> int:
    """The numbers of the text; how many of them are wrong."""
    wrong = 0
    print("The numbers of the text\n")
    print(f"{'quantity':<50}{'printed':<20}{'exact':>10}  unit")
    for number in numbers():
        wrong += not number.agrees
        remark = number.remark if number.agrees else "WRONG"
        print(f"{number.quantity:<50}{number.printed or '-':<20}{number.exact:>10.6f}  {number.unit:<6}{remark}")
    print("\nMeans of log p(x) / q(x), x from p: the divergence is the expected log likelihood ratio.")
    print("(A likelihood ratio, which the text calls a probability, may exceed 1.)\n")
    for found in likelihood_ratios():
        wrong += abs(found.z) > stats.norm.isf(LEVEL / 4)
        sizes = "  ".join(f"{mean:.4f} ({n:,})" for n, mean in zip(found.samples, found.means, strict=True))
        print(f"{found.quantity} = {found.divergence:.6f} nats: {sizes}; z = {found.z:+.2f}")
    return wrong


def judged(rows: Sequence[Row]) -> list[tuple[bool, float]]:
    """Whether each case agrees, and the smaller p of its two tests, corrected for all tests there are (Holm)."""
    adjusted, _ = holm([p for row in rows for p in (row.found.p_z, row.found.p_chi_squared)])
    smaller = adjusted.reshape(-1, 2).min(1).tolist()
    return [(p > LEVEL and row.exact_error < EXACT, p) for row, p in zip(rows, smaller, strict=True)]


def print_gradients(todo: Sequence[Task]) -> int:
    """The table of all cases; how many of them disagree."""
    with multiprocessing.Pool(min(cores(), len(todo))) as pool:
        rows = [row for part in pool.imap(examine, todo) for row in part]
    verdicts = judged(rows)
    print(f"\nMean of many sampled updates ({RUNS} runs, 4 episodes an update) beside the exact gradient")
    print("(batch_mean: beside 3/4 of the part of the returns, and the whole of the entropy's)\n")
    print(
        f"{'world':<20}{'options':<62}{'tested':>6}{'max z':>7}{'p':>8}{'chi2/df':>10}{'p':>8}  exact mode off by"
    )
    for row, (agrees, _) in zip(rows, verdicts, strict=True):
        found = row.found
        print(
            f"{row.world:<20}{row.options:<62}{found.tested:>6}{found.z:>7.2f}{found.p_z:>8.2g}"
            f"{f'{found.chi_squared:.1f}/{found.degrees}':>10}{found.p_chi_squared:>8.2g}  {row.exact_error:.0e}"
            f"{'' if agrees else '  DISAGREES'}"
        )
    smallest = min(p for _, p in verdicts)
    print(f"\nsmallest p, corrected for all {2 * len(rows)} tests (Holm): {smallest:.2g}; limit {LEVEL}")
    return sum(not agrees for agrees, _ in verdicts)


def print_biased() -> None:
    """What is biased by design."""
    print("\nBiased by design (two rooms, discount 0.9): the mean update beside the gradient\n")
    print(f"{'option':<24}{'max z':>7}{'chi2/df':>12}{'cosine':>8}{'length':>8}  why")
    for name, reason, found in biased():
        ratio = f"{found.chi_squared:.0f}/{found.degrees}"
        print(f"{name:<24}{found.z:>7.1f}{ratio:>12}{found.cosine:>8.3f}{found.ratio:>8.2f}  {reason}")


def describe(options: Mapping[str, Any]) -> str:
    """The options of a case in a few words."""
    words = [f"discount {options['discount']:g}" + " and gamma^t" * ("discount_weighting" in options)]
    words += ["random actions"] if "behaviour_epsilon" in options else []
    words += [options["baseline"]] if "baseline" in options else []
    words += (
        ["soft return" + " - ln A" * ("soft_return_offset" in options)] if "entropy_objective" in options else []
    )
    return ", ".join(words)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
