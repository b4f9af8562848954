"""All pictures of a training's results, each with a text for those who do not see it."""

from collections.abc import Callable, Iterator

import matplotlib

from experiments.curve_figures import coverage, entropy, optimal_action, solved
from experiments.dose_figures import dose_response
from experiments.outcome_figures import final_returns, first_success, many_arms, return_profile
from experiments.plotting import STYLE, Picture
from experiments.results import Results

DRAWINGS: tuple[Callable[[Results], Iterator[Picture]], ...] = (
    dose_response,
    many_arms,
    entropy,
    solved,
    optimal_action,
    final_returns,
    return_profile,
    coverage,
    first_success,
)


def pictures(results: Results) -> list[Picture]:
    """All pictures of a training that say something about it."""
    with matplotlib.rc_context(STYLE):
        return [picture for draw in DRAWINGS for picture in draw(results)]
