"""Child processes end with their parent, even stopped ones, and one that dies costs its own task alone."""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from experiments import argument
from experiments.pages import training_page
from experiments.session import processes
from experiments.session.engines import LocalEngine
from experiments.session.processes import Ended, end, run_program, start
from experiments.storage.run_folder import StoreError
from experiments.training.environments import FAILURES
from experiments.training.termination import Terminated, termination
from tests.experiments.processes import in_a_child
from tests.experiments.small_training import small_config, train

ROOT = Path(__file__).parents[3]


def sleep() -> None:
    time.sleep(1000)


def is_alive(process: int) -> bool:
    """A zombie that nobody has waited for is dead."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(members: list[int], seconds: float = 30) -> bool:
    latest = time.monotonic() + seconds
    while any(map(is_alive, members)):
        if time.monotonic() > latest:
            for process in filter(is_alive, members):
                os.kill(process, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return True


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")


@needs_proc
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("by_itself", [True, False], ids=["as the system does", "as a thread does"])
def test_children_end_with_their_parent(stopped: bool, by_itself: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if stopped and not by_itself:
        pytest.skip("a stopped process has no running thread")
    monkeypatch.setattr(processes, "LINUX", by_itself and sys.platform == "linux")
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        children = [start(sleep), start(sleep)]
        time.sleep(0.2)
        os.write(writer, " ".join(str(child.pid) for child in children).encode())
        time.sleep(1000)
        os._exit(1)
    members = [int(word) for word in os.read(reader, 100).split()]
    if stopped:
        for process in members:
            os.kill(process, signal.SIGSTOP)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert gone(members)
    os.close(reader)
    os.close(writer)


def test_a_stopped_child_is_killed_after_a_short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    children = [start(sleep), start(sleep)]
    assert children[0].pid is not None
    os.kill(children[0].pid, signal.SIGSTOP)
    os.waitpid(children[0].pid, os.WUNTRACED)  # it has stopped
    end(children)
    assert [child.exitcode for child in children] == [-signal.SIGKILL, 128 + signal.SIGTERM]


CTRL_C = "import os, signal, time; os.kill(0, signal.SIGINT); time.sleep(1000)"  # as the terminal sends it: to all


def dying(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        os._exit(7)
    if number == 4:
        raise StoreError("a full house")
    return number * number


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_one_that_dies_costs_its_own_task_alone(at_once: int) -> None:
    answers = dict(LocalEngine(at_once, print).each(dying, range(6), str))
    dead, left = (f"its process ended unexpectedly ({why})" for why in ("killed by signal 9", "exit code 7"))
    assert answers == {0: 0, 1: 1, 2: Ended(dead), 3: Ended(left), 4: Ended("a full house"), 5: 25}


def test_something_can_be_done_while_all_are_at_work() -> None:
    calls: list[int] = []
    answers = LocalEngine(2, print).each(lambda _: time.sleep(0.5), range(2), str, lambda: calls.append(1))
    assert len(list(answers)) == 2
    assert calls


def test_a_program_says_how_it_ended() -> None:
    for code, status in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 128 + 9), ("", 0)):
        assert run_program([sys.executable, "-c", code]) == status


def test_a_program_that_is_run_does_not_hear_ctrl_c_and_ends_with_it(tmp_path: Path) -> None:
    """It would answer with a traceback, and is still loading its modules when it comes."""

    def run_it() -> int:
        try:
            return run_program([sys.executable, "-c", CTRL_C])
        except KeyboardInterrupt:
            return 130

    assert in_a_child(run_it, tmp_path) == (130, "", "")


def test_what_is_under_way_ends_when_nobody_wants_the_answers() -> None:
    before = set(processes.multiprocessing.active_children())

    def task(number: int) -> int:
        if number:
            time.sleep(1000)
        return number

    with closing(LocalEngine(3, print).each(task, range(3), str)) as answers:
        assert next(answers) == (0, 0)
    assert set(processes.multiprocessing.active_children()) == before


def test_every_process_is_started_to_end_with_its_parent() -> None:
    """In one place; the benchmark's, which has to be spawned, says so itself."""
    places = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("experiments/**/*.py")}
    starting = re.compile(r"\.Process\(|\bPool\(|ProcessPoolExecutor|os\.fork\(|Popen\(|posix_spawn")
    found = {name for name, text in places.items() if starting.search(text)}
    assert found == {"processes.py", "scenarios.py", "revisions.py"}
    assert "    end_with(parent)\n" in places["scenarios.py"]


class TestTheArgument:
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _modules_are_imported(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Else each child of the tests would do it."""
        train(tmp_path_factory.mktemp("first"), small_config("training.updates=1"))

    @pytest.fixture(autouse=True)
    def _small_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = small_config("training.updates=2")
        plan = [config.model_copy(update={"name": name}) for name in ("one", "two", "three")]
        monkeypatch.setattr(argument, "configs", lambda quick: plan)
        monkeypatch.setattr(training_page, "pictures", lambda results, showing: [])
        monkeypatch.setattr(argument, "argument_page", lambda done, summary: "a page")
        monkeypatch.setattr(argument, "headline", lambda done: [])

    @staticmethod
    def _failing(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None]) -> None:
        prepare = argument.prepare

        def prepare_or_fail(config: argument.Config, path: Path) -> argument.Done:
            if config.name == "two":
                fault()
            return prepare(config, path)

        monkeypatch.setattr(argument, "prepare", prepare_or_fail)

    def test_names_the_one_that_failed_and_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        words = ["-v", "--workers", "2", "--out", str(tmp_path / "argument")]
        faults: dict[str, Callable[[], None]] = {
            "its process ended unexpectedly (killed by signal 9)": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "a full house": lambda: raising(StoreError("a full house")),
            "/far/away: No space left on device": lambda: raising(
                OSError(28, "No space left on device", "/far/away")
            ),
        }
        for why, fault in faults.items():
            with monkeypatch.context() as patched:
                self._failing(patched, fault)
                assert argument.main(words) == 1
            said = capfd.readouterr()
            assert said.err.splitlines() == [
                f"experiments.argument: two: {why}",
                "experiments.argument: 1 of 3 experiments failed; the same command tries them again",
            ]
            assert "2/3" in said.out
            assert not (tmp_path / "argument" / "summary.json").exists()
        assert argument.main(words) == 0
        assert capfd.readouterr().out.count("unchanged") == 2

    @pytest.mark.slow
    def test_says_unchanged_of_nothing_that_older_code_has_trained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A cell is killed before each change: where the present code's mark is, nothing of older code is left."""
        monkeypatch.setattr(argument, "configs", lambda quick: [small_config("training.updates=2")])
        with monkeypatch.context() as patched:
            patched.setattr(argument, "digest", lambda *_: "0123456789abcdef")
            assert argument.main(["--workers", "1", "--out", str(tmp_path / "older")]) == 0
        out = tmp_path / "argument"
        cell, older = argument.RunFolder(out / "small"), tmp_path / "older" / "small"
        words, status, number, marked = ["-v", "--workers", "1", "--out", str(out)], 1, 0, 0
        while status and marked < 5:  # when it is there once, no change brings old files back
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(tmp_path / "older", out)  # with the times of the files
            status = argument_killed_before_change(words, number)
            if cell.source() != "0123456789abcdef":
                marked += bool(cell.source())
                names = [name for name in cell.names() if (older / name).exists()] if cell.source() else []
                kept = [name for name in names if same_time(cell.path / name, older / name)]
                assert set(kept) <= {".lock", ".made_by.json"}, number
            number += 1
        assert number > 20
        assert marked == 5
        assert "unchanged (" not in capfd.readouterr().out


def same_time(one: Path, two: Path) -> bool:
    return one.stat().st_mtime_ns == two.stat().st_mtime_ns


def raising(error: Exception) -> None:
    raise error


def argument_killed_before_change(words: list[str], number: int) -> int:
    """`argument` in a child, whose cell is killed before its n-th change; 0: it made fewer."""
    process = os.fork()
    if not process:
        begun = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal begun
            if event in ("os.rename", "os.remove", "os.rmdir"):
                begun += 1
                if begun > number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        os._exit(argument.main(words))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def told_to_end(told: Path, while_it: str) -> None:
    def tell(word: str) -> None:
        told.write_text(f"{told.read_text()}{word} ")

    def does(what: str) -> None:
        if what == while_it:
            os.kill(os.getpid(), signal.SIGTERM)
        tell(what)

    with termination.held():
        does("makes")
        try:
            with termination.held(False):
                does("works")
        finally:
            does("closes")
    tell("goes on")


@pytest.mark.parametrize(
    ("while_it", "told"),
    [("makes", "makes closes "), ("works", "makes closes "), ("closes", "makes works closes ")],
)
def test_a_child_that_is_told_to_end_finishes_what_it_makes_or_closes(
    while_it: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "told.txt"
    file.write_text("")
    child = start(told_to_end, file, while_it)
    child.join(60)
    assert (child.exitcode, file.read_text()) == (128 + signal.SIGTERM, told)


def test_to_be_told_to_end_is_no_failure_of_a_world() -> None:
    assert not issubclass(Terminated, FAILURES)
