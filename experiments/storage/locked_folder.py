"""A folder in which one command at a time writes. Locking needs a Unix: Windows has no `fcntl`."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, ClassVar

from experiments.storage.stored_files import StoreError
from experiments.storage.tree import Tree, link, temporary_name

LOCK = ".lock"


class InUse(StoreError):
    """Another command holds the lock of the folder."""


class LockedFolder(Tree):
    """A folder with a lock. A subclass says which files in it are ours; others are never replaced or removed.

    Attributes:
        OWN: matches the name of each file that the project writes there.
        FOLDERS: the folders within it for these files.
        BESIDE: the names of the lock, and of what else says whose the folder is.
    """

    OWN: ClassVar[re.Pattern[str]]
    FOLDERS: ClassVar[tuple[str, ...]] = ()
    BESIDE: ClassVar[tuple[str, ...]] = (LOCK,)

    _lock: BinaryIO | None = None

    def is_own(self, name: str) -> bool:
        """Whether the project has written a file of this name, or a temporary file for it."""
        if is_temporary(name):
            folder, _, last = name.rpartition("/")
            name = f"{folder}/{last[1:-4]}".lstrip("/")
        return name in self.BESIDE or self.OWN.fullmatch(name) is not None

    def files(self) -> list[str]:
        """The names of everything in the folder and in its own subfolders; other subfolders are not searched."""
        top = [
            entry.name for entry in os.scandir(self.path) if entry.name not in self.FOLDERS or entry.is_symlink()
        ]
        return sorted(top) + [name for folder in self.FOLDERS for name in self.names(folder)]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process. The lock ends with the process, however that ends.

        Raises:
            InUse: another command holds it.
            StoreError: it cannot be written to, or parts of it are links to other places.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._refuse_links()
                file = stack.enter_context(self.appending(LOCK))
            except OSError as error:
                raise StoreError(f"{self.path}: cannot write there: {error.strerror}") from None
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise InUse(
                    f"{self.path}: another command is writing there; wait for it or choose another --out"
                ) from None
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be locked: {error.strerror}") from None
            self._lock = file
            stack.callback(setattr, self, "_lock", None)
            for name in filter(is_temporary, self.files()):
                if self.is_own(name):
                    self.remove(name)
            yield

    def check_in_place(self) -> None:
        """Check, while it is locked, that it is still the same folder.

        Raises:
            StoreError: it was removed, and perhaps made again by another command.
        """
        if self._lock is None:
            return
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path / LOCK), os.fstat(self._lock.fileno())):
                return
        raise StoreError(f"{self.path}: the folder, or the .lock in it, was removed during training")

    def _refuse_links(self) -> None:
        """The folder itself may be a link, but nothing in it may be one: we would write somewhere else."""
        for name in self.files():
            place_of_ours = name in self.FOLDERS or "/" in name or self.is_own(name)
            if place_of_ours and (self.path / name).is_symlink():
                raise StoreError(link(self.path / name))


def is_temporary(name: str) -> bool:
    """Whether a file would be one that is not whole yet."""
    last = name.rpartition("/")[2]
    return len(last) > len(temporary_name("")) and last.startswith(".") and last.endswith(".tmp")
