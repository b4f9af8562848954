"""An engine that is not here is refused before anything is written; and what every engine says of its tasks."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import argument, sweep
from experiments.session import engines
from experiments.session.engines import Engine
from experiments.session.processes import Ended, Lost
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


@pytest.mark.parametrize("made", ["ray/notes.txt", "ray.py", "ray/__init__.py"])
def test_something_else_that_is_called_ray_is_no_engine(made: str, tmp_path: Path) -> None:
    """As in the folder of somebody who keeps what came out of Ray in it."""
    (tmp_path / made).parent.mkdir(exist_ok=True)
    (tmp_path / made).touch()
    words = [sys.executable, "-c", "import sys, train; sys.exit(train.main(sys.argv[1:]))"]
    words += ["bandit", "--out", str(tmp_path / "out"), "--engine", "ray"]
    if made.endswith("txt") and importlib.util.find_spec("ray"):
        pytest.skip("Ray is installed, and is found behind such a folder")
    there = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(engines.__file__).parents[2]}"}
    done = subprocess.run(words, cwd=tmp_path, env=there, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("train.py: --engine ray")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


class OnPaper(Engine):
    """Workers that need a known time for each task, on a clock that only this engine moves."""

    attempts = 2

    def __init__(self, cores: int, lost: Sequence[int] = ()) -> None:
        self.now, self.told, self._lost = 0.0, list[str](), list(lost)
        super().__init__(cores, self.told.append)

    def _begin(self, function: Callable[[Any], Any], task: Any) -> Any:
        return function(task), task, self.now, object()

    def _ready(self, under_way: Sequence[Any]) -> Sequence[Any]:
        ready = [handle for handle in under_way if self.now >= handle[2] + handle[0]]
        self.now += not ready
        return ready

    def _answer(self, handle: Any) -> Any:
        if handle[1] in self._lost:
            self._lost.remove(handle[1])
            return Lost("gone")
        return handle[0]

    def _end(self, under_way: Sequence[Any]) -> None: ...


@pytest.mark.parametrize(
    ("lengths", "late"),
    [
        ([60, 5, 5, 5, 5, 5], ["0: not done after 16 s; half of the others took 5 s or less"]),
        ([60, 0, 0, 0, 0, 0], ["0: not done after 11 s; half of the others took a second or less"]),
        ([62, 20, 20, 20, 20, 20], ["0: not done after 61 s; half of the others took 20 s or less"]),
        ([60, 61, 20, 20, 20, 20], []),  # 61 s is not known to be long before half of them are done
        ([15, 5, 5, 5, 5, 5], []),
    ],
)
def test_a_task_that_takes_three_times_as_long_as_half_of_the_others_is_named_once(
    lengths: list[int], late: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OnPaper(2)
    monkeypatch.setattr(engines.time, "monotonic", lambda: engine.now)
    answers = dict(engine.each(lengths.__getitem__, range(6), str))
    assert answers == dict(enumerate(lengths))
    assert engine.told == late


def test_a_task_whose_process_ends_is_tried_again_so_many_times() -> None:
    engine = OnPaper(2, lost=[0, 1, 1])
    answers = dict(engine.each(lambda _: 1, range(3), str))
    assert answers == {0: 1, 1: Ended("gone, in each of 2 attempts"), 2: 1}
    assert engine.told == ["0: gone; attempt 2 of 2", "1: gone; attempt 2 of 2"]
