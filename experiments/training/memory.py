"""Keep the process's memory once it has it."""

import numpy as np

LARGEST = 32 * 2**20  # bytes up to which glibc follows the size of what is freed


def keep_freed_memory() -> None:
    """Let the C library hold on to what an update frees: the next one asks for it again.

    Else it goes back to the system, and hundreds of page faults an update fetch it anew. glibc keeps as much as
    twice the largest block that was ever freed (mallopt(3), M_MMAP_THRESHOLD), so one block of the largest size
    that counts is freed here, never touched. Other C libraries lose nothing by it.
    """
    np.empty(LARGEST - 2**16, dtype=np.uint8)
