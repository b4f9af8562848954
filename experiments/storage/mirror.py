"""A run folder in a store, as in s3://bucket/run, and its working copy on this machine.

Object stores cannot append, so a command works on a copy, which is an ordinary folder, and `push` writes what has
changed since. If a command is killed or the store fails, the copy is ahead of the store, and the next command goes
on with it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from experiments.config.commands import SCRIPT
from experiments.storage.object_store import Gone, ObjectStore
from experiments.storage.owned_folder import MARK, InUse
from experiments.storage.push_plan import is_ours, plan
from experiments.storage.sole_writer import WRITER, SoleWriter
from experiments.storage.stored_files import StoreError
from experiments.storage.working_copy import Known, WorkingCopy

AT_ONCE = 32  # event files in memory
LOOKS = 5  # at files, or at objects, some of which may be removed meanwhile


class Mirror:
    """A folder in a store, and its working copy.

    Attributes:
        copy: where the working copy is.
    """

    def __init__(self, url: str, locks: bool = True) -> None:
        """Name the folder; nothing is asked or written yet.

        Args:
            url: of any store that fsspec knows.
            locks: whether to keep other commands from writing there; False below a folder where that is done.
        """
        self._store, self._locks = ObjectStore(url), locks
        self.url = self._store.url
        words = re.sub(r"\W+", "-", self.url)[-60:].strip("-")
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:8]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        self._work = WorkingCopy(cache / SCRIPT / f"{words}-{digest}")
        self.copy = self._work.path

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other commands from writing there, with the working copy up to date, until `finish`.

        Raises:
            StoreError: the store cannot be used, another command writes there, or the folder is somebody else's.
        """
        with self._work.locked():
            if self._is_ahead():
                versions, known = self._store.versions(), self._work.known
                self._work.known = {name: known.get(name, Known(None, None)) for name in versions if is_ours(name)}
                self.push()
            else:
                self._work.saved(is_whole=False)  # first, so that after a kill it knows the object as its own
                if self._locks:
                    self._writer.take()
                try:
                    self._fetch()
                except BaseException:
                    with suppress(StoreError):
                        self._let_go()
                    raise
            yield

    def finish(self) -> None:
        """Write what is not there yet, and let other commands write.

        Raises:
            StoreError: the store failed; it can be called again.
        """
        if not self.push():
            raise StoreError(f"{self.copy}: files keep being removed there, so it cannot be written to {self.url}")
        versions = self._store.versions()
        for name, known in self._work.known.items():
            self._work.known[name] = Known(known.here, known.there or versions.get(name))
        self._work.saved()
        self._let_go()

    def fetch(self) -> Path:
        """The working copy, up to date for reading; left as it is while a command of this machine writes to it.

        Raises:
            StoreError: the store cannot be used, or the folder is somebody else's.
        """
        with suppress(InUse), self._work.locked():
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
        for _ in range(LOOKS):
            with suppress(FileNotFoundError):  # a file was removed meanwhile
                here = self._work.held()
                break
        else:
            return False
        do = plan(here, {name: known.here for name, known in self._work.known.items()})
        self._remove(do.withdrawn)
        for names in do.written:
            whole = {name: self._work.path_of_held(name) for name in names if not _grows(name)}
            growing = [name for name in names if _grows(name)]
            if whole:
                self._store.upload(whole)
            for some in (growing[i : i + AT_ONCE] for i in range(0, len(growing), AT_ONCE)):
                self._store.write({name: self._work.read_held(name, here[name]) for name in some})
            self._work.known |= {name: Known(here[name], None) for name in names}
            self._work.saved()
        self._remove(do.removed)
        self._work.saved()
        return True

    def _remove(self, names: list[str]) -> None:
        self._store.remove(names)
        for name in names:
            self._work.known.pop(name, None)

    def _fetch(self) -> None:
        """Make the working copy equal to the store."""
        versions = self._store.versions()
        if versions.keys() - {WRITER} and MARK not in versions:
            raise StoreError(
                f"{self.url}: holds objects that this program did not make; they are left alone, use another --out"
            )
        there = {name: version for name, version in versions.items() if is_ours(name)}
        self._work.saved(is_whole=False)
        here = self._work.versions()
        self._work.remove(here.keys() - there.keys())
        wanted = [n for n, version in there.items() if self._work.known.get(n) != Known(here.get(n), version)]
        self._store.download({name: self.copy / name for name in wanted})
        self._work.known = {name: Known(self._work.version(name), version) for name, version in there.items()}
        self._work.saved(is_whole=True)

    @property
    def _writer(self) -> SoleWriter:
        return SoleWriter(self._store, self._work.id)

    def _is_ahead(self) -> bool:
        """Whether this copy has all that the store has, or more: it took the folder, and did not let it go."""
        return self._locks and self._work.is_whole and self._work.is_marked and self._writer.is_this

    def _let_go(self) -> None:
        if self._locks:
            self._writer.let_go()


def _grows(name: str) -> bool:
    return "tfevents" in name
