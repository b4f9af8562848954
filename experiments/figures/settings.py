"""Pictures of a sweep: what the second arm adds in each setting, what decides it, and what tuned arms tried."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from experiments.analysis.settings import ANSWERS, Answer, Effect, Group, is_number
from experiments.analysis.wording import number
from experiments.config.measures import RUN_MEASURES
from experiments.figures.looks import COLOURS, WITH, WITHOUT
from experiments.figures.style import WIDTH, Picture, canvas, finished, svg_of

ANSWER_LOOKS: Mapping[Answer, tuple[str, str]] = {
    "helps": (COLOURS[1], "o"),
    "harms": (COLOURS[0], "s"),
    "no effect": ("#222222", "_"),
    "undecided": ("#999999", "."),
}
LEFT = 0.18  # of the width: room for numbers with a sign and two decimals


def sorted_effects(found: Sequence[Effect]) -> Picture:
    """All settings in the order of their effects."""
    figure, axes = canvas(ANSWERS)
    order = sorted(found, key=lambda each: each.effect)
    for answer in ANSWERS:
        colour, marker = ANSWER_LOOKS[answer]
        places = [place for place, each in enumerate(order) if each.answer == answer]
        if places:
            y = [order[place].effect for place in places]
            axes.plot(
                places,
                y,
                linestyle="",
                marker=marker,
                color=colour,
                markersize=4,
                label=f"{answer}: {len(places)}",
            )
    axes.axhline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel("settings, in the order of the effect")
    axes.set_ylabel("effect")
    figure.subplots_adjust(left=LEFT)
    alt = f"The effect in each of {len(found)} settings, from {number(order[0].effect, signed=True).text} to "
    alt += f"{number(order[-1].effect, signed=True).text}."
    return finished(figure, axes, "effects", alt, "Every setting of the sweep: the second arm minus the first.")


def heat_map(found: Sequence[Effect], keys: Sequence[str]) -> Picture:
    """The effect over two keys; where further keys differ, the mean over their values."""
    across, down = (_values(found, key) for key in keys)
    cells: dict[tuple[int, int], list[float]] = {}
    for each in found:
        place = down.index(each.settings[keys[1]]), across.index(each.settings[keys[0]])
        cells.setdefault(place, []).append(each.effect)
    grid = np.full((len(down), len(across)), np.nan)
    for place, values in cells.items():
        grid[place] = np.mean(values)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(down)))
    axes = figure.subplots()
    axes.grid(visible=False)
    # Blue helps and orange harms, as the arms' own colours do elsewhere.
    colours = matplotlib.colors.LinearSegmentedColormap.from_list("effect", [COLOURS[0], "#ffffff", COLOURS[1]])
    axes.imshow(grid, cmap=colours, norm=CenteredNorm(), aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            axes.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(across)), [_text(value) for value in across])
    axes.set_yticks(range(len(down)), [_text(value) for value in down])
    axes.set_xlabel(keys[0])
    axes.set_title(keys[1], fontsize=10, loc="left")
    figure.tight_layout(pad=0.6)
    rows = "; ".join(
        f"{keys[0]} {_text(across[column])}, {keys[1]} {_text(down[row])}: {value:+.2f}"
        for (row, column), value in np.ndenumerate(grid)
    )
    caption = "The second arm minus the first over two keys (mean over all others)."
    return Picture("heat_map", svg_of(figure, f"Effects. {rows}."), f"Effects. {rows}.", caption)


def marginal_effects(groups: Mapping[str, Sequence[Group]]) -> Iterator[Picture]:
    """A picture per key: the mean effect by its value, a row per value."""
    for key, several in groups.items():
        figure = Figure(figsize=(WIDTH, 0.8 + 0.24 * len(several)))
        axes, height = figure.subplots(), figure.get_figheight()
        estimate, low, high = np.array([group.effect for group in several]).T
        reach = np.abs(np.stack([low, high]) - estimate)
        rows, labels = np.arange(len(several))[::-1], [group_text(group) for group in several]
        axes.errorbar(
            estimate, rows, xerr=np.where(np.isfinite(reach), reach, 0.0), linestyle="",
            marker=WITH.marker, color=WITH.colour, capsize=2, markersize=5,
        )  # fmt: skip
        axes.axvline(0, color="#222222", linewidth=0.8)
        axes.set_yticks(rows, labels, fontsize=8)
        axes.set_ylim(-0.5, len(several) - 0.5)
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.set_xlabel("mean effect")
        axes.set_title(key, fontsize=10, loc="left")
        left = 0.06 + 0.0145 * max(map(len, labels))
        figure.subplots_adjust(left=left, right=0.95, top=1 - 0.28 / height, bottom=0.47 / height)
        words = (f"{group_text(group)}: {number(group.effect[0], signed=True).text}" for group in several)
        alt = f"Mean effect by {key}. {'; '.join(words)}."
        caption = f"By {key}: mean effect of the settings with each value, 95 % bootstrap over settings."
        yield Picture(f"marginal_{key}", svg_of(figure, alt), alt, caption)


def tried(
    measure: str, arms: Mapping[str, Sequence[Mapping[str, Any]]], tuned: Mapping[str, Any]
) -> Iterator[Picture]:
    """A picture per arm: the scores of its tries over the keys that it tuned, and the one that it chose.

    Args:
        measure: what was chosen by.
        arms: the settings of each arm's tries, by the key within the arm.
        tuned: arm -> its `scores` and the place of what it has `chosen`.
    """
    for arm, settings in arms.items():
        numeric = [key for key in settings[0] if all(is_number(each[key]) for each in settings)]
        if numeric:
            yield _tried(measure, arm, settings, numeric, tuned[arm])


def _tried(
    measure: str, arm: str, settings: Sequence[Mapping[str, Any]], keys: Sequence[str], tuned: Mapping[str, Any]
) -> Picture:
    look, label = WITHOUT if len(keys) == 1 else WITH, RUN_MEASURES[measure].label
    figure, axes = canvas([])
    scores, chosen = np.array(tuned["scores"], float), int(tuned["chosen"])
    x = np.array([each[keys[0]] for each in settings], float)
    if len(keys) == 1:
        y = scores
        axes.plot(x, y, linestyle="", marker=look.marker, color=look.colour)
    else:
        y = np.array([each[keys[1]] for each in settings], float)
        drawn = axes.scatter(x, y, c=scores, cmap="cividis", s=40, edgecolors="#222222", linewidths=0.5)
        figure.colorbar(drawn, ax=axes, label=label)
        _logarithmic(axes.set_yscale, y)
    axes.plot(x[chosen], y[chosen], marker="o", markersize=14, markerfacecolor="none", color="#222222")
    _logarithmic(axes.set_xscale, x)
    axes.set_xlabel(keys[0])
    axes.set_ylabel(label if len(keys) == 1 else keys[1])
    best = ", ".join(f"{key} = {value}" for key, value in settings[chosen].items())
    alt = f"{arm}: the {label} of {len(scores)} tries, from {number(scores.min()).text} to "
    alt += f"{number(scores.max()).text}. Chosen: {best}."
    return Picture(
        f"tried_{arm}", svg_of(figure, alt), alt, f"{arm}: what it tried, and in the circle what it chose."
    )


def _logarithmic(scale: Any, values: np.ndarray[Any, Any]) -> None:
    if values.min() > 0 and values.max() / values.min() > 5:
        scale("log")


def _values(found: Sequence[Effect], key: str) -> list[Any]:
    distinct: list[Any] = []
    for each in found:
        if each.settings[key] not in distinct:
            distinct.append(each.settings[key])
    return sorted(distinct) if all(map(is_number, distinct)) else distinct


def group_text(group: Group) -> str:
    """The value of a group, or its range."""
    if isinstance(group.values, Mapping):
        return f"{_text(group.values['from'])} to {_text(group.values['to'])}"
    return _text(group.values)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return f"{value:.3g}"
