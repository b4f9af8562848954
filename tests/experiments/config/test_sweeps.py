"""What a sweep trains follows from its file alone, and a file that makes no sense is refused in one line."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from scipy import stats

from agents.kernels.philox import uniforms
from experiments.config.loading import load_config
from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import SWEEPS, load_sweep
from experiments.config.sweeps import Sweep, cells, drawn, uniform
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


def test_the_settings_of_a_sample_are_its_draws_in_their_order(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, SAMPLE)
    assert list(sweep.sample) == ["agent.learning_rate", "agent.baseline", "arms.with_entropy.entropy_coef"]
    assert [cell.settings for cell in cells(sweep)] == [drawn(sweep.sample, 7, draw) for draw in range(20)]


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


@pytest.mark.parametrize(("seed", "draw"), [(3, 0), (3, 5), (2**62, 99_999)])
def test_draws_do_not_depend_on_the_version_of_numpy(seed: int, draw: int) -> None:
    """Those of our own Philox: block 1, since NumPy counts up first, of the stream that the draw would have as an
    update."""
    numbers = np.empty(1)
    uniforms(seed, 0, draw, 4, numbers)
    (expected,) = numbers
    assert uniform(seed, draw, 0) == expected
    assert drawn({"share": {"uniform": [2.0, 5.0]}}, seed, draw) == {"share": float(f"{2 + 3 * expected:.4g}")}


def test_draws_of_different_seeds_draws_and_keys_are_different() -> None:
    assert len({uniform(*place) for place in itertools.product(range(5), repeat=3)}) == 5**3


def test_a_file_that_does_not_say_how_often_draws_once_with_seed_0(tmp_path: Path) -> None:
    rules = {"agent.learning_rate": {"log_uniform": [0.0001, 0.1]}, "agent.discount": {"choice": [0.5, 0.9, 1.0]}}
    sweep = sweep_of(tmp_path, *sampled(**{key.partition(".")[2]: rule for key, rule in rules.items()}))
    assert [cell.settings for cell in cells(sweep)] == [drawn(rules, 0, 0)]
    tuned = {"tuning": {"worlds": 3, "seeds": 2, "tries": 4}, "judge": TUNING["judge"]}
    tuning = sweep_of(tmp_path, {"sample": RULES}, tuned).tuning
    assert tuning is not None
    assert (tuning.choose_by, tuning.seed) == ("succeeds", 0)


def test_a_draw_whose_options_do_not_fit_is_drawn_again(tmp_path: Path) -> None:
    rules = {
        "agent": {"baseline": {"choice": ["none", "leave_one_out"]}},
        "training": {"episodes_per_update": {"choice": [1, 2]}},
    }
    found = cells(sweep_of(tmp_path, {"sample": {"count": 30, **rules}}))
    seen = {tuple(cell.settings.values()) for cell in found}
    assert len(found) == 30
    assert seen == {("none", 1), ("none", 2), ("leave_one_out", 2)}


def test_draws_go_on_while_one_in_eleven_fits(tmp_path: Path) -> None:
    """One in seven of these does: many more than a hundred fail before forty are found."""
    rules = {"training": {"episodes_per_update": {"choice": [1, 1, 1, 1, 1, 1, 2]}}}
    base = {**BASE, "agent": {"baseline": "leave_one_out"}}
    found = cells(sweep_of(tmp_path, {"sample": {"count": 40, **rules}}, base=base))
    assert [cell.settings for cell in found] == [{"training.episodes_per_update": 2}] * 40


def test_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred draws may fail, and ten more for each that fits; then the reason is told."""
    sweep = sweep_of(tmp_path, {"sample": {"count": 3, "agent": {"discount": {"uniform": [0, 1]}}}})
    outcomes = itertools.chain([True], itertools.repeat(False))
    asked = 0

    def config(self: Sweep, settings: dict[str, Any]) -> Config:
        nonlocal asked
        asked += 1
        if next(outcomes):
            return load_config(BASE)
        raise ConfigError("agent: it does not fit")

    monkeypatch.setattr(Sweep, "config", config)
    with pytest.raises(ConfigError, match=r"^agent: it does not fit$"):
        cells(sweep)
    assert asked == 1 + 100 + 10 + 1


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


NEEDS_RULE = "needs { log_uniform = [low, high] }, { uniform = [low, high] } or { choice = [...] }"
NEEDS_LIST = "needs one rule with a list, as in { choice = [0.9, 1.0] }"
TWO_NUMBERS = "sample.agent.discount: uniform needs two numbers, the lower one first"
ABOVE_0 = "sample.agent.learning_rate: log_uniform needs two numbers above 0, the lower one first"


def sampled(**rules: Any) -> list[dict[str, Any]]:
    return [{"sample": {"agent": rules}}]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{}], "nothing varies: give values under [grid] or [sample], or on the command line"),
        ([{"grid": {"agent": {"learning_rate": 0.1}}}], "grid.agent.learning_rate: needs a list of values"),
        ([{"grid": {"agent": {"learning_rate": []}}}], "grid.agent.learning_rate: needs one value at least"),
        ([{"grid": {"agent": {"discount": {"choice": [0.9]}}}}], "grid.agent.discount: needs a list of values"),
        (sampled(discount=[0.9]), f"sample.agent.discount: {NEEDS_RULE}"),
        (sampled(discount={"normal": [0, 1]}), f"sample.agent.discount.normal: {NEEDS_RULE}"),
        (sampled(discount={"choice": 0.9}), f"sample.agent.discount: {NEEDS_LIST}"),
        (sampled(discount={"choice": []}), f"sample.agent.discount: {NEEDS_LIST}"),
        (sampled(discount={"choice": [0.9], "uniform": [0, 1]}), f"sample.agent.discount: {NEEDS_LIST}"),
        (sampled(discount={"uniform": [0.9]}), TWO_NUMBERS),
        (sampled(discount={"uniform": [0.7, 0.8, 0.9]}), TWO_NUMBERS),
        (sampled(discount={"uniform": [0.9, 0.8]}), TWO_NUMBERS),
        (sampled(discount={"uniform": [0.9, "1"]}), TWO_NUMBERS),
        (sampled(discount={"uniform": [-(10**400), 1]}), TWO_NUMBERS),
        (sampled(learning_rate={"log_uniform": [0, 1]}), ABOVE_0),
        (sampled(learning_rate={"log_uniform": [1, 10**400]}), ABOVE_0),
        (
            [GRID, {"base": 3}],
            'base: needs the name of a config, as in base = "two_rooms.toml", or a whole config',
        ),
        ([GRID, {"base": "nothing.toml"}], "nothing.toml: No such file or directory; did you mean 'settling'?"),
        ([GRID, {"count": 3}], "count and seed belong in [sample]"),
        ([GRID, {"seed": 3}], "count and seed belong in [sample]"),
        ([GRID, *sampled(discount={"choice": [0.5]})], "agent.discount: stands under [grid] and under [sample]"),
        (
            [GRID, {"sample": {"count": 16_667, "agent": {"value_learning_rate": {"uniform": [0, 1]}}}}],
            "100,002 trainings are too many: valid are up to 100,000",
        ),
        ([GRID, {"tuning": TUNING["tuning"]}], "[tuning] and [judge] need each other"),
        ([GRID, {"judge": TUNING["judge"]}], "[tuning] and [judge] need each other"),
        (
            [GRID, with_tuning(judge={"worlds": {"first": 2, "count": 6}})],
            "worlds: 2 is tuned on and judged on; what is judged must have had no say",
        ),
        (
            [GRID, with_tuning(tuning={"tries": 7})],
            "tuning.tries: arm without has 6 settings, and each arm is to try 7: take fewer tries, or more values",
        ),
        (
            [GRID, with_tuning(tuning={"choose_by": "env_steps"})],
            "tuning.choose_by: 'env_steps' is none of succeeds, solved, greedy_solved, stuck, never_successful, "
            "failed, final_success_rate, final_return, greedy_return, regret, final_optimal_action_probability, "
            "final_path_optimal_action_probability, final_cross_entropy_to_optimal, state_coverage",
        ),
        (
            [{"grid": {"training": {"updates": [1, 2]}}}, TUNING],
            "training.updates: only keys of an agent are tuned, as agent.learning_rate",
        ),
        (
            [{"grid": {"agent": {"nothing": [1, 2]}}}, TUNING],
            "agent.nothing: only keys of an agent are tuned, as agent.learning_rate",
        ),
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
            "arms.with_entropy.entropy_coef: 0 belongs to the arm without the term; leave it out",
        ),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_in_these_words(
    tmp_path: Path, parts: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        sweep_of(tmp_path, *parts)
    assert str(refusal.value) == f"{tmp_path / 'sweep.toml'}: {message}"


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ([GRID, {"grids": {}}], "grids"),
        ([GRID, {"arms": {}}], "arms"),
        ([GRID, {"name": "a b"}], "name"),
        ([{"sample": {"count": 0, **RULES}}], "count"),
        ([{"sample": {"count": 100_001, **RULES}}], "count"),
        ([{"sample": {"seed": -1, **RULES}}], "seed"),
        ([GRID, with_tuning(tuning={"tries": 0})], "tuning.tries"),
        ([{"sample": RULES}, with_tuning(tuning={"tries": 10_001})], "tuning.tries"),
        ([GRID, with_tuning(tuning={"seeds": 0})], "tuning.seeds"),
        ([GRID, with_tuning(judge={"worlds": {"first": -1, "count": 1}})], "judge.worlds"),
    ],
)
def test_what_no_sweep_can_have_is_named_with_its_place(
    tmp_path: Path, parts: list[dict[str, Any]], place: str
) -> None:
    with pytest.raises(ConfigError, match=rf"sweep\.toml: (sample\.)?{place}\b") as refusal:
        sweep_of(tmp_path, *parts)
    assert "\n" not in str(refusal.value)


def test_as_many_trainings_and_tries_are_valid_as_the_refusals_say(tmp_path: Path) -> None:
    assert sweep_of(tmp_path, {"sample": {"count": 100_000, **RULES}}).count == 100_000
    most = sweep_of(tmp_path, {"sample": RULES}, with_tuning(tuning={"tries": 10_000})).tuning
    assert most is not None
    assert most.tries == 10_000


def test_ends_of_a_range_may_be_the_same(tmp_path: Path) -> None:
    (cell,) = cells(
        sweep_of(tmp_path, *sampled(discount={"uniform": [0.5, 0.5]}, learning_rate={"log_uniform": [1, 1]}))
    )
    assert cell.settings == {"agent.discount": 0.5, "agent.learning_rate": 1.0}


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


@pytest.mark.parametrize(
    ("measure", "key", "value", "message"),
    [
        ("succeeds", "environment", {"id": "FourAction/Maze-v0", "worlds": 2}, "needs environment.solved_return"),
        ("regret", "environment", {**BASE["environment"], "tables": False}, "needs the tables of a finite world"),
        ("state_coverage", "agent", {"gradient": "exact"}, "needs sampled steps"),
    ],
)
def test_arms_choose_only_by_a_measure_that_their_tries_have(
    tmp_path: Path, measure: str, key: str, value: dict[str, Any], message: str
) -> None:
    sweep = sweep_of(
        tmp_path, GRID, with_tuning(tuning={"choose_by": measure}), base={**BASE, "claims": [], key: value}
    )
    with pytest.raises(ConfigError, match=rf"^tuning.choose_by: measure '{measure}' {message}"):
        tries(sweep)


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
