"""A user's own `envs/`, `agents/` or `train.py` that hides ours is named in one line, beside ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config.commands import ROOT


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder of the user's, whose modules come before those of the path."""
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=settings, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["agents", "envs"])
@pytest.mark.parametrize("is_package", [True, False])
def test_a_command_says_it_in_one_line(name: str, is_package: bool, tmp_path: Path) -> None:
    theirs = tmp_path / (name if is_package else f"{name}.py")
    file = theirs / "__init__.py" if is_package else theirs
    file.parent.mkdir(exist_ok=True)
    file.touch()
    ended = python(tmp_path, "-m", "experiments.report", "runs/x")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"experiments.report: {theirs} hides {ROOT / name}, ")


@pytest.mark.parametrize(
    "code", ["from experiments import load_config", "import experiments; experiments.train(None)"]
)
def test_so_does_an_import(code: str, tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").touch()
    ended = python(tmp_path, "-c", code)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        f"experiments.config.shadows.Shadowed: {tmp_path / 'envs'} hides {ROOT / 'envs'}, "
    )


def test_a_train_py_of_the_users_is_in_the_way_of_the_installed_program_alone(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    ended = python(tmp_path, "-m", "experiments", "--list")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"train.py: {tmp_path / 'train.py'} hides {ROOT / 'train.py'}, ")
    assert python(tmp_path, "-c", "from experiments import load_config; load_config('bandit')").returncode == 0
    assert python(tmp_path, "-m", "experiments.report", "--help").returncode == 0


def test_a_folder_without_python_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    assert python(tmp_path, "-m", "experiments", "--list").returncode == 0
