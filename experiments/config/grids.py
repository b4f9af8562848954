"""Grids on the command line: `agent.discount=grid:0.9,0.97,1.0` and `agent.learning_rate=log:0.001,0.1,5`."""

import math
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from experiments.config.mistakes import ConfigError, one_line
from experiments.config.overrides import value_of

MAX_VALUES = 1000


def grid_of(overrides: Sequence[str], schema: type[BaseModel]) -> dict[str, list[Any]]:
    """The grid that overrides describe: dotted key -> values. A plain override is a grid of one value.

    Args:
        overrides: "dotted.key=values" each; a single value is read as in `experiments.config.overrides`.
        schema: the class of the config, which says which keys take text.
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
            grid[key] = _values(key, text, schema)
        except ValueError as error:
            raise ConfigError(f"{one_line(repr(override), 200)}: {error}") from None
    return grid


def is_finite_number(value: Any) -> bool:
    """Whether a value of TOML is a number that a float can hold, as an integer of 400 digits is not."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _values(key: str, text: str, schema: type[BaseModel]) -> list[Any]:
    rule, colon, rest = text.partition(":")
    if not colon or rule not in ("log", "grid"):
        return [value_of(key, text, schema)]
    values = _listed(key, rest, schema)
    return _spaced(values) if rule == "log" else values


def _spaced(given: Sequence[Any]) -> list[int] | list[float]:
    """So many values from low to high, each as many times the one before.

    Low and high stay as they are given. Those between them are whole numbers if all numbers are, and else have
    four significant digits.
    """
    numbers = len(given) == 3 and all(map(is_finite_number, given)) and type(given[2]) is int
    if not numbers or not 0 < given[0] < given[1] or not 2 <= given[2] <= MAX_VALUES:
        raise ValueError(
            f"log: needs two numbers above 0, the lower one first, and how many values (2 to {MAX_VALUES})"
        )
    low, high, number = given
    ratio = (math.log(high) - math.log(low)) / (number - 1)
    between = [math.exp(math.log(low) + place * ratio) for place in range(1, number - 1)]
    if type(low) is type(high) is int and all(math.isclose(value, round(value)) for value in between):
        return [low, *map(round, between), high]
    rounded = (min(max(float(f"{value:.4g}"), low), high) for value in between)
    return [float(value) for value in (low, *rounded, high)]


def _listed(key: str, text: str, schema: type[BaseModel]) -> list[Any]:
    """Values in TOML between commas, or plain words."""
    try:
        found = value_of(key, f"[{text}]", schema)
    except ValueError:
        try:
            found = [value_of(key, word.strip(), schema) for word in text.split(",")]
        except ValueError as error:
            shown = one_line(repr(text), 200)
            raise ValueError(f"{shown} is no list of values, as in grid:0.003,0.01: {error}") from None
    if not isinstance(found, list) or not 0 < len(found) <= MAX_VALUES:
        raise ValueError(f"needs between one and {MAX_VALUES} values")
    return found
