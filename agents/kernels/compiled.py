"""Loops compiled to machine code, where one pass does what would take array operations a pass each."""

from collections.abc import Callable
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


def compiled(*freedoms: str) -> Callable[[Function], Function]:
    """Compile for the types of the arguments it is called with; the result is kept on disk for later processes.

    Nothing is checked in there: an index out of bounds reads and writes what lies there, and division by 0 gives
    infinity.

    Args:
        freedoms: how numbers may differ from Python's, in LLVM's words. None: not at all. "contract": a product
            and a sum may become one operation, rounded once. "reassoc" and "nsz": a sum may be taken in another
            order, always the same one for the same length. They stand in the file of the function they are said
            of, so numba, which looks at that alone, makes it anew when they change.
    """
    options: dict[str, Any] = {"fastmath": set(freedoms), "error_model": "numpy"}

    def decorator(function: Function) -> Function:
        if not is_compiling():
            return function
        try:
            dispatcher = numba.njit(function, cache=True, **options)
        except RuntimeError:  # no folder can be written to: it is compiled in every process
            return cast(Function, numba.njit(function, **options))
        dispatcher._cache._cache_file = _CheckedFile(dispatcher._cache._cache_file)
        return cast(Function, dispatcher)

    return decorator


_File: Any = IndexDataCacheFile


class _CheckedFile(_File):  # type: ignore[misc]
    """What numba keeps of a function, with a checksum behind it, which unpickling passes over. What is damaged
    counts as absent: it is made anew instead of being executed. So is what was compiled with other flags, of which
    numba itself remembers the processor alone."""

    def __init__(self, file: Any) -> None:
        stamp = file._source_stamp, flags()
        super().__init__(file._cache_path, file._index_name.removesuffix(".nbi"), stamp)

    def _dump(self, what: Any) -> bytes:
        data: bytes = super()._dump(what)
        return data + sha256(data).digest()

    def _load_index(self) -> dict[Any, str]:
        try:
            return cast(dict[Any, str], super()._load_index())
        except Exception:  # a damaged pickle may raise anything
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
            raise OSError(f"{name}: damaged")  # to numba: not there
        return super()._load_data(name)
