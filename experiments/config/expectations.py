"""The small language in which a claim says what it expects.

    expectation = ARM "<" SIDE  |  ARM ">" SIDE            a difference, in this direction
                | ARM "=" SIDE "within" NUMBER             no difference larger than this (an equivalence test)
                | "inverted_u(" ARM "," PEAK, ... "," ARM ")"  arms in the order of the dose, three or more
    SIDE        = ARM | NUMBER                             another arm, or a number
    PEAK        = ARM | "*" ARM                            "*": this arm is declared to be the peak

An inverted U says that one interior arm, the peak, beats *both* ends. With a star (or only one interior arm) the
peak was declared before the run; without a star it may be any interior arm, and the test is corrected for that
choice.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.config.measures import RUN_MEASURES, is_time
from experiments.config.mistakes import check_name

GRAMMAR = '"a < b", "a > b", "a = b within 0.1" (b may be a number), or "inverted_u(a, *b, c)"'

_COMPARISON = re.compile(r"([^\s<>=]+)\s*([<>=])\s*([^\s<>=]+)(?:\s+within\s+(\S+))?")
_INVERTED_U = re.compile(r"inverted_u\s*\((.*)\)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Expectation:
    """What a claim expects of its arms.

    `arms` are in the order of the text: one (against `number`), two, or all of an inverted U, whose interior
    candidates are `peaks`.
    """

    relation: Literal["<", ">", "=", "inverted_u"]
    arms: tuple[str, ...]
    number: float | None = None
    within: float | None = None
    peaks: tuple[str, ...] = ()


def parse_expectation(text: str, arms: Sequence[str]) -> Expectation:
    """Read an expectation; the grammar is in the module's docstring.

    Raises:
        ValueError: the text does not follow the grammar, or names an arm that is not one of `arms`.
    """
    if curve := _INVERTED_U.fullmatch(text.strip()):
        return _inverted_u(text, [part.strip() for part in curve[1].split(",")], arms)
    match = _COMPARISON.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"cannot read expect = {text!r}; write {GRAMMAR}")
    left, relation, right, margin = match.groups()
    if left not in arms and _NUMBER.fullmatch(left):
        raise ValueError(f"expect = {text!r}: the arm comes first and the number second")
    check_name(left, arms, "arm")
    if (relation == "=") != (margin is not None):
        raise ValueError(f'expect = {text!r}: "=" and "within" belong together: no test can show exact equality')
    within = None if margin is None else _positive(margin, text)
    if right not in arms and _NUMBER.fullmatch(right):
        return Expectation(relation, (left,), float(right), within)  # type: ignore[arg-type]
    check_name(right, arms, "arm")
    if left == right:
        raise ValueError(f"expect = {text!r} compares an arm with itself")
    return Expectation(relation, (left, right), None, within)  # type: ignore[arg-type]


def read_expectation(measure: str, expect: str, arms: Sequence[str], measures: Iterable[str]) -> Expectation:
    """Read what a claim expects of a measure, and check that its arms and its measure exist.

    Raises:
        ValueError: names the mistake and what would be valid.
    """
    check_name(measure, measures, "measure")
    expectation = parse_expectation(expect, arms)
    if expectation.relation == "=" and is_time(measure):
        raise ValueError(f"{measure!r} is a time to an event, for which there is no test of equality; use < or >")
    return expectation


def check_runs_decide(claimed: Expectation, measure: str, text: str) -> None:
    """Check that the values of runs could both support an expectation and contradict it.

    Args:
        claimed: the expectation.
        measure: a measure of runs.
        text: the expectation as it was written, for the message.
    Raises:
        ValueError: no value that the measure can have would, or a number is infinite.
    """
    low, high = RUN_MEASURES[measure].limits
    number, least, most = claimed.number, low - high, high - low
    if number is not None:
        least, most = low - number, high - number
        if not math.isfinite(number):
            raise ValueError(f"expect = {text!r}: its number is not finite; numbers go up to 1.8e308")
        if not low <= number <= high:
            valid = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
            raise ValueError(
                f"expect = {text!r}: no run would change the answer; compare {measure!r} with a number {valid}"
            )
    if claimed.within is not None and claimed.within >= max(-least, most):
        raise ValueError(
            f"expect = {text!r}: no run would change the answer; for {measure!r} write a margin below "
            f"{max(-least, most):g}"
        )


def _inverted_u(text: str, parts: list[str], arms: Sequence[str]) -> Expectation:
    names = [part.removeprefix("*").strip() for part in parts]
    for name in names:
        check_name(name, arms, "arm")
    if len(names) < 3 or len(set(names)) < len(names):
        raise ValueError(f"expect = {text!r}: an inverted U needs three or more different arms")
    starred = [name for name, part in zip(names, parts, strict=True) if part.startswith("*")]
    if len(starred) > 1 or starred in ([names[0]], [names[-1]]):
        raise ValueError(f"expect = {text!r}: the declared peak is one arm between the two ends")
    return Expectation("inverted_u", tuple(names), peaks=tuple(starred or names[1:-1]))


def _positive(margin: str, text: str) -> float:
    if not _NUMBER.fullmatch(margin) or not 0 < float(margin) < math.inf:
        raise ValueError(f'expect = {text!r}: "within" needs a number above 0, not {margin!r}')
    return float(margin)
