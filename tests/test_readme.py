"""The README says what the stored summary of the argument says, and names only what exists."""

import json
import re
from pathlib import Path

import pytest

import train
from experiments.config.loading import load_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())  # however lines are wrapped
SUMMARY = json.loads((ROOT / "docs" / "argument.json").read_text(encoding="utf-8"))
ROWS = {
    "runs that end at the better goal": "succeeds",
    "runs that also walk there straight": "solved",
    "runs whose most probable actions lead there": "greedy_solved",
    "runs that never reached it": "never_successful",
    "final return (interquartile mean)": "final_return",
    "final entropy, bits": "final_entropy_bits",
}


def _cell(entry):
    share = f"{entry['count']}/{entry['n']} = " if "count" in entry else ""
    return f"{share}{entry['estimate']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def _measure(experiment, arm, name):
    return SUMMARY["experiments"][experiment]["arms"][arm]["measures"][name]


def _share(experiment, arm, name):
    entry = _measure(experiment, arm, name)
    return f"{entry['count']}/{entry['n']}"


@pytest.mark.parametrize(("label", "measure"), ROWS.items())
def test_the_headline_table_is_the_stored_summary(label, measure):
    cells = [_cell(_measure("two_rooms", arm, measure)) for arm in ("without_entropy", "with_entropy")]
    assert f"| {label} | {cells[0]} | {cells[1]} |" in README


def test_the_headline_verdict_is_the_stored_one():
    (claim,) = [claim for claim in SUMMARY["claims"] if claim["experiment"] == "two_rooms"]
    effect = f"{claim['effect']:.2f} [{claim['low']:.2f}, {claim['high']:.2f}]"
    assert f"**{claim['verdict'].capitalize()}**" in README
    assert f"by {effect} ({claim['test']}, p = {claim['p_adjusted']:.2g} corrected" in WORDS


def test_the_tally_of_verdicts_is_the_stored_one():
    tally = SUMMARY["verdicts"]
    assert f"trains {len(SUMMARY['experiments'])} experiments" in WORDS
    assert (
        "{} claims. Of the {effects} that were expected to hold, {supported} are supported, {refuted} refuted and "
        "{inconclusive} inconclusive; of the {limits} that were expected not to hold, {limits_supported} are "
        "supported."
    ).format(len(SUMMARY["claims"]), **tally) in WORDS


def test_the_other_numbers_are_stored_ones():
    doses = [_share("dose_response", arm, "succeeds") for arm in ("entropy_0", "entropy_0_03", "entropy_0_3")]
    assert (
        "{} runs end there without the term, {} with coefficient 0.03 and {} with ten times as much".format(*doses)
        in WORDS
    )
    best = [_share("bandit", arm, "succeeds") for arm in ("without_entropy", "with_entropy")]
    assert "{} runs end at the best arm without the term and {} with coefficient 0.1".format(*best) in WORDS
    baseline = _share("bandit_dose", "running_mean", "succeeds")
    assert f"with a running-mean baseline and without the term, {baseline} do" in WORDS
    small_step = _share("learning_rate", "without_0_002", "succeeds")
    assert f"with a fifth of the learning rate and no term, {small_step} runs end at the better goal" in WORDS
    depths = [
        _share(f"deep_sea_{d}", arm, "succeeds") for d in (4, 10) for arm in ("without_entropy", "with_entropy")
    ]
    assert "{} and {} runs end with the treasure at depth 4, and {} and {} at depth 10".format(*depths) in WORDS


def test_the_pictures_are_those_of_the_stored_summary():
    shown = dict(re.findall(r"!\[([^]]+)\]\(docs/(\w+)\.svg\)", README))
    assert {name: alt for alt, name in shown.items()} == SUMMARY["headline"]
    for name, alt in SUMMARY["headline"].items():
        assert alt in (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8")


def test_the_summary_is_of_all_seeds_and_claims():
    assert not SUMMARY["quick"]
    for name, content in SUMMARY["experiments"].items():
        config = load_config(ROOT / "configs" / f"{name}.toml")
        runs = {arm: arm_content["runs"] for arm, arm_content in content["arms"].items()}
        assert runs == dict.fromkeys(config.arms, len(config.training.seed_list)), name
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
    blocks = [README.split("## The files")[1], contributing.split("## The rooms")[1]]
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
    cells = [_cell(_measure("two_rooms", arm, "succeeds")) for arm in ("without_entropy", "with_entropy")]
    assert f"| {cells[0]} | {cells[1]} |" in korean
    (claim,) = [claim for claim in SUMMARY["claims"] if claim["experiment"] == "two_rooms"]
    assert {"supported": "지지됨", "refuted": "반박됨", "inconclusive": "결론 없음"}[claim["verdict"]] in korean
    assert f"{claim['effect']:.2f} [{claim['low']:.2f}, {claim['high']:.2f}]" in korean
    assert f"p = {claim['p_adjusted']:.2g}" in korean.replace("\n", " ")
    assert {"make demo", "make test"} <= {line.split("   ")[0] for line in korean.splitlines()}
    for target in re.findall(r"\]\(([^)?#]+)", korean):
        assert (ROOT / target).exists(), target


def test_the_page_of_the_text_is_one_click_from_the_first_screen():
    first_screen = README.splitlines()[:16]
    assert any("](docs/explain.html)" in line for line in first_screen)
    assert all(
        source in WORDS for source in ("a blog post of 2020-06-03", "*An introduction to entropy, cross entropy")
    )
