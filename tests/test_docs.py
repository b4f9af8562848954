"""The pages in docs/ are those of the stored argument: every number on them stands in docs/argument.json."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from experiments.analysis import text_numbers
from experiments.config.loading import load_config
from experiments.config.measures import RUN_MEASURES, TAGS
from experiments.config.plan import OUTSIDE, PLAN
from experiments.training.worlds import make_world
from tests.experiments.report_folder import Page
from tests.experiments.test_report import numbers_in

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SUMMARY = json.loads((DOCS / "argument.json").read_text(encoding="utf-8"))
PAGES = {"argument.html": [entry.name for part in PLAN for entry in part.entries], "two_rooms.html": ["two_rooms"]}
MAX_BYTES = 3_000_000  # of both: a repository keeps every version of them


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_number_of_a_page_is_the_stored_one(page: str) -> None:
    known = {json.dumps(number) for number in numbers_in(SUMMARY)}
    known |= {json.dumps(number.exact) for number in text_numbers.numbers()}
    shown = {value for value, _ in Page(text(page)).numbers}
    assert len(shown) > 50
    assert shown <= known


@pytest.mark.parametrize("page", PAGES)
def test_every_config_of_a_page_is_the_one_in_configs(page: str, tmp_path: Path) -> None:
    """As it is read: a key that is newer than the page has its default there."""
    printed = re.findall(r"<pre>(.*?)</pre>", text(page), re.DOTALL)
    assert len(printed) == len(PAGES[page])
    for name, config in zip(PAGES[page], printed, strict=True):
        (tmp_path / f"{name}.toml").write_text(unescape(config), encoding="utf-8")
        assert load_config(tmp_path / f"{name}.toml") == load_config(ROOT / "configs" / f"{name}.toml")


def test_the_argument_is_the_stored_one() -> None:
    found = text("argument.html")
    assert f"<code>{SUMMARY['source']}</code>" in found
    assert "--quick" not in found
    verdicts = re.findall(r'<tr class="(\w+)"><th scope="row"><a href="#(\w+)">(.*?)</a>', found)
    stored = [(claim["verdict"], claim["experiment"], claim["statement"]) for claim in SUMMARY["claims"]]
    assert [(verdict, name, unescape(statement)) for verdict, name, statement in verdicts] == stored


def test_every_measure_of_the_stored_argument_is_on_its_page() -> None:
    shown = {value for value, _ in Page(text("argument.html")).numbers}
    for name, experiment in SUMMARY["experiments"].items():
        for arm, content in experiment["arms"].items():
            for entry in (content["measures"][m] for m in ("final_return", "final_entropy_bits")):
                assert json.dumps(entry["estimate"]) in shown, (name, arm)


def test_the_argument_has_the_words_of_its_plan_in_their_order() -> None:
    found = unescape(text("argument.html"))
    parts = re.findall(r"<h2>(.*?)</h2>\n<p>(.*?)</p>\n<details", found)
    assert parts == [(part.title, part.introduction) for part in PLAN]
    assert re.findall(r"<summary><h3>(.*?)</h3>", found) == [
        entry.question for part in PLAN for entry in part.entries
    ]
    assert re.findall(r"<li><code>(\w+)</code>: (.*?)\.</li>", found) == list(OUTSIDE)


def test_maps_are_shown_where_the_plan_says_and_the_world_has_one() -> None:
    experiments = re.split(r'<details class="experiment">\n.*\n<div id="', text("argument.html"))[1:]
    shown = [experiment.partition('"')[0] for experiment in experiments if '<section class="slider"' in experiment]
    planned = [entry.name for part in PLAN if part.with_maps for entry in part.entries]
    worlds = {name: make_world(load_config(name).environment) for name in planned}
    assert shown == [
        name for name, world in worlds.items() if world.mdp is not None and world.mdp.drawing is not None
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_tells_what_its_measures_mean_in_the_words_of_their_table(page: str) -> None:
    found = re.findall(r'id="measure-(\w+)"><dfn>(.*?)</dfn>: (.*?)</p>', unescape(text(page)))
    assert len(found) > 20
    assert found == [
        (name, measure.heading, measure.meaning)
        for name, measure in RUN_MEASURES.items()
        if name in {name for name, *_ in found}
    ]


def test_the_page_about_tensorboard_names_the_tags_of_the_measures() -> None:
    """Beside those of single steps, of featured seeds, and of what is no number."""
    named = set(re.findall(r"`([a-z]+/\w+)`", (DOCS / "tensorboard.md").read_text(encoding="utf-8")))
    of_measures = {tag.partition("/")[0] for tag in TAGS}
    assert {tag for tag in named if tag.partition("/")[0] in of_measures} == set(TAGS)


def test_the_pages_are_small() -> None:
    assert sum((DOCS / page).stat().st_size for page in PAGES) < MAX_BYTES


def test_one_command_makes_them() -> None:
    """And CONTRIBUTING names it."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndocs:")[1].split("\n\n")[0]
    for made in (*PAGES, "argument.json"):
        assert re.search(rf"cp \S+ docs/{made}$", recipe, re.MULTILINE)
    assert "make docs" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
