"""A run folder in a store, as in s3://bucket/run, and its working copy on this machine.

Object stores cannot append, so a command works on a copy, which is an ordinary folder, and `push` writes what has
changed since. One command at a time may write: it makes an object that nobody else has made, and removes it when
everything is written. Whoever leaves it behind, by a kill or because the store failed, has a copy that is ahead of
the store, and goes on with that.
"""

import hashlib
import json
import os
import platform
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config.commands import SCRIPT
from experiments.config.mistakes import one_line
from experiments.storage.object_store import Gone, ObjectStore
from experiments.storage.owned_folder import MARK, InUse, OwnedFolder
from experiments.storage.push_plan import CHECKPOINT, RANKS, Version, is_ours, plan, rank
from experiments.storage.run_folder import SUMS
from experiments.storage.stored_files import StoreError
from experiments.storage.tree import Tree

WRITER = ".writer.json"  # the object that says who writes
STATE, COPY, OUTGOING = "state.json", "copy", "outgoing"
MAX_BYTES = 1 << 28  # of the state
AT_ONCE = 32  # event files in memory
LOOKS = 5  # at files, or at objects, some of which may be removed meanwhile


class Known(NamedTuple):
    """A file that the store and the working copy had in common."""

    here: Version | None
    there: str | None  # as `ObjectStore.versions` has it; None: not asked since it was written


class _Base(OwnedFolder):
    """The folder around a working copy."""

    KIND = "working copy"
    OWN = re.compile(re.escape(STATE))
    FOLDERS = (OUTGOING,)


class Mirror:
    """A folder in a store, and its working copy.

    Attributes:
        copy: the working copy.
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
        self._base = _Base(cache / SCRIPT / f"{words}-{digest}")
        self.copy = self._base.path / COPY
        self._tree = Tree(self.copy)
        self._id, self._is_whole, self._known = uuid.uuid4().hex, False, dict[str, Known]()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other commands from writing there, with the working copy up to date, until `finish`.

        Raises:
            StoreError: the store cannot be used, another command writes there, or the folder is somebody else's.
        """
        with self._base.locked():
            self._load()
            if self._is_ahead():
                versions = self._store.versions()
                self._known = {n: self._known.get(n, Known(None, None)) for n in versions if is_ours(n)}
                self.push()
            else:
                self._take()
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
            raise StoreError(f"{self.copy}: files are removed there, so it cannot be written to {self.url}")
        versions = self._store.versions()
        for name, known in self._known.items():
            self._known[name] = Known(known.here, known.there or versions.get(name))
        self._save()
        self._let_go()

    def fetch(self) -> Path:
        """The working copy, up to date for reading; left as it is while a command of this machine writes to it.

        Raises:
            StoreError: the store cannot be used, or the folder is somebody else's.
        """
        with suppress(InUse), self._base.locked():
            self._load()
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
            False if files were removed there all the time, so that there was no moment to be written.
        Raises:
            StoreError: the store failed; the next call goes on from there.
        """
        for _ in range(LOOKS):
            with suppress(FileNotFoundError):  # a file was removed meanwhile
                here = self._look()
                break
        else:
            return False
        do = plan(here, {name: known.here for name, known in self._known.items()})
        self._remove(do.withdrawn)
        for names in do.written:
            whole = {name: self._base.path / _outgoing(name) for name in names if not _grows(name)}
            growing = [name for name in names if _grows(name)]
            if whole:
                self._store.upload(whole)
            for some in (growing[i : i + AT_ONCE] for i in range(0, len(growing), AT_ONCE)):
                self._store.write({name: self._base.read(_outgoing(name), here[name][0]) for name in some})
            self._known |= {name: Known(here[name], None) for name in names}
            self._save()
        self._remove(do.removed)
        self._save()
        return True

    def _look(self) -> dict[str, Version]:
        """The files of the working copy. Each that has changed gets a second name, under which it stays as it is
        while training goes on. Those that vouch for others are seen first: what they refer to is there by then."""
        for name in self._base.names(OUTGOING):
            self._base.remove(name)
        here: dict[str, Version] = {}
        for vouches in (True, False):
            for name in (name for name in self._names() if (rank(name) >= CHECKPOINT) == vouches):
                here[name], known = self._version(name), self._known.get(name)
                if known is None or known.here != here[name]:
                    self._base.link(f"{COPY}/{name}", _outgoing(name))
        if any(rank(name) >= RANKS[SUMS] and self._version(name) != version for name, version in here.items()):
            raise FileNotFoundError  # checksums and summary have to be of one moment
        return here

    def _remove(self, names: list[str]) -> None:
        self._store.remove(names)
        for name in names:
            self._known.pop(name, None)

    def _fetch(self) -> None:
        """Make the working copy equal to the store."""
        versions = self._store.versions()
        if versions.keys() - {WRITER} and MARK not in versions:
            raise StoreError(
                f"{self.url}: holds objects that this program did not make; they are left alone, use another --out"
            )
        there = {name: version for name, version in versions.items() if is_ours(name)}
        self._is_whole = False
        self._save()
        here = {name: self._version(name) for name in self._names()}
        for name in here.keys() - there.keys():
            self._tree.remove(name)
        for folder in sorted({str(folder) for name in here for folder in Path(name).parents[:-1]}, reverse=True):
            self._tree.remove(folder)  # if it is empty now
        wanted = [n for n, version in there.items() if self._known.get(n) != Known(here.get(n), version)]
        self._store.download({name: self.copy / name for name in wanted})
        self._known = {name: Known(self._version(name), version) for name, version in there.items()}
        self._is_whole = True
        self._save()

    def _names(self) -> list[str]:
        return [name for name in self._tree.names() if is_ours(name)]

    def _version(self, name: str) -> Version:
        found = (self.copy / name).lstat()
        return [found.st_size, found.st_mtime_ns, found.st_ino]

    def _load(self) -> None:
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            state = json.loads(self._base.read(STATE, MAX_BYTES))
            known = {name: Known(*each) for name, each in state["known"].items()}
            self._id, self._is_whole, self._known = state["id"], state["whole"], known

    def _save(self) -> None:
        state = {"id": self._id, "whole": self._is_whole, "known": self._known}
        self._base.write(STATE, json.dumps(state))

    def _is_ahead(self) -> bool:
        """Whether this copy has all that the store has, or more: it took the folder, and did not let it go."""
        might_be = self._locks and self._is_whole and (self.copy / MARK).exists()
        return might_be and self._writer().get("id") == self._id

    def _writer(self) -> dict[str, Any]:
        """Who writes there; empty: nobody."""
        data = self._store.read(WRITER)
        if data is None:
            return {}
        with suppress(ValueError):
            found = json.loads(data)
            if isinstance(found, dict) and found:
                return found
        return {"id": None}

    def _take(self) -> None:
        """Become the one who writes there."""
        if not self._locks:
            return
        self._is_whole = False
        self._save()  # first, so that after a kill this copy knows the object as its own
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        about = {"id": self._id, "machine": platform.node(), "process": os.getppid(), "since": since}
        if not self._writer():
            self._store.create(WRITER, json.dumps(about).encode())
        if (writer := self._writer()).get("id") == self._id:
            return
        machine, process, since = (one_line(writer.get(key, "?"), 100) for key in ("machine", "process", "since"))
        raise StoreError(
            f"{self.url}: another command is writing there (on {machine}, process {process}, since {since}); wait "
            "for it or use another --out. If it was killed, go on from that machine, or remove "
            f"{self.url}/{WRITER}, and with it what was not written yet"
        )

    def _let_go(self) -> None:
        if self._locks:
            self._store.remove([WRITER])


def _grows(name: str) -> bool:
    return "tfevents" in name


def _outgoing(name: str) -> str:
    return f"{OUTGOING}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
