"""The README says what a stored summary of its command says, and names only what exists."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import train
from experiments.config import load_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SUMMARY = json.loads((ROOT / "docs" / "two_rooms.json").read_text(encoding="utf-8"))
ROWS = {
    "runs that end at the better goal": "solved",
    "runs that never saw it": "never_successful",
    "final return (interquartile mean)": "final_return",
    "final entropy, bits": "final_entropy_bits",
}


def _cell(entry):
    share = f"{entry['count']}/{entry['n']} = " if "count" in entry else ""
    return f"{share}{entry['estimate']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


@pytest.mark.parametrize(("label", "measure"), ROWS.items())
def test_the_headline_table_is_the_stored_summary(label, measure):
    arms = SUMMARY["arms"]
    cells = [_cell(arms[arm]["measures"][measure]) for arm in ("without_entropy", "with_entropy")]
    assert f"| {label} | {cells[0]} | {cells[1]} |" in README


def test_the_headline_verdict_is_the_stored_one():
    claim = SUMMARY["claims"][0]
    effect = f"{claim['effect']:.2f} [{claim['low']:.2f}, {claim['high']:.2f}]"
    assert f"**{claim['verdict'].capitalize()}**" in README
    assert f"by {effect} ({claim['test']}, p = {claim['p_adjusted']:.2g}" in README


def test_the_summary_is_of_the_default_config():
    config = load_config(ROOT / "configs" / "two_rooms.toml")
    assert (SUMMARY["name"], SUMMARY["description"]) == (config.name, config.description)
    assert {arm: content["runs"] for arm, content in SUMMARY["arms"].items()} == dict.fromkeys(config.arms, 30)


def test_links_pictures_files_and_modules_exist():
    named = set(re.findall(r"\]\(([^)#:]+)\)|`((?:docs|configs)/[\w.]+)`", README))
    paths = {first or second for first, second in named}
    modules = {name.replace(".", "/") + ".py" for name in re.findall(r"python -m ([\w.]+)", README)}
    missing = [path for path in paths | modules if not (ROOT / path).exists()]
    assert len(paths) > 5
    assert missing == []


def test_the_file_map_names_files_that_exist():
    block = README.split("## The files")[1].split("```")[1]
    folder, missing = "", []
    for line in block.splitlines():
        if line and not line.startswith(" "):
            folder = line.split()[0].rstrip("/") if "/" in line.split()[0] else ""
        elif line.strip():
            for name in line.strip().split("  ")[0].split(","):
                if not list((ROOT / folder).glob(name.strip())):
                    missing.append(f"{folder}/{name.strip()}")
    assert missing == []


def test_the_two_commands_are_make_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_python_example_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert "training.seeds=20" in code
    names = {}
    exec(code.replace("training.seeds=20", "training.seeds=2").replace('2"]', '2", "training.updates=3"]'), names)
    assert names["result"].runs.num_rows == 4


def test_the_override_of_the_control_is_valid(tmp_path):
    override = re.search(r"`(agent\.baseline=)'(\"\w+\")'`", README)
    config = load_config(ROOT / "configs" / "bandit.toml", ["".join(override.groups())])
    assert config.agent.baseline == "running_mean"


def test_the_version_has_its_lines_in_the_changelog():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_listed_options_exist():
    options = {option for action in train.parser()._actions for option in action.option_strings}
    assert set(re.findall(r"train\.py[^\n`]*?(--[\w-]+)", README)) <= options
