"""The world outside: full disks, folders that vanish, people who press Ctrl-C, runs that fail."""

import errno
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

import train as command
from experiments.analysis import summary
from experiments.pages import training_page
from experiments.session import compiling, console
from experiments.session import run as session
from experiments.storage.run_folder import RunFolder, StoreError
from experiments.training.loop import Training
from experiments.training.records import Records
from tests.experiments.processes import PATIENCE, Ended, ended, hear_signals, in_a_child, wait_for
from tests.experiments.small_training import (
    CONFIG,
    assert_same,
    contents,
    many_checkpoints,
    small_config,
    train,
)

ROOT = Path(__file__).parents[3]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Contents = dict[str, str | bytes]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(folder)
    return contents(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True)
    except OSError:
        pytest.skip("no mount here")
    if made.returncode:
        pytest.skip(f"may not mount a small disk here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def at_update(number: int, action: Callable[[], Any]) -> Callable[[Records], None]:
    def on_block(records: Records) -> None:
        if records.first == number:
            action()

    return on_block


class TestTheDisk:
    # By so little that it ends while training, and by so much that the results are what is too large.
    @pytest.mark.parametrize("free", [60_000, 300_000, 700_000, 1_100_000])
    def test_is_full_and_nothing_is_lost(self, disk: Path, undisturbed: Contents, free: int) -> None:
        filler = disk / "filler"
        filler.write_bytes(bytes((4 << 20) - free))
        with pytest.raises(OSError, match="No space left on device"):
            train(disk / "run", often=True)
        assert not RunFolder(disk / "run").is_finished
        filler.unlink()
        train(disk / "run", resume=True)
        assert_same(contents(disk / "run"), undisturbed)

    def test_is_full_says_the_command(self, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (disk / "small.toml").write_text(CONFIG)
        (disk / "filler").write_bytes(bytes((4 << 20) - 100_000))
        status = run_command(disk / "small.toml", disk / "run")
        error = capsys.readouterr().err
        assert status == 1
        assert error.startswith(f"train.py: {disk / 'run'}")
        assert error.endswith(": No space left on device; after that is mended, go on with --resume\n")
        assert error.count("\n") == 1

    def test_becomes_read_only(self, disk: Path, undisturbed: Contents) -> None:
        def mount_read_only() -> None:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk / "run" / "parts"], check=True)

        with pytest.raises(OSError, match="Read-only file system"):
            train(disk / "run", on_block=at_update(12, mount_read_only))
        subprocess.run(["umount", disk / "run" / "parts"], check=True)
        train(disk / "run", resume=True)
        assert_same(contents(disk / "run"), undisturbed)

    def test_is_read_only_from_the_beginning(self, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (disk / "small.toml").write_text(CONFIG)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in ([], ["--overwrite"]):
            assert run_command(disk / "small.toml", disk / "run", *words) == 2
            assert (
                capsys.readouterr().err == f"train.py: {disk / 'run'}: cannot write there: Read-only file system\n"
            )


class TestTheFolder:
    def test_is_removed_and_does_not_come_back(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        with pytest.raises(StoreError, match=rf"^{folder}: the folder, or the \.lock in it, was removed"):
            train(folder, on_block=at_update(12, lambda: shutil.rmtree(folder)))
        assert not folder.exists()

    def test_loses_a_part_and_says_so_at_the_end(self, tmp_path: Path) -> None:
        part = tmp_path / "parts" / "steps-000003.parquet"
        with pytest.raises(StoreError, match=r"steps-000003\.parquet: No such file or directory"):
            train(tmp_path, on_block=at_update(12, part.unlink))
        assert not RunFolder(tmp_path).is_finished

    def test_loses_an_event_file_and_says_so_at_once(self, tmp_path: Path) -> None:
        file = tmp_path / "tensorboard" / "table" / "seed_1" / "events.out.tfevents.0000000000"
        with pytest.raises(OSError, match="was changed or removed during training") as caught:
            train(tmp_path, on_block=at_update(12, file.unlink))
        assert caught.value.filename == str(file)
        with pytest.raises(StoreError, match="no checkpoint can be used"):
            train(tmp_path, resume=True)

    @pytest.mark.parametrize("moved", ["tensorboard", "checkpoint", "parts", "policies", "summary.json", ".lock"])
    def test_keeps_its_files_itself(self, tmp_path: Path, moved: str) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("precious")
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / moved).symlink_to(outside / "precious" if "." in moved else outside)
        with pytest.raises(StoreError, match=f"{folder / moved}: is a symbolic link"):
            train(folder, overwrite=True)
        assert [path.read_text() for path in outside.iterdir()] == ["precious"]

    def test_may_be_a_link_itself(self, tmp_path: Path, undisturbed: Contents) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
        train(tmp_path / "run")
        assert_same(contents(tmp_path / "elsewhere"), undisturbed)


@contextmanager
def handlers_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def run_command(config: Path, out: Path, *words: str, seconds: str = "0") -> int:
    """`train.py` in this process, with many checkpoints."""
    with handlers_kept(), many_checkpoints():
        return command.main(
            [str(config), "--out", str(out), "--workers", "1", "--checkpoint-seconds", seconds, *words]
        )


def goes_on(config: Path, out: Path) -> bool:
    """Whether `--resume` ends well; with a checkpoint at its end alone, which takes half the time."""
    return run_command(config, out, "--resume", seconds="1e9") == 0


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_page, "write_report", lambda path: path / "report.html")


@pytest.mark.usefixtures("without_pictures")
class TestInterrupts:
    """In children: what the parent of the whole suite ignores does not matter, and a signal hits nobody else."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "small.toml"
        path.write_text(CONFIG)
        return path

    @staticmethod
    def _at(monkeypatch: pytest.MonkeyPatch, update: int, *numbers: int) -> None:
        """Have a command send signals to itself while it looks at an update."""
        call = console.ProgressBar.__call__

        def hit(self: console.ProgressBar, records: Records) -> None:
            call(self, records)
            if records.first == update:
                for number in numbers:
                    os.kill(os.getpid(), number)

        monkeypatch.setattr(console.ProgressBar, "__call__", hit)

    @pytest.mark.parametrize(
        "numbers",
        [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP, signal.SIGHUP], [signal.SIGINT, signal.SIGTERM]],
        ids=str,
    )
    def test_the_first_ends_training_after_a_checkpoint(
        self,
        tmp_path: Path,
        config: Path,
        undisturbed: Contents,
        monkeypatch: pytest.MonkeyPatch,
        numbers: list[int],
    ) -> None:
        out = tmp_path / "run"
        with monkeypatch.context() as patched:
            self._at(patched, 9, *numbers)
            patched.setattr(session.Options, "__new__", rare_checkpoints(session.Options.__new__))
            status, told, error = in_a_child(lambda: run_command(config, out), tmp_path)
        assert status == 128 + numbers[0]
        kept = [path.name for path in (out / "checkpoint").iterdir()]
        assert len(kept) == 1
        assert 10 <= int(kept[0][7:16]) <= 12  # a block was under way, and one was asked for
        assert f"checkpoint kept after update {int(kept[0][7:16])} of 24" in told
        assert "stopping with a checkpoint; Ctrl-C again stops at once" in error
        assert error.endswith(
            f"go on with: python train.py {config} --out {out} --workers 1 --checkpoint-seconds 0 --resume\n"
        )
        assert "Traceback" not in error
        assert goes_on(config, out)
        assert_same(contents(out), undisturbed)

    def test_a_second_ctrl_c_ends_at_once(
        self,
        tmp_path: Path,
        config: Path,
        undisturbed: Contents,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        out = tmp_path / "run"
        with monkeypatch.context() as patched:
            self._at(patched, 9, signal.SIGINT, signal.SIGINT)
            stopped = in_a_child(lambda: run_command(config, out), tmp_path)
        assert stopped.status == 130
        assert "checkpoint kept" not in stopped.out
        assert "Traceback" not in stopped.error
        assert goes_on(config, out)
        assert_same(contents(out), undisturbed)

    def test_while_results_are_written(
        self,
        tmp_path: Path,
        config: Path,
        undisturbed: Contents,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        out = tmp_path / "run"
        with monkeypatch.context() as patched:
            patched.setattr(summary, "summarize", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            stopped = in_a_child(lambda: run_command(config, out), tmp_path)
        assert stopped.status == 130
        assert "go on with" in stopped.error
        assert goes_on(config, out)
        assert_same(contents(out), undisturbed)

    def test_before_anything_is_written(
        self, tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "Training", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        stopped = in_a_child(lambda: run_command(config, tmp_path / "run"), tmp_path)
        assert stopped == Ended(130, "", "train.py: stopped\n")
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT], ids=["nohup", "a script's background"])
    def test_what_is_ignored_stays_ignored(
        self,
        tmp_path: Path,
        config: Path,
        undisturbed: Contents,
        monkeypatch: pytest.MonkeyPatch,
        number: signal.Signals,
    ) -> None:
        def ignoring() -> int:
            signal.signal(number, signal.SIG_IGN)
            return run_command(config, tmp_path / "run")

        self._at(monkeypatch, 9, number)
        assert in_a_child(ignoring, tmp_path).status == 0
        assert_same(contents(tmp_path / "run"), undisturbed)


def rare_checkpoints(new: Callable[..., session.Options]) -> Callable[..., session.Options]:
    """Options of a training that would make no checkpoint before its end."""

    def made(*arguments: Any, **named: Any) -> session.Options:
        return new(*arguments, **named | {"checkpoint_seconds": 1e9})

    return made


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "closed"])
def test_at_a_terminal(tmp_path: Path, how: str) -> None:
    """Workers hear Ctrl-C, too, and a closed terminal cannot be written to."""
    config, out = tmp_path / "small.toml", tmp_path / "run"
    config.write_text(CONFIG.replace("updates = 24", "updates = 100000"))
    words = [sys.executable, "train.py", str(config), "--out", str(out), "--workers", "2"]
    process, terminal = pty.fork()
    if not process:
        hear_signals()
        os.chdir(ROOT)
        os.execv(sys.executable, words)
    try:
        read_terminal(terminal, until=b"watch it: ")
        if how == "Ctrl-C":
            os.write(terminal, b"\x03")
            screen = read_terminal(terminal)
            assert b"go on with: python train.py" in screen
            assert b"Traceback" not in screen
            assert screen.rstrip().endswith(b"--resume")
    finally:
        os.close(terminal)
    assert ended(process) == 128 + (signal.SIGINT if how == "Ctrl-C" else signal.SIGHUP)
    assert len(list((out / "checkpoint").glob("update-*"))) == 1


def read_terminal(terminal: int, until: bytes | None = None) -> bytes:
    """What is written until these words stand there, or else until everybody has closed the other side."""
    screen, end = b"", time.monotonic() + PATIENCE
    while until is None or until not in screen:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        if not ready or time.monotonic() > end:
            raise TimeoutError(f"after {PATIENCE:.0f} s the terminal shows {screen[-1000:]!r}")
        try:
            screen += (written := os.read(terminal, 4096))
        except OSError:
            written = b""
        if not written:
            assert until is None, f"it ended with {screen[-1000:]!r}"
            break
    return screen


@pytest.mark.usefixtures("without_pictures")
def test_without_a_terminal_there_is_no_bar(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.toml").write_text(CONFIG)
    assert run_command(tmp_path / "small.toml", tmp_path / "run") == 0
    told, error = capfd.readouterr()
    assert error == ""
    for rubbish in ("\x1b", "\r", "training ", "/24"):
        assert rubbish not in told


def without_description(content: str | bytes) -> Any:
    """Of a policy's file its tensors: its metadata names the config, which is another one."""
    if isinstance(content, str):
        return content
    return {label: tensor.tobytes() for label, tensor in load(content).items()}


class TestAFailedRun:
    """Its entropy term overflows after some updates: it is frozen and named; nobody else is the worse for it."""

    OVERFLOW = "arms.table.entropy_coef={schedule='linear', start=0.0, end=1e308}"

    @pytest.fixture(scope="class")
    @classmethod
    def folders(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
        place = tmp_path_factory.mktemp("failing")
        train(place / "failing", small_config(cls.OVERFLOW))
        train(place / "sound")
        return {path.name: path for path in place.iterdir()}

    def test_is_named_in_table_and_summary(self, folders: dict[str, Path]) -> None:
        folder = RunFolder(folders["failing"])
        failed = [row for row in folder.read_table("runs.parquet").to_pylist() if row["failed"]]
        named = [{"arm": row["arm"], "seed": row["seed"], "update": row["failed_update"]} for row in failed]
        summary = folder.read_summary()
        assert summary["failed_runs"] == named
        assert [run["arm"] for run in named] == ["table", "table"]
        assert all(0 < run["update"] < 23 for run in named)
        assert summary["arms"]["table"]["measures"]["failed"]["count"] == len(named) > 0
        for row in failed:  # NaN: there is nothing to average
            assert np.isnan([row["final_return"], row["greedy_return"], *row["start_policy"]]).all()

    def test_has_no_row_after_the_update_it_failed_in(self, folders: dict[str, Path]) -> None:
        folder = RunFolder(folders["failing"])
        updates = folder.read_table("updates.parquet").to_pylist()
        for run in folder.read_summary()["failed_runs"]:
            rows = [row["update"] for row in updates if (row["arm"], row["seed"]) == (run["arm"], run["seed"])]
            assert rows == list(range(run["update"] + 1))

    def test_is_not_noticed_by_the_other_arms(self, folders: dict[str, Path]) -> None:
        failing, sound = contents(folders["failing"]), contents(folders["sound"])
        for name in sound:
            if "without" in name or "with_entropy" in name:
                assert without_description(failing[name]) == without_description(sound[name]), name
        for table in ("updates.parquet", "steps.parquet", "runs.parquet"):
            one, two = (
                [row for row in RunFolder(folders[name]).read_table(table).to_pylist() if row["arm"] != "table"]
                for name in ("failing", "sound")
            )
            assert str(one) == str(two)

    @pytest.mark.usefixtures("without_pictures")
    def test_is_named_by_the_command(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "small.toml").write_text(CONFIG)
        assert run_command(tmp_path / "small.toml", tmp_path / "run", self.OVERFLOW) == 0
        line = next(x for x in capfd.readouterr().out.splitlines() if x.startswith("no longer finite"))
        for run in RunFolder(tmp_path / "run").read_summary()["failed_runs"]:
            assert f"{run['arm']}, seed {run['seed']} (update {run['update']})" in line


@pytest.mark.parametrize("place", ["/full/__pycache__/layers.nbi", None])
def test_a_full_disk_below_what_is_compiled_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str | None
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", place)

    training = Training(small_config())
    monkeypatch.setattr(compiling, "Training", full)
    with pytest.raises(
        StoreError, match=r"No space left on device; NUMBA_CACHE_DIR can name another folder"
    ) as said:
        compiling.compile_ahead(training, print)
    assert place is None or place in str(said.value)


COMPILE_TWO_FUNCTIONS = """
from types import SimpleNamespace
import numpy as np
from agents.kernels.rows import copy
from experiments.session import compiling
compiling._touch = lambda training: copy(np.ones((1, 1)), np.ones((1, 1)))
compiling.compile_ahead(SimpleNamespace(is_compiled=False), print)
"""
COMPILE_A_TRAINING = """
import sys
from experiments import load_config
from experiments.session.compiling import compile_ahead
from experiments.training.loop import Training
config = dict(name="small", description="small", environment=dict(id=sys.argv[1]), arms=dict(one={}))
config |= dict(agent=dict(policy="mlp", hidden_sizes=[8]), training=dict(seeds=1, updates=1))
compile_ahead(Training(load_config(config)), print)
"""


def said_by_a_process(code: str, *words: str, **settings: str) -> str:
    command, environment = [sys.executable, "-c", code, *words], os.environ | settings
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_first_process_says_that_it_compiles_and_the_second_has_it(tmp_path: Path) -> None:
    said = [said_by_a_process(COMPILE_TWO_FUNCTIONS, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert said == ["compiling for this processor, which takes some seconds\n", ""]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["FourAction/TwoRooms-v0", "CartPole-v1"])
def test_no_training_is_compiled_again(world: str) -> None:
    """That takes up to half a minute, so the folder of other tests is used. If one of them writes there just then,
    some is compiled again, and the next process has that, too."""
    wait_for(lambda: said_by_a_process(COMPILE_A_TRAINING, world) == "", "nothing left to compile")
