"""What is done with the page of the text in a browser."""

import json
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

DOCS = Path(__file__).resolve().parents[3] / "docs"
WIDTHS = {"desktop": 1400, "telephone": 360}
LANGUAGES = ("en", "ko")


def opened(browser: Chrome, path: Path, width: int = 1400, query: str = "?lang=en") -> Chrome:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri() + query)
    return browser


def said(page: Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def press(page: Chrome, name: str, value: Any) -> None:
    for button in page.find_elements(By.NAME, name):
        if json.loads(str(button.get_attribute("value"))) == value:
            page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
            button.click()
            return
    raise AssertionError(f"no {name} with {value}")
