"""Reading sweep files, and refusing in one line those that make no sense."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from experiments.config.commands import CONFIGS
from experiments.config.grids import grid_of, is_finite_number
from experiments.config.loading import found, ours, read_toml
from experiments.config.mistakes import message_of
from experiments.config.schema import Config, ConfigError
from experiments.config.sweeps import Sweep
from experiments.config.tuning import check_tuning

SWEEPS = CONFIGS / "sweeps"
MAX_CELLS = 100_000
RULES = ("log_uniform", "uniform", "choice")


def load_sweep(source: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read and validate a sweep: a TOML file, or the name of one of our own.

    Args:
        source: the sweep, or a config, of which the overrides make a sweep.
        overrides: more values for its grid; see `experiments.config.grids`.
    Raises:
        ConfigError: one message that names the place and what would be valid.
    """
    own = ours() | ours(SWEEPS)
    path = found(Path(source), own)
    table = read_toml(path, own)
    try:
        if "base" not in table and "arms" in table:
            table = _around(table)
        return _validated(table, path, grid_of(overrides, Config))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def sweep_text(sweep: Sweep) -> str:
    """A sweep as a file that `load_sweep` reads; the base is in it, so that it needs no other file."""
    table = sweep.model_dump(exclude_none=True)
    table["sample"] |= {key: table.pop(key) for key in ("count", "seed")} if sweep.sample else {}
    return tomli_w.dumps({name: value for name, value in table.items() if name not in ("count", "seed")})


def _around(config: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep whose base is a config; what varies comes from the command line."""
    name, description = (str(config.get(key, "")) for key in ("name", "description"))
    return {"name": f"{name[:58]}_sweep", "description": description, "base": dict(config)}


def _validated(table: Mapping[str, Any], path: Path, more: Mapping[str, list[Any]]) -> Sweep:
    sample = dict(table.get("sample", {}))
    drawing = {key: sample.pop(key) for key in ("count", "seed") if key in sample}
    base = table.get("base")
    if not isinstance(base, str | dict):
        raise ConfigError('base: needs the name of a config, as in base = "two_rooms.toml", or a whole config')
    if {"count", "seed"} & table.keys():
        raise ConfigError("count and seed belong in [sample]")
    given = {
        **table,
        **drawing,
        "base": _base(base, path) if isinstance(base, str) else base,
        "grid": {**dict(_flat(table.get("grid", {}), "grid")), **more},
        "sample": dict(_flat(sample, "sample")),
    }
    try:
        sweep = Sweep.model_validate(given)
    except ValidationError as error:
        raise ConfigError(message_of(error, Sweep)) from None
    _check(sweep)
    return _with_map_lines(sweep)


def _with_map_lines(sweep: Sweep) -> Sweep:
    """The sweep with the lines of each map in place of its file's name: the file may change, but the worlds must
    not."""
    base = sweep.base
    if "map" in (kwargs := sweep.config().environment.kwargs):
        base = {**base, "environment": {**base["environment"], "kwargs": kwargs}}

    def lines(key: str, values: list[Any]) -> list[Any]:
        if key != "environment.kwargs.map":
            return values
        return [sweep.config({key: value}).environment.kwargs["map"] for value in values]

    grid = {key: lines(key, values) for key, values in sweep.grid.items()}
    sample = {key: {rule: lines(key, v) for rule, v in rules.items()} for key, rules in sweep.sample.items()}
    return sweep.model_copy(update={"base": base, "grid": grid, "sample": sample})


def _base(name: str, path: Path) -> dict[str, Any]:
    """The content of a file beside the sweep or among our configs."""
    beside = (folder / name for folder in (path.parent, CONFIGS) if os.path.isfile(folder / name))
    return read_toml(next(beside, Path(name)), ours())


def _flat(value: Any, place: str, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values: lists, or tables with one of RULES."""
    rules = isinstance(value, dict) and bool(value.keys() & set(RULES))
    if isinstance(value, dict) and not rules:
        for name, inner in value.items():
            yield from _flat(inner, place, f"{key}.{name}".lstrip("."))
        return
    if rules != (place == "sample") or not (rules or isinstance(value, list)):
        how = "{ log_uniform = [low, high] }, { uniform = [low, high] } or { choice = [...] }"
        raise ConfigError(f"{place}.{key}: needs {how if place == 'sample' else 'a list of values'}")
    yield key, value


def _check(sweep: Sweep) -> None:
    """Check that something varies, that rules can be drawn from, and that the judged seeds or worlds are fresh."""
    if not sweep.grid and not sweep.sample:
        raise ConfigError("nothing varies: give values under [grid] or [sample], or on the command line")
    for key, values in sweep.grid.items():
        if not values:
            raise ConfigError(f"grid.{key}: needs one value at least")
    for key, rule in sweep.sample.items():
        _check_rule(f"sample.{key}", rule)
    if twice := sorted(sweep.grid.keys() & sweep.sample.keys()):
        raise ConfigError(f"{twice[0]}: stands under [grid] and under [sample]")
    sweep.config()
    if (sweep.tuning is None) != (sweep.judge is None):
        raise ConfigError("[tuning] and [judge] need each other")
    if sweep.tuning is not None and sweep.judge is not None:
        check_tuning(sweep, sweep.tuning, sweep.judge)
    elif (number := math.prod(map(len, sweep.grid.values())) * sweep.count) > MAX_CELLS:
        raise ConfigError(f"{number:,} trainings are too many: valid are up to {MAX_CELLS:,}")


def _check_rule(place: str, rule: Mapping[str, Any]) -> None:
    (name, *others), values = rule.keys(), next(iter(rule.values()))
    if others or not isinstance(values, list) or not values:
        raise ConfigError(f"{place}: needs one rule with a list, as in {{ choice = [0.9, 1.0] }}")
    if name != "choice" and not (
        all(map(is_finite_number, values))
        and len(values) == 2
        and values[0] <= values[1]
        and (name == "uniform" or values[0] > 0)
    ):
        above = " above 0" if name == "log_uniform" else ""
        raise ConfigError(f"{place}: {name} needs two numbers{above}, the lower one first")
