"""Changes to the files below a folder: the only place where files are created, appended to and removed.

Every path is walked from the folder down, one open folder at a time, without following symbolic links. So whatever
somebody puts in the way, nothing outside the folder is written. The folder itself may be a link.
"""

import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from experiments.storage.stored_files import StoreError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITING = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not make us wait


class Tree:
    """A folder and everything below it. Names are relative to it, with "/" between their parts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_in_place(self) -> None:
        """Check that it is still the same folder; called before each file is made."""

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to. It becomes `name`, whole and on disk, if the block ends well.

        Raises:
            StoreError: a symbolic link, or something else that is not a file, is in the way.
        """
        self.check_in_place()
        with self._within(name, make=True) as (folder, last):
            self._check_file(name, folder, last)
            temporary = temporary_name(last)
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            try:
                with open(os.open(temporary, WRITING | os.O_EXCL, 0o666, dir_fd=folder), "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)

    def write(self, name: str, content: "str | bytes | memoryview") -> None:
        """Write a file, either whole or not at all."""
        with self.replacing(name) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    @contextmanager
    def appending(self, name: str) -> Iterator[BinaryIO]:
        """A file to append to, made if it is not there."""
        with self._within(name, make=True) as (folder, last):
            self._check_file(name, folder, last)
            with open(os.open(last, WRITING | os.O_APPEND, 0o666, dir_fd=folder), "ab") as file:
                yield file

    def truncate(self, name: str, size: int) -> None:
        """Cut an existing file to `size` bytes."""
        with self._within(name) as (folder, last):
            self._check_file(name, folder, last)
            with open(os.open(last, WRITING & ~os.O_CREAT, dir_fd=folder), "wb", closefd=True) as file:
                os.ftruncate(file.fileno(), size)

    def read(self, name: str, most: int) -> bytes:
        """The first `most` bytes of a file.

        Raises:
            FileNotFoundError: it is not there.
            StoreError: it is a symbolic link, or not a file.
        """
        with self._within(name) as (folder, last):
            self._check_file(name, folder, last)
            with open(os.open(last, READING, dir_fd=folder), "rb") as file:
                return file.read(most)

    def link(self, name: str, other: str) -> None:
        """Give a file a second name. Its content stays there when the first name is replaced or removed."""
        with self._within(name) as (folder, last), self._within(other, make=True) as (into, new):
            self._check_file(name, folder, last)
            os.link(last, new, src_dir_fd=folder, dst_dir_fd=into, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove a file or an empty folder, if it is there."""
        with suppress(FileNotFoundError), self._within(name) as (folder, last):
            if stat.S_ISDIR(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
                with suppress(OSError):  # it is not empty
                    os.rmdir(last, dir_fd=folder)
            else:
                os.unlink(last, dir_fd=folder)

    def names(self, below: str = ".") -> list[str]:
        """The names of everything that is not a folder: files, links and others."""
        found = []
        for place, folders, files in os.walk(self.path / below):
            links = [folder for folder in folders if os.path.islink(os.path.join(place, folder))]
            found += [os.path.relpath(os.path.join(place, name), self.path) for name in (*files, *links)]
        return sorted(found)

    def sync(self, name: str) -> None:
        """Sync all files below a folder to disk, in parallel, which is ten times as fast."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(_synced, (self.path / name).rglob("*")))

    @contextmanager
    def _within(self, name: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that holds `name`; yields its descriptor and the last part of the name.

        Args:
            name: the name of a file or a folder.
            make: whether to make missing folders on the way.
        """
        *parts, last = name.split("/")
        folder = os.open(self.path, FOLDER)
        place = self.path
        try:
            for part in parts:
                place /= part
                if make:
                    _make_folder(part, folder, durable=part == parts[0])
                below = self._below(place, part, folder)
                os.close(folder)
                folder = below
            yield folder, last
        except OSError as error:
            if error.filename in (*parts, last, temporary_name(last)):  # a name relative to an open folder
                error.filename, error.filename2 = str(self.path / name), None
            raise
        finally:
            os.close(folder)

    def _below(self, place: Path, part: str, folder: int) -> int:
        try:
            return os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            is_link = stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
            raise StoreError(link(place) if is_link else f"{place}: is a file, not a folder") from None

    def _check_file(self, name: str, folder: int, last: str) -> None:
        with suppress(FileNotFoundError):
            mode = os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                raise StoreError(link(self.path / name))
            if not stat.S_ISREG(mode):
                raise StoreError(f"{self.path / name}: is not a file; nothing is written there")


def temporary_name(last: str) -> str:
    """The name of a file until it is whole."""
    return f".{last}.tmp"


def link(path: Path) -> str:
    """The message that refuses a symbolic link."""
    return f"{path}: is a symbolic link; a run folder may hold none"


def _make_folder(part: str, folder: int, durable: bool) -> None:
    """Make a folder, and sync it only if `durable`; `sync` does the others, all at once."""
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=folder)
        if durable:
            os.fsync(folder)


def _synced(path: Path) -> None:
    """Sync a file's content, or a folder's names, to disk."""
    descriptor = os.open(path, READING)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
