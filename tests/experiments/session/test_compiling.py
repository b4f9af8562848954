"""A first training is compiled in parts, each in a process of its own, where there are cores for it."""

import errno
import os
from pathlib import Path

import pytest

from experiments.session import compiling
from experiments.session.processes import LINUX
from experiments.training.finite import parts
from experiments.training.loop import Training
from tests.experiments.small_training import small_config


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    monkeypatch.setattr(parts, "are_missing", lambda: True)
    monkeypatch.setattr(compiling, "available_cores", lambda: 2)
    return Training(small_config())


@pytest.mark.skipif(not LINUX, reason="elsewhere one process compiles everything")
def test_every_part_has_a_process_and_the_user_is_told_once(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "compile_part", lambda part: (tmp_path / str(part)).write_text(str(os.getpid())))
    said: list[str] = []
    compiling.compile_ahead(training, said.append)
    processes = {int((tmp_path / str(part)).read_text()) for part in parts.PARTS}
    assert len(processes - {os.getpid()}) == len(parts.PARTS)
    assert len(said) <= 1  # none, if all of it was over at once


@pytest.mark.parametrize("code", [0, 9])
def test_what_a_process_could_not_compile_is_compiled_later(
    training: Training, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(part: int) -> None:
        if code:
            os._exit(code)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "compile_part", fail)
    assert compiling.compile_ahead(training, print) < float("inf")


def test_one_core_compiles_in_one_process(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "available_cores", lambda: 1)
    monkeypatch.setattr(training, "compile_part", lambda part: pytest.fail("a part of its own"))
    assert compiling.compile_ahead(training, print) < float("inf")
