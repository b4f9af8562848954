"""Grids on the command line: `agent.discount=grid:0.9,0.97,1.0` and `agent.learning_rate=log:0.001,0.1,5`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.config.mistakes import ConfigError, one_line
from experiments.config.overrides import parse_toml

MAX_VALUES = 1000


def grid_of(overrides: Sequence[str]) -> dict[str, list[Any]]:
    """The grid that overrides describe: dotted key -> values. A plain override is a grid of one value.

    Raises:
        ConfigError: one of them is malformed, or a key comes twice.
    """
    grid: dict[str, list[Any]] = {}
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        try:
            if not (equals and key):
                raise ValueError("write dotted.key=grid:1,2,3 or dotted.key=log:low,high,number")
            if key in grid:
                raise ValueError(f"{key} comes twice")
            grid[key] = _values(text)
        except ValueError as error:
            raise ConfigError(f"{one_line(repr(override), 200)}: {error}") from None
    return grid


def _values(text: str) -> list[Any]:
    rule, colon, rest = text.partition(":")
    if colon and rule == "log":
        return _spaced(_listed(rest))
    if colon and rule == "grid":
        return _listed(rest)
    return [text] if text.isidentifier() and text not in ("true", "false") else [_one(text)]


def _spaced(given: list[Any]) -> list[float]:
    """So many values from low to high, each as many times the one before; four significant digits."""
    numbers = len(given) == 3 and all(type(value) in (int, float) and math.isfinite(value) for value in given)
    if not numbers or not 0 < given[0] < given[1] or given[2] not in range(2, MAX_VALUES + 1):
        raise ValueError(
            f"log: needs two numbers above 0, the lower one first, and how many values (2 to {MAX_VALUES})"
        )
    low, high, number = given
    ratio = math.log(high / low) / (number - 1)
    return [float(f"{low * math.exp(place * ratio):.4g}") for place in range(number)]


def _listed(text: str) -> list[Any]:
    """Values in TOML between commas, or plain words."""
    try:
        found = _one(f"[{text}]")
    except ValueError:
        found = [word.strip() for word in text.split(",")]
        if not all(word.isidentifier() for word in found):
            raise ValueError(f"{one_line(repr(text), 200)} is no list of values, as in grid:0.003,0.01") from None
    if not isinstance(found, list) or not 0 < len(found) <= MAX_VALUES:
        raise ValueError(f"needs between one and {MAX_VALUES} values")
    return found


def _one(text: str) -> Any:
    table: Mapping[str, Any] = parse_toml(f"value = {text}")
    if list(table) != ["value"]:  # a line break in the text could add more keys
        raise ValueError("more than one value")
    return table["value"]
