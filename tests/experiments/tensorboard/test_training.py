"""A real training in the real TensorBoard: asked over HTTP, and looked at in a real browser."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from selenium import webdriver

from experiments.session import run as session
from experiments.tensorboard.aggregates import grid
from experiments.tensorboard.images_tab import moments
from experiments.tensorboard.links import FEATURED_TAG, FEATURED_TAGS, deep_link, tab_link
from experiments.training.records import Records
from tests.experiments.browser import chromium, find, needs_browser, wait_to_see
from tests.experiments.comparisons import BOTH_ARMS, TWO_ROOMS, comparison
from tests.experiments.processes import wait_for
from tests.experiments.tensorboard_server import TensorBoardServer, tensorboard_server

pytestmark = pytest.mark.slow

SEEDS, UPDATES = 3, 40
CONFIG = comparison(TWO_ROOMS, seeds=SEEDS, updates=UPDATES)
RUNS = [f"{arm}/seed_{seed}" for arm in BOTH_ARMS for seed in range(SEEDS)]
AGGREGATES = [f"aggregate/{arm}" for arm in BOTH_ARMS]
TITLES = ["entropy along the path, bits", "fraction of runs solved", "return", "state coverage"]


class Shown(NamedTuple):
    server: TensorBoardServer
    folder: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("training")
    session.run(CONFIG, session.Options(folder), lambda record: None, lambda line: None)
    with tensorboard_server(folder / "tensorboard", folder / "server.txt") as server:
        wait_for(lambda: "final/return" in server.get_json("data/plugin/scalars/tags").get(RUNS[-1], {}))
        wait_for(lambda: set(server.get_json("data/plugin/images/tags")) >= set(AGGREGATES))
        yield Shown(server, folder)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path) as running:
        yield running


def test_runs(shown: Shown) -> None:
    assert sorted(shown.server.get_json("data/runs")) == sorted([".", *AGGREGATES, *RUNS])


def test_a_point_a_lock_step_and_an_update(shown: Shown) -> None:
    steps, updates = (pq.read_table(shown.folder / f"{name}.parquet") for name in ("steps", "updates"))
    for run in RUNS:
        arm, seed = run.split("/seed_")
        of_run = (pc.field("arm").cast("string") == arm) & (pc.field("seed") == int(seed))
        rows = steps.filter(of_run)
        points = shown.server.scalars(run, "step/entropy_bits")
        assert len(points) == rows.num_rows > 1000  # more than TensorBoard shows by itself
        for place in (0, -1):
            bits = rows["entropy_nats"][place].as_py() / math.log(2)
            assert points[place] == (rows["env_step"][place].as_py(), float(np.float32(bits)))
        losses = updates.filter(of_run)["loss"].to_numpy().astype(np.float32).tolist()
        assert shown.server.scalars(run, "loss/total") == list(enumerate(losses))


def test_tags(shown: Shown) -> None:
    tags = shown.server.get_json("data/plugin/scalars/tags")
    assert set(tags) == {*RUNS, *AGGREGATES}
    featured = {run for run in RUNS if "featured/entropy_bits" in tags[run]}
    assert featured == {f"{arm}/seed_{seed}" for arm in BOTH_ARMS for seed in (0, 1)}
    assert len({frozenset(tags[run]) - {FEATURED_TAG, *FEATURED_TAGS} for run in RUNS}) == 1
    asked = ["step/entropy_bits", "policy/entropy_bits", "policy/start_probability_3", "loss/negative_entropy"]
    assert set(asked) <= set(tags[RUNS[0]])


def test_layout_names_tags_that_the_arms_have(shown: Shown) -> None:
    bands, losses = shown.server.get_json("data/plugin/custom_scalars/layout")["category"]
    assert [chart["title"] for chart in bands["chart"]] == TITLES[::-1]  # the page turns them around
    for chart in bands["chart"]:
        for tag in chart["margin"]["series"][0].values():
            for run in AGGREGATES:
                assert [step for step, _ in shown.server.scalars(run, tag)] == sorted(grid(UPDATES))
    for chart in losses["chart"]:
        asked = "|".join(chart["multiline"]["tag"])
        answer = shown.server.get_json("data/plugin/custom_scalars/scalars", run=AGGREGATES[0], tag=asked)
        assert len(answer["tag_to_events"]) == len(chart["multiline"]["tag"])


def test_hparams_have_a_row_an_arm(shown: Shown) -> None:
    runs, groups = pq.read_table(shown.folder / "runs.parquet"), shown.server.session_groups()
    assert [group["name"] for group in groups] == sorted(BOTH_ARMS)
    for group in groups:
        arm = group["name"]
        assert group["hparams"] == BOTH_ARMS[arm]
        assert [one["name"] for one in group["sessions"]] == [f"{arm}/seed_{seed}" for seed in range(SEEDS)]
        assert {one["status"] for one in group["sessions"]} == {"STATUS_SUCCESS"}
        found = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
        rows = runs.filter(pc.field("arm").cast("string") == arm)
        columns = {"final/return": "final_return", "final/succeeds": "succeeds", "final/solved": "solved"}
        for tag, column in columns.items():
            assert found[tag] == pytest.approx(np.mean(rows[column].to_pylist()), rel=1e-6)
        assert len(found) == 6


def test_images_at_every_moment(shown: Shown) -> None:
    tags = shown.server.get_json("data/plugin/images/tags")
    for run in AGGREGATES:
        assert set(tags[run]) == {f"{kind}_map/{of}" for kind in ("policy", "visit") for of in ("mean", "seed_0")}
        samples = shown.server.get_json("data/plugin/images/images", run=run, tag="policy_map/mean", sample="0")
        assert [sample["step"] for sample in samples] == sorted(moments(UPDATES))


def test_the_guide(shown: Shown) -> None:
    (verdict,) = shown.server.get_json("data/plugin/text/text", run=".", tag="guide/2_verdict")
    assert "<td>final return</td>" in verdict["text"]


@needs_browser
def test_pages_in_a_browser(shown: Shown, browser: webdriver.Chrome) -> None:
    browser.get(deep_link(shown.server.port))
    shown_tags = sorted([FEATURED_TAG, *FEATURED_TAGS])
    names = "metrics-filtered-view tb-truncated-path"
    wait_to_see(shown_tags, lambda: sorted(name.replace("\n", "") for name in find(browser, names, "innerText")))
    rows = "metrics-filtered-view tb-data-table-content-row"  # every curve has points
    wait_for(lambda: len(find(browser, rows, "tagName")) == 2 * 2 * len(shown_tags))

    browser.get("about:blank")
    browser.get(tab_link("custom_scalars", shown.server.port))
    bands, lines = "tf-custom-scalar-margin-chart-card", "tf-custom-scalar-multi-line-chart-card"
    wait_to_see(TITLES, lambda: find(browser, bands, "title"))
    wait_for(lambda: len(find(browser, lines, "title")) == 5)

    browser.get("about:blank")
    browser.get(tab_link("hparams", shown.server.port))
    cells = "vaadin-grid-cell-content"
    wait_to_see([1, 1], lambda: [find(browser, cells, "innerText").count(arm) for arm in BOTH_ARMS])
    wait_for(lambda: "0.10000" in find(browser, cells, "innerText"))

    browser.get("about:blank")
    browser.get(tab_link("images", shown.server.port))
    wait_for(lambda: len(find(browser, "img", "naturalWidth")) == 8)
    wait_to_see(sorted(AGGREGATES), lambda: sorted(set(find(browser, "tf-image-loader", "run"))))
    wait_for(lambda: "0" not in find(browser, "img", "naturalWidth"))  # every one has been read


def test_curves_move_while_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "experiments.session.workers.BLOCK_SECONDS", 0.0
    )  # a block is an update, and each is flushed
    late, seen = UPDATES // 2, {}

    def length(run: str, tag: str) -> int:
        known = tag in server.get_json("data/plugin/scalars/tags").get(run, {})
        return len(server.scalars(run, tag)) if known else 0

    def look(records: Records) -> None:
        if records.first in (late, UPDATES - 1):
            least = records.first - 1  # the update before is on disk
            wait_for(lambda: length(RUNS[0], "loss/total") >= least)
            wait_for(lambda: length(AGGREGATES[0], "band/entropy_bits/iqm") >= least)
            seen[records.first] = length(RUNS[0], "loss/total")

    with tensorboard_server(tmp_path / "run" / "tensorboard", tmp_path / "server.txt") as server:
        session.run(CONFIG, session.Options(tmp_path / "run", flush_seconds=0.0), look, lambda line: None)
        wait_for(lambda: length(RUNS[0], "loss/total") == UPDATES)
    assert late - 1 <= seen[late] <= late < UPDATES - 2 <= seen[UPDATES - 1] < UPDATES
