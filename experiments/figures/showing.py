"""Drawing and printing after the results are complete: one thing that fails does not stop the others."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from experiments.config.failures import Failure, explained
from experiments.config.mistakes import one_line

T = TypeVar("T")


class Showing:
    """Tries to show one thing after another.

    Attributes:
        failed: what could not be shown, and why.
    """

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def attempt(self, what: str, make: Callable[[], T]) -> T | None:
        """Make something, and note if that fails.

        Returns:
            what `make` returns; None: it failed.
        """
        try:
            return make()
        except NotShown as error:
            self.failed |= error.failed
        except Exception as error:  # any: the results are there, and the rest can still be shown
            failure = explained(error)
            self.failed[what] = one_line(failure or f"{type(error).__name__}: {error}", 200)
        return None

    def line(self) -> str:
        """One line that names everything that could not be shown."""
        things: dict[str, list[str]] = {}
        for what, why in self.failed.items():
            things.setdefault(why, []).append(what)
        return "not shown: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in things.items())

    def check(self) -> None:
        """Raise if something could not be shown.

        Raises:
            NotShown: something failed.
        """
        if self.failed:
            raise NotShown(self.line(), self.failed)


class NotShown(Failure):
    """Some things could not be shown; the message names them."""

    def __init__(self, line: str, failed: Mapping[str, str]) -> None:
        super().__init__(line, status=1)
        self.failed = dict(failed)
