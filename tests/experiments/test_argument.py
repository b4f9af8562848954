"""The whole argument: what it holds, that it is judged together, and its page."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from experiments import argument
from experiments.analysis import text_numbers
from experiments.analysis.estimates import holm
from experiments.analysis.summary import in_json
from experiments.argument import configs, distinct_runs, judged, main, quickly
from experiments.config.loading import load_config
from experiments.config.plan import OUTSIDE, PLAN
from experiments.config.schema import Config
from experiments.pages import training_page
from experiments.pages.argument_page import HEADLINE, count
from experiments.pages.map_slider import Maps, map_slider
from experiments.session.console import Screen
from experiments.session.engines import LocalEngine
from experiments.storage import sources
from experiments.storage.results import Results
from experiments.storage.run_folder import RunFolder
from tests.experiments.browser import chromium, needs_browser
from tests.experiments.comparisons import CONFIGS
from tests.experiments.report_folder import Page
from tests.experiments.test_report import numbers_in

NAMES = [entry.name for part in PLAN for entry in part.entries]


def test_every_experiment_and_sweep_is_judged_or_named_as_being_outside() -> None:
    outside = [other.name for other in OUTSIDE]
    paths = [*CONFIGS.glob("*.toml"), *(CONFIGS / "sweeps").glob("*.toml")]
    assert sorted([*NAMES, *outside]) == sorted(path.stem for path in paths)
    for other in OUTSIDE:
        (page,) = re.findall(r"docs/\w+\.md", other.why)
        text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8").casefold()
        assert other.name in text or other.name.replace("_", "") in text


def test_a_run_that_serves_several_experiments_is_counted_once() -> None:
    rooms, doses = (load_config(CONFIGS / f"{name}.toml") for name in ("two_rooms", "dose_response"))
    alone = [len(config.arms) * config.runs_per_arm for config in (rooms, doses)]
    assert [distinct_runs([config]) for config in (rooms, doses)] == alone
    assert distinct_runs([rooms, doses]) == alone[1]  # without the term and with .03, on seeds 3000 to 3029
    assert distinct_runs([rooms, load_config(CONFIGS / "two_rooms.toml", ["agent.discount=0.9"])]) == 2 * alone[0]


def test_it_makes_enough_claims_and_shows_its_limits() -> None:
    found = configs(quick=False)
    claims = [claim for config in found for claim in config.claims]
    assert len(claims) >= 20
    assert sum(claim.limit for claim in claims) >= 5
    assert [config.name for config in found if not config.claims] == []


def _is_tuned(config: Config) -> bool:
    """Worlds in which settings were tried out; the others have them from the text and from publications."""
    exact = all(config.agent_of(arm).gradient == "exact" for arm in config.arms)
    return not exact and not config.name.startswith("bandit")


def test_what_was_tuned_is_judged_on_other_seeds() -> None:
    for config in filter(_is_tuned, configs(quick=False)):
        assert min(config.training.seed_list) >= 1000, config.name


def test_quickly_keeps_everything_but_seeds_and_updates() -> None:
    config = load_config(CONFIGS / "two_rooms.toml")
    quick = quickly(config)
    assert quick.training.updates < config.training.updates
    assert set(quick.training.seed_list) < set(config.training.seed_list)
    restored = quick.model_copy(update={"training": config.training})
    assert restored == config


def test_quickly_shortens_arms_and_families_too() -> None:
    config = load_config(CONFIGS / "mazes_more_training.toml")
    quick = quickly(config)
    assert quick.environment.world_list == config.environment.world_list[:6]
    for arm in config.arms:
        whole, short = config.training_of(arm), quick.training_of(arm)
        assert short.updates == whole.updates // 12
        assert short.max_env_steps == (whole.max_env_steps and whole.max_env_steps // 12)


def test_the_digest_changes_with_every_source_that_numbers_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("agents", "envs", "experiments"):
        shutil.copytree(sources.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = sources.digest.__wrapped__()
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    assert sources.digest.__wrapped__() == before
    changed = {}
    for name in (
        "agents/kernels/network.py",
        "envs/maps.py",
        "experiments/training/finite/one_run.py",
        "experiments/report.py",
    ):
        path = tmp_path / name
        kept = path.read_bytes()
        path.write_bytes(kept + b"# another line")
        changed[name] = sources.digest.__wrapped__() != before
        path.write_bytes(kept)
    assert changed.pop("experiments/report.py") is False  # how a page looks changes no number
    assert all(changed.values())


SMALL_PLAN = ("two_rooms", "bandit", "two_state", "mazes", "mazes_again")  # the page begins with three of them


@contextmanager
def only_small_plan() -> Iterator[None]:
    """Five experiments, as quick as can be, without maps, which take longer than all the rest."""
    found = [quickly(load_config(CONFIGS / f"{name}.toml")) for name in SMALL_PLAN]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(argument, "configs", lambda quick: found)
        patched.setattr(training_page, "map_slider", lambda results: None)
        yield


@pytest.fixture
def small_plan() -> Iterator[None]:
    with only_small_plan():
        yield


@pytest.fixture(scope="module")
def small_argument(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the small plan, trained once, which no test may change, and what the command printed."""
    out = tmp_path_factory.mktemp("small") / "argument"
    with only_small_plan(), redirect_stdout(io.StringIO()) as said:
        assert main(["--quick", "--workers", "1", "--out", str(out)]) == 0
    return out, said.getvalue()


def test_what_came_out_otherwise_than_expected_is_named_on_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    stored = json.loads((Path(__file__).parents[2] / "docs" / "argument.json").read_text(encoding="utf-8"))
    stored["claims"][0] |= {"verdict": "refuted", "statement": "It is so"}
    stored["claims"][1] |= {"verdict": "supported", "limit": True, "statement": "It is not so"}
    argument.show(stored, Screen(), verbose=False)
    said = capsys.readouterr().out
    assert "It is so" in said
    assert "It is not so (a limit)" in said
    inconclusive = [
        claim for claim in stored["claims"] if claim["verdict"] == "inconclusive" and not claim["limit"]
    ]
    assert said.count("inconclusive  ") == len(inconclusive)
    assert "supported " in said
    argument.show(stored, Screen(), verbose=True)
    assert capsys.readouterr().out.count("supported  ") > 50


def read(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_what_is_done_and_unchanged_is_not_trained_again(
    small_plan: None,
    small_argument: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = shutil.copytree(small_argument[0], tmp_path / "argument")
    before = {name: (out / name / "runs.parquet").stat().st_mtime_ns for name in SMALL_PLAN}
    claims = read(out)["claims"]
    # A changed claim, or any other change of a config, trains its experiment again and no other.
    found = argument.configs(quick=True)
    longer = found[1].training.model_copy(update={"updates": found[1].training.updates + 1})
    changed = [found[0], found[1].model_copy(update={"training": longer}), *found[2:]]
    with monkeypatch.context() as patched:  # which ends before the small plan does
        patched.setattr(argument, "configs", lambda quick: changed)
        assert main(["-v", "--quick", "--workers", "1", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("unchanged") == len(found) - 1
    after = {name: (out / name / "runs.parquet").stat().st_mtime_ns for name in SMALL_PLAN}
    assert {name for name in SMALL_PLAN if after[name] != before[name]} == {"bandit"}
    unchanged = [claim for claim in read(out)["claims"] if claim["experiment"] != "bandit"]
    assert [c["effect"] for c in unchanged] == [c["effect"] for c in claims if c["experiment"] != "bandit"]


@pytest.mark.slow
def test_other_source_code_counts_as_a_change(
    small_plan: None, small_argument: tuple[Path, str], tmp_path: Path
) -> None:
    out = shutil.copytree(small_argument[0], tmp_path / "argument")
    config = next(config for config in argument.configs(quick=True) if config.name == "two_state")
    assert not argument.prepare(config, out / config.name).trained
    (out / config.name / "source.txt").write_text("another")
    assert argument.prepare(config, out / config.name).trained


@pytest.mark.slow
def test_all_claims_are_corrected_together(small_argument: tuple[Path, str]) -> None:
    out, said = small_argument
    claims = read(out)["claims"]
    assert "none of these verdicts means anything" in said
    assert f"report: {(out / 'report.html').as_uri()}\n" in said
    assert not any(claim["statement"] in said for claim in claims)
    assert len(said.splitlines()) < 10
    tested = [claim for claim in claims if claim["p"] is not None]
    assert len(tested) == 6 < len(claims)  # two_state has no chance and no test
    together = holm([claim["p"] for claim in tested]).adjusted
    assert [claim["p_adjusted"] for claim in tested] == pytest.approx(together.tolist())
    tally = read(out)["verdicts"]
    assert tally == count(claims)
    assert tally["supported"] + tally["refuted"] + tally["inconclusive"] + tally["limits"] == len(claims)


def test_a_missing_config_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(argument, "CONFIGS", tmp_path)
    assert main(["--out", str(tmp_path / "argument")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "argument").exists()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole argument, quickly. Maps take half of the time: only those are drawn that its page shows."""
    out = tmp_path_factory.mktemp("quick") / "argument"
    shown = {entry.name for part in PLAN if part.with_maps for entry in part.entries}

    def shown_maps(results: Results) -> Maps | None:
        return map_slider(results) if results.config.name in shown else None

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_page, "map_slider", shown_maps)
        assert main(["--quick", "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_the_quick_argument_has_the_shape_of_the_whole(quick: Path) -> None:
    summary, text = read(quick), (quick / "report.html").read_text(encoding="utf-8")
    assert set(summary["experiments"]) == set(NAMES)
    assert len(summary["claims"]) == sum(len(config.claims) for config in configs(quick=False))
    parsed = Page(text)
    # Every number is the summary's, an experiment's own, or one of the text's.
    known = {json.dumps(number) for number in numbers_in(summary)}
    known |= {json.dumps(number.exact) for number in text_numbers.numbers()}
    for name in NAMES:
        known |= {json.dumps(number) for number in numbers_in(read(quick / name))}
    assert {value for value, _ in parsed.numbers} <= known
    # Every claim is on the page with its verdict, in the table and beside its experiment.
    for verdict in ("supported", "refuted", "inconclusive"):
        expected = sum(claim["verdict"] == verdict for claim in summary["claims"])
        answers = [  # with which the page begins
            next(claim["verdict"] for claim in summary["claims"] if claim["experiment"] == name)
            for name in ("mazes", "mazes_again")
        ]
        assert len(re.findall(rf'class="badge {verdict}"', text)) == 2 * expected + answers.count(verdict)
    anchors = {str(a["id"]) for a in parsed.attributes if "id" in a}
    assert {str(a["href"]).removeprefix("#") for a in parsed.named("a")} <= anchors
    assert set(NAMES) <= anchors
    assert "This page was made with --quick" in text
    # It begins with the README's pictures, whose files carry the words that the summary has for them.
    assert list(summary["headline"]) == ["by_world", "entropy_bits"]
    assert [image["alt"] for image in parsed.named("img")][:2] == list(summary["headline"].values())
    for (experiment, name), words in zip(HEADLINE, summary["headline"].values(), strict=True):
        assert words in (quick / experiment / "figures" / f"{name}.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_file_of_every_experiment_is_known_as_ours(quick: Path) -> None:
    """Else `--overwrite` would leave it."""
    for name in NAMES:
        folder = RunFolder(quick / name)
        assert [file for file in folder.names() if not folder.is_own(file)] == []


SIZES = {"desktop": (1400, 900), "telephone": (390, 844)}


@pytest.fixture(scope="module")
def browser(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


def open_page(browser: webdriver.Chrome, quick: Path, size: str, target: str = "") -> None:
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "telephone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get("about:blank")  # else a page with another target is not loaded anew
    browser.get(f"{(quick / 'report.html').as_uri()}{target}")


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("size", SIZES)
def test_a_browser_shows_the_whole_page_without_an_error(
    quick: Path, browser: webdriver.Chrome, size: str
) -> None:
    open_page(browser, quick, size)
    browser.execute_script("document.querySelector('.folding button').click()")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) == 0
    levels = browser.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    moved = """
        for (const range of document.querySelectorAll('.slider input[type=range]')) {
          range.value = 0;
          range.dispatchEvent(new Event('input', {bubbles: true}));
        }
        return [...document.querySelectorAll('.slider output')].map(o => o.textContent);
    """
    captions = browser.execute_script(moved)
    assert len(captions) == 2  # of the two rooms and of their doses; the reports have those of all others
    assert all(caption.startswith("update 0 of") for caption in captions)
    pictures = "return [...document.images].filter(i => !(i.complete && i.naturalWidth)).length"
    WebDriverWait(browser, 30).until(lambda found: found.execute_script(pictures) == 0)
    assert browser.get_log("browser") == []


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("size", SIZES)
def test_the_first_screen_answers_the_question(quick: Path, browser: webdriver.Chrome, size: str) -> None:
    open_page(browser, quick, size)
    parts = {"desktop": ".answer, .answer + p, main > .gallery img", "telephone": ".answer, .answer + p"}[size]
    ends = "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect().bottom)"
    found = browser.execute_script(ends, parts)
    assert len(found) == {"desktop": 4, "telephone": 2}[size]
    assert max(found) <= SIZES[size][1]


@pytest.mark.slow
@needs_browser
def test_verdicts_can_be_filtered(quick: Path, browser: webdriver.Chrome) -> None:
    open_page(browser, quick, "telephone")
    claims = read(quick)["claims"]
    shown = "return [...document.querySelectorAll('.claims tbody tr')].filter(r => r.offsetParent).length"
    for verdict in ("supported", "refuted", "inconclusive", "all"):
        expected = sum(verdict in ("all", claim["verdict"]) for claim in claims)
        choice = browser.find_element(By.CSS_SELECTOR, f".claims input[value={verdict}]")
        browser.execute_script("arguments[0].click()", choice)
        assert browser.execute_script(shown) == expected
        label = browser.execute_script("return arguments[0].parentNode.textContent", choice)
        assert str(expected) in label.split()


@pytest.mark.slow
@needs_browser
def test_sections_fold_and_open_where_a_link_leads_and_on_paper(quick: Path, browser: webdriver.Chrome) -> None:
    unfolded = "return [...document.querySelectorAll('details.experiment[open] > div')].map(d => d.id)"
    open_page(browser, quick, "desktop")
    assert browser.execute_script(unfolded) == []
    browser.execute_script("document.querySelector('nav a[href=\"#noise\"]').click()")
    WebDriverWait(browser, 10).until(lambda found: found.execute_script(unfolded) == ["noise"])
    top = "return document.getElementById('noise').getBoundingClientRect().top"
    assert 0 <= browser.execute_script(top) < 200
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(unfolded) == NAMES
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(unfolded) == ["noise"]
    open_page(browser, quick, "desktop", "#trap")
    assert browser.execute_script(unfolded) == ["trap"]


# By figure, pairs of texts whose boxes overlap by over a pixel both ways, and texts that are cut off.
OVERLAPS = """
const found = {};
for (const figure of document.querySelectorAll('svg[data-name]')) {
  const boxes = [...figure.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  const frame = figure.getBoundingClientRect(), wrong = [];
  for (const [i, [a, p]] of boxes.entries()) {
    for (const [b, q] of boxes.slice(i + 1))
      if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 &&
          Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 1) wrong.push(a + ' | ' + b);
    if (p.left < frame.left - 1 || p.right > frame.right + 1) wrong.push(a + ' is cut off');
  }
  if (wrong.length) found[figure.dataset.name] = wrong;
}
return [document.querySelectorAll('svg[data-name] text').length, found];
"""


@pytest.mark.slow
@needs_browser
def test_no_label_of_a_figure_overlaps_another_or_is_cut_off(quick: Path, tmp_path: Path) -> None:
    """All figures on one page: to load each by itself takes a minute."""
    figures = sorted(quick.glob("*/figures/*.svg"))
    assert len(figures) > 80
    page = tmp_path / "figures.html"
    page.write_text("<!doctype html><meta charset=utf-8>" + "".join(map(_named, figures)), encoding="utf-8")
    with chromium(tmp_path / "profile") as browser:
        browser.get(page.as_uri())
        texts, found = browser.execute_script(OVERLAPS)
    assert texts > 10 * len(figures)
    assert found == {}


def _named(figure: Path) -> str:
    """The figure as an element that knows where it comes from."""
    svg = figure.read_text(encoding="utf-8")
    return f'<div><svg data-name="{figure.parts[-3]}/{figure.name}"{svg[svg.index("<svg") + 4 :]}</div>'


@pytest.mark.slow
def test_judging_needs_no_more_than_what_is_stored(
    small_plan: None, small_argument: tuple[Path, str], tmp_path: Path
) -> None:
    out = shutil.copytree(small_argument[0], tmp_path / "argument")
    again = argument.prepare_all(argument.configs(quick=True), out, LocalEngine(1, print), Screen(), False)
    assert not any(found.trained for found in again.values())
    assert in_json(judged(again)) == read(out)["claims"]
