"""Dose and response: results against the coefficient."""

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from experiments.analysis.estimates import Band
from experiments.analysis.wording import number
from experiments.config.measures import RUN_MEASURES
from experiments.figures.looks import WITH
from experiments.figures.style import Picture, canvas, draw_line, finished
from experiments.storage.results import Results

Array = NDArray[np.float64]


def doses_of(results: Results) -> dict[str, float]:
    """The coefficients of the arms, if five or more differ in nothing but a constant coefficient; else nothing."""
    series: dict[str, dict[str, float]] = {}
    for arm in results.config.arms:
        agent = results.config.agent_of(arm)
        if isinstance(agent.entropy_coef, float | int):
            rest = agent.model_copy(update={"entropy_coef": 0.0}).model_dump_json()
            series.setdefault(rest, {})[arm] = float(agent.entropy_coef)
    longest = max(series.values(), key=len, default={})
    return longest if len(longest) >= 5 and max(longest.values()) > 0 else {}


DOSE_MEASURES = tuple(
    name for name, measure in RUN_MEASURES.items() if measure.shown == "everywhere" and measure.kind != "time"
)


def dose_response(results: Results) -> Iterator[Picture]:
    doses = doses_of(results)
    for measure in DOSE_MEASURES:
        if measure == "state_coverage" and results.config.environment.max_episode_steps == 1:
            continue  # a single state, which every run visits
        entries = {arm: results.summary["arms"][arm]["measures"].get(measure) for arm in doses}
        if doses and all(entry and entry["estimate"] is not None for entry in entries.values()):
            yield _response(doses, entries, measure)


def _response(doses: Mapping[str, float], entries: Mapping[str, Mapping[str, Any]], measure: str) -> Picture:
    label = RUN_MEASURES[measure].axis
    order = sorted(doses, key=doses.__getitem__)
    x = np.array([doses[arm] for arm in order])
    band = Band(*(np.array([entries[arm][end] for arm in order], dtype=float) for end in Band._fields))
    figure, axes = canvas([])
    draw_line(axes, x, band, WITH, label, marked=False)
    if np.isfinite(band.low).all():
        axes.fill_between(x, band.low, band.high, color=WITH.colour, alpha=0.18, linewidth=0)
    smallest = x[x > 0].min()
    axes.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    axes.set_xlim(-0.1 * smallest, x.max() * 1.15)
    axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(_readable(x)))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xlabel("entropy coefficient")
    axes.set_ylabel(label)
    ends = np.concatenate(band)[np.isfinite(np.concatenate(band))]
    margin = 0.04 * (max(ends.max(), 0.0) - min(ends.min(), 0.0)) or 0.5
    axes.set_ylim(min(ends.min() - margin, 0.0), max(ends.max() + margin, 0.0))
    best = int(np.argmax(band.estimate))
    points = "; ".join(
        f"{dose:g}: {number(float(value)).text}" for dose, value in zip(x, band.estimate, strict=True)
    )
    alt = f"{label} against the entropy coefficient. {points}. Highest at {x[best]:g}."
    kind = "Wilson's" if RUN_MEASURES[measure].kind == "fraction" else "interquartile mean with its"
    return finished(
        figure,
        axes,
        f"dose_{measure}",
        alt,
        f"{label[0].upper()}{label[1:]}: {kind} 95 % interval, by coefficient.",
    )


def _readable(doses: Array) -> list[float]:
    """Doses to label on the axis: 0, and others that are far enough apart."""
    ticks = [0.0]
    for dose in doses[doses > 0]:
        if ticks[-1] == 0 or dose / ticks[-1] >= 2.4:
            ticks.append(float(dose))
    return ticks
