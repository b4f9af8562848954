"""Arrays from a safetensors file that may come from a stranger: anything wrong with it is a ValueError."""

import json
from collections.abc import Mapping
from typing import Any

import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError


def arrays_of(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name. They never take more memory than the file is long.

    Raises:
        ValueError: it is not such a file, or has types that NumPy lacks.
    """
    try:
        return safetensors.numpy.load(data)
    except (SafetensorError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no arrays ({type(error).__name__}: {error})") from None


def grouped(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Arrays with names as in "arm/seed_3/logits", by the first part of the name and then by the rest."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        first, _, rest = name.partition("/")
        found.setdefault(first, {})[rest] = array
    return found


def metadata_of(data: bytes, name: str) -> str:
    """A text that was stored beside the arrays.

    Raises:
        ValueError: there is none.
    """
    try:
        text = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"][name]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"no metadata {name!r} ({type(error).__name__})") from None
    if not isinstance(text, str):
        raise ValueError(f"its metadata {name!r} is not text")
    return text
