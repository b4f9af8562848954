"""The tables of the benchmark: what was measured, a row each, and how they are shown."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from experiments.config.commands import is_installed
from experiments.figures.looks import COLOURS
from experiments.figures.style import svg_of
from experiments.session.in_memory import train_in_memory
from experiments.speed import peers, revisions, scenarios
from experiments.speed.limits import Demand, limits
from experiments.speed.scenarios import SIZES, Scenario, Size, Timing, in_turns, measure, peak_bytes
from experiments.speed.simulators import stepping_speeds
from experiments.training.loop import Training

ROOT = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]
START_UP = {
    "train.py --help": ["train.py", "--help"],
    "train.py --list": ["train.py", "--list"],
    "from command to first update": [
        "-c",
        "from experiments import load_config; from experiments.training.loop import Training; "
        "Training(load_config('configs/two_rooms.toml')).advance(1)",
    ],
}


def speeds(timings: Mapping[str, Sequence[Timing]]) -> Rows:
    """A row per scenario: millions of environment steps per second."""
    rows = []
    for name, runs in timings.items():
        rates, seconds = [run.millions for run in runs], float(np.median([run.seconds for run in runs]))
        ends = {"median": float(np.median(rates)), "slowest": min(rates), "fastest": max(rates)}
        rows.append({"scenario": name, **ends, "seconds": seconds})
    return rows


def costs_of_logging(scenario: Scenario, repeats: int) -> Rows:
    """A row per way of logging: CPU seconds of one process."""
    costs = scenarios.logging_costs(scenario.load(), repeats)
    least = next(iter(costs.values()))
    return [
        {"written": name, "CPU seconds": seconds, "more than nothing": seconds / least - 1}
        for name, seconds in costs.items()
    ]


def fractions(scenario: Scenario) -> Rows:
    """A row per operation: how many a process needs per second, and how many one thread can do."""
    config = scenario.load()
    began = time.perf_counter()
    result = train_in_memory(config)
    seconds = time.perf_counter() - began
    demand = Demand.of(config, Training(config), int(result.summary["env_steps"]), result.steps.num_rows)
    rows = []
    for name, limit in limits().items():
        about = {"operation": name, "unit per second": limit.unit, "at most": limit.most}
        needed = limit.needed(demand) / seconds
        rows.append({**about, "needed": needed, "share of the time": needed / limit.most})
    return rows


def sizes(groups: Sequence[Size], repeats: int) -> Rows:
    """A row per size: time and memory."""
    rows = []
    for group in groups:
        timings = in_turns(list(group.scenarios.values()), repeats)
        for number, scenario in group.scenarios.items():
            nanoseconds = float(np.median([1e3 / run.millions for run in timings[scenario.name]]))
            took = {"ns per step": nanoseconds, "peak MiB": peak_bytes(scenario) / 2**20}
            rows.append({"size": group.name, "number": number, **took})
    return rows


def bytes_per_run(rows: Rows) -> float:
    """The slope of memory between the two largest numbers of runs; each of two arms has one run per seed."""
    small, large = [row for row in rows if row["size"] == SIZES[0].name][-2:]
    return float((large["peak MiB"] - small["peak MiB"]) * 2**20 / (large["number"] - small["number"]) / 2)


def start_up(repeats: int) -> Rows:
    """A row per command: the median of wall-clock seconds."""
    rows = []
    for name, words in START_UP.items():
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        rows.append({"command": name, "seconds": float(np.median(times))})
    return rows


def beside_peers(repeats: int) -> Rows:
    """A row per agent, in turns on FrozenLake 4x4 with 64 x 64 units; empty without the extra."""
    if not is_installed("stable_baselines3"):
        return []
    timings: dict[str, list[Timing]] = {peers.OURS.name: [], peers.THEIRS: []}
    for _ in range(repeats):
        timings[peers.OURS.name].append(measure(peers.OURS))
        timings[peers.THEIRS].append(peers.measure_theirs())
    return speeds(timings)


def beside_simulators(rounds: int) -> Rows:
    """A row per way of stepping a simulator, in steps per second of CPU time; with LunarLander if it is
    installed."""
    name, few = ("lunar_lander", 4) if is_installed("Box2D") else ("cartpole", 8)
    speeds_of = stepping_speeds(Scenario(name, name, (f"training.seeds={few}",)).load(), rounds)
    return [{"of": name, "way": way, "thousand steps": rate / 1e3} for way, rate in speeds_of.items()]


def size_figure(rows: Rows) -> bytes:
    """Time per step against each size, as SVG."""
    names = list(dict.fromkeys(row["size"] for row in rows))
    figure = Figure(figsize=(2.6 * len(names), 2.8), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names), sharey=True)), names, strict=True):
        points = [(row["number"], row["ns per step"]) for row in rows if row["size"] == name]
        axes.loglog(*zip(*points, strict=True), marker="o", color=COLOURS[1])
        axes.set_xlabel(name)
        axes.set_xticks([x for x, _ in points], [str(x) for x, _ in points], minor=False)
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.4)
    figure.axes[0].set_ylabel("nanoseconds per step")
    return svg_of(figure, "Time of an environment step, learning included, against " + ", ".join(names))


def table(title: str, rows: Rows) -> Table:
    """The rows as a table for the terminal."""
    shown = Table(title=title, title_justify="left")
    for column, value in rows[0].items():
        shown.add_column(column, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        shown.add_row(*(_shown(column, value) for column, value in row.items()))
    return shown


def _shown(column: str, value: object) -> str:
    if column in ("share", "share of the time", "more than nothing"):
        return f"{value:.0%}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.2f}" if value >= 1 else f"{value:.3f}"


def medians(both: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The medians of both revisions, and of their ratio in the same turn."""
    here, there = both.values()
    turns = [a / b for a, b in zip(here, there, strict=True)]
    medians = {name: float(np.median(values)) for name, values in both.items()}
    return medians | {"times": float(np.median(turns)), "at least": min(turns), "at most": max(turns)}


def gains(timings: Mapping[str, Mapping[str, Sequence[Timing]]]) -> Iterator[tuple[str, float]]:
    """How much a second worker gains, for scenarios that were measured with one, too."""
    medians = {
        name: float(np.median([run.millions for run in both[revisions.HERE]])) for name, both in timings.items()
    }
    for name, median in medians.items():
        if (alone := medians.get(name.replace("2 workers", "1 worker"))) and "2 workers" in name:
            yield name, median / alone
