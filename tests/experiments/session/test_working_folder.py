"""What becomes of a working copy, and of the store, when something goes wrong; no training is needed to see it."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.session import writing
from experiments.session.command import command
from experiments.session.console import Screen
from experiments.session.processes import Child
from experiments.session.remote import working_folder
from experiments.storage.mirror import Mirror
from experiments.storage.owned_folder import MARK
from experiments.storage.sole_writer import WRITER
from experiments.storage.stored_files import StoreError
from experiments.storage.working_copy import WorkingCopy
from tests.experiments.processes import Ended, in_a_child, wait_for

pytest.importorskip("fsspec")
Work = Callable[[Path], None]


class Store:
    """A folder behind file://, and a command that does something in its working copy."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.place, self.said = folder, folder / "store" / "run", folder / "error.txt"
        self.url = f"file://{self.place}"

    @property
    def copy(self) -> Path:
        return Mirror(self.url).copy

    def command(self, work: Work, check: Work = lambda seen: None) -> Ended:
        """What becomes of a command."""

        @command("experiments.sweep", stopped="stopped; go on with --resume")
        def main(arguments: object = None) -> int:
            with working_folder(self.url, "experiments.sweep", Screen(), check) as copy:
                work(copy)
            return 0

        return in_a_child(main, self._folder)

    def holds(self) -> dict[str, str]:
        files = self.place.rglob("*")
        return {path.relative_to(self.place).as_posix(): path.read_text() for path in files if path.is_file()}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(writing, "SECONDS", 0.1)
    monkeypatch.setattr(writing, "PAUSES", (0.1, 0.1))
    return Store(tmp_path)


def lay(copy: Path, name: str, text: str) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    (copy / MARK).write_text("mark")
    (copy / name).write_text(text)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc")


def where(store: Store) -> str:
    return f"everything is in {store.copy}, from where the next command with this URL writes it"


def try_to_take(url: str) -> Path:
    with Mirror(url).taken():
        raise AssertionError("somebody else writes there")


@linux
@pytest.mark.parametrize("which", ["writes", "watches"])
def test_a_process_that_dies_is_begun_anew_and_leaves_the_copy_to_its_command(store: Store, which: str) -> None:
    def work(copy: Path) -> None:
        lay(copy, "config.toml", "first")
        wait_for(lambda: "config.toml" in store.holds(), "the first push")
        (watches,) = children(os.getpid())
        os.kill(*(children(watches) if which == "writes" else [watches]), signal.SIGKILL)
        lay(copy, "config.toml", "second")
        if which == "writes":
            wait_for(lambda: store.holds()["config.toml"] == "second", "a push after that")
        refused = Child(try_to_take, store.url).answer()
        assert f"{copy.parent}: another command is writing there" in refused.why
        assert WRITER in store.holds()

    status, _, error = store.command(work)
    assert status == 0, error
    assert "ended unexpectedly (killed by signal 9)" in error
    assert error.endswith("; it is begun anew\n")
    assert store.holds() == {MARK: "mark", "config.toml": "second"}


@linux
def test_a_process_that_always_dies_is_named_in_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkingCopy, "held", lambda self: os._exit(7))
    status, _, error = store.command(lambda copy: lay(copy, "config.toml", "text"))
    assert status == 1
    why = f"experiments.sweep: writing to {store.url}: its process ended unexpectedly (exit code 7)"
    assert error.splitlines()[-1] == f"{why}; {where(store)}"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM], ids=errno.errorcode.get)
def test_a_disk_that_is_full_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    held, until = WorkingCopy.held, store.said.with_name("mended")

    def held_once_mended(copy: WorkingCopy) -> object:
        if not until.exists():
            raise OSError(number, os.strerror(number))
        return held(copy)

    def work(copy: Path) -> None:
        lay(copy, "config.toml", "text")
        wait_for(lambda: f"{os.strerror(number)}; the work goes on" in store.said.read_text())
        until.touch()
        wait_for(lambda: "config.toml" in store.holds(), "a push after that")

    monkeypatch.setattr(WorkingCopy, "held", held_once_mended)
    status, _, error = store.command(work)
    assert status == 0, error
    assert "Traceback" not in error


def fail_to_finish(mirror: Mirror) -> None:
    raise StoreError(f"{mirror.url}: no route to it")


def test_ctrl_c_ends_the_waiting_for_a_store_and_says_where_everything_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PAUSES", (1e6,))
    monkeypatch.setattr(Mirror, "finish", fail_to_finish)

    def work(copy: Path) -> None:
        lay(copy, "config.toml", "text")
        if os.fork() == 0:  # hits Ctrl-C once the store has failed
            wait_for(lambda: "the next attempt is in 1e+06 s" in store.said.read_text())
            os.kill(os.getppid(), signal.SIGTERM)  # asks for what is being done
            os.kill(os.getppid(), signal.SIGINT)
            os._exit(0)

    status, _, error = store.command(work)
    assert status == 128 + signal.SIGINT
    assert error.splitlines()[-1] == f"experiments.sweep: {store.url}: stopped; {where(store)}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_asks_for_the_end_the_store_gets_everything(store: Store, number: int) -> None:
    def work(copy: Path) -> None:
        lay(copy, "config.toml", "text")
        os.kill(os.getpid(), number)

    status, _, error = store.command(work)
    assert (status, error) == (128 + number, "experiments.sweep: stopped; go on with --resume\n")
    assert store.holds() == {MARK: "mark", "config.toml": "text"}


def test_nothing_is_fetched_or_written_before_a_refusal(store: Store) -> None:
    lay(store.place, "config.toml", "text")
    lay(store.place, "report.html", "a large page")
    before = store.holds()

    def refuse(seen: Path) -> None:
        raise StoreError(f"{seen}: {' '.join(sorted(path.name for path in seen.iterdir()))}")

    status, _, error = store.command(lambda copy: None, refuse)
    assert (status, error) == (2, f"experiments.sweep: {store.url}: {MARK} config.toml\n")
    assert store.holds() == before
    assert not store.copy.parent.parent.exists()


def test_a_copy_that_is_ahead_is_what_a_command_is_asked_about(store: Store) -> None:
    def work(copy: Path) -> None:
        lay(copy, "config.toml", "text")
        os.kill(os.getpid(), signal.SIGKILL)

    assert store.command(work).status == -signal.SIGKILL
    assert store.holds().keys() == {WRITER}

    def check(seen: Path) -> None:
        if (seen / "config.toml").read_text() != "text":
            raise StoreError("nothing to resume there")

    status, _, error = store.command(lambda copy: None, check)
    assert status == 0, error
    assert store.holds() == {MARK: "mark", "config.toml": "text"}
