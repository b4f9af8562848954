"""A family, world by world: where the second of two arms does better, and where worse."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.over_worlds import world_means
from experiments.analysis.values import counted, values_of
from experiments.config.measures import RUN_MEASURES
from experiments.figures.looks import COLOURS
from experiments.figures.style import Picture, canvas, finished
from experiments.storage.results import Results

MEASURE = "succeeds"


def differences(results: Results) -> NDArray[np.float64]:
    """How many more of a world's runs succeed in the second of two arms, as a fraction, a number per world."""
    failed_as = RUN_MEASURES[MEASURE].failed_as
    first, second = (
        world_means(counted(values_of(MEASURE, runs), failed_as, "fraction"), runs["world"].astype(np.int64))
        for runs in results.runs.values()
    )
    return second - first


def by_world(results: Results) -> Iterator[Picture]:
    """A dot per world, in the order of the difference; the caption names the worlds in which it is negative."""
    arms = list(results.runs)
    known = all(results.summary["arms"][arm]["measures"].get(MEASURE) for arm in arms)
    if results.config.environment.worlds is None or len(arms) != 2 or not known:
        return
    apart, names = differences(results), np.unique(results.runs[arms[0]]["world"].astype(np.int64))
    order = np.argsort(apart, kind="stable")
    figure, axes = canvas(["higher", "equal", "lower"])
    for label, sign, colour in (("higher", 1, COLOURS[1]), ("equal", 0, "#999999"), ("lower", -1, COLOURS[0])):
        places = np.flatnonzero(np.sign(apart[order]) == sign)
        if len(places):
            axes.plot(places, apart[order][places], linestyle="", marker="o", markersize=4, color=colour,
                      label=f"{label} in {len(places)}")  # fmt: skip
    axes.axhline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel("worlds, in the order of the difference")
    axes.set_ylabel("difference")
    figure.subplots_adjust(left=0.18)  # room for numbers with a sign and two decimals
    worse = ", ".join(str(names[place]) for place in order if apart[place] < 0) or "none"
    caption = f"{RUN_MEASURES[MEASURE].heading}: {arms[1]} minus {arms[0]} in each world. Lower in: {worse}."
    ends = f"from {apart.min():+.2f} to {apart.max():+.2f}"
    yield finished(figure, axes, "by_world", f"A dot per world, {ends}. {caption}", caption)
