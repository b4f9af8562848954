"""A training of two batches of runs that is over in a second, and everything its folder says."""

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tensorboard.compat.proto.event_pb2 import Event

from experiments import Config, load_config
from experiments.session import run as session
from experiments.session import workers
from experiments.session.interrupts import Interrupts
from experiments.storage.run_folder import RunFolder
from experiments.tensorboard.event_file import FOOTER, HEADER
from experiments.training.records import Records
from tests.experiments.complete_length import complete_length

CONFIG = """
name = "small"
description = "Two batches of runs, soon trained"
environment = { id = "FourAction/TwoRooms-v0", max_episode_steps = 12, solved_return = 0.5 }
agent = { policy = "mlp", hidden_sizes = [8], optimizer = "adam", learning_rate = 0.02, baseline = "running_mean" }
training = { seeds = 2, episodes_per_update = 2, updates = 24 }
claims = [{ statement = "It wanders more", measure = "final_entropy_bits", expect = "with_entropy > without" }]

[arms.without]

[arms.with_entropy]
entropy_coef = { schedule = "target_entropy", target_bits = 1.5, rate = 0.01 }

[arms.table]
policy = "tabular"
baseline = "value"
"""
TABLES = ("updates.parquet", "steps.parquet", "runs.parquet")
CLOCKS = ("wall_seconds", "env_steps_per_second")


class Crash(BaseException):
    """The process dies here, as far as a test in one process can have it."""


def small_config(*overrides: str) -> Config:
    """The config of this module with some values changed."""
    return load_config(tomllib.loads(CONFIG), overrides)


def stepped_config(*overrides: str) -> Config:
    """The same in stepped environments, which processes share."""
    return small_config("environment.tables=false", "arms.table.baseline=none", *overrides)


@contextmanager
def many_checkpoints() -> Iterator[None]:
    """A block is an update, and each has its checkpoint."""
    kept = workers.BLOCK_SECONDS, session.MAX_SHARE
    workers.BLOCK_SECONDS, session.MAX_SHARE = 0.0, math.inf
    try:
        yield
    finally:
        workers.BLOCK_SECONDS, session.MAX_SHARE = kept


def train(
    out: Path,
    config: Config | None = None,
    *,
    crash_at: int | None = None,
    on_block: Callable[[Records], None] | None = None,
    interrupts: Interrupts | None = None,
    often: bool | None = None,
    **options: Any,
) -> tuple[Mapping[str, Any], list[str]]:
    """Train in one-update blocks.

    Args:
        out: the run folder.
        config: None: `small_config()`.
        crash_at: update whose block is the last to be seen.
        on_block, interrupts: as in `session.run`.
        often: a checkpoint after every update, else at the end alone, which takes half the time;
            None: often, unless this training is left alone.
        options: of the session.
    Returns:
        the summary, and what the user was told.
    """
    told: list[str] = []

    def seen(records: Records) -> None:
        if on_block:
            on_block(records)
        if records.first == crash_at:
            raise Crash

    often = (crash_at, on_block, interrupts) != (None, None, None) if often is None else often
    how = session.Options(out, checkpoint_seconds=0.0 if often else 1e9, **options)
    with many_checkpoints():
        summary = session.run(config or small_config(), how, seen, told.append, interrupts)
    return summary, told


def contents(folder: Path) -> dict[str, str | bytes]:
    """Everything that a finished training says, without clocks. NaN is written as NaN, so it equals itself."""
    found: dict[str, Any] = {name: pq.ParquetFile(folder / name).read().to_pydict() for name in TABLES}
    found["summary"] = {k: v for k, v in RunFolder(folder).read_summary().items() if k not in CLOCKS}
    for path in (folder / "tensorboard").rglob("*tfevents*"):
        found[str(path.parent.relative_to(folder))] = points(path)
    texts: dict[str, str | bytes] = {name: json.dumps(value) for name, value in found.items()}
    files = [*(folder / "policies").iterdir(), folder / "snapshots.safetensors"]  # simulators have no snapshots
    return texts | {path.name: path.read_bytes() for path in files if path.exists()}


def points(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """The points of an event file by tag, in their order; of what carries a clock, the steps only."""
    data, start = path.read_bytes(), 0
    assert complete_length(path) == len(data), f"{path} has a torn or damaged record"
    found: dict[str, list[tuple[int, Any]]] = {}
    while start < len(data):
        length = int.from_bytes(data[start : start + 8], "little")
        event = Event.FromString(data[start + HEADER : start + HEADER + length])
        start += HEADER + length + FOOTER
        for value in event.summary.value:
            timed = value.metadata.plugin_data.plugin_name == "hparams"
            kept = None if timed else value.simple_value or value.SerializeToString().hex()
            found.setdefault(value.tag, []).append((event.step, kept))
    return found


def assert_same(found: Mapping[str, str | bytes], expected: Mapping[str, str | bytes]) -> None:
    """Every table, point and parameter is equal, bit for bit."""
    assert found.keys() == expected.keys()
    different = [name for name in found if found[name] != expected[name]]
    assert different == [], different
