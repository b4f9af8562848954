"""Failures that are said in one line instead of a traceback. This module imports nothing heavy."""

import errno

OUT_OF_MEMORY = "not enough memory: fewer seeds, episodes_per_update, updates or steps need less"


class Failure(Exception):
    """A command ends with this message.

    Attributes:
        status: of the command: 2 where what was asked for is refused, 1 where it could not be done.
    """

    status = 2

    def __init__(self, message: object = "", status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


def explained(error: BaseException) -> Failure | None:
    """What a user can make of an error; None: it is a mistake of this program, and its traceback is needed."""
    if isinstance(error, Failure):
        return error
    if is_out_of_memory(error):
        return Failure(OUT_OF_MEMORY, status=1)
    if isinstance(error, OSError):
        from experiments.mistakes import one_line  # only now: commands begin with this module

        place = "" if error.filename is None else f"{error.filename}: "
        return Failure(one_line(f"{place}{error.strerror or error}"), status=1)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: in Python, NumPy, Arrow and numba, in torch, or in the system."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    in_torch = isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in str(error) or "bad_alloc" in str(error)
    )
    return isinstance(error, MemoryError) or in_torch
