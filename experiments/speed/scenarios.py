"""What the benchmark trains: configs with overrides, and how long one training of each takes."""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.config.commands import CONFIGS
from experiments.config.loading import load_config
from experiments.config.schema import Config
from experiments.session import run as session
from experiments.session.compiling import compile_ahead
from experiments.session.processes import end_with
from experiments.session.surroundings import plain_arithmetic
from experiments.session.workers import Workers
from experiments.training.loop import Training

TABULAR = ('agent.policy="tabular"', "agent.learning_rate=0.05")
NETWORK = (
    'agent.policy="mlp"',
    "agent.hidden_sizes=[64, 64]",
    'agent.optimizer="adam"',
    "agent.learning_rate=0.01",
)


class Scenario(NamedTuple):
    """A config with overrides, and a way to train it."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    workers: int = 1
    logged: bool = False  # every step written to tables and event files, checkpoints kept

    def load(self) -> Config:
        return load_config(CONFIGS / f"{self.config}.toml", self.overrides)


class Size(NamedTuple):
    """Scenarios that differ in one size."""

    name: str
    scenarios: dict[int, Scenario]


def _episodes(number: int) -> str:
    return f"training.episodes_per_update={number}"


QUICK = (
    Scenario("default comparison, 1 worker", "two_rooms"),
    Scenario("default comparison, 2 workers", "two_rooms", workers=2),
    Scenario("default comparison, 2 workers, logged", "two_rooms", workers=2, logged=True),
)
# What two revisions are compared in.
COMPARED = (
    *QUICK,
    Scenario("64 episodes per update, 1 worker", "two_rooms", (_episodes(64),)),
    Scenario("64 episodes per update, 2 workers", "two_rooms", (_episodes(64),), 2),
    Scenario("64 episodes per update, 2 workers, logged", "two_rooms", (_episodes(64),), 2, logged=True),
    Scenario("tabular, 64 episodes, 1 worker", "two_rooms", (*TABULAR, _episodes(64))),
    Scenario("tabular, 64 episodes, 2 workers", "two_rooms", (*TABULAR, _episodes(64)), 2),
    Scenario("bandit, 200 runs, 1 episode per update, 1 worker", "bandit"),
)
LONG = "training.updates=1500"  # the end, with its tables and pictures, takes a smaller share
SCENARIOS = (
    *QUICK,
    Scenario("five times as many updates, 2 workers", "two_rooms", (LONG,), 2),
    Scenario("five times as many updates, 2 workers, logged", "two_rooms", (LONG,), 2, logged=True),
    Scenario("64 episodes per update, 2 workers", "two_rooms", (_episodes(64),), 2),
    Scenario("64 episodes per update, 2 workers, logged", "two_rooms", (_episodes(64),), 2, logged=True),
    Scenario("tabular, 16 episodes, 2 workers", "two_rooms", TABULAR, 2),
    Scenario("tabular, 64 episodes, 2 workers", "two_rooms", (*TABULAR, _episodes(64)), 2),
    Scenario("four rooms", "four_rooms", ("training.updates=300",)),
    Scenario("deep sea of 10", "deep_sea_10", ("training.updates=100", "training.seeds=30")),
    Scenario(
        "frozen lake 8x8", "frozen_lake",
        ("training.seeds=15", _episodes(16), "training.updates=60", 'environment.kwargs={map_name="8x8"}'),
    ),
    Scenario("cliff walking", "cliff_walking", ("training.updates=100",)),
    Scenario("bandit, 200 runs, 1 episode per update", "bandit"),
    Scenario("the network at every step", "two_rooms", ("environment.tables=false", "training.updates=20")),
    Scenario("cart pole, the network at every step", "cartpole", ("training.updates=10",)),
)  # fmt: skip


def _size(name: str, config: str, numbers: Sequence[int], *overrides: str) -> Size:
    """Scenarios for some numbers, which replace {} in the overrides."""
    return Size(
        name,
        {n: Scenario(f"{name}: {n}", config, tuple(o.replace("{}", str(n)) for o in overrides)) for n in numbers},
    )


SIZES = (
    _size("seeds of each arm", "two_rooms", (1, 5, 50, 500), "training.seeds={first=0, count={}}",
        "training.updates=40"),
    _size(
        "episodes per update", "two_rooms", (4, 16, 64, 256), "training.episodes_per_update={}",
        "training.updates=60",
    ),
    _size("hidden width", "two_rooms", (16, 64, 256), "agent.hidden_sizes=[{}, {}]", "training.updates=40"),
    _size(
        "depth of the sea", "deep_sea_10", (5, 10, 20, 40),
        "environment.kwargs.depth={}", "training.seeds=30", "training.updates=40",
    ),
)  # fmt: skip


class Timing(NamedTuple):
    """One training of a scenario."""

    env_steps: int
    seconds: float  # wall clock

    @property
    def millions(self) -> float:
        """Environment steps trained per second, in millions."""
        return self.env_steps / self.seconds / 1e6


def measure(scenario: Scenario) -> Timing:
    """Train a scenario once. The time begins after the world and the runs are made and the code is compiled."""
    config = scenario.load()
    with plain_arithmetic(), ExitStack() as stack:
        training = stack.enter_context(closing(Training(config)))
        compile_ahead(training, lambda _: None)
        if scenario.logged:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            options = session.Options(Path(folder) / "run", workers=scenario.workers)
            began = time.perf_counter()
            summary = session.run(config, options, lambda _: None, lambda _: None)
            return Timing(int(summary["env_steps"]), time.perf_counter() - began)
        workers = stack.enter_context(Workers(training, scenario.workers))
        began = time.perf_counter()
        for _ in workers.blocks(lambda _: False):
            pass
        seconds = time.perf_counter() - began
        return Timing(int(np.sum(workers.final()["env_steps"])), seconds)


def in_turns(scenarios: Sequence[Scenario], repeats: int) -> dict[str, list[Timing]]:
    """Timings by name. Scenarios take turns, so that a slow moment of the machine affects all of them."""
    timings: dict[str, list[Timing]] = {scenario.name: [] for scenario in scenarios}
    for _ in range(repeats):
        for scenario in scenarios:
            timings[scenario.name].append(measure(scenario))
    return timings


# What is written during a training; the summary, the updates and a last checkpoint always are.
LOGGING: dict[str, dict[str, Any]] = {
    "neither steps nor event files": {"log_steps": 0, "tensorboard": False},
    "event files without steps": {"log_steps": 0},
    "event files and every step": {},
    "event files, every step, a checkpoint per second": {"checkpoint_seconds": 1.0},
}


def logging_costs(config: Config, repeats: int) -> dict[str, float]:
    """CPU seconds of a training in one process for each way of logging: medians of some trainings in turns."""
    costs: dict[str, list[float]] = {name: [] for name in LOGGING}
    for _ in range(repeats):
        for name, options in LOGGING.items():
            with tempfile.TemporaryDirectory() as folder:
                how = session.Options(Path(folder) / "run", **options)
                began = time.process_time()
                session.run(config, how, lambda _: None, lambda _: None)
                costs[name].append(time.process_time() - began)
    return {name: float(np.median(seconds)) for name, seconds in costs.items()}


def peak_bytes(scenario: Scenario, updates: int = 3) -> int:
    """Peak memory of a process that trains a few updates of a scenario."""
    context = multiprocessing.get_context("spawn")  # a forked child would have the peak of its parent
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train_and_tell, args=(os.getpid(), theirs, scenario, updates), daemon=True)
    process.start()
    theirs.close()
    peak = int(ours.recv())
    process.join()
    return peak


def _train_and_tell(parent: int, pipe: Any, scenario: Scenario, updates: int) -> None:
    end_with(parent)
    with plain_arithmetic(), closing(Training(scenario.load())) as training:
        training.advance(updates)
    pipe.send(largest_resident())


def largest_resident() -> int:
    """The most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would count the parent's memory, too
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
