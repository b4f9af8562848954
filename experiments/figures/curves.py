"""Curves over training, an arm a line with its band. n: runs of an arm, K: points of a curve."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.analysis.estimates import Band, iqm_interval, wilson_interval
from experiments.analysis.wording import number
from experiments.figures.style import MOST_CURVES, Picture, canvas, draw_line, finished, looks
from experiments.storage.results import Results

Array = NDArray[np.float64]

FRACTIONS = ("solved", "state_coverage", "optimal_action_probability")  # curves between 0 and 1


def entropy(results: Results) -> Iterator[Picture]:
    yield from _curves(
        results,
        "entropy_bits",
        "entropy along the path, bits",
        "Policy entropy of each update, interquartile mean of the runs with its 95 % interval.",
        partial(iqm_interval, failed_as="missing"),
    )


def solved(results: Results) -> Iterator[Picture]:
    if results.config.environment.solved_return is None:
        return
    yield from _curves(
        results,
        "solved",
        "fraction of runs solved",
        "Runs whose mean return over 5 % of the updates reaches "
        f"{results.config.environment.solved_return:g}, with Wilson's 95 % interval.",
        fraction_solved,
    )


def coverage(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps == 1:
        return  # one state, seen by all
    yield from _curves(
        results,
        "state_coverage",
        "states visited / reachable",
        "States visited since the start of training, interquartile mean with its 95 % interval.",
        share,
    )


def optimal_action(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps != 1:
        return
    yield from _curves(
        results,
        "optimal_action_probability",
        "probability of the best action",
        "Probability of the best action over the updates on a logarithmic scale, interquartile mean with its 95 % "
        "interval.",
        share,
        logarithmic=True,
    )


def share(values: Array) -> Band:
    """Interquartile mean of shares, [n, K] -> [K]; a failed run has none, which counts as 0."""
    failed = np.isnan(values) & ~np.isnan(values).all(0)
    return iqm_interval(np.where(failed, 0.0, values))


def fraction_solved(values: Array) -> Band:
    """Fraction of runs, [n, K] -> [K]; a failed run has solved nothing."""
    return wilson_interval(np.nansum(values, axis=0), np.full(values.shape[1], len(values)))


def _curves(
    results: Results,
    column: str,
    label: str,
    caption: str,
    estimate: Callable[[Array], Band],
    logarithmic: bool = False,
) -> Iterator[Picture]:
    curves = {arm: columns[column] for arm, columns in results.curves.items()}
    if len(curves) > MOST_CURVES or all(np.isnan(values).all() for values in curves.values()):
        return
    figure, axes = canvas(curves)
    ends = draw_curves(axes, results, column, label, estimate, logarithmic)
    alt = f"Curves over {results.config.training.updates} updates, {label}: {'; '.join(ends)}."
    if all(results.is_one_run(arm) for arm in curves):
        caption = f"{caption.partition(', interquartile')[0].partition(', with')[0].rstrip('.')}: one run an arm."
    yield finished(figure, axes, column, alt, caption)


def draw_curves(
    axes: Axes,
    results: Results,
    column: str,
    label: str,
    estimate: Callable[[Array], Band],
    logarithmic: bool = False,
) -> list[str]:
    """A line an arm, with a band; returns in words where each begins and ends."""
    x = results.at + (1 if logarithmic else 0)
    ends = []
    for arm, look in looks(list(results.curves)).items():
        values, single = results.curves[arm][column], results.is_one_run(arm)
        band = Band(*[values[0]] * 3) if single else estimate(values)
        draw_line(axes, x, band, look, arm, marked=True)
        if not single:
            axes.fill_between(x, band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
        first, last = (number(float(value)).text for value in band.estimate[[0, -1]])
        ends.append(f"{arm} from {first} to {last}")
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel("update")
    axes.set_ylabel(label)
    axes.set_ylim(0, 1.04 if column in FRACTIONS else None)
    return ends
