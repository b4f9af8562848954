"""What a user sees: the links, opened in a real browser on the real TensorBoard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from experiments.tensorboard.links import deep_link, tab_link
from tests.experiments.browser import chromium, find, needs_browser, wait_to_see
from tests.experiments.log_folder import ARMS, MEASURES, write_log_folder
from tests.experiments.processes import wait_for
from tests.experiments.tensorboard_server import TensorBoardServer, tensorboard_server

pytestmark = [pytest.mark.slow, needs_browser]

SEEDS = 22  # more than 40 runs: from there on most tabs select none by themselves


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorBoardServer]:
    folder = tmp_path_factory.mktemp("tensorboard")
    write_log_folder(folder / "logs", SEEDS, steps=200)
    with tensorboard_server(folder / "logs", folder / "server.txt") as running:
        wait_for(lambda: len(running.get_json("data/plugin/scalars/tags")) == len(ARMS) * (SEEDS + 1))
        yield running


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path) as running:
        yield running


def test_deep_link_shows_the_charts_that_match(server: TensorBoardServer, browser: webdriver.Chrome) -> None:
    browser.get(deep_link(server.port, tags="^step/|^entropy/iqm"))
    names = "metrics-filtered-view tb-truncated-path"
    wait_to_see(
        ["entropy/iqm", "step/entropy_bits"],
        lambda: sorted(name.replace("\n", "") for name in find(browser, names, "innerText")),
    )
    wait_for(
        lambda: find(browser, "metrics-filtered-view tb-data-table-content-row", "tagName")
    )  # has read points


def test_deep_link_gives_each_arm_a_colour(server: TensorBoardServer, browser: webdriver.Chrome) -> None:
    browser.get(deep_link(server.port))
    names, swatches = "tb-data-table-content-cell.table-column-run", "runs-data-table .run-color-swatch"
    for selector in (names, swatches):
        wait_to_see(len(ARMS) * (SEEDS + 1) + 1, lambda each=selector: len(find(browser, each, "tagName")))
    runs = find(browser, names, "innerText")
    colours = dict(zip(runs, find(browser, swatches, "style.background"), strict=True))
    of_arm = {arm: {colour for run, colour in colours.items() if arm in run.split("/")} for arm in ARMS}
    assert all(len(of) == 1 for of in of_arm.values())
    assert of_arm["with_entropy"] != of_arm["without_entropy"]


def test_bands_of_both_arms_in_the_order_given(server: TensorBoardServer, browser: webdriver.Chrome) -> None:
    browser.get(tab_link("custom_scalars", server.port))
    cards = "tf-custom-scalar-margin-chart-card"
    wait_to_see(MEASURES, lambda: find(browser, cards, "title"))
    wait_to_see(
        ["3"] * len(MEASURES), lambda: find(browser, cards, "runs.length")
    )  # both aggregates, and the root


def test_hparams_show_a_row_an_arm(server: TensorBoardServer, browser: webdriver.Chrome) -> None:
    browser.get(tab_link("hparams", server.port))
    cells = "vaadin-grid-cell-content"  # an arm is the row's name and the hyperparameter
    wait_to_see([2, 2], lambda: [find(browser, cells, "innerText").count(arm) for arm in ARMS])
    for text in ("0.10000", "final entropy"):
        wait_to_see(True, lambda each=text: each in find(browser, cells, "innerText"))


def test_pictures_and_the_guide_are_seen_with_many_runs(
    server: TensorBoardServer, browser: webdriver.Chrome
) -> None:
    browser.get(tab_link("images", server.port))
    wait_for(lambda: find(browser, "img", "naturalWidth").count("40") == 2)  # the latest picture of each arm
    runs = [f"aggregate/{arm}" for arm in sorted(ARMS)]
    wait_to_see(runs, lambda: sorted(find(browser, "tf-image-loader", "run")))
    browser.get("about:blank")
    browser.get(tab_link("text", server.port))
    wait_for(lambda: "The question" in find(browser, "h1", "innerText"))
