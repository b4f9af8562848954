"""Compiled functions as Python runs them: what is put in the place of one that they call is then noticed."""

from types import ModuleType

import pytest
from numba.core.dispatcher import Dispatcher


def interpret(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Have Python run the compiled functions that are written in these modules, until the end of a test."""
    names = {module.__name__ for module in modules}
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and value.py_func.__module__ in names:
                monkeypatch.setattr(module, name, value.py_func)
