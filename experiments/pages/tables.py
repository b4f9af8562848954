"""Numbers and tables of a page.

Every number that is shown stands in a `data` element with its full value beside the rounded one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.analysis import wording
from experiments.analysis.wording import Piece
from experiments.config.measures import RUN_MEASURES
from experiments.pages.html import Html, element, joined


def marked(*pieces: Piece) -> Html:
    """Text and numbers; each number with its full value for whoever computes with it."""
    return joined(map(_marked, pieces))


def _marked(piece: Piece) -> Html | str:
    if isinstance(piece, wording.Number):
        return element("data", piece.text, value=json.dumps(piece.value))
    return ",\u00a0" if piece == ", " else piece  # an interval stays in one line


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str, stacked: bool = False) -> Html:
    """A table with a head row and a head column, in a frame that scrolls sideways where it is too wide.

    Args:
        stacked: on a narrow screen a row's cells stand one below the other, each with its column's name.
    """
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(
                element("td", cell, data_label=f"{name}: " if stacked else None)
                for name, cell in zip(head[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    content = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))),
        element("tbody", *body),
        class_="stacked" if stacked else None,
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def outcome_table(summary: Mapping[str, Any]) -> Html:
    """A row a measure, a column an arm; with many arms a row an arm and a column a measure."""
    arms = summary["arms"]
    names = wording.worth_showing(arms.values())
    arm_heads: dict[str, Any] = {arm: [arm, element("small", _runs(content))] for arm, content in arms.items()}
    cells = {
        (name, arm): marked(*wording.measure_text(name, content["measures"].get(name)))
        for name in names
        for arm, content in arms.items()
    }
    if len(arms) <= 3:
        head: list[Any] = ["measure", *arm_heads.values()]
        rows = [[_measure_name(n), *(cells[n, arm] for arm in arms)] for n in names]
    else:
        head = ["arm", *(_measure_name(n) for n in names)]
        rows = [[arm_heads[arm], *(cells[n, arm] for n in names)] for arm in arms]
    caption = (
        "Fractions with Wilson's interval; numbers as the interquartile mean of the runs with a bootstrap "
        "interval; times as the median with its exact interval. All intervals are 95 %."
    )
    return table(head, rows, caption)


def _runs(content: Mapping[str, Any]) -> str:
    if content["n"] == content["runs"]:
        return f" {content['n']} run{'s' * (content['n'] > 1)}"
    return f" {content['runs']} equal runs"


def _measure_name(name: str) -> Html:
    return element("abbr", RUN_MEASURES[name].heading, title=RUN_MEASURES[name].meaning)
