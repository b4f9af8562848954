"""A real browser without a screen, and a look into pages that hide their parts in shadow roots."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.experiments.processes import wait_for

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromedriver"
)

_FIND = """
function find(root, selector, found) {
  for (const element of root.querySelectorAll('*')) {
    if (element.matches(selector)) found.push(element);
    if (element.shadowRoot) find(element.shadowRoot, selector, found);
  }
  return found;
}
const [selector, attribute] = arguments;
return find(document, selector, []).map(element => attribute.split('.').reduce((o, key) => o[key], element));
"""


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for option in ["headless=new", "no-sandbox", "disable-gpu", "no-first-run", "window-size=1500,1200"]:
        options.add_argument(f"--{option}")
    for option in ["disable-background-networking", "disable-component-update", "disable-sync"]:
        options.add_argument(f"--{option}")
    options.add_argument(f"--user-data-dir={profile}")
    browser = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield browser
    finally:
        browser.quit()


# How far a page moves sideways when it is so short that it needs no scroll bar, as before all of it is loaded.
SIDESTEP = """
const { body } = document, before = body.getBoundingClientRect().left;
body.style.cssText = 'height: 50px; overflow: hidden';
const after = body.getBoundingClientRect().left;
body.style.cssText = '';
return after - before;
"""


def find(browser: webdriver.Chrome, selector: str, attribute: str) -> list[str]:
    """An attribute (say `title` or `style.color`) of every element of the page that matches, in order."""
    return [str(value) for value in browser.execute_script(_FIND, selector, attribute)]


def wait_to_see(expected: object, look: Callable[[], object]) -> None:
    """Wait until a look at the page gives what is expected: the parts of a page do not all come at once."""
    with suppress(TimeoutError):
        wait_for(lambda: look() == expected)
    if (seen := look()) != expected:
        raise AssertionError(f"the page shows {seen!r}, and not {expected!r}")
