"""Loops compiled to machine code, where one pass does what would take array operations a pass each."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


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
        try:
            return cast(Function, numba.njit(function, cache=True, **options))
        except RuntimeError:  # no folder can be written to: it is compiled in every process
            return cast(Function, numba.njit(function, **options))

    return decorator
