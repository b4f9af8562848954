"""A grid on the command line is the grid of a file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from experiments.config.grids import grid_of
from experiments.config.schema import ConfigError
from experiments.config.sweep_files import load_sweep, sweep_text
from experiments.config.sweeps import Cell, Sweep, cells
from experiments.config.tuning import tries
from tests.experiments.config.test_sweeps import BASE, GRID, RULES, SAMPLE, TUNING

MORE = {"grid": {"agent": {"discount": [0.9, 1.0]}}}


@pytest.mark.parametrize(
    ("override", "key", "values"),
    [
        ("agent.learning_rate=grid:0.003,0.01,0.03", "agent.learning_rate", [0.003, 0.01, 0.03]),
        ("agent.learning_rate=log:0.001,0.1,5", "agent.learning_rate", [0.001, 0.003162, 0.01, 0.03162, 0.1]),
        ("agent.baseline=grid:none,value", "agent.baseline", ["none", "value"]),
        ('agent.baseline=grid:"none","value"', "agent.baseline", ["none", "value"]),
        ("agent.hidden_sizes=grid:[],[16],[64,64]", "agent.hidden_sizes", [[], [16], [64, 64]]),
        ("agent.normalize_advantages=grid:true,false", "agent.normalize_advantages", [True, False]),
        ("training.seeds=10", "training.seeds", [10]),
        ("agent.policy=mlp", "agent.policy", ["mlp"]),
        ("agent.hidden_sizes=[64, 64]", "agent.hidden_sizes", [[64, 64]]),
    ],
)
def test_what_varies_is_written_in_one_word(override: str, key: str, values: list[Any]) -> None:
    assert grid_of([override]) == {key: values}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["agent.learning_rate"], "write dotted.key=grid:1,2,3"),
        (["=grid:1,2"], "write dotted.key=grid:1,2,3"),
        (["agent.discount=grid:"], "needs between one and 1000 values"),
        (["agent.discount=grid:0.9,,1"], "is no list of values, as in grid:0.003,0.01"),
        (["agent.discount=grid:0.9\n,1\nx=2"], "is no list of values"),
        (["agent.learning_rate=log:0.1,0.001,5"], "log: needs two numbers above 0, the lower one first"),
        (["agent.learning_rate=log:0.001,0.1"], "log: needs two numbers"),
        (["agent.learning_rate=log:0.001,0.1,1"], "log: needs two numbers"),
        (['agent.learning_rate=log:"low","high",3'], "log: needs two numbers"),
        (["agent.discount=grid:0.9", "agent.discount=grid:1.0"], "agent.discount comes twice"),
    ],
)
def test_a_mistake_is_named_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        grid_of(overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_and_a_grid_are_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    path.write_text(tomli_w.dumps(BASE))
    sweep = load_sweep(path, ["agent.learning_rate=grid:0.1,0.2", "agent.discount=log:0.5,1.0,2"])
    assert sweep.name == f"{BASE['name']}_sweep"
    found = [(cell.settings["agent.learning_rate"], cell.settings["agent.discount"]) for cell in cells(sweep)]
    assert found == [(0.1, 0.5), (0.1, 1.0), (0.2, 0.5), (0.2, 1.0)]
    assert [cell.config.agent.learning_rate for cell in cells(sweep)] == [0.1, 0.1, 0.2, 0.2]
    assert cells(load_sweep("two_rooms", ["training.seeds=2"]))[0].config.training.seed_list == (3000, 3001)


def test_values_are_added_to_the_grid_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(tomli_w.dumps(BASE))
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps({"name": "trial", "description": "a trial", "base": "base.toml"} | GRID))
    alone, more = cells(load_sweep(path)), cells(load_sweep(path, ["agent.value_learning_rate=grid:0.1,0.2"]))
    assert len(more) == 2 * len(alone)


def test_a_config_without_anything_that_varies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    path.write_text(tomli_w.dumps(BASE))
    with pytest.raises(ConfigError, match=r"nothing varies: give values under .*, or on the command line"):
        load_sweep(path)


@pytest.mark.parametrize("part", [GRID, SAMPLE, SAMPLE | MORE, {"sample": RULES} | TUNING], ids=list)
def test_a_sweep_as_it_is_stored_needs_no_other_file(tmp_path: Path, part: dict[str, Any]) -> None:
    """Its base is in it: it can be read elsewhere, and a change of the base is a change of the sweep."""
    (tmp_path / "base.toml").write_text(tomli_w.dumps(BASE))
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps({"name": "trial", "description": "a trial", "base": "base.toml"} | part))
    stored = sweep_text(load_sweep(path))
    assert str(tmp_path) not in stored
    assert tomllib.loads(stored)["base"] == BASE
    settings = [cell.settings for cell in trainings(load_sweep(path))]
    (tmp_path / "base.toml").unlink()
    path.write_text(stored)
    assert [cell.settings for cell in trainings(load_sweep(path))] == settings


def trainings(sweep: Sweep) -> list[Cell]:
    return cells(sweep) if sweep.tuning is None else tries(sweep)
