import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

from experiments import ConfigError, load_config
from experiments.analysis.contrasts import ContrastOf, contrast
from experiments.analysis.rules import apply_rule
from experiments.config.expectations import (
    GRAMMAR,
    Expectation,
    check_runs_decide,
    parse_expectation,
    read_expectation,
)
from experiments.config.measures import RUN_MEASURES, Kind

ARMS = ["with_entropy", "without_entropy", "a", "b", "c", "0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("with_entropy < without_entropy", Expectation("<", ("with_entropy", "without_entropy"))),
        (" a>b ", Expectation(">", ("a", "b"))),
        ("a = b within 0.1", Expectation("=", ("a", "b"), within=0.1)),
        ("a = 0.9 within 5e-2", Expectation("=", ("a",), number=0.9, within=0.05)),
        ("a > 0.9", Expectation(">", ("a",), number=0.9)),
        ("a < -200", Expectation("<", ("a",), number=-200.0)),
        ("a < 0", Expectation("<", ("a", "0"))),  # an arm of that name comes first
        ("inverted_u(a, b, c)", Expectation("inverted_u", ("a", "b", "c"), peaks=("b",))),
        ("inverted_u(a, b, 0, c)", Expectation("inverted_u", ("a", "b", "0", "c"), peaks=("b", "0"))),
        ("inverted_u(a, b, *0, c)", Expectation("inverted_u", ("a", "b", "0", "c"), peaks=("0",))),
        ("0 < a", Expectation("<", ("0", "a"))),
        ("  inverted_u(a, * b, 0, c)  ", Expectation("inverted_u", ("a", "b", "0", "c"), peaks=("b",))),
    ],
)
def test_grammar(text: str, expected: Expectation) -> None:
    assert parse_expectation(text, ARMS) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("with_entropie < a", "unknown arm 'with_entropie'; did you mean 'with_entropy'"),
        ("a < without_entrop", "did you mean 'without_entropy'"),
        ("with_ < a", "did you mean 'with_entropy'"),
        ("zzz < a", "valid are 0, a, b, c, with_entropy, without_entropy"),
        ("inverted_u(a, bb, c)", "unknown arm 'bb'"),
        ("a beats b", GRAMMAR),
        ("a < b < c", GRAMMAR),
        ("a <= b", GRAMMAR),
        ("inverted_u(a, b, c) or so", GRAMMAR),
        ("0x < a", "unknown arm '0x'"),
        ("a < 0x", "unknown arm '0x'"),
        ("", GRAMMAR),
        ("a = b", '"=" and "within" belong together'),
        ("a < b within 0.1", "belong together"),
        ("a = b within -1", "a number above 0"),
        ("a = b within 0", "a number above 0"),
        ("a = b within 1e999", "a number above 0"),
        ("a = b within nan", "a number above 0"),
        ("a = b within near", "a number above 0"),
        ("a = b within 1_0", "a number above 0"),
        ("0.9 < a", "the arm comes first"),
        ("a < a", "compares an arm with itself"),
        ("inverted_u(a, b)", "three or more different arms"),
        ("inverted_u(a, b, a)", "three or more different arms"),
        ("inverted_u(*a, b, c)", "between the two ends"),
        ("inverted_u(a, b, *c)", "between the two ends"),
        ("inverted_u(a, *b, *0, c)", "one arm between"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_valid(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is checked below, unescaped
        parse_expectation(text, ARMS)
    assert message in str(error.value)
    assert repr(text) in str(error.value) or "unknown arm" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a beats b", f"cannot read expect = 'a beats b'; write {GRAMMAR}"),
        ("0.9 < a", "expect = '0.9 < a': the arm comes first and the number second"),
        ("a = b", 'expect = \'a = b\': "=" and "within" belong together: no test can show exact equality'),
        ("a = b within -1", "expect = 'a = b within -1': \"within\" needs a number above 0, not '-1'"),
        ("a < a", "expect = 'a < a' compares an arm with itself"),
        ("inverted_u(a, b)", "expect = 'inverted_u(a, b)': an inverted U needs three or more different arms"),
        (
            "inverted_u(*a, b, c)",
            "expect = 'inverted_u(*a, b, c)': the declared peak is one arm between the two ends",
        ),
        (
            "a = b within 3",
            "'first_optimal_update' is a time to an event, for which there is no test of equality; use < or >",
        ),
    ],
)
def test_a_mistake_is_told_in_these_words(text: str, message: str) -> None:
    measure = "first_optimal_update" if text == "a = b within 3" else "solved"
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        read_expectation(measure, text, ARMS, [measure])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("measure", "expect", "message"),
    [
        ("solvd", "a > b", "claims.0: unknown measure 'solvd'; did you mean 'solved'?"),
        ("solved", "a > bee", "claims.0: unknown arm 'bee'"),
        ("solved", "a beats b", GRAMMAR),
        ("entropy_collapse_update", "a = b within 3", "no test of equality"),
    ],
)
def test_a_config_with_a_mistaken_claim_is_refused_when_it_is_loaded(
    measure: str, expect: str, message: str
) -> None:
    config = {
        "name": "small",
        "description": "two arms",
        "environment": {"id": "FourAction/Bandit-v0"},
        "training": {"seeds": 1, "updates": 1},
        "arms": {"a": {}, "b": {}},
        "claims": [{"statement": "s", "measure": measure, "expect": expect}],
    }
    with pytest.raises(ConfigError) as error:
        load_config(config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("measure", "expect"), [("first_optimal_update", "a < b"), ("solved", "a = b within 0.1")]
)
def test_directions_of_times_and_equalities_of_others_have_tests(measure: str, expect: str) -> None:
    assert read_expectation(measure, expect, ARMS, [measure]) == parse_expectation(expect, ARMS)


FRACTION_RANGE = "compare 'succeeds' with a number from 0 to 1"


@pytest.mark.parametrize(
    ("measure", "expect", "message"),
    [
        ("succeeds", "a < 2", FRACTION_RANGE),
        ("succeeds", "a > -0.1", FRACTION_RANGE),
        ("succeeds", "a = 1.5 within 0.6", FRACTION_RANGE),
        ("succeeds", "a = b within 1", "for 'succeeds' write a margin below 1"),
        ("succeeds", "a = 0.7 within 0.7", "for 'succeeds' write a margin below 0.7"),
        ("state_coverage", "a < 1.1", "compare 'state_coverage' with a number from 0 to 1"),
        ("final_success_rate", "a = b within 3", "for 'final_success_rate' write a margin below 1"),
        ("final_episode_length", "a > -1", "compare 'final_episode_length' with a number of at least 0"),
        ("first_success_env_step", "a > -1", "compare 'first_success_env_step' with a number of at least 0"),
    ],
)
def test_an_expectation_that_no_run_could_contradict_or_support_is_refused(
    measure: str, expect: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(claiming(measure, expect))
    assert str(error.value) == f"config: claims.0: expect = {expect!r}: no run would change the answer; {message}"


@pytest.mark.parametrize("number", ["1e400", "-1e400"])
def test_a_number_is_finite(number: str) -> None:
    with pytest.raises(
        ConfigError, match=r"claims\.0: expect = 'a < .*': its number is not finite; numbers go up to 1.8e308"
    ):
        load_config(claiming("final_return", f"a < {number}"))


def claiming(measure: str, expect: str) -> dict[str, Any]:
    """A config with a claim."""
    return {
        "name": "small",
        "description": "two arms",
        "environment": {"id": "FourAction/Bandit-v0", "solved_return": 0.95},
        "training": {"seeds": 1, "updates": 1},
        "arms": {"a": {}, "b": {}},
        "claims": [{"statement": "s", "measure": measure, "expect": expect}],
    }


@pytest.mark.parametrize("relation", ["<", ">", "="])
@pytest.mark.parametrize("measure", RUN_MEASURES)
def test_what_is_accepted_can_be_contradicted_and_what_is_refused_cannot_be_both(
    measure: str, relation: str
) -> None:
    """The extreme values that a measure can have are tried."""
    kind, (low, high) = RUN_MEASURES[measure].kind, RUN_MEASURES[measure].limits
    if kind == "time" and relation == "=":
        return
    values = [max(low, -1e9), *((0.25, 0.75) if kind != "fraction" else ()), min(high, 1e9)]
    columns = [np.full(400, value) for value in values]
    for second in ("b", "-0.5", "0", "0.5", "1", "1.5"):
        margins = ["0.5", "0.9", "1", "1.5"] if relation == "=" else [""]
        for margin in margins:
            text = f"a {relation} {second}" + (f" within {margin}" if margin else "")
            claimed = parse_expectation(text, ["a", "b"])
            others = columns if second == "b" else [columns[0]]
            answers = {
                found.favours
                for a, b in itertools.product(columns, others)
                if (found := apply_rule(claimed, {"a": a, "b": b}, contrast_of(kind, relation))).p <= 0.05
            }
            refusal = ""
            try:
                check_runs_decide(claimed, measure, text)
            except ValueError as error:
                refusal = str(error)
            outside = claimed.number is not None and not low <= claimed.number <= high
            on_the_edge = claimed.number in (low, high)  # what lies there is tied, unless it lies beyond
            assert outside <= bool(refusal), text
            assert (False in answers) or on_the_edge or refusal, text
            assert not refusal or outside or False not in answers, text


def contrast_of(kind: Kind, relation: str) -> ContrastOf:
    return partial(contrast, kind, equality=relation == "=")
