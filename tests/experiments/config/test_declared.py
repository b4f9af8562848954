"""Claims that say when they were written down were written down then, and have not been changed since."""

import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest

from experiments import load_config

ROOT = Path(__file__).resolve().parents[3]
DECLARED = {
    path: declared
    for path in sorted((ROOT / "configs").rglob("*.toml"))
    if isinstance(declared := tomllib.loads(path.read_text(encoding="utf-8")).get("declared"), date)
}


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def test_there_are_some() -> None:
    assert len(DECLARED) >= 10


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.stem)
def test_the_claims_are_those_of_the_day_on_which_they_were_declared(path: Path) -> None:
    """In the last commit of that day; a clone without the history cannot tell."""
    if git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("a shallow clone: the history is not there")
    name = path.relative_to(ROOT).as_posix()
    commit = git("rev-list", "-1", f"--before={DECLARED[path]} 23:59:59 +0000", "HEAD", "--", name)
    if not commit and not git("rev-list", "-1", "HEAD", "--", name):
        pytest.skip("not committed yet")
    assert commit, f"{name} says {DECLARED[path]}, and was first committed later"
    then, now = tomllib.loads(git("show", f"{commit}:{name}")), tomllib.loads(path.read_text(encoding="utf-8"))
    assert then["claims"] == now["claims"]


def test_a_declared_day_survives_the_resolved_config() -> None:
    from experiments.storage.run_folder import config_text

    path = ROOT / "configs" / "mazes.toml"
    assert load_config(tomllib.loads(config_text(load_config(path)))).declared == DECLARED[path]
