"""A browser, and the page of the text in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from experiments import explain
from experiments.session.console import Screen
from tests.experiments.browser import chromium
from tests.experiments.explain.page import DOCS, LANGUAGES, WIDTHS, opened


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of few runs, from the templates as they are."""
    path = tmp_path_factory.mktemp("page") / "explain.html"
    made = explain.made(Screen(), (0.0, 0.1, 0.5), ("training.seeds=4", "training.updates=20"))
    path.write_text(made, encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Chrome, small: Path) -> Chrome:
    """That page, in English."""
    return opened(browser, small)


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    return WIDTHS[request.param]


@pytest.fixture(params=LANGUAGES)
def shown(browser: Chrome, width: int, request: pytest.FixtureRequest) -> Chrome:
    """The page of docs/, in each language, at each width."""
    return opened(browser, DOCS / "explain.html", width, f"?lang={request.param}")
