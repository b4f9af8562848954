"""A sweep trains what is missing into one table; a tuning chooses by what it was told to and judges elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tomli_w

from envs import planning
from experiments import __version__, load_config, look, play, report, train
from experiments import sweep as command
from experiments.analysis.tuning import best, score
from experiments.config.sweep_files import load_sweep
from experiments.config.sweeps import cells
from experiments.config.tuning import settings_of
from experiments.pages import sweep_page
from experiments.session import cells as training
from experiments.session import sweep_plan
from experiments.storage.sweep_folder import SweepFolder
from tests.experiments.config.test_sweeps import BASE, GRID, TUNING


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, GRID)


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(written(folder, GRID))
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """The file of a sweep whose folder has everything."""
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "sweep.toml"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tuning whose folder has everything."""
    tuning = {**TUNING, "tuning": {**TUNING["tuning"], "choose_by": "final_return"}}
    file = written(tmp_path_factory.mktemp("tuned"), GRID, tuning)
    run(file)
    return file


def written(folder: Path, *parts: dict[str, Any], base: dict[str, Any] = BASE) -> Path:
    (folder / "base.toml").write_text(tomli_w.dumps(base))
    table: dict[str, Any] = {"name": "trial", "description": "a trial", "base": "base.toml"}
    for part in parts:
        table |= part
    path = folder / "sweep.toml"
    path.write_text(tomli_w.dumps(table))
    return path


def folder_of(file: Path) -> Path:
    return file.parent / "out"


def run(file: Path, *options: str, status: int = 0) -> Path:
    out = folder_of(file)
    assert command.main([str(file), "--out", str(out), "--workers", "2", *options]) == status
    return out


def test_one_table_has_all_runs_with_their_settings(trained: Path) -> None:
    table = pq.read_table(folder_of(trained) / "runs.parquet")
    found = cells(load_sweep(trained))
    assert table.num_rows == len(found) * 2 * 2 * 2  # arms, worlds, seeds
    for number, cell in enumerate(found):
        rows = table.filter(np.array(table["cell"].to_pylist()) == number)
        alone = train(cell.config).runs
        for name in ("arm", "world", "seed", "final_return", "env_steps"):
            assert rows[name].to_pylist() == alone[name].to_pylist()
        for key, value in cell.settings.items():
            assert set(rows[key].to_pylist()) == {value}
    versions = json.loads((folder_of(trained) / "summary.json").read_text())["versions"]
    assert versions["entropy-exploration"] == __version__
    assert versions["torch"] == version("torch")


def test_what_is_done_is_not_trained_again(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after some trainings, and with one table damaged."""
    out = folder_of(trained)
    whole = pq.read_table(out / "runs.parquet")
    tables = sorted((out / "cells").iterdir())
    (out / "runs.parquet").unlink()
    (out / "summary.json").unlink()
    tables[0].unlink()
    tables[1].write_bytes(b"damaged")
    asked: list[Any] = []
    original = command.train_cells

    def recorded(configs: Any, *others: Any) -> Any:
        asked.extend(configs)
        return original(configs, *others)

    monkeypatch.setattr(command, "train_cells", recorded)
    run(trained, "--resume")
    assert len(asked) == 2
    assert pq.read_table(out / "runs.parquet").equals(whole)


def test_a_folder_with_results_is_not_overwritten(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder_of(trained)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    run(trained, status=2)
    assert "holds results; go on with --resume" in capsys.readouterr().err
    trained.write_text(trained.read_text().replace("0.4", "0.3"))
    run(trained, "--resume", status=2)
    assert "holds a different sweep" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    run(trained, "--overwrite")
    assert len(list((out / "cells").iterdir())) == 6


STRANGE: dict[str, Callable[[Path], object]] = {
    "Latin-1": lambda path: path.write_bytes("name = 'Maß'".encode("latin-1")),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/dev/zero"),
    "vast": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_stored_sweep_that_nobody_has_written_is_refused_in_one_line(
    kind: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(file.parent / "out")
    folder.path.mkdir()
    folder.mark("experiments.sweep")
    STRANGE[kind](folder.path / "sweep.toml")
    run(file, "--resume", status=2)
    said = capsys.readouterr().err
    assert said.startswith(f"experiments.sweep: {folder.path}")
    assert said.count("\n") == 1


def test_only_what_has_begun_is_resumed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(file, "--resume", status=2)
    assert f"{out}: nothing to resume there; leave out --resume to start" in capsys.readouterr().err
    assert not out.exists()
    SweepFolder(out).path.mkdir()
    run(file, "--resume")  # as after a kill before the first file


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(file, "--dry-run")
    said = capsys.readouterr().out
    assert not out.exists()
    # 6 cells x 2 arms x 2 worlds x 2 seeds; x 3 updates x 2 episodes x 50 steps
    assert "6 trainings, 48 runs, at most 14,400 environment steps" in said
    assert "agent.learning_rate = 0.1, agent.discount = 0.9" in said


def test_a_dry_run_counts_each_arm_for_its_own_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every update that is tried takes a second here."""
    arms = {"few": {"updates": 40}, "many": {"updates": 120, "episodes_per_update": 6}}
    config = load_config(
        BASE | {"arms": arms, "claims": [], "training": BASE["training"] | {"episodes_per_update": 2}}
    )
    monkeypatch.setattr(sweep_plan.time, "process_time", iter([0.0, 4.0]).__next__)
    assert sweep_plan._seconds(config, print) == (40 * 2 + 120 * 6) / (2 + 6)


@pytest.mark.parametrize(
    ("lengths", "cores", "end"),
    [([3, 1, 1, 1], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 1, 3], 2, 4), ([1] * 7, 3, 3), ([2, 5], 9, 5)],
)
def test_tasks_begin_in_turn_as_soon_as_a_core_is_free(lengths: list[int], cores: int, end: int) -> None:
    assert sweep_plan.makespan(lengths, cores) == end


def test_a_dry_run_that_is_stopped_leaves_nothing_to_go_on_with(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "plan_lines", stopped)
    assert command.main([str(file), "--dry-run"]) == 130
    assert capsys.readouterr().err == "experiments.sweep: stopped\n"


def test_a_training_that_fails_costs_itself_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = training.train_cell

    def failing(config: Any) -> Any:
        if config.agent.learning_rate == 0.2:
            raise OSError(28, "No space left on device")
        return original(config)

    monkeypatch.setattr(training, "train_cell", failing)
    out = run(file, status=1)
    assert "2 of 6 trainings failed; --resume tries them again" in capsys.readouterr().err
    assert len(list((out / "cells").iterdir())) == 4
    assert not (out / "summary.json").exists()
    monkeypatch.undo()
    run(file, "--resume")
    assert (out / "summary.json").exists()


def test_a_random_setting_that_its_world_refuses_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Undiscounted, with a reward for every step, no action is best: that is known only once the world is made."""
    monkeypatch.setattr(planning, "MAX_SWEEPS", 2000)  # then growing values are given up: else it takes a minute
    world = BASE["environment"] | {"reward_offset": 0.1}
    rules = {"environment": {"choice": [world]}, "agent": {"discount": {"choice": [1.0, 0.9]}}}
    file = written(tmp_path, {"sample": {"count": 6, "seed": 7, **rules}})
    discounts = [cell.settings["agent.discount"] for cell in cells(load_sweep(file))]
    assert discounts[0] == 1.0  # compiling passes over it
    run(file, "--dry-run")
    assert " minutes of one core or " in capsys.readouterr().out
    out = run(file)
    refused, summary = discounts.count(1.0), json.loads((out / "summary.json").read_text())
    assert (summary["trainings"], summary["refused"]) == (6 - refused, refused)
    assert set(pq.read_table(out / "runs.parquet")["agent.discount"].to_pylist()) == {0.9}
    assert capsys.readouterr().err.count("; left out\n") == refused
    run(file, "--resume")
    assert json.loads((out / "summary.json").read_text()) == summary


def test_a_tuning_chooses_the_best_try_of_each_arm_and_judges_it(tuned: Path) -> None:
    out = folder_of(tuned)
    summary = json.loads((out / "summary.json").read_text())
    table = pq.read_table(out / "runs.parquet")
    rows = table.select(["cell", "arm", "world", "final_return"]).to_pylist()
    for arm, found in summary["tuned"].items():
        means = [
            np.mean([row["final_return"] for row in rows if (row["cell"], row["arm"]) == (cell, arm)])
            for cell in range(4)
        ]
        assert found["scores"] == pytest.approx(means)
        assert found["chosen"] == int(np.argmax(means))
        assert found["settings"] == settings_of(load_sweep(tuned), arm)[found["chosen"]]
    judged = json.loads((out / "judged" / "summary.json").read_text())
    assert judged["claims"] == summary["claims"]
    assert judged["claims"][0]["n"] == 6


def test_a_grid_is_shown_as_effects_over_its_keys(trained: Path) -> None:
    out = folder_of(trained)
    found = json.loads((out / "summary.json").read_text())["comparison"]
    assert (found["measure"], found["arms"]) == ("succeeds", ["without", "with_entropy"])
    table = pq.read_table(out / "runs.parquet").select(["cell", "arm", "succeeds"]).to_pylist()
    for number, setting in enumerate(found["by_setting"]):
        means = [
            np.mean([row["succeeds"] for row in table if (row["cell"], row["arm"]) == (number, arm)])
            for arm in found["arms"]
        ]
        assert setting["scores"] == pytest.approx(means)
        assert setting["effect"] == pytest.approx(means[1] - means[0])
    assert list(found["marginals"]) == ["agent.learning_rate", "agent.discount"]
    page = (out / "report.html").read_text()
    assert "over two keys" in page
    assert "a grid that somebody chose" in page


def test_a_tuning_is_shown_with_what_was_tried_and_chosen(tuned: Path) -> None:
    out = folder_of(tuned)
    page = (out / "report.html").read_text()
    for arm in ("without", "with_entropy"):
        assert f"{arm}: what it tried, and in the circle what it chose." in page
    summary = json.loads((out / "summary.json").read_text())
    assert summary["judged"] == json.loads((out / "judged" / "summary.json").read_text())["arms"]


def test_what_cannot_be_drawn_costs_itself_alone(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("no room")

    monkeypatch.setattr(sweep_page, "sorted_effects", broken)
    out = folder_of(trained)
    for name in ("summary.json", "report.html"):
        (out / name).unlink()
    run(trained, "--resume", status=1)
    assert "not shown: figures of the sweep" in capsys.readouterr().err
    assert (out / "summary.json").exists()
    assert (out / "report.html").exists()
    monkeypatch.undo()
    run(trained, "--resume")


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize(("choose_by", "judged_by"), [("regret", "final_return"), ("final_return", "regret")])
def test_a_measure_that_the_world_lacks_is_refused_before_anything_is_tried(
    choose_by: str, judged_by: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = list(BASE["arms"])
    claims = [{"statement": "s", "measure": judged_by, "expect": f"{arms[0]} < {arms[1]}"}]
    pole = {"id": "CartPole-v1", "max_episode_steps": 10}
    base = {**BASE, "environment": pole, "agent": {"policy": "mlp", "hidden_sizes": [4]}, "claims": claims}
    seeds = {"seeds": {"first": 0, "count": 1}}, {"seeds": {"first": 5, "count": 1}}
    tuning = {"tuning": {**seeds[0], "tries": 1, "choose_by": choose_by}, "judge": seeds[1]}
    file = written(tmp_path, {"grid": {"agent": {"learning_rate": [0.1]}}}, tuning, base=base)
    run(file, *options, status=2)
    place = "tuning.choose_by" if choose_by == "regret" else "claims.0"
    message = f"{place}: measure 'regret' needs the tables of a finite world; CartPole-v1 has no tables"
    assert message in capsys.readouterr().err
    assert not any(path.is_file() for path in folder_of(file).rglob("*"))


def test_of_equal_scores_the_first_is_chosen() -> None:
    assert best("succeeds", [0.2, 0.5, 0.5, 0.1]) == 1
    assert best("never_successful", [0.2, 0.1, 0.1]) == 1  # the lower, the better


def test_a_score_is_the_mean_over_worlds_with_failed_runs_at_the_worse_end() -> None:
    columns = {"succeeds": np.array([1.0, 1.0, 1.0, 0.0]), "failed": np.array([False, True, False, False])}
    assert score("succeeds", columns, np.array([1, 1, 2, 2])) == (0.5 + 0.5) / 2
    assert score("succeeds", columns, np.array([1, 1, 1, 2])) == pytest.approx((2 / 3 + 0) / 2)
    assert score("succeeds", columns, None) == 0.5


def test_a_sweep_lies_in_a_folder_of_its_own(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    run(file, status=2)
    assert "holds files that are not a sweep of this program" in capsys.readouterr().err
    assert SweepFolder(out).files() == ["mine.txt"]


@pytest.mark.parametrize(
    ("main", "said"),
    [
        (report.main, "not a run folder (it has no config.toml)"),
        (play.main, "not a run folder (it has no config.toml)"),
        (look.main, "holds no event files"),
    ],
)
def test_a_sweep_is_no_training_and_no_place_for_one(
    main: Callable[[list[str]], int], said: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([str(folder_of(trained))]) == 2
    assert capsys.readouterr().err.endswith(f"{folder_of(trained)}: {said}\n")
