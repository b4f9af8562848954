"""An engine that is not here, or that the options contradict, is refused before anything is written."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from experiments import argument, sweep
from tests.experiments.config.test_sweeps import GRID
from tests.experiments.test_sweep import written

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "experiments.sweep": sweep.main,
    "experiments.argument": argument.main,
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--engine", "ray"], "--engine ray needs the extra ray, which is not installed: pip install"),
        (["--engine", "ray", "--address", "auto"], "--engine ray needs the extra ray"),
        (["--address", "head:6379"], "--address is that of a Ray cluster: it needs --engine ray"),
        (["--engine", "slurm"], "argument --engine: invalid choice: 'slurm'"),
    ],
)
def test_an_engine_that_is_not_here_is_refused_in_one_line(
    name: str,
    words: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    given = [str(written(tmp_path, GRID))] if name == "experiments.sweep" else []
    out = tmp_path / "out"
    try:
        status = COMMANDS[name]([*given, "--out", str(out), *words])
    except SystemExit as end:
        status = int(str(end.code))
    said = capsys.readouterr()
    assert status == 2
    assert said.err.startswith(f"{name}: {why}")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not out.exists()
