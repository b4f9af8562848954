"""What can be moved on the page, by keyboard and mouse, and what it says then."""

import math
import re

import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from agents.information import kl_divergence
from experiments.analysis.text_numbers import CONFIDENT, UNDECIDED
from experiments.pages.explain_data import family_dots
from tests.experiments.browser import needs_browser
from tests.experiments.explain.page import DOCS, opened, press, said

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_one_click_leads_from_the_first_screen_of_the_readme_to_a_slider(browser: Chrome, readme: str) -> None:
    """Nothing is scrolled: the slider is in the window, and moves what the figure says."""
    first_screen = "".join((DOCS.parent / readme).read_text(encoding="utf-8").splitlines()[:16])
    (query,) = re.findall(r"\]\(docs/explain\.html([^)]*)\)", first_screen)
    page = opened(browser, DOCS / "explain.html", query=query)
    slider = page.find_element(By.CSS_SELECTOR, "input[type=range]")
    assert page.execute_script("return arguments[0].getBoundingClientRect().bottom <= innerHeight", slider)
    before = said(page, "information-out")
    slider.send_keys(Keys.ARROW_LEFT)
    assert said(page, "information-out") != before
    assert page.execute_script("return scrollY") == 0


def test_each_maze_is_a_dot_in_the_row_of_its_family(page: Chrome) -> None:
    draw = """
        page.family = {row: 2, dots: arguments[0]};
        drawWorlds();
        return [...document.querySelectorAll('#worlds-plot circle.world')].map((dot) =>
          [Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy')), dot.getAttribute('class')]);
    """
    dots = page.execute_script(draw, list(family_dots([0.5, -1, 0, 0.5, 1, 0.5])))
    across = [x for x, _, _ in dots]
    assert across == sorted(across)
    assert len(set(across)) == 4
    assert len({(x, y) for x, y, _ in dots}) == 6  # equal ones lie above each other
    assert [kind for _, _, kind in dots] == ["world without", "world neither", *["world with"] * 4]
    between = [y for x, y, _ in dots if across.count(x) == 1]
    assert max(between) - min(between) < 1e-6  # in one row


def test_bars_move_by_keyboard_and_move_everywhere(page: Chrome) -> None:
    first = page.find_element(By.CSS_SELECTOR, "#entropy-bars input")
    before = said(page, "entropy-out")
    assert before.startswith("H = 0.619 bits = 0.4291 nats; as uncertain as 1.54")
    first.send_keys(Keys.ARROW_DOWN * 20)
    assert float(str(first.get_attribute("value"))) == pytest.approx(0.8)
    assert said(page, "entropy-out") != before
    others = [0.9, 0.05, 0.025, 0.025]
    expected = [0.8, *(0.2 * p / 0.1 for p in others[1:])]
    for name in ("entropy-bars", "loss-bars", "ratio-bars"):
        found = page.execute_script("return state.policy")
        assert found == pytest.approx(expected)
        level = page.execute_script(
            f"return document.querySelector('#{name} input').style.getPropertyValue('--level')"
        )
        assert float(level) == pytest.approx(0.8)
    press(page, "policy", list(UNDECIDED))
    assert said(page, "entropy-out").startswith("H = 1.985 bits")
    assert "KL(p‖q) = 0.0000 nats" in said(page, "ratio-out")
    press(page, "policy", [1, 0, 0, 0])
    assert "+0.000, +0.000, +0.000, +0.000" in said(page, "loss-out")


def test_bars_can_be_dragged(page: Chrome) -> None:
    bar = page.find_element(By.CSS_SELECTOR, "#belief-bars input")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", bar)
    box = page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", bar)
    x = box["x"] + box["width"] / 2
    for kind, share in (("mousePressed", 0.5), ("mouseMoved", 0.7), ("mouseMoved", 0.9), ("mouseReleased", 0.9)):
        y = box["y"] + box["height"] * (1 - share)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        page.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    assert page.execute_script("return state.belief[0]") == pytest.approx(0.9, abs=0.03)


def test_sliders_and_buttons_give_the_numbers_of_the_text(page: Chrome) -> None:
    assert said(page, "information-out") == "p = 0.990: 0.0145 bits = 0.0101 nats"
    press(page, "p", 0.01)
    assert said(page, "information-out").startswith("p = 0.010: 6.6439 bits")
    press(page, "coin", 0.5)
    assert "1.000 bits" in said(page, "coin-out")
    assert "loss 0.2877 nats = 0.415 bits" in said(page, "digit-out")
    page.find_element(By.ID, "right").send_keys(Keys.END)
    assert "loss 0.0000 nats" in said(page, "digit-out")
    press(page, "belief", list(CONFIDENT))
    assert "KL(p‖q) = 0.0000 nats; cross entropy = 0.4291 nats" in said(page, "stack-out")


def test_the_mean_log_ratio_goes_to_the_divergence_in_both_directions(page: Chrome) -> None:
    press(page, "draw", 0)
    assert said(page, "sample-out").startswith("No samples")
    for _ in range(10):
        press(page, "draw", 1000)
    for direction, (p, q) in enumerate([(CONFIDENT, UNDECIDED), (UNDECIDED, CONFIDENT)]):
        press(page, "direction", direction)
        words = said(page, "sample-out")
        assert words.startswith("10000 samples")
        product = re.search(
            r"Product of all ratios: ([\d.]+) \S 10\^(\d+); sum of their logs: ([\d.]+) nats", words
        )
        assert product  # it is far beyond the largest double
        mantissa, power, total = map(float, product.groups())
        assert math.log(mantissa) + power * math.log(10) == pytest.approx(total, abs=0.002)
        mean = float(words.split("mean: ")[1].split(" nats")[0])
        logs = np.log(p) - np.log(q)
        spread = math.sqrt(np.average((logs - kl_divergence(p, q)) ** 2, weights=p) / 10_000)
        assert abs(mean - kl_divergence(p, q)) < 3.29 * spread  # 99.9 %


def test_the_classifier_learns_until_the_entropy_is_left(page: Chrome) -> None:
    press(page, "train", 200)
    course = np.array(page.execute_script("return state.course"))
    left = course - page.execute_script("return page.classes.entropy")
    assert len(course) == 201
    assert (np.diff(course) < 0).all()
    assert 0 < left[-1] < left[0] / 50


def test_the_argument_can_be_moved_in_coefficient_time_and_run(page: Chrome) -> None:
    assert "coefficient 0.1:" in said(page, "dose-out")
    page.find_element(By.ID, "bandit-dose").send_keys(Keys.END)
    assert "coefficient 0.5:" in said(page, "dose-out")
    page.find_element(By.ID, "bandit-moment").send_keys(Keys.HOME)
    assert said(page, "moment-value") == "update 0 of 20"
    words = str(page.find_element(By.ID, "policy-plot").get_attribute("aria-label"))
    assert words.count("0.90, 0.05, 0.02, 0.02") == 2  # every run starts with the text's policy; a byte a number
    page.find_element(By.ID, "bandit-run").send_keys(Keys.END)
    assert said(page, "run-value") == "3003"
    page.find_element(By.ID, "room-moment").send_keys(Keys.HOME)
    assert said(page, "room-value") == "update 0 of 20"
    room = page.find_element(By.ID, "room-without").get_attribute("aria-label")
    assert room == "Policy without the term: mean entropy over the cells 2.00 bits"
