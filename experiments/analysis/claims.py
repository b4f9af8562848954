"""Claims, written down before the run, and the one rule that judges them.

    A claim is judged by the p value of its two-sided test, adjusted by Holm's method. If p is at most .05 it is
    *supported* in the expected direction and *refuted* in the other; else it is *inconclusive*. The interval
    only illustrates.

Where there is no effect, at most 2.5 % of claims are falsely supported and 2.5 % falsely refuted.
`experiments.analysis.contrasts` says which test belongs to which measure and how failed runs count,
`experiments.analysis.rules` how the rule applies to an equivalence or an inverted U.

Comparing and deciding are two steps, so that claims of several experiments can be corrected together.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from operator import and_
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.analysis.contrasts import Contrast, certain, contrast
from experiments.analysis.estimates import holm
from experiments.analysis.exact_tests import ALPHA, Interval, Tails
from experiments.analysis.over_worlds import contrast_over_worlds
from experiments.analysis.rules import apply_rule
from experiments.analysis.values import is_one_run, kind_of, values_of
from experiments.config.expectations import Expectation, parse_expectation, read_expectation

__all__ = [
    "Claim",
    "Comparison",
    "Expectation",
    "Verdict",
    "compare",
    "decide",
    "judge",
    "parse_expectation",
    "read_claim",
]

Decision: TypeAlias = Literal["supported", "refuted", "inconclusive"]
Values: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]  # arm -> measure -> [n]
Seeds: TypeAlias = Mapping[str, ArrayLike]  # arm -> [n]


@dataclass(frozen=True)
class Claim:
    """An expectation about one measure, in words and in the language of `experiments.config.expectations`."""

    statement: str
    measure: str
    expect: str
    limit: bool = False  # whether its author expects that it does not hold


@dataclass(frozen=True)
class Comparison:
    """What the data say about a claim, before the correction for the other claims."""

    claim: Claim
    shown: Contrast  # first arm minus second (or the number); inverted U: the best peak minus its stronger end
    test: str
    p: float | None  # two-sided; None: there is nothing to test, and `favours` alone decides
    favours: bool | None  # whether the data speak for the claim; None: no data
    failed: int  # failed runs without a value; the verdict must hold whatever their values
    missing: int  # runs without a value that did not fail; they count as failed ones do
    seeds_needed: Callable[[float], int | None]  # level -> seeds per arm that would decide it with power .8


@dataclass(frozen=True)
class Verdict:
    """The answer to a claim, in plain JSON types."""

    statement: str
    measure: str
    expect: str
    limit: bool
    verdict: Decision
    effect: float | None
    low: float | None  # 95 % interval of the effect; None: unbounded, or no interval
    high: float | None
    test: str
    p: float | None
    p_adjusted: float | None
    n: int
    failed: int
    # The chance that a run is higher in the first arm (ties count half), and the ends of its interval.
    improvement: list[float | None] | None
    mean_difference: float | None  # of two arms' numbers, first minus second, untested; None: none, or infinite
    more_seeds: int | None  # per arm, if the effect is as large as it looked; 0: decided; None: no number would do
    worlds: dict[str, int | float] | None = None  # WorldCount of a family, where n and more_seeds count worlds
    missing: int = 0  # as in `Comparison`


def read_claim(claim: Claim, arms: Sequence[str], measures: Iterable[str]) -> Expectation:
    """Read what a claim expects, and check that its arms and its measure exist.

    Raises:
        ValueError: names the claim, the mistake and what would be valid.
    """
    try:
        return read_expectation(claim.measure, claim.expect, arms, measures)
    except ValueError as error:
        raise ValueError(f"claim {claim.statement!r}: {error}") from None


def judge(
    claims: Iterable[Claim],
    values: Values,
    seeds: Seeds,
    exact: Collection[str] = (),
    worlds: Seeds | None = None,
) -> list[Verdict]:
    """Judge all claims of one experiment together; `compare` explains the arguments."""
    return decide([compare(claim, values, seeds, exact, worlds) for claim in claims])


def compare(
    claim: Claim,
    values: Values,
    seeds: Seeds,
    exact: Collection[str] = (),
    worlds: Seeds | None = None,
) -> Comparison:
    """Confront a claim with results.

    Args:
        values: arm -> measure -> one value per run, [n]; `experiments.analysis.values` says what counts as one.
        seeds: arm -> the runs' seeds, [n]; arms are paired by the seeds that all arms of the claim have.
        exact: arms that draw no random numbers while they train. If all measures are the same for every seed,
            the runs count as one run: there is no test and no interval, and the sign of the difference decides
            (equal values refute "a < b").
        worlds: arm -> the runs' worlds, [n], if they form a family. Arms are then paired by world and seed, the
            world is the unit (`experiments.analysis.over_worlds`), and times are shares of the budget.
    Raises:
        ValueError: unknown arm or measure, a measure that is not a number, or arms without a common seed.
    """
    measures = [set(columns) for columns in values.values()]
    expectation = read_claim(claim, list(values), set.intersection(*measures) if measures else ())
    arms = expectation.arms
    single = worlds is None and all(arm in exact and is_one_run(values[arm]) for arm in arms)
    runs = {arm: slice(1) for arm in arms} if single else _common_runs(claim, arms, values, seeds, worlds)
    columns = {arm: values_of(claim.measure, values[arm])[runs[arm]] for arm in arms}
    unknown = {arm: np.isnan(column) for arm, column in columns.items()}
    broken = {arm: np.asarray(values[arm]["failed"], bool)[runs[arm]] for arm in arms if "failed" in values[arm]}
    n, without = len(columns[arms[0]]), sum(int(where.sum()) for where in unknown.values())
    failed = sum(int((unknown[arm] & where).sum()) for arm, where in broken.items())
    missing = without - failed
    if without == n * len(arms):
        nowhere = Interval(math.nan, math.nan, math.nan)
        nothing = Contrast(nowhere, n, "no run has a value", lambda _: Tails(1.0, 1.0), lambda *_: None)
        return Comparison(claim, nothing, nothing.test, None, None, failed, missing, lambda _: None)
    kind = kind_of(claim.measure, values[arms[0]])
    contrast_of = partial(contrast, kind, equality=expectation.within is not None)
    if single:
        contrast_of = partial(certain, kind)
    elif worlds is not None:
        contrast_of = partial(contrast_over_worlds, kind, np.asarray(worlds[arms[0]])[runs[arms[0]]])
    shown, test, p, favours, needed = apply_rule(expectation, columns, contrast_of)
    if not single:
        return Comparison(claim, shown, test, p, favours, failed, missing, needed)
    # Without chance, equal values refute a difference; a run without a value leaves it open.
    sure = favours if p == 0 else None if without else False
    return Comparison(claim, shown, shown.test, None, sure, failed, missing, needed)


def _common_runs(
    claim: Claim, arms: Sequence[str], values: Values, seeds: Seeds, worlds: Seeds | None
) -> dict[str, NDArray[np.intp]]:
    """Where each arm's runs of the common worlds and seeds are, [n], in the order of worlds and seeds."""
    own: dict[str, dict[tuple[int, int], int]] = {}
    for arm in arms:
        numbers = np.asarray(seeds[arm]).tolist()
        of_world = [0] * len(numbers) if worlds is None else np.asarray(worlds[arm]).tolist()
        own[arm] = {run: place for place, run in enumerate(zip(of_world, numbers, strict=True))}
        if len(own[arm]) < len(numbers) or len(numbers) != len(values[arm][claim.measure]):
            unit = "seed" if worlds is None else "world and seed"
            raise ValueError(f"arm {arm!r} needs one {claim.measure!r} per {unit}, and every seed once")
    common = sorted(reduce(and_, (runs.keys() for runs in own.values())))
    if not common:
        raise ValueError(f"claim {claim.statement!r}: the arms {', '.join(arms)} have no seed in common")
    return {arm: np.array([places[run] for run in common]) for arm, places in own.items()}


def decide(comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Correct the p values of all comparisons together (Holm) and give each claim its verdict."""
    p = {index: comparison.p for index, comparison in enumerate(comparisons) if comparison.p is not None}
    adjusted, level = holm(list(p.values()))
    corrected = dict(zip(p, zip(adjusted.tolist(), level.tolist(), strict=True), strict=True))
    untested = (None, ALPHA)
    return [_verdict(found, *corrected.get(index, untested)) for index, found in enumerate(comparisons)]


def _verdict(found: Comparison, adjusted: float | None, level: float) -> Verdict:
    verdict: Decision = "inconclusive"
    if found.favours is not None and (adjusted is None or adjusted <= ALPHA):
        verdict = "supported" if found.favours else "refuted"
    shown = found.shown
    needed = shown.n if verdict != "inconclusive" else found.seeds_needed(level)
    effect, low, high, p = map(_plain, (*shown.interval, found.p))
    return Verdict(
        **asdict(found.claim),
        verdict=verdict,
        effect=effect,
        low=low,
        high=high,
        test=found.test,
        p=p,
        p_adjusted=adjusted,
        n=shown.n,
        failed=found.failed,
        improvement=None if shown.improvement is None else [_plain(end) for end in shown.improvement],
        mean_difference=_plain(shown.mean_difference),
        more_seeds=None if needed is None else max(needed - shown.n, int(verdict == "inconclusive")),
        worlds=None if shown.worlds is None else shown.worlds._asdict(),
        missing=found.missing,
    )


def _plain(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
