"""What a sweep trains follows from its file alone, and a file that makes no sense is refused in one line."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from scipy import stats

from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import SWEEPS, load_sweep
from experiments.config.sweeps import Sweep, cells, drawn
from experiments.config.tuning import judged, settings_of, tries

BASE: dict[str, Any] = {
    "name": "small",
    "description": "a base",
    "environment": {"id": "FourAction/Maze-v0", "worlds": 2, "solved_return": 0.95},
    "agent": {"learning_rate": 0.1},
    "training": {"seeds": 2, "updates": 3, "episodes_per_update": 2},
    "arms": {"without": {"entropy_coef": 0.0}, "with_entropy": {"entropy_coef": 0.1}},
    "claims": [{"statement": "more", "measure": "succeeds", "expect": "with_entropy > without"}],
}
GRID = {"grid": {"agent": {"learning_rate": [0.1, 0.2, 0.4], "discount": [0.9, 1.0]}}}
RULES = {
    "agent": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}, "baseline": {"choice": ["none", "value"]}},
    "arms": {"with_entropy": {"entropy_coef": {"uniform": [0.01, 0.3]}}},
}
SAMPLE = {"sample": {"count": 20, "seed": 7, **RULES}}
TUNING = {
    "tuning": {"worlds": 3, "seeds": 2, "tries": 4, "seed": 1},
    "judge": {"worlds": {"first": 100, "count": 6}, "seeds": {"first": 50, "count": 2}},
}


def sweep_of(folder: Path, *parts: dict[str, Any], base: dict[str, Any] = BASE) -> Sweep:
    (folder / "base.toml").write_text(tomli_w.dumps(base))
    table: dict[str, Any] = {"name": "trial", "description": "a trial", "base": "base.toml"}
    for part in parts:
        table |= part
    (folder / "sweep.toml").write_text(tomli_w.dumps(table))
    return load_sweep(folder / "sweep.toml")


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    found = cells(sweep_of(tmp_path, GRID))
    assert [cell.settings for cell in found] == [
        {"agent.learning_rate": rate, "agent.discount": discount}
        for rate in (0.1, 0.2, 0.4)
        for discount in (0.9, 1.0)
    ]
    for cell in found:
        agent = cell.config.agent_of("with_entropy")
        assert (agent.learning_rate, agent.discount) == tuple(cell.settings.values())
        assert agent.entropy_coef == 0.1


def test_a_sample_comes_with_each_combination_of_the_grid(tmp_path: Path) -> None:
    grid = {"grid": {"agent": {"discount": [0.9, 1.0]}}}
    found = cells(sweep_of(tmp_path, grid, SAMPLE))
    assert len(found) == 2 * 20
    for first, second in zip(found[:20], found[20:], strict=True):
        assert first.settings | {"agent.discount": 1.0} == second.settings


def test_a_longer_sample_begins_with_the_shorter_one(tmp_path: Path) -> None:
    short, longer = (cells(sweep_of(tmp_path, {"sample": {**SAMPLE["sample"], "count": n}})) for n in (5, 9))
    assert [cell.settings for cell in longer[:5]] == [cell.settings for cell in short]


def test_draws_are_distributed_as_their_rules_say() -> None:
    rules = {
        "rate": {"log_uniform": [1e-4, 1e-1]},
        "share": {"uniform": [2.0, 5.0]},
        "word": {"choice": ["a", "b", "c"]},
    }
    found = [drawn(rules, 3, draw) for draw in range(2000)]
    logs = [math.log(settings["rate"]) for settings in found]
    span = math.log(1e-4), math.log(1e3)
    assert stats.kstest(logs, stats.uniform(*span).cdf).pvalue > 0.001
    assert stats.kstest([s["share"] for s in found], stats.uniform(2, 3).cdf).pvalue > 0.001
    counts = [sum(settings["word"] == word for settings in found) for word in "abc"]
    assert stats.chisquare(counts).statistic < 13.82  # 99.9 %, 2 degrees of freedom


def test_draws_do_not_depend_on_the_version_of_numpy() -> None:
    """The first word of Philox 4x64-10 with key (3, 0) and counter (0, 5, 0, 0)."""
    numbers = np.random.Philox(counter=np.array([0, 5, 0, 0], np.uint64), key=np.array([3, 0], np.uint64))
    expected = 2.0 + 3.0 * (int(numbers.random_raw()) / 2**64)
    assert drawn({"share": {"uniform": [2.0, 5.0]}}, 3, 5)["share"] == pytest.approx(expected, rel=1e-3)


def test_a_draw_whose_options_do_not_fit_is_drawn_again(tmp_path: Path) -> None:
    rules = {
        "agent": {"baseline": {"choice": ["none", "leave_one_out"]}},
        "training": {"episodes_per_update": {"choice": [1, 2]}},
    }
    found = cells(sweep_of(tmp_path, {"sample": {"count": 30, **rules}}))
    seen = {tuple(cell.settings.values()) for cell in found}
    assert len(found) == 30
    assert seen == {("none", 1), ("none", 2), ("leave_one_out", 2)}


# --- equal tuning


def test_each_arm_tries_as_many_settings_of_its_own_keys(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, {"sample": {**RULES}}, TUNING)
    without, with_entropy = (settings_of(sweep, arm) for arm in ("without", "with_entropy"))
    assert len(without) == len(with_entropy) == 4
    assert {frozenset(own) for own in without} == {frozenset(["learning_rate", "baseline"])}
    assert {frozenset(own) for own in with_entropy} == {frozenset(["learning_rate", "baseline", "entropy_coef"])}
    for ours, theirs in zip(without, with_entropy, strict=True):  # what they share they draw alike
        assert ours.items() <= theirs.items()


def test_of_a_large_grid_each_arm_tries_some_without_trying_one_twice(tmp_path: Path) -> None:
    grid = {
        "grid": {
            "agent": {"learning_rate": [0.1, 0.2, 0.3, 0.4]},
            "arms": {"with_entropy": {"entropy_coef": [0.1, 0.2]}},
        }
    }
    sweep = sweep_of(tmp_path, grid, TUNING)
    assert [own["learning_rate"] for own in settings_of(sweep, "without")] == [0.1, 0.2, 0.3, 0.4]
    others = [tuple(own.items()) for own in settings_of(sweep, "with_entropy")]
    assert len(set(others)) == 4


def test_tries_are_made_on_the_tuning_worlds_and_judged_on_others(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, {"sample": {**RULES}}, TUNING)
    for number, cell in enumerate(tries(sweep)):
        assert cell.config.environment.world_list == (0, 1, 2)
        assert cell.config.training.seed_list == (0, 1)
        assert cell.config.claims == ()
        for arm in ("without", "with_entropy"):
            own = settings_of(sweep, arm)[number]
            assert cell.config.agent_of(arm).model_dump().items() >= own.items()
    chosen = {"without": {"learning_rate": 0.3}, "with_entropy": {"entropy_coef": 0.2}}
    config = judged(sweep, chosen)
    assert (config.name, len(config.claims)) == ("trial_judged", 1)
    assert config.environment.world_list == tuple(range(100, 106))
    assert config.training.seed_list == (50, 51)
    assert config.agent_of("without").learning_rate == 0.3
    assert config.agent_of("with_entropy").entropy_coef == 0.2


# --- refusals


def with_tuning(**changes: dict[str, Any]) -> dict[str, Any]:
    return {name: {**section, **changes.get(name, {})} for name, section in TUNING.items()}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{}], "nothing varies"),
        ([{"grid": {"agent": {"learning_rate": 0.1}}}], "grid.agent.learning_rate: needs a list of values"),
        ([{"grid": {"agent": {"learning_rate": []}}}], "grid.agent.learning_rate: needs one value"),
        ([{"sample": {"agent": {"discount": [0.9]}}}], "sample.agent.discount: needs { log_uniform"),
        ([{"sample": {"agent": {"discount": {"uniform": [0.9]}}}}], "uniform needs two numbers"),
        ([{"sample": {"agent": {"learning_rate": {"log_uniform": [0, 1]}}}}], "two numbers above 0"),
        ([{"sample": {"agent": {"learning_rate": {"log_uniform": [1, 10**400]}}}}], "two numbers above 0"),
        ([{"sample": {"agent": {"discount": {"uniform": [-(10**400), 1]}}}}], "uniform needs two numbers"),
        ([GRID, {"base": "nothing.toml"}], "nothing.toml: No such file"),
        ([GRID, {"grids": {}}], "grids: Extra inputs"),
        ([GRID, {"sample": {"agent": {"discount": {"choice": [0.5]}}}}], "agent.discount: stands under"),
        ([GRID, {"tuning": TUNING["tuning"]}], "need each other"),
        ([GRID, with_tuning(judge={"worlds": {"first": 2, "count": 6}})], "worlds: 2 is tuned on and judged on"),
        ([GRID, with_tuning(tuning={"tries": 7})], "tuning.tries: arm without has 6 settings"),
        ([GRID, with_tuning(tuning={"choose_by": "env_steps"})], "tuning.choose_by: 'env_steps' is none of"),
        ([{"grid": {"training": {"updates": [1, 2]}}}, TUNING], "training.updates: only keys of an agent"),
        (
            [
                {
                    "grid": {
                        "agent": {"discount": [0.8, 0.9, 0.95, 1.0]},
                        "arms": {"with_entropy": {"entropy_coef": [0, 0.1]}},
                    }
                },
                TUNING,
            ],
            "arms.with_entropy.entropy_coef: 0 belongs to the arm without the term",
        ),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(tmp_path: Path, parts: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as refusal:
        sweep_of(tmp_path, *parts)
    assert "\n" not in str(refusal.value)


def test_a_range_wider_than_a_number_is_refused_like_any_other_value(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, {"sample": {"agent": {"discount": {"uniform": [-(10**308), 10**308]}}}})
    with pytest.raises(ConfigError, match=r"agent.discount"):
        cells(sweep)


def test_worlds_are_tuned_on_only_in_a_family(tmp_path: Path) -> None:
    single = {**BASE, "environment": {"id": "FourAction/TwoRooms-v0", "solved_return": 0.95}}
    with pytest.raises(ConfigError, match=r"tuning.worlds: the base is no family of worlds"):
        sweep_of(tmp_path, GRID, TUNING, base=single)
    seeds_only = {name: {k: v for k, v in section.items() if k != "worlds"} for name, section in TUNING.items()}
    assert len(tries(sweep_of(tmp_path, GRID, seeds_only, base=single))) == 4
    shared = {**seeds_only, "judge": {"seeds": {"first": 1, "count": 3}}}
    with pytest.raises(ConfigError, match="seeds: 1 is tuned on and judged on"):
        sweep_of(tmp_path, GRID, shared, base=single)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda path: path.stem)
def test_our_own_sweeps_are_valid(path: Path) -> None:
    sweep = load_sweep(path.stem)
    assert sweep.name == path.stem
    sweep = sweep.model_copy(update={"count": min(sweep.count, 400)})  # later draws are as the first
    configs = [cell.config for cell in (cells(sweep) if sweep.tuning is None else tries(sweep))]
    assert all(isinstance(config, Config) for config in configs)


def test_the_large_sweep_continues_the_small_one() -> None:
    small, large = load_sweep("help_and_harm"), load_sweep("quarter_million")
    assert (small.count, large.count) == (400, 6650)
    for key in ("base", "grid", "sample", "seed", "tuning", "judge"):
        assert getattr(large, key) == getattr(small, key), key


@pytest.mark.parametrize("word", ["fair_maze", "configs/sweeps/fair_maze.toml"])
def test_a_mistyped_one_is_answered_with_ours(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"did you mean '{word.replace('maze', 'mazes')}'\?"):
        load_sweep(word)
