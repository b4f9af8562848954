"""The parts of a report about one experiment: verdicts, pictures, maps, tables, where it all came from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis import wording
from experiments.config.schema import Config
from experiments.figures.style import Picture
from experiments.pages.html import Html, data_uri, element, joined
from experiments.pages.tables import marked, outcome_table
from experiments.pages.verdicts import verdict_list
from experiments.storage.results import Results
from experiments.storage.run_folder import config_text


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
        marked(wording.whole(steps), " environment steps in ", wording.number(seconds)),
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
