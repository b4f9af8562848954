"""What is compiled is kept on disk, and must be made anew when anything in it changes."""

import importlib
import pkgutil
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import pytest
from numba.core.dispatcher import Dispatcher

import agents
import envs
import experiments
from agents.compiled import compiled

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
    assert "_forward" in compiled_in("agents.layers")
    assert "_play" in compiled_in("experiments.rollout")


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
