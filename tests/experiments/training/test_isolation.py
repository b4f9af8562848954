"""A run's numbers are its own, bit for bit: whoever stands beside it in the batch, and wherever it stands.

Vectorised kernels treat the last numbers of a buffer otherwise than the rest, and a product of matrices may depend
on where they lie in memory: odd widths, odd numbers of states and of actions are where a neighbour would be felt.

All this on one thread, as trainings run: where torch shares a buffer between threads, the optimisers round
otherwise, whoever the neighbours are.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.config.schema import Config, Environment
from experiments.gradients.cases import TAXI
from experiments.training.loop import Training
from experiments.training.records import Steps
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
from tests.experiments.options import KINDS, WORLDS, every_option, of_kind, options

SEEDS = [3, 1, 4, 15, 9, 2, 6]
ARMS: dict[str, dict[str, Any]] = {
    "without": {"entropy_coef": 0.0},
    "with_entropy": {"entropy_coef": 0.1},
    "undiscounted": {"entropy_coef": 0.1, "discount": 1.0},
}
IN_TAXI = {"id": TAXI, "max_episode_steps": 30}  # 500 states, six actions
CLIFF = {"id": "CliffWalking-v1", "max_episode_steps": 20}
THREE_ARMS = BANDIT | {"kwargs": {"rewards": [1.0, 0.9, 0.1]}}


def mlp(*widths: int, **others: Any) -> dict[str, Any]:
    return MLP | {"hidden_sizes": list(widths)} | others


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"mlp {widths}": (TWO_ROOMS, mlp(*widths)) for widths in [(7, 13), (64, 64), (1,), (17,), (3, 5, 9), ()]},
    "table": (TWO_ROOMS, TABLE),
    "mlp in the taxi": (IN_TAXI, mlp(7)),
    "mlp at the cliff": (CLIFF, mlp(33)),
    "mlp with three actions": (THREE_ARMS, mlp(7, 13)),
    "table in the taxi": (IN_TAXI, TABLE),
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


class Numbers(NamedTuple):
    """All that training tells of each run."""

    runs: list[tuple[str, int]]
    columns: dict[str, NDArray[Any]]  # [R, ...]
    parameters: dict[str, NDArray[Any]]  # of one run each


def numbers(training: Training) -> Numbers:
    """Train to the end."""
    records = training.advance()
    columns = {f"{name} of updates": column.swapaxes(0, 1) for name, column in records.columns.items()}
    if records.steps is not None:
        columns["lengths"] = records.steps.length.T
        for name, part in (*records.steps._asdict().items(), ("env_step", records.env_step)):
            if name != "length":
                columns[f"{name} of lock-steps"] = _by_run(part, records.steps, training)
    for update, snapshot in records.snapshots.items():
        columns |= {f"{name} of update {update}": column for name, column in snapshot._asdict().items()}
    columns |= {f"{name} at the end": column for name, column in training.final().items()}
    return Numbers(list(zip(*training.runs, strict=True)), columns, training.parameters())


def _by_run(part: NDArray[Any], steps: Steps, training: Training) -> NDArray[Any]:
    """[N] -> [R, U x time limit]; 0 where a run has no step."""
    whole = np.zeros((steps.length.shape[1], len(steps.length) * training.world.time_limit))
    run = np.arange(len(whole)).repeat(steps.length.sum(0))
    first = np.cumsum(steps.length.sum(0)) - steps.length.sum(0)
    whole[run, np.arange(len(part)) - first[run]] = part
    return whole


def differences(part: Numbers, whole: Numbers) -> list[str]:
    """What of the runs of a part is otherwise among all. Not a number is equal to itself."""
    places = [whole.runs.index(run) for run in part.runs]
    found = [name for name, layer in part.parameters.items() if not np.array_equal(layer, whole.parameters[name])]
    for name, column in part.columns.items():
        expected = whole.columns[name][places]
        unequal = (column != expected) & ~((column != column) & (expected != expected))
        rows = unequal.reshape(len(places), -1).any(1)
        found += [f"{name} of {run}" for run, row in zip(part.runs, rows, strict=True) if row]
    return found


@cache
def all_runs(case: str) -> Numbers:
    return numbers(Training(config(case)))


@pytest.mark.parametrize("case", CASES)
def test_a_seed_alone_is_that_seed_among_the_others(case: str) -> None:
    everything = all_runs(case)
    assert len(everything.runs) == len(ARMS) * len(SEEDS)
    for seed in (SEEDS[0], SEEDS[3], SEEDS[-1]):
        assert differences(numbers(Training(config(case), [seed])), everything) == []


@pytest.mark.parametrize("case", CASES)
def test_an_arm_alone_is_that_arm_beside_the_others(case: str) -> None:
    everything = all_runs(case)
    for arm, its_options in ARMS.items():
        assert differences(numbers(Training(config(case, {arm: its_options}))), everything) == []


@pytest.mark.parametrize("case", ["mlp (7, 13)", "mlp (64, 64)", "table"])
def test_a_run_is_the_same_at_every_place_of_a_large_batch(case: str) -> None:
    many = [*range(100, 140), *SEEDS]
    everything = numbers(Training(config(case, seeds=many)))
    for seed in (many[0], many[22], many[-1]):
        assert differences(numbers(Training(config(case), [seed])), everything) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_with_any_option_a_run_is_the_same_alone_in_threes_and_in_sevens(kind: str) -> None:
    together = of_kind(kind, SEEDS, updates=2)
    everything = numbers(Training(together))
    for group in (SEEDS[:1], SEEDS[-3:]):
        assert differences(numbers(Training(together, group)), everything) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_with_any_option_a_stored_state_goes_on_as_what_it_was_stored_of(kind: str) -> None:
    whole, resumed = (Training(of_kind(kind, SEEDS[:2], updates=2)) for _ in range(2))
    whole.advance(1)
    # As a file keeps it: of an array's layout in memory nothing is left.
    resumed.load({name: np.array(array, order="C") for name, array in whole.state().items()})
    assert differences(numbers(resumed), numbers(whole)) == []


@pytest.mark.parametrize("world", ["bandit", "features"])
def test_means_over_many_updates_are_the_same_alone_and_among_others(world: str) -> None:
    updates = 180  # the last 5 % are nine, more than NumPy adds up one after the other
    together = comparison(WORLDS[world], mlp(7, learning_rate=0.1), {"one": {}}, SEEDS[:2], updates, 1)
    everything = numbers(Training(together))
    for seed in SEEDS[:2]:
        assert differences(numbers(Training(together, [seed])), everything) == []


def test_every_option_is_tried_somewhere() -> None:
    assert [name for name, values in options().items() if not values] == []
    tried = {arm for kind in KINDS for arm in of_kind(kind, [0], updates=1).arms}
    assert every_option().keys() <= tried
    assert Environment.model_fields.keys() == {key for world in WORLDS.values() for key in world}
