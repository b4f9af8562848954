"""Every number, interval and verdict can be said, whatever is missing in it, and the same way everywhere."""

import html
import itertools
import json
import math
import re
from typing import Any

import pytest

from experiments.analysis import wording
from experiments.analysis.exact_tests import ALPHA
from experiments.analysis.wording import Number, effect_text, measure_text, number, plain, verdict_text
from experiments.config.measures import RUN_MEASURES
from experiments.pages.rendering import environment
from experiments.session.console import verdict_line, verdict_table
from experiments.session.result_tables import results
from experiments.tensorboard import text_tab
from tests.experiments.report_folder import Page

SIZES = [10.0**exponent for exponent in range(-9, 10)]
FINITE = [0.0, *(sign * factor * size for size in SIZES for factor in (1, 3.14159, 9.99) for sign in (1, -1))]
STRANGE = [None, math.nan, math.inf, -math.inf]
FEW = [*STRANGE, 0.0, 1e-9, -1e-9, 0.5, -3e9]
WORDS = {"never", "unbounded", "no value"}


def claim(effect: float | None, low: float | None, high: float | None, **changes: Any) -> dict[str, Any]:
    found = {
        "experiment": "small",
        "statement": "with the term runs earn more",
        "measure": "final_return",
        "expect": "b > a",
        "limit": False,
        "verdict": "inconclusive",
        "effect": effect,
        "low": low,
        "high": high,
        "test": "a test",
        "p": 0.5,
        "p_adjusted": 0.5,
        "n": 10,
        "failed": 0,
        "improvement": None,
        "more_seeds": None,
    }
    return found | changes


def summary(entries: dict[str, Any], claims: list[dict[str, Any]]) -> dict[str, Any]:
    arm = {"runs": 10, "n": 10, "env_steps": 100, "measures": entries}
    return {"description": "small", "arms": {"a": arm, "b": arm}, "claims": claims}


def read(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize("signed", [False, True])
def test_a_number_keeps_its_size_and_its_sign(signed: bool) -> None:
    for value in FINITE:
        found = number(value, signed=signed)
        assert found.value == value
        assert read(found.text) == pytest.approx(
            value, rel=0.05
        )  # two significant digits; 0 is 0 and nothing else is
        assert (found.text[0] == "+") == (signed and value > 0)
        assert len(found.text) <= len("-999,999,999")


def test_small_effects_are_not_nothing_and_large_ones_have_no_pointless_decimals() -> None:
    texts = {0.00031: "+0.00031", -0.0049: "-0.0049", 0.27: "+0.27", 12.5: "+12.50", 312.4: "+312", 0.0: "0"}
    texts |= {48_123.7: "+48,124", 1.7e308: "+1.7e+308", 3e-12: "+3.0e-12"}
    assert {value: number(value, signed=True).text for value in texts} == texts


def test_what_is_missing_is_said_by_its_kind() -> None:
    entry = {"estimate": None, "low": 14.0, "high": None, "n": 10, "count": 3}
    assert plain(measure_text("first_success_env_step", entry)) == "never [14, never]"
    assert plain(measure_text("first_success_env_step", entry | {"estimate": 17.5})) == "17.50 [14, never]"
    assert plain(measure_text("final_return", entry)) == "unbounded [14.00, unbounded]"
    assert (
        plain(measure_text("solved", entry | {"estimate": 0.3, "low": 0.1, "high": 0.6}))
        == "3/10 = 0.30 [0.10, 0.60]"
    )
    assert plain(measure_text("solved", None)) == "-"
    assert plain(measure_text("final_return", entry | {"low": None})) == "unbounded"
    assert plain(effect_text(claim(None, None, None, failed=10))) == "no value"
    assert plain(effect_text(claim(None, -4.0, None))) == "unbounded [-4.00, unbounded]"
    assert (
        plain(effect_text(claim(None, -4.0, None, measure="first_optimal_update"))) == "never [-4.00, unbounded]"
    )
    assert plain(effect_text(claim(-1e-4, None, 2e-5))) == "-0.00010 [unbounded, +2.0e-05]"
    assert plain(effect_text(claim(math.inf, math.nan, math.inf))) == "unbounded [no value, unbounded]"


@pytest.mark.parametrize("name", ["solved", "final_return", "first_success_env_step"])
def test_every_combination_of_values_can_be_said_of_a_measure(name: str) -> None:
    for estimate, low, high in itertools.product(FEW, repeat=3):
        entry = {"estimate": estimate, "low": low, "high": high, "n": 10, "count": 3}
        check(measure_text(name, entry), [estimate, low, high])


def test_every_combination_of_values_can_be_said_of_a_claim() -> None:
    for effect, low, high in itertools.product(FEW, repeat=3):
        check(effect_text(claim(effect, low, high)), [effect, low, high])
    for p, more, chance, verdict in itertools.product(
        (None, 0.0, 1e-300, 1.0, math.nan), (None, 0, 10**9), STRANGE, ("supported", "refuted", "inconclusive")
    ):
        changes = {"p_adjusted": p, "more_seeds": more, "improvement": [chance, 0.1, None], "verdict": verdict}
        check(verdict_text(claim(0.5, 0.1, None, failed=2, **changes)), [0.5])


def check(pieces: list[wording.Piece], values: list[float | None]) -> None:
    """Nothing but words and readable numbers, each with a value that JSON can hold; what is there is shown."""
    numbers = [piece for piece in pieces if isinstance(piece, Number)]
    for piece in numbers:
        json.dumps(piece.value, allow_nan=False)
        assert piece.text in WORDS or read(piece.text.removeprefix("< ")) == pytest.approx(
            piece.value, rel=0.05, abs=1e-300
        )
        assert (piece.text in WORDS) == (piece.value is None)
    assert not re.search(r"nan|inf\b|None", plain(pieces))
    shown = {piece.value for piece in numbers}
    assert {value for value in values if value is not None and math.isfinite(value)} <= shown


def test_every_surface_says_what_the_wording_says() -> None:
    """Screen, page and Text tab, over all pairs of values that are missing, infinite, tiny and huge."""
    parts: Any = environment().get_template("parts.html").module
    values = [*STRANGE, 1e-9, -3e9]
    for first, second in itertools.product(range(len(values)), repeat=2):
        effect, low, high = values[first], values[second], values[(first + second) % len(values)]
        entry = {"estimate": effect, "low": low, "high": high, "n": 10, "count": 3}
        judged = claim(effect, low, high)
        found = summary({name: entry for name in RUN_MEASURES}, [judged])
        said = plain(verdict_text(judged))
        cell = plain(measure_text("final_return", entry))
        on_the_board = text_tab.verdict(found)
        assert said in on_the_board
        assert cell in on_the_board
        assert said in verdict_line(judged).plain
        for width, enough in ((80, {cell, cell.partition(" [")[0]}), (500, {cell})):
            columns = [column for table in results(found, width) for column in table.columns]
            assert enough & {str(shown).replace("\n", " ") for column in columns for shown in column._cells}
        page = parts.verdicts([judged]) + parts.outcomes(found)
        data = Page(page).numbers
        pieces = [
            piece
            for piece in (*verdict_text(judged), *measure_text("final_return", entry))
            if isinstance(piece, Number)
        ]
        assert {(json.dumps(piece.value), piece.text) for piece in pieces} <= set(data)
    assert len(verdict_table("one", [claim(None, None, None)]).columns) == 4


def test_summaries_of_earlier_versions_can_be_read() -> None:
    old = claim(0.5, None, 0.7)
    del old["improvement"], old["failed"]
    assert plain(verdict_text(old)).startswith("+0.50 [unbounded, +0.70]; a test; p = 0.5 (Holm); n = 10")


P_VALUES = {
    0.05: "p = 0.05", 0.0499999: "p = 0.0499999", 0.050001: "p = 0.050001", 0.0496: "p = 0.0496",
    0.0504: "p = 0.0504", 0.0494: "p = 0.049", 0.0512: "p = 0.051", 0.5: "p = 0.5", 1.0: "p = 1",
    3.14e-9: "p = 3.1e-09", 1e-300: "p = 1e-300", 1e-320: "p < 1e-300", 0.0: "p < 1e-300",
    math.nextafter(0.05, 0): "p = 0.049999999999999996", math.nextafter(0.05, 1): "p = 0.05000000000000001",
}  # fmt: skip


@pytest.mark.parametrize("p", P_VALUES)
def test_a_p_value_as_it_is_read_lies_on_the_side_of_the_level_on_which_it_is(p: float) -> None:
    assert wording.LEVEL == ALPHA
    found = wording.p_value(claim(0.5, None, None, p_adjusted=p))
    assert found is not None
    assert (plain(wording.p_text(found)), found.value) == (P_VALUES[p], p)
    assert (read(found.text.removeprefix("< ")) <= ALPHA) == (p <= ALPHA)


@pytest.mark.parametrize("p", P_VALUES)
def test_every_surface_writes_a_p_value_alike(p: float) -> None:
    parts: Any = environment().get_template("parts.html").module
    count = {"higher": 9, "equal": 0, "lower": 1, "sign_test_p": p}
    for judged in (claim(0.5, None, None, p_adjusted=p), claim(0.5, None, None, p_adjusted=None, worlds=count)):
        found = summary({}, [judged])
        in_html = re.sub(r"<[^>]*>", "", str(parts.verdicts([judged])))
        for text in (verdict_line(judged).plain, text_tab.verdict(found), html.unescape(in_html)):
            assert re.search(rf"{P_VALUES[p]}( \(Holm\)|;|$)", text, re.MULTILINE)
