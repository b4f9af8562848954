"""The copy on this machine of a folder in a store, and what is known of the two."""

import hashlib
import json
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

from experiments.storage.locked_folder import LockedFolder
from experiments.storage.owned_folder import MARK
from experiments.storage.push_plan import CHECKPOINT, RANKS, Version, folder_of, is_ours, rank
from experiments.storage.run_folder import SUMS
from experiments.storage.tree import Tree

STATE, COPY, HELD = "state.json", "copy", "outgoing"
MAX_BYTES = 1 << 28  # of the state


class Known(NamedTuple):
    """An object that came from the store, or that was written there from here."""

    here: Version | None  # of the file that it equals; None: it may be half written
    there: str | None  # as `ObjectStore.versions` has it; None: not asked since it was written


class _Base(LockedFolder):
    """The folder around a working copy."""

    OWN = re.compile(re.escape(STATE))
    FOLDERS = (HELD,)


class WorkingCopy:
    """An ordinary folder, with a state beside it that outlives the command.

    Attributes:
        path: the folder.
        id: names this copy in the store.
        is_whole: whether it was once equal to the store, so that what differs now was done here.
    """

    def __init__(self, place: Path) -> None:
        self._base = _Base(place)
        self.path = place / COPY
        self._tree = Tree(self.path)
        self.id, self.is_whole, self._known = uuid.uuid4().hex, False, dict[str, Known]()

    def locked(self) -> AbstractContextManager[None]:
        """Keep other commands of this machine away."""
        return self._base.locked()

    def load(self) -> None:
        """Read the state that the last command left."""
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            state = json.loads(self._base.read(STATE, MAX_BYTES))
            known = {name: Known(*each) for name, each in state["known"].items()}
            self.id, self.is_whole, self._known = state["id"], state["whole"], known

    def save(self, is_whole: bool | None = None) -> None:
        """Keep the state; `is_whole` as it is, or as given."""
        self.is_whole = self.is_whole if is_whole is None else is_whole
        self._base.write(STATE, json.dumps({"id": self.id, "whole": self.is_whole, "known": self._known}))

    @property
    def known(self) -> dict[str, Version | None]:
        """The objects that came from the store or were written there from here, and the files that they equal."""
        return {name: known.here for name, known in self._known.items()}

    def writing(self, names: Iterable[str]) -> None:
        """These files are about to be written: if the command is killed, the next one knows that it was us."""
        self._known = {name: Known(None, None) for name in names} | self._known
        self.save()

    def written(self, versions: Mapping[str, Version]) -> None:
        """These files have been written."""
        self._known |= {name: Known(version, None) for name, version in versions.items()}
        self.save()

    def forget(self, names: Iterable[str]) -> None:
        """The store has these objects no more."""
        for name in names:
            self._known.pop(name, None)

    def equals(self, there: Mapping[str, str]) -> None:
        """What is known is now in the store as these versions."""
        for name, known in self._known.items():
            self._known[name] = Known(known.here, known.there or there.get(name))
        self.save()

    def changed(self, there: Mapping[str, str]) -> list[str]:
        """Of the objects of the store those that differ from the files here."""
        here = self.versions()
        return [n for n, version in there.items() if self._known.get(n) != Known(here.get(n), version)]

    def fetched(self, there: Mapping[str, str]) -> None:
        """The copy equals the store, which holds these objects."""
        self._known = {name: Known(self.version(name), version) for name, version in there.items()}
        self.save(is_whole=True)

    @property
    def is_marked(self) -> bool:
        return (self.path / MARK).exists()

    def names(self) -> list[str]:
        """Its files that are ours."""
        return [name for name in self._tree.names() if is_ours(name)]

    def versions(self) -> dict[str, Version]:
        return {name: self.version(name) for name in self.names()}

    def version(self, name: str) -> Version:
        found = (self.path / name).lstat()
        return [found.st_size, found.st_mtime_ns, found.st_ino]

    def remove(self, names: Collection[str]) -> None:
        """Remove files, and the folders that are empty then."""
        folders = {str(folder) for name in names for folder in Path(name).parents[:-1]}
        for name in (*names, *sorted(folders, reverse=True)):
            self._tree.remove(name)

    def held(self) -> dict[str, Version]:
        """The files of one moment.

        Each that has changed since it was written to the store gets a second name, under which it stays as it is
        while training goes on. Those that vouch for others are seen first: what they refer to is there by then.

        Raises:
            FileNotFoundError: a file was removed meanwhile; look again.
        """
        for name in self._base.names(HELD):
            self._base.remove(name)
        here: dict[str, Version] = {}
        for vouches in (True, False):
            for name in (name for name in self.names() if (rank(name) >= CHECKPOINT) == vouches):
                here[name], known = self.version(name), self._known.get(name)
                if known is None or known.here != here[name]:
                    self._base.link(f"{COPY}/{name}", _second_name(name))
        if any(rank(name) >= RANKS[SUMS] and self.version(name) != version for name, version in here.items()):
            raise FileNotFoundError  # checksums and summary have to be of one moment
        newest = {folder_of(name): name for name in sorted(here) if rank(name) == CHECKPOINT}
        for name in newest.values():  # what a checkpoint refers to is removed only after it, as at the end
            self.version(name)
        return here

    def path_of_held(self, name: str) -> Path:
        return self._base.path / _second_name(name)

    def read_held(self, name: str, version: Version) -> bytes:
        """A file as it was then, even if more has been appended to it since."""
        return self._base.read(_second_name(name), version[0])


def _second_name(name: str) -> str:
    return f"{HELD}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
