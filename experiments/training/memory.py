"""Keep freed memory in the process."""

import numpy as np

MAX_BLOCK = 32 * 2**20  # bytes; the largest freed block to which glibc adapts


def keep_freed_memory() -> None:
    """Let the C library keep the memory that an update frees, since the next update needs it again.

    Otherwise it goes back to the system, and every update takes hundreds of page faults to get it again. glibc
    keeps up to twice the largest block that was ever freed (mallopt(3), M_MMAP_THRESHOLD). So one block of the
    largest size that counts is allocated and freed here, without being touched. With other C libraries this does
    no harm.
    """
    np.empty(MAX_BLOCK - 2**16, dtype=np.uint8)
