"""What `.ci/second_python` does with the Pythons that it finds."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "second_python"


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
