"""Templates escape what is put into them, miss nothing silently, and show arms in the colours of the figures."""

import re

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from experiments import load_config
from experiments.analysis.wording import number
from experiments.figures.looks import COLOURS
from experiments.pages.rendering import TEMPLATES, environment, marked

PAGES = sorted(path.name for path in TEMPLATES.glob("*.html"))


@pytest.mark.parametrize("name", PAGES)
def test_every_template_escapes_text_and_attributes(name: str) -> None:
    template = environment().from_string('<p title="{{ words }}">{{ words }}</p>')
    assert template.render(words='"<b>&') == '<p title="&#34;&lt;b&gt;&amp;">&#34;&lt;b&gt;&amp;</p>'
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape", source)


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_numbers_carry_their_value_and_words_are_escaped() -> None:
    assert marked(["a<b ", number(0.123456), ", ", number(None)]) == Markup(
        'a&lt;b <data value="0.123456">0.12</data>,\u00a0<data value="null">no value</data>'
    )


def test_arms_have_the_colours_of_the_figures() -> None:
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    for index, colour in enumerate(COLOURS):
        assert f".arm-{index} {{ --arm: {colour.lower()}; }}" in style


def test_a_single_seed_is_not_a_range() -> None:
    config = load_config("two_rooms", ["training.seeds=[7]"])
    setup = environment().get_template("parts.html").module.setup(config)
    assert "the same for all arms: 7<" in setup
