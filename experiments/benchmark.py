"""Environment steps trained per second, learning included, and how that compares.

    python -m experiments.benchmark --quick               the default comparison, once
    python -m experiments.benchmark                       every scenario and size, three times each
    python -m experiments.benchmark --out runs/benchmark  also write benchmark.json and sizes.svg
    python -m experiments.benchmark --against REVISION    this working tree and a commit, in turns

All figures of a table come from the same run on one machine, together with the limits of that machine; nothing is
compared across runs. Scenarios take turns, so that a slow moment of the machine affects all of them. If the extra
`peers` is installed, the agent of another library takes its turn on the same world and network.
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.benchmark")  # before anything else: Ctrl-C is heard from here on

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from experiments.config.commands import is_installed, pip_install
from experiments.figures.style import style
from experiments.session.command_line import Parser, folder
from experiments.session.console import Screen
from experiments.speed import revisions, scenarios, tables
from experiments.speed.limits import speed_of_threads
from experiments.speed.scenarios import SIZES, in_turns, largest_resident
from experiments.speed.tables import Rows
from experiments.storage.owned_folder import OwnedFolder

COMMAND = "experiments.benchmark"


class BenchmarkFolder(OwnedFolder):
    """The figures of the last benchmark."""

    KIND = "benchmark"
    OWN = re.compile(r"benchmark\.json|sizes\.svg")

    def _maker_by_content(self) -> str | None:
        return COMMAND if all(map(self.is_own, self.files())) else None


@command(COMMAND)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything in turns and print the tables."""
    parser = Parser("experiments.benchmark", __doc__)
    parser.add_argument("--quick", action="store_true", help="the default comparison alone, once")
    parser.add_argument("--out", type=folder, help="folder for benchmark.json and sizes.svg")
    parser.add_argument("--against", metavar="REVISION", help="measure this and another revision of git in turns")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        kept = None if options.out is None else BenchmarkFolder(options.out)
        if kept is not None:
            kept.check_owner(COMMAND)
            stack.enter_context(kept.locked())
            kept.mark(COMMAND)
        found = measured(options.quick) if options.against is None else compared(options.against, options.quick)
        if kept is not None:
            kept.write("benchmark.json", json.dumps(found, indent=2) + "\n")
        screen = Screen()
        show(found, screen)
        if kept is not None and "time and memory against size" in found:
            with style():
                kept.write("sizes.svg", tables.size_figure(found["time and memory against size"]))
    return int(screen.is_lost)


def measured(quick: bool) -> dict[str, Rows]:
    """Measure everything in turns; returns the tables by their titles."""
    repeats = 1 if quick else 3
    default = scenarios.QUICK[0]
    found: dict[str, Rows] = {
        "environment steps trained per second, millions": tables.speeds(
            in_turns(scenarios.QUICK if quick else scenarios.SCENARIOS, repeats)
        ),
        "what logging costs, default comparison, one process": tables.costs_of_logging(default, repeats),
        "beside the limits of one thread, default comparison": tables.fractions(default),
    }
    if not quick:
        found["time and memory against size"] = tables.sizes(SIZES, repeats)
        found["a simulator, alone and trained in: thousands of steps per CPU second"] = tables.beside_simulators(3)
        found["start-up, seconds"] = tables.start_up(repeats)
        found["millions of steps per second beside the agent of another library"] = tables.beside_peers(repeats)
    return found


def compared(revision: str, quick: bool) -> dict[str, Rows]:
    """This working tree and another revision in turns; the tables by their titles.

    Raises:
        Failure: there is no such revision.
    """
    repeats = 1 if quick else 5
    timings = revisions.against(revision, scenarios.QUICK if quick else scenarios.COMPARED, repeats)
    commands = revisions.commands_against(revision, repeats)
    return {
        f"millions of environment steps per second, here and at {revision}": [
            {"scenario": name}
            | tables.medians({which: [run.millions for run in runs] for which, runs in both.items()})
            for name, both in timings.items()
        ],
        "speed of two threads in times that of one": [
            {"of": "a compiled loop that shares nothing", "times": speed_of_threads(2)},
            *({"of": name, "times": ratio} for name, ratio in tables.gains(timings)),
        ],
        f"seconds of python train.py, here and at {revision}": [
            {"until": until}
            | tables.medians({which: [run[end] for run in runs] for which, runs in commands.items()})
            for end, until in enumerate(("its first verdict", "its end, report included"))
        ],
    }


def show(found: Mapping[str, Rows], screen: Screen) -> None:
    """Print the tables, and the memory per run."""
    for title, rows in found.items():
        if rows:
            screen.print(tables.table(title, rows))
    if "time and memory against size" in found:
        screen.print(f"memory of a run: {tables.bytes_per_run(found['time and memory against size']):,.0f} bytes")
        if not is_installed("stable_baselines3"):
            screen.print(f"agent of another library: not measured; it needs {pip_install('peers')}", markup=False)
    screen.print(f"peak memory of this process: {largest_resident() / 2**20:,.0f} MiB")


if __name__ == "__main__":
    leave(main)
