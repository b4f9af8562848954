"""The page of the whole argument."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from experiments.analysis import text_numbers, wording
from experiments.config.plan import PLAN, Entry, Part
from experiments.figures.style import Picture
from experiments.pages.html import Html, element, joined
from experiments.pages.sections import experiment, gallery, provenance
from experiments.pages.tables import marked, table
from experiments.pages.training_page import styled_page
from experiments.pages.verdicts import SIGNS, badge, foreseen
from experiments.storage.results import Results

QUESTION = "Does the negative-entropy term keep a policy-gradient agent from settling too early?"
RULE = (
    "Every claim was written into its config before the runs that judge it. What was tuned was tuned on seeds "
    "below 1000 and is judged on seeds from 1000 up; the bandits and the exact experiments have their settings "
    "from the text and from publications. The seed is the unit, never the episode, and arms are paired by their"
    " seeds. The p value of the two-sided test that belongs to the measure, corrected for all claims of this "
    "page together (Holm 1979), decides at .05: supported in the expected direction, refuted in the other, else"
    " inconclusive. If nothing had an effect, at most 2.5 % of such pages would support anything, and at most "
    "2.5 % refute anything. Exact gradients draw no random numbers: where their runs are one, the sign decides,"
    " without a test."
)
QUICK = (
    "This page was made with --quick, with a few seeds and a fraction of the updates. It has the shape of the "
    "argument and shows nothing else: no verdict on it means anything."
)


HEADLINE = "two_rooms", ("entropy_bits", "solved")  # the experiment, and the pictures that say it in one look

ARMS = {"without_entropy": "without the term", "with_entropy": "with it"}  # of that experiment


class Shown(Protocol):
    """An experiment that has been trained and drawn."""

    @property
    def results(self) -> Results: ...
    @property
    def drawn(self) -> Sequence[Picture]: ...
    @property
    def maps(self) -> Html | None: ...


def argument_page(done: Mapping[str, Shown], summary: Mapping[str, Any]) -> Html:
    """The whole page."""
    return styled_page(
        QUESTION,
        element("h1", QUESTION),
        element("p", element("strong", QUICK)) if summary["quick"] else None,
        _answer(summary),
        gallery(headline(done)),
        element("nav", element("ul", *_contents(done, summary["claims"])), aria_label="contents"),
        element("h2", "All claims", id="claims"),
        element("p", RULE),
        _claims(summary["claims"]),
        element("h2", "The numbers of the text", id="text"),
        _text(),
        *(_part(part, done, summary) for part in PLAN),
        element("h2", "How it was made", id="made"),
        _made(summary),
    )


def headline(done: Mapping[str, Shown]) -> list[Picture]:
    """The pictures of the answer; the README has copies of their files."""
    experiment_of, names = HEADLINE
    return [picture for picture in done[experiment_of].drawn if picture.name in names]


def count(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many claims of either kind came out how."""
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


def _answer(summary: Mapping[str, Any]) -> Html:
    """In two sentences, with numbers from the summary."""
    tally = {name: marked(wording.whole(value)) for name, value in summary["verdicts"].items()}
    ended = {
        arm: content["measures"]["succeeds"]
        for arm, content in summary["experiments"][HEADLINE[0]]["arms"].items()
    }
    far: list[wording.Piece] = []
    for arm, entry in ended.items():
        far += [*([", "] if far else []), wording.whole(entry["count"]), " of ", wording.whole(entry["n"])]
        far += [f" {ARMS[arm]}"]
    return joined(
        [
            element(
                "p",
                "Two rooms, a small reward near the start, a large one far away. Runs that end at the far one: ",
                marked(*far),
                ".",
                class_="answer",
            ),
            element(
                "p",
                "Of ", tally["effects"], " claims that were expected to hold, ", tally["supported"],
                " are supported, ", tally["refuted"], " refuted and ", tally["inconclusive"], " inconclusive. Of ",
                tally["limits"], " that were expected not to hold, ", tally["limits_supported"],
                " are supported after all. None is left out.",
            ),
        ]
    )  # fmt: skip


def _contents(done: Mapping[str, Shown], claims: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    yield element("li", element("a", "All claims", href="#claims"))
    yield element("li", element("a", "The numbers of the text", href="#text"))
    for part in PLAN:
        entries = [entry for entry in part.entries if entry.name in done]
        yield element("li", part.title, element("ul", *(_line(entry, claims) for entry in entries)))
    yield element("li", element("a", "How it was made", href="#made"))


def _line(entry: Entry, claims: Sequence[Mapping[str, Any]]) -> Html:
    """A link, and how many claims there came out how."""
    verdicts = [claim["verdict"] for claim in claims if claim["experiment"] == entry.name]
    tally = ", ".join(f"{verdicts.count(name)} {name}" for name in SIGNS if name in verdicts)
    return element("li", element("a", entry.question, href=f"#{entry.name}"), " ", element("small", tally))


def _claims(claims: Sequence[Mapping[str, Any]]) -> Html:
    rows = [
        [
            joined([element("a", claim["statement"], href=f"#{claim['experiment']}")]),
            badge(claim),
            joined(
                [marked(*wording.effect_text(claim)), element("small", f" {claim['measure']}: {claim['expect']}")]
            ),
            marked(wording.p_value(claim) or "-"),
            marked(wording.whole(claim["n"])),
            foreseen(claim),
        ]
        for claim in claims
    ]
    head = ["claim", "verdict", "effect with its 95 % interval", "p (Holm)", "n", "written down as"]
    return table(head, rows, f"All {len(claims)} claims with their verdicts.", stacked=True)


def _text() -> Html:
    rows = [
        [
            item.quantity,
            item.printed or "-",
            marked(wording.Number(f"{item.exact:.6f}", item.exact), f" {item.unit}"),
            item.remark,
        ]
        for item in text_numbers.numbers()
    ]
    caption = (
        "Information, entropy, cross entropy and divergence: what the text prints, and what this program computes."
    )
    return table(["quantity", "the text", "computed", "remark"], rows, caption)


def _part(part: Part, done: Mapping[str, Shown], summary: Mapping[str, Any]) -> Html:
    return joined(
        [
            element("h2", part.title),
            element("p", part.introduction),
            *(_entry(entry, done[entry.name], summary) for entry in part.entries if entry.name in done),
        ]
    )


def _entry(entry: Entry, shown: Shown, summary: Mapping[str, Any]) -> Html:
    claims = [claim for claim in summary["claims"] if claim["experiment"] == entry.name]
    return element(
        "section",
        element("h3", entry.question),
        element(
            "p", element("code", f"train.py configs/{entry.name}.toml"), f": {shown.results.config.description}"
        ),
        experiment(shown.results, claims, shown.drawn, shown.maps, folded=True),
        id=entry.name,
    )


def _made(summary: Mapping[str, Any]) -> Html:
    command = "python -m experiments.argument" + (" --quick" if summary["quick"] else "")
    wrote = marked(wording.number(summary["command_seconds"]))
    code = element("code", summary["source"])
    return joined(
        [
            element("p", element("code", command), " wrote this page in ", wrote, " s. All trainings added up:"),
            provenance(summary),
            element("p", "Source ", code, ". Each experiment has a folder beside this page, with its config and "
                    "seeds, tables, figures and trained policies."),
        ]
    )  # fmt: skip
