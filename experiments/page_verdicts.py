"""Claims and their verdicts on a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.markup import Html, element, joined
from experiments.page_tables import between, number

SIGNS = {"supported": "✔", "refuted": "✘", "inconclusive": "?"}


ASSUMED = (
    "Runs of one seed are a pair; the tests are exact and assume only that the seeds are independent. Numbers "
    "and times are compared by how many pairs are higher in the first arm and how many lower (sign test), "
    "whatever the size of the differences; equality of numbers is one of the median paired difference. Means are "
    "shown, not tested."
)


def verdict_list(claims: Sequence[Mapping[str, Any]]) -> Html:
    """Each claim with its verdict and what it rests on; below them what the tests assume."""
    verdicts = element("ul", *(element("li", *_verdict(claim)) for claim in claims), class_="verdicts")
    return joined([verdicts, element("p", element("small", ASSUMED))])


def badge(claim: Mapping[str, Any]) -> Html:
    """The verdict as a word with a sign."""
    verdict = claim["verdict"]
    return element("strong", f"{SIGNS[verdict]} {verdict}", class_=f"badge {verdict}")


def foreseen(claim: Mapping[str, Any]) -> str:
    """Whether it came as its author expected: a limit was expected not to hold."""
    if claim["limit"]:
        return "a limit: expected not to hold" + (", but it does" if claim["verdict"] == "supported" else "")
    return "expected to hold"


def effect(claim: Mapping[str, Any]) -> Html:
    """The effect and its interval."""
    if claim["effect"] is None:
        return element("span", "no value")
    shown = number(claim["effect"], _signed(claim["effect"]))
    if claim["low"] is None and claim["high"] is None:
        return shown
    ends = (
        number(claim[end], "unbounded" if claim[end] is None else _signed(claim[end])) for end in ("low", "high")
    )
    return joined([shown, element("span", " [", *between(ends, ", "), "]", class_="interval")])


def _signed(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.2f}" if abs(value) >= 0.005 else f"{value:+.1g}"


def _verdict(claim: Mapping[str, Any]) -> list[Html | str]:
    p = claim["p_adjusted"]
    tested: list[Html | str] = [] if p is None else ["; p = ", number(p, f"{p:.2g}"), " (Holm)"]
    more = claim["more_seeds"]
    needed: list[Html | str] = []
    if claim["verdict"] == "inconclusive":
        needed = (
            ["; no number of seeds would decide what is seen"]
            if more is None
            else [
                "; about ",
                number(more, f"{more:,}"),
                " more seeds per arm would decide it if the effect is as large as it looked",
            ]
        )
    higher: list[Html | str] = []
    if claim.get("improvement") is not None:  # summaries of earlier versions have none
        chance, *ends = (number(end, "unknown" if end is None else f"{end:.2f}") for end in claim["improvement"])
        higher = ["; higher in the first arm for ", chance, " [", *between(ends, ", "), "] of the pairs"]
    mean = claim.get("mean_difference")
    if mean is not None:
        higher += ["; mean difference ", number(mean, _signed(mean))]
    failed: list[Html | str] = []
    if claim["failed"]:
        failed = [
            "; ",
            number(claim["failed"], str(claim["failed"])),
            " failed runs, at their worst and at their best",
        ]
    return [
        badge(claim),
        " ",
        claim["statement"],
        element(
            "small",
            element("code", f"{claim['measure']}: {claim['expect']}"),
            "; effect ",
            effect(claim),
            f"; {claim['test']}",
            *tested,
            "; n = ",
            number(claim["n"], str(claim["n"])),
            *higher,
            *needed,
            *failed,
            f"; {foreseen(claim)}",
        ),
    ]
