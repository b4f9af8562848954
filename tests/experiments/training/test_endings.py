"""How a run ended, in three readings: succeeds, solved and greedy_solved; and stuck, beside none of them.

Each against its definition, computed another way, in every kind of world.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from envs.success import success_probability
from experiments import Config, ConfigError, load_config, train
from experiments.config.measures import RUN_MEASURES
from experiments.pages.training_page import write_report
from experiments.session import run as session
from experiments.training.loop import Training
from tests.experiments.comparisons import (
    BANDIT,
    MLP,
    NOISY_BANDIT,
    SLIPPERY_LAKE,
    SURE_POLICY,
    TABLE,
    TWO_ROOMS,
    Values,
    comparison,
    run_by_run,
)

POLE = {"id": "CartPole-v1", "max_episode_steps": 20, "solved_return": 15.0}
EXACT = TABLE | {"gradient": "exact"}
TRAP = {"id": "FourAction/Trap-v0", "solved_return": 4.75}
# Wherever an episode goes, each step costs: without a limit nobody computes the chance of a return.
CLIFF = {"id": "CliffWalking-v1", "max_episode_steps": 30, "solved_return": -25.0}
KINDS: dict[str, dict[str, Any]] = {
    "two rooms": {"environment": TWO_ROOMS | {"solved_return": 0.15}, "agent": MLP, "updates": 60},
    "bandit": {"environment": BANDIT, "agent": TABLE | {"initial_policy": SURE_POLICY}, "updates": 100},
    "noisy rewards": {"environment": NOISY_BANDIT, "agent": TABLE, "episodes": 3, "updates": 40},
    "slippery": {"environment": SLIPPERY_LAKE, "agent": TABLE, "episodes": 3},
    "stepped": {"environment": TWO_ROOMS | {"tables": False, "solved_return": 0.15}, "agent": MLP},
    "simulator": {"environment": POLE, "agent": MLP, "updates": 20},
    "exact": {"environment": TWO_ROOMS | {"solved_return": 0.15}, "agent": EXACT, "updates": 40},
    "exact, noisy rewards": {"environment": NOISY_BANDIT, "agent": EXACT, "updates": 40},
    "exact, not computable": {
        "environment": CLIFF,
        "agent": EXACT | {"horizon": "infinite", "discount": 0.9, "learning_rate": 1e-4},
    },
}
OF_SUCCESS = [name for name, measure in RUN_MEASURES.items() if "goal" in measure.needs]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
# Of the others, results have the same measures.
REPORTED = {name: kind for name, kind in KINDS.items() if "noisy" not in name and name != "slippery"}


def of(values: Any, name: str) -> Any:
    """What runs.parquet says of a run."""
    return values[f"runs.{name}"][0]


@cache
def config_and_runs(kind: str) -> tuple[Config, list[Values]]:
    config = comparison(**KINDS[kind], seeds=4)
    return config, [*run_by_run(config).values()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_readings_are_what_they_say(kind: str) -> None:
    config, runs = config_and_runs(kind)
    exact, window = config.agent.gradient == "exact", max(1, round(0.05 * config.training.updates))
    enough = config.environment.solved_return
    assert enough is not None
    for values in runs:
        rate = of(values, "final_success_rate")
        if not exact:
            assert rate == pytest.approx(values["updates.success_rate"][-window:].mean())
        assert of(values, "succeeds") == (None if math.isnan(rate) else rate >= 0.5 - 1e-9)
        assert of(values, "solved") == (of(values, "final_return") >= enough - 1e-9)
        assert of(values, "greedy_solved") == (of(values, "greedy_return") >= enough - 1e-9)
        sure = of(values, "start_policy").max() > 0.9
        if config.environment.id == POLE["id"] or not config.environment.tables or math.isnan(rate):
            assert of(values, "stuck") is None
        else:
            assert of(values, "stuck") == (sure and not of(values, "succeeds") and not of(values, "greedy_solved"))
        assert not (of(values, "stuck") and (of(values, "succeeds") or of(values, "greedy_solved")))


def test_the_kinds_end_in_every_way() -> None:
    """So the test above compares something."""
    endings: dict[str, set[Any]] = {name: set() for name in ("succeeds", "solved", "greedy_solved", "stuck")}
    for kind in KINDS:
        for values in config_and_runs(kind)[1]:
            for name, seen in endings.items():
                seen.add(of(values, name))
    assert endings == {
        "succeeds": {True, False, None},
        "solved": {True, False},
        "greedy_solved": {True, False},
        "stuck": {True, False, None},
    }


@pytest.mark.parametrize(("share", "succeeds"), [(0.49, False), (0.51, True)])
def test_half_of_the_episodes_decide(share: float, succeeds: bool) -> None:
    """Of a policy that does not move: 20,000 episodes, and .01 is 2.8 standard deviations."""
    still = TABLE | {"initial_policy": [1 - share, share - 2e-6, 1e-6, 1e-6], "learning_rate": 1e-12}
    sampled = comparison(BANDIT, still, {"a": {}}, seeds=1, updates=1, episodes=20_000)
    exactly = comparison(BANDIT, still | {"gradient": "exact"}, {"a": {}}, seeds=1, updates=1, episodes=1)
    for config in (sampled, exactly):
        ((found,),) = (train(config).runs["succeeds"].to_pylist(),)
        assert found is succeeds


@pytest.mark.parametrize("horizon", ["time_limit", "infinite"])
@pytest.mark.parametrize("kwargs", [{}, {"absorbing": True}], ids=str)
def test_exact_the_rate_is_the_chance_of_the_final_policy(horizon: str, kwargs: dict[str, Any]) -> None:
    """Also where leaving a goal does not end the episode, but nothing is paid any more."""
    agent = EXACT | {"horizon": horizon, "discount": 0.9, "discount_weighting": True, "learning_rate": 1.0}
    training = Training(comparison(TRAP | {"kwargs": kwargs}, agent, updates=30, episodes=1))
    training.advance()
    mdp, pi = training.world.mdp, training.batches[0].learner.log_pi().detach().exp().numpy()
    assert mdp is not None
    final, limit = training.final(), training.world.time_limit if horizon == "time_limit" else 2_000
    expected = success_probability(mdp, pi, horizon=limit, solved_return=4.75)
    np.testing.assert_allclose(final["final_success_rate"], expected, atol=1e-9)
    assert np.ptp(expected) > 0.001  # the arms differ


@EVERY_KIND
def test_without_a_solved_return_nothing_is_said_of_success(kind: dict[str, Any]) -> None:
    config = comparison(**kind | {"updates": 2}, seeds=2)
    goalless = load_config(
        config.model_dump(exclude_none=True)
        | {"environment": config.environment.model_dump(exclude={"solved_return"}, exclude_none=True)}
    )
    result = train(goalless)
    for name in set(OF_SUCCESS) - {"final_success_rate"}:
        assert result.runs[name].null_count == len(result.runs), name
    assert np.isnan(result.runs["final_success_rate"].to_numpy()).all()
    for name in ("solved", "succeeded"):
        assert result.updates[name].null_count == len(result.updates), name
    for arm in result.summary["arms"].values():
        assert not set(arm["measures"]) & set(OF_SUCCESS)
        assert "final_return" in arm["measures"]


def test_a_failed_run_counts_as_the_worse_end_of_what_is_known_of_the_others() -> None:
    """And of nothing else: outside finite worlds nobody knows who is stuck, failed or not."""
    arms = {"exploding": {"entropy_coef": 1e308}, "still": {}}
    for kind, known in (("two rooms", True), ("simulator", False)):
        result = train(comparison(**KINDS[kind] | {"updates": 3, "arms": arms}, seeds=2))
        runs, first = result.summary["arms"], result.runs["first_success_env_step"].to_pylist()[:2]
        counts = {name: entry.get("count") for name, entry in runs["exploding"]["measures"].items()}
        assert [counts[name] for name in ("succeeds", "solved", "greedy_solved")] == [0, 0, 0]
        assert counts["never_successful"] == first.count(None)
        assert counts.get("stuck") == (2 if known else None)
        assert ("stuck" in runs["still"]["measures"]) == known


def test_a_run_that_succeeded_before_it_failed_was_successful() -> None:
    late = {"exploding": {"entropy_coef": {"schedule": "linear", "start": 0.0, "end": 1e308}, "optimizer": "sgd"}}
    result = train(comparison(BANDIT, TABLE, late, seeds=8, updates=3, episodes=1))
    never, first, failed = (
        result.runs[name].to_pylist() for name in ("never_successful", "first_success_env_step", "failed")
    )
    assert all(failed)
    assert never == [None if step is None else False for step in first]
    assert result.summary["arms"]["exploding"]["measures"]["never_successful"]["count"] == first.count(None)
    assert 0 < first.count(None) < 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", REPORTED.values(), ids=REPORTED)
def test_every_kind_of_ending_is_stored_and_reported(kind: dict[str, Any], tmp_path: Path) -> None:
    arms = {"exploding": {"entropy_coef": 1e308}, "still": {}}
    table = comparison(**kind | {"updates": 3, "arms": arms}, seeds=2).model_dump(exclude_none=True)
    for name in ("with a goal", "without"):
        session.run(load_config(table), session.Options(tmp_path / name), lambda _: None, lambda _: None)
        assert "exploding" in write_report(tmp_path / name).read_text()
        table["environment"].pop("solved_return", None)


@pytest.mark.parametrize("measure", OF_SUCCESS)
def test_without_a_solved_return_a_claim_on_success_is_refused(measure: str) -> None:
    table = comparison(BANDIT).model_dump(exclude_none=True)
    table["claims"] = [{"statement": "s", "measure": measure, "expect": "with_entropy < without_entropy"}]
    assert load_config(table).claims
    del table["environment"]["solved_return"]
    with pytest.raises(
        ConfigError, match=rf"^config: claims.0: measure '{measure}' needs environment.solved_return"
    ):
        load_config(table)


def test_tables_have_the_same_types_whatever_is_trained() -> None:
    """A truth value that is missing does not make its column one of numbers."""
    seen: dict[tuple[str, str], set[Any]] = {}
    explosion = {"exploding": {"entropy_coef": 1e308}, "still": {}}
    for kind in KINDS.values():
        result = train(comparison(**kind | {"updates": 2, "arms": explosion}, seeds=2))
        for which, table in (("runs", result.runs), ("updates", result.updates)):
            for field in table.schema:
                seen.setdefault((which, field.name), set()).add(str(field.type))
    assert {name: types for name, types in seen.items() if len(types) > 1} == {}
    for name, measure in RUN_MEASURES.items():
        assert (seen["runs", name] == {str(pa.bool_())}) == (measure.kind == "fraction")
