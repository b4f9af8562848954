"""What is said of a mistake: one line that names its place and the nearest thing that would be valid."""

from collections.abc import Sequence
from difflib import get_close_matches

from experiments.config.failures import Failure
from experiments.config.plain_text import printable


class ConfigError(Failure, ValueError):
    """A mistake in a config: one message that names the place and what would be valid."""


def one_line(what: object, most: int = 1000) -> str:
    """What a terminal can show, cut off where it is longer than `most`."""
    text = printable(" ".join(str(what).split()))
    return text if len(text) <= most else f"{text[:most]} ..."


def nearest(word: str, valid: Sequence[str]) -> str:
    """The end of a sentence about a word that is not valid: the one that is most like it, or all that are."""
    close = get_close_matches(word, valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid are {', '.join(sorted(valid))}" if valid else ""
