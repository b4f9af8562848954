"""docs/explain.html: its numbers are those of Python, of docs/argument.json and of the configs. Its command."""

import json
import re
import tomllib
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from experiments import explain, load_config
from experiments.analysis.text_numbers import CLASSIFIER, COIN, CONFIDENT, UNDECIDED, numbers
from experiments.pages.explain_data import effects
from experiments.pages.explain_page import HERE, SCRIPTS, evaluated, found
from tests.experiments.explain.page import LANGUAGES
from tests.experiments.report_folder import Page

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "explain.html").read_text(encoding="utf-8")
ARGUMENT = json.loads((ROOT / "docs" / "argument.json").read_text(encoding="utf-8"))
NUMBER = re.compile(r'<data value="([^"]*)" data-(line|stored|setting)="([^"]*)">([^<]*)</data>')

# What the text prints; the section that says it, and the line of Python that computes it there.
RATIO = "entropy([.3, .2, .25, .25]) / entropy([.9, .05, .025, .025])"
DIGIT = "[0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [.01, .02, .75, .05, .02, .1, .001, .02, .009, .02]"
OF_THE_TEXT = [
    ("0.0144", "information", 'information(.99, "bits")'),
    ("6.64", "information", 'information(.01, "bits")'),
    ("0.08", "entropy", 'entropy([.99, .01], "bits")'),
    ("1", "entropy", 'entropy([.5, .5], "bits")'),
    ("0.61", "entropy", 'entropy([.9, .05, .025, .025], "bits")'),
    ("1.98", "entropy", 'entropy([.3, .2, .25, .25], "bits")'),
    ("0.287", "cross-entropy", f"cross_entropy({DIGIT})"),
]
# What its slips are about: the same in the other unit, how many times, the mean log ratio and the mean ratio.
OF_THE_SLIPS = [
    ("3.207576", "entropy", RATIO),
    ("3.207576", "slips", RATIO),
    ("0.415037", "slips", f'cross_entropy({DIGIT}, "bits")'),
    ("3", "kl", ".9 / .3"),
    ("0.804307", "kl", "kl_divergence([.9, .05, .025, .025], [.3, .2, .25, .25])"),
    ("0.804307", "slips", "kl_divergence([.9, .05, .025, .025], [.3, .2, .25, .25])"),
    ("1.098968", "kl", "kl_divergence([.3, .2, .25, .25], [.9, .05, .025, .025])"),
    ("2.7175", "slips", ".9 * .9 / .3 + .05 * .05 / .2 + 2 * .025 * .025 / .25"),
    ("0.618996", "slips", 'cross_entropy([.9, .05, .025, .025], [.9, .05, .025, .025], "bits")'),
]
GIVEN = [  # the distributions that the text starts from, as its sections write them
    ("information", "0.99", COIN[:1]),
    ("entropy", "{0.9, 0.05, 0.025, 0.025}", CONFIDENT),
    ("entropy", "{0.3, 0.2, 0.25, 0.25}", UNDECIDED),
    ("cross-entropy", "{.01, .02, .75, .05, .02, .1, .001, .02, .009, .02}", CLASSIFIER),
]
EXACT = (
    0.014500, 6.643856, 0.080793, 1.0, 0.618996, 0.429055, 1.985475, 1.376227, 3.207576, 1.535806, 0.287682,
    0.415037, 0.804307, 1.098968, 0.957239, 2.717500, -0.291325, 0.128334, 0.081496,
)  # fmt: skip


def data_of(page: str) -> dict[str, Any]:
    """What the figures are drawn from."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def numbers_of(page: str, kind: str) -> list[tuple[float, str, str]]:
    """Value, origin and what is read, of every number whose origin is of a kind."""
    return [
        (float(value), unescape(origin), shown)
        for value, found, origin, shown in NUMBER.findall(page)
        if found == kind
    ]


def assert_is_rounded(shown: str, value: float) -> None:
    decimals = len(shown.partition(".")[2])
    assert float(shown.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.5000001 * 10.0**-decimals)


def test_every_number_is_what_the_line_beside_it_gives() -> None:
    lines = numbers_of(PAGE, "line")
    assert len(lines) > 60
    beside = {unescape(code) for code in re.findall(r"<th scope=\"row\"><code>([^<]*)</code>", PAGE)}
    for value, code, shown in lines:
        assert evaluated(code) == pytest.approx(value, abs=1e-12)
        assert_is_rounded(shown, value)
        assert code in beside


def test_every_line_can_be_repeated_as_it_says() -> None:
    rows = re.findall(r"<code>([^<]*)</code></th>\s*<td><data value=\"([^\"]*)\">([^<]*)</data>", PAGE)
    assert len(rows) > 25
    for code, value, shown in rows:
        given: dict[str, Any] = {}
        exec(f"from agents.information import *\nfound = {unescape(code)}", given)
        assert given["found"] == pytest.approx(float(value), abs=1e-12)
        assert_is_rounded(shown, float(value))


@pytest.mark.parametrize("line", ["__import__('os')", "open('x').read()", "entropy(p=[1])", "[].append(1)", "x"])
def test_a_line_is_arithmetic_and_nothing_else(line: str) -> None:
    with pytest.raises((ValueError, AttributeError, TypeError)):
        evaluated(line)


def prose(section: str, language: str) -> str:
    """The paragraphs and lists of a section in a language, as they stand in the file."""
    (whole,) = re.findall(rf'<section id="{section}">(.*?)</section>', PAGE, re.DOTALL)
    return "".join(text for _, text in re.findall(rf'<(p|ul) lang="{language}">(.*?)</\1>', whole, re.DOTALL))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("printed", "section", "line"), OF_THE_TEXT + OF_THE_SLIPS)
def test_every_number_of_the_text_is_computed_where_its_section_says_it(
    printed: str, section: str, line: str, language: str
) -> None:
    values = [value for value, code, _ in numbers_of(prose(section, language), "line") if code == line]
    assert values
    digit = 10.0 ** -len(printed.partition(".")[2])
    assert all(-digit / 2 <= value - float(printed) < digit for value in values)  # rounded, or cut off


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("section", "written", "given"), GIVEN)
def test_the_distributions_of_the_text_are_the_ones_that_are_computed_with(
    section: str, written: str, given: tuple[float, ...], language: str
) -> None:
    assert tuple(float(p) for p in written.strip("{}").split(", ")) == given
    assert written in prose(section, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_has_every_number_of_the_text_as_printed_and_exactly(language: str) -> None:
    """Row by row: what the text printed stands beside the exact value of the same quantity, and its unit."""
    (table,) = re.findall(r"<tbody>(.*?)</tbody>", PAGE.split("<table>")[1], re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    for row, number in zip(rows, numbers(), strict=True):
        quantity, printed, *unit = re.findall(rf'<span lang="{language}">([^<]*)</span>', row)
        ((value, shown),) = Page(row).numbers
        assert float(value) == number.exact
        assert_is_rounded(shown, number.exact)
        assert len(unit) == 1
        if re.fullmatch(r"[\d.]+", number.printed):
            assert printed == number.printed
        if language == "en":
            assert re.findall(r"\w+", quantity) == re.findall(r"\w+", number.quantity)
    assert {printed for printed, _, _ in OF_THE_TEXT} <= {number.printed for number in numbers()}


def test_the_exact_values_are_on_the_page() -> None:
    values = [float(value) for value, _ in Page(PAGE).numbers]
    for exact in EXACT:
        assert any(value == pytest.approx(exact, abs=5e-7) for value in values), exact


def test_numbers_of_the_argument_are_the_stored_ones() -> None:
    stored = numbers_of(PAGE, "stored")
    assert len(stored) >= 20
    for value, place, shown in stored:
        assert value == found(ARGUMENT, place), place
        assert_is_rounded(shown, value)


def test_settings_are_those_of_the_configs() -> None:
    shown_settings = numbers_of(PAGE, "setting")
    assert len(shown_settings) >= 16
    for value, place, shown in shown_settings:
        name, _, key = place.partition("/")
        config = load_config(ROOT / "configs" / f"{name}.toml").model_dump()
        assert value == found(config, key), place
        assert_is_rounded(shown, value)
    bandit = load_config(ROOT / "configs" / "bandit.toml")
    assert bandit.agent.initial_policy == CONFIDENT  # "starts with policy a"
    assert (bandit.training.episodes_per_update, bandit.agent.baseline) == (1, "none")


def test_the_runs_are_those_that_the_argument_has_judged() -> None:
    """The same config and seeds: coefficients 0 and 0.1 have to end as the arms of the bandit do."""
    shown = data_of(PAGE)["bandit"]
    seeds = load_config(ROOT / "configs" / "bandit.toml").training.seed_list
    assert (shown["first_seed"], shown["runs"]) == (seeds[0], len(seeds))
    assert len(shown["doses"]) >= 10
    for coefficient, arm in ((0.0, "without_entropy"), (0.1, "with_entropy")):
        measures = ARGUMENT["experiments"]["bandit"]["arms"][arm]["measures"]
        at = shown["doses"].index(coefficient)
        assert shown["best"][at] == measures["succeeds"]["count"]
        assert shown["stuck"][at] == measures["stuck"]["count"]
        assert shown["reward"][at] == pytest.approx(measures["final_return"]["mean"], abs=1e-9)


def test_the_mean_reward_follows_an_inverted_u_as_the_page_says() -> None:
    shown = data_of(PAGE)["bandit"]
    reward, best = shown["reward"], shown["reward"].index(max(shown["reward"]))
    assert reward[: best + 1] == sorted(reward[: best + 1])
    assert reward[best:] == sorted(reward[best:], reverse=True)
    assert 0 < best < len(reward) - 1
    assert shown["stuck"] == sorted(shown["stuck"], reverse=True)


def test_what_the_page_says_of_the_two_rooms_is_so() -> None:
    """A reward of 0.2 two cells from the start, and one of 1 behind the door."""
    rooms = data_of(PAGE)["rooms"]
    start = rooms["cells"][rooms["start"]]
    distance = {reward: abs(row - start[0]) + abs(column - start[1]) for row, column, reward in rooms["goals"]}
    assert set(distance) == {0.2, 1.0}
    assert distance[0.2] == 2
    assert distance[1.0] > rooms["width"] / 2
    assert rooms["updates"][-1] == load_config(ROOT / "configs" / "two_rooms.toml").training.updates - 1


def test_the_picture_of_all_worlds_is_the_stored_one() -> None:
    assert data_of(PAGE)["worlds"] == effects(ARGUMENT)


@pytest.mark.skipif("mazes" not in ARGUMENT["experiments"], reason="docs/argument.json has no family yet")
def test_the_mazes_of_the_picture_are_those_of_the_verdict() -> None:
    shown = data_of(PAGE)
    each = [dot[0] for dot in shown["family"]["dots"]]
    assert len(each) == len(load_config(ROOT / "configs" / "mazes.toml").environment.world_list)
    assert sum(each) / len(each) == pytest.approx(shown["worlds"][shown["family"]["row"]]["effect"], abs=1e-5)


@pytest.mark.slow
def test_a_family_belongs_to_its_row_or_to_none(small: Path) -> None:
    made = data_of(small.read_text(encoding="utf-8"))["family"]
    assert len(made["dots"]) == 60
    assert all(-1 <= difference <= 1 for difference, *_ in made["dots"])
    assert (made["row"] is None) == ("mazes" not in ARGUMENT["experiments"])


def test_the_page_is_small_and_brings_everything_along() -> None:
    parsed = Page(PAGE)
    assert len(PAGE.encode()) < 1_000_000
    assert set(re.findall(r"https?://[^\s\"'<]*", PAGE)) == {"http://www.w3.org/2000/svg"}
    (policy,) = [
        str(m["content"]) for m in parsed.named("meta") if m.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"link", "iframe", "object", "form", "img"} & set(parsed.tags)
    assert not [a for a in parsed.attributes if "style" in a or any(name.startswith("on") for name in a)]


def test_the_scripts_are_small() -> None:
    lines = [(HERE / name).read_text(encoding="utf-8").splitlines() for name in (*SCRIPTS, "language.js")]
    assert sum(map(len, lines)) < 500
    assert max(len(line) for file in lines for line in file) <= 132


def test_every_word_of_the_figures_is_there_in_both_languages_and_used() -> None:
    words = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    for key, (english, korean) in words.items():
        assert re.search(rf'"{key}"', script), key
        assert sorted(set(re.findall(r"\{\d\}", english))) == sorted(set(re.findall(r"\{\d\}", korean))), key
    used = set(re.findall(r'say\(\s*"(\w+)"', script))
    assert used <= set(words)


def test_it_is_made_after_the_argument_that_it_quotes() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndocs:")[1].split("\n\n")[0].splitlines()
    order = [
        next(i for i, line in enumerate(recipe) if name in line)
        for name in ("argument.json", "experiments.explain")
    ]
    assert order == sorted(order)
    for target in re.findall(r'href="([^"#]+)"', PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_the_command_writes_a_page_and_replaces_no_other_file(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = small.read_text(encoding="utf-8")
    monkeypatch.setattr(explain, "made", lambda screen: page)
    place, mine = tmp_path / "page.html", tmp_path / "mine.html"
    for _ in range(2):  # its own page may be replaced
        assert explain.main(["--out", str(place)]) == 0
        assert place.read_text(encoding="utf-8") == page + "\n"
    mine.write_text("<p>mine</p>", encoding="utf-8")
    for wrong in (mine, tmp_path, tmp_path / "nowhere" / "page.html"):
        capsys.readouterr()
        assert explain.main(["--out", str(wrong)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(wrong.parent) in error
    assert mine.read_text(encoding="utf-8") == "<p>mine</p>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "page.html"]


def test_without_the_verdicts_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the package is installed without docs/."""
    monkeypatch.setattr(explain, "ARGUMENT", tmp_path / "argument.json")
    assert explain.main(["--out", str(tmp_path / "page.html")]) == 2
    assert "made in a checkout" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_trained_is_what_was_asked_for(small: Path) -> None:
    data = data_of(small.read_text(encoding="utf-8"))
    assert (data["bandit"]["doses"], data["bandit"]["runs"]) == ([0.0, 0.1, 0.5], 4)
    assert data["rooms"]["updates"][-1] == 19


def test_an_experiment_is_shown_as_soon_as_the_argument_has_judged_it() -> None:
    claim = {"experiment": "mazes", "measure": "succeeds", "expect": "with_entropy > without_entropy"}
    claim |= {"verdict": "supported", "effect": 0.2, "low": 0.1, "high": 0.3}
    assert effects({"claims": [], "experiments": {}}) == []
    (row,) = effects({"claims": [claim], "experiments": {"mazes": {}}})
    assert (row["effect"], row["low"], row["high"]) == (0.2, 0.1, 0.3)
