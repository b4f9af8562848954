"""The page of the whole argument."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from experiments.analysis import text_numbers, wording
from experiments.config.plan import OUTSIDE, PLAN
from experiments.figures.style import Picture
from experiments.pages.rendering import render
from experiments.pages.training_page import Drawn
from experiments.storage.results import Results

QUESTION = "Does the negative-entropy term keep a policy-gradient agent from settling too early?"
LAW, LAW_AGAIN, ROOMS = "mazes", "mazes_again", "two_rooms"  # the family, it anew, and the world that explains it
HEADLINE = ((LAW, "by_world"), (ROOMS, "entropy_bits"))  # experiments, and their pictures that answer at a glance
ARMS = {"without_entropy": "without the term", "with_entropy": "with it"}  # in those experiments
VERDICTS = ("supported", "refuted", "inconclusive")


class Shown(Protocol):
    """An experiment that has been trained and drawn."""

    @property
    def results(self) -> Results: ...
    @property
    def drawn(self) -> Drawn: ...


def argument_page(done: Mapping[str, Shown], summary: Mapping[str, Any]) -> str:
    """The whole page."""
    claims = summary["claims"]
    return render(
        "argument.html",
        question=QUESTION,
        plan=PLAN,
        done=done,
        summary=summary,
        headline=headline(done),
        answer=first_claim(claims, LAW),
        again=first_claim(claims, LAW_AGAIN),
        law=LAW,
        law_again=LAW_AGAIN,
        rooms=ROOMS,
        reached=lambda name: _reached(summary["experiments"][name]["arms"]),
        outside=OUTSIDE,
        text_numbers=text_numbers.numbers(),
        tally=lambda name: _tally(claims, name),
        verdicts=VERDICTS,
        measures={
            name
            for shown in done.values()
            for name in wording.worth_showing(shown.results.summary["arms"].values())
        },
    )


def headline(done: Mapping[str, Shown]) -> list[Picture]:
    """The pictures that show the answer; the README has copies of their files."""
    return [
        next(picture for picture in done[experiment].drawn.pictures if picture.name == name)
        for experiment, name in HEADLINE
    ]


def first_claim(claims: Sequence[Mapping[str, Any]], experiment: str) -> Mapping[str, Any]:
    """The claim that an experiment is there for."""
    return next(claim for claim in claims if claim["experiment"] == experiment)


def count(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The number of claims of either kind with each verdict."""
    effects = [claim["verdict"] for claim in claims if not claim["limit"]]
    limits = [claim["verdict"] for claim in claims if claim["limit"]]
    return {
        "effects": len(effects),
        "supported": effects.count("supported"),
        "refuted": effects.count("refuted"),
        "inconclusive": effects.count("inconclusive"),
        "limits": len(limits),
        "limits_supported": limits.count("supported"),
    }


def _reached(arms: Mapping[str, Any]) -> list[wording.Piece]:
    """How many runs of each arm end at the far goal."""
    pieces: list[wording.Piece] = []
    for arm, content in arms.items():
        pieces += [", "] if pieces else []
        pieces += [wording.whole(content["measures"]["succeeds"]["count"]), " of ", wording.whole(content["runs"])]
        pieces += [f" {ARMS[arm]}"]
    return pieces


def _tally(claims: Sequence[Mapping[str, Any]], experiment: str) -> str:
    """The number of claims of an experiment with each verdict, in words."""
    found = [claim["verdict"] for claim in claims if claim["experiment"] == experiment]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in found)
