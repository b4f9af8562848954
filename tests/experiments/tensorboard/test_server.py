"""The real TensorBoard, through its HTTP interface, on a folder written by this project's own functions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.tensorboard.event_file import EventFile
from experiments.tensorboard.scalar_blocks import scalar_block
from tests.experiments.log_folder import ARMS, LOSSES, MEASURES, UPDATES, entropy_bits, picture, write_log_folder
from tests.experiments.processes import wait_for
from tests.experiments.tensorboard_server import TensorBoardServer, tensorboard_server

pytestmark = pytest.mark.slow

SEEDS, STEPS = 3, 2500  # more than the 1000 points a curve that TensorBoard keeps by default
RUNS = [f"{arm}/seed_{k}" for arm in ARMS for k in range(SEEDS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorBoardServer]:
    folder = tmp_path_factory.mktemp("tensorboard")
    write_log_folder(folder / "logs", SEEDS, STEPS)
    with tensorboard_server(folder / "logs", folder / "server.txt") as running:
        wait_for(lambda: len(running.get_json("data/runs")) == len(RUNS) + 3)
        wait_for(lambda: len(running.get_json("data/plugin/scalars/tags")) == len(RUNS) + 2)
        yield running


def test_runs_are_the_seeds_the_aggregates_and_the_root(server: TensorBoardServer) -> None:
    expected = [".", *(f"aggregate/{arm}" for arm in ARMS), *RUNS]
    assert sorted(server.get_json("data/runs")) == sorted(expected)


def test_tags(server: TensorBoardServer) -> None:
    tags = server.get_json("data/plugin/scalars/tags")
    for run in RUNS:
        assert set(tags[run]) == {"step/entropy_bits", "policy/entropy_bits", *LOSSES}
    for arm in ARMS:
        assert set(tags[f"aggregate/{arm}"]) == {f"{m}/{b}" for m in MEASURES for b in ("iqm", "low", "high")}


def test_every_point_of_every_run(server: TensorBoardServer) -> None:
    for arm in ARMS:
        for seed in range(SEEDS):
            points = server.scalars(f"{arm}/seed_{seed}", "step/entropy_bits")
            assert points == list(enumerate(entropy_bits(arm, seed, STEPS).tolist(), start=1))


def test_layout(server: TensorBoardServer) -> None:
    both, loss = server.get_json("data/plugin/custom_scalars/layout")["category"]
    assert [chart["title"] for chart in both["chart"]] == MEASURES[::-1]  # the page turns them around
    assert both["chart"][-1]["margin"]["series"] == [
        {"value": "entropy/iqm", "lower": "entropy/low", "upper": "entropy/high"}
    ]
    assert [chart["title"] for chart in loss["chart"]] == ["terms"]


def test_layout_lines_are_only_the_tags_meant(server: TensorBoardServer) -> None:
    _, loss = server.get_json("data/plugin/custom_scalars/layout")["category"]
    asked = "|".join(loss["chart"][0]["multiline"]["tag"])  # as the page asks
    answer = server.get_json("data/plugin/custom_scalars/scalars", run=RUNS[0], tag=asked)
    assert answer["regex_valid"]
    assert set(answer["tag_to_events"]) == {"loss/policy", "loss/total"}  # not loss/total_before
    assert len(answer["tag_to_events"]["loss/total"]) == UPDATES


def test_hparams_have_a_row_an_arm_with_all_its_seeds(server: TensorBoardServer) -> None:
    groups = server.session_groups()
    assert [group["name"] for group in groups] == sorted(ARMS)
    for group in groups:
        arm = group["name"]
        assert group["hparams"] == {"arm": arm, "entropy_coef": ARMS[arm]}
        assert [s["name"] for s in group["sessions"]] == [f"{arm}/seed_{k}" for k in range(SEEDS)]
        assert {s["status"] for s in group["sessions"]} == {"STATUS_SUCCESS"}
        (metric,) = group["metricValues"]
        finals = [entropy_bits(arm, k, STEPS)[-1] for k in range(SEEDS)]
        assert metric["name"]["tag"] == "policy/entropy_bits"
        assert metric["value"] == pytest.approx(np.mean(finals), rel=1e-6)


def test_images_arrive_as_they_were_drawn(server: TensorBoardServer) -> None:
    run = "aggregate/with_entropy"
    assert server.get_json("data/plugin/images/tags")[run]["policy/mean"]["samples"] == 1
    samples = server.get_json("data/plugin/images/images", run=run, tag="policy/mean", sample="0")
    assert [sample["step"] for sample in samples] == [1, 10, 30]
    for sample in samples:
        key = sample["query"].removeprefix("blob_key=")
        assert server.get("data/plugin/images/individualImage", blob_key=key) == picture(sample["step"])


def test_text_is_rendered(server: TensorBoardServer) -> None:
    assert server.get_json("data/plugin/text/tags") == {".": ["guide"]}
    (page,) = server.get_json("data/plugin/text/text", run=".", tag="guide")
    assert page["text"].startswith("<h1>The question</h1>")


def test_histogram_bins_are_those_of_probabilities(server: TensorBoardServer) -> None:
    histograms = server.get_json(
        "data/plugin/histograms/histograms", run="aggregate/with_entropy", tag="policy/probabilities"
    )
    assert [step for _, step, _ in histograms] == [1, 10, 30]
    bins = np.array(histograms[0][2])
    assert (bins[0, 0], bins[-1, 1], bins[:, 2].sum()) == (0.0, 1.0, 4)


def test_a_curve_moves_while_training_runs_and_a_torn_record_is_only_late(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "logs" / "arm" / "seed_0")
    file.write(scalar_block("x", [1, 2], [1.0, 2.0], 1.7e9))
    file.flush()
    rest = scalar_block("x", [3, 4], [3.0, 4.0], 1.7e9)
    with tensorboard_server(tmp_path / "logs", tmp_path / "server.txt") as server:
        wait_for(lambda: server.get_json("data/plugin/scalars/tags"))
        assert server.scalars("arm/seed_0", "x") == [(1, 1.0), (2, 2.0)]
        file.write(rest[:70])  # one record and a part of the next
        file.flush()
        wait_for(lambda: len(server.scalars("arm/seed_0", "x")) == 3)
        file.write(rest[70:])
        file.flush()
        wait_for(lambda: len(server.scalars("arm/seed_0", "x")) == 4)


def test_a_hundred_runs_of_ten_thousand_steps(tmp_path: Path) -> None:
    steps, values = np.arange(1, 10_001), np.random.default_rng(0).random((100, 10_000), np.float32)
    for k, curve in enumerate(values):
        file = EventFile(tmp_path / "logs" / "arm" / f"seed_{k}")
        file.write(scalar_block("step/entropy_bits", steps, curve, 1.7e9))
        file.flush()
    with tensorboard_server(tmp_path / "logs", tmp_path / "server.txt") as server:
        wait_for(lambda: len(server.get_json("data/plugin/scalars/tags")) == 100)
        runs = {f"arm/seed_{k}": list(zip(steps.tolist(), values[k].tolist(), strict=True)) for k in (0, 42, 99)}
        wait_for(lambda: all(server.scalars(run, "step/entropy_bits") == points for run, points in runs.items()))
    said = (tmp_path / "server.txt").read_text().lower()
    assert not [word for word in ("error", "warn", "corrupt", "out of order") if word in said]
