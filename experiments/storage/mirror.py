"""A run folder in a store, as in s3://bucket/run, and its working copy on this machine.

Object stores cannot append, so a command works on a copy, which is an ordinary folder, and `push` writes what has
changed since. If a command is killed or the store fails, the copy is ahead of the store, and the next command goes
on with it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from experiments.config.commands import SCRIPT
from experiments.storage.locked_folder import InUse
from experiments.storage.object_store import Gone, ObjectStore
from experiments.storage.owned_folder import MARK
from experiments.storage.push_plan import folder_of, is_ours
from experiments.storage.pushing import push
from experiments.storage.run_folder import SUMMARY, SUMS
from experiments.storage.sole_writer import WRITER, SoleWriter
from experiments.storage.stored_files import StoreError
from experiments.storage.sweep_folder import SWEEP_FILE
from experiments.storage.working_copy import WorkingCopy

SAYS_WHOSE = (MARK, "config.toml", SUMS, SUMMARY, SWEEP_FILE)
LOOKS = 5  # at objects, some of which may be removed meanwhile


class Mirror:
    """A folder in a store, and its working copy.

    Attributes:
        copy: where the working copy is.
    """

    def __init__(self, url: str, locks: bool = True, has_folders: bool = True) -> None:
        """Name the folder; nothing is asked or written yet.

        Args:
            url: of any store that fsspec knows.
            locks: whether to keep other commands from writing there; False below a folder where that is done.
            has_folders: whether the working copy has the run folders within it, too; False where the tasks of a
                command write these, each from a copy of its own.
        """
        self._store, self._locks, self._has_folders = ObjectStore(url), locks, has_folders
        self.url = self._store.url
        self._work, self._writer = WorkingCopy(_place(self.url)), SoleWriter(self._store)
        self.copy = self._work.path

    def locked(self) -> AbstractContextManager[None]:
        """Keep other commands of this machine from the working copy. The store is not asked.

        Raises:
            InUse: another command has it.
            StoreError: there is no place for it.
        """
        return self._work.locked()

    def take(self) -> None:
        """Keep other commands from writing there until `finish`, and bring the working copy, which is `locked`, up
        to date. What the last command could not write any more is written first.

        Raises:
            StoreError: the store cannot be used, another command writes there, or the folder is somebody else's.
        """
        self._work.load()
        if self._is_ahead():
            self._work.forget(self._work.known.keys() - self._store.versions().keys())
            self._write_all()
        elif self._locks:
            self._work.save(is_whole=False)  # first, so that after a kill it knows the object as its own
            self._writer.take(self._work.id)
        try:
            self._fetch()
        except BaseException:
            with suppress(StoreError):
                self._let_go()
            raise

    def go_on(self) -> None:
        """Go on with a working copy that another process of this command has taken."""
        self._work.load()

    def glimpse(self, folder: Path) -> Path:
        """A folder with what says whose it is, and whether it is finished: the working copy if it is ahead of the
        store, else `folder`, which is made if there is anything. Nothing else is written, here or there.

        Raises:
            StoreError: the store cannot be used, or the folder is somebody else's.
        """
        self._store.open()
        self._work.load()
        if self._is_ahead():
            return self.copy
        self._store.download({name: folder / name for name in self._there() if name in SAYS_WHOSE})
        return folder

    @contextmanager
    def taken(self) -> Iterator[None]:
        """As `locked` and `take` together."""
        self._store.open()
        with self.locked():
            self.take()
            yield

    def finish(self) -> None:
        """Write what is not there yet, and let other commands write.

        Raises:
            StoreError: the store failed; it can be called again.
        """
        self._write_all()
        self._let_go()

    def fetch(self) -> Path:
        """The working copy, up to date for reading; left as it is while a command of this machine writes to it.

        Raises:
            StoreError: the store cannot be used, or the folder is somebody else's.
        """
        self._store.open()
        with suppress(InUse), self.locked():
            self._work.load()
            if not self._is_ahead():
                for _ in range(LOOKS - 1):
                    with suppress(Gone):  # whoever writes there has a newer checkpoint
                        self._fetch()
                        return self.copy
                self._fetch()
        return self.copy

    def push(self) -> bool:
        """Write what has changed in the working copy.

        Returns:
            False if files kept being removed there, so that no consistent state could be written.
        Raises:
            StoreError: the store failed; the next call goes on from there.
        """
        return push(self._work, self._store)

    def _write_all(self) -> None:
        if not self.push():
            raise StoreError(f"{self.copy}: files keep being removed there, so it cannot be written to {self.url}")
        self._work.equals(self._store.versions())

    def _fetch(self) -> None:
        """Make the working copy equal to the store."""
        there = self._there()
        self._work.save(is_whole=False)
        self._work.remove(set(self._work.names()) - there.keys())
        self._store.download({name: self.copy / name for name in self._work.changed(there)})
        self._work.fetched(there)

    def _there(self) -> dict[str, str]:
        """Those objects of the store that the working copy should have."""
        versions = self._store.versions()
        if versions.keys() - {WRITER} and MARK not in versions:
            raise StoreError(
                f"{self.url}: holds objects that this program did not make; they are left alone, use another --out"
            )
        names = filter(is_ours, versions)
        return {name: versions[name] for name in names if self._has_folders or not folder_of(name)}

    def _is_ahead(self) -> bool:
        """Whether this copy has all that the store has, or more: it took the folder, and did not let it go."""
        has_all = self._locks and self._work.is_whole and self._work.is_marked
        return has_all and self._writer.is_copy(self._work.id)

    def _let_go(self) -> None:
        if self._locks:
            self._writer.let_go(self._work.id)


def _place(url: str) -> Path:
    """Where this machine keeps the working copy of a folder."""
    words, digest = re.sub(r"\W+", "-", url)[-60:].strip("-"), hashlib.sha256(url.encode()).hexdigest()[:8]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / SCRIPT / f"{words}-{digest}"
