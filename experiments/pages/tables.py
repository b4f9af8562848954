"""Texts for the tables of a page."""

import json
from collections.abc import Mapping
from typing import Any

from experiments.analysis.wording import runs_text
from experiments.config.schema import Config
from experiments.figures.looks import LOOKS, looks


def all_runs(arms: Mapping[str, Any]) -> str:
    """How many runs the arms have, in words; only once, if it is the same for all of them."""
    said = {arm: runs_text(content) for arm, content in arms.items()}
    if len({*said.values()}) == 1:
        return f"Every arm has {next(iter(said.values()))}."
    return "; ".join(f"{arm} has {words}" for arm, words in said.items()) + "."


def settings(config: Config, arm: str) -> str:
    """The keys that an arm sets for itself."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in config.arms[arm].items()) or "the base"


def colours(config: Config) -> dict[str, str]:
    """The style class of each arm, with its colour in pictures."""
    return {arm: f"arm-{LOOKS.index(look)}" for arm, look in looks(config).items()}
