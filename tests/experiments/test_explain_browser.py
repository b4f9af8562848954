"""docs/explain.html in a real browser: formulas, what moves, both languages, small screens, paper, accessibility.

Formulas and moves are tried on a page made from the templates as they are, its looks on the one in docs/.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from agents.information import (
    cross_entropy,
    effective_actions,
    entropy,
    entropy_from_log,
    information,
    kl_divergence,
)
from experiments import explain
from experiments.analysis.text_numbers import CONFIDENT, UNDECIDED
from tests.experiments.browser import chromium, needs_browser

pytestmark = [pytest.mark.slow, needs_browser]

ROOT = Path(__file__).resolve().parents[2]
AXE = (ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = {"desktop": 1400, "telephone": 360}
LANGUAGES = ("en", "ko")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of few runs, from the templates as they are."""
    path = tmp_path_factory.mktemp("page") / "explain.html"
    page = explain.made((0.0, 0.1, 0.5), ("training.seeds=4", "training.updates=20"))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Chrome, small: Path) -> Chrome:
    return opened(browser, small)


def opened(browser: Chrome, path: Path, width: int = 1400, query: str = "?lang=en") -> Chrome:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri() + query)
    return browser


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    return WIDTHS[request.param]


@pytest.fixture(params=LANGUAGES)
def shown(browser: Chrome, width: int, request: pytest.FixtureRequest) -> Chrome:
    """The page of docs/, in each language, at each width."""
    return opened(browser, ROOT / "docs" / "explain.html", width, f"?lang={request.param}")


def said(page: Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def press(page: Chrome, name: str, value: Any) -> None:
    for button in page.find_elements(By.NAME, name):
        if json.loads(str(button.get_attribute("value"))) == value:
            page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
            button.click()
            return
    raise AssertionError(f"no {name} with {value}")


def policies(pairs: int, seed: int) -> list[tuple[list[float], list[float]]]:
    """Random pairs of distributions over two to ten actions; every third p has a zero, some are nearly sure."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(pairs):
        actions = 2 + k % 9
        p, q = rng.dirichlet(np.full(actions, (1.0, 0.05, 5.0)[k % 3])), rng.dirichlet(np.ones(actions))
        if k % 3 == 0:
            p[0] = 0.0
        p, q = p / p.sum(), (q + 1e-6) / (q + 1e-6).sum()
        found.append((p.tolist(), q.tolist()))
    return found


def test_formulas_are_those_of_the_library(page: Chrome) -> None:
    pairs = policies(300, seed=17)
    script = """return arguments[0].map(([p, q]) => [
        formulas.entropy(p), formulas.crossEntropy(p, q), formulas.klDivergence(p, q),
        formulas.effectiveActions(p), formulas.bits(formulas.entropy(p)), formulas.lossTerm(p, 0.3),
        formulas.information(q[0]),
        formulas.klTerms(p, q).reduce((a, b) => a + b), ...formulas.likelihoodRatios(p, q)])"""
    for (p, q), found in zip(pairs, page.execute_script(script, pairs), strict=True):
        kl = kl_divergence(p, q)
        by_library = [
            entropy(p), cross_entropy(p, q), kl, effective_actions(p),
            entropy(p, "bits"), -0.3 * entropy(p), information(q[0]), kl, *(np.array(p) / np.array(q)),
        ]  # fmt: skip
        assert found == pytest.approx(by_library, abs=1e-9, rel=1e-9)


def test_at_the_borders_formulas_keep_their_conventions(page: Chrome) -> None:
    """0 log 0 = 0; KL is infinite where q = 0 < p; the pull is zero in a corner and at the uniform policy."""
    corner, uniform = [1, 0, 0, 0], [0.25] * 4
    assert page.execute_script("return formulas.entropy(arguments[0])", corner) == 0
    assert page.execute_script(
        "return formulas.klDivergence(arguments[0], arguments[1]) === Infinity", uniform, corner
    )
    assert page.execute_script("return formulas.klDivergence(arguments[0], arguments[0])", uniform) == 0
    for policy in (corner, uniform):
        pull = page.execute_script("return formulas.entropyGradient(arguments[0])", policy)
        assert pull == pytest.approx([0.0] * 4, abs=1e-15)


def test_the_pull_on_the_logits_is_the_gradient_of_the_entropy(page: Chrome) -> None:
    for p, _ in policies(60, seed=18):
        if min(p) == 0:
            continue
        logits = torch.tensor(p, dtype=torch.float64).log().requires_grad_()
        entropy_from_log(torch.log_softmax(logits, -1)).backward()
        assert logits.grad is not None
        pull = page.execute_script("return formulas.entropyGradient(arguments[0])", p)
        assert pull == pytest.approx(logits.grad.tolist(), abs=1e-9)


def test_the_classifier_follows_the_gradient_of_the_mean_cross_entropy(page: Chrome) -> None:
    classes = page.execute_script("return page.classes")
    points, targets = (torch.tensor(classes[key], dtype=torch.float64) for key in ("points", "targets"))
    weights = torch.tensor(np.random.default_rng(3).normal(size=(3, 3))).requires_grad_()
    loss = cross_entropy(targets, torch.softmax(points @ weights.T, -1)).mean()
    loss.backward()
    assert weights.grad is not None
    found = page.execute_script(
        "return formulas.classifierGradient(arguments[0], page.classes.points, page.classes.targets)",
        weights.tolist(),
    )
    assert np.array(found) == pytest.approx(weights.grad.numpy(), abs=1e-9)
    assert classes["entropy"] == pytest.approx(entropy(targets).mean().item(), abs=1e-9)


def test_a_moved_probability_leaves_a_distribution_whose_others_keep_their_proportions(page: Chrome) -> None:
    moved = "return formulas.withProbability(arguments[0], arguments[1], arguments[2])"
    for p, _ in policies(60, seed=19):
        found = np.array(page.execute_script(moved, p, 1, 0.37))
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert found[1] == 0.37
        others = np.arange(len(p)) != 1
        assert found[others] * (1 - p[1]) == pytest.approx(0.63 * np.array(p)[others], abs=1e-9)
    assert page.execute_script(moved, [1, 0, 0, 0], 0, 0.7) == pytest.approx([0.7, 0.1, 0.1, 0.1])


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


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [("?lang=ko", "en", "ko"), ("?lang=en", "ko", "en"), ("", "ko-KR", "ko"), ("", "de", "en")],
)
def test_the_language_is_the_one_asked_for_else_the_browsers(
    browser: Chrome, small: Path, query: str, accepted: str, language: str
) -> None:
    agent = browser.execute_script("return navigator.userAgent")
    override = {"userAgent": agent, "acceptLanguage": accepted}
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", override)
    try:
        page = opened(browser, small, query=query)
        assert page.execute_script("return document.documentElement.lang") == language
        korean = "엔트로피" in page.find_element(By.TAG_NAME, "main").text
        assert korean == (language == "ko")
        press(page, "language", "en" if language == "ko" else "ko")
        assert ("엔트로피" in page.find_element(By.TAG_NAME, "main").text) != korean
        assert ("비트" in said(page, "entropy-out")) != korean
    finally:
        browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {**override, "acceptLanguage": "en"})


def test_both_languages_say_the_same_numbers_sentence_by_sentence(page: Chrome) -> None:
    """Each English element is followed by its Korean one, with the same tag, the same numbers and links."""
    pairs = page.execute_script("""
        const origin = ({ dataset }) => dataset.line ?? dataset.stored ?? dataset.setting;
        const facts = (e) => [e.tagName, [...e.querySelectorAll("data")].map(origin).sort(),
          [...e.querySelectorAll("a")].map((a) => a.getAttribute("href"))];
        return [...document.querySelectorAll("body [lang=en]:not(button)")].map((e) => {
          const next = e.nextElementSibling;
          return [facts(e), next?.lang === "ko" ? facts(next) : null, e.textContent, next?.textContent];
        });""")
    assert len(pairs) > 100
    for english, korean, words, translated in pairs:
        assert english == korean, words
        assert not any("가" <= letter <= "힣" for letter in words), words
        if len(words) > 25 and "KL(" not in words:
            assert any("가" <= letter <= "힣" for letter in translated), words
    lone = page.execute_script("""return [...document.querySelectorAll("body [lang=ko]:not(button)")].filter(
        (e) => e.previousElementSibling?.lang !== "en").length""")
    assert lone == 0


def test_nothing_overlaps_or_is_cut_off(shown: Chrome) -> None:
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert shown.execute_script(wide) == 0
    faults = shown.execute_script("""
        const faults = [];
        for (const svg of document.querySelectorAll("svg")) {
          const frame = svg.getBoundingClientRect();
          const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
          boxes.forEach(([words, a], i) => {
            const across = Math.max(frame.left - a.left, a.right - frame.right);
            if (Math.max(across, frame.top - a.top, a.bottom - frame.bottom) > 3)
              faults.push([svg.id, "outside", words]);
            for (const [others, b] of boxes.slice(i + 1)) {
              const [across, down] = [Math.min(a.right, b.right) - Math.max(a.left, b.left),
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
              if (across > 1 && down > 3) faults.push([svg.id, words, others]);
            }
          });
        }
        return faults;""")
    assert faults == []


def test_every_figure_is_drawn_and_said_in_words(shown: Chrome) -> None:
    figures = shown.execute_script("""return [...document.querySelectorAll("svg")].map(
        (svg) => [svg.id, svg.childElementCount, svg.getAttribute("aria-label") ?? ""])""")
    assert len(figures) == 18
    for name, parts, words in figures:
        assert parts > 2, name
        assert len(words) > 8, name


def test_an_automatic_check_of_accessibility_finds_nothing(shown: Chrome) -> None:
    shown.execute_script(AXE)
    found = shown.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > 20
    faults = [(v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]]
    assert faults == []


def test_nothing_shifts_and_no_script_fails(shown: Chrome) -> None:
    shown.get_log("browser")
    shown.refresh()
    shift = shown.execute_async_script("""
        const done = arguments[0];
        let total = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => { total += entry.value; }))
          .observe({ type: "layout-shift", buffered: true });
        requestAnimationFrame(() => setTimeout(() => done(total), 300));""")
    assert shift == 0
    assert shown.get_log("browser") == []


def test_moving_shifts_nothing_either(shown: Chrome) -> None:
    height = "return document.documentElement.scrollHeight"
    before = shown.execute_script(height)
    for slider in shown.find_elements(By.CSS_SELECTOR, "input[type=range]"):
        for key in (Keys.HOME, Keys.ARROW_UP * 3, Keys.END):
            slider.send_keys(key)
            assert shown.execute_script(height) == before, slider.get_attribute("id")
    for button in shown.find_elements(By.CSS_SELECTOR, "figure button"):
        shown.execute_script("arguments[0].click()", button)
        assert shown.execute_script(height) == before, (button.get_attribute("name"), button.text)


def test_it_does_not_move_by_itself_for_whoever_wants_less_motion(shown: Chrome) -> None:
    feature = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        smooth = "return getComputedStyle(document.documentElement).scrollBehavior"
        assert shown.execute_script(smooth) == "auto"
        assert shown.execute_script("return document.getAnimations().length") == 0
    finally:
        shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_paper_figures_are_there_and_buttons_are_not(browser: Chrome, language: str) -> None:
    page = opened(browser, ROOT / "docs" / "explain.html", 794, f"?lang={language}")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        visible = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"
        assert page.execute_script(visible, "svg") == 18
        assert page.execute_script(visible, "button, nav") == 0
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.execute_script(wide) == 0
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
