"""Failures that end in one line instead of a traceback. This module imports nothing heavy."""

import errno

OUT_OF_MEMORY = "not enough memory; use fewer seeds, episodes_per_update, updates or steps"


class Failure(Exception):
    """An error that ends a command with this message.

    Attributes:
        status: exit status of the command: 2 if it refused the request, 1 if it could not carry it out.
    """

    status = 2

    def __init__(self, message: object = "", status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


def explained(error: BaseException) -> Failure | None:
    """The error as a message for the user; None: it is a mistake in this program, so its traceback is needed."""
    if isinstance(error, Failure):
        return error
    if is_out_of_memory(error):
        return Failure(OUT_OF_MEMORY, status=1)
    if isinstance(error, OSError):
        from experiments.config.mistakes import one_line  # late: every command begins with this module

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
