"""Stored files as bytes: regular files of bounded size only, and the sums that vouch for them.

A run folder may be a stranger's, with correct sums. Reading a pipe or a device may never end, and a file of a
terabyte takes a few bytes of a disk.
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

MAX_BYTES = 1 << 32  # of any stored file that is read as a whole or summed
_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+(?:/[\w.-]+)*)", re.ASCII)


class StoreError(Failure, RuntimeError):
    """A folder that cannot be used; the message names it and says what to do."""


@contextmanager
def opened(path: Path, most: int = MAX_BYTES) -> Iterator[BufferedReader]:
    """A regular file of at most so many bytes, opened for reading.

    Raises:
        StoreError: it is missing, something else than a regular file, or larger.
    """
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        if (size := os.fstat(descriptor).st_size) > most:
            raise StoreError(f"{path}: {size:,} bytes, and at most {most:,} are read")
        yield file


def content(path: Path, most: int = MAX_BYTES) -> bytes:
    """What a file holds; see `opened`."""
    with opened(path, most) as file:
        return file.read(most)


def sha256(path: Path) -> str:
    """The digest of a file's content, as `sha256sum` prints it."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(path: Path, most: int = 1 << 20) -> dict[str, str]:
    """The digests in a file as `sha256sum` writes it, by the name of what they vouch for.

    Raises:
        StoreError: a line is no digest and name, a name leads out of the folder, or stands there twice.
    """
    sums: dict[str, str] = {}
    for line in content(path, most).decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or ".." in match[2].split("/") or match[2] in sums:
            raise StoreError(f"{path}: damaged")
        sums[match[2]] = match[1]
    return sums
