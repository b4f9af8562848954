"""Arithmetic as libraries come, on one thread: whatever the environment, or whoever calls, has asked of them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg.cython_blas  # noqa: F401  (the BLAS of compiled code; only what is loaded can be limited)
from threadpoolctl import threadpool_limits


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """One thread of BLAS, and torch's own defaults; afterwards all is as it was.

    Two threads share a sum, and round it otherwise than one. For these shapes they gain little, and they collapse
    when anything else is running. A training that needs torch loads it: then this has to be said once more.
    """
    with threadpool_limits(1, "blas"), _plain_torch():
        yield


@contextmanager
def _plain_torch() -> Iterator[None]:
    """One thread, numbers and device as torch comes; where it is not loaded, nobody has changed that."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    if device.type != "cpu":
        torch.set_default_device(None)  # "cpu" would be asked for in every operation
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)
