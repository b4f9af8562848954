"""What the project says of itself, in one voice: version, licence, Pythons, checks."""

import re
import tomllib
from pathlib import Path

from experiments import __version__
from experiments.analysis.summary import provenance

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_stands_in_one_place_and_everything_else_agrees() -> None:
    assert "version" in PROJECT["dynamic"]
    assert f"version: {__version__}\n" in text("CITATION.cff")
    assert text("CHANGELOG.md").startswith(f"# Changelog\n\n## {__version__}")
    assert provenance(1.0, 1, {})["versions"]["entropy-exploration"] == __version__


def test_the_licence_is_one() -> None:
    assert f"license: {PROJECT['license']}\n" in text("CITATION.cff")
    assert text("LICENSE").startswith(PROJECT["license"])


def test_the_oldest_python_is_the_one_that_tools_and_readers_are_told() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    named = re.findall(r":: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert named[0] == oldest
    assert f'target-version = "py{oldest.replace(".", "")}"' in text("pyproject.toml")
    assert f"Python {oldest} or newer" in text("README.md")
    assert f'"{oldest}"' in text(".github/workflows/ci.yml")


def test_what_needs_a_public_address_is_there_or_said_to_wait() -> None:
    """On an index, a README's pictures are shown only if their links are whole addresses."""
    has_address = "urls" in PROJECT
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text("README.md"))
    assert pictures
    assert {picture.startswith("https://") for picture in pictures} == {has_address}
    assert ("repository-code: " in text("CITATION.cff")) == has_address
    assert ("has no public address yet" in text("CONTRIBUTING.md")) != has_address


def test_others_run_the_checks_that_we_run() -> None:
    assert "bash .ci/run" in text(".github/workflows/ci.yml")
    assert "fetch-depth: 0" in text(".github/workflows/ci.yml")  # else `test_declared` skips
    assert "entry: make check" in text(".pre-commit-config.yaml")
