"""Texts for the tables of a page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.config.schema import Config
from experiments.figures.looks import LOOKS, looks


def runs(arm: Mapping[str, Any]) -> str:
    """How many runs an arm has, in words."""
    if arm["n"] == arm["runs"]:
        return f"{arm['n']} run{'s' * (arm['n'] > 1)}"
    return f"{arm['runs']} equal runs"


def all_runs(arms: Mapping[str, Any]) -> str:
    """How many runs the arms have, in words; only once, if it is the same for all of them."""
    said = {arm: runs(content) for arm, content in arms.items()}
    if len({*said.values()}) == 1:
        return f"Every arm has {next(iter(said.values()))}."
    return "; ".join(f"{arm} has {words}" for arm, words in said.items()) + "."


def span(seeds: Sequence[int]) -> str:
    """Seeds in words."""
    if list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def settings(config: Config, arm: str) -> str:
    """The keys that an arm sets for itself."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in config.arms[arm].items()) or "the base"


def colours(config: Config) -> dict[str, str]:
    """The style class of each arm, with its colour in pictures."""
    return {arm: f"arm-{LOOKS.index(look)}" for arm, look in looks(config).items()}
