"""Loops compiled to machine code, where one pass does what would take array operations a pass each."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile for the types of the arguments it is called with; the result is kept on disk for later processes.

    Numbers come out as in Python. Nothing is checked in there: an index out of bounds reads and writes what lies
    there, and division by 0 gives infinity.
    """
    return _compiled(function, set())


def contracted(function: Function) -> Function:
    """As `compiled`; a product and a sum may become one operation, rounded once."""
    return _compiled(function, {"contract"})


def reordered(function: Function) -> Function:
    """As `contracted`; a sum may be taken in another order, always the same one for the same length."""
    return _compiled(function, {"contract", "reassoc", "nsz"})


def _compiled(function: Function, flags: set[str]) -> Function:
    options: dict[str, Any] = {"fastmath": flags, "error_model": "numpy"}
    try:
        return cast(Function, numba.njit(function, cache=True, **options))
    except RuntimeError:  # no folder can be written to: it is compiled in every process
        return cast(Function, numba.njit(function, **options))
