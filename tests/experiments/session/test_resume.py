"""A training that was cut off anywhere ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.config.schema import ConfigError
from experiments.storage.checkpoints import Checkpoints
from experiments.storage.run_folder import RunFolder, StoreError
from tests.experiments import kill_and_resume
from tests.experiments.processes import in_a_child, wait_for
from tests.experiments.small_training import (
    CONFIG,
    Crash,
    assert_same,
    contents,
    small_config,
    stepped_config,
    train,
)

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("KILLS", "5"))  # a hundred and more on demand


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(folder)
    return contents(folder)


def checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    return Checkpoints(RunFolder(folder)).paths()


def crashed(folder: Path, at: int, **options: Any) -> None:
    with pytest.raises(Crash):
        train(folder, crash_at=at, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [["--kills", str(KILLS)], ["--kills", str(KILLS), "--workers", "2"], ["--changes", str(KILLS)]],
    ids=["random moments", "random moments, two workers", "before a change of the folder"],
)
def test_after_kills_everything_is_equal_bit_for_bit(tmp_path: Path, how: list[str]) -> None:
    status, said, mistakes = in_a_child(lambda: kill_and_resume.main(how), tmp_path)
    assert status == 0, mistakes
    counts = json.loads(said)
    assert counts["kills"] >= KILLS
    assert counts.get("from a checkpoint", 0) > 0


@pytest.mark.slow
@pytest.mark.skipif("KILLS" not in os.environ, reason="takes ten minutes for 300: KILLS=300 asks for it")
def test_after_kills_of_every_command_and_kind_nothing_is_lost_or_touched() -> None:
    words = [sys.executable, "tests/experiments/kill_campaign.py", "--kills", str(KILLS)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kills"] >= KILLS


@pytest.mark.parametrize("at", [0, 1, 12, 23])
def test_a_resumed_training_ends_the_same(tmp_path: Path, undisturbed: dict[str, str | bytes], at: int) -> None:
    crashed(tmp_path, at)
    train(tmp_path, resume=True)
    assert_same(contents(tmp_path), undisturbed)


def test_the_number_of_workers_changes_nothing(tmp_path: Path, undisturbed: dict[str, str | bytes]) -> None:
    crashed(tmp_path / "two", at=12, workers=2)
    train(tmp_path / "two", resume=True, workers=3)
    assert_same(contents(tmp_path / "two"), undisturbed)


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    train(tmp_path / "one", stepped_config(), workers=1)
    crashed(tmp_path / "two", at=12, config=stepped_config(), workers=2)
    train(tmp_path / "two", stepped_config(), resume=True, workers=1)
    assert_same(contents(tmp_path / "two"), contents(tmp_path / "one"))


def test_the_number_of_threads_of_torch_changes_nothing(
    tmp_path: Path, undisturbed: dict[str, str | bytes]
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(tmp_path)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert_same(contents(tmp_path), undisturbed)


def test_two_checkpoints_are_kept_and_none_of_a_finished_training(tmp_path: Path) -> None:
    crashed(tmp_path, at=9)
    assert [path.name[:16] for path in checkpoints(tmp_path)] == ["update-000000009", "update-000000008"]
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == sorted(
        path.name for path in checkpoints(tmp_path)
    )
    train(tmp_path, resume=True)
    assert not (tmp_path / "checkpoint").exists()
    assert not (tmp_path / "parts").exists()


class TestDamage:
    def test_of_the_newest_checkpoint_falls_back_with_a_warning(
        self, tmp_path: Path, undisturbed: dict[str, str | bytes]
    ) -> None:
        crashed(tmp_path, at=9)
        newest, _ = checkpoints(tmp_path)
        newest.write_bytes(newest.read_bytes()[:-1])
        _, told = train(tmp_path, resume=True)
        assert told == [f"checkpoint not used: {newest}: damaged (its checksum is wrong)"]
        assert_same(contents(tmp_path), undisturbed)

    def test_of_the_newest_does_not_cost_the_good_one_that_is_kept_beside_it(self, tmp_path: Path) -> None:
        crashed(tmp_path, at=9)
        newest, before = checkpoints(tmp_path)
        newest.write_bytes(b"")
        with pytest.raises(Crash):
            train(tmp_path, resume=True, crash_at=8)
        assert checkpoints(tmp_path) == [before]

    def test_of_all_checkpoints_stops_instead_of_beginning_anew(self, tmp_path: Path) -> None:
        crashed(tmp_path, at=9)
        for path in checkpoints(tmp_path):
            path.write_bytes(path.read_bytes() + b" ")
        held = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(StoreError, match="no checkpoint can be used; --overwrite starts again"):
            train(tmp_path, resume=True)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == held

    @pytest.mark.parametrize("what", ["parts/updates-000000.parquet", "parts/steps-000008.parquet"])
    def test_of_a_part_falls_back_as_far_as_it_must(
        self, tmp_path: Path, undisturbed: dict[str, str | bytes], what: str
    ) -> None:
        crashed(tmp_path, at=9)
        newest, _ = checkpoints(tmp_path)
        part = tmp_path / what
        part.write_bytes(part.read_bytes()[:-1] + b"?")
        if "000008" in what:  # only the newest needs it
            _, told = train(tmp_path, resume=True)
            assert told == [f"checkpoint not used: {newest}: {part} is missing or damaged"]
            assert_same(contents(tmp_path), undisturbed)
        else:
            with pytest.raises(StoreError, match="no checkpoint can be used"):
                train(tmp_path, resume=True)

    def test_of_an_event_file_that_lost_its_end(self, tmp_path: Path, undisturbed: dict[str, str | bytes]) -> None:
        crashed(tmp_path, at=9)
        file = next((tmp_path / "tensorboard" / "without" / "seed_0").iterdir())
        os.truncate(file, file.stat().st_size - 1)
        _, told = train(tmp_path, resume=True)
        assert len(told) == 1
        assert str(file) in told[0]
        assert_same(contents(tmp_path), undisturbed)


class TestOptions:
    def test_steps_are_logged_as_at_the_beginning(self, tmp_path: Path) -> None:
        train(tmp_path / "whole", log_steps=3)
        crashed(tmp_path / "cut", at=12, log_steps=3)
        _, told = train(tmp_path / "cut", resume=True, log_steps=1)
        assert told == ["--log-steps 3 is kept: this training began with it"]
        assert_same(contents(tmp_path / "cut"), contents(tmp_path / "whole"))

    def test_another_config_is_refused(self, tmp_path: Path) -> None:
        crashed(tmp_path, at=9)
        with pytest.raises(ConfigError, match="a different config"):
            train(tmp_path, small_config("agent.learning_rate=0.5"), resume=True)

    def test_the_folder_of_another_config_is_noticed_even_if_its_config_was_replaced(self, tmp_path: Path) -> None:
        crashed(tmp_path, at=9)
        other = small_config("agent.learning_rate=0.5")
        RunFolder(tmp_path).write_config(other)
        with pytest.raises(StoreError, match="no checkpoint can be used"):
            train(tmp_path, other, resume=True)

    def test_nothing_to_resume(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="nothing to resume"):
            train(tmp_path / "none", resume=True)
        assert not (tmp_path / "none").exists()
        (tmp_path / "notes.txt").touch()  # where leaving out --resume would be refused, nobody advises it
        with pytest.raises(StoreError, match="holds files that are not a training of this program"):
            train(tmp_path, resume=True)

    def test_before_the_first_checkpoint_it_begins_anew(
        self, tmp_path: Path, undisturbed: dict[str, str | bytes]
    ) -> None:
        (tmp_path / ".lock").touch()
        (tmp_path / ".config.toml.tmp").write_text("half of i")  # killed as early as that
        train(tmp_path, resume=True)
        assert_same(contents(tmp_path), undisturbed)

    def test_a_finished_training_is_left_alone(self, tmp_path: Path, undisturbed: dict[str, str | bytes]) -> None:
        summary, _ = train(tmp_path)
        (tmp_path / "parts").mkdir()  # killed while it tidied up
        again, told = train(tmp_path, resume=True)
        assert again == summary
        assert not (tmp_path / "parts").exists()
        assert told == [f"{tmp_path} is finished; nothing to do"]
        assert_same(contents(tmp_path), undisturbed)


def has_a_checkpoint_or_ended(out: Path, process: subprocess.Popen[bytes]) -> bool:
    return bool(list(out.glob("checkpoint/update-*"))) or process.poll() is not None


def test_the_command_itself_killed_from_outside(tmp_path: Path, undisturbed: dict[str, str | bytes]) -> None:
    (tmp_path / "small.toml").write_text(CONFIG)
    for attempt in range(20):  # on a busy machine the small training may be over before the kill comes
        out = tmp_path / f"out_{attempt}"
        words = [sys.executable, "train.py", tmp_path / "small.toml", "--out", out, "--checkpoint-seconds", "0"]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            wait_for(partial(has_a_checkpoint_or_ended, out, process))
            process.kill()
        if process.returncode == -signal.SIGKILL:
            break
    else:
        pytest.fail("no kill came in time")
    train(out, resume=True)
    assert_same(contents(out), undisturbed)
