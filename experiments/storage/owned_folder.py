"""A folder that belongs to one command of this project: its mark, its lock, and the names of the project's files.

Other files in it are never replaced or removed. The mark says which command made the folder. A folder without a
mark that is not empty belongs to somebody else, unless its content shows that an early version, which wrote no
marks, made it. Locking needs a Unix: Windows has no `fcntl`.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, ClassVar

from experiments.storage.stored_files import StoreError
from experiments.storage.stored_summary import FORMAT, check_format
from experiments.storage.tree import Tree, link, temporary_name

LOCK, MARK = ".lock", ".made_by.json"
MAX_MARK = 1 << 12  # bytes of a mark


class InUse(StoreError):
    """Another command holds the lock of the folder."""


class OwnedFolder(Tree):
    """A folder with a lock and a mark, in which files are written whole. A subclass says which files.

    Attributes:
        KIND: what the folder holds, in one word.
        OWN: matches the name of each file that the project writes there.
        FOLDERS: the folders within it for these files.
    """

    KIND: ClassVar[str]
    OWN: ClassVar[re.Pattern[str]]
    FOLDERS: ClassVar[tuple[str, ...]] = ()

    _lock: BinaryIO | None = None

    @property
    def holds_anything(self) -> bool:
        """Whether it holds more than a lock, a mark and the temporary files of a command that was killed at its
        start."""
        return self.path.exists() and any(
            name not in (LOCK, MARK) and not (_is_temporary(name) and self.is_own(name))
            for name in os.listdir(self.path)
        )

    def is_own(self, name: str) -> bool:
        """Whether the project has written a file of this name, or a temporary file for it."""
        if _is_temporary(name):
            folder, _, last = name.rpartition("/")
            name = f"{folder}/{last[1:-4]}".lstrip("/")
        return name in (LOCK, MARK) or self.OWN.fullmatch(name) is not None

    def files(self) -> list[str]:
        """The names of everything in the folder and in its own subfolders; other subfolders are not searched."""
        top = [
            entry.name for entry in os.scandir(self.path) if entry.name not in self.FOLDERS or entry.is_symlink()
        ]
        return sorted(top) + [name for folder in self.FOLDERS for name in self.names(folder)]

    def check_owner(self, command: str) -> None:
        """Check that this command may write to the folder. Nothing is written.

        Raises:
            StoreError: another command, or somebody else, has put something there.
        """
        try:
            if not self.path.exists():
                return
            if not self.path.is_dir():
                raise StoreError(f"{self.path}: is a file, not a folder")
            self._refuse_links()
            maker = self.maker() if self.holds_anything else command
        except OSError as error:
            raise StoreError(f"{self.path}: cannot write there: {error.strerror}") from None
        if maker is None:
            raise StoreError(
                f"{self.path}: holds files that are not a {self.KIND} of this program; they are left alone, "
                "use another --out"
            )
        if maker != command:
            raise StoreError(f"{self.path}: was made by {maker}, not by {command}; use another --out")

    def maker(self) -> str | None:
        """The command that made the folder; None: none of ours, or what is there is not a folder of this kind."""
        with suppress(FileNotFoundError):
            try:
                mark = json.loads(self.read(MARK, MAX_MARK))
                kind, maker, written = mark["kind"], mark["made_by"], mark["format"]
                check_format(self.path / MARK, written)
            except (ValueError, TypeError, KeyError, RecursionError):
                return None
            return maker if kind == self.KIND and re.fullmatch(r"[\w.]{1,99}", str(maker)) else None
        return self._maker_by_content()

    def _maker_by_content(self) -> str | None:
        """The command that made a folder without a mark."""
        return None

    def mark(self, command: str) -> None:
        """Write the mark, unless there is one: it is the first file in the folder, and it stays."""
        if (self.path / MARK).exists():
            return
        mark = {"format": FORMAT, "kind": self.KIND, "made_by": command}
        self.write(MARK, json.dumps(mark) + "\n")

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
            for name in filter(_is_temporary, self.files()):
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


def _is_temporary(name: str) -> bool:
    last = name.rpartition("/")[2]
    return len(last) > len(temporary_name("")) and last.startswith(".") and last.endswith(".tmp")
