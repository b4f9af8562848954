"""One command at a time writes to a folder in a store: it makes an object that nobody else has made.

If a command is killed or the store fails, the object stays. The next command with the same working copy knows it
as its own and goes on.
"""

import json
import os
import platform
import time
from contextlib import suppress
from typing import Any

from experiments.config.mistakes import one_line
from experiments.storage.object_store import ObjectStore
from experiments.storage.stored_files import StoreError

WRITER = ".writer.json"  # the object that says who writes


class SoleWriter:
    """The working copy that is written to a store, as the only one."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def is_copy(self, own_id: str) -> bool:
        """Whether it is the copy of this id."""
        return self._who().get("id") == own_id

    def take(self, own_id: str) -> None:
        """Let it be the copy of this id.

        Raises:
            StoreError: it is another one, or the store cannot be used.
        """
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        about = {"id": own_id, "machine": platform.node(), "process": os.getppid(), "since": since}
        if not self._who():
            self._store.create(WRITER, json.dumps(about).encode())
        if (writer := self._who()).get("id") == own_id:
            return
        machine, process, since = (one_line(writer.get(key, "?"), 100) for key in ("machine", "process", "since"))
        store = self._store
        raise StoreError(
            f"{store.url}: another command is writing there (on {machine}, process {process}, since {since}); "
            "wait for it or use another --out. If it was killed, go on from that machine, or remove "
            f"{store.url}/{WRITER} and lose what was not written yet"
        )

    def let_go(self, own_id: str) -> None:
        """Let it be none, if it is the copy of this id: an attempt that seemed to fail may have done so before."""
        if self.is_copy(own_id):
            self._store.remove([WRITER])

    def _who(self) -> dict[str, Any]:
        """Who writes there; empty: nobody."""
        data = self._store.read(WRITER)
        if data is None:
            return {}
        with suppress(ValueError):
            found = json.loads(data)
            if isinstance(found, dict) and found:
                return found
        return {"id": None}
