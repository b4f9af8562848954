"""What is compiled is kept on disk, and must be made anew when anything in it changes."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import pytest
from numba.core.dispatcher import Dispatcher

import agents.kernels.compiled
import envs
import experiments
from agents.kernels.compiled import compiled, digest

KERNELS = agents.kernels.compiled.__name__.rpartition(".")[0]
MODULES = [
    module.name
    for package in (agents, envs, experiments)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if module.name != "experiments.session.on_ray" or importlib.util.find_spec("ray")  # an extra
]


def compiled_in(module: str) -> dict[str, FunctionType]:
    """The compiled functions that a module knows, its own and those it imports."""
    found = vars(importlib.import_module(module))
    return {name: value.py_func for name, value in found.items() if isinstance(value, Dispatcher)}


def test_there_is_something_compiled() -> None:
    assert "compiled" not in compiled_in("agents.kernels.compiled")
    with_some = {module for module in MODULES if compiled_in(module)}
    assert {"agents.kernels.network", "agents.kernels.optimizers"} <= with_some


@pytest.mark.parametrize("module", MODULES)
def test_compiled_functions_use_what_the_digest_covers(module: str) -> None:
    """Code that is kept on disk is made of a function, of those it calls and of their constants; a change in
    a file of another folder than theirs and the kernels' would go unnoticed."""
    own = {n: f for n, f in compiled_in(module).items() if f.__module__ == module}
    if not own:
        return
    source = ast.parse(Path(own.popitem()[1].__code__.co_filename).read_text())
    folder = module.rpartition(".")[0]
    imported = {
        alias.asname or alias.name: node.module
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.partition(".")[0] in ("agents", "envs", "experiments")
    }
    for function in compiled_in(module).values():
        if function.__module__ == module:
            for name in set(function.__code__.co_names) & imported.keys():
                assert imported[name].rpartition(".")[0] in (folder, KERNELS), f"{module}: {name}"


@pytest.mark.parametrize("module", MODULES)
def test_what_counts_no_references_makes_and_returns_no_arrays(module: str) -> None:
    """numba itself refuses to make an array in such a function, but not to return one, which would be freed while
    in use. Formulas say what they return in their annotations."""
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, Dispatcher) and not value.targetoptions.get("_nrt", True):
            returned = str(inspect.signature(value.py_func).return_annotation)
            assert not re.search("Array|ndarray|Ints|Mask|Places|Policy|Any", returned), f"{module}.{name}"


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


CALLEE = """
from agents.kernels.compiled import compiled

FACTOR = 2.0


@compiled()
def multiplied(x):
    return FACTOR * x
"""

KEPT = """
from agents.kernels.compiled import compiled
from callee import FACTOR, multiplied


@compiled()
def kept(x):
    return multiplied(x) - FACTOR
"""


class Kept:
    """A compiled function that calls one of another file; machine code lies beside its module."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        (folder / "kept.py").write_text(KEPT)
        (folder / "callee.py").write_text(CALLEE)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)  # by the second, while the test changes files faster

    def set_factor(self, factor: float) -> None:
        """Change the callee alone."""
        (self._folder / "callee.py").write_text(CALLEE.replace("FACTOR = 2.0", f"FACTOR = {factor}"))

    def comes_from(self, expected: float = 4.0) -> str:
        """Where a new process would have the function from; it computes what it should in either case."""
        digest.cache_clear()
        for name in ("kept", "callee"):
            sys.modules.pop(name, None)
        module = importlib.import_module("kept")
        assert module.kept(3.0) == expected
        return "the disk" if module.kept.stats.cache_hits else "the compiler"

    def file(self, kind: str) -> Path:
        """What is kept of the function itself."""
        (found,) = self._folder.rglob(f"kept*.{kind}")
        return found


def test_damaged_code_is_made_anew_and_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, rng = Kept(tmp_path, monkeypatch), random.Random(0)
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
    kept = Kept(tmp_path, monkeypatch)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 1 - numba.config.LOOP_VECTORIZE)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]


def test_a_change_in_what_is_called_is_never_overlooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch)
    assert [kept.comes_from(), kept.comes_from()] == ["the compiler", "the disk"]
    for factor in (5.0, 2.0):
        kept.set_factor(factor)
        expected = factor * 3.0 - factor
        assert [kept.comes_from(expected), kept.comes_from(expected)] == ["the compiler", "the disk"]


def test_code_that_another_process_put_in_its_place_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes with other sources or flags each, one writes the index, then the other its code."""
    kept = Kept(tmp_path, monkeypatch)
    assert kept.comes_from() == "the compiler"
    of_two = kept.file("nbc").read_bytes()
    kept.set_factor(5.0)
    assert kept.comes_from(10.0) == "the compiler"
    kept.file("nbc").write_bytes(of_two)
    assert [kept.comes_from(10.0), kept.comes_from(10.0)] == ["the compiler", "the disk"]
