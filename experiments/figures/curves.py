"""Curves over training, a line per arm with its band; it ends where the first run of the arm has made all of its
updates."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from experiments.analysis.estimates import Band, band_of
from experiments.analysis.wording import number
from experiments.config.measures import SHARE, UPDATE_MEASURES
from experiments.figures.looks import MAX_CURVES, looks
from experiments.figures.style import Picture, canvas, draw_line, finished
from experiments.storage.results import Results


def entropy(results: Results) -> Iterator[Picture]:
    caption = "Policy entropy of each update, interquartile mean of the runs with its 95 % interval."
    yield from _curves(results, "entropy_bits", caption)


def solved(results: Results) -> Iterator[Picture]:
    level = results.config.environment.solved_return
    if level is None:
        return
    caption = f"Runs whose mean return over 5 % of the updates reaches {level:g}, with Wilson's 95 % interval."
    yield from _curves(results, "solved", caption)


def coverage(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps == 1:
        return  # a single state, which every run visits
    caption = "States visited since the start of training, interquartile mean with its 95 % interval."
    yield from _curves(results, "state_coverage", caption)


def optimal_action(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps != 1:
        return
    caption = (
        "Probability of the optimal action over updates on a logarithmic scale, interquartile mean with its "
        "95 % interval."
    )
    yield from _curves(results, "optimal_action_probability", caption, logarithmic=True)


def _curves(results: Results, name: str, caption: str, logarithmic: bool = False) -> Iterator[Picture]:
    curves = {arm: columns[name] for arm, columns in results.curves.items()}
    if len(curves) > MAX_CURVES or all(np.isnan(values).all() for values in curves.values()):
        return
    figure, axes = canvas(curves)
    ends = _draw(axes, results, name, logarithmic)
    label = UPDATE_MEASURES[name].axis
    alt = f"Curves over {results.config.most_updates} updates, {label}: {'; '.join(ends)}."
    if all(results.is_one_run(arm) for arm in curves):
        caption = f"{caption.partition(', interquartile')[0].partition(', with')[0].rstrip('.')}: one run per arm."
    yield finished(figure, axes, name, alt, caption)


def _draw(axes: Axes, results: Results, name: str, logarithmic: bool) -> list[str]:
    """Draw a line with a band per arm; returns, in words, where each begins and ends."""
    measure, x = UPDATE_MEASURES[name], results.at + (1 if logarithmic else 0)
    ends = []
    for arm, look in looks(results.config).items():
        going, single = results.at < results.ends[arm], results.is_one_run(arm)
        values = results.curves[arm][name][:, going]
        band = Band(*[values[0]] * 3) if single else band_of(measure, values)
        draw_line(axes, x[going], band, look, arm, marked=True)
        if not single:
            axes.fill_between(x[going], band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
        first, last = (number(float(value)).text for value in band.estimate[[0, -1]])
        ends.append(f"{arm} from {first} to {last}")
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel("update")
    axes.set_ylabel(measure.axis)
    axes.set_ylim(0, 1.04 if measure.kind == "fraction" or measure.bounds == SHARE else None)
    return ends
