"""A line that moves while the user waits, so that no wait looks like a standstill."""

from threading import Event, Thread
from types import TracebackType

from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

INTERVAL = 0.1  # seconds between two pictures of the line


class Moving(Progress):
    """Lines of a terminal that move, and are gone at the end; nothing where no terminal shows them."""

    def __init__(self, *columns: ProgressColumn, console: Console, auto_refresh: bool = True) -> None:
        hidden = not console.is_terminal
        super().__init__(*columns, console=console, transient=True, disable=hidden, auto_refresh=auto_refresh)

    def stop(self) -> None:
        """The end."""
        if not self.disable:  # even so, rich printed an empty line before version 14.3
            super().stop()


class Waiting:
    """A spinner, what goes on, how much of it is done, and for how long; gone at the end.

    Use as a context manager. Nothing is shown where there is no terminal.
    """

    def __init__(self, console: Console, what: str, total: int | None = None, unit: str = "", alone: bool = True):
        """Say what goes on.

        Args:
            console: where it is shown.
            what: what goes on.
            total: how much there is to do; None: nobody knows.
            unit: of what is counted; "": nothing is.
            alone: whether a thread moves the line. Where processes are forked meanwhile, whoever waits for them
                calls `move` instead: a forked process should not inherit the lock of a thread that draws.
        """
        counted: list[ProgressColumn] = [MofNCompleteColumn(), TextColumn(unit)] if unit else []
        columns = SpinnerColumn(), TextColumn(what), *counted, TimeElapsedColumn()
        self._progress = Moving(*columns, console=console, auto_refresh=False)
        self._task = self._progress.add_task("", total=total)
        self._over, self._thread = Event(), Thread(target=self._keep_moving, daemon=True) if alone else None

    def __enter__(self) -> "Waiting":
        self._progress.start()
        if self._thread is not None and not self._progress.disable:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self._progress.stop()

    def advance(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)
        self.move()

    def move(self) -> None:
        """Draw the line anew."""
        self._progress.refresh()

    def _keep_moving(self) -> None:
        while not self._over.wait(INTERVAL):
            self.move()


class Preparing:
    """What comes before training: it moves from the start, and counts the functions that have to be compiled."""

    def __init__(self, console: Console) -> None:
        self._console, self._compiles = console, False
        self._line: Waiting | None = None
        self._begin("preparing")

    def _begin(self, what: str, unit: str = "") -> None:
        self.stop()
        self._line = Waiting(self._console, what, unit=unit).__enter__()

    def compiling(self) -> None:
        """A function is about to be compiled."""
        if not self._compiles:
            self._compiles = True
            self._begin("compiling", "functions")
        if self._line is not None:
            self._line.advance()

    def stop(self) -> None:
        """Nothing is drawn by a thread from here on: processes may be forked."""
        if self._line is not None:
            self._line.__exit__(None, None, None)
            self._line = None
