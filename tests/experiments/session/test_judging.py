"""A finished training is judged again by its stored runs alone, and comes to what it came to."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import Config, ConfigError, load_config, load_policy
from experiments.config import schema
from experiments.pages.training_page import write_report
from experiments.session.judging import judge_again
from experiments.storage.run_folder import RunFolder
from experiments.training import loop
from tests.experiments import small_training
from tests.experiments.comparisons import BANDIT, TABLE, comparison
from tests.experiments.training.test_families import family


def overflowing() -> Config:
    """An arm whose runs fail."""
    arms: dict[str, dict[str, Any]] = {"calm": {}, "wild": {"learning_rate": 1e300, "entropy_coef": 1e300}}
    return comparison(BANDIT, TABLE, arms, updates=6, episodes=2)


@pytest.mark.parametrize("config", [small_training.small_config(), family(), overflowing()], ids=lambda c: c.name)
def test_what_is_judged_again_comes_to_the_same(config: Config, tmp_path: Path) -> None:
    trained, _ = small_training.train(tmp_path, config)
    assert not judge_again(tmp_path)  # by the same code
    folder = RunFolder(tmp_path)
    arms = {arm: {**content, "env_steps": 1} for arm, content in trained["arms"].items()}
    folder.write_summary({**trained, "judging": "another", "arms": arms})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert judge_again(tmp_path)
    assert folder.read_summary() == trained
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


EARLIER = {  # claims that earlier versions trained
    "agent.discount=1.0": "measure='succeeds', expect='with_entropy > -0.1'",
    "environment.tables=false": "measure='stuck', expect='without_entropy < with_entropy'",
    "agent.gradient='exact'": "measure='state_coverage', expect='without_entropy < with_entropy'",
}


@pytest.mark.parametrize("override", EARLIER)
def test_folders_of_earlier_versions_may_have_claims_that_are_refused_now(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = comparison(BANDIT, TABLE, seeds=20).model_dump(exclude_none=True)
    overrides = [override, f"claims=[{{statement='s', {EARLIER[override]}}}]"]
    with monkeypatch.context() as earlier:
        earlier.setattr(Config, "check_measure", lambda *_: None)
        earlier.setattr(loop, "check_claims", lambda *_: None)
        earlier.setattr(schema, "check_runs_decide", lambda *_: None)
        small_training.train(tmp_path, load_config(table, overrides))
    with pytest.raises(ConfigError, match=r"needs|no run would"):
        load_config(tmp_path / "config.toml")
    assert write_report(tmp_path).exists()
    assert load_policy(tmp_path, "with_entropy", 1)
    folder = RunFolder(tmp_path)
    folder.write_summary({**folder.read_summary(), "judging": "another"})
    assert judge_again(tmp_path)
    (claim,) = folder.read_summary()["claims"]
    assert claim["failed"] == 0
    assert claim["verdict"] == ("supported" if claim["measure"] == "succeeds" else "inconclusive")


def test_a_kill_while_judging_leaves_no_summary_of_other_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, _ = small_training.train(tmp_path)
    RunFolder(tmp_path).write_summary({**trained, "judging": "another"})

    def killed(*_: Any) -> None:
        raise small_training.Crash

    monkeypatch.setattr(RunFolder, "write_summary", killed)
    with pytest.raises(small_training.Crash):
        judge_again(tmp_path)
    assert not RunFolder(tmp_path).is_finished  # trained again


def test_other_words_of_the_analysis_train_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments import argument
    from experiments.session import judging

    config = load_config("two_rooms", ["training.updates=3", "training.seeds=2"])
    assert argument.prepare(config, tmp_path).trained
    monkeypatch.setattr(judging, "digest", lambda _: "other words")
    assert not argument.prepare(config, tmp_path).trained
    assert json.loads((tmp_path / "summary.json").read_text())["judging"] == "other words"
