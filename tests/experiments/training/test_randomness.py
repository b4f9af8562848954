"""Random numbers of a training: those of NumPy's Philox, each for one purpose alone."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.kernels import episodes, philox
from experiments import train
from experiments.training.finite import one_run
from experiments.training.loop import Training
from experiments.training.randomness import Purpose, environment_seeds, normals, uniforms
from tests.experiments.comparisons import BANDIT, NOISY_BANDIT, TABLE, comparison
from tests.experiments.interpreted import interpret
from tests.experiments.replay import from_numpy

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "randomness.md"
SEEDS = (5, 0, 2**63 - 1)
LAKE = {"id": "FrozenLake-v1", "kwargs": {"desc": ["SFS", "FHG"]}}  # two starts, and slippery


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (20, 7), (9,)], ids=str)
def test_numbers_are_those_of_numpy(purpose: Purpose, shape: tuple[int, ...]) -> None:
    for update in (0, 1, 10**7):
        numbers = uniforms(SEEDS, purpose, update, shape)
        for seed, found in zip(SEEDS, numbers, strict=True):
            np.testing.assert_array_equal(found, from_numpy(seed, purpose, update, shape))


def test_normals_are_those_of_their_seed_purpose_and_update() -> None:
    numbers = normals(SEEDS, Purpose.REWARDS, 3, (5, 2))
    for seed, found in zip(SEEDS, numbers, strict=True):
        u, v = from_numpy(seed, Purpose.REWARDS, 3, (5, 2)).T
        np.testing.assert_allclose(
            found[:, 0], np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v), rtol=1e-13, atol=1e-15
        )


def test_environments_get_seeds_below_two_to_the_31() -> None:
    seeds = environment_seeds(SEEDS, Purpose.ENVIRONMENT, 2, 5)
    expected = [np.floor(from_numpy(seed, Purpose.ENVIRONMENT, 2, (5,)) * 2**31) for seed in SEEDS]
    np.testing.assert_array_equal(seeds, expected)


def test_seeds_purposes_and_updates_have_numbers_of_their_own() -> None:
    """By name: two members of an enumeration that have one value are one member with two names."""
    numbers = [uniforms(SEEDS, Purpose[name], update, (6,)) for name in Purpose.__members__ for update in range(3)]
    assert len(np.unique(numbers)) == 6 * len(SEEDS) * len(Purpose.__members__) * 3


def test_the_example_of_the_documentation_gives_the_numbers_of_a_run() -> None:
    (code,) = re.findall("```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    place: dict[str, Any] = {}
    exec(code.replace("generator.random(", "found = generator.random("), place)
    np.testing.assert_array_equal(place["found"], uniforms([7], Purpose.ACTIONS, 12, (32,))[0])


def test_the_table_of_the_documentation_has_every_purpose() -> None:
    text = DOCUMENTATION.read_text()
    assert [int(number) for number in re.findall(r"^\| (\d) \|", text, re.MULTILINE)] == [*map(int, Purpose)]


def test_the_actions_of_a_trained_run_follow_from_numpys_numbers() -> None:
    """In a bandit of one step the reward tells which action was taken; the table of updates has the policy."""
    rewards = [0.1, 0.2, 0.3, 0.4]
    bandit = BANDIT | {"kwargs": {"rewards": rewards}}
    config = comparison(bandit, TABLE, seeds=[3, 2**62], updates=40, episodes=1)
    for row in train(config).updates.to_pylist():
        (uniform,) = from_numpy(row["seed"], Purpose.ACTIONS, row["update"], (1,))
        action = (np.cumsum(row["start_policy"])[:-1] <= uniform).sum()
        assert row["return_mean"] == rewards[action]


@pytest.mark.parametrize(
    ("world", "purposes"),
    [
        (LAKE, {Purpose.ACTIONS, Purpose.OUTCOMES, Purpose.STARTS}),
        (NOISY_BANDIT, {Purpose.ACTIONS, Purpose.REWARDS}),
        (
            LAKE | {"tables": False},
            {Purpose.ACTIONS, Purpose.ENVIRONMENT, Purpose.EVALUATION, Purpose.CONSTRUCTORS},
        ),
    ],
    ids=["slippery", "noisy", "simulated"],
)
def test_no_number_of_a_training_is_used_twice(
    world: dict[str, Any], purposes: set[Purpose], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks, simulators and the evaluation at the end included, has numbers that nobody else has."""
    asked: Counter[tuple[int, ...]] = Counter()
    interpret(monkeypatch, one_run, episodes)
    for name in ("uniforms", "normals"):
        right = getattr(philox, name)

        def noted(seed: Any, purpose: int, update: int, first: int, out: Any, right: Any = right) -> None:
            asked.update((int(seed), purpose, update, first + place) for place in range(len(out)))
            right(seed, purpose, update, first, out)

        monkeypatch.setattr(philox, name, noted)
        monkeypatch.setattr(episodes, name, noted, raising=False)
        right = getattr(philox, f"{name}_at")

        def noted_at(
            seed: Any, purpose: int, update: int, first: int, places: Any, *rest: Any, right: Any = right
        ) -> None:
            asked.update((int(seed), purpose, update, first + int(place)) for place in places)
            right(seed, purpose, update, first, places, *rest)

        monkeypatch.setattr(episodes, f"{name}_at", noted_at)
    training = Training(comparison(world, TABLE, {"one": {}}, seeds=[5, 8], updates=2))
    training.advance()
    training.final()
    training.close()
    assert {seed for seed, *_ in asked} == {5, 8}
    assert {purpose for _, purpose, *_ in asked} == purposes | {Purpose.PARAMETERS}
    assert set(asked.values()) == {1}


def test_a_finite_training_stores_what_was_learnt_and_no_random_numbers() -> None:
    state = Training(comparison(LAKE, TABLE, {"one": {}}, seeds=[5, 8], updates=2)).state()
    stored = {name.removeprefix("batch_0.learning.") for name in state if ".learning." in name}
    assert stored == {"means", "values", "returns", "visits", "visited", "previous_log_pi", "previous_visited"}
