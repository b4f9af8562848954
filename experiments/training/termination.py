"""When a child process that is told to end does so."""

from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """This child has been told to end. Not a SystemExit, which a stranger's world may raise as well."""


class Termination:
    """What SIGTERM does to a child: it ends, and closes what is open on the way. It waits while simulators are
    made or closed, since nobody would close one that is half made."""

    def __init__(self) -> None:
        self._waits = self._has_come = False

    def __call__(self, *_: object) -> None:
        """The handler of the signal."""
        self._has_come = True
        self._end()

    @contextmanager
    def held(self, waits: bool = True) -> Iterator[None]:
        """Put the end off while this context lasts. `held(False)` within it allows the end again."""
        before, self._waits = self._waits, waits
        try:
            self._end()
            yield
        finally:
            self._waits = before
        self._end()

    def _end(self) -> None:
        if self._has_come and not self._waits:
            raise Terminated


termination = Termination()  # of this process, if it is a child
