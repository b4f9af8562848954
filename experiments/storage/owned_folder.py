"""A folder that belongs to one command of this project, whose mark says which made it.

A folder without a mark that is not empty belongs to somebody else, unless its content shows that an early version,
which wrote no marks, made it.
"""

import json
import os
import re
from contextlib import suppress
from typing import ClassVar

from experiments.storage.locked_folder import LOCK, LockedFolder, is_temporary
from experiments.storage.stored_files import StoreError
from experiments.storage.stored_summary import FORMAT, check_format

MARK = ".made_by.json"
MAX_MARK = 1 << 12  # bytes of a mark


class OwnedFolder(LockedFolder):
    """A folder with a lock and a mark.

    Attributes:
        KIND: what the folder holds, in one word.
    """

    KIND: ClassVar[str]
    BESIDE = (LOCK, MARK)

    @property
    def holds_anything(self) -> bool:
        """Whether it holds more than a lock, a mark and the temporary files of a command that was killed at its
        start."""
        return self.path.exists() and any(
            name not in self.BESIDE and not (is_temporary(name) and self.is_own(name))
            for name in os.listdir(self.path)
        )

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
