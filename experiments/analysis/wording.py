"""Numbers, intervals and verdicts in words: the same on the screen, on pages and in TensorBoard.

Everything comes in pieces: texts, and numbers with both their full and their rounded value, so that a page can
mark them up. JSON has no infinity, so a bound that is null in a summary is infinite: an event that never happened,
or an interval that is open on that side.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from experiments.config.measures import RUN_MEASURES, is_time

NEVER, UNBOUNDED, NO_VALUE = "never", "unbounded", "no value"
LEVEL = 0.05  # `exact_tests.ALPHA`, without waiting for SciPy
LEAST_P = 1e-300  # a smaller one has few digits, or is 0 because it is less than any float


class Number(NamedTuple):
    """A number as it is shown, and its full value (None: there is none)."""

    text: str
    value: float | None


Piece: TypeAlias = str | Number
Entry: TypeAlias = Mapping[str, Any]  # the entry of a measure or a claim in summary.json


def plain(pieces: Iterable[Piece]) -> str:
    """The pieces as one text."""
    return "".join(piece.text if isinstance(piece, Number) else piece for piece in pieces)


def number(value: float | None, missing: str = NO_VALUE, signed: bool = False) -> Number:
    """A number with at least two significant digits, and two decimals where they matter.

    Args:
        value: NaN: there is none.
        missing: how None and infinity are shown.
        signed: whether a positive number has its sign, as a difference has.
    """
    if value is None or not math.isfinite(value):
        return Number(NO_VALUE if value is not None and math.isnan(value) else missing, None)
    size, sign = abs(value), "+" if signed else ""
    if value == 0:
        return Number("0", value)
    if size < 0.1:
        return Number(f"{value:{sign}#.2g}", value)
    if size < 100:
        return Number(f"{value:{sign}.2f}", value)
    return Number(f"{value:{sign},.0f}" if size < 1e9 else f"{value:{sign}.3g}", value)


def whole(value: int) -> Number:
    """A count."""
    return Number(f"{value:,}", value)


def time(value: float | None, missing: str = NEVER) -> Number:
    """Steps or updates until something happened: a whole number, unless a median lies between two runs."""
    if value is not None and math.isfinite(value) and float(value).is_integer():
        return Number(f"{int(value):,}", value)
    return number(value, missing)


def runs_text(arm: Entry) -> str:
    """How many runs an arm has in the summary; runs that do not differ are said to be equal."""
    return f"{arm['runs']} {'equal ' * (arm['n'] < arm['runs'])}run{'s' * (arm['runs'] > 1)}"


def worth_showing(arms: Iterable[Entry], names: Iterable[str] = RUN_MEASURES) -> list[str]:
    """The measures that a table of arms shows: those that some arm has, and failures if there are any.

    Args:
        arms: the arms of the summary.
        names: the measures to choose from.
    """
    found: dict[str, list[Entry]] = {}
    for name in names:
        if RUN_MEASURES[name].shown != "nowhere":
            found[name] = [entry for arm in arms if (entry := arm["measures"].get(name))]
    return [n for n, entries in found.items() if any(n != "failed" or entry["count"] for entry in entries)]


def measure_text(name: str, entry: Entry | None) -> list[Piece]:
    """The estimate of a measure for an arm: count, estimate and interval; a dash where it means nothing.

    Args:
        name: the name of the measure.
        entry: its estimate in the summary; None: there is none.
    """
    if entry is None:
        return ["-"]
    kind = RUN_MEASURES[name].kind
    if kind == "time":
        ends = time(entry["low"], UNBOUNDED), time(entry["high"])
        share = [" of the budget"] if entry.get("worlds") else []  # of a family
        return [time(entry["estimate"]), *_interval(entry, *ends), *share]
    counted: list[Piece] = []
    if kind == "fraction":
        counted = [whole(entry["count"]), "/", whole(entry["n"]), " = "]
    left_out: list[Piece] = []
    if entry.get("left_out"):  # not in summaries of earlier versions
        left_out = [", ", whole(entry["left_out"]), " failed runs left out"]
    # An entry exists only where runs have values, so a missing estimate is infinite.
    return [*counted, number(entry["estimate"], UNBOUNDED), *_interval(entry, *_ends(entry)), *left_out]


def effect_text(claim: Entry) -> list[Piece]:
    """The effect that a claim is about, with its interval."""
    missing = NO_VALUE
    if claim.get("failed", 0) + claim.get("missing", 0) < claim["n"]:
        # Some run has a value, so a missing effect is infinite.
        missing = NEVER if is_time(claim["measure"]) else UNBOUNDED
    return [number(claim["effect"], missing, signed=True), *_interval(claim, *_ends(claim, signed=True))]


def verdict_text(claim: Entry) -> list[Piece]:
    """The grounds of a verdict, shown beside the statement of the claim, its measure and its expectation."""
    pieces: list[Piece] = [*effect_text(claim), f"; {claim['test']}"]
    if (p := p_value(claim)) is not None:
        pieces += ["; ", *p_text(p), " (Holm)"]
    pieces += ["; n = ", whole(claim["n"])]
    if claim.get("worlds") is not None:
        pieces += _in_worlds(claim["worlds"])
    elif claim.get("improvement") is not None:  # summaries of earlier versions have none
        chance, *ends = claim["improvement"]
        interval = _interval(dict(zip(("low", "high"), ends, strict=True)), *map(number, ends))
        pieces += ["; higher in the first arm for ", number(chance), *interval, " of the pairs"]
    if claim.get("mean_difference") is not None:
        pieces += ["; mean difference ", number(claim["mean_difference"], signed=True)]
    if claim["verdict"] == "inconclusive":
        pieces += _needed(claim["more_seeds"], "seeds per arm" if claim.get("worlds") is None else "worlds")
    if claim.get("failed"):
        pieces += ["; ", whole(claim["failed"]), " failed runs, at their worst and at their best"]
    if claim.get("missing"):  # not in summaries of earlier versions
        pieces += ["; ", whole(claim["missing"]), " runs that did not fail have no value"]
    return pieces


def p_value(claim: Entry) -> Number | None:
    """The p value, corrected for all claims that are judged together; None where nothing was tested."""
    p = claim["p_adjusted"]
    return None if p is None or math.isnan(p) else _p(p)


def p_text(p: Number) -> list[Piece]:
    """A p value with its name."""
    return ["p " if p.text.startswith("<") else "p = ", p]


def _p(p: float) -> Number:
    """A p value with two significant digits; with as many more as tell it from the level of the tests."""
    if p < LEAST_P:
        return Number(f"< {LEAST_P:g}", p)
    shown = (f"{p:.{digits}g}" for digits in range(2, 18))
    return Number(next(text for text in shown if (float(text) == LEVEL) == (p == LEVEL)), p)


def _in_worlds(count: Entry) -> list[Piece]:
    higher, lower = whole(count["higher"]), whole(count["lower"])
    return [
        " worlds: higher in the first arm in ",
        higher,
        ", lower in ",
        lower,
        ", sign test ",
        *p_text(_p(count["sign_test_p"])),
    ]


def _needed(more: int | None, units: str) -> list[Piece]:
    if more is None:
        return [f"; no number of {units.split()[0]} would decide what is seen"]
    return ["; about ", whole(more), f" more {units} would decide it if the effect is as large as it looked"]


def _ends(entry: Entry, signed: bool = False) -> tuple[Number, Number]:
    low, high = (number(entry[end], UNBOUNDED, signed) for end in ("low", "high"))
    return low, high


def _interval(entry: Entry, low: Number, high: Number) -> list[Piece]:
    """The interval in brackets; nothing where neither end is known."""
    if all(entry[end] is None or math.isnan(entry[end]) for end in ("low", "high")):
        return []
    return [" [", low, ", ", high, "]"]
