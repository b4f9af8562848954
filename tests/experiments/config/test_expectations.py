import pytest

from experiments import ConfigError, load_config
from experiments.config.expectations import GRAMMAR, Expectation, parse_expectation, read_expectation

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
