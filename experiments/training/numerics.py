"""What the last bits of a number depend on besides the config: processor, compiler, libraries, their versions.

With the vector instructions of another processor, another kernel for matrix products or another version of a
library, the same sum may be rounded differently. All this is given in words, so that two machines can be compared.
"""

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import llvmlite.binding
import numpy as np
from numba.core.registry import cpu_target
from threadpoolctl import threadpool_info

from agents.kernels.compiled import flags

LIBRARIES = ("gymnasium", "torch", "numpy", "scipy", "numba", "llvmlite")
# Variables that steer libraries which do not say which of their kernels they have chosen.
VARIABLES = ("GLIBC_TUNABLES", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS")


@cache
def arithmetic(with_torch: bool) -> dict[str, str]:
    """Everything that decides how numbers are rounded in this process; docs/randomness.md says what may change it
    from outside.

    Args:
        with_torch: whether torch takes part, as it does where not all runs are compiled.
    """
    _, processor, features = cpu_target.target_context.codegen().magic_tuple()
    vectors = np.show_config(mode="dicts")["SIMD Extensions"]
    kernels = {f"{one['internal_api']} {one.get('architecture', '')}" for one in _blas()}
    return {
        "platform": f"{sys.platform} {platform.machine()}",
        "C library": " ".join(platform.libc_ver()),
        **{name: version(name) for name in LIBRARIES if name != "torch" or with_torch},
        "processor": llvmlite.binding.get_host_cpu_name(),
        "numba's processor": processor,
        "numba's instructions": " ".join(sorted(f[1:] for f in features.split(",") if f.startswith("+"))),
        "numba's flags": flags(),
        "NumPy's instructions": " ".join([*vectors["baseline"], *vectors.get("found", [])]),
        **({"torch's instructions": _torch_instructions()} if with_torch else {}),
        "BLAS kernels": " ".join(sorted(kernels)),
        "variables": " ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ),
    }


def _torch_instructions() -> str:
    import torch

    return torch.backends.cpu.get_cpu_capability()


def _blas() -> list[Mapping[str, str]]:
    return [library for library in threadpool_info() if library["user_api"] == "blas"]


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What has changed, in words; empty: nothing. A key that only one of the two has does not count: it comes from
    another version of this program."""
    both = [name for name in now if name in before]
    changes = {name: (_words(before[name], now[name]), _words(now[name], before[name])) for name in both}
    return "; ".join(f"{name} {_change(gone, new)}" for name, (gone, new) in changes.items() if gone or new)


def _words(text: str, other: str) -> str:
    """The words of a text that the other one does not have."""
    known = set(other.split())
    return " ".join(word for word in text.split() if word not in known)


def _change(gone: str, new: str) -> str:
    return f"{new} instead of {gone}" if gone and new else f"without {gone}" if gone else f"with {new}"
