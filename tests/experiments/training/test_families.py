"""A family of worlds: a run is an arm in a world with a seed, and knows nothing of the other worlds."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow.compute as pc
import pytest

from envs.finite_mdp import FiniteMDP
from envs.mazes import Maze
from envs.tabular import TabularEnv
from experiments import load_config, play, train
from experiments.config.schema import Config, ConfigError
from experiments.pages.training_page import write_report
from experiments.session.console import failed_lines
from experiments.session.in_memory import Result
from experiments.storage.results import read_results
from experiments.training.loop import Training
from experiments.training.records import runs_of
from experiments.training.worlds import make_worlds
from tests.experiments import small_training

ENVIRONMENT = {"id": "FourAction/Maze-v0", "worlds": {"first": 3, "count": 3}, "solved_return": 0.95}
AGENT = {"policy": "mlp", "hidden_sizes": [8], "optimizer": "adam", "learning_rate": 0.02, "discount": 0.97}


class Corridor(TabularEnv):
    """World k has k + 2 states in a row."""

    def __init__(self, world: int = 0, render_mode: str | None = None) -> None:
        states = world + 2
        here = np.arange(states)[:, None, None]
        moves = np.array([-1, 1, 0, 0])[None, :, None]
        ahead = np.clip(here + moves, 0, states - 1)
        last = ahead == states - 1
        super().__init__(
            FiniteMDP(ahead, np.where(last, 1.0, 0.0), last, np.ones(ahead.shape), np.eye(states)[0]), render_mode
        )


gymnasium.register("Tests/Corridor-v0", entry_point=Corridor)
CORRIDORS = {"id": "Tests/Corridor-v0", "worlds": 3, "solved_return": 0.5, "max_episode_steps": 20}


def family(*overrides: str, environment: dict[str, Any] = ENVIRONMENT, agent: dict[str, Any] = AGENT) -> Config:
    source = {
        "name": "family",
        "description": "three worlds, two seeds each",
        "environment": environment,
        "agent": agent,
        "training": {"seeds": {"first": 5, "count": 2}, "updates": 3, "episodes_per_update": 4},
        "arms": {"without": {}, "with_entropy": {"entropy_coef": 0.1}},
        "claims": [
            {"statement": "more", "measure": "succeeds", "expect": "with_entropy > without"},
            {"statement": "sooner", "measure": "first_success_env_step", "expect": "with_entropy < without"},
        ],
    }
    return load_config(source, overrides)


def columns_of(result: Result, world: int) -> dict[str, Any]:
    """Everything that the three tables say of a world's runs."""
    tables = {"updates": result.updates, "steps": result.steps, "runs": result.runs}
    return {
        f"{kind}.{name}": json.dumps(column)
        for kind, table in tables.items()
        for name, column in table.filter(pc.field("world") == world).to_pydict().items()
    }


STEPPED = ENVIRONMENT | {"tables": False}


@pytest.mark.parametrize("environment", [ENVIRONMENT, CORRIDORS, STEPPED], ids=["mazes", "corridors", "stepped"])
def test_a_world_alone_gives_the_numbers_that_it_gives_among_others(environment: dict[str, Any]) -> None:
    config = family(environment=environment)
    among = train(config)
    for world in config.environment.world_list[1:]:
        alone = train(family(f"environment.worlds={{ first = {world}, count = 1 }}", environment=environment))
        assert columns_of(among, int(world or 0)) == columns_of(alone, int(world or 0))


def test_runs_stand_in_the_order_of_arms_worlds_and_seeds() -> None:
    runs = train(family()).runs.select(["arm", "world", "seed"]).to_pylist()
    expected = [
        {"arm": arm, "world": world, "seed": seed}
        for arm in ("without", "with_entropy")
        for world in (3, 4, 5)
        for seed in (5, 6)
    ]
    assert runs == expected


def test_arms_begin_alike_in_a_world_and_differently_in_each() -> None:
    """Luck that all worlds share would count once per world."""
    training = Training(family())
    parameters = {name: values for name, values in training.parameters().items() if name.endswith("weight_0")}
    assert len(parameters) == 12
    for name, values in parameters.items():
        for other, others in parameters.items():
            same = name.partition("/")[2] == other.partition("/")[2]
            assert np.array_equal(values, others) == same, (name, other)


def test_the_worlds_are_those_of_the_constructor() -> None:
    worlds = make_worlds(family().environment)
    assert [world.number for world in worlds] == [3, 4, 5]
    for number, world in zip((3, 4, 5), worlds, strict=True):
        assert world.mdp is not None
        np.testing.assert_array_equal(world.mdp.next_state, Maze(number).mdp.next_state)


def test_coverage_is_of_the_states_that_can_be_reached() -> None:
    """Walls have numbers too: nobody could visit them."""
    config = family("training.episodes_per_update=200", "environment.max_episode_steps=500")
    assert max(train(config).runs["state_coverage"].to_pylist()) == 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("family") / "run"
    small_training.train(out, family())
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_says_the_same_in_any_number_of_processes_killed_and_resumed(
    folder: Path, tmp_path: Path, workers: int
) -> None:
    config = family()
    with pytest.raises(small_training.Crash):
        small_training.train(tmp_path / "killed", config, crash_at=1, workers=workers)
    small_training.train(tmp_path / "killed", config, resume=True, workers=workers)
    small_training.assert_same(small_training.contents(tmp_path / "killed"), small_training.contents(folder))


def test_results_are_read_back(folder: Path) -> None:
    results = read_results(folder)
    assert results.runs["without"]["world"].tolist() == [3, 3, 4, 4, 5, 5]
    assert results.snapshots is not None
    assert results.snapshots.policy.shape[2:] == (2, 91, 4)
    entry = results.summary["arms"]["without"]["measures"]["succeeds"]
    assert (entry["n"], entry["worlds"]) == (6, 3)
    assert [claim["n"] for claim in results.summary["claims"]] == [3, 3]


def test_times_are_shares_of_the_steps_that_a_run_might_take(folder: Path) -> None:
    results = read_results(folder)
    first = results.runs["without"]["first_success_env_step"]
    budget = 3 * 4 * 50  # updates, episodes, steps
    shares = np.where(np.isnan(first) | (first < 0), 1.0, first / budget)
    entry = results.summary["arms"]["without"]["measures"]["first_success_env_step"]
    assert entry["estimate"] == pytest.approx(shares.mean())


def test_each_run_has_its_event_file_and_its_policy(folder: Path) -> None:
    files = {str(path.parent.relative_to(folder / "tensorboard")) for path in folder.rglob("*tfevents*")}
    assert files == {".", "aggregate/without", "aggregate/with_entropy", *runs_of(family()).paths()}
    assert "without/world_4/seed_6" in files


@pytest.mark.parametrize("world", [3, 5])
def test_a_policy_plays_in_its_world(folder: Path, world: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert play.main([str(folder), "--arm", "without", "--seed", "5", "--world", str(world)]) == 0
    shown = capsys.readouterr().out.splitlines()[1:8]
    walls = [[character == "#" for character in row] for row in Maze(world).map]
    assert [[character == "#" for character in row[::2].ljust(13)] for row in shown] == walls


@pytest.mark.parametrize(
    ("world", "message"),
    [([], "--world: which one? valid are 3 to 5"), (["--world", "7"], "unknown world 7; valid are 3 to 5")],
)
def test_a_world_that_is_not_there_is_refused(
    folder: Path, world: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play.main([str(folder), "--arm", "without", "--seed", "5", *world]) == 2
    assert message in capsys.readouterr().err


def test_the_report_says_in_how_many_worlds(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "3: 3 to 5" in page
    assert "2 per arm and world, the same for all arms: 5 to 6" in page
    assert "mean of all runs in world 3" in page
    assert "sign flips of the mean difference of worlds" in page


def test_a_failed_run_is_named_with_its_world(tmp_path: Path) -> None:
    """Steps so large that every run overflows."""
    config = family("agent.optimizer=sgd", "agent.learning_rate=1e300")
    summary, _ = small_training.train(tmp_path / "run", config)
    failed = [(run["arm"], run["world"], run["seed"]) for run in summary["failed_runs"]]
    assert failed == [(arm, world, seed) for arm, seed, world in zip(*runs_of(config), strict=True)]
    (line,) = failed_lines(summary, most=1)
    assert "without, world 3, seed 5 (update" in line
    assert read_results(tmp_path / "run").summary["failed_runs"] == summary["failed_runs"]


# --- the config


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"id": "FourAction/TwoRooms-v0"}, "environment.worlds: FourAction/TwoRooms-v0 is not a family"),
        ({"id": "CartPole-v1"}, "environment.worlds: CartPole-v1 is not a family"),
        ({"kwargs": {"world": 3}}, "kwargs.world and worlds both say which world it is"),
        ({"kwargs": {"size": [1, 1]}}, "environment.kwargs: FourAction/Maze-v0 refuses them: world 0: none of"),
        ({"kwargs": {"walls": 1}}, "environment.kwargs: FourAction/Maze-v0 refuses them:"),
        ({"worlds": 0}, "environment.worlds"),
        ({"worlds": {"first": -1, "count": 2}}, "environment.worlds.first"),
    ],
)
def test_a_family_that_makes_no_sense_is_refused(environment: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Training(family(environment=ENVIRONMENT | environment))


def test_a_count_takes_the_first_worlds_of_the_config() -> None:
    assert family("environment.worlds=2").environment.world_list == (3, 4)
    with pytest.raises(ConfigError, match="the config has 3 worlds of its own"):
        family("environment.worlds=4")


def test_too_many_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 arms with 4,000,000 runs are too many"):
        family("environment.worlds={ first = 0, count = 1000 }", "training.seeds={ first = 0, count = 2000 }")
