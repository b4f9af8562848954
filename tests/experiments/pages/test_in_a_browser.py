"""The report in a real browser: by mouse, by touch, on a telephone and on paper; with two arms and with many."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from experiments.pages.training_page import write_report
from tests.experiments.browser import SIDESTEP, chromium, needs_browser
from tests.experiments.report_folder import trained

pytestmark = [pytest.mark.slow, needs_browser]

SHOWN = """return [...document.querySelectorAll('.slider figure')].filter(f => f.offsetParent)
    .map(f => [f.dataset.arm, f.dataset.view])"""
TOO_WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Frames whose content is wider than they are, and texts that reach beyond the page.
CUT_OFF = """return [
    ...[...document.querySelectorAll('.scroll, .measures')].filter(f => f.scrollWidth > f.clientWidth + 1),
    ...[...document.querySelectorAll('td, th, caption, p, li')].filter(e => e.offsetParent &&
        e.getBoundingClientRect().right > document.documentElement.clientWidth + 1),
].map(e => e.textContent.slice(0, 80))"""
MOVE = "arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
SIZES = {"desktop": (1400, False), "telephone": (390, True)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of two arms, and one of eight with long names."""
    place = tmp_path_factory.mktemp("reports")
    many = {f"orthogonal_initialization_none_{i}": {"entropy_coef": 0.01 * (i // 2)} for i in range(8)}
    changes: dict[str, Any] = {"arms": many, "training": {"seeds": 4, "updates": 30}, "claims": []}
    folders = {"two": trained(place / "two"), "many": trained(place / "many", **changes)}
    return {name: write_report(folder.path) for name, folder in folders.items()}


def open_page(browser: webdriver.Chrome, page: Path, size: str = "desktop") -> None:
    width, mobile = SIZES[size]
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    browser.get(page.as_uri())


@pytest.mark.parametrize("name", ["two", "many"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_and_nothing_goes_wrong(
    browser: webdriver.Chrome, pages: dict[str, Path], name: str, size: str
) -> None:
    open_page(browser, pages[name], size)
    assert browser.execute_script(TOO_WIDE) == 0
    assert browser.execute_script(CUT_OFF) == []
    broken = "return [...document.images].filter(i => i.complete && i.offsetParent && !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert browser.execute_script("return document.querySelectorAll('script').length") == 1
    assert browser.get_log("browser") == []


def test_it_stands_where_it_stood_before_all_of_it_was_there(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    open_page(browser, pages["two"])
    assert browser.execute_script(SIDESTEP) == 0


@pytest.mark.parametrize("name", ["two", "many"])
def test_headings_leave_out_no_level(browser: webdriver.Chrome, pages: dict[str, Path], name: str) -> None:
    open_page(browser, pages[name])
    levels = browser.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("size", SIZES)
def test_the_slider_moves_the_maps(browser: webdriver.Chrome, pages: dict[str, Path], size: str) -> None:
    open_page(browser, pages["two"], size)
    slider = browser.find_element(By.CSS_SELECTOR, ".slider input[type=range]")
    state = """return [document.querySelector('.slider output').textContent,
        document.querySelector('.slider svg').getAttribute('aria-label'),
        Number(document.querySelector('.slider image').getAttribute('y'))]"""
    caption, label, y = browser.execute_script(state)
    assert caption == "update 29 of 30"
    assert y < 0
    browser.execute_script(MOVE, slider)
    first_caption, first_label, first_y = browser.execute_script(state)
    assert first_caption == "update 0 of 30"
    assert first_label.endswith("with probability 0.25.") != label.endswith("with probability 0.25.")
    assert first_y == 0
    arms = ["without_entropy", "with_entropy"]
    assert browser.execute_script(SHOWN) == [[arm, "mean"] for arm in arms]
    browser.find_element(By.CSS_SELECTOR, ".slider input[value=seed]").click()
    assert browser.execute_script(SHOWN) == [[arm, "seed"] for arm in arms]


def test_the_maps_of_every_arm_can_be_chosen(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    open_page(browser, pages["many"])
    arms = [f"orthogonal_initialization_none_{i}" for i in range(8)]
    assert browser.execute_script(SHOWN) == [[arm, "mean"] for arm in arms[:2]]
    for arm in [arms[0], *arms[2:]]:
        browser.find_element(By.CSS_SELECTOR, f".slider input[value={arm}]").click()
    assert browser.execute_script(SHOWN) == [[arm, "mean"] for arm in arms[1:]]


@pytest.mark.parametrize("name", ["two", "many"])
def test_a_touch_shows_what_a_measure_means(browser: webdriver.Chrome, pages: dict[str, Path], name: str) -> None:
    open_page(browser, pages[name], "telephone")
    shown = "return [...document.querySelectorAll('[popover]')].filter(p => p.offsetParent).map(p => p.innerText)"
    term = browser.find_element(By.CSS_SELECTOR, "[popovertarget=measure-final_return]")
    assert shown_now(browser, shown) == []
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", term)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", term)
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind, points in (("touchStart", [point]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    (words,) = shown_now(browser, shown)
    assert words.startswith("final return: ")
    assert browser.execute_script(TOO_WIDE) == 0


def shown_now(browser: webdriver.Chrome, script: str) -> list[str]:
    # A popover is in the top layer and has no offsetParent: ask for its box.
    return list(browser.execute_script(script.replace("p.offsetParent", "p.getClientRects().length")))


@pytest.mark.parametrize("name", ["two", "many"])
def test_paper_shows_what_every_measure_means(
    browser: webdriver.Chrome, pages: dict[str, Path], name: str
) -> None:
    open_page(browser, pages[name])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    terms = "return [...document.querySelectorAll('.term')].map(t => t.getAttribute('popovertarget'))"
    printed = "return [...document.querySelectorAll('[popover]')].filter(p => p.offsetParent).map(p => p.id)"
    assert {*browser.execute_script(terms)} == {*browser.execute_script(printed)}
    assert browser.execute_script("return document.querySelector('.glossary h2').offsetHeight") > 0
    assert browser.execute_script("return document.querySelector('.slider input').offsetHeight") == 0
    paper = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # A4 between its margins
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
    assert browser.execute_script(CUT_OFF) == []
