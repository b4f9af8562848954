"""The process that writes a working copy to its store, and what watches it.

It is a process of its own, so that uploads take no time from training. Another one, which has no threads whatever
the command has by then, watches it, and begins it anew if it dies.
"""

import signal
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from experiments.config.failures import explained
from experiments.session.command import fail
from experiments.session.console import Screen
from experiments.session.interrupts import Interrupts
from experiments.session.processes import CONTEXT, Child, Ended, Lost, signals_held, start, why_ended
from experiments.storage.mirror import Mirror
from experiments.storage.stored_files import StoreError

SECONDS = 30.0  # between two pushes
MAX_SECONDS = 300.0  # that a failing store is left alone
PAUSES = (2.0, 4.0, 8.0, 16.0)  # seconds between the attempts at the end


class Writing:
    """The processes that write a working copy to the store, as long as the context lasts."""

    def __init__(self, mirror: Mirror, command: str, screen: Screen, interrupts: Interrupts) -> None:
        self._mirror, self._command, self._screen, self._interrupts = mirror, command, screen, interrupts
        self._begin()

    def _begin(self) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        with signals_held():
            self._process = start(_keep_writing, theirs, self._mirror.url, self._command, has_children=True)
        theirs.close()

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.kill()  # there is nothing more for it to do
        self._process.join()

    def finish(self) -> StoreError | None:
        """Write what is not there yet, until another Ctrl-C; what to tell the user if that failed."""
        where = f"everything is in {self._mirror.copy}, from where the next command with this URL writes it"
        try:
            self._interrupts.only_ctrl_c()
            failed = self._answer()
            if isinstance(failed, Lost):
                fail(self._command, f"{failed.why}; it is begun anew", 1)
                self.__exit__()
                self._begin()
                failed = self._answer()
        except KeyboardInterrupt:
            return StoreError(f"{self._mirror.url}: stopped; {where}", status=128 + signal.SIGINT)
        return None if failed is None else StoreError(f"{failed.why}; {where}", status=1)

    def _answer(self) -> Ended | None:
        url = self._mirror.url
        with self._screen.waiting(f"writing to {url}"):
            with suppress(OSError):  # it has ended
                self._pipe.send(None)
            try:
                answer: Ended | None = self._pipe.recv()
            except (EOFError, OSError):
                why = why_ended(self._process)
                answer = Lost(f"{url}: the process that writes there ended unexpectedly ({why})")
        return answer


def _keep_writing(pipe: Connection, url: str, command: str) -> None:
    """The process that watches: answers once all of the copy is in the store, or cannot be written there."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a scheduler sends it to all processes of a job
    ends = 0  # of what writes, after it was asked to finish
    while isinstance(answer := Child(_write, (pipe, url, command)).answer(), Lost):
        answer = Ended(f"writing to {url}: {answer.why}")
        if ends == len(PAUSES):
            break
        fail(command, f"{answer.why}; it is begun anew", 1)
        ends += pipe.poll(SECONDS)
    pipe.send(answer)


def _write(task: tuple[Connection, str, str]) -> None:
    """Write what has changed now and then; all of it once there is a message, which stays in the pipe for whoever
    has to go on with that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe, url, command = task
    mirror, pause = Mirror(url), SECONDS
    mirror.go_on()
    while not pipe.poll(pause):
        try:
            mirror.push()
            pause = SECONDS
        except (StoreError, OSError) as error:
            pause = min(2 * pause, MAX_SECONDS)
            fail(command, f"{explained(error)}; the work goes on, and the next attempt is in {pause:g} s", 1)
    finish(mirror, command)


def finish(mirror: Mirror, command: str) -> None:
    """Write all that is not in the store yet, and let the store go; with a line for each attempt that fails.

    Raises:
        StoreError, OSError: the last attempt failed, too.
    """
    for pause in PAUSES:
        try:
            return mirror.finish()
        except (StoreError, OSError) as error:
            fail(command, f"{explained(error)}; the next attempt is in {pause:g} s", 1)
            time.sleep(pause)
    mirror.finish()
