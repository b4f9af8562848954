"""The README says what the stored summary of the argument says, and names only what exists."""

import json
import re
from pathlib import Path

import pytest

import train
from experiments.config.loading import load_config
from tests.readme_numbers import SENTENCES, filled, numbers

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())  # however lines are wrapped
SUMMARY = json.loads((ROOT / "docs" / "argument.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "sentences"), SENTENCES.items())
def test_every_number_of_the_argument_is_the_stored_one(file, sentences):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert filled(text, sentences, numbers(SUMMARY)) == text, "python -m tests.readme_numbers fills them in"


def test_other_numbers_are_noticed_and_filled_in():
    wrong = README.replace("of 600 with it", "0 of 600 with it").replace(
        "runs that also walk there straight | ", "| x "
    )
    with pytest.raises(ValueError, match="0 places say"):
        filled(wrong, SENTENCES["README.md"], numbers(SUMMARY))
    known = numbers(SUMMARY) | {"mazes_with": "999", "claims": "1000"}
    found = filled(README, SENTENCES["README.md"], known)
    assert "999 of 600 with it" in " ".join(found.split())
    assert "judges their 1000 claims" in " ".join(found.split())


@pytest.mark.parametrize("experiment", ["mazes", "mazes_again", "mazes_tuned", "more_updates"])
def test_what_it_says_in_words_is_supported(experiment):
    """The law, over other mazes and tuned as well; and that more training is no substitute."""
    claims = [c for c in SUMMARY["claims"] if c["experiment"] == experiment and c["measure"] == "succeeds"]
    assert {claim["verdict"] for claim in claims if not claim["limit"]} == {"supported"}
    assert [claim for claim in claims if claim["limit"] and claim["verdict"] == "supported"] == []


def test_what_it_says_of_harm_is_what_was_found():
    found = {c["statement"].split(":")[0]: c["verdict"] for c in SUMMARY["claims"] if c["experiment"] == "harm"}
    assert found == {
        "Harm with one narrow layer": "inconclusive",
        "Harm with small steps": "supported",
        "Harm with large plain steps": "supported",
        "Harm of a linear policy": "supported",
    }


def test_it_says_that_more_training_over_mazes_is_no_substitute_only_if_that_was_found():
    claims = [c for c in SUMMARY["claims"] if c["experiment"] == "mazes_more_training" and not c["limit"]]
    assert {claim["verdict"] for claim in claims} == {"supported"}


def test_the_pictures_are_those_of_the_stored_summary():
    shown = dict(re.findall(r"!\[([^]]+)\]\(docs/(\w+)\.svg\)", README))
    assert {name: alt for alt, name in shown.items()} == SUMMARY["headline"]
    assert sorted(path.stem for path in (ROOT / "docs").glob("*.svg")) == sorted([*SUMMARY["headline"], "sizes"])
    for name, alt in SUMMARY["headline"].items():
        assert alt in (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8")


def test_the_summary_is_of_all_seeds_and_claims():
    assert not SUMMARY["quick"]
    for name, content in SUMMARY["experiments"].items():
        config = load_config(ROOT / "configs" / f"{name}.toml")
        runs = {arm: arm_content["runs"] for arm, arm_content in content["arms"].items()}
        assert runs == dict.fromkeys(config.arms, config.runs_per_arm), name
        stored = [claim for claim in SUMMARY["claims"] if claim["experiment"] == name]
        written = [(claim.statement, claim.measure, claim.expect, claim.limit) for claim in config.claims]
        assert [tuple(c[key] for key in ("statement", "measure", "expect", "limit")) for c in stored] == written


def test_links_pictures_files_and_modules_exist():
    named = set(re.findall(r"\]\(([^)#:]+)\)|`((?:docs|configs)/[\w.]+)`", README))
    paths = {first or second for first, second in named}
    modules = {name.replace(".", "/") + ".py" for name in re.findall(r"python -m ([\w.]+)", README)}
    missing = [path for path in paths | modules if not (ROOT / path).exists()]
    assert len(paths) > 5
    assert missing == []


def test_the_file_map_names_files_and_rooms_that_exist():
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = [README.split("## The files")[1], contributing.split("## The packages")[1]]
    folder, named = ROOT, []
    for line in "".join(block.split("```\n")[1] for block in blocks).splitlines():
        names = re.split(r"\s{3,}", line.strip())[0].split()
        if not line.startswith(" "):
            folder = ROOT / names[0] if names[0].endswith("/") else ROOT
            names = names if folder == ROOT else []
        named += [folder / name for name in names]
    missing = [str(path) for path in named if not path.exists() and not path.with_suffix(".py").exists()]
    assert len(named) > 20
    assert missing == []


def test_no_code_is_cut_off_at_the_right():
    """GitHub's column shows about 98 characters of code; a telephone or a split window fewer."""
    code = "".join(re.findall(r"```\w*\n(.*?)```", README, re.DOTALL))
    assert [line for line in code.splitlines() if len(line) > 84] == []


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
    override = re.search(r"`(agent\.baseline=\w+)`", README)
    config = load_config(ROOT / "configs" / "bandit.toml", [override[1]])
    assert config.agent.baseline == "running_mean"


def test_the_other_overrides_are_valid():
    words = re.findall(r"`((?:training|arms)\.[\w.]+=(?:'[^']+'|[^`]+))`", README)
    assert len(words) >= 3
    for word in words:
        load_config("bandit", [word.replace("'", "")])


def test_the_listed_options_exist():
    options = {option for action in train.parser()._actions for option in action.option_strings}
    assert set(re.findall(r"train\.py[^\n`]*?(--[\w-]+)", README)) <= options


def test_the_korean_readme_has_the_headline_the_commands_the_pictures_and_the_page():
    korean = (ROOT / "README.ko.md").read_text(encoding="utf-8")
    assert {"make demo", "make test"} <= {line.split("   ")[0] for line in korean.splitlines()}
    for target in re.findall(r"\]\(([^)?#]+)", korean):
        assert (ROOT / target).exists(), target


def test_the_page_of_the_text_is_one_click_from_the_first_screen():
    first_screen = README.splitlines()[:16]
    assert any("](docs/explain.html)" in line for line in first_screen)
    assert all(
        source in WORDS for source in ("a blog post of 2020-06-03", "*An introduction to entropy, cross entropy")
    )
