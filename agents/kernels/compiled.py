"""Loops compiled to machine code: one pass over the data, where array operations would take one pass each."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import IndexDataCacheFile

Function = TypeVar("Function", bound=Callable[..., object])

DIGEST = 32  # bytes of a SHA-256
# Settings of numba, such as NUMBA_OPT, that change its machine code; USING_SVML says whether it found Intel's
# vector functions.
FLAGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "USING_SVML")


def is_compiling() -> bool:
    """Whether anything is compiled: NUMBA_DISABLE_JIT, a debugging aid, turns it off."""
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def flags() -> str:
    """The flags that, with the processor, decide a function's machine code, as in "OPT=3 ENABLE_AVX=1"."""
    return " ".join(f"{name}={int(getattr(numba.config, name))}" for name in FLAGS)


def compiled(*freedoms: str, inlined: bool = False, makes_arrays: bool = False) -> Callable[[Function], Function]:
    """Compile for the types of the arguments it is called with; the result is kept on disk for later processes.

    It runs without the interpreter's lock, so threads may share the work. It checks nothing: an index out of
    bounds reads or writes other memory, and division by 0 gives infinity.

    A compiled function may call others of its own folder and of this one, and use their constants: the code on
    disk is used only as long as no file in the two folders has changed.

    Args:
        freedoms: how numbers may differ from Python's, as flags of LLVM. Without any: not at all. "contract": a
            product and a sum may become one operation, rounded once. "reassoc" and "nsz": a sum may be taken in
            another order, always the same one for the same length.
        inlined: whether it becomes a part of every compiled function that calls it; it is then not compiled by
            itself, which saves time.
        makes_arrays: whether it makes an array, or returns one or a view of one. If not, it counts no references
            to the arrays it is given: counting takes longer than many a loop, and others keep the arrays.
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
            "_nrt": inlined or makes_arrays,
        }
        try:
            dispatcher = numba.njit(function, cache=True, **options)
        except RuntimeError:  # no writable folder: every process compiles it
            return cast(Function, numba.njit(function, **options))
        stamp = digest(Path(function.__code__.co_filename).parent), flags()
        dispatcher._cache._cache_file = _CheckedFile(dispatcher._cache._cache_file, stamp)
        return cast(Function, dispatcher)

    return decorator


def compile_for(function: Any, *arguments: object) -> None:
    """Compile a compiled function for the types of these arguments, or load it, without calling it."""
    function.compile(tuple(map(numba.typeof, arguments)))


def is_missing(function: Any) -> bool:
    """Whether the disk, which could keep machine code of a compiled function, has none from these sources."""
    # Where nothing is compiled there is no cache, and without a writable folder it has no file.
    file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    return file is not None and not file._load_index()


@cache
def digest(folder: Path) -> str:
    """SHA-256 of all sources on which the machine code of a folder may depend: those in it, and those in this
    folder.

    numba itself checks only the file of a function, not those of the functions that it calls.
    """
    found = sha256()
    for source in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        content = source.read_bytes()
        found.update(f"{source.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


_File: Any = IndexDataCacheFile


class _CheckedFile(_File):  # type: ignore[misc]
    """numba's files for a function, with a checksum at the end, which unpickling ignores.

    A damaged file counts as missing: its function is compiled again. So does a file from other sources or flags.
    The index has a stamp of both, and the checksum of the code covers the stamp, since another process may have
    replaced the code that an index names.
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
            raise OSError(f"{name}: damaged, or of another stamp")  # for numba: missing
        return super()._load_data(name)
