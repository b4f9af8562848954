"""Loops compiled to machine code, where one pass does what would take array operations a pass each."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import IndexDataCacheFile

Function = TypeVar("Function", bound=Callable[..., object])

DIGEST = 32  # bytes of a SHA-256
# Settings of numba, NUMBA_OPT and so on, that change its machine code; USING_SVML says whether it found Intel's
# vector functions.
FLAGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "USING_SVML")


def is_compiling() -> bool:
    """Whether anything is compiled at all: NUMBA_DISABLE_JIT, a debugging aid, turns it off."""
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def flags() -> str:
    """What decides, beside the processor, which machine code comes of a function, as in "OPT=3 ENABLE_AVX=1"."""
    return " ".join(f"{name}={int(getattr(numba.config, name))}" for name in FLAGS)


def compiled(*freedoms: str, inlined: bool = False) -> Callable[[Function], Function]:
    """Compile for the types of the arguments it is called with; the result is kept on disk for later processes.

    It runs without the interpreter's lock, so threads may share the work. Nothing is checked in there: an index
    out of bounds reads and writes what lies there, and division by 0 gives infinity.

    A compiled function may call others of its own folder and of this one, and use their constants: what is kept on
    disk counts only as long as no file of the two folders has changed.

    Args:
        freedoms: how numbers may differ from Python's, in LLVM's words. None: not at all. "contract": a product
            and a sum may become one operation, rounded once. "reassoc" and "nsz": a sum may be taken in another
            order, always the same one for the same length.
        inlined: it becomes a part of every compiled function that calls it, and is not compiled by itself, which
            saves time.
    """

    def decorator(function: Function) -> Function:
        if not is_compiling():
            return function
        options: dict[str, Any] = {
            "fastmath": set(freedoms),
            "error_model": "numpy",
            "nogil": True,
            "inline": "always" if inlined else "never",
            "no_cfunc_wrapper": True,
        }
        try:
            dispatcher = numba.njit(function, cache=True, **options)
        except RuntimeError:  # no folder can be written to: it is compiled in every process
            return cast(Function, numba.njit(function, **options))
        stamp = digest(Path(function.__code__.co_filename).parent), flags()
        dispatcher._cache._cache_file = _CheckedFile(dispatcher._cache._cache_file, stamp)
        return cast(Function, dispatcher)

    return decorator


@cache
def digest(folder: Path) -> str:
    """SHA-256 of all sources that machine code of a folder may be made of: those in it and those beside this one.

    numba alone looks at the file of a function, not at those of the functions that it calls.
    """
    found = sha256()
    for source in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        content = source.read_bytes()
        found.update(f"{source.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


_File: Any = IndexDataCacheFile


class _CheckedFile(_File):  # type: ignore[misc]
    """What numba keeps of a function, with a checksum behind it, which unpickling passes over.

    What is damaged counts as absent: it is made anew instead of being executed. So does what was made of other
    sources or with other flags: the index carries a stamp that says which, and the checksum of the code covers the
    stamp, since another process may have put its own code in the place that an index names.
    """

    def __init__(self, file: Any, stamp: tuple[str, str]) -> None:
        super().__init__(file._cache_path, file._index_name.removesuffix(".nbi"), stamp)

    def _checksum(self, content: bytes) -> bytes:
        return sha256(repr(self._source_stamp).encode() + content).digest()

    def _dump(self, what: Any) -> bytes:
        data: bytes = super()._dump(what)
        return data + self._checksum(data)

    def _load_index(self) -> dict[Any, str]:
        try:
            return cast(dict[Any, str], super()._load_index())
        except Exception:  # a damaged pickle may raise anything
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if self._checksum(content[:-DIGEST]) != content[-DIGEST:]:
            raise OSError(f"{name}: damaged, or of another stamp")  # to numba: not there
        return super()._load_data(name)
