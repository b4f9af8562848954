"""Child processes: they end with their parent, and if one dies, only its own task is lost."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, cast

from experiments.config.failures import explained
from experiments.config.mistakes import one_line
from experiments.training.termination import Terminated, termination

LINUX = sys.platform == "linux"
# A forked child has torch already; a spawned one has to import it again.
CONTEXT: Any = multiprocessing.get_context("fork" if LINUX else "spawn")
PATIENCE = 5.0  # seconds that a child may take to close its simulators and end
MOMENT = 0.1  # seconds between two calls of what is done while children work
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class Ended(NamedTuple):
    """A task ended without an answer; `why` says the reason in one line."""

    why: str


class Lost(Ended):
    """The process of a task ended without an answer."""


def start(target: Callable[..., None], *arguments: Any, has_children: bool = False) -> BaseProcess:
    """Start a child that runs `target`. It ignores Ctrl-C, which its parent handles, and ends with its parent. One
    that is to have children itself has to be ended by its parent, or Python waits for it."""
    process: BaseProcess = CONTEXT.Process(
        target=_child, args=(os.getpid(), target, *arguments), daemon=not has_children
    )
    with signals_held():
        process.start()
    return process


def _child(parent: int, target: Callable[..., None], *arguments: Any) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, termination)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a signal may have come meanwhile
        end_with(parent)
        target(*arguments)
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending


def end_with(parent: int) -> None:
    """Let this process be killed when its parent ends, however the parent ends.

    Linux does that itself, even to a stopped process; on other systems a thread checks once per second.
    """
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent has ended already
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@contextmanager
def signals_held() -> Iterator[None]:
    """Block signals while a child starts: it unblocks them itself, once it has its own handlers."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(processes: Sequence[BaseProcess]) -> None:
    """End children, and kill those that do not end when asked to (such as stopped ones)."""
    for process in processes:
        process.terminate()
    latest = time.monotonic() + PATIENCE
    try:
        for process in processes:
            process.join(max(0.0, latest - time.monotonic()))
    finally:  # after another Ctrl-C there is no more waiting
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def run_program(words: Sequence[str], meanwhile: Callable[[Callable[[], bool]], None] | None = None) -> int:
    """Run another program until it ends; its exit status. Ctrl-C ends it from here: it hears none itself, and so
    has no traceback to show.

    Args:
        words: of its command line.
        meanwhile: done once it has started, given what tells whether it still runs.
    """
    process = start(os.execvp, words[0], words)
    try:
        if meanwhile is not None:
            meanwhile(process.is_alive)
        process.join()
    finally:
        end([process])
    status = cast(int, process.exitcode)
    return status if status >= 0 else 128 - status


def why_ended(process: BaseProcess) -> str:
    """Why a child that has closed its pipe ended, in words."""
    process.join(1)
    code = process.exitcode
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def answered(function: Callable[[Any], Any], task: Any) -> Any:
    """What the function makes of a task; `Ended` if that failed and a user can do something about it."""
    try:
        return function(task)
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        return Ended(one_line(failure))


class Child:
    """A process of this machine that does one task. It can be waited for, as a connection can."""

    def __init__(self, function: Callable[[Any], Any], task: Any) -> None:
        self._pipe, theirs = CONTEXT.Pipe(duplex=False)
        self.process = start(_answer, theirs, function, task)
        theirs.close()

    def fileno(self) -> int:
        return cast(int, self._pipe.fileno())

    def answer(self) -> Any:
        """What the function made of the task, once it is there (see `answered`). A mistake in this program ends
        the process with a traceback."""
        with self._pipe:
            try:
                answer = self._pipe.recv()
            except (EOFError, OSError):
                return Lost(f"its process ended unexpectedly ({why_ended(self.process)})")
        self.process.join(PATIENCE)
        return answer


def _answer(pipe: Connection, function: Callable[[Any], Any], task: Any) -> None:
    pipe.send(answered(function, task))
