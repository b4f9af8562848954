"""How runs ended: final returns, first successes, and many arms beside each other."""

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.analysis.estimates import Band, kaplan_meier, performance_profile
from experiments.analysis.wording import number
from experiments.config.measures import RUN_MEASURES
from experiments.figures.doses import doses_of
from experiments.figures.looks import MAX_CURVES, WITH, WITHOUT, looks
from experiments.figures.style import WIDTH, Picture, canvas, draw_line, finished, svg_of
from experiments.storage.results import Results

Array = NDArray[np.float64]

ENDINGS = ("succeeds", "solved")  # the measures to compare many arms: the first that is known
MAX_RETURN = 1e300  # an axis further out has no finite length


def final_returns(results: Results) -> Iterator[Picture]:
    """A histogram per arm, one above the other, on a common axis of returns."""
    returns = {arm: _known(columns["final_return"]) for arm, columns in results.runs.items()}
    if len(returns) > MAX_CURVES or any(results.is_one_run(arm) for arm in returns):
        return
    everything = np.concatenate(list(returns.values()))
    if not len(everything):
        return
    low, high = _range(everything)
    edges = np.linspace(low, high, 25)
    figure = Figure(figsize=(WIDTH, 0.75 + 0.8 * len(returns)))
    rows = figure.subplots(len(returns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (arm, look) in zip(rows, looks(results.config).items(), strict=True):
        axes.hist(returns[arm], edges, color=look.colour, edgecolor="white", linewidth=0.5)
        axes.set_title(arm + _left_out(results.runs[arm]["final_return"]), fontsize=10, loc="left", pad=2)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(2, integer=True))
    rows[-1].set_xlabel("final return of a run")
    rows[-1].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    rows[len(rows) // 2].set_ylabel("runs", loc="center")
    figure.subplots_adjust(left=0.13, right=0.955, top=1 - 0.25 / figure.get_figheight(),
                           bottom=0.48 / figure.get_figheight(), hspace=0.55)  # fmt: skip
    thresholds = [
        f"{arm}: median {number(float(np.median(values))).text}{_left_out(results.runs[arm]['final_return'])}"
        for arm, values in returns.items()
        if len(values)
    ]
    ends = f"between {number(low).text} and {number(high).text}"
    alt = f"Histograms of the runs' final returns {ends}. {'; '.join(thresholds)}."
    caption = (
        "Final return of every run (mean over the last 5 % of updates): a mean would hide the runs that are stuck."
    )
    yield Picture("final_return", svg_of(figure, alt), alt, caption)


def return_profile(results: Results) -> Iterator[Picture]:
    """Performance profiles (Dolan & Moré 2002): the fraction of runs that earn more than each return."""
    returns = {arm: columns["final_return"].astype(float) for arm, columns in results.runs.items()}
    everything = np.concatenate([_known(values) for values in returns.values()])
    if len(returns) > MAX_CURVES or any(results.is_one_run(arm) for arm in returns) or not len(everything):
        return
    figure, axes = canvas(returns)
    low, high = _range(everything)
    at, middle, words = np.linspace(low, high, 101), (low + high) / 2, []
    for arm, look in looks(results.config).items():
        band = performance_profile(returns[arm], at)
        draw_line(axes, at, band, look, arm, marked=True)
        axes.fill_between(at, band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
        words.append(f"{arm}: {(returns[arm] > middle).mean():.2f} above {number(middle).text}")
    axes.set_xlabel(RUN_MEASURES["final_return"].axis)
    axes.set_ylabel("fraction of runs above it")
    axes.set_ylim(0, 1.04)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    alt = f"Fraction of the runs above each final return. {'; '.join(words)}."
    caption = (
        "Fraction of runs whose final return is above each value, with Wilson's pointwise 95 % interval; that of "
        "failed runs never is."
    )
    yield finished(figure, axes, "return_profile", alt, caption)


def first_success(results: Results) -> Iterator[Picture]:
    """Kaplan-Meier curves of the time to the first success."""
    arms = {arm: columns for arm, columns in results.runs.items() if columns["env_steps"].any()}
    happened = {arm: np.isfinite(columns["first_success_env_step"]) for arm, columns in arms.items()}
    if len(arms) > MAX_CURVES or not any(hit.any() for hit in happened.values()):
        return
    figure, axes = canvas(arms)
    words = []
    for arm, look in looks(results.config).items():
        if arm not in arms:
            continue
        hit = happened[arm]
        # A failed run never succeeds later: it counts as without a success until the last step of any run.
        until = np.where(arms[arm]["failed"], arms[arm]["env_steps"].max(), arms[arm]["env_steps"])
        time = np.where(hit, arms[arm]["first_success_env_step"], until)
        survival = kaplan_meier(time, hit)
        axes.step(
            survival.time, survival.fraction, where="post", color=look.colour, linestyle=look.line, linewidth=1.8,
            marker=look.marker, markersize=5, markevery=max(1, len(survival.time) // 5), label=arm,
        )  # fmt: skip
        ends = survival.low, survival.high
        axes.fill_between(survival.time, *ends, step="post", color=look.colour, alpha=0.18, linewidth=0)
        words.append(f"{arm}: {hit.sum()} of {len(hit)} runs succeeded")
    axes.set_xlabel("environment steps of a run")
    axes.set_ylabel("runs without a success so far")
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    alt = f"Survival curves of the time to the first success. {'; '.join(words)}."
    caption = (
        "Fraction of runs that have not yet had a success (Kaplan and Meier), with pointwise 95 % intervals. "
        "To have a success is not yet to learn from it."
    )
    yield finished(figure, axes, "first_success", alt, caption)


def many_arms(results: Results) -> Iterator[Picture]:
    """Where there are too many arms for curves: how each of them ended."""
    arms = list(results.runs)
    measures = [results.summary["arms"][arm]["measures"] for arm in arms]
    # Older folders have no `succeeds`, and worlds without a goal have neither.
    known = [name for name in ENDINGS if all(measured.get(name) for measured in measures)]
    if len(arms) <= MAX_CURVES or len(doses_of(results)) == len(arms) or not known:
        return
    figure = Figure(figsize=(WIDTH, 0.6 + 0.24 * len(arms)))
    axes = figure.subplots()
    label, entries = RUN_MEASURES[known[0]].label, [measured[known[0]] for measured in measures]
    y = np.arange(len(arms))[::-1]
    x, *ends = np.array([[entry[end] for entry in entries] for end in Band._fields], float)
    error = np.abs(x - ends)  # NaN where there is one run
    with_term = np.array([results.config.agent_of(arm).entropy_coef != 0 for arm in arms])
    for flag, look in ((False, WITHOUT), (True, WITH)):
        axes.errorbar(x[with_term == flag], y[with_term == flag], xerr=error[:, with_term == flag],
                      fmt=look.marker, color=look.colour, capsize=2, markersize=5)  # fmt: skip
    axes.set_yticks(y, arms, fontsize=8)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(f"fraction of {label}")
    height = figure.get_figheight()
    longest = max(map(len, arms))
    figure.subplots_adjust(left=0.06 + 0.0145 * longest, right=0.97, top=1 - 0.1 / height, bottom=0.48 / height)
    alt = f"Fraction of {label} in each arm: " + "; ".join(
        f"{arm} {value:.2f}" for arm, value in zip(arms, x, strict=True)
    )
    caption = (
        f"{label.capitalize()}, with Wilson's 95 % interval; circles: with the entropy term, squares: without."
    )
    yield Picture(f"{known[0]}_by_arm", svg_of(figure, alt), alt, caption)


def _left_out(values: NDArray[Any]) -> str:
    """How many runs have no value, in words; empty if all have one."""
    missing = len(values) - len(_known(values))
    return f" ({missing} of {len(values)} runs failed)" if missing else ""


def _known(values: NDArray[Any]) -> Array:
    """The values that can be drawn: the distance of larger ones may be infinite."""
    return values[np.abs(values) < MAX_RETURN].astype(float)


def _range(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin
