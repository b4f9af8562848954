"""Messages for mistakes: one line that names the place and the nearest thing that would be valid."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from experiments.config.failures import Failure
from experiments.config.plain_text import printable


class ConfigError(Failure, ValueError):
    """A mistake in a config: one message that names the place and what would be valid."""


def one_line(what: object, most: int = 1000) -> str:
    """The text as one printable line, cut off after `most` characters."""
    text = printable(" ".join(str(what).split()))
    return text if len(text) <= most else f"{text[:most]} ..."


def closest(word: str, valid: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The valid word that is most similar; None if none is similar, by difflib's ratio."""
    return next(iter(get_close_matches(word, list(valid), n=1, cutoff=cutoff)), None)


def nearest(word: str, valid: Sequence[str]) -> str:
    """How a message about a wrong word ends: with the most similar valid word, or with all valid ones."""
    if (close := closest(word, valid)) is not None:
        return f"; did you mean {close!r}?"
    return f"; valid are {', '.join(sorted(valid))}" if valid else ""


def check_name(name: str, valid: Iterable[str], what: str) -> None:
    """Raise a ValueError with the nearest valid name unless `name` is one."""
    known = sorted(valid)
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}{nearest(name, known)}")


def spans(numbers: Iterable[int]) -> str:
    """Numbers in words, with consecutive ones joined: (3, 4, 5, 9) -> "3 to 5, 9"."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{span[0]} to {span[-1]}" if len(span) > 1 else f"{span[0]}" for span in found)


def message_of(error: ValidationError, section: type[BaseModel], prefix: str = "") -> str:
    """The first mistake in a section of a config, in one line.

    Args:
        section: the class that was validated.
        prefix: its place in the config.
    """
    details = min(error.errors(), key=_rank)
    sections = {"": section, **_sections(section)}
    # Inside unions the location has names of the validator's own ("float", "constrained-int", ...), not keys.
    where, own = details["loc"], {key for inner in sections.values() for key in inner.model_fields}
    if details["type"] == "extra_forbidden":
        own.add(str(where[-1]))
    keys = [p for before, p in pairwise(("", *where)) if isinstance(p, int) or p in own or before == "arms"]
    place = ".".join([prefix] * bool(prefix) + [str(part) for part in keys])
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        *parents, key = map(str, where)
        inner = next((sections[part] for part in reversed(parents) if part in sections), section)
        message = f"unknown key{nearest(key, list(inner.model_fields))}"
    elif details["type"] == "missing":
        message = "is missing"
    elif details["type"] != "value_error" and not isinstance(details["input"], dict | BaseModel):
        message += f", not {details['input']!r}"[:120]
    return one_line(f"{place}: {message}" if place else message)


def _rank(details: ErrorDetails) -> int:
    """How helpful a message is: 0 most. Least helpful is that a table or list is not a number, since the mistake
    is inside it; and a missing key may be there under a mistyped name."""
    if details["type"] in ("float_type", "int_type", "tuple_type") and isinstance(
        details["input"], dict | list | tuple
    ):
        return 2
    return int(details["type"] == "missing")


def _sections(section: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections inside a section, under each name by which the location of a mistake may call them: their key
    (if nothing else fits there), their class, or the tag that distinguishes kinds of tables."""
    found: dict[str, type[BaseModel]] = {}
    for key, field in section.model_fields.items():
        inner = list(_models(field.annotation))
        found |= {key: inner[0]} if len(inner) == 1 else {}
        for model in inner:
            kinds = [get_args(field.annotation) for field in model.model_fields.values()]
            words = [words[0] for words in kinds if len(words) == 1]  # of a tag, which has no choice
            found |= {name: model for name in (model.__name__, *words)} | _sections(model)
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
