"""What a sweep says of its settings: as each is judged, and as all are summed up."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from experiments.analysis.estimates import wilson_interval
from experiments.analysis.settings import (
    Answer,
    Effect,
    comparison,
    effect_in,
    flat,
    marginals,
    mean_effect,
    own_best,
    shares,
)
from experiments.config.loading import load_config
from experiments.config.schema import Config

WORLDS, SEEDS = 12, 2


def config(worlds: int | None = WORLDS, seeds: int = SEEDS) -> Config:
    if worlds is None:
        return load_config("configs/two_rooms.toml", [f"training.seeds=[{','.join(map(str, range(seeds)))}]"])
    return load_config("configs/mazes.toml", [f"environment.worlds={worlds}", f"training.seeds={seeds}"])


def runs(without: Any, with_entropy: Any, **more: Any) -> pa.Table:
    values = np.concatenate([without, with_entropy]).astype(float)
    arms = np.repeat(["without_entropy", "with_entropy"], len(values) // 2)
    failed = more.pop("failed", np.zeros(len(values), bool))
    return pa.table({"arm": arms, "succeeds": values, "failed": failed, **more})


def of(without: Any, with_entropy: Any, **more: Any) -> Effect:
    return effect_in("succeeds", {}, config(), runs(without, with_entropy, **more))


NONE, ALL = np.zeros(WORLDS * SEEDS), np.ones(WORLDS * SEEDS)


@pytest.mark.parametrize(
    ("without", "with_entropy", "answer"),
    [(NONE, ALL, "helps"), (ALL, NONE, "harms"), (NONE, NONE, "no effect"), (ALL, ALL, "no effect")],
)
def test_a_setting_helps_harms_or_does_neither(without: Any, with_entropy: Any, answer: Answer) -> None:
    found = of(without, with_entropy)
    assert found.answer == answer
    assert found.effect == with_entropy[0] - without[0]
    assert found.scores == (without[0], with_entropy[0])


def test_a_difference_that_might_be_chance_is_undecided() -> None:
    few = NONE.copy()
    few[:6] = 1  # three of twelve worlds: two-sided p = 2 / 8
    found = of(NONE, few)
    assert (found.answer, found.p) == ("undecided", 0.25)


def test_failed_runs_decide_nothing() -> None:
    """All runs with the term failed: whether it would help or harm depends on what they would have come to."""
    assert of(NONE, NONE, failed=np.repeat([False, True], WORLDS * SEEDS)).answer == "undecided"


def test_where_more_is_worse_less_helps() -> None:
    table = runs(ALL, NONE).rename_columns(["arm", "never_successful", "failed"])
    assert effect_in("never_successful", {}, config(), table).answer == "helps"


def test_without_worlds_seeds_are_pairs() -> None:
    table = runs(np.zeros(30), np.arange(30) < 5)  # McNemar: 5 to 0, two-sided p = 2 / 2^5
    found = effect_in("succeeds", {}, config(None, 30), table)
    assert (found.answer, found.p, found.effect) == ("undecided", 2 / 32, pytest.approx(5 / 30))


def made(key: str, values: list[Any], effect: list[float], answers: list[Answer] | None = None) -> list[Effect]:
    said = answers or ["undecided"] * len(values)
    return [
        Effect({key: value}, (0.0, each), each, -1.0, 1.0, 1.0, answer)
        for value, each, answer in zip(values, effect, said, strict=True)
    ]


def test_shares_are_of_settings_and_add_up() -> None:
    found = made("key", [0] * 5, [0.0] * 5, ["helps", "helps", "harms", "no effect", "undecided"])
    got = shares(found)
    assert sum(share[0] for share in got.values()) == pytest.approx(1)
    assert got["helps"] == [float(end) for end in wilson_interval(2, 5)]


def test_a_group_has_the_settings_with_a_value_in_its_order() -> None:
    found = made("key", [[8], [], [16, 16], [8]], [1.0, 2.0, 3.0, 5.0], ["helps", "harms", "helps", "no effect"])
    groups = marginals(found)["key"]
    assert [(group.values, group.settings, group.effect[0]) for group in groups] == [
        ([], 1, 2.0),
        ([8], 2, 3.0),
        ([16, 16], 1, 3.0),
    ]
    assert [group.helps[0] for group in groups] == [0.0, 0.5, 1.0]
    assert [group.harms[0] for group in groups] == [1.0, 0.0, 0.0]


def test_many_numbers_become_quarters_and_no_setting_is_lost() -> None:
    numbers = [float(n) for n in range(22)]
    groups = marginals(made("key", numbers[::-1], numbers[::-1]))["key"]
    assert [group.values for group in groups] == [
        {"from": 0.0, "to": 5.0},
        {"from": 6.0, "to": 11.0},
        {"from": 12.0, "to": 16.0},
        {"from": 17.0, "to": 21.0},
    ]
    assert sum(group.settings for group in groups) == 22
    assert groups[0].effect[0] == np.mean(numbers[:6])


def test_a_key_that_does_not_differ_decides_nothing() -> None:
    assert marginals(made("key", [1, 1], [0.0, 1.0])) == {}


def test_tables_are_taken_apart() -> None:
    assert flat({"environment": {"id": "a", "kwargs": {"n": 1}}, "agent.x": 2}) == {
        "environment.id": "a",
        "environment.kwargs.n": 1,
        "agent.x": 2,
    }


def test_the_best_is_each_arm_s_own_and_of_equal_ones_the_first() -> None:
    found = [
        Effect({"n": number}, scores, 0.0, 0.0, 0.0, 1.0, "undecided")
        for number, scores in enumerate([(0.2, 0.1), (0.9, 0.3), (0.9, 0.8)])
    ]
    assert [each.settings["n"] for each in own_best(found, "succeeds")] == [1, 2]
    assert [each.settings["n"] for each in own_best(found, "never_successful")] == [0, 0]


def test_what_json_cannot_hold_is_null() -> None:
    found = made("key", [1.0, 2.0], [0.5, 0.25])  # of two settings there is no interval
    assert mean_effect(found) == [0.375, -np.inf, np.inf]
    assert comparison("succeeds", ["a", "b"], found)["effect"] == [0.375, None, None]
