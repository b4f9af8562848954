"""What `.ci/second_python` does with the Pythons that it finds."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "second_python"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = [
    re.split("[^A-Za-z0-9-]", need)[0]
    for need in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
]
MODULES = ["torch", "numba", "gymnasium", "pytest", "xdist"]  # a Python that has only these does not do


def said(place: Path, pythons: dict[str, str]) -> str:
    """What it says in a checkout whose Pythons answer with their texts; one that is used prints its arguments."""
    (place / ".ci").mkdir()
    shutil.copy(SCRIPT, place / ".ci")
    for name, answer in pythons.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/bash\nif [ "$1" = -c ]; then echo "{answer}"; else echo "ran: $*"; fi\n')
        path.chmod(0o755)
    (place / "on_path").mkdir(exist_ok=True)
    settings = {"PATH": f"{place / 'on_path'}:/usr/bin:/bin", "HOME": str(place)}
    done = subprocess.run(
        ["bash", str(place / ".ci" / "second_python")], env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hidden(names: dict[str, str]) -> dict[str, str]:
    """The same, and nothing from the machine's own Pythons on the path."""
    return {f"on_path/python3.{minor}": "" for minor in (11, 12, 13, 14)} | names


@pytest.mark.parametrize(
    "place", ["on_path/python3.13", ".pyenv/versions/3.13.0/bin/python", ".venv-3.13/bin/python"]
)
def test_it_runs_the_fast_tests_on_another_python_wherever_that_is(place: str, tmp_path: Path) -> None:
    ours = {".venv/bin/python": "3.11 True"}
    text = said(tmp_path, hidden({**ours, ".pyenv/versions/3.11.7/bin/python": "3.11 True", place: "3.13 True"}))
    assert "(3.13 True)" in text
    assert "ran: -m pytest -m not slow and not long" in text


def test_it_says_in_a_line_that_there_is_none(tmp_path: Path) -> None:
    text = said(tmp_path, hidden({".venv/bin/python": "3.11 True"}))
    assert text.startswith("second Python: skipped; without our packages here: none but 3.11.")
    assert text.count("\n") == 1


def test_it_names_those_that_lack_our_packages(tmp_path: Path) -> None:
    pythons = {
        ".venv/bin/python": "3.11 True",
        "on_path/python3.14": "3.14 False",
        "on_path/python3.12": "3.12 False",
    }
    text = said(tmp_path, hidden(pythons))
    assert "without our packages here: 3.14 3.12." in text
    assert "make test-fast" in text


@pytest.mark.parametrize("missing", [None, "hypothesis", "pydantic", "tensorboard", "pytest-xdist", "tomli-w"])
def test_a_python_that_lacks_a_single_package_is_passed_over(tmp_path: Path, missing: str | None) -> None:
    """A real one, whose packages are empty folders."""
    packages = tmp_path / "packages"
    for name in PACKAGES:
        if name != missing:
            about = packages / f"{name.replace('-', '_')}-1.0.dist-info"
            about.mkdir(parents=True)
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for module in MODULES:
        (packages / f"{module}.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    other = tmp_path / ".venv-other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    asked = f'if [ "$1" = -c ]; then PYTHONPATH={packages} exec {sys.executable} -S "$@"; fi'
    other.write_text(f'#!/bin/bash\n{asked}\necho "ran: $*"\n')
    other.chmod(0o755)
    text = said(tmp_path, hidden({".venv/bin/python": "3.0 True"}))
    assert ("ran: -m pytest" in text) == (missing is None), text
