"""On Ray the argument, and a sweep amid random kills, equal the local ones; and attempts are those of a model."""

import importlib.util
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from scipy import stats

from experiments.session.sweep_plan import makespan
from tests.experiments.config.test_sweeps import BASE
from tests.experiments.processes import wait_for
from tests.experiments.session.test_on_ray import (
    Command,
    assert_same,
    by_ray,
    free_port,
    running,
    slow_training,
    swept,
)
from tests.experiments.small_training import CLOCKS, contents
from tests.experiments.small_training import assert_same as assert_same_folder
from tests.experiments.test_sweep import written

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
]

TASKS, WORKERS, SECONDS, DEADLY, ATTEMPTS = 100, 4, 0.5, 0.15, 3
ARTIFICIAL = f"""
import json
import os
import random
import time
from pathlib import Path

from experiments.session.on_ray import cluster
from experiments.session.processes import Ended


def work(number):
    began = time.time()
    time.sleep({SECONDS})
    with (LOG / str(number)).open("a+") as log:
        log.write(f"{{began}} {{time.time()}}\\n")
        log.seek(0)
        attempt = len(log.readlines())
    if random.Random(f"{{number}} {{attempt}}").random() < {DEADLY}:
        os.kill(os.getpid(), 9)


LOG = Path.cwd() / "log"
LOG.mkdir()
with cluster(None, {WORKERS}, lambda line: None) as engine:
    given_up = [task for task, answer in engine.each(work, range({TASKS}), str) if isinstance(answer, Ended)]
print(json.dumps(given_up))
"""


def test_attempts_and_time_are_those_of_the_model(tmp_path: Path) -> None:
    """Artificial workers need half a second for a task, and are killed at the end of it with a known probability.
    The model is that of docs/cluster.md: how many attempts that makes, how many tasks are given up, and how long
    all takes at least. The time to replace workers that were killed comes on top."""
    (tmp_path / "artificial.py").write_text(ARTIFICIAL)
    with running(tmp_path, "artificial") as command:
        assert command.wait() == 0, command.said()
    tried = {
        number: [
            tuple(map(float, line.split())) for line in (tmp_path / "log" / str(number)).read_text().splitlines()
        ]
        for number in range(TASKS)
    }
    drawn = {number: [random.Random(f"{number} {n}").random() < DEADLY for n in (1, 2, 3)] for number in tried}
    assert {number: len(each) for number, each in tried.items()} == {
        number: min([*deaths, False].index(False) + 1, ATTEMPTS) for number, deaths in drawn.items()
    }
    given_up = json.loads(command.said().splitlines()[-1])
    assert sorted(given_up) == [number for number, deaths in drawn.items() if all(deaths)]
    attempts = [len(each) for each in tried.values()]
    law = stats.rv_discrete(values=([1, 2, 3], [1 - DEADLY, DEADLY * (1 - DEADLY), DEADLY**2]))
    assert law.mean() == pytest.approx(1 + DEADLY + DEADLY**2)
    deviation = (sum(attempts) - TASKS * law.mean()) / (TASKS**0.5 * law.std())
    assert abs(deviation) < 3.29  # 99.9 %, normal
    assert len(given_up) <= stats.binom.ppf(0.999, TASKS, DEADLY**ATTEMPTS)
    ends = [moment for each in tried.values() for moment in each]
    took, least = (
        max(end for _, end in ends) - min(began for began, _ in ends),
        makespan([SECONDS] * len(ends), WORKERS),
    )
    print(
        f"{len(ends)} attempts in {took:.1f} s; the model has {TASKS * law.mean():.1f}, and at least {least:.1f} s"
    )
    assert took >= least
    assert max(at_once([moment for moment, _ in ends], [end for _, end in ends])) == WORKERS


def at_once(begins: list[float], ends: list[float]) -> list[int]:
    """How many are under way when each begins."""
    return [sum(b <= moment < e for b, e in zip(begins, ends, strict=True)) for moment in begins]


KILLS = 10
RATES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_ten_kills_at_random_of_workers_and_of_the_command_change_nothing(tmp_path: Path) -> None:
    grid = {"grid": {"training": {"updates": [2000]}, "agent": {"learning_rate": RATES}}}
    file, killed, draw = written(tmp_path, grid, base=BASE), Counter[str](), random.Random(7)
    with running(tmp_path, *swept(file, tmp_path / "local")) as command:
        assert command.wait() == 0, command.said()
    while killed.total() < KILLS:  # in a sweep, and the next one if it ends before
        out, status = tmp_path / f"ray_{killed.total()}", -1
        while status != 0:
            with running(tmp_path, *by_ray(file, out, *(["--resume"] if out.exists() else []))) as command:
                harass(command, draw, killed)
                status = command.wait()
            assert status in (0, 1, -signal.SIGKILL), command.said()
            assert status != 1 or "in each of 3 attempts" in command.said()
        assert_same(out, tmp_path / "local")
    assert killed["command"] > 0
    assert killed["worker"] > 0


def harass(command: Command, draw: random.Random, killed: Counter[str]) -> None:
    """Kill workers of a command, and perhaps the command, until it has ended or enough has been killed."""
    while killed.total() < KILLS and command.process.poll() is None:
        if not (workers := command.at_work()):
            continue
        time.sleep(draw.random())
        who = "command" if draw.random() < 0.3 else "worker"
        killed[who] += 1
        if who == "command":
            os.kill(command.process.pid, signal.SIGKILL)
            return
        victim = draw.choice(workers)
        if victim.is_running():
            victim.kill()


@contextmanager
def two_machines(folder: Path) -> Iterator[tuple[str, Command]]:
    """A cluster of two, as Ray sees them, with a core each: its address, and the machine that may leave."""
    port = free_port()
    start = ("ray.scripts.scripts", "start", "--block", "--num-cpus", "1", "--disable-usage-stats")
    places = [folder / name for name in ("first", "second")]
    for place in places:
        place.mkdir()
    with running(places[0], *start, "--head", "--port", str(port), "--include-dashboard", "false") as first:
        wait_for(lambda: first.family() and "Ray runtime started" in first.said(), "a cluster")
        with running(places[1], *start, "--address", f"127.0.0.1:{port}") as second:
            wait_for(lambda: second.family() and "Ray runtime started" in second.said(), "a second machine")
            yield f"127.0.0.1:{port}", second


def leave(machine: Command) -> None:
    """All processes of a machine end at once."""
    for process in (*machine.family(), psutil.Process(machine.process.pid)):
        with suppress(psutil.Error):
            process.kill()


def test_a_training_goes_on_when_a_machine_leaves(tmp_path: Path) -> None:
    with two_machines(tmp_path) as (address, second):
        words = slow_training(tmp_path, "ray", "--engine", "ray", "--address", address)
        with running(tmp_path, *words) as command:
            wait_for(lambda: command.family() and any((tmp_path / "ray/checkpoint").glob("*")), "a checkpoint")
            leave(second)
            assert command.wait() == 0, command.said()
    assert "; going on from the last checkpoint, attempt 2 of 3" in command.said()
    with running(tmp_path, *slow_training(tmp_path, "local")) as command:
        assert command.wait() == 0, command.said()
    assert_same_folder(contents(tmp_path / "ray"), contents(tmp_path / "local"))


def without_clocks(found: Any) -> Any:
    if isinstance(found, dict):
        return {k: without_clocks(v) for k, v in found.items() if k not in (*CLOCKS, "command_seconds")}
    return found


def test_the_argument_comes_to_what_the_local_engine_finds(tmp_path: Path) -> None:
    summaries = []
    for words in ([], ["--engine", "ray", "--workers", "2"]):
        out = tmp_path / (words[1] if words else "local")
        with running(tmp_path, "experiments.argument", "--quick", "--out", str(out), *words) as command:
            assert command.wait() == 0, command.said()
        summaries.append(without_clocks(json.loads((out / "summary.json").read_text())))
    assert summaries[0] == summaries[1]
    experiments = list(summaries[0]["experiments"])
    assert len(experiments) > 10
    for name in experiments:
        assert_same_folder(contents(tmp_path / "ray" / name), contents(tmp_path / "local" / name))
