"""The start and the end of every command: streams, Ctrl-C, words, failures, dead pipes."""

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch

import train
from experiments import argument, play
from experiments.config.commands import command_words
from experiments.config.failures import OUT_OF_MEMORY, Failure, explained, is_out_of_memory
from experiments.config.schema import ConfigError
from experiments.session.command import command, flushed
from experiments.session.command_line import Parser, folder, place
from experiments.session.members import WorkerFailed

ROOT = Path(__file__).parents[3]
COMMANDS = {
    "train.py": train,
    **{f"experiments.{name}": importlib.import_module(f"experiments.{name}") for name in command_words()},
}
EVERY_COMMAND = pytest.mark.parametrize("name", COMMANDS)


def python(
    code: str, *words: str, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """A process of its own; Ctrl-C means there what it means in a terminal, whoever started the tests."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        text=True,
        timeout=250,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def started(name: str, *words: str) -> str:
    """Code that starts a command as `python train.py` and `python -m` do."""
    how = f"run_path({name!r}" if name.endswith(".py") else f"run_module({name!r}, alter_sys=True"
    return f"import runpy, sys; sys.argv[1:] = {list(words)!r}; runpy.{how}, run_name='__main__')"


def in_a_terminal(code: str) -> str:
    """What a terminal gets of a process of its own."""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as reader:
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        os.close(theirs)
        said = b""
        with suppress(OSError):  # EIO: the other end is closed
            while data := reader.read(4096):
                said += data
        child.wait(250)
    return said.decode()


# --- that every command has its start and its end from here ---


def test_every_module_that_is_a_program_is_tested_here() -> None:
    programs = {
        path.stem
        for path in (ROOT / "experiments").glob("[a-z]*.py")
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    }
    assert {f"experiments.{name}" for name in programs} == set(COMMANDS) - {"train.py"}
    assert programs == set(command_words())


@EVERY_COMMAND
def test_a_usage_error_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--wrokers"], ["--quik"], ["a", "b", "--out"], ["--seed", "x", "--what\nis this"]):
        with pytest.raises(SystemExit) as end:
            COMMANDS[name].main(words)
        assert end.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"{name}: ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("?\n") or "--help" in said.err


# What each command imports first and last of what takes long.
IMPORTS = [
    *(("train.py", module) for module in ("pydantic", "numba", "pyarrow", "rich")),
    ("experiments.argument", "scipy"),
    ("experiments.benchmark", "numpy"),
    ("experiments.explain", "jinja2"),
    ("experiments.look", "socket"),
    ("experiments.play", "scipy"),
    ("experiments.report", "matplotlib"),
    ("experiments.textbook", "torch"),
    ("experiments.verify", "scipy"),
]
HIT = """
import os, sys
class Hit:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Hit())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "module"), IMPORTS)
def test_ctrl_c_while_modules_are_imported_is_one_line(name: str, module: str) -> None:
    words = {"train.py": ["configs/bandit.toml", "--out", "/nowhere"], "experiments.report": ["/nowhere"]}
    done = python(HIT.format(module=module) + started(name, *words.get(name, ["--help"])))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{name}: stopped\n")


LOADS = """
import threading, time
from experiments.session.command import begin, command, leave
begin("train.py")
time.sleep(1)  # as imports take

@command("train.py")
def main(arguments=None):
    print(f"begun with {threading.active_count()} thread")
    return 0

leave(main)
"""


def test_a_terminal_sees_at_once_that_a_slow_start_is_alive() -> None:
    said = in_a_terminal(LOADS)
    assert said.count("\r/ loading") >= 1
    assert said.endswith("loading\r\x1b[2Kbegun with 1 thread\r\n")  # nothing is left, and processes may be forked


def test_nothing_moves_where_no_terminal_shows_it() -> None:
    done = python(LOADS)
    assert (done.stdout, done.stderr) == ("begun with 1 thread\n", "")


def test_ctrl_c_in_main_is_one_line_whatever_is_being_done() -> None:
    code = """
from experiments.session.command import begin, command, leave
begin("sleeper")
@command("sleeper", stopped="stopped; it goes on")
def main(arguments=None):
    import time
    signal.raise_signal(signal.SIGINT)
    time.sleep(60)
leave(main)
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (130, "sleeper: stopped; it goes on\n")


def test_a_child_leaves_it_to_its_parent_to_say_that_it_was_stopped() -> None:
    code = """
import multiprocessing
from experiments.session.command import begin
begin("parent")
def hit():
    signal.raise_signal(signal.SIGINT)
child = multiprocessing.get_context("fork").Process(target=hit)
child.start(); child.join()
print(child.exitcode)
"""
    done = python(code)
    assert (done.stdout, done.stderr) == ("130\n", "")


def test_where_ctrl_c_is_ignored_it_stays_ignored() -> None:
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
from experiments.session.command import begin
begin("background")
signal.raise_signal(signal.SIGINT)
print("goes on")
"""
    assert python(code).stdout == "goes on\n"


# --- streams ---


def test_closed_descriptors_are_opened_before_anything_else_can_get_them() -> None:
    code = """
import os
for descriptor in (0, 1, 2):
    os.close(descriptor)
sys = __import__("sys"); sys.stdin = sys.stdout = sys.stderr = None
from experiments.session.command import begin
begin("closed")
first = os.open("/dev/null", os.O_RDONLY)
print("to nobody"); print("to nobody", file=sys.stderr, flush=True)
os._exit(first)
"""
    assert python(code).returncode == 3


def test_what_cannot_be_encoded_is_replaced() -> None:
    code = """
from experiments.session.command import begin
begin("latin")
print("H(\\u03c0) \\u2192 0 \\ud800")
"""
    done = python(code, environment={"PYTHONIOENCODING": "ascii"})
    assert (done.stdout, done.stderr) == ("H(?) ? 0 ?\n", "")


DEAD = """
from experiments.session.command import begin, command, leave
begin("talker")
@command("talker")
def main(arguments=None):
    for number in range(int({lines})):
        print("word " * 20)
    return 0
leave(main)
"""


@pytest.fixture
def dead_pipe() -> Any:
    """Where writing fails: nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_dead_pipe_ends_quietly(lines: int, dead_pipe: int) -> None:
    done = python(DEAD.format(lines=lines), stdout=dead_pipe)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [("train.py", ["--list"]), ("train.py", ["--help"]), ("experiments.report", ["--help"])],
)
def test_a_dead_pipe_ends_a_command_quietly(name: str, words: list[str], dead_pipe: int) -> None:
    done = python(started(name, *words), stdout=dead_pipe)
    assert done.returncode in (0, 1)  # argparse does not ask whether its help arrives
    assert done.stderr == ""


def test_flushing_a_dead_stream_is_quiet_once_and_for_all(monkeypatch: pytest.MonkeyPatch, dead_pipe: int) -> None:
    with open(os.dup(dead_pipe), "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("word")
        assert flushed(0) == 1
        assert flushed(0) == 0


# --- the end ---


def test_the_end_waits_for_those_who_tidy_up_and_for_nothing_else() -> None:
    code = """
from experiments.session.command import begin, leave
begin("quick")
import atexit, threading, time
class Slow:
    def __del__(self):
        time.sleep(60)
kept = [Slow()]
kept.append(kept)  # in a circle: for the collector, when modules are taken down
atexit.register(print, "tidied up")
thread = threading.Timer(0.2, print, ["last word"]); thread.start()
leave(lambda arguments=None: 3)
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (3, "last word\ntidied up\n", "")


# --- failures ---


def real(make: Callable[[], object]) -> BaseException:
    """The error that it raises."""
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("no error")


@numba.njit
def too_much(size: int) -> Any:
    return np.zeros(size)[size // 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(1 << 55),
        lambda: np.empty(1 << 55),
        lambda: too_much(1 << 55),
        lambda: bytearray(1 << 60),
        lambda: (_ for _ in ()).throw(OSError(errno.ENOMEM, "Cannot allocate memory")),
    ],
    ids=["torch", "numpy", "numba", "python", "fork"],
)
def test_out_of_memory_is_one_line_wherever_it_happens(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = real(make)
    assert is_out_of_memory(error)

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(train, "config_of", raising)
    assert train.main([]) == 1
    assert capsys.readouterr().err == f"train.py: {OUT_OF_MEMORY}\n"


def test_failures_have_their_line_and_their_status(capsys: pytest.CaptureFixture[str]) -> None:
    for error, status, words in (
        (ConfigError("no such\nkey"), 2, "no such key"),
        (WorkerFailed("a worker died"), 1, "a worker died"),
        (Failure("halfway", status=1), 1, "halfway"),
        (OSError(errno.ENOSPC, "No space left on device", "/full"), 1, "/full: No space left on device"),
        (OSError("broken"), 1, "broken"),
        (KeyboardInterrupt(), 130, "stopped"),
    ):

        @command("some.command")
        def main(arguments: Sequence[str] | None = None, error: BaseException = error) -> int:
            raise error

        assert main([]) == status
        assert capsys.readouterr().err == f"some.command: {words}\n"


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    @command("some.command")
    def main(arguments: Sequence[str] | None = None) -> int:
        raise KeyError("oops")

    assert explained(KeyError("oops")) is None
    with pytest.raises(KeyError):
        main([])


# --- folders and files ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_names_of_folders_and_files(home: Path) -> None:
    assert place("~/x y") == folder("~/x y") == home / "x y"
    assert folder("~") == home
    assert folder("a/~") == Path("a/~")
    for wrong, words in (
        ("", "empty"),
        ("~nobody_of_this_name/x", "no such home"),
        ("x\udcff", r"UTF-8, not b'x\\xff'"),
    ):
        with pytest.raises(Exception, match=words):
            folder(wrong)


@EVERY_COMMAND
def test_every_command_knows_the_home_folder(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where it looked, or is asked where it would write."""
    (home / "file").write_text("")
    words = {
        "train.py": ["~/none.toml"],
        "experiments.benchmark": ["--out", "~/file/x"],
        "experiments.explain": ["--out", "~/file"],
        **{f"experiments.{reader}": ["~/none"] for reader in ("look", "play", "report", "sweep")},
    }
    if name in ("experiments.textbook", "experiments.verify"):
        return  # they name none
    if name == "experiments.argument":
        asked: list[Path] = []
        monkeypatch.setattr(argument, "prepare_all", lambda configs, out, *_: asked.append(out) or exit_now())
        with pytest.raises(SystemExit):
            argument.main(["--out", "~/x"])
        assert asked == [home / "x"]
        return
    assert COMMANDS[name].main(words[name]) == 2
    assert f"{home}/" in capsys.readouterr().err


def exit_now() -> None:
    raise SystemExit


def test_the_folder_and_the_picture_of_two_commands_know_the_home_folder(home: Path) -> None:
    assert train.parser().parse_args(["--out", "~/x"]).out == home / "x"
    assert play.parser().parse_args(["x", "--gif", "~/x.gif"]).gif == home / "x.gif"


def test_a_folder_that_is_not_utf_8_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        train.main([str(ROOT / "configs" / "bandit.toml"), "--out", "f\udcffolder"])
    assert end.value.code == 2
    assert "--out: needs a name in UTF-8" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_options_are_not_abbreviated() -> None:
    parser = Parser("some.command", "what it does")
    parser.add_argument("--workers")
    with pytest.raises(SystemExit):
        parser.parse_args(["--work", "3"])
