"""An arm may be trained otherwise than the base says, and gives the numbers that it gives as a base."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import Config, load_config, textbook, train
from experiments.config.schema import ConfigError
from experiments.pages.training_page import write_report
from experiments.session.in_memory import Result
from experiments.storage.results import moments, read_results
from experiments.storage.run_folder import RunFolder
from experiments.storage.snapshots import MEAN, read_snapshots
from experiments.tensorboard.aggregates import grid
from experiments.training.exploration import window
from experiments.training.loop import Training
from experiments.training.records import joined
from tests.experiments import small_training
from tests.experiments.board_reading import scalars
from tests.experiments.comparisons import MLP, TWO_ROOMS

UPDATES = 9
LONGER = {"updates": 40, "entropy_coef": 0.1}
FEWER_STEPS = {"max_env_steps": 300, "updates": 70}
ARMS: dict[str, dict[str, Any]] = {"base": {}, "longer": LONGER, "fewer_steps": FEWER_STEPS}
STEPPED = TWO_ROOMS | {"tables": False, "max_episode_steps": 12}


def config(
    arms: Mapping[str, Mapping[str, Any]],
    agent: Mapping[str, Any] = MLP,
    environment: Mapping[str, Any] = TWO_ROOMS,
    **training: Any,
) -> Config:
    return load_config(
        {
            "name": "small",
            "description": "arms with trainings of their own",
            "environment": environment,
            "agent": agent,
            "training": {"seeds": {"first": 3, "count": 3}, "updates": UPDATES, "episodes_per_update": 4}
            | training,
            "arms": arms,
        }
    )


def rows(result: Result, arm: str) -> list[str]:
    tables = (result.updates, result.steps, result.runs)
    return [json.dumps([row for row in table.to_pylist() if row["arm"] == arm]) for table in tables]


AGENTS = [MLP, MLP | {"baseline": "leave_one_out"}, MLP | {"baseline": "running_mean"}]
SCHEDULE = MLP | {"entropy_coef": {"schedule": "linear", "start": 0.1, "end": 0.0}}
OWN = [{"episodes_per_update": 9}, {"updates": 21}, {"max_env_steps": 300}, {"updates": 40, "max_env_steps": 777}]


@pytest.mark.parametrize("own", OWN, ids=json.dumps)
@pytest.mark.parametrize("agent", [*AGENTS, SCHEDULE])
def test_an_arm_with_its_own_training_is_that_arm_where_all_are_trained_so(
    agent: dict[str, Any], own: dict[str, int]
) -> None:
    both = train(config({"base": {}, "other": own}, agent))
    assert rows(both, "base") == rows(train(config({"base": {}}, agent)), "base")
    assert rows(both, "other") == rows(train(config({"other": {}}, agent, **own)), "other")


@pytest.mark.parametrize("own", OWN, ids=json.dumps)
def test_the_same_holds_in_simulators(own: dict[str, int]) -> None:
    both = train(config({"base": {}, "other": own}, environment=STEPPED))
    assert rows(both, "base") == rows(train(config({"base": {}}, environment=STEPPED)), "base")
    assert rows(both, "other") == rows(train(config({"other": {}}, environment=STEPPED, **own)), "other")


def test_the_same_holds_for_exact_gradients() -> None:
    exact = MLP | {"gradient": "exact"}
    both = train(config({"base": {}, "longer": {"updates": 21}}, exact))
    assert rows(both, "base") == rows(train(config({"base": {}}, exact)), "base")
    assert rows(both, "longer") == rows(train(config({"longer": {}}, exact, updates=21)), "longer")


@pytest.mark.parametrize("environment", [TWO_ROOMS, STEPPED], ids=["tables", "simulator"])
def test_a_run_ends_after_the_update_that_reaches_its_steps(environment: dict[str, Any]) -> None:
    """Whatever it does afterwards elsewhere: up to there it is the run that goes on."""
    result = train(config(ARMS, environment=environment))
    free = train(config({"fewer_steps": {}}, environment=environment, updates=70))
    by_seed = {seed: list(range(70)) for seed in (3, 4, 5)}
    for seed in by_seed:
        mine, other = (
            [row for row in r.updates.to_pylist() if (row["arm"], row["seed"]) == ("fewer_steps", seed)]
            for r in (result, free)
        )
        reached = next(i for i, row in enumerate(other) if row["env_steps"] >= 300)
        assert [row["update"] for row in mine] == list(range(reached + 1))
        np.testing.assert_equal(mine, other[: reached + 1])
        (run,) = [row for row in result.runs.to_pylist() if (row["arm"], row["seed"]) == ("fewer_steps", seed)]
        assert (run["env_steps"], run["episodes"]) == (mine[-1]["env_steps"], 4 * len(mine))
        assert not run["failed"]
        last = mine[-window(len(mine)) :]
        assert run["final_return"] == pytest.approx(np.mean([row["return_mean"] for row in last]))
        steps = [row for row in result.steps.to_pylist() if (row["arm"], row["seed"]) == ("fewer_steps", seed)]
        assert sum(row["live"] for row in steps) == run["env_steps"]
    different = {run["episodes"] for run in result.runs.to_pylist() if run["arm"] == "fewer_steps"}
    assert len(different) > 1 or environment is STEPPED  # a limit of 12 leaves episodes little choice


def test_the_final_values_are_of_the_last_twentieth_of_the_updates_of_the_arm() -> None:
    result = train(config({"base": {}, "longer": {"updates": 60}}))
    for run in result.runs.to_pylist():
        updates = 60 if run["arm"] == "longer" else UPDATES
        mine = [u for u in result.updates.to_pylist() if (u["arm"], u["seed"]) == (run["arm"], run["seed"])]
        assert len(mine) == updates
        expected = np.mean([row["entropy_bits"] for row in mine[-round(updates / 20) or -1 :]])
        assert run["final_entropy_bits"] == pytest.approx(expected)


def test_the_textbook_ends_its_runs_at_the_same_rules() -> None:
    both = config({"longer": {"updates": 12}, "fewer_steps": {"max_env_steps": 300}}, MLP | {"hidden_sizes": [4]})
    assert len(list(textbook.train(both, "longer", 3))) == 12
    steps = [sum(map(len, played)) for played in textbook.train(both, "fewer_steps", 3)]
    assert sum(steps[:-1]) < 300 <= sum(steps) or len(steps) == UPDATES


def test_episodes_are_counted_for_each_arm() -> None:
    runs = train(config({"few": {}, "many": {"episodes_per_update": 9}})).runs.to_pylist()
    assert [(row["arm"], row["episodes"]) for row in runs] == [("few", 36)] * 3 + [("many", 81)] * 3


@pytest.mark.parametrize("environment", [TWO_ROOMS, STEPPED], ids=["tables", "simulator"])
def test_a_training_of_such_arms_goes_on_after_kills(tmp_path: Path, environment: dict[str, Any]) -> None:
    """Before and after arms have ended, in one training: what goes wrong after a kill stays wrong to the end."""
    both = config(ARMS | {"many": {"episodes_per_update": 9}}, environment=environment)
    small_training.train(tmp_path / "whole", both)
    for crash_at in (1, 8, 12, 45):
        with pytest.raises(small_training.Crash):
            small_training.train(tmp_path / "killed", both, crash_at=crash_at, resume=crash_at > 1)
    small_training.train(tmp_path / "killed", both, resume=True)
    killed, whole = (small_training.contents(tmp_path / name) for name in ("killed", "whole"))
    small_training.assert_same(killed, whole)
    assert read_results(tmp_path / "whole").config == both


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    both = config(ARMS, environment=STEPPED)
    for workers in (1, 2):
        small_training.train(tmp_path / str(workers), both, workers=workers, often=False)
    small_training.assert_same(small_training.contents(tmp_path / "1"), small_training.contents(tmp_path / "2"))


def test_curves_end_where_the_first_run_of_an_arm_does(tmp_path: Path) -> None:
    small_training.train(tmp_path / "run", config(ARMS))
    results = read_results(tmp_path / "run")
    made = Counter((run["arm"], run["seed"]) for run in train(config(ARMS)).updates.to_pylist())
    ends = {arm: min(number for (of, _), number in made.items() if of == arm) for arm in ARMS}
    assert results.ends == ends
    assert (ends["base"], ends["longer"]) == (UPDATES, 40)
    assert set(moments(UPDATES)) <= set(results.at)
    board = tmp_path / "run" / "tensorboard" / "aggregate"
    for arm, updates in {"base": UPDATES, "longer": 40, "fewer_steps": 70}.items():
        steps = scalars(board / arm)["band/entropy_bits/iqm"].steps.tolist()
        assert steps == sorted(update for update in grid(updates) if update < ends[arm])
    assert "arms with trainings of their own" in write_report(tmp_path / "run").read_text(encoding="utf-8")


EXPLODING = {"entropy_coef": 1e308, "learning_rate": 1e300}


@pytest.mark.parametrize("agent", [MLP, MLP | {"gradient": "exact"}], ids=["sampled", "exact"])
@pytest.mark.parametrize("blocks", [1, 12])
def test_a_run_that_failed_never_rests(agent: dict[str, Any], blocks: int) -> None:
    """Neither while the others of its arm go on, nor once its arm has made its updates."""
    training = Training(config({"exploding": EXPLODING, "sound": {}, "longer": {"updates": 36}}, agent))
    parts = [training.advance(36 // blocks) for _ in range(blocks)]
    failed = training.final()["failed"].astype(bool)
    assert failed.tolist() == [arm == "exploding" for arm in training.runs.arm]
    whole = joined(parts)
    assert not whole.resting[:, failed].any()
    assert (whole.resting ^ whole.active)[:, ~failed].all()


@pytest.mark.parametrize("agent", [MLP, MLP | {"behaviour_epsilon": 0.2}, MLP | {"gradient": "exact"}], ids=str)
@pytest.mark.parametrize("blocks", [1, 14])
def test_the_maps_of_a_run_that_rests_stay_those_of_the_policy_that_acted_last(
    agent: dict[str, Any], blocks: int
) -> None:
    """However it came to rest: by its steps, or by its updates."""
    arms = {"base": {}, "longer": LONGER} | ({"fewer_steps": FEWER_STEPS} if "gradient" not in agent else {})
    training = Training(config(arms, agent))
    updates = training.config.most_updates
    parts = [training.advance(updates // blocks) for _ in range(blocks - 1)]
    whole = joined([*parts, training.advance()])
    mdp, start = training.world.mdp, whole.columns["start_policy"]
    assert mdp is not None
    for update, snapshot in whole.snapshots.items():
        last = np.minimum(update, whole.active.sum(0) - 1)
        shown = np.einsum("s,rsa->ra", mdp.start, snapshot.policy)
        np.testing.assert_allclose(shown, start[last, np.arange(len(last))], rtol=1e-12, atol=1e-15)


def test_the_maps_leave_out_failed_runs_after_their_arm_has_ended(tmp_path: Path) -> None:
    small_training.train(tmp_path / "run", config({"exploding": EXPLODING, "longer": {"updates": 36}}))
    found = read_snapshots(RunFolder(tmp_path / "run"))
    assert found is not None
    after = found.update >= UPDATES
    assert after.any()
    assert np.isnan(found.policy[after, MEAN, 0]).all()
    assert not np.isnan(found.policy[after, MEAN, 1]).any()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"episodes_per_update": 0}, "arms.few.episodes_per_update: Input should be greater than or equal to 1"),
        ({"episodes_per_update": "many"}, "arms.few.episodes_per_update"),
        ({"episodes_per_update": 1, "baseline": "leave_one_out"}, "arms.few: baseline"),
        ({"updates": 0}, "arms.few.updates: Input should be greater than or equal to 1"),
        ({"max_env_steps": 0}, "arms.few.max_env_steps: Input should be greater than or equal to 1"),
        ({"max_env_steps": 9, "gradient": "exact"}, 'arms.few: gradient = "exact" takes no steps'),
    ],
)
def test_what_makes_no_sense_is_refused(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config({"few": own})
