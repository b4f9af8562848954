"""The page on worlds names the ids there are, and its code runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import envs

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "worlds.md").read_text(encoding="utf-8")
LANDER = json.loads((DOCS / "lunar_lander.json").read_text(encoding="utf-8"))
ROWS = {
    "runs that end above 200": ("solved", 2),
    "final return": ("final_return", 1),
    "return of the most probable actions": ("greedy_return", 1),
    "final episode length, steps": ("final_episode_length", 1),
    "final entropy, bits": ("final_entropy_bits", 2),
}


def test_the_page_names_our_worlds_and_no_other() -> None:
    assert set(re.findall(r"`(FourAction/\w+-v\d)`", PAGE)) == set(envs.WORLDS)


def test_its_code_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["observation"] == 1  # one cell to the right
    assert names["many"].num_envs == 16


@pytest.mark.parametrize(("label", "measure", "digits"), [(label, *row) for label, row in ROWS.items()])
def test_the_lander_table_is_its_stored_summary(label: str, measure: str, digits: int) -> None:
    cells = []
    for arm in ("without_entropy", "with_entropy"):
        entry = LANDER["arms"][arm]["measures"][measure]
        share = f"{entry['count']}/{entry['n']} = " if "count" in entry else ""
        estimate, low, high = (f"{entry[key]:.{digits}f}" for key in ("estimate", "low", "high"))
        cells.append(f"{share}{estimate} [{low}, {high}]")
    assert f"| {label} | {cells[0]} | {cells[1]} |" in PAGE


def test_the_lander_verdict_is_the_stored_one() -> None:
    first, second = LANDER["claims"]
    assert f"**{first['verdict']}**" in PAGE
    effect = f"lower by {-first['effect']:.0f} [{-first['high']:.0f}, {-first['low']:.0f}]"
    assert effect in PAGE
    assert f"p = {first['p_adjusted']:.3f}" in PAGE
    assert second["verdict"] == "supported"
    assert f"p = {second['p_adjusted']:.3f}" in PAGE
    assert re.search(r"expected: (.*)", LANDER["description"])[1] in " ".join(PAGE.split())  # type: ignore[index]
