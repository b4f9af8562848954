"""What TensorBoard shows beside scalars: its own reader finds it as written."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2, summary_v2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util.tensor_util import make_ndarray

from experiments.tensorboard.event_file import record
from experiments.tensorboard.events import (
    Hyperparameter,
    MarginChart,
    MultilineChart,
    experiment_record,
    histogram_record,
    image_record,
    layout_record,
    session_end_record,
    session_start_record,
    text_record,
)


def of_summary(summary: Summary, step: int, wall_time: float) -> bytes:
    return record(Event(wall_time=wall_time, step=step, summary=summary).SerializeToString())


def read_back(block: bytes, tmp_path: Path) -> tuple[Event, Summary.Value]:
    """The one event of a block and its value, as TensorBoard's reader sees them."""
    (tmp_path / "events.tfevents").write_bytes(block)
    (event,) = EventFileLoader(str(tmp_path / "events.tfevents")).Load()
    return event, event.summary.value[0]


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG")
    return file.getvalue()


def test_text_is_what_tensorboards_own_summary_makes() -> None:
    words = "# How to read it"
    assert text_record("guide", 3, words, 5.0) == of_summary(text_pb("guide", words), 3, 5.0)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("P", 3), ("RGBA", 4)])
def test_images_carry_their_size(mode: str, channels: int, tmp_path: Path) -> None:
    picture = png(5, 3, mode)
    block = image_record("policy", 7, picture, 5.0)
    plain = Summary.Image(height=3, width=5, colorspace=channels, encoded_image_string=picture)
    assert block == of_summary(Summary(value=[Summary.Value(tag="policy", image=plain)]), 7, 5.0)
    event, value = read_back(block, tmp_path)
    assert event.step == 7
    assert value.metadata.plugin_data.plugin_name == image.PLUGIN_NAME
    assert list(value.tensor.string_val) == [b"5", b"3", picture]


@pytest.mark.parametrize("data", [b"", b"GIF89a", png(2, 2)[:20]])
def test_only_png_is_an_image(data: bytes) -> None:
    with pytest.raises(ValueError, match="'policy' is not a PNG"):
        image_record("policy", 1, data, 5.0)


def test_histogram_is_what_tensorboards_own_summary_makes_of_data_from_0_to_1() -> None:
    probabilities = np.append(np.random.default_rng(0).dirichlet(np.ones(4), 50), [0.0, 1.0])
    expected = histogram_pb("p", probabilities, buckets=20)
    assert histogram_record("p", 3, probabilities, 5.0, bins=20) == of_summary(expected, 3, 5.0)


def test_histogram_bins_do_not_follow_the_data(tmp_path: Path) -> None:
    _, value = read_back(histogram_record("p", 3, np.full((3, 4), 0.25), 5.0, bins=10), tmp_path)
    left, right, count = make_ndarray(value.tensor).T
    np.testing.assert_allclose(left, np.arange(10) / 10, atol=1e-12)
    np.testing.assert_allclose(right, np.arange(1, 11) / 10, atol=1e-12)
    assert count.tolist() == [0, 0, 12, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_histogram_refuses_what_is_no_probability(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        histogram_record("p", 3, [0.5, wrong], 5.0)


def test_layout_names_the_tags(tmp_path: Path) -> None:
    bands = [MarginChart(name, f"{name}/iqm", f"{name}/low", f"{name}/high") for name in ("entropy", "return")]
    lines = MultilineChart("terms", ["loss/policy", "loss/total.1"])
    _, value = read_back(layout_record({"Both arms": bands, "Loss": [lines]}, 5.0), tmp_path)
    assert value.tag == "custom_scalars__config__"
    assert value.metadata.plugin_data.plugin_name == "custom_scalars"
    both, loss = Layout.FromString(make_ndarray(value.tensor).item()).category
    assert (both.title, loss.title) == ("Both arms", "Loss")
    assert [chart.title for chart in both.chart] == ["return", "entropy"]  # the page turns them around
    (series,) = both.chart[1].margin.series
    assert (series.value, series.lower, series.upper) == ("entropy/iqm", "entropy/low", "entropy/high")
    assert list(loss.chart[0].multiline.tag) == ["^loss/policy$", r"^loss/total\.1$"]


def test_experiment_is_what_tensorboards_own_summary_makes(tmp_path: Path) -> None:
    values: dict[str, list[Hyperparameter]] = {
        "arm": ["with", "without"],
        "clip": [False, True],
        "coef": [0.0, 0.1, 0],
    }
    expected = summary_v2.hparams_config_pb(
        hparams=[
            summary_v2.HParam("arm", summary_v2.Discrete(["with", "without"])),
            summary_v2.HParam("clip", summary_v2.Discrete([False, True])),
            summary_v2.HParam("coef", summary_v2.Discrete([0.0, 0.1])),
        ],
        metrics=[summary_v2.Metric("episode/return", display_name="final return")],
        time_created_secs=5.0,
    ).value[0]
    _, value = read_back(experiment_record(values, {"episode/return": "final return"}, 5.0), tmp_path)
    assert value.tag == expected.tag
    found = hparams.parse_experiment_plugin_data(value.metadata.plugin_data.content)
    for info in found.hparam_infos:
        assert info.differs
        info.ClearField("differs")  # TensorBoard works it out only if there is no experiment record
    assert found == hparams.parse_experiment_plugin_data(expected.metadata.plugin_data.content)


def test_a_hyperparameter_has_one_type() -> None:
    with pytest.raises(ValueError, match=r"'coef' must be of one type: \[0.1, 'linear'\]"):
        experiment_record({"coef": [0.1, "linear"]}, {}, 5.0)


def test_session_is_what_tensorboards_own_summary_makes(tmp_path: Path) -> None:
    values: dict[str, Hyperparameter] = {"arm": "with", "clip": False, "coef": 0.1, "episodes": 16}
    expected = summary_v2.hparams_pb(values, trial_id="with", start_time_secs=5.0).value[0]
    _, value = read_back(session_start_record(values, "with", 5.0), tmp_path)
    assert value.tag == expected.tag
    found, wanted = (
        hparams.parse_session_start_info_plugin_data(v.metadata.plugin_data.content) for v in (value, expected)
    )
    assert found == wanted
    assert found.group_name == "with"


@pytest.mark.parametrize(("failed", "status"), [(False, api_pb2.STATUS_SUCCESS), (True, api_pb2.STATUS_FAILURE)])
def test_end_of_a_session(failed: bool, status: int, tmp_path: Path) -> None:
    _, value = read_back(session_end_record(5.0, failed), tmp_path)
    assert value.tag == hparams.SESSION_END_INFO_TAG
    end = hparams.parse_session_end_info_plugin_data(value.metadata.plugin_data.content)
    assert (end.status, end.end_time_secs) == (status, 5.0)


def test_tensorflow_is_never_imported(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    code = "; ".join(
        [
            "from experiments.tensorboard.events import *",
            "histogram_record('p', 1, [0.5], 5.0)",
            "layout_record({'Loss': [MultilineChart('terms', ['a'])]}, 5.0)",
            "experiment_record({'coef': [0.1]}, {'a': 'A'}, 5.0)",
            "session_start_record({'coef': 0.1}, 'with', 5.0)",
            "text_record('guide', 0, 'words', 5.0)",
        ]
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
