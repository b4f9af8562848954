"""Writing what has changed in a working copy to its store."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import chain

from experiments.storage.object_store import ObjectStore
from experiments.storage.push_plan import Version, plan
from experiments.storage.working_copy import WorkingCopy

AT_ONCE = 32  # event files in memory
LOOKS = 5  # at files, some of which may be removed meanwhile


def push(work: WorkingCopy, store: ObjectStore) -> bool:
    """Write what has changed.

    Returns:
        False if files kept being removed, so that no consistent state could be written.
    Raises:
        StoreError: the store failed; the next call goes on from there.
    """
    for _ in range(LOOKS):
        with suppress(FileNotFoundError):  # a file was removed meanwhile
            here = work.held()
            break
    else:
        return False
    do = plan(here, work.known)
    store.remove(do.withdrawn)
    work.forget(do.withdrawn)
    if do.written:
        work.writing(chain.from_iterable(do.written))
    for names in do.written:
        versions = {name: here[name] for name in names}
        _put(versions, work, store)
        work.written(versions)
    store.remove(do.removed)
    work.forget(do.removed)
    work.save()
    return True


def _put(versions: Mapping[str, Version], work: WorkingCopy, store: ObjectStore) -> None:
    """Put files of one moment; those that grow only as far as they had grown then."""
    whole = {name: work.path_of_held(name) for name in versions if not _grows(name)}
    growing = [name for name in versions if _grows(name)]
    if whole:
        store.upload(whole)
    for some in (growing[i : i + AT_ONCE] for i in range(0, len(growing), AT_ONCE)):
        store.write({name: work.read_held(name, versions[name]) for name in some})


def _grows(name: str) -> bool:
    return "tfevents" in name
