"""Reading stored files: regular files of bounded size only, and their checksums.

A run folder may come from a stranger, and its checksums may still be right. Reading a pipe or a device may never
end, and a file of a terabyte may take only a few bytes on disk.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from experiments.config.failures import Failure
from experiments.config.files import open_regular

MAX_BYTES = 1 << 32  # of a result that is hashed before it is read, unless its config makes larger ones
_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+(?:/[\w.-]+)*)", re.ASCII)


class StoreError(Failure, RuntimeError):
    """A folder that cannot be used; the message names it and says what to do."""


@contextmanager
def opened(path: Path, most: int | None = None) -> Iterator[BufferedReader]:
    """A regular file of at most `most` bytes, opened for reading; None: of any size.

    Raises:
        StoreError: it is missing, is not a regular file, or is larger.
    """
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        if most is not None and (size := os.fstat(descriptor).st_size) > most:
            raise StoreError(f"{path}: {size:,} bytes; at most {most:,} are read")
        yield file


def content(path: Path, most: int) -> bytes:
    """The content of a file; see `opened`."""
    with opened(path, most) as file:
        return file.read(most)


def sha256(path: Path, most: int | None = None) -> str:
    """The digest of a file's content, as `sha256sum` prints it; see `opened`."""
    with opened(path, most) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(path: Path, most: int = 1 << 20) -> dict[str, str]:
    """The digests in a file in the format of `sha256sum`, by the name of the file that each belongs to.

    Raises:
        StoreError: a line is not a digest and a name, a name leads out of the folder, or a name is there twice.
    """
    sums: dict[str, str] = {}
    for line in content(path, most).decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or ".." in match[2].split("/") or match[2] in sums:
            raise StoreError(f"{path}: damaged")
        sums[match[2]] = match[1]
    return sums
