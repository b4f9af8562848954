"""Commands whose folder is in a store: they work on a copy, and a process of its own writes it to the store.

A process, since a command that forks should have no threads; and uploads then take no time from training.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from experiments.config.failures import Failure
from experiments.session.command import fail
from experiments.session.console import Screen
from experiments.session.engines import LocalEngine
from experiments.session.processes import CONTEXT, MOMENT, Ended, answered, end, start, why_ended
from experiments.session.waiting import Waiting
from experiments.storage.mirror import Mirror
from experiments.storage.stored_files import StoreError

SECONDS = 30.0  # between two pushes
MAX_SECONDS = 300.0  # that a failing store is left alone
PAUSES = (2.0, 4.0, 8.0, 16.0)  # seconds between the attempts at the end


@contextmanager
def working_folder(place: Path | str, command: str, screen: Screen) -> Iterator[Path]:
    """The folder to work in: `place` itself, or for a URL a copy, which is written to the store meanwhile and at
    the end.

    Args:
        place: where the command is to write.
        command: its name, for messages.
        screen: where waiting is shown.
    Raises:
        StoreError: the store cannot be used; or, with status 1, it fails at the end.
    """
    if isinstance(place, Path):
        yield place
        return
    with _Writing(Mirror(place), command, screen) as writing:
        try:
            with _named(writing.mirror.copy, place):
                yield writing.mirror.copy
        except BaseException:
            if (lost := writing.finish()) is not None:
                fail(command, str(lost), lost.status)
            raise
        if (lost := writing.finish()) is not None:
            raise lost


@contextmanager
def folder_of_task(url: str, command: str) -> Iterator[Path]:
    """The folder to work in for a task that a command has given to another machine: a copy of a folder within that
    of the command, which is written to the store at the end.

    Raises:
        StoreError: the store cannot be used.
    """
    mirror = Mirror(url, locks=False)
    with mirror.taken():
        yield mirror.copy
        _finish(mirror, command)


@contextmanager
def folder_to_read(place: Path | str, screen: Screen) -> Iterator[Path]:
    """The folder to read: `place` itself, or for a URL a copy of what is there now.

    Raises:
        StoreError: the store cannot be used, or the folder is somebody else's.
    """
    if isinstance(place, Path):
        yield place
        return
    with Waiting(screen, f"fetching {place}", alone=False) as line:
        found = _fetched_apart(place, line.move)
    if isinstance(found, Ended):
        raise StoreError(found.why)
    with _named(found, place):
        yield found


def follow(url: str, is_alive: Callable[[], bool]) -> None:
    """Keep a copy that was fetched up to date, as long as another program reads it."""
    latest = time.monotonic()
    while is_alive():
        if time.monotonic() - latest > SECONDS:
            _fetched_apart(url, lambda: None)  # if that fails, the next may not
            latest = time.monotonic()
        time.sleep(MOMENT)


@contextmanager
def _named(copy: Path, url: str) -> Iterator[None]:
    """In messages the user's name of a folder stands for that of the copy."""
    try:
        yield
    except Failure as error:
        error.args = (str(error).replace(str(copy), url),)
        raise


def _fetched_apart(url: str, meanwhile: Callable[[], None]) -> Path | Ended:
    """Fetch a folder in another process; where it is here."""
    engine = LocalEngine(1, lambda line: None)
    with closing(engine.each(_fetched, [url], str, meanwhile)) as answers:
        ((_, found),) = answers
    return cast("Path | Ended", found)


def _fetched(url: str) -> Path:
    return Mirror(url).fetch()


class _Writing:
    """The process that writes a working copy to the store, as long as the context lasts."""

    def __init__(self, mirror: Mirror, command: str, screen: Screen) -> None:
        self.mirror, self._screen = mirror, screen
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = start(_keep_writing, theirs, self._pipe, mirror, command)
        theirs.close()

    def __enter__(self) -> "_Writing":
        try:
            failed = self._answer(f"fetching {self.mirror.url}")
        except BaseException:
            end([self._process])
            raise
        if failed is not None:
            self.__exit__()
            raise StoreError(failed.why.replace(str(self.mirror.copy.parent), self.mirror.url))
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.kill()  # there is nothing more for it to do
        self._process.join()

    def finish(self) -> StoreError | None:
        """Write what is not there yet; what to tell the user if that failed."""
        with suppress(OSError):  # it has ended; the answer says why
            self._pipe.send(None)
        failed = self._answer(f"writing to {self.mirror.url}")
        if failed is None:
            return None
        where = f"everything is in {self.mirror.copy}, from where the next command with this URL writes it"
        return StoreError(f"{failed.why}; {where}", status=1)

    def _answer(self, what: str) -> Ended | None:
        with self._screen.waiting(what):
            try:
                answer: Ended | None = self._pipe.recv()
            except (EOFError, OSError):
                why = why_ended(self._process)
                answer = Ended(f"{self.mirror.url}: the process that writes there ended unexpectedly ({why})")
        return answer


def _keep_writing(pipe: Connection, inherited: Connection, mirror: Mirror, command: str) -> None:
    """The process: answers once the copy is there, and once all of it is in the store."""
    inherited.close()
    with closing(pipe):
        try:
            pipe.send(answered(_write, (pipe, mirror, command)))
        except (EOFError, OSError):
            return  # the command has ended


def _write(task: tuple[Connection, Mirror, str]) -> None:
    pipe, mirror, command = task
    with mirror.taken():
        # A scheduler sends it to all processes of a job: this one ends when the command says so.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pipe.send(None)
        pause = SECONDS
        while not pipe.poll(pause):
            try:
                mirror.push()
                pause = SECONDS
            except StoreError as error:
                pause = min(2 * pause, MAX_SECONDS)
                fail(command, f"{error}; the work goes on, and the next attempt is in {pause:g} s", 1)
        pipe.recv()
        _finish(mirror, command)


def _finish(mirror: Mirror, command: str) -> None:
    for pause in PAUSES:
        try:
            return mirror.finish()
        except StoreError as error:
            fail(command, f"{error}; the next attempt is in {pause:g} s", 1)
            time.sleep(pause)
    mirror.finish()
