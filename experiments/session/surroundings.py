"""One thread, and the default settings of libraries, whatever the environment or the caller has set."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg.cython_blas  # noqa: F401  (the BLAS of compiled code; only what is loaded can be limited)
from threadpoolctl import threadpool_limits


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Use one thread in BLAS, and torch's own defaults; afterwards everything is as it was.

    Two threads would round a sum differently from one. For these shapes they gain little, and they are very slow
    when anything else is running. A training that loads torch has to enter this context once more.
    """
    with threadpool_limits(1, "blas"), _plain_torch():
        yield


@contextmanager
def _plain_torch() -> Iterator[None]:
    """One thread, torch's default number type and device, and gradients; if torch is not loaded, nothing can have
    changed."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    device = torch.empty(0).device  # in torch 2.6 get_default_device fails once a default was taken back
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    if device.type != "cpu":
        torch.set_default_device(None)  # even "cpu" would slow down every operation
    try:
        # The first switches gradients on as well. A gradient that is not a number stops its run alone.
        with torch.inference_mode(False), torch.autograd.set_detect_anomaly(False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)
