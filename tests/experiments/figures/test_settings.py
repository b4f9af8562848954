"""Pictures of a sweep: whatever its keys' values are called, their names can be read."""

from itertools import combinations
from typing import Any

import pytest
from matplotlib.figure import Figure

from experiments.analysis.settings import Group
from experiments.figures import settings
from experiments.figures.style import style

WIDTHS = [[], [8], [16], [32], [64], [128], [8, 8], [16, 16], [32, 32], [64, 64], [128, 128]]
RANGES = [{"from": 0.0005001 * 10**i, "to": 0.0029 * 10**i} for i in range(4)]
BASELINES = ["leave_one_out", "none", "running_mean", "value"]


@pytest.mark.parametrize("values", [WIDTHS, RANGES, BASELINES, [True, False]])
def test_names_of_values_neither_overlap_nor_are_cut_off(
    values: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(settings, "svg_of", lambda figure, _: drawn.append(figure) or b"")
    groups = [Group(value, 10, (0.1, -0.123, 0.3), (0.1, 0.0, 0.2), (0.1, 0.0, 0.2)) for value in values]
    with style():
        list(settings.marginal_effects({"agent.key": groups}))
        (figure,) = drawn
        (axes,) = figure.axes
        inked = figure.get_tightbbox()
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels]
            assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert min(inked.x0, inked.y0) >= 0
    assert inked.x1 <= figure.get_figwidth()
    assert inked.y1 <= figure.get_figheight()
