"""Claims and their verdicts on a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis import wording
from experiments.pages.html import Html, element, joined
from experiments.pages.tables import marked

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


def _verdict(claim: Mapping[str, Any]) -> list[Html | str]:
    return [
        badge(claim),
        " ",
        claim["statement"],
        element(
            "small",
            element("code", f"{claim['measure']}: {claim['expect']}"),
            "; effect ",
            marked(*wording.verdict_text(claim)),
            f"; {foreseen(claim)}",
        ),
    ]
