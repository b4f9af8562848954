"""A run's numbers are its own, bit for bit: whoever stands beside it in the batch, and wherever it stands.

Vectorised kernels treat the last numbers of a buffer otherwise than the rest, and a product of matrices may depend
on where they lie in memory: odd widths, odd numbers of states and of actions are where a neighbour would be felt.

All this on one thread, as trainings run: where torch shares a buffer between threads, the optimisers round
otherwise, whoever the neighbours are.
"""

from typing import Any

import numpy as np
import pytest

from experiments.config import Config
from experiments.training import Training
from tests.experiments.comparisons import (
    BANDIT,
    MLP,
    NOISY_BANDIT,
    SLIPPERY_LAKE,
    TABLE,
    TWO_ROOMS,
    UNPAID,
    comparison,
)

SEEDS = [3, 1, 4, 15, 9, 2, 6]
ARMS: dict[str, dict[str, Any]] = {
    "without": {"entropy_coef": 0.0},
    "with_entropy": {"entropy_coef": 0.1},
    "undiscounted": {"entropy_coef": 0.1, "discount": 1.0},
}
TAXI = {"id": "Taxi-v4", "max_episode_steps": 30}  # 500 states, six actions
CLIFF = {"id": "CliffWalking-v1", "max_episode_steps": 20}
THREE_ARMS = BANDIT | {"kwargs": {"rewards": [1.0, 0.9, 0.1]}}


def mlp(*widths: int, **others: Any) -> dict[str, Any]:
    return MLP | {"hidden_sizes": list(widths)} | others


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"mlp {widths}": (TWO_ROOMS, mlp(*widths)) for widths in [(7, 13), (64, 64), (1,), (17,), (3, 5, 9), ()]},
    "table": (TWO_ROOMS, TABLE),
    "mlp in the taxi": (TAXI, mlp(7)),
    "mlp at the cliff": (CLIFF, mlp(33)),
    "mlp with three actions": (THREE_ARMS, mlp(7, 13)),
    "table in the taxi": (TAXI, TABLE),
    "table with three actions": (THREE_ARMS, TABLE),
    "random outcomes": (SLIPPERY_LAKE, mlp(7)),
    "random rewards": (NOISY_BANDIT, TABLE),
    "random starts": (UNPAID, mlp(7)),
    **{
        f"{name} of a {kind}": (TWO_ROOMS, agent | {"baseline": name})
        for name in ("batch_mean", "leave_one_out", "running_mean", "value")
        for kind, agent in (("table", TABLE), ("mlp", mlp(7, 13)))
    },
    "normalised and clipped": (
        TWO_ROOMS,
        mlp(7, 13, normalize_advantages=True, loss_reduction="per_step", max_grad_norm=0.1),
    ),
    "discount in the gradient": (TWO_ROOMS, TABLE | {"discount_weighting": True, "discount": 0.9}),
    "soft return": (TWO_ROOMS, TABLE | {"entropy_objective": "soft_return"}),
    "one episode an update": (TWO_ROOMS, mlp(7, 13)),
}


def config(case: str, arms: dict[str, dict[str, Any]] = ARMS, seeds: list[int] = SEEDS) -> Config:
    environment, agent = CASES[case]
    return comparison(environment, agent, arms, seeds, 3, 1 if case == "one episode an update" else 5)


def numbers(training: Training) -> dict[tuple[str, int], dict[str, Any]]:
    """All that training tells of each run, and its parameters."""
    found: dict[tuple[str, int], dict[str, Any]] = {run: {} for run in zip(*training.runs, strict=True)}
    for record in training.records():
        for place, values in enumerate(found.values()):
            for name, column in record.columns.items():
                values[f"{name} of update {record.update}"] = column[place]
            assert record.steps is not None
            live = record.steps.live[:, place]
            values[f"steps of update {record.update}"] = [part[live > 0, place] for part in record.steps]
    for name, layer in training.parameters().items():
        arm, seed, label = name.split("/")
        found[arm, int(seed.removeprefix("seed_"))][label] = layer.numpy()
    for place, values in enumerate(found.values()):
        values |= {f"{name} at the end": column[place] for name, column in training.final().items()}
    return found


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_seed_alone_is_that_seed_among_the_others(case: str) -> None:
    everything = numbers(Training(config(case)))
    assert len(everything) == len(ARMS) * len(SEEDS)
    for seed in (SEEDS[0], SEEDS[3], SEEDS[-1]):
        for run, values in numbers(Training(config(case), [seed])).items():
            assert_same(values, everything[run])


@pytest.mark.parametrize("case", CASES)
def test_an_arm_alone_is_that_arm_beside_the_others(case: str) -> None:
    everything = numbers(Training(config(case)))
    for arm, differences in ARMS.items():
        for run, values in numbers(Training(config(case, {arm: differences}))).items():
            assert_same(values, everything[run])


@pytest.mark.parametrize("case", ["mlp (7, 13)", "mlp (64, 64)", "table"])
def test_a_run_is_the_same_at_every_place_of_a_large_batch(case: str) -> None:
    many = [*range(100, 140), *SEEDS]
    everything = numbers(Training(config(case, seeds=many)))
    for seed in (many[0], many[22], many[-1]):
        for run, values in numbers(Training(config(case), [seed])).items():
            assert_same(values, everything[run])
