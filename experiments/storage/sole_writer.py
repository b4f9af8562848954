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
    """The working copy of this id, as the only one that is written to the store."""

    def __init__(self, store: ObjectStore, own_id: str) -> None:
        self._store, self._id = store, own_id

    @property
    def is_this(self) -> bool:
        return self._who().get("id") == self._id

    def take(self) -> None:
        """Become the one who writes there.

        Raises:
            StoreError: it is another one, or the store cannot be used.
        """
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        about = {"id": self._id, "machine": platform.node(), "process": os.getppid(), "since": since}
        if not self._who():
            self._store.create(WRITER, json.dumps(about).encode())
        if (writer := self._who()).get("id") == self._id:
            return
        machine, process, since = (one_line(writer.get(key, "?"), 100) for key in ("machine", "process", "since"))
        store = self._store
        raise StoreError(
            f"{store.url}: another command is writing there (on {machine}, process {process}, since {since}); "
            "wait for it or use another --out. If it was killed, go on from that machine, or remove "
            f"{store.url}/{WRITER} and lose what was not written yet"
        )

    def let_go(self) -> None:
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
