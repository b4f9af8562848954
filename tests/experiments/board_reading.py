"""What a log folder says, through TensorBoard's own reader of event files."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.util.tensor_util import make_ndarray

FILE = "events.out.tfevents.0000000000"


class Point(NamedTuple):
    step: int
    value: Summary.Value


class Curve(NamedTuple):
    """The points of a scalar tag: [N] each."""

    steps: np.ndarray
    values: np.ndarray


def points(run: Path) -> Iterator[Point]:
    """Everything in the event file of a run, in its order."""
    for data in RawEventFileLoader(str(run / FILE)).Load():
        event = Event.FromString(data)
        for value in event.summary.value:
            yield Point(event.step, value)


def scalars(run: Path) -> dict[str, Curve]:
    """The curves of a run by tag."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, value in points(run):
        if value.WhichOneof("value") == "simple_value":
            found.setdefault(value.tag, []).append((step, value.simple_value))
    return {
        tag: Curve(np.array([step for step, _ in pairs]), np.array([v for _, v in pairs]))
        for tag, pairs in found.items()
    }


def images(run: Path) -> dict[str, dict[int, bytes]]:
    """The PNG files of a run by tag and step."""
    found: dict[str, dict[int, bytes]] = {}
    for step, value in points(run):
        if value.HasField("image"):
            found.setdefault(value.tag, {})[step] = value.image.encoded_image_string
    return found


def histograms(run: Path) -> dict[str, dict[int, np.ndarray]]:
    """Bins, [K, 3] left, right, count, of a run by tag and step."""
    return _tensors(run, "histograms")


def texts(run: Path) -> dict[str, str]:
    """Pages of a run by tag; there is one of each."""
    return {tag: page.item().decode() for tag, pages in _tensors(run, "text").items() for page in pages.values()}


def _tensors(run: Path, plugin: str) -> dict[str, dict[int, np.ndarray]]:
    found: dict[str, dict[int, np.ndarray]] = {}
    for step, value in points(run):
        if value.metadata.plugin_data.plugin_name == plugin:
            found.setdefault(value.tag, {})[step] = make_ndarray(value.tensor)
    return found
