"""Records of event files for everything but scalars: texts, pictures, histograms, layout and hyperparameters.

This is the only module that imports TensorBoard, and it imports only protocol buffers: `plugins.hparams.api` and
`plugins.custom_scalar.summary` would load TensorFlow where it is installed. Wall times are seconds since 1970.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout
from tensorboard.plugins.histogram import metadata as histogram
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.text import metadata as text
from tensorboard.util.tensor_util import make_tensor_proto

from experiments.tensorboard.event_file import record

Hyperparameter = bool | int | float | str


class MarginChart(NamedTuple):
    """A line within a band, for each run that has the three tags."""

    title: str
    value: str
    lower: str
    upper: str


class MultilineChart(NamedTuple):
    """A line for each tag of each run."""

    title: str
    tags: Sequence[str]


def text_record(tag: str, step: int, markdown: str, wall_time: float) -> bytes:
    """A page of the Text tab."""
    return _plugin_record(tag, text.create_summary_metadata("", ""), markdown, step, wall_time)


def image_record(tag: str, step: int, png: bytes, wall_time: float) -> bytes:
    """A picture of the Images tab.

    Raises:
        ValueError: `png` does not begin like a PNG file.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 26:
        raise ValueError(f"the image of {tag!r} is not a PNG file")
    width, height = struct.unpack(">II", png[16:24])
    channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[png[25]]  # of PNG's colour types
    image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
    return _summary_record(Summary.Value(tag=tag, image=image), step, wall_time)


def histogram_record(tag: str, step: int, probabilities: ArrayLike, wall_time: float, bins: int = 30) -> bytes:
    """A histogram of probabilities (of any shape), with equal `bins` on [0, 1].

    Raises:
        ValueError: a number is outside [0, 1], where no bin would count it.
    """
    values = np.asarray(probabilities, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"the histogram of {tag!r} is of probabilities, which are in [0, 1]")
    counts, edges = np.histogram(values, bins, (0.0, 1.0))
    rows = np.column_stack([edges[:-1], edges[1:], counts])
    return _plugin_record(tag, histogram.create_summary_metadata("", ""), rows, step, wall_time)


def layout_record(categories: Mapping[str, Sequence[MarginChart | MultilineChart]], wall_time: float) -> bytes:
    """The Custom Scalars tab: charts under headings. One per log folder; TensorBoard would merge several."""
    proto = layout_pb2.Layout()
    for title, charts in categories.items():
        lines = [chart for chart in charts if isinstance(chart, MultilineChart)]
        bands = [chart for chart in charts if isinstance(chart, MarginChart)]
        # TensorBoard 2.21 shows the lines under a heading in order, and then the bands in reverse order.
        proto.category.add(title=title, chart=[*map(_chart, lines), *map(_chart, reversed(bands))])
    metadata, content = layout.create_summary_metadata(), proto.SerializeToString()
    return _plugin_record(layout.CONFIG_SUMMARY_TAG, metadata, content, 0, wall_time)


def experiment_record(
    values: Mapping[str, Sequence[Hyperparameter]], metrics: Mapping[str, str], wall_time: float
) -> bytes:
    """The columns of the HParams tab. One per log folder, at its root: of several, TensorBoard takes any.

    Args:
        values: for each hyperparameter, its values in the runs, all of one type.
        metrics: for each scalar tag whose last value is a result, the title of its column.
        wall_time: seconds since 1970.
    """
    experiment = api_pb2.Experiment(time_created_secs=wall_time)
    for name, taken in values.items():
        kinds = {_hparam_field(value) for value in taken}
        if len(kinds) != 1:
            raise ValueError(f"the values of hyperparameter {name!r} must be of one type: {list(taken)}")
        kind = {"bool_value": "BOOL", "string_value": "STRING", "number_value": "FLOAT64"}[kinds.pop()]
        info = experiment.hparam_infos.add(name=name, type=f"DATA_TYPE_{kind}", differs=len(set(taken)) > 1)
        info.domain_discrete.extend(dict.fromkeys(taken))
    for tag, title in metrics.items():
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=tag), display_name=title)
    return _hparams_record(hparams.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment), wall_time)


def session_start_record(values: Mapping[str, Hyperparameter], group_name: str, wall_time: float) -> bytes:
    """The hyperparameters of a run. Runs with one `group_name` (seeds of an arm) are one row, with their mean."""
    session = SessionStartInfo(group_name=group_name, start_time_secs=wall_time)
    for name, value in values.items():
        setattr(session.hparams[name], _hparam_field(value), value)
    return _hparams_record(
        hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=session), wall_time
    )


def session_end_record(wall_time: float, failed: bool = False) -> bytes:
    """Marks the end of a run, or its failure."""
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    session = SessionEndInfo(status=status, end_time_secs=wall_time)
    return _hparams_record(hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=session), wall_time)


def _chart(chart: MarginChart | MultilineChart) -> layout_pb2.Chart:
    if isinstance(chart, MarginChart):
        series = layout_pb2.MarginChartContent.Series(value=chart.value, lower=chart.lower, upper=chart.upper)
        return layout_pb2.Chart(title=chart.title, margin=layout_pb2.MarginChartContent(series=[series]))
    exactly = [f"^{re.escape(tag)}$" for tag in chart.tags]  # otherwise all tags that begin like this one
    return layout_pb2.Chart(title=chart.title, multiline=layout_pb2.MultilineChartContent(tag=exactly))


def _hparam_field(value: Hyperparameter) -> str:
    return {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")


def _hparams_record(tag: str, data: HParamsPluginData, wall_time: float) -> bytes:
    """A record of the HParams plugin, which reads only the metadata; the tensor is empty."""
    value = Summary.Value(tag=tag, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR)
    return _summary_record(value, 0, wall_time)


def _plugin_record(tag: str, metadata: SummaryMetadata, content: object, step: int, wall_time: float) -> bytes:
    return _summary_record(
        Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(content)), step, wall_time
    )


def _summary_record(value: Summary.Value, step: int, wall_time: float) -> bytes:
    return record(Event(wall_time=wall_time, step=step, summary=Summary(value=[value])).SerializeToString())
