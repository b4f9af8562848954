"""A grid on the command line is the grid of a file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from experiments.config.grids import grid_of
from experiments.config.overrides import overridden
from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import load_sweep, sweep_text
from experiments.config.sweeps import Cell, Sweep, _toml, cells
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
        (
            "environment.id=grid:FrozenLake-v1,CliffWalking-v1",
            "environment.id",
            ["FrozenLake-v1", "CliffWalking-v1"],
        ),
        ("agent.normalize_advantages=grid:True,False", "agent.normalize_advantages", [True, False]),
        ("training.episodes_per_update=log:4,64,3", "training.episodes_per_update", [4, 16, 64]),
        (
            "training.episodes_per_update=log:12345,1234500,3",
            "training.episodes_per_update",
            [12345, 123450, 1234500],
        ),
        ("agent.learning_rate=log:1,10,3", "agent.learning_rate", [1.0, 3.162, 10.0]),
        ("agent.learning_rate=log:1,100.0,3", "agent.learning_rate", [1.0, 10.0, 100.0]),
        ("agent.learning_rate=log:1e-300,1e300,3", "agent.learning_rate", [1e-300, 1.0, 1e300]),
        ("agent.discount=log:0.9,0.99999,2", "agent.discount", [0.9, 0.99999]),
        ("agent.discount=log:0.99998,0.99999,3", "agent.discount", [0.99998, 0.99999, 0.99999]),
    ],
)
def test_what_varies_is_written_in_one_word(override: str, key: str, values: list[Any]) -> None:
    assert repr(grid_of([override], Config)) == repr({key: values})


PLAIN = [
    "environment.id=FrozenLake-v1",
    "environment.id=7",
    "environment.kwargs.is_slippery=False",
    "environment.kwargs.size=inf",
    "environment.kwargs.size=nan",
    "environment.kwargs.since=2026-11-26",
    'environment.kwargs.sizes={ "a b" = [1, -inf], c = 1e300 }',
    "agent.normalize_advantages=True",
    "agent.entropy_coef=0.5",
    "agent.entropy_coef=flase",
    "agent.baseline=running_mean",
    "agent.hidden_sizes=[64, 64]",
]


@pytest.mark.parametrize("override", PLAIN)
def test_a_single_value_is_what_the_same_override_of_a_config_is(override: str) -> None:
    """Through the texts that a sweep makes of its settings, too."""
    key, _, text = override.partition("=")
    expected = overridden(BASE, override, Config)
    for words in (text, f"grid:{text}"):
        (value,) = grid_of([f"{key}={words}"], Config)[key]
        assert repr(overridden(BASE, f"{key}={_toml(value)}", Config)) == repr(expected)


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
        (["agent.learning_rate=log:0.1,1,5.0"], "log: needs two numbers"),
        (["agent.learning_rate=log:0.1,1,true"], "log: needs two numbers"),
        (["agent.learning_rate=log:0.1,inf,3"], "log: needs two numbers"),
        ([f"agent.learning_rate=log:1,1{'0' * 400},3"], "log: needs two numbers"),
        (["environment.kwargs.is_slippery=flase"], "text needs quotes here"),
        (["environment.kwargs.is_slippery=grid:true,flase"], "text needs quotes here"),
        (["agent.discount=grid:0.9", "agent.discount=grid:1.0"], "agent.discount comes twice"),
    ],
)
def test_a_mistake_is_named_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        grid_of(overrides, Config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_and_a_grid_are_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    path.write_text(tomli_w.dumps(BASE))
    sweep = load_sweep(path, ["agent.learning_rate=grid:0.1,0.2", "agent.discount=log:0.5,1.0,2"])
    assert (sweep.name, sweep.description) == (f"{BASE['name']}_sweep", BASE["description"])
    found = [(cell.settings["agent.learning_rate"], cell.settings["agent.discount"]) for cell in cells(sweep)]
    assert found == [(0.1, 0.5), (0.1, 1.0), (0.2, 0.5), (0.2, 1.0)]
    assert [cell.config.agent.learning_rate for cell in cells(sweep)] == [0.1, 0.1, 0.2, 0.2]
    assert cells(load_sweep("two_rooms", ["training.seeds=2"]))[0].config.training.seed_list == (3000, 3001)


def test_a_sweep_of_a_config_with_the_longest_name_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    path.write_text(tomli_w.dumps(BASE | {"name": "n" * 64}))
    assert load_sweep(path, ["agent.discount=grid:0.9,1.0"]).name == "n" * 58 + "_sweep"


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
