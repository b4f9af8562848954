"""Children of a test: they hear signals, whatever the suite's parent ignores, and no wait for them is endless."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

# Seconds after which a test gives up: far more than a busy machine needs, and less than pytest's
# faulthandler_timeout, which ends the whole process.
PATIENCE = 240.0


class Ended(NamedTuple):
    """How a child ended, and what it wrote."""

    status: int  # negative for a signal
    out: str
    error: str


def wait_for(ask: Callable[[], T], what: str = "it") -> T:
    """Ask until the answer is true."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: still {answer!r} after {PATIENCE:.0f} s")
        time.sleep(0.02)
    return answer


def hear_signals() -> None:
    """Let signals mean what they mean to a command at a terminal. The background of a script ignores Ctrl-C, and
    nohup a closed terminal, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def forked(action: Callable[[], int], folder: Path) -> int:
    """Start a child in a process group of its own, which ends with the status that `action` returns.

    Forked, it has the modules and the patches of the test. It writes to out.txt and error.txt in `folder`.

    Returns:
        its process id.
    """
    process = os.fork()
    if process:
        return process
    status = 99
    try:
        os.setpgid(0, 0)
        for name, descriptor in (("out", 1), ("error", 2)):
            file = os.open(folder / f"{name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, descriptor)
            os.close(file)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
        hear_signals()
        status = action()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(process: int) -> int:
    """Wait for a child that leads a process group, and for the group; its exit status, negative for a signal."""
    try:
        _, status = wait_for(lambda: waited if any(waited := os.waitpid(process, os.WNOHANG)) else None, "a child")
        wait_for(lambda: not _is_alive(process), "a worker outlives the process that started it")
    except TimeoutError:
        os.killpg(process, signal.SIGKILL)
        raise
    return os.waitstatus_to_exitcode(status)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def in_a_child(action: Callable[[], int], folder: Path) -> Ended:
    """What becomes of `action` in a child that hears signals."""
    status = ended(forked(action, folder))
    return Ended(status, (folder / "out.txt").read_text(), (folder / "error.txt").read_text())
