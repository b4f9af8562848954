"""Sweeps: many trainings that differ in some keys of one config, and equal tuning of its arms.

    name = "fair_mazes"
    description = "one sentence"
    base = "mazes.toml"                                # beside the configs, or a path

    [grid]                                             # every combination
    agent.discount = [0.97, 1.0]

    [sample]                                           # `count` random settings for each combination of the grid
    count = 400
    seed = 7
    agent.learning_rate = { log_uniform = [1e-4, 1e-1] }
    arms.with_entropy.entropy_coef = { choice = [0.01, 0.03, 0.1] }

    [tuning]                                           # each arm chooses among the same number of tries
    worlds = { first = 100, count = 24 }
    seeds = 4
    tries = 24
    choose_by = "succeeds"
    seed = 3

    [judge]                                            # on worlds and seeds that had no say
    worlds = { first = 1000, count = 48 }
    seeds = { first = 5000, count = 8 }

A random number is a function of seed, number of the draw and place of the key: the upper 53 bits of the first word
of Philox 4x64-10 with the key (seed, 0) and the counter (1, draw, place, 0), since NumPy counts up before the
first block.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from experiments.config.loading import load_config
from experiments.config.schema import Config, ConfigError, Count, Name, Range, Section, Seed

MAX_DRAWS = 100  # of a setting whose options do not fit together, before the sweep is refused
Settings = dict[str, Any]  # dotted key -> value


class Tuning(Section):
    """How each arm chooses its settings."""

    worlds: Count | Range | None = None
    seeds: Count | Range
    tries: int = Field(ge=1, le=10_000)
    choose_by: str = "succeeds"
    seed: Seed = 0


class Judge(Section):
    """Where the arms are compared, each with what it chose."""

    worlds: Count | Range | None = None
    seeds: Count | Range


class Sweep(Section):
    """A sweep as its file says it; `grid` and `sample` by dotted key."""

    name: Name
    description: str
    base: dict[str, Any]  # the content of a config
    grid: dict[str, list[Any]]
    sample: dict[str, dict[str, Any]]
    count: Count = 1
    seed: Seed = 0
    tuning: Tuning | None = None
    judge: Judge | None = None

    def config(self, settings: Mapping[str, Any] | None = None, *more: str) -> Config:
        """The base with other values.

        Args:
            settings: dotted key -> value.
            more: overrides.
        Raises:
            ConfigError: the values do not fit together, or there is no such key.
        """
        overrides = [f"{key}={_toml(value)}" for key, value in (settings or {}).items()]
        return load_config(self.base, [*overrides, *more])


class Cell(NamedTuple):
    """One training of a sweep."""

    settings: Settings
    config: Config


def cells(sweep: Sweep) -> list[Cell]:
    """The trainings of a plain sweep: the grid's combinations, each with every random setting.

    A draw whose options do not fit together is drawn again.

    Raises:
        ConfigError: a combination of the grid is not valid, or no draw is.
    """
    return [
        cell
        for chosen in itertools.product(*sweep.grid.values())
        for cell in _sampled(sweep, dict(zip(sweep.grid, chosen, strict=True)))
    ]


def _sampled(sweep: Sweep, fixed: Settings) -> Iterator[Cell]:
    if not sweep.sample:
        yield Cell(fixed, sweep.config(fixed))
        return
    found = failed = draw = 0
    while found < sweep.count:
        settings = fixed | drawn(sweep.sample, sweep.seed, draw)
        draw += 1
        try:
            config = sweep.config(settings)
        except ConfigError:
            failed += 1
            if failed > MAX_DRAWS + 10 * found:
                raise
            continue
        found += 1
        yield Cell(settings, config)


def drawn(rules: Mapping[str, Mapping[str, Any]], seed: int, draw: int) -> Settings:
    """One random setting, with four significant digits where it is a number of a range."""
    return {key: _drawn(rule, uniform(seed, draw, place)) for place, (key, rule) in enumerate(rules.items())}


def _drawn(rule: Mapping[str, Any], number: float) -> Any:
    """What a rule makes of a number in [0, 1)."""
    ((name, values),) = rule.items()
    if name == "choice":
        return values[int(number * len(values))]
    low, high = map(math.log if name == "log_uniform" else float, values)
    value = low + number * (high - low)
    return float(f"{math.exp(value) if name == 'log_uniform' else value:.4g}")


def uniform(seed: int, draw: int, place: int) -> float:
    """The random number in [0, 1) of this draw and key."""
    counter, key = np.array([0, draw, place, 0], np.uint64), np.array([seed, 0], np.uint64)
    return (int(np.random.Philox(counter=counter, key=key).random_raw()) >> 11) * 2.0**-53


def _toml(value: Any) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
