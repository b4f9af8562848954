"""One pair of colours tells one story: orange without the entropy term, blue with it."""

import re
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure

from experiments import load_config
from experiments.config.schema import Config
from experiments.figures.looks import LOOKS, WITH, WITHOUT, in_order_of_colour, looks, rgb
from experiments.figures.style import canvas, style, svg_of
from tests.experiments.comparisons import CONFIGS


def has_term(config: Config, arm: str) -> bool:
    return config.agent_of(arm).entropy_coef != 0


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_no_arm_without_the_term_is_blue_and_none_with_it_orange(path: Any) -> None:
    config = load_config(path)
    found = looks(config)
    assert list(found) == list(config.arms)
    assert not [arm for arm, look in found.items() if look == (WITHOUT if has_term(config, arm) else WITH)]
    if len(found) <= len(LOOKS):
        assert len({*found.values()}) == len(found)
    else:
        assert {*found.values()} == {WITHOUT, WITH}


def test_the_order_of_the_arms_does_not_matter() -> None:
    config = load_config(CONFIGS / "two_rooms.toml")
    turned = config.model_copy(update={"arms": dict(reversed(config.arms.items()))})
    assert looks(turned) == looks(config) == {"without_entropy": WITHOUT, "with_entropy": WITH}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_first_orange_arm_and_the_first_blue_one_come_first(path: Any) -> None:
    config = load_config(path)
    ordered, found = in_order_of_colour(config), looks(config)
    assert sorted(ordered) == sorted(config.arms)
    wanted = [look for look in (WITHOUT, WITH) if look in found.values()]
    assert [found[arm] for arm in ordered[: len(wanted)]] == wanted


def test_a_colour_is_three_bytes() -> None:
    assert rgb(WITHOUT) == (213, 94, 0)
    assert rgb(WITH) == (0, 114, 178)


def test_a_file_has_hundredths_of_points_and_its_words_have_all_their_digits() -> None:
    figure = Figure()
    figure.subplots().plot([0.123456, 1 / 3, 0.77777], [1 / 7, 3.14159, 2 / 9])
    svg = svg_of(figure, "from 0.0002143 to 0.123456").decode()
    places = re.findall(r' (?:d|x|y)="([^"]*)"', svg)
    assert len(places) > 20
    assert not re.search(r"\.\d{3}", " ".join(places))
    assert "from 0.0002143 to 0.123456" in svg


@pytest.mark.parametrize("end", [1_600, 40_000, 240_000, 1_600_000])
def test_no_number_at_the_end_of_an_axis_is_cut_off(end: int) -> None:
    with style():
        figure, axes = canvas(["without_entropy", "with_entropy"])
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axes.set_xticks([0, end])
        axes.set_xlim(0, end)
        inked = figure.get_tightbbox()
        assert inked.x0 >= 0
        assert inked.x1 <= figure.get_figwidth()
