"""The page "Your own experiment", executed as a reader would: its files written, its commands run, in order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import play
from experiments.config.schema import ConfigError
from experiments.training.worlds import make_world
from tests.experiments.comparisons import comparison

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "your-own-experiment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def run(words: list[str], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def written(block: str) -> str | None:
    """The file that a block is the content of, by what it holds."""
    name = re.match(r'name = "(\w+)"', block)
    return f"{name[1]}.toml" if name else "my_worlds.py" if "gymnasium.register(" in block else None


@pytest.mark.slow
def test_everything_on_the_page_runs_in_an_empty_folder(tmp_path: Path) -> None:
    said = {}
    for kind, block in BLOCKS:
        if file := written(block):
            (tmp_path / file).write_text(block, encoding="utf-8")
        elif kind == "python":
            said[block] = run([sys.executable, "-c", block], tmp_path)
        else:
            assert kind == "sh"
            for line in block.strip().splitlines():
                program, script, *rest = shlex.split(line)
                assert program == "python"
                script = str(ROOT / script) if script == "train.py" else script
                said[line] = run([sys.executable, script, *rest], tmp_path)
    assert len(said) == 7
    assert ": Much of the term keeps" in said["python train.py corridor.toml"]
    assert "with_entropy" in said["python -m experiments.play runs/coin --seed 0 --import my_worlds"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == [
        "coin.toml", "corridor.toml", "my_worlds.py",
    ]  # fmt: skip


def test_a_module_to_import_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an installed program, too, for which Python does not look there by itself."""
    (tmp_path / "worlds_of_mine.py").write_text("raise ValueError('found')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(play.PlayError, match="ValueError: found"):
        play._import("worlds_of_mine")


@pytest.mark.parametrize("id", ["my_wrolds:Coin-v0", "Nowhere-v0", "FourAction/TwoRoms-v0"])
def test_an_environment_that_is_not_found_is_told_where_one_may_be(id: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"module:Name-v0.*current folder") as refused:
        make_world(comparison({"id": id, "max_episode_steps": 3}).environment)
    assert "\n" not in str(refused.value)
