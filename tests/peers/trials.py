"""Trials with other people's software: `test_trials.py` runs them, and `neighbours.py` makes a page of them."""

import atexit
import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import NamedTuple

from packaging.requirements import Requirement

from experiments.session import run as session
from tests.experiments.comparisons import comparison

GROUPS = ("worlds", "wrappers", "agents", "readers")


class Trial(NamedTuple):
    """Something that others may want to do.

    Attributes:
        group: one of GROUPS.
        package: the distribution it is tried with; an extra in brackets counts with what it needs.
        what: what is tried, in a few words.
        run: does it; raises where something does not fit.
        refused: a pattern of the message where it does not fit and is not meant to; None: it fits.
        is_long: whether only `make test-all` runs it: it takes long, or other tests do the same.
    """

    group: str
    package: str
    what: str
    run: Callable[[], None]
    refused: str | None = None
    is_long: bool = False

    @property
    def version(self) -> str | None:
        """The version of its package; None: it is not installed, or not with the versions that its extra needs."""
        wanted = Requirement(self.package)
        try:
            needs = [Requirement(text) for text in requires(wanted.name) or [] if wanted.extras]
            for need in needs:
                applies = need.marker and any(need.marker.evaluate({"extra": extra}) for extra in wanted.extras)
                if applies and version(need.name) not in need.specifier:
                    return None
            return version(wanted.name)
        except PackageNotFoundError:
            return None

    def outcome(self) -> str:
        """What came out, in words: "fits", or the message with which it was refused.

        Raises:
            AssertionError: it fits although it should be refused.
            Exception: whatever does not fit.
        """
        if self.refused is None:
            self.run()
            return "fits"
        try:
            self.run()
        except Exception as error:
            message = re.sub(" at 0x[0-9a-f]+", "", " ".join(str(error).split()))
            if re.search(self.refused, message):
                return message
            raise
        raise AssertionError(f"{self.what}: was expected to be refused")


TRIALS: list[Trial] = []


def trial(
    group: str, package: str, what: str, refused: str | None = None, is_long: bool = False
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Add a function to the trials."""

    def added(run: Callable[[], None]) -> Callable[[], None]:
        TRIALS.append(Trial(group, package, what, run, refused, is_long))
        return run

    return added


@cache
def finished_folder() -> Path:
    """A small training with everything that it writes."""
    top = mkdtemp()
    atexit.register(rmtree, top)
    folder = Path(top) / "run"
    session.run(comparison(seeds=4, updates=20), session.Options(folder), lambda _: None, lambda _: None)
    return folder
