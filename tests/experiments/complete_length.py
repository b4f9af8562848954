"""How much of an event file is whole: what a reader gets of it, counted by somebody who trusts no byte."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.tensorboard.crc32c import crc32c, masked
from experiments.tensorboard.event_file import FOOTER, HEADER

_BATCH = 2048  # records checked at a time


def complete_length(path: Path) -> int:
    """Bytes of the longest beginning of a file that is whole records with correct checksums."""
    data = np.fromfile(path, np.uint8)
    starts = _record_starts(data.tobytes())
    lengths, whole = np.diff(starts), np.zeros(len(starts), bool)  # the last start is the end: no record there
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for batch in np.split(same, list(range(_BATCH, len(same), _BATCH))):
            rows = data[starts[batch, None] + np.arange(length)]
            whole[batch] = _footer_fits(rows[:, :HEADER]) & _footer_fits(rows[:, HEADER:])
    return int(starts[whole.argmin()])


def _record_starts(data: bytes) -> NDArray[np.int64]:
    """Where records start as far as their lengths lead, and where the last of them ends."""
    starts = [0]
    while (start := starts[-1]) + HEADER + FOOTER <= len(data):
        end = start + HEADER + int.from_bytes(data[start : start + 8], "little") + FOOTER
        if end > len(data):
            break
        starts.append(end)
    return np.array(starts)


def _footer_fits(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the last four bytes of each row are the masked checksum of those before, [N, L] -> [N]."""
    stored: NDArray[np.uint32] = np.ascontiguousarray(rows[:, -FOOTER:]).view("<u4")[:, 0]
    return np.equal(masked(crc32c(rows[:, :-FOOTER])), stored)
