"""Overrides of a config: `dotted.key=value`, with the value in TOML or a plain word where the key takes text."""

import tomllib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from experiments.config.mistakes import ConfigError, closest, one_line

MAX_LEVELS = 32  # of tables and lists inside each other
COUNTED = (("training", "seeds"), ("environment", "worlds"))  # a count takes the first of the config's own


def overridden(table: Mapping[str, Any], override: str, schema: type[BaseModel]) -> dict[str, Any]:
    """The table of a config with one value changed.

    Args:
        table: the config as TOML gives it, not yet validated.
        override: "dotted.key=value".
        schema: the class of the config, which says which keys take text.
    Raises:
        ConfigError: the override is malformed, or the table has no such place.
    """
    path, text = _parts(override)
    kinds = _kinds(path, schema)
    try:
        value = _value(text, kinds)
        _check_arm(table.get("arms"), path)
        if tuple(path) in COUNTED:
            value = _own_numbers(table.get(path[0]), path[1], value)
        return _with_value(table, path, value)
    except ValueError as error:
        raise ConfigError(f"override {_shown(override)}: {error}") from None


def place_of(override: str) -> list[str]:
    """The path of the key that an override changes."""
    return _parts(override)[0]


def _check_arm(arms: Any, path: list[str]) -> None:
    """Refuse an arm that looks like a known one mistyped; any other name, as in with_entropy_too, is a new arm."""
    if path[0] != "arms" or len(path) == 1 or not isinstance(arms, dict) or path[1] in arms:
        return
    near = closest(path[1], arms, cutoff=0.8)
    if near is not None and not path[1].startswith(near):
        raise ValueError(f"there is no arm {one_line(repr(path[1]), 200)}; did you mean {near!r}?")


def value_of(key: str, text: str, schema: type[BaseModel]) -> Any:
    """The value that a text means at a dotted key, not yet validated.

    Raises:
        ValueError: it means none.
    """
    return _value(text, _kinds(key.split("."), schema))


def has_no_effect(override: str, arms: Any) -> bool:
    """Whether an override changes nothing: every arm sets its key of the agent or the training for itself.

    Args:
        override: "dotted.key=value".
        arms: the table of arms in the config, not yet validated.
    """
    path, _ = _parts(override)
    tables = list(arms.values()) if isinstance(arms, dict) else []
    own = [
        isinstance(arm, dict) and path[1] in arm
        for arm in tables
        if path[0] in ("agent", "training") and len(path) > 1
    ]
    return bool(own) and all(own)


def is_nested(override: str) -> bool:
    """Whether an override changes a part of a key's value, as in agent.entropy_coef.start=0.1."""
    return len(_parts(override)[0]) > 2


def for_arm(override: str, arm: str) -> str:
    """The same override of the agent, for one arm alone."""
    return f"arms.{arm}.{override.partition('.')[2]}"


def parse_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text describes.

    Raises:
        ValueError: it is not TOML, cannot be encoded as UTF-8, or is nested too deeply.
    """
    text.encode()
    try:
        table = tomllib.loads(text)
        if _levels(table) > MAX_LEVELS:
            raise RecursionError
    except RecursionError:
        raise ValueError(f"nested more than {MAX_LEVELS} levels deep") from None
    return table


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_levels, inner), default=0)


def _shown(override: str) -> str:
    return one_line(repr(override), 200)


def _parts(override: str) -> tuple[list[str], str]:
    """The path to a key, and the text of its value."""
    key, equals, text = override.partition("=")
    path = key.split(".")
    if not equals or not all(path) or len(path) > MAX_LEVELS:
        raise ConfigError(f"override {_shown(override)}: write dotted.key=value, as in training.seeds=50")
    return path, text.strip()


def _value(text: str, kinds: list[Any]) -> Any:
    """The value of a text at a place that may hold these kinds of values.

    A plain word is text, which validation refuses where it does not belong. The arguments of a world may be of any
    kind, so there text has to be quoted: otherwise nothing would notice a mistyped `flase`.
    """
    only_text = bool(kinds) and all(map(_is_text, kinds))
    try:
        found = parse_toml(f"value = {text}")
        if list(found) != ["value"]:  # a line break in the text could add more keys
            raise ValueError("more than one value")
    except ValueError:
        if text in ("True", "False") and not only_text:
            return text == "True"
        if Any not in kinds and text.isprintable() and text and text[0] not in "\"'[{":
            return text
        quotes = " (text needs quotes here, as in key='\"text\"')" if Any in kinds else ""
        raise ValueError(f"{one_line(repr(text), 200)} is no TOML value{quotes}") from None
    value = found["value"]
    return value if isinstance(value, str | list | dict) or not only_text else text


def _kinds(path: list[str], schema: type[BaseModel]) -> list[Any]:
    """The kinds of values that a place may hold; empty if there is no such place. An arm has the keys of an
    agent."""
    kinds: list[Any] = [schema]
    for key in ["agent", *path[2:]] if path[0] == "arms" and len(path) > 2 else path:
        kinds = [inner for kind in kinds for inner in _inside(kind, key)]
    return kinds


def _inside(kind: Any, key: str) -> Iterator[Any]:
    if kind is Any:
        yield Any
    elif get_origin(kind) is dict:
        yield from _options(get_args(kind)[1])
    elif isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
        yield from _options(kind.model_fields[key].annotation)


def _options(annotation: Any) -> Iterator[Any]:
    """The kinds that an annotation allows, without their constraints."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    elif annotation is not type(None):
        yield annotation


def _is_text(kind: Any) -> bool:
    return kind is str or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)))


def _own_numbers(section: Any, key: str, numbers: Any) -> Any:
    """A count means the first so many that the config has: seeds and worlds that were held out stay held out."""
    own = section.get(key) if isinstance(section, dict) else None
    known = own.get("count") if isinstance(own, dict) else len(own) if isinstance(own, list | tuple) else None
    if own is None or type(known) is not int or type(numbers) is not int or numbers < 1:
        return numbers  # to be validated as it is
    if numbers > known:
        others = "a list, or " if key == "seeds" else ""
        raise ValueError(
            f"the config has {known} {key} of its own, and a count takes the first of them; "
            f"for others write {others}{{ first = 0, count = {numbers} }}"
        )
    return {**own, "count": numbers} if isinstance(own, dict) else own[:numbers]


def _with_value(table: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**table, path[0]: value}
    inner = table.get(path[0], {})
    if not isinstance(inner, dict):
        raise ValueError(f"{one_line(path[0], 200)} is a value, not a section")
    return {**table, path[0]: _with_value(inner, path[1:], value)}
