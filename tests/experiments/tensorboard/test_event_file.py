"""Files of records: TensorBoard's reader gives back what went in, whatever a file lost at its end."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from experiments.tensorboard.event_file import EventFile, record
from experiments.tensorboard.scalar_blocks import scalar_block, scalars_block
from tests.experiments.complete_length import complete_length


def events(path: Path) -> list[bytes]:
    return list(RawEventFileLoader(str(path)).Load())


def blocks() -> list[bytes]:
    return [
        scalar_block("step/entropy_bits", [0, 1, 127, 128], [2.0, 1.5, np.nan, -0.0], 1.7e9),
        scalars_block(["a", "b"], [5, 70_000], [[1, 2], [3, 4]], [1.7e9, 1.8e9]),
    ]


@pytest.fixture
def small_file(tmp_path: Path) -> EventFile:
    file = EventFile(tmp_path / "arm" / "seed_0")
    for block in blocks():
        file.write(block)
    file.flush()
    return file


@pytest.fixture
def record_ends(small_file: EventFile) -> np.ndarray:
    """Where a record ends in the small file, and 0."""
    return np.cumsum([0] + [len(record(event)) for event in events(small_file.path)])


def test_first_record_names_the_version(small_file: EventFile) -> None:
    first = Event.FromString(events(small_file.path)[0])
    assert first.file_version == "brain.Event:2"
    again = Event(wall_time=first.wall_time, file_version="brain.Event:2").SerializeToString()
    assert small_file.path.read_bytes().startswith(record(again))


def test_tensorboard_reads_every_value(tmp_path: Path) -> None:
    file, rng = EventFile(tmp_path), np.random.default_rng(0)
    steps = np.cumsum(rng.integers(1, 50, 3000))  # of one, two and three bytes
    entropy, losses = rng.random(3000).astype(np.float32), rng.normal(size=(3000, 2)).astype(np.float32)
    times = np.linspace(1.7e9, 1.8e9, 3000)
    file.write(scalar_block("step/entropy_bits", steps, entropy, times))
    file.write(scalars_block(["loss/policy", "loss/total"], steps, losses, times))
    file.flush()

    reader = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    reader.Reload()
    assert reader.Tags()["scalars"] == ["step/entropy_bits", "loss/policy", "loss/total"]
    for tag, values in [
        ("step/entropy_bits", entropy),
        ("loss/policy", losses[:, 0]),
        ("loss/total", losses[:, 1]),
    ]:
        points = reader.Scalars(tag)
        assert [point.step for point in points] == steps.tolist()
        assert [point.wall_time for point in points] == times.tolist()
        assert [point.value for point in points] == values.tolist()


def test_a_file_cut_anywhere_keeps_the_whole_records_before(
    small_file: EventFile, record_ends: np.ndarray, tmp_path: Path
) -> None:
    data, whole, cut = small_file.path.read_bytes(), events(small_file.path), tmp_path / "cut.tfevents"
    assert len(whole) == 7
    assert record_ends[-1] == len(data) == small_file.size
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        kept = int((record_ends <= size).sum()) - 1
        assert events(cut) == whole[:kept]
        assert complete_length(cut) == record_ends[kept]


def test_a_wrong_byte_ends_the_complete_part_before_its_record(
    small_file: EventFile, record_ends: np.ndarray, tmp_path: Path
) -> None:
    data, spoilt = small_file.path.read_bytes(), tmp_path / "spoilt.tfevents"
    for position in range(len(data)):
        spoilt.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        assert complete_length(spoilt) == record_ends[record_ends <= position][-1]


def test_complete_length_of_a_long_file_with_one_wrong_byte(tmp_path: Path) -> None:
    block = bytearray(scalar_block("x", np.arange(128, 10_000), np.zeros(9872), 1.7e9))
    path, length = tmp_path / "long.tfevents", len(block) // 9872
    path.write_bytes(block)
    assert complete_length(path) == len(block)
    block[7000 * length + 30] ^= 1
    path.write_bytes(block)
    assert complete_length(path) == 7000 * length


def test_stopped_and_resumed_is_as_if_never_stopped(small_file: EventFile) -> None:
    uninterrupted = small_file.path.read_bytes()
    _, second = blocks()
    checkpoint = small_file.size - len(second)
    torn = uninterrupted[: checkpoint + len(second) // 2]
    small_file.path.write_bytes(torn)

    resumed = EventFile(small_file.path.parent)
    assert resumed.size == len(torn)
    resumed.truncate_to(checkpoint)
    resumed.write(second)
    assert resumed.size == len(uninterrupted)
    resumed.flush()
    assert small_file.path.read_bytes() == uninterrupted


def test_truncating_forgets_what_waits(small_file: EventFile) -> None:
    size = small_file.size
    small_file.write(blocks()[0])
    small_file.truncate_to(size)
    small_file.flush()
    assert small_file.path.stat().st_size == small_file.size == size


def test_a_file_shorter_than_the_checkpoint_says_is_refused(small_file: EventFile) -> None:
    with pytest.raises(ValueError, match=r"tfevents.* has \d+ bytes"):
        small_file.truncate_to(small_file.size + 1)
    small_file.path.unlink()
    with pytest.raises(ValueError, match="has 0 bytes"):
        EventFile(small_file.path.parent).truncate_to(1)


def test_blocks_are_seen_after_a_flush_and_size_counts_those_that_wait(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.flush()
    before = file.size
    file.write(blocks()[0])
    assert file.path.stat().st_size == before
    assert file.size == before + len(blocks()[0])
    file.flush()
    file.flush()
    assert file.path.stat().st_size == file.size


def test_more_runs_than_descriptors(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest free number
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 20, hard))
    try:
        files = [EventFile(tmp_path / f"seed_{k}") for k in range(100)]
        for file in files:
            file.write(blocks()[0])
            file.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(file.path.stat().st_size == file.size for file in files)
