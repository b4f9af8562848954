"""Finished folders of every format that was ever released stay readable. `stored_folder.py` made them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import train
from experiments import load_config
from experiments.pages.training_page import write_report
from experiments.session import run as session
from experiments.storage.policies import load_policy
from experiments.storage.run_folder import FORMAT, RunFolder
from tests.experiments.processes import Ended, in_a_child
from tests.experiments.stored_folder import DATA

STORED = sorted(DATA.glob("format_*"))


def test_there_are_two_of_each_format() -> None:
    names = [f"{kind}_{number}" for kind in ("format", "unfinished") for number in range(1, FORMAT + 1)]
    assert sorted(path.name for path in DATA.iterdir()) == names


@pytest.fixture(params=STORED, ids=lambda path: path.name)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(request.param, tmp_path / "stored")
    return tmp_path / "stored"


def test_its_results_agree_with_each_other(stored: Path) -> None:
    folder = RunFolder(stored)
    summary, config = folder.read_summary(), folder.read_config()
    runs = folder.read_table("runs.parquet").to_pylist()
    updates = folder.read_table("updates.parquet").to_pylist()
    steps = folder.read_table("steps.parquet").to_pylist()
    assert [(run["arm"], run["seed"]) for run in runs] == [(a, s) for a in config.arms for s in (0, 1)]
    assert len(updates) == len(runs) * config.training.updates
    assert len(steps) == sum(run["env_steps"] for run in runs) == summary["env_steps"]
    for arm in config.arms:
        mine = [run for run in runs if run["arm"] == arm]
        measures = summary["arms"][arm]["measures"]
        assert measures["solved"]["count"] == sum(run["solved"] for run in mine)
        assert measures["state_coverage"]["mean"] == pytest.approx(
            np.mean([run["state_coverage"] for run in mine])
        )
    assert summary["claims"]


def test_its_policies_act_as_they_did(stored: Path) -> None:
    for run in RunFolder(stored).read_table("runs.parquet").to_pylist():
        policy = load_policy(stored, run["arm"], run["seed"])
        assert policy.world.mdp is not None
        probabilities = policy.probabilities(int(policy.world.mdp.start.argmax()))
        np.testing.assert_allclose(probabilities, run["start_policy"], atol=1e-6)  # float32 parameters


def test_its_report_is_drawn(stored: Path) -> None:
    assert "It wanders more" in write_report(stored).read_text()


def test_its_config_is_accepted_as_the_one_it_was_trained_with(stored: Path) -> None:
    config = load_config(stored / "config.toml")
    told: list[str] = []
    summary = session.run(config, session.Options(stored, resume=True), lambda _: None, told.append)
    assert told == [f"{stored} is finished; nothing to do"]
    assert summary["name"] == "stored"


def resumed(number: int, place: Path) -> Ended:
    """What `--resume` does with the training that was killed."""
    shutil.copytree(DATA / f"unfinished_{number}", place)
    arguments = [str(place / "config.toml"), "--out", str(place), "--resume"]
    return in_a_child(lambda: train.main(arguments), place.parent)


@pytest.mark.parametrize("number", range(1, FORMAT))
def test_an_unfinished_training_of_an_earlier_format_is_refused_in_one_line(number: int, tmp_path: Path) -> None:
    place = tmp_path / "killed"
    done = resumed(number, place)
    assert done.status == 2
    (line,) = done.error.splitlines()
    assert f"{place}: an earlier version began this training, with other random numbers" in line
    for kept in (path for path in (DATA / f"unfinished_{number}").rglob("*") if path.is_file()):
        assert (place / kept.relative_to(DATA / f"unfinished_{number}")).read_bytes() == kept.read_bytes()


def test_an_unfinished_training_of_this_format_is_gone_on_with(tmp_path: Path) -> None:
    done = resumed(FORMAT, tmp_path / "killed")
    assert done.status == 0, done.error
    summary = RunFolder(tmp_path / "killed").read_summary()
    assert summary["format"] == FORMAT
    assert summary["env_steps"] == RunFolder(DATA / f"format_{FORMAT}").read_summary()["env_steps"]
