"""What is said of a mistake: one line that names its place and the nearest thing that would be valid."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from experiments.config.failures import Failure
from experiments.config.plain_text import printable


class ConfigError(Failure, ValueError):
    """A mistake in a config: one message that names the place and what would be valid."""


def one_line(what: object, most: int = 1000) -> str:
    """What a terminal can show, cut off where it is longer than `most`."""
    text = printable(" ".join(str(what).split()))
    return text if len(text) <= most else f"{text[:most]} ..."


def closest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that is most like it; None: none is."""
    return next(iter(get_close_matches(word, list(valid), n=1, cutoff=0.5)), None)


def nearest(word: str, valid: Sequence[str]) -> str:
    """The end of a sentence about a word that is not valid: the one that is most like it, or all that are."""
    if (close := closest(word, valid)) is not None:
        return f"; did you mean {close!r}?"
    return f"; valid are {', '.join(sorted(valid))}" if valid else ""


def check_name(name: str, valid: Iterable[str], what: str) -> None:
    """Raise a ValueError with the nearest valid name unless `name` is one."""
    known = sorted(valid)
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}{nearest(name, known)}")
