"""Child processes: they end with their parent, and one that dies costs its own task alone."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeVar, cast

from experiments.config.failures import explained
from experiments.config.mistakes import one_line

Task = TypeVar("Task")

LINUX = sys.platform == "linux"
# A forked child has torch loaded already; elsewhere it has to be imported again.
CONTEXT: Any = multiprocessing.get_context("fork" if LINUX else "spawn")
PATIENCE = 5.0  # seconds that a child may take to end by itself, its simulators closed
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class Ended(NamedTuple):
    """A child that ended without an answer; in one line, why."""

    why: str


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A child that runs `target`. It ignores Ctrl-C, which is for its parent, and ends with it."""
    process: BaseProcess = CONTEXT.Process(target=_child, args=(os.getpid(), target, *arguments), daemon=True)
    with _signals_held():
        process.start()
    return process


def _child(parent: int, target: Callable[..., None], *arguments: Any) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what is open is closed on the way
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    end_with(parent)
    target(*arguments)


def end_with(parent: int) -> None:
    """This process is killed when its parent ends, however that ends: nobody else would end it then.

    Linux does it by itself, even to a stopped process; elsewhere a thread looks once per second.
    """
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@contextmanager
def _signals_held() -> Iterator[None]:
    """A child is born deaf: it says itself what signals mean to it before it hears any."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(processes: Sequence[BaseProcess]) -> None:
    """End children; those that do not end when they are asked to, as a stopped one does not, are killed."""
    for process in processes:
        process.terminate()
    latest = time.monotonic() + PATIENCE
    try:
        for process in processes:
            process.join(max(0.0, latest - time.monotonic()))
    finally:  # Ctrl-C once more: no patience is left
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
    """In words, of a child that has closed its pipe."""
    process.join(1)
    code = process.exitcode
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def each_apart(
    function: Callable[[Task], Any], tasks: Sequence[Task], at_once: int
) -> Generator[tuple[Task, Any], None, None]:
    """Do each task in a process of its own, so many at a time; pairs of task and answer as they come.

    The answer of a process that failed, or that ended before it gave one, is `Ended`. A mistake of this program
    ends its process, with its traceback. Close the iterator, and what is under way ends.
    """
    waiting, working = list(reversed(tasks)), dict[Connection, tuple[Task, BaseProcess]]()
    try:
        while waiting or working:
            while waiting and len(working) < at_once:
                task = waiting.pop()
                ours, theirs = CONTEXT.Pipe(duplex=False)
                working[ours] = task, start(_answer, theirs, function, task)
                theirs.close()
            for pipe in cast("list[Connection]", wait(list(working))):
                task, process = working.pop(pipe)
                yield task, _received(pipe, process)
    finally:
        end([process for _, process in working.values()])


def _answer(pipe: Connection, function: Callable[[Any], Any], task: Any) -> None:
    try:
        answer = function(task)
    except Exception as error:
        failure = explained(error)
        if failure is None:
            raise
        answer = Ended(one_line(failure))
    pipe.send(answer)


def _received(pipe: Connection, process: BaseProcess) -> Any:
    with pipe:
        try:
            answer = pipe.recv()
        except (EOFError, OSError):
            return Ended(f"its process ended unexpectedly ({why_ended(process)})")
    process.join(PATIENCE)
    return answer
