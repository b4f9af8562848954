"""Environment steps trained a second, end to end, and where the time goes.

    python -m experiments.benchmark            every scenario, three times each
    python -m experiments.benchmark --quick    the default comparison and two more, once each

Every figure comes from one run on one machine, beside that machine's own limits; nothing is compared across runs.
Scenarios take turns, so that a machine that slows down slows all of them.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from agents.reinforce import StackedLearner
from experiments import session
from experiments.config import Config, load_config
from experiments.experience import SampledExperience
from experiments.finite import FiniteLearning
from experiments.rollout import FiniteRollout
from experiments.training import Training
from experiments.workers import Workers

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
TABULAR = ('agent.policy="tabular"', "agent.learning_rate=0.05")


class Scenario(NamedTuple):
    """A config, overridden, trained in some way."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    workers: int = 1
    logged: bool = False  # with every step written to tables and event files

    def load(self) -> Config:
        return load_config(CONFIGS / f"{self.config}.toml", self.overrides)


def _seeds(runs: int) -> str:
    return f"training.seeds={runs // 2}"


QUICK = (
    Scenario("default comparison, 1 process", "two_rooms"),
    Scenario("default comparison, 2 processes", "two_rooms", workers=2),
    Scenario("default comparison, 2 processes, every step logged", "two_rooms", workers=2, logged=True),
)
SCENARIOS = (
    *QUICK,
    *(Scenario(f"{runs} runs", "two_rooms", (_seeds(runs), "training.updates=60")) for runs in (2, 10, 100, 1000)),
    *(
        Scenario(f"60 runs, {e} episodes an update", "two_rooms", (f"training.episodes_per_update={e}",))
        for e in (64, 256)
    ),
    Scenario("tabular, 60 runs, 16 episodes", "two_rooms", TABULAR),
    Scenario("tabular, 60 runs, 64 episodes", "two_rooms", (*TABULAR, "training.episodes_per_update=64")),
    Scenario("four rooms", "four_rooms", ("training.updates=300",)),
    Scenario("frozen lake", "frozen_lake", ("training.updates=100",)),
    Scenario("cliff walking", "cliff_walking", ("training.updates=100",)),
    Scenario("bandit, 200 runs, 1 episode an update", "bandit"),
)

# What the time goes to: a name, and the method whose time it is. Nested ones are taken out of the outer.
PHASES: tuple[tuple[str, type, str], ...] = (
    ("sampling", FiniteRollout, "collect"),
    ("returns and sums", SampledExperience, "collect"),
    ("forward", StackedLearner, "log_pi"),
    ("backward and optimiser", StackedLearner, "step"),
    ("measures", FiniteLearning, "_measured"),
)


class Timing(NamedTuple):
    """One training of a scenario."""

    env_steps: int
    seconds: float  # wall clock
    cpu_seconds: float  # of this process; a worker's own time is not in it


def measure(scenario: Scenario) -> Timing:
    """Train a scenario once. Making the world and the runs is not counted, all that follows is."""
    config = scenario.load()
    with session.single_threaded(), ExitStack() as stack:
        if scenario.logged:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            options = session.Options(Path(folder) / "run", workers=scenario.workers)
            began, cpu = time.perf_counter(), time.process_time()
            summary = session.run(config, options, lambda _: None, lambda _: None)
            return Timing(int(summary["env_steps"]), time.perf_counter() - began, time.process_time() - cpu)
        workers = stack.enter_context(Workers(Training(config), scenario.workers))
        began, cpu = time.perf_counter(), time.process_time()
        for _ in workers.blocks(lambda _: False):
            pass
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        return Timing(int(np.sum(workers.final()["env_steps"])), seconds, cpu_seconds)


def phases(config: Config) -> dict[str, float]:
    """Share of the time of one process that each phase takes; what is in none of them is "the rest"."""
    spent: dict[str, float] = dict.fromkeys([name for name, _, _ in PHASES], 0.0)
    running: list[str] = []

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            began = time.perf_counter()
            running.append(name)
            try:
                return method(*arguments, **keywords)
            finally:
                took = time.perf_counter() - began
                running.pop()
                spent[name] += took
                if running:  # a phase within a phase: the outer one did not spend this time
                    spent[running[-1]] -= took

        return wrapper

    with session.single_threaded(), ExitStack() as stack:
        training = Training(config)
        for name, owner, method in PHASES:
            stack.enter_context(patch.object(owner, method, timed(name, getattr(owner, method))))
        began = time.perf_counter()
        for _ in training.records():
            pass
        total = time.perf_counter() - began
    spent["the rest"] = total - sum(spent.values())
    return {name: seconds / total for name, seconds in spent.items()}


# What is written while a training goes on: summary, tables of updates and checkpoints always.
LOGGING: dict[str, dict[str, Any]] = {
    "neither steps nor event files": {"log_steps": 0, "tensorboard": False},
    "event files without steps": {"log_steps": 0},
    "event files and steps, every one": {},
}


def logging_costs(config: Config, repeats: int) -> dict[str, float]:
    """CPU seconds of a training in one process for each way of logging, the median of some in turns."""
    costs: dict[str, list[float]] = {name: [] for name in LOGGING}
    for _ in range(repeats):
        for name, options in LOGGING.items():
            with tempfile.TemporaryDirectory() as folder:
                how = session.Options(Path(folder) / "run", **options)
                began = time.process_time()
                session.run(config, how, lambda _: None, lambda _: None)
                costs[name].append(time.process_time() - began)
    return {name: float(np.median(seconds)) for name, seconds in costs.items()}


def limits() -> dict[str, float]:
    """What one thread of this machine can do at most, of the operations that training is made of."""
    rng = np.random.default_rng(0)
    table, index = rng.random(12_000), rng.integers(0, 12_000, 1_000_000)
    left, right = torch.rand(60, 51, 64), torch.rand(60, 64, 64)
    with session.single_threaded():
        gather = _rate(lambda: table.take(index), len(index))
        product = _rate(lambda: torch.bmm(left, right), 2 * 60 * 51 * 64 * 64)
        tanh = _rate(lambda: torch.tanh(left), left.numel())
    return {
        "random gathers, million a second": gather / 1e6,
        "batched 64 x 64 matrix product, GFLOP/s": product / 1e9,
        "tanh, million a second": tanh / 1e6,
    }


def _rate(operation: Callable[[], object], work: int) -> float:
    times = []
    for _ in range(15):
        began = time.perf_counter()
        operation()
        times.append(time.perf_counter() - began)
    return work / min(times)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios in turns and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="three scenarios, once each")
    options = parser.parse_args(arguments)
    scenarios, repeats = (QUICK, 1) if options.quick else (SCENARIOS, 3)
    console = Console(highlight=False)
    timings: dict[str, list[Timing]] = {scenario.name: [] for scenario in scenarios}
    for _ in range(repeats):
        for scenario in scenarios:
            timings[scenario.name].append(measure(scenario))
    console.print(_speeds(timings))
    console.print(_shares(phases(QUICK[0].load())))
    costs = logging_costs(QUICK[0].load(), repeats)
    least = costs["neither steps nor event files"]
    for name, seconds in costs.items():
        console.print(f"logging {name}: {seconds:.2f} s of CPU, {seconds / least - 1:+.0%}")
    for name, value in limits().items():
        console.print(f"limit of one thread: {name}: {value:,.0f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    console.print(f"peak memory of this process over all scenarios: {peak / 2**20:,.0f} MiB")
    return 0


def _speeds(timings: dict[str, list[Timing]]) -> Table:
    table = Table(
        title="environment steps trained a second, in millions (learning included)", title_justify="left"
    )
    for column in ("scenario", "median", "slowest", "fastest", "seconds"):
        table.add_column(column, justify="left" if column == "scenario" else "right")
    for name, runs in timings.items():
        rates = [run.env_steps / run.seconds / 1e6 for run in runs]
        figures = (np.median(rates), min(rates), max(rates), np.median([run.seconds for run in runs]))
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))
    return table


def _shares(shares: dict[str, float]) -> Table:
    table = Table(title="where the time goes (default comparison, one process)", title_justify="left")
    table.add_column("phase")
    table.add_column("share", justify="right")
    for name, share in shares.items():
        table.add_row(name, f"{share:.0%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
