"""How the page looks: both languages, small screens, paper, and for those who do not see it."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.experiments.browser import SIDESTEP, needs_browser
from tests.experiments.explain.page import DOCS, LANGUAGES, opened, press, said

AXE = (Path(__file__).resolve().parents[2] / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

pytestmark = [pytest.mark.slow, needs_browser]


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


def test_it_stands_where_it_stood_before_all_of_it_was_there(shown: Chrome) -> None:
    assert shown.execute_script(SIDESTEP) == 0


def test_moving_shifts_nothing_either(shown: Chrome) -> None:
    moves, changed = shown.execute_script("""
        const before = document.documentElement.scrollHeight, changed = [];
        let moves = 0;
        const look = (what) => {
          moves += 1;
          if (document.documentElement.scrollHeight !== before) changed.push(what);
        };
        for (const slider of document.querySelectorAll("input[type=range]"))
          for (const value of [slider.min, (Number(slider.min) + Number(slider.max)) / 2, slider.max]) {
            slider.value = value;
            for (const name of ["input", "change"]) slider.dispatchEvent(new Event(name, { bubbles: true }));
            look([slider.id, slider.value]);
          }
        for (const button of document.querySelectorAll("figure button, figure input[type=radio]")) {
          button.click();
          look([button.name, button.textContent]);
        }
        return [moves, changed];""")
    assert moves > 50
    assert changed == []


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
    page = opened(browser, DOCS / "explain.html", 794, f"?lang={language}")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        visible = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"
        assert page.execute_script(visible, "svg") == 18
        assert page.execute_script(visible, "button, nav") == 0
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.execute_script(wide) == 0
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
