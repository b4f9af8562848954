"""Nothing that a stranger wrote commands a terminal."""

import sys
import unicodedata

import pytest

from experiments.config.loading import load_config
from experiments.config.plain_text import is_obeyed, printable
from experiments.config.schema import ConfigError, one_line
from tests.experiments.small_training import small_config

OBEYED = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1bc",
    "\x9b2J",
    "\x9d0;title\x9c",
    "\r",
    "\b",
    "\x7f",
    "\u202e",
    "\u2066",
    "\ufeff",
]


def test_every_control_and_direction_is_written_out() -> None:
    """Over all of Unicode: letters, signs and spaces stay, and nothing is left that a terminal obeys."""
    everything = [chr(code) for code in range(sys.maxunicode + 1)]
    for character in everything:
        if unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}:
            assert is_obeyed(character)
        if character.isprintable():
            assert printable(character) == character
    assert not any(map(is_obeyed, printable("".join(everything))))


@pytest.mark.parametrize("text", OBEYED, ids=ascii)
def test_what_a_terminal_obeys_is_not_in_a_line(text: str) -> None:
    assert not any(map(is_obeyed, one_line(f"a{text}b")))


@pytest.mark.parametrize("text", ["a line\nand another\ttab", "Maß → H(π)", "👨‍👩‍👧", "a\u00a0b", "a\u200cb"])
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text
    assert load_config(small_config().model_dump(exclude_none=True) | {"description": text}).description == text


@pytest.mark.parametrize("text", OBEYED, ids=ascii)
@pytest.mark.parametrize("place", ["description", "environment.id", "environment.kwargs", "claims", "arms"])
def test_a_config_holds_none_of_it(place: str, text: str) -> None:
    """Wherever a text may stand, keys included."""
    table = small_config().model_dump(exclude_none=True)
    if place == "claims":
        table["claims"][0]["statement"] = text
    elif place == "environment.id":
        table["environment"]["id"] = text
    elif place == "environment.kwargs":
        table["environment"]["kwargs"] = {"map": [["S", {text: 1}]]}
    else:
        table |= {place: text if place == "description" else {text: {}}}
    with pytest.raises(ConfigError) as caught:
        load_config(table)
    assert place in str(caught.value)
    assert "characters that a terminal would obey" in str(caught.value)
    assert not any(map(is_obeyed, str(caught.value)))
