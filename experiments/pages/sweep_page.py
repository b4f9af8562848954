"""The page of a sweep: what the second arm adds where, what decides it, and what tuned arms chose."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.settings import Effect, Group, Settings, marginals
from experiments.analysis.wording import Number, Piece, number
from experiments.config.sweeps import Sweep
from experiments.figures.settings import group_text, heat_map, marginal_effects, sorted_effects, tried
from experiments.figures.showing import Showing
from experiments.figures.style import Picture, style
from experiments.pages.rendering import render


class Swept(NamedTuple):
    """What a page is made of."""

    sweep: Sweep
    summary: Mapping[str, Any]  # as in summary.json
    effects: Sequence[Effect]  # none where the base has not two arms, or arms were tuned
    tries: Mapping[str, Sequence[Settings]]  # of tuned arms


def sweep_page(swept: Swept, showing: Showing) -> str | None:
    """The page, as far as it can be drawn; None: not at all."""
    drawn: list[Picture] = []
    groups = marginals(swept.effects)
    with style(), np.errstate(over="ignore", invalid="ignore"):
        showing.attempt("figures of the sweep", lambda: _draw(swept, groups, drawn))
    return showing.attempt(
        "report.html",
        lambda: render(
            "sweep.html",
            sweep=swept.sweep,
            summary=swept.summary,
            pictures=drawn,
            marginals=groups,
            varied=lambda settings: {key: value for key, value in settings.items() if key in groups},
            estimate=estimate,
            group_text=group_text,
        ),
    )


def _draw(swept: Swept, groups: Mapping[str, Sequence[Group]], drawn: list[Picture]) -> None:
    if swept.sweep.tuning is not None:
        drawn.extend(tried(swept.sweep.tuning.choose_by, swept.tries, swept.summary["tuned"]))
    if not swept.effects:
        return
    drawn.append(sorted_effects(swept.effects))
    varied = [key for key in swept.sweep.grid if key in groups]
    if len(varied) >= 2:
        drawn.append(heat_map(swept.effects, varied[:2]))
    drawn.extend(marginal_effects(groups))


def estimate(ends: Sequence[float | None], signed: bool = False) -> list[Piece]:
    """An estimate with its interval."""
    middle, low, high = (number(end, "unbounded", signed) for end in ends)
    bounded: list[Number | str] = [middle, " [", low, ", ", high, "]"]
    return [middle] if ends[1] is None or not np.isfinite(ends[1]) else bounded
