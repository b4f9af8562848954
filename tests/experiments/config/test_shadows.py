"""A user's own `envs/`, `agents/` or `train.py` that hides ours is named in one line, beside ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config.commands import ROOT, command_words

EACH_FIRST = """
import sys
from importlib import import_module

theirs, *modules = sys.argv[1:]
for module in modules:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("agents", "envs", "experiments")]:
        del sys.modules[name]
    BEFORE
    try:
        import_module(module)
        said = "imported"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    if not said.startswith(f"Shadowed: {theirs} hides "):
        print(module, said)
"""


def shadow(folder: Path, name: str, is_package: bool = True) -> Path:
    """Make a module of the user's, which comes before ours."""
    theirs = folder / (name if is_package else f"{name}.py")
    file = theirs / "__init__.py" if is_package else theirs
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return theirs


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder of the user's, whose modules come before those of the path."""
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=settings, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["agents", "envs"])
@pytest.mark.parametrize("is_package", [True, False])
def test_a_command_says_it_in_one_line(name: str, is_package: bool, tmp_path: Path) -> None:
    theirs = shadow(tmp_path, name, is_package)
    ended = python(tmp_path, "-m", "experiments.report", "runs/x")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"experiments.report: {theirs} hides {ROOT / name}, ")


def test_so_does_every_command(tmp_path: Path) -> None:
    theirs = shadow(tmp_path, "envs")
    modules = {f"experiments.{word}": f"experiments.{word}" for word in command_words()}
    for module, title in (modules | {"experiments": "train.py", "train": "train.py"}).items():
        ended = python(tmp_path, "-m", module)
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"{title}: {theirs} hides {ROOT / 'envs'}, ")
        assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("name", "is_package", "before"),
    [
        ("envs", True, "pass"),
        ("envs", True, "import agents.information"),
        ("envs", False, "import envs"),
        ("agents", True, "import agents"),
    ],
)
def test_so_does_each_module_of_ours_whichever_is_imported_first(
    name: str, is_package: bool, before: str, tmp_path: Path
) -> None:
    theirs = shadow(tmp_path, name, is_package)
    (tmp_path / "program.py").write_text(EACH_FIRST.replace("BEFORE", before))
    files = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "experiments").rglob("*.py"))
    modules = [".".join(file.parts).removesuffix(".__init__") for file in files]
    ended = python(tmp_path, "program.py", str(theirs), *modules)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("script", ["train.py", "tool.py", "tool/__init__.py"])
def test_so_does_a_program_of_the_users_whatever_its_name(script: str, tmp_path: Path) -> None:
    theirs = shadow(tmp_path, "envs")
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__main__.py").touch()
    (tmp_path / script).write_text("from experiments import SimulatorError")
    ended = python(tmp_path, *(["-m", "tool"] if script.startswith("tool/") else [script]))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        f"experiments.config.shadows.Shadowed: {theirs} hides {ROOT / 'envs'}, "
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
