"""Blocks of scalars for TensorBoard, laid out with NumPy, byte for byte what protobuf would write.

The events of a block differ in a few bytes only (wall time, step, values). So one template is copied, these bytes
are filled in, and one table entry for each of them is added to the checksum of the template. Writing one scalar at
a time with protobuf, and computing its checksum in Python, takes hundreds of times longer.

Letters: N events (n of a batch), K tags, L bytes of a record, P of them that change.
"""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from itertools import accumulate, compress, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.tensorboard.crc32c import byte_registers, crc32c, masked
from experiments.tensorboard.event_file import FOOTER, HEADER, field, record, varint

_TIME, _STEP = HEADER + 1, HEADER + 10  # where wall time and step begin, after the keys of their fields
_BATCH = 2048  # records made at a time, so that they stay in the processor's cache


def scalar_block(tag: str, steps: ArrayLike, values: ArrayLike, wall_times: ArrayLike) -> bytes:
    """Records of one scalar series, with an event per point: `scalars_block` with one tag and values [N]."""
    return scalars_block([tag], steps, np.reshape(values, (-1, 1)), wall_times)


def finite_scalars_block(
    tags: Sequence[str], steps: NDArray[np.integer], values: NDArray[np.floating], wall_time: float
) -> bytes:
    """Like `scalars_block`, but points that are not finite are left out.

    Each point is treated by itself, so it does not matter which others are written with it, or when.
    """
    known = np.isfinite(values)
    changes = 1 + np.flatnonzero((known[1:] != known[:-1]).any(1))
    return b"".join(
        scalars_block(list(compress(tags, present)), steps[rows], values[rows][:, present], wall_time)
        for rows in np.split(np.arange(len(values)), changes)
        if len(rows) and (present := known[rows[0]]).any()
    )


def scalars_block(tags: Sequence[str], steps: ArrayLike, values: ArrayLike, wall_times: ArrayLike) -> bytes:
    """Records of K scalar series on the same steps, an event per step with K values.

    Args:
        tags: names of the series, not empty, all different, [K].
        steps: strictly increasing integers, [N]; otherwise TensorBoard drops points.
        values: numbers, stored as float32, [N, K].
        wall_times: seconds since 1970, positive; one for all, or [N].
    Returns:
        N records, equal to what protobuf and the TFRecord format give.
    Raises:
        ValueError: an argument is not as described.
    """
    step, time = np.asarray(steps), np.asarray(wall_times, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # as in protobuf: beyond float32 is infinite
        value = np.asarray(values).astype(np.float32)
    if step.ndim != 1 or value.shape != (len(step), len(tags)) or time.shape not in ((), step.shape):
        raise ValueError(
            f"steps [N], values [N, {len(tags)} tags] and wall times (one or [N]) do not fit: "
            f"their shapes are {step.shape}, {value.shape} and {time.shape}"
        )
    if not tags or not all(tags) or len(set(tags)) < len(tags):
        raise ValueError(f"tags must be different and not empty: {list(tags)}")
    if not (time > 0).all():
        raise ValueError(f"wall times of {list(tags)} must be positive seconds since 1970")
    if step.dtype.kind not in "iu" or not (step[1:] > step[:-1]).all():
        raise ValueError(
            f"steps of {list(tags)} must be strictly increasing integers, or TensorBoard drops points"
        )

    step, time = step.astype(np.int64), np.broadcast_to(time, step.shape)
    longer = np.searchsorted(step, [0, *(1 << 7 * k for k in range(9))]).tolist()  # where numbers grow
    bounds = sorted({0, len(step), *longer, *range(0, len(step), _BATCH)})
    block = BytesIO()
    for i, j in pairwise(bounds):
        block.write(_batch(tuple(tags), step[i:j], value[i:j], time[i:j]))
    return block.getvalue()


class _Bytes(NamedTuple):
    """Some bytes of a record, and what each value of them adds to the checksum of the event."""

    positions: NDArray[np.int64]  # [P]
    registers: NDArray[np.uint32]  # [P * 256] by position and value

    def share(self, rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """The contribution of all these bytes to the checksums of records, [n, L] -> [n]."""
        index = rows.T[self.positions] + np.arange(len(self.positions))[:, None] * 256
        return np.asarray(np.bitwise_xor.reduce(self.registers.take(index), axis=0))


class _Template(NamedTuple):
    """A record with wall time, step and values 0, and the places of these fields."""

    record: bytes  # [L]
    fields: np.dtype[Any]  # wall_time, step (its bytes), value_0 ... value_K-1, checksum of the event
    time: _Bytes
    step_and_values: _Bytes
    crc: int  # the checksum of the event


def _batch(
    tags: tuple[str, ...], step: NDArray[np.int64], value: NDArray[np.float32], time: NDArray[np.float64]
) -> bytearray:
    """Records of n steps whose numbers take the same number of bytes: step and time [n], value [n, K]."""
    bits = step.view(np.uint64)
    step_length = len(varint(int(bits[0]))) if step[0] else 0  # protobuf leaves a 0 out
    template = _template(tags, step_length)
    batch = bytearray(template.record) * len(step)
    records = np.frombuffer(batch, template.fields)
    records["wall_time"] = time
    for i in range(step_length):
        records["step"][:, i] = bits >> 7 * i & 0x7F | (0x80 if i < step_length - 1 else 0)
    for k in range(len(tags)):
        records[f"value_{k}"] = value[:, k]
    rows = records.view(np.uint8).reshape(len(step), -1)
    timed = rows[:1] if (time == time[0]).all() else rows
    crc = np.uint32(template.crc) ^ template.time.share(timed) ^ template.step_and_values.share(rows)
    records["checksum"] = masked(crc)
    return batch


@lru_cache
def _template(tags: tuple[str, ...], step_length: int) -> _Template:
    values = [field(1, field(1, tag.encode()) + b"\x15" + bytes(4)) for tag in tags]  # each ends in a float32
    step = b"\x10" + bytes(step_length) if step_length else b""
    event = b"\x09" + bytes(8) + step + field(5, b"".join(values))
    end = HEADER + len(event)
    value_starts = [end - sum(map(len, values)) + n - 4 for n in accumulate(map(len, values))]

    places = [("wall_time", "<f8", _TIME), ("step", f"({step_length},)u1", _STEP), ("checksum", "<u4", end)]
    places += [(f"value_{k}", "<f4", start) for k, start in enumerate(value_starts)]
    names, formats, offsets = map(list, zip(*places, strict=True))
    changing = [*range(_STEP, _STEP + step_length), *(start + i for start in value_starts for i in range(4))]

    def among(positions: Sequence[int]) -> _Bytes:
        registers = [byte_registers(end)[end - 1 - position] for position in positions]
        return _Bytes(np.array(positions), np.concatenate(registers))

    return _Template(
        record=record(event),
        fields=np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": end + FOOTER}),
        time=among(range(_TIME, _TIME + 8)),
        step_and_values=among(changing),
        crc=int(crc32c(np.frombuffer(event, np.uint8)[None])[0]),
    )
