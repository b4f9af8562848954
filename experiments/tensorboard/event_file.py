"""Event files as TensorBoard reads them: a sequence of records in one file per run.

A record is  length (uint64) | masked CRC-32C of the length | event | masked CRC-32C of the event,  all
little-endian (the TFRecord format); an event is a protocol buffer.
"""

import errno
import struct
import time
from pathlib import Path

import numpy as np

from experiments.storage.tree import Tree
from experiments.tensorboard.crc32c import crc32c, masked

HEADER, FOOTER = 12, 4  # bytes of a record before and after its event


class EventFile:
    """The event file of one run, alone in its folder; it is only appended to.

    Blocks are kept in memory until `flush`, and the file is open only then, so that a thousand runs need no open
    files. An existing file is continued. After a crash call `truncate_to` first: readers stop at a torn record.

    Args:
        folder: of the file.
        root: a folder that holds `folder` and must exist; nothing is written out of it. None: the folder itself.
        begun: seconds since 1970, of a new file's first event. TensorBoard lists and colours runs in this order;
            without it, now.
    """

    def __init__(self, folder: Path, root: Path | None = None, begun: float | None = None) -> None:
        if root is None:
            folder.mkdir(parents=True, exist_ok=True)
        self._tree = Tree(root or folder)
        self.path = folder / "events.out.tfevents.0000000000"  # first by name, if another program writes there
        self._name = self.path.relative_to(self._tree.path).as_posix()
        self.size = self.path.stat().st_size if self.path.exists() else 0
        """Bytes of the file and of the blocks in memory; after a flush, the position for a checkpoint."""
        self._waiting: list[bytes] = []
        if not self.size:
            begun = time.time() if begun is None else begun
            self.write(record(b"\x09" + struct.pack("<d", begun) + field(3, b"brain.Event:2")))

    def write(self, block: bytes) -> None:
        """Add whole records."""
        self._waiting.append(block)
        self.size += len(block)

    def flush(self) -> None:
        """Append the blocks in memory to the file, for TensorBoard to read.

        Raises:
            OSError: the file cannot be written, or has been changed by somebody else.
        """
        data = b"".join(self._waiting)
        with self._tree.appending(self._name) as file:
            if file.tell() != self.size - len(data):
                raise OSError(errno.EIO, "was changed or removed during training", str(self.path))
            file.write(data)
        self._waiting.clear()

    def truncate_to(self, size: int) -> None:
        """Remove everything after the first `size` bytes, an earlier `size`.

        Raises:
            ValueError: the file is shorter, and the missing bytes are lost.
        """
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < size:
            raise ValueError(f"{self.path} has {found} bytes; it had {size} at the checkpoint")
        self._tree.truncate(self._name, size)
        self._waiting.clear()
        self.size = size


def record(event: bytes) -> bytes:
    """One record around a serialized event."""
    length = len(event).to_bytes(8, "little")
    return length + _footer(length) + event + _footer(event)


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of known length: key, length, content."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A protobuf integer: seven bits per byte, the lowest first; the top bit says that more follow."""
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])


def _footer(data: bytes) -> bytes:
    return masked(crc32c(np.frombuffer(data, np.uint8)[None])).astype("<u4").tobytes()
