"""All pictures of a training's results, each with a text for readers who cannot see it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from experiments.figures.curves import coverage, entropy, optimal_action, solved
from experiments.figures.doses import dose_response
from experiments.figures.finals import final_returns, first_success, many_arms, return_profile
from experiments.figures.showing import Showing
from experiments.figures.style import Picture, style
from experiments.figures.worlds import by_world
from experiments.storage.results import Results

Drawing: TypeAlias = Callable[[Results], Iterator[Picture]]

DRAWINGS: tuple[Drawing, ...] = (
    dose_response,
    many_arms,
    by_world,
    entropy,
    solved,
    optimal_action,
    final_returns,
    return_profile,
    coverage,
    first_success,
)


def pictures(results: Results, showing: Showing) -> list[Picture]:
    """All pictures that apply to a training and can be drawn."""
    drawn: list[Picture] = []
    with style(), np.errstate(over="ignore", invalid="ignore"):  # numbers of failed runs
        for draw in DRAWINGS:
            showing.attempt(f"figure {draw.__name__}", partial(_draw, draw, results, drawn))
    return drawn


def _draw(draw: Drawing, results: Results, drawn: list[Picture]) -> None:
    drawn.extend(draw(results))  # if one fails, those before it stay
