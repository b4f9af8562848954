"""What is compiled is kept on disk, and must be made anew when anything in it changes."""

import importlib
import importlib.util
import pkgutil
import random
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import pytest
from numba.core.dispatcher import Dispatcher

import agents
import envs
import experiments
from agents.kernels.compiled import compiled

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (agents, envs, experiments)
    for module in pkgutil.iter_modules(package.__path__)
]


def compiled_in(module: str) -> dict[str, FunctionType]:
    """The compiled functions that a module knows, its own and those it imports."""
    found = vars(importlib.import_module(module))
    return {name: value.py_func for name, value in found.items() if isinstance(value, Dispatcher)}


def test_there_is_something_compiled() -> None:
    assert "_forward" in compiled_in("agents.kernels.network")
    assert "_play" in compiled_in("experiments.training.finite.rollout")


@pytest.mark.parametrize("module", MODULES)
def test_compiled_functions_call_none_of_another_file(module: str) -> None:
    """numba makes a function anew when its own file has changed; a change elsewhere would go unnoticed."""
    known = compiled_in(module)
    for function in known.values():
        if function.__module__ == module:
            for name in set(function.__code__.co_names) & known.keys():
                assert known[name].__module__ == module, f"{module}.{function.__name__} calls {name}"


def test_without_a_folder_to_write_to_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    right = numba.njit

    def njit(function: Callable[..., Any], cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return right(function, **options)

    monkeypatch.setattr(numba, "njit", njit)

    @compiled()
    def doubled(x: float) -> float:
        return 2 * x

    assert doubled(1.5) == 3.0


KEPT = """
from agents.kernels.compiled import compiled


@compiled()
def twice(x):
    return 2 * x
"""


class Kept:
    """A compiled function whose machine code lies beside its module."""

    def __init__(self, folder: Path) -> None:
        self._source = folder / "kept.py"
        self._source.write_text(KEPT)

    def comes_from(self) -> str:
        """Where a new process would have the function from; it computes what it should in either case."""
        spec = importlib.util.spec_from_file_location("kept", self._source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.twice(3.0) == 6.0
        return "the disk" if module.twice.stats.cache_hits else "the compiler"

    def file(self, kind: str) -> Path:
        (found,) = self._source.parent.rglob(f"*.{kind}")
        return found


def test_damaged_code_is_made_anew_and_never_executed(tmp_path: Path) -> None:
    kept, rng = Kept(tmp_path), random.Random(0)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]
    for kind in ("nbi", "nbc"):
        whole = kept.file(kind).read_bytes()
        damaged = [b"", whole[:1], whole[: len(whole) // 2], whole[:-1], rng.randbytes(len(whole)), b"\0" * 9]
        if kind == "nbc":
            places = [rng.randrange(len(whole)) for _ in range(6)]
            damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
        for content in damaged:
            kept.file(kind).write_bytes(content)
            # What is cut off behind the index is its checksum alone, which nobody needs.
            harmless = kind == "nbi" and content == whole[:-1]
            assert kept.comes_from() == ("the disk" if harmless else "the compiler"), (kind, content[:20])
            assert kept.comes_from() == "the disk"


def test_code_of_other_flags_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 1 - numba.config.LOOP_VECTORIZE)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]
