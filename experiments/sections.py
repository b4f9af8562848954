"""The parts a report is made of: tables, verdicts, pictures, maps over training, where it all came from.

Every number that is shown stands in a `data` element with its full value beside the rounded one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.config import Config
from experiments.figures import Picture
from experiments.markup import Html, data_uri, element, joined
from experiments.outcomes import OUTCOMES
from experiments.results import Results
from experiments.store import config_text

SIGNS = {"supported": "✔", "refuted": "✘", "inconclusive": "?"}


def number(value: float | None, text: str) -> Html:
    """A number as it is written, with its full value for whoever computes with it."""
    return element("data", text, value=json.dumps(value))


def outcome_table(summary: Mapping[str, Any]) -> Html:
    """A row a measure, a column an arm; with many arms a row an arm and a column a measure."""
    arms = summary["arms"]
    names = [
        name for name in OUTCOMES if any(_worth_showing(name, arm["measures"].get(name)) for arm in arms.values())
    ]
    arm_heads: dict[str, Any] = {arm: [arm, element("small", _runs(content))] for arm, content in arms.items()}
    cells = {(n, arm): _entry(n, content["measures"].get(n)) for n in names for arm, content in arms.items()}
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


def _worth_showing(name: str, entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and (name not in ("failed", "env_steps", "episodes") or bool(entry.get("count")))


def _runs(content: Mapping[str, Any]) -> str:
    if content["n"] == content["runs"]:
        return f" {content['n']} run{'s' * (content['n'] > 1)}"
    return f" {content['runs']} equal runs"


def _measure_name(name: str) -> Html:
    return element("abbr", OUTCOMES[name].label, title=OUTCOMES[name].meaning)


def _entry(name: str, entry: Mapping[str, Any] | None) -> Html | str:
    if entry is None:
        return "-"
    kind = OUTCOMES[name].kind
    parts: list[str | Html] = []
    if kind == "fraction":
        parts += [number(entry["count"], str(entry["count"])), "/", number(entry["n"], str(entry["n"])), " = "]
    parts.append(number(entry["estimate"], _rounded(kind, entry["estimate"])))
    if entry["low"] is not None or (entry["high"] is not None and kind == "time"):
        ends = (number(entry[end], _rounded(kind, entry[end])) for end in ("low", "high"))
        parts.append(element("span", " [", *_between(ends, ", "), "]", class_="interval"))
    return joined(parts)


def _between(items: Iterable[Html], separator: str) -> list[Html | str]:
    found: list[Html | str] = []
    for item in items:
        found += [separator, item] if found else [item]
    return found


def _rounded(kind: str, value: float | None) -> str:
    if value is None:
        return "never" if kind == "time" else "unbounded"
    if kind == "time" or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.005 or value == 0 else f"{value:.1g}"


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


# --- verdicts


def verdict_list(claims: Sequence[Mapping[str, Any]]) -> Html:
    """Each claim with its verdict and what it rests on."""
    return element("ul", *(element("li", *_verdict(claim)) for claim in claims), class_="verdicts")


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
    return joined([shown, element("span", " [", *_between(ends, ", "), "]", class_="interval")])


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
            else ["; about ", number(more, f"{more:,}"), " more seeds an arm would decide it"]
        )
    failed: list[Html | str] = []
    if claim["failed"]:
        failed = ["; ", number(claim["failed"], str(claim["failed"])), " runs without a value count as the worst"]
    return [
        badge(claim),
        " ",
        claim["statement"],
        element(
            "small",
            element("code", f"{claim['measure']}: {claim['expect']}"),
            " ",
            effect(claim),
            f"; {claim['test']}",
            *tested,
            "; n = ",
            number(claim["n"], str(claim["n"])),
            *needed,
            *failed,
            f"; {foreseen(claim)}",
        ),
    ]


# --- pictures


def gallery(pictures: Sequence[Picture]) -> Html:
    """The pictures, as many beside each other as fit."""
    return element("div", *map(_figure, pictures), class_="gallery")


def _figure(picture: Picture) -> Html:
    image = element("img", src=data_uri(picture.svg, "image/svg+xml"), alt=picture.alt)
    return element("figure", image, element("figcaption", picture.caption))


# --- where it came from


def setup(config: Config) -> Html:
    """What was trained, in a table, and the whole config behind it."""
    training, environment = config.training, config.environment
    seeds, episodes = training.seed_list, training.episodes_per_update
    known = f"{len(seeds)} an arm, the same for all arms: {_span(seeds)}"
    limit = "its own" if environment.max_episode_steps is None else str(environment.max_episode_steps)
    rows = [
        ["world", element("code", environment.id), f"time limit {limit}"],
        ["seeds", known, ""],
        ["training", f"{training.updates:,} updates", f"{episodes} episode{'s' * (episodes > 1)} an update"],
        *([f"arm {arm}", element("code", _differences(config, arm)), ""] for arm in config.arms),
    ]
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    return joined(
        [
            element("div", element("table", element("tbody", *body)), class_="scroll", tabindex=0),
            element(
                "details",
                element("summary", "the whole config: training from it repeats the runs"),
                element("pre", config_text(config)),
            ),
        ]
    )


def _span(seeds: Sequence[int]) -> str:
    if list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _differences(config: Config, arm: str) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in config.arms[arm].items()) or "the base"


def provenance(summary: Mapping[str, Any]) -> Html:
    """Versions, machine, steps and time."""
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    steps, seconds = summary["env_steps"], summary["wall_seconds"]
    return element(
        "p",
        number(steps, f"{steps:,}"),
        " environment steps in ",
        number(seconds, f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.2f}"),
        f" s on {summary['platform']}; {versions}.",
        class_="provenance",
    )


def experiment(
    results: Results,
    claims: Sequence[Mapping[str, Any]],
    pictures: Sequence[Picture],
    maps: Html | None,
    folded: bool = False,
) -> Html:
    """Everything about one experiment, below its heading.

    Args:
        claims: its verdicts, corrected among themselves or among those of other experiments too.
        folded: the table of all measures waits to be asked for.
    """
    outcomes = outcome_table(results.summary)
    return joined(
        [
            verdict_list(claims) if claims else None,
            gallery(pictures),
            maps,
            element("details", element("summary", "all measures of all arms"), outcomes) if folded else outcomes,
            setup(results.config),
            provenance(results.summary),
        ]
    )
