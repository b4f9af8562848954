"""Blocks of scalars, byte for byte what protobuf and TensorBoard's own writer make of the same numbers."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from experiments.tensorboard import scalar_blocks
from experiments.tensorboard.scalar_blocks import scalar_block, scalars_block

# 0 and every number of bytes a step can take in protobuf, 10 for a negative one, at both ends.
BOUNDARIES = [-(2**63), -1, 0, 1, *(2**bits + d for bits in range(7, 63, 7) for d in (-1, 0)), 2**63 - 1]


def written_by_protobuf(
    tags: Sequence[str], steps: Sequence[int], values: Sequence[Sequence[float]], wall_times: Sequence[float]
) -> bytes:
    file = io.BytesIO()
    writer = RecordWriter(file)
    for step, row, wall_time in zip(steps, values, wall_times, strict=True):
        summary = Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in zip(tags, row, strict=True)])
        writer.write(Event(wall_time=wall_time, step=step, summary=summary).SerializeToString())
    return file.getvalue()


steps_of_any_length = st.one_of(st.sampled_from(BOUNDARIES), st.integers(0, 70), st.integers(-(2**63), 2**63 - 1))
floats = st.one_of(st.floats(width=32), st.floats(), st.sampled_from([-0.0, 0.0, 1e300, -1e300, 1e-45, 1e-300]))
tags_of_any_kind = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
positive_times = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[str], list[int], list[list[float]], list[float]]:
    tags = draw(st.lists(tags_of_any_kind, min_size=1, max_size=5, unique=True))
    steps = sorted(draw(st.sets(steps_of_any_length, min_size=1, max_size=12)))
    values = [draw(st.lists(floats, min_size=len(tags), max_size=len(tags))) for _ in steps]
    return tags, steps, values, [draw(positive_times) for _ in steps]


@given(blocks())
@example((["step/entropy_bits", "größe/π"], BOUNDARIES, [[float(i), -0.0] for i in range(21)], [1.7e9] * 21))
@settings(deadline=None, max_examples=200)
def test_bytes_are_those_of_protobuf(block: tuple[list[str], list[int], list[list[float]], list[float]]) -> None:
    tags, steps, values, wall_times = block
    assert scalars_block(tags, np.array(steps), np.array(values), wall_times) == written_by_protobuf(*block)


@pytest.mark.parametrize("bits", [0x7FF8 << 48, 0xFFF8 << 48, 0x7FF8_1234_5678_9ABC, 0x7FF4 << 48, 0xFFF0 << 48])
def test_any_nan_and_infinity(bits: int) -> None:
    values = np.array([bits], np.uint64).view(np.float64)
    assert scalar_block("x", [1], values, 1.0) == written_by_protobuf(["x"], [1], [values.tolist()], [1.0])


def test_blocks_longer_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    steps, values = np.arange(-3, 400), rng.random((403, 2))
    expected = written_by_protobuf(["a", "b"], steps.tolist(), values.tolist(), [5.0] * 403)
    for batch in (1, 7, 128, 4096):
        monkeypatch.setattr(scalar_blocks, "_BATCH", batch)
        assert scalars_block(["a", "b"], steps, values, 5.0) == expected


def test_many_tags_in_one_event() -> None:
    tags = [f"group/a_tag_that_makes_the_event_long_{k}" for k in range(60)]  # longer than a chunk of the checksum
    values = np.random.default_rng(0).random((3, 60))
    assert scalars_block(tags, [1, 2, 300], values, 5.0) == written_by_protobuf(
        tags, [1, 2, 300], values.tolist(), [5.0] * 3
    )


def test_no_steps_no_bytes() -> None:
    assert scalar_block("x", np.zeros(0, int), np.zeros(0), 1.0) == b""


def test_one_tag_is_the_case_of_one_column() -> None:
    steps, values = np.arange(5), np.linspace(0, 1, 5)
    assert scalar_block("x", steps, values, 1.0) == scalars_block(["x"], steps, values[:, None], [1.0] * 5)


@pytest.mark.parametrize(
    ("tags", "steps", "values", "wall_times", "message"),
    [
        (["x"], [1, 1], [[1], [2]], 1.0, "strictly increasing"),
        (["x"], [2, 1], [[1], [2]], 1.0, "strictly increasing"),
        (["x"], [1.5], [[1]], 1.0, "integers"),
        (["x"], [1, 2], [[1]], 1.0, "do not fit"),
        (["x"], [1], [[1, 2]], 1.0, "do not fit"),
        (["x"], [1], [[1]], [1.0, 2.0], "do not fit"),
        (["x"], [1], [[1]], 0.0, "positive"),
        (["x"], [1], [[1]], float("nan"), "positive"),
        (["x", "x"], [1], [[1, 2]], 1.0, "different"),
        ([""], [1], [[1]], 1.0, "not empty"),
        ([], [1], np.zeros((1, 0)), 1.0, "not empty"),
    ],
)
def test_what_tensorboard_would_spoil_is_refused(
    tags: list[str], steps: list[int], values: object, wall_times: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        scalars_block(tags, steps, values, wall_times)  # type: ignore[arg-type]
