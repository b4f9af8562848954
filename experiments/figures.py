"""Pictures of a training's results, each with a text for those who do not see it.

Arms differ in colour (Okabe and Ito's colour-blind-safe palette), line and marker: colour alone says nothing.
n: runs of an arm, K: points of a curve.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.inference import Band, iqm_interval, kaplan_meier, wilson_interval
from experiments.results import Results

Array = NDArray[np.float64]

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("--", "-", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 2)))
MARKERS = ("s", "o", "^", "D", "v", "P")
FRACTIONS = ("solved", "state_coverage", "optimal_action_probability")  # curves between 0 and 1
MOST_CURVES = len(COLOURS)  # in one picture; more arms are compared by their ends alone
WIDTH = 4.6  # inches: two beside each other on a screen, one on a telephone

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be found, read aloud and scaled
    "svg.hashsalt": "figures",  # the same picture is the same file
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
}


class Picture(NamedTuple):
    """A figure as a file, in words, and with a line below it."""

    name: str  # of the file
    svg: bytes
    alt: str
    caption: str


class Look(NamedTuple):
    """How an arm is drawn."""

    colour: str
    line: Any
    marker: str


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """One for each arm, in order; they begin anew behind the sixth."""
    known = [Look(*parts) for parts in zip(COLOURS, LINES, MARKERS, strict=True)]
    return {arm: known[index % len(known)] for index, arm in enumerate(arms)}


def pictures(results: Results) -> list[Picture]:
    """All pictures of a training that say something about it."""
    with matplotlib.rc_context(STYLE):
        return [picture for draw in _DRAWINGS for picture in draw(results)]


# --- curves over training


def _entropy(results: Results) -> Iterator[Picture]:
    yield from _curves(
        results,
        "entropy_bits",
        "entropy along the path, bits",
        "Policy entropy of each update, interquartile mean of the runs with its 95 % interval.",
        iqm_interval,
    )


def _solved(results: Results) -> Iterator[Picture]:
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


def _coverage(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps == 1:
        return  # one state, seen by all
    yield from _curves(
        results,
        "state_coverage",
        "states visited / reachable",
        "States visited since the start of training, interquartile mean with its 95 % interval.",
        iqm_interval,
    )


def _optimal_action(results: Results) -> Iterator[Picture]:
    if results.config.environment.max_episode_steps != 1:
        return
    yield from _curves(
        results,
        "optimal_action_probability",
        "probability of the best action",
        "Probability of the best action over the updates on a logarithmic scale, interquartile mean with its 95 % "
        "interval.",
        iqm_interval,
        logarithmic=True,
    )


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
    figure, axes = _canvas(curves)
    ends = draw_curves(axes, results, column, label, estimate, logarithmic)
    alt = f"Curves over {results.config.training.updates} updates, {label}: {'; '.join(ends)}."
    if all(results.is_one_run(arm) for arm in curves):
        caption = f"{caption.partition(', interquartile')[0].partition(', with')[0].rstrip('.')}: one run an arm."
    yield _picture(figure, axes, column, alt, caption)


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
        _line(axes, x, band, look, arm, marked=True)
        if not single:
            axes.fill_between(x, band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
        ends.append(f"{arm} from {band.estimate[0]:.2f} to {band.estimate[-1]:.2f}")
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel("update")
    axes.set_ylabel(label)
    axes.set_ylim(0, 1.04 if column in FRACTIONS else None)
    return ends


def _line(axes: Axes, x: NDArray[Any], band: Band, look: Look, label: str, marked: bool) -> None:
    every = max(1, len(x) // 6) if marked else None
    axes.plot(
        x, band.estimate, color=look.colour, linestyle=look.line, marker=look.marker, markersize=5,
        markevery=every, linewidth=1.8, label=label,
    )  # fmt: skip


# --- outcomes


def _final_returns(results: Results) -> Iterator[Picture]:
    """A histogram an arm, one above the other, on one axis of returns."""
    returns = {arm: _known(columns["final_return"]) for arm, columns in results.runs.items()}
    if len(returns) > MOST_CURVES or any(results.is_one_run(arm) for arm in returns):
        return
    everything = np.concatenate(list(returns.values()))
    if not len(everything):
        return
    low, high = _range(everything)
    edges = np.linspace(low, high, 25)
    figure = Figure(figsize=(WIDTH, 0.75 + 0.8 * len(returns)))
    rows = figure.subplots(len(returns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (arm, look) in zip(rows, looks(list(returns)).items(), strict=True):
        axes.hist(returns[arm], edges, color=look.colour, edgecolor="white", linewidth=0.5)
        axes.set_title(arm, fontsize=10, loc="left", pad=2)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(2, integer=True))
    rows[-1].set_xlabel("final return of a run")
    rows[-1].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    rows[len(rows) // 2].set_ylabel("runs", loc="center")
    figure.subplots_adjust(left=0.13, right=0.955, top=1 - 0.25 / figure.get_figheight(),
                           bottom=0.48 / figure.get_figheight(), hspace=0.55)  # fmt: skip
    thresholds = [f"{arm}: median {np.median(values):.2f}" for arm, values in returns.items() if len(values)]
    alt = f"Histograms of the runs' final returns between {low:.2f} and {high:.2f}. {'; '.join(thresholds)}."
    caption = "Final return of every run (mean over the last 5 % of updates): a mean would hide who is stuck."
    yield Picture("final_return", _svg(figure), alt, caption)


def _first_success(results: Results) -> Iterator[Picture]:
    """Kaplan-Meier curves of the time to the first success."""
    arms = {arm: columns for arm, columns in results.runs.items() if columns["env_steps"].any()}
    happened = {arm: np.isfinite(_floats(columns["first_success_env_step"])) for arm, columns in arms.items()}
    if len(arms) > MOST_CURVES or not any(hit.any() for hit in happened.values()):
        return
    figure, axes = _canvas(arms)
    words = []
    for arm, look in looks(list(results.runs)).items():
        if arm not in arms:
            continue
        hit = happened[arm]
        time = np.where(hit, _floats(arms[arm]["first_success_env_step"]), arms[arm]["env_steps"])
        survival = kaplan_meier(time, hit)
        band = Band(survival.fraction, survival.low, survival.high)
        axes.step(
            survival.time, band.estimate, where="post", color=look.colour, linestyle=look.line, linewidth=1.8,
            marker=look.marker, markersize=5, markevery=max(1, len(survival.time) // 5), label=arm,
        )  # fmt: skip
        axes.fill_between(
            survival.time, band.low, band.high, step="post", color=look.colour, alpha=0.18, linewidth=0
        )
        words.append(f"{arm}: {hit.sum()} of {len(hit)} runs succeeded")
    axes.set_xlabel("environment steps of a run")
    axes.set_ylabel("runs without a success so far")
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    alt = f"Survival curves of the time to the first success. {'; '.join(words)}."
    caption = (
        "Fraction of runs that have not seen a success yet (Kaplan and Meier), with pointwise 95 % intervals. "
        "Seeing a success is not yet learning from it."
    )
    yield _picture(figure, axes, "first_success", alt, caption)


def _many_arms(results: Results) -> Iterator[Picture]:
    """Where there are too many arms for curves: what each of them came to."""
    arms = list(results.runs)
    if len(arms) <= MOST_CURVES or len(_doses(results)) == len(arms):
        return
    figure = Figure(figsize=(WIDTH, 0.6 + 0.24 * len(arms)))
    axes = figure.subplots()
    entries = [results.summary["arms"][arm]["measures"]["solved"] for arm in arms]
    y = np.arange(len(arms))[::-1]
    x = np.array([entry["estimate"] for entry in entries])
    error = np.abs(x - [[entry["low"] for entry in entries], [entry["high"] for entry in entries]])
    with_term = np.array([results.config.agent_of(arm).entropy_coef != 0 for arm in arms])
    for flag, look in zip((False, True), looks(["without", "with"]).values(), strict=True):
        axes.errorbar(x[with_term == flag], y[with_term == flag], xerr=error[:, with_term == flag],
                      fmt=look.marker, color=look.colour, capsize=2, markersize=5)  # fmt: skip
    axes.set_yticks(y, arms, fontsize=8)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("fraction of runs solved")
    height = figure.get_figheight()
    longest = max(map(len, arms))
    figure.subplots_adjust(left=0.06 + 0.0145 * longest, right=0.97, top=1 - 0.1 / height, bottom=0.48 / height)
    alt = "Fraction of runs solved in each arm: " + "; ".join(
        f"{arm} {value:.2f}" for arm, value in zip(arms, x, strict=True)
    )
    caption = "Runs solved, with Wilson's 95 % interval; circles: with the entropy term, squares: without."
    yield Picture("solved_by_arm", _svg(figure), alt, caption)


# --- dose and response


def _doses(results: Results) -> dict[str, float]:
    """The coefficients of the arms, five or more, that differ in nothing but a constant coefficient; else none."""
    series: dict[str, dict[str, float]] = {}
    for arm in results.config.arms:
        agent = results.config.agent_of(arm)
        if isinstance(agent.entropy_coef, float | int):
            rest = agent.model_copy(update={"entropy_coef": 0.0}).model_dump_json()
            series.setdefault(rest, {})[arm] = float(agent.entropy_coef)
    longest = max(series.values(), key=len, default={})
    return longest if len(longest) >= 5 and max(longest.values()) > 0 else {}


DOSE_MEASURES = {
    "solved": "fraction of runs solved",
    "final_return": "final return",
    "final_entropy_bits": "final entropy, bits",
    "state_coverage": "states visited / reachable",
}


def _dose_response(results: Results) -> Iterator[Picture]:
    doses = _doses(results)
    for measure, label in DOSE_MEASURES.items():
        if measure == "state_coverage" and results.config.environment.max_episode_steps == 1:
            continue  # one state, seen by all
        entries = {arm: results.summary["arms"][arm]["measures"].get(measure) for arm in doses}
        if doses and all(entries.values()):
            yield _response(doses, entries, measure, label)


def _response(
    doses: Mapping[str, float], entries: Mapping[str, Mapping[str, Any]], measure: str, label: str
) -> Picture:
    order = sorted(doses, key=doses.__getitem__)
    x = np.array([doses[arm] for arm in order])
    band = Band(*(np.array([entries[arm][end] for arm in order], dtype=float) for end in Band._fields))
    figure, axes = _canvas([])
    look = looks(["without", "with"])["with"]
    _line(axes, x, band, look, label, marked=False)
    if np.isfinite(band.low).all():
        axes.fill_between(x, band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
    smallest = x[x > 0].min()
    axes.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    axes.set_xlim(-0.1 * smallest, x.max() * 1.15)
    axes.xaxis.set_major_locator(matplotlib.ticker.FixedLocator(_readable(x)))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_xlabel("entropy coefficient")
    axes.set_ylabel(label)
    ends = np.concatenate(band)[np.isfinite(np.concatenate(band))]
    margin = 0.04 * (max(ends.max(), 0.0) - min(ends.min(), 0.0))
    axes.set_ylim(min(ends.min() - margin, 0.0), max(ends.max() + margin, 0.0))
    best = int(np.argmax(band.estimate))
    points = "; ".join(f"{dose:g}: {value:.2f}" for dose, value in zip(x, band.estimate, strict=True))
    alt = f"{label} against the entropy coefficient. {points}. Highest at {x[best]:g}."
    kind = "Wilson's" if measure == "solved" else "interquartile mean with its"
    return _picture(
        figure, axes, f"dose_{measure}", alt, f"{label.capitalize()}: {kind} 95 % interval, by coefficient."
    )


def _readable(doses: Array) -> list[float]:
    """Doses to write at the axis: 0 and those far enough apart."""
    ticks = [0.0]
    for dose in doses[doses > 0]:
        if ticks[-1] == 0 or dose / ticks[-1] >= 2.4:
            ticks.append(float(dose))
    return ticks


# --- canvas


def _canvas(legend: Sequence[str] | Mapping[str, Any]) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, and room above them for a legend with so many entries."""
    rows = (len(legend) + 1) // 2
    height = 2.75 + 0.22 * rows
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.135, right=0.975, top=1 - (0.12 + 0.22 * rows) / height, bottom=0.47 / height)
    return figure, axes


def _picture(figure: Figure, axes: Axes, name: str, alt: str, caption: str) -> Picture:
    if axes.get_legend_handles_labels()[0] and not name.startswith("dose_"):
        axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.2)
    return Picture(name, _svg(figure), alt, caption)


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    # Verdana has the same widths, for whoever has no DejaVu Sans.
    return file.getvalue().replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")


def _known(values: NDArray[Any]) -> Array:
    floats = _floats(values)
    return floats[np.isfinite(floats)]


def _floats(values: NDArray[Any]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _range(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin


_DRAWINGS: tuple[Callable[[Results], Iterator[Picture]], ...] = (
    _dose_response,
    _many_arms,
    _entropy,
    _solved,
    _optimal_action,
    _final_returns,
    _coverage,
    _first_success,
)
