"""Commands whose folder is in a store: they work on a copy, and other processes ask the store.

Processes, since a command that forks should have no threads.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.config.failures import Failure
from experiments.session.command import fail
from experiments.session.console import Screen
from experiments.session.interrupts import Interrupts
from experiments.session.processes import MOMENT, Child, Ended, end, signals_held
from experiments.session.writing import SECONDS, Writing, finish
from experiments.storage.mirror import Mirror
from experiments.storage.stored_files import StoreError


@contextmanager
def working_folder(
    place: Path | str, command: str, screen: Screen, check: Callable[[Path], None], has_folders: bool = True
) -> Iterator[Path]:
    """The folder to work in: `place` itself, or for a URL a copy, which is written to the store meanwhile and at
    the end. With a URL every signal that asks for the end raises KeyboardInterrupt, so that the store gets it all.

    Args:
        place: where the command is to write.
        command: its name, for messages.
        screen: where waiting is shown.
        check: raises if the command cannot use a folder; for a URL called before anything is written or fetched,
            with a folder that has only what says whose it is.
        has_folders: as in `Mirror`.
    Raises:
        StoreError: the store cannot be used; or, with status 1, it fails at the end.
    """
    if isinstance(place, Path):
        yield place
        return
    interrupts, mirror = Interrupts().install(), Mirror(place)
    with TemporaryDirectory() as folder:
        seen = _done_apart(_glimpsed, (place, Path(folder) / "run"), screen, f"asking {place}")
        with _named(seen, place):
            check(seen)
    with ExitStack() as stack:
        with _named(mirror.copy.parent, place):
            stack.enter_context(mirror.locked())
            _done_apart(_taken, (place, has_folders), screen, f"fetching {place}")
        with signals_held():  # nobody would end its processes otherwise
            writing = stack.enter_context(Writing(mirror, command, screen, interrupts))
        try:
            with _named(mirror.copy, place):
                yield mirror.copy
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
        finish(mirror, command)


@contextmanager
def folder_to_read(place: Path | str, screen: Screen) -> Iterator[Path]:
    """The folder to read: `place` itself, or for a URL a copy of what is there now.

    Raises:
        StoreError: the store cannot be used, or the folder is somebody else's.
    """
    if isinstance(place, Path):
        yield place
        return
    found = _done_apart(_fetched, place, screen, f"fetching {place}")
    with _named(found, place):
        yield found


def follow(url: str, is_alive: Callable[[], bool]) -> None:
    """Keep a copy that was fetched up to date, as long as another program reads it."""
    latest = time.monotonic()
    while is_alive():
        if time.monotonic() - latest > SECONDS:
            Child(_fetched, url).answer()  # if that fails, the next may not
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


def _done_apart(function: Callable[[Any], Path], task: Any, screen: Screen, what: str) -> Path:
    """What a function that asks a store makes of a task, in a process of its own."""
    child = Child(function, task)
    try:
        with screen.waiting(what):
            found: Path | Ended = child.answer()
    finally:
        end([child.process])
    if isinstance(found, Ended):
        raise StoreError(found.why)
    return found


def _fetched(url: str) -> Path:
    return Mirror(url).fetch()


def _glimpsed(task: tuple[str, Path]) -> Path:
    url, folder = task
    return Mirror(url).glimpse(folder)


def _taken(task: tuple[str, bool]) -> Path:
    url, has_folders = task
    mirror = Mirror(url, has_folders=has_folders)
    mirror.take()
    return mirror.copy
