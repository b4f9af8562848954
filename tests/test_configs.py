"""Every experiment of configs/: it loads, it trains, and its claims are about what training finds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from envs.exact import evaluate
from envs.planning import optimal_values
from envs.success import success_probability
from experiments import Config, load_config, train
from experiments.analysis.claims import Claim, read_claim
from experiments.training.worlds import make_world

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))
# The last seed that a setting was chosen on, or that an earlier form of an experiment's claims was judged on. No
# verdict may use such seeds again. Experiments without a line have kept their claims and seeds.
LOOKED_AT = {
    **dict.fromkeys(["annealed", "dose_response", "learning_rate", "noise", "robustness"], 2099),
    **dict.fromkeys(["small_steps", "two_rooms_exact", "two_rooms_large_batch"], 2099),
    **dict.fromkeys(["two_rooms", "cliff_walking", "four_rooms", "frozen_lake", "frozen_lake_dry"], 1099),
    **{f"deep_sea_{depth}": 1099 for depth in (4, 6, 8, 10)},
    **dict.fromkeys(["bandit", "bandit_dose", "trap"], 999),
    **dict.fromkeys(["soft_return", "no_reward"], 999),
}
# Claims on an entropy, none of which says what the term is good for: what it does by construction, and its price.
ON_ENTROPY = {
    ("dose_response", "entropy_collapse_update"),
    ("annealed", "final_entropy_bits"),
    ("no_reward", "final_entropy_bits"),
    ("lunar_lander", "final_entropy_bits"),
}


def config_of(name: str, *overrides: str) -> Config:
    return load_config(CONFIGS[0].with_name(f"{name}.toml"), overrides)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
class TestEveryExperiment:
    def test_is_named_as_its_file_and_says_in_a_line_what_it_is(self, path: Path) -> None:
        config = load_config(path)
        assert config.name == path.stem
        assert 20 < len(config.description) < 250
        assert "\n" not in config.description

    def test_compares_arms_on_the_same_seeds(self, path: Path) -> None:
        config = load_config(path)
        assert len(config.arms) >= 2
        agents = [
            config.agent_of(arm).model_dump_json() + config.training_of(arm).model_dump_json()
            for arm in config.arms
        ]
        assert len(set(agents)) == len(agents), "two arms are the same"

    def test_two_updates_of_two_seeds_give_what_its_claims_are_about(self, path: Path) -> None:
        if "LunarLander" in path.read_text() and importlib.util.find_spec("Box2D") is None:
            pytest.skip("needs the extra box2d")
        few = ["training.updates=2", "training.seeds=[1000, 1001]"]
        whole = load_config(path)
        few += [f"arms.{name}.updates=2" for name, arm in whole.arms.items() if "updates" in arm]
        if whole.environment.worlds is not None:
            few.append("environment.worlds=2")
        config = load_config(path, few)
        result = train(config)
        assert len(result.runs) == config.runs_per_arm * len(config.arms)
        assert not any(result.runs["failed"].to_pylist())
        assert len(result.updates) == 2 * len(result.runs)
        single = {name for name in result.runs.column_names if np.ndim(result.runs[name].to_pylist()[0]) == 0} - {
            "arm",
            "seed",
            "world",
        }
        for claim in config.claims:
            read_claim(Claim(claim.statement, claim.measure, claim.expect), list(config.arms), single)
        assert [verdict["expect"] for verdict in result.summary["claims"]] == [c.expect for c in config.claims]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_seeds_that_somebody_has_looked_at_do_not_judge(name: str) -> None:
    assert min(config_of(name).training.seed_list) > LOOKED_AT[name]


def test_success_is_the_same_number_wherever_the_world_is_the_same() -> None:
    """Else a verdict might change its sign with the threshold."""
    thresholds: dict[str, set[float | None]] = {}
    for path in CONFIGS:
        environment = load_config(path).environment
        rewards = environment.reward_scale, environment.reward_offset
        world = f"{environment.id} {sorted(environment.kwargs.items())} {rewards}"
        thresholds.setdefault(world, set()).add(environment.solved_return)
    assert {world: numbers for world, numbers in thresholds.items() if len(numbers) > 1} == {}
    assert len(thresholds) < len(CONFIGS)  # some worlds are trained in more than once


def test_no_claim_rests_on_stuck_or_says_of_an_entropy_what_the_term_is_good_for() -> None:
    claims = {(path.stem, claim.measure) for path in CONFIGS for claim in load_config(path).claims}
    assert not [name for name, measure in claims if measure == "stuck"]
    assert {(name, measure) for name, measure in claims if "entropy" in measure or "kl_" in measure} == ON_ENTROPY


def test_how_a_run_ended_is_judged_in_one_reading() -> None:
    """`succeeds`; but where random actions cost return by construction, where the most probable ones lead.

    One claim asks for the price of a large coefficient: its runs succeed without walking there straight.
    """
    readings = {"succeeds", "solved", "greedy_solved"}
    declared: dict[str, set[str]] = {
        path.stem: readings & {claim.measure for claim in load_config(path).claims} for path in CONFIGS
    }
    assert declared.pop("noise") == {"greedy_solved"}
    assert declared.pop("mazes_tuned") == {"succeeds", "solved"}
    assert {name: found for name, found in declared.items() if not found <= {"succeeds"}} == {}


def test_long_lists_of_seeds_are_written_as_ranges() -> None:
    for path in CONFIGS:
        assert not isinstance(load_config(path).training.seeds, tuple), path.stem


@pytest.mark.parametrize("depth", [4, 6, 8, 10])
def test_deep_sea_is_dived_by_the_agent_of_two_rooms(depth: int) -> None:
    config, rooms = config_of(f"deep_sea_{depth}"), config_of("two_rooms")
    assert config.arms == rooms.arms
    assert [config.agent_of(arm) for arm in config.arms] == [rooms.agent_of(arm) for arm in rooms.arms]
    assert config.training.updates == rooms.training.updates
    assert config.training.episodes_per_update == rooms.training.episodes_per_update


def test_the_dry_lake_is_the_slippery_one_but_for_the_ice() -> None:
    wet, dry = config_of("frozen_lake"), config_of("frozen_lake_dry")
    assert dry.environment.model_copy(update={"kwargs": {}}) == wet.environment
    assert dry.training == wet.training.model_copy(update={"updates": dry.training.updates})
    assert dry.agent_of("with_entropy") == wet.agent_of("entropy_0_02")
    assert dry.agent_of("without_entropy") == wet.agent_of("without_entropy")


class TestNumbersThatConfigsQuote:
    """Exact, from the tables of the very worlds that are trained in."""

    def test_deep_sea_a_uniform_policy_finds_the_treasure_rarely(self) -> None:
        for depth, quoted in ((4, "18.8"), (6, "1.2"), (8, "0.07"), (10, "0.005")):
            config = config_of(f"deep_sea_{depth}")
            world = make_world(config.environment)
            assert world.mdp is not None
            uniform = np.full((1, world.mdp.states, 4), 0.25)
            assert config.environment.solved_return is not None
            chance = success_probability(
                world.mdp, uniform, horizon=depth, solved_return=config.environment.solved_return
            ).item()
            assert chance == pytest.approx(4.0**-depth)
            episodes = config.training.updates * config.training.episodes_per_update
            assert f"= {quoted} times" in CONFIGS[0].with_name(f"deep_sea_{depth}.toml").read_text()
            assert float(quoted) == pytest.approx(episodes * chance, rel=0.1)

    def test_frozen_lake_uniform_and_best(self) -> None:
        world = make_world(config_of("frozen_lake").environment)
        assert world.mdp is not None
        uniform = np.full((1, world.mdp.states, 4), 0.25)
        crossed = evaluate(world.mdp, uniform, horizon=world.time_limit).expected_return.item()
        _, values = optimal_values(world.mdp, horizon=world.time_limit, discount=1.0)
        assert round(crossed, 3) == 0.014
        assert round(float(world.mdp.start @ values), 2) == 0.74

    def test_cliff_walking_takes_a_uniform_policy_thousands_of_steps(self) -> None:
        world = make_world(config_of("cliff_walking").environment)
        assert world.mdp is not None
        uniform = np.full((1, world.mdp.states, 4), 0.25)
        assert 6000 < evaluate(world.mdp, uniform, horizon=None).expected_length.item() < 7000

    def test_four_rooms_a_solved_run_ends_at_the_best_goal_more_often_than_not(self) -> None:
        """Of the goals that pay 1 and 0.6 the better one is reached more often where the mean is above 0.8."""
        environment = config_of("four_rooms").environment
        world = make_world(environment)
        assert world.mdp is not None
        assert world.mdp.drawing is not None
        second, best = sorted(world.mdp.drawing.goals.values())[-2:]
        assert environment.solved_return == (best + second) / 2
