"""Whatever the truth beside its claim, a rule is wrong in at most a fortieth of the cases, in either direction.

Where a seed has few outcomes every data set can be listed: a verdict depends on how many seeds had which outcome,
so verdicts are a table, and under any truth the rate of an error is a sum over that table.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from experiments.analysis.claims import Claim, compare, decide
from experiments.analysis.exact_tests import ALPHA

PROMISE = ALPHA / 2
Truth = Sequence[float]  # probability of each pattern


class Rule(NamedTuple):
    """A claim, what may happen to a seed, and truths under which a verdict is false.

    Attributes:
        patterns: the outcomes of one seed, one value an arm (a, b, ...).
        not_so: truths under which "supported" is false, on the edge of the claim and beyond it.
        so: truths under which "refuted" is false.
    """

    expect: str
    measure: str
    n: int
    patterns: list[tuple[object, ...]]
    not_so: list[Truth]
    so: list[Truth]


def counts(n: int, kinds: int) -> Iterator[tuple[int, ...]]:
    """All ways to share out n seeds over so many patterns."""
    if kinds == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for others in counts(n - first, kinds - 1):
            yield first, *others


def verdict(expect: str, measure: str, patterns: Sequence[tuple[object, ...]], numbers: Sequence[int]) -> str:
    """On data in which each pattern was met so many times."""
    columns = {
        arm: {measure: np.repeat(np.array([pattern[place] for pattern in patterns]), numbers)}
        for place, arm in enumerate("abcd"[: len(patterns[0])])
    }
    seeds = dict.fromkeys(columns, np.arange(sum(numbers)))
    found = compare(Claim("a statement", measure, expect), columns, seeds)
    # without the plan of how many seeds would decide it, which takes longer than the verdict
    return decide([replace(found, seeds_needed=lambda level: None)])[0].verdict


def agreeing(*differing: float) -> Truth:
    """Probabilities of the patterns that differ, and of one more, in which the arms agree."""
    return (*differing, 1 - sum(differing))


YES, NO = True, False
PAIRS: list[tuple[object, ...]] = [(YES, NO), (NO, YES), (NO, NO)]
EQUAL = [agreeing(q, q) for q in (0.05, 0.2, 0.35, 0.5)]
FEWER, MORE = agreeing(0.1, 0.3), agreeing(0.3, 0.1)
TIMES: list[tuple[object, ...]] = [(7.0, 3.0), (5.0, np.nan), (np.nan, np.nan)]  # later, earlier, never in either
SPLIT = [agreeing(p, p) for p in (0.5, 0.4, 0.2)]  # above and below a number that is the median, or is met often


def apart(difference: float) -> list[Truth]:
    """Truths of PAIRS that far apart, from the fewest disagreements to the most."""
    least, most = abs(difference), 1.0
    rates = np.linspace(least, most, 9)
    return [agreeing(*sorted(((rate + least) / 2, (rate - least) / 2), reverse=difference > 0)) for rate in rates]


def levels(*probabilities: float) -> list[Truth]:
    return [(p, 1 - p) for p in probabilities]


RULES = {
    "less": Rule("a < b", "solved", 20, PAIRS, [*EQUAL, MORE], [*EQUAL, FEWER]),
    "more": Rule("a > b", "solved", 20, PAIRS, [*EQUAL, FEWER], [*EQUAL, MORE]),
    "earlier": Rule("a < b", "first_success_env_step", 20, TIMES, [*EQUAL, MORE], [*EQUAL, FEWER]),
    "earns more": Rule(
        "a > b", "final_return", 20, [(9.0, 1.0), (1.0, 1.1), (1.0, 1.0)], [*EQUAL, FEWER], [*EQUAL, MORE]
    ),
    "earns as much": Rule(
        "a = b within 1", "final_return", 24, [(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)], SPLIT, SPLIT
    ),
    "above a number": Rule("a > 0.9", "solved", 60, [(YES,), (NO,)], levels(0.9, 0.8), levels(0.9, 0.95)),
    "below a number": Rule("a < 0.2", "solved", 60, [(YES,), (NO,)], levels(0.2, 0.3), levels(0.2, 0.1)),
    "median above a number": Rule("a > 2.0", "final_return", 21, [(3.0,), (1.0,), (2.0,)], SPLIT, SPLIT),
    "equal within a fifth": Rule(
        "a = b within 0.2", "solved", 24, PAIRS, apart(0.2) + apart(-0.2), apart(0.2) + apart(-0.2) + apart(0.0)
    ),
    # With hardly any margin an error is as likely on either side.
    "equal within hardly anything": Rule("a = b within 1e-6", "solved", 20, PAIRS, EQUAL, EQUAL),
    "a number within a tenth": Rule(
        "a = 0.8 within 0.1", "solved", 120, [(YES,), (NO,)], levels(0.7, 0.9), levels(0.7, 0.75, 0.8, 0.9)
    ),
    "all within a tenth": Rule(
        "a = 1.0 within 0.1", "solved", 50, [(YES,), (NO,)], levels(0.9, 0.8), levels(0.9, 0.95, 1.0)
    ),
    "a number within hardly anything": Rule(
        "a = 0.5 within 1e-6", "solved", 65, [(YES,), (NO,)], levels(0.5), levels(0.5)
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_of_all_data_sets_at_most_a_fortieth_mislead(name: str) -> None:
    rule = RULES[name]
    numbers = list(counts(rule.n, len(rule.patterns)))
    verdicts = np.array([verdict(rule.expect, rule.measure, rule.patterns, each) for each in numbers])
    assert "refuted" in verdicts
    assert "supported" in verdicts or "1e-6" in rule.expect  # so few seeds never show that two are the same
    for word, truths in (("supported", rule.not_so), ("refuted", rule.so)):
        for truth in truths:
            chance = stats.multinomial.pmf(numbers, rule.n, truth)
            assert chance.sum() == pytest.approx(1, abs=1e-9)
            assert chance[verdicts == word].sum() <= PROMISE + 1e-9, (word, truth)


# --- an inverted U: which of its comparisons goes wrong by chance, and how many of them can

COINS = 17  # fair ones show at most 4 heads with a probability of .0245: nearly all that a direction is allowed

B_OR_A: list[tuple[object, ...]] = [(NO, YES, NO, NO), (YES, NO, YES, NO)]
C_OR_A: list[tuple[object, ...]] = [(NO, NO, YES, NO), (YES, YES, NO, NO)]
B_OVER_OR_UNDER_A: list[tuple[object, ...]] = [(NO, YES, YES), (YES, NO, NO)]
B_OVER_OR_UNDER_C: list[tuple[object, ...]] = [(YES, YES, NO), (NO, NO, YES)]
C_OVER_OR_UNDER_A: list[tuple[object, ...]] = [(NO, NO, YES, YES), (YES, NO, NO, NO)]
C_OVER_OR_UNDER_D: list[tuple[object, ...]] = [(YES, NO, YES, NO), (NO, NO, NO, YES)]


@pytest.mark.parametrize(
    ("false", "expect", "coins"),
    [
        pytest.param(
            "supported", "inverted_u(a, b, c, d)", [B_OR_A], id="equal to an end and far above the other"
        ),
        pytest.param("supported", "inverted_u(a, b, c, d)", [B_OR_A, C_OR_A], id="two peaks to choose from"),
        pytest.param(
            "refuted", "inverted_u(a, b, c)", [B_OVER_OR_UNDER_A, B_OVER_OR_UNDER_C], id="equal to both ends"
        ),
        pytest.param(
            "refuted",
            "inverted_u(a, b, c, d)",
            [C_OVER_OR_UNDER_A, C_OVER_OR_UNDER_D],
            id="one of two peaks is low",
        ),
    ],
)
def test_at_most_a_fortieth_of_all_tosses_mislead_an_inverted_u(
    false: str, expect: str, coins: list[list[tuple[object, ...]]]
) -> None:
    """Each seed belongs to one comparison and tells by a fair coin which of its arms is the better one there."""
    patterns = [pattern for coin in coins for pattern in coin]
    wrong = 0.0
    for heads in itertools.product(range(COINS + 1), repeat=len(coins)):
        numbers = [number for k in heads for number in (k, COINS - k)]
        if verdict(expect, "solved", patterns, numbers) == false:
            wrong += float(np.prod(stats.binom.pmf(heads, COINS, 0.5)))
    assert 0 < wrong <= PROMISE
