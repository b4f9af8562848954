"""On Ray a sweep and the argument give the numbers of the local engine, whoever is killed meanwhile.

Ray is real here: several worker processes on this machine, real commands and real kills. No process outlives its
command.
"""

import importlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType

import psutil
import pyarrow.parquet as pq
import pytest

from experiments.config.failures import Failure
from tests.experiments.config.test_sweeps import BASE
from tests.experiments.processes import PATIENCE, hear_signals, wait_for
from tests.experiments.small_training import CONFIG, Crash, contents, small_config, train
from tests.experiments.small_training import assert_same as assert_same_folder
from tests.experiments.test_sweep import written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
]
ROOT = Path(__file__).parents[3]
RATES = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
LONG = {
    "grid": {"training": {"updates": [2000]}, "agent": {"learning_rate": RATES}}
}  # about a second for each cell


class Command:
    """A command that runs, and what it has written so far."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_signals,
            )
        self._family: set[psutil.Process] = set()

    def said(self) -> str:
        return self.log.read_text()

    def family(self) -> set[psutil.Process]:
        """Its children of all generations that have been seen so far."""
        time.sleep(0.2)  # asking the system takes long
        with suppress(psutil.NoSuchProcess):
            self._family |= set(psutil.Process(self.process.pid).children(recursive=True))
        return self._family

    def at_work(self) -> list[psutil.Process]:
        """The workers of Ray that have a task; Ray names them after it."""
        return [member for member in self.family() if _title(member).startswith("ray::answered")]

    def _has_ended(self) -> bool:
        self.family()
        return self.process.poll() is not None

    def wait(self) -> int:
        """Its exit status, once its whole family has ended."""
        wait_for(self._has_ended, "the command")
        _, alive = psutil.wait_procs(self._family, PATIENCE)
        assert not alive
        return self.process.returncode


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return ""


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Command]:
    """A command, which is killed at the end with everything that it started, if a test fails."""
    command = Command(folder, *words)
    try:
        yield command
    finally:
        for process in (command.process, *command.family()):
            with suppress(psutil.Error, ProcessLookupError):
                process.kill()
        command.process.wait()


def swept(file: Path, out: Path, *words: str) -> tuple[str, ...]:
    return ("experiments.sweep", str(file), "--out", str(out), *words)


def by_ray(file: Path, out: Path, *words: str) -> tuple[str, ...]:
    return swept(file, out, "--engine", "ray", "--workers", "2", *words)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("sweep"), LONG)


@pytest.fixture(scope="module")
def local(file: Path) -> Path:
    """The same sweep by the local engine."""
    out = file.parent / "local"
    done = subprocess.run([sys.executable, "-m", *swept(file, out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def assert_same(out: Path, local: Path) -> None:
    assert pq.read_table(out / "runs.parquet").equals(pq.read_table(local / "runs.parquet"))
    assert sorted(path.name for path in (out / "cells").iterdir()) == sorted(
        path.name for path in (local / "cells").iterdir()
    )


def test_a_sweep_whose_workers_are_killed_equals_the_local_one(file: Path, local: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(tmp_path, *by_ray(file, out)) as command:
        (victim, *_) = wait_for(command.at_work, "a worker with a task")
        victim.kill()
        assert command.wait() == 0, command.said()
    assert "; attempt 2 of 3" in command.said()
    assert f"{len(RATES)}/{len(RATES)}" in command.said()
    assert_same(out, local)


@pytest.mark.long
def test_a_sweep_whose_driver_is_killed_goes_on_with_what_is_missing(
    file: Path, local: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running(tmp_path, *by_ray(file, out)) as command:
        wait_for(lambda: command.family() and "2/" in command.said(), "two cells")
        os.kill(command.process.pid, signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
    times = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    assert 2 <= len(times) < len(RATES)
    with running(tmp_path, *by_ray(file, out, "--resume")) as command:
        assert command.wait() == 0, command.said()
    assert f"{len(times)} of {len(RATES)} trainings are done" in command.said()
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert_same(out, local)


@pytest.mark.long
def test_ctrl_c_ends_the_command_in_a_line_and_ray_with_it(file: Path, tmp_path: Path) -> None:
    with running(tmp_path, *by_ray(file, tmp_path / "out")) as command:
        wait_for(command.at_work, "a worker with a task")
        os.killpg(command.process.pid, signal.SIGINT)  # as the terminal sends it: to all
        assert command.wait() == 130
    assert command.said().splitlines()[-1] == "experiments.sweep: stopped; go on with --resume"
    assert "Traceback" not in command.said()


DEADLY = """
import os
import sys

import gymnasium

from envs.gridworlds import TwoRooms


class Deadly(TwoRooms):
    def __init__(self, deadly=False):
        if deadly and os.path.basename(sys.argv[0]) == "default_worker.py":
            os.kill(os.getpid(), 9)
        super().__init__()


gymnasium.register("Deadly-v0", Deadly, max_episode_steps=20)
"""


@pytest.mark.long
def test_a_cell_that_kills_every_worker_is_given_up_and_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "deadly_world.py").write_text(DEADLY)
    base = BASE | {"environment": {"id": "deadly_world:Deadly-v0", "solved_return": 0.95}}
    file = written(tmp_path, {"grid": {"environment": {"kwargs": {"deadly": [False, True]}}}}, base=base)
    with running(tmp_path, *by_ray(file, tmp_path / "out")) as command:
        assert command.wait() == 1
    said = command.said()
    assert said.count("environment.kwargs.deadly = true: ") == 3
    assert "; attempt 2 of 3" in said
    assert "; attempt 3 of 3" in said
    assert ", in each of 3 attempts" in said
    assert "1 of 2 trainings failed; --resume tries them again" in said
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 1


def train_py(folder: Path, *words: str) -> tuple[str, ...]:
    (folder / "small.toml").write_text(CONFIG)
    return ("train", str(folder / "small.toml"), *words, "--log-steps", "0", "--workers", "2")


@pytest.mark.long
def test_one_training_shared_out_by_runs_equals_the_local_one(tmp_path: Path) -> None:
    for engine in ("local", "ray"):
        words = ["training.seeds=5", "--out", str(tmp_path / engine), "--engine", engine]
        with running(tmp_path, *train_py(tmp_path, *words)) as command:
            assert command.wait() == 0, command.said()
    assert_same_folder(contents(tmp_path / "ray"), contents(tmp_path / "local"))


def slow_training(folder: Path, name: str, *words: str) -> tuple[str, ...]:
    """Simulators, which take long enough for a kill. The local engine then has the two shares of the seeds."""
    few = ["environment.tables=false", "arms.table.baseline=none", "training.updates=400"]
    return train_py(folder, *few, "--out", str(folder / name), "--checkpoint-seconds", "0", *words)


@pytest.mark.long
def test_a_training_whose_worker_is_killed_goes_on_by_itself(tmp_path: Path) -> None:
    with running(tmp_path, *slow_training(tmp_path, "ray", "--engine", "ray")) as command:
        wait_for(lambda: command.family() and any((tmp_path / "ray/checkpoint").glob("*")), "a checkpoint")
        (victim, *_) = [member for member in command.family() if _title(member).startswith("ray::_Actor")]
        victim.kill()
        assert command.wait() == 0, command.said()
    assert "a training process of Ray ended unexpectedly" in command.said()
    assert "; going on from the last checkpoint, attempt 2 of 3" in command.said()
    assert "Traceback" not in command.said()
    with running(tmp_path, *slow_training(tmp_path, "local")) as command:
        assert command.wait() == 0, command.said()
    assert_same_folder(contents(tmp_path / "ray"), contents(tmp_path / "local"))


@pytest.mark.long
def test_a_training_whose_driver_is_killed_goes_on_with_either_engine(tmp_path: Path) -> None:
    with running(tmp_path, *slow_training(tmp_path, "ray", "--engine", "ray")) as command:
        wait_for(lambda: command.family() and any((tmp_path / "ray/checkpoint").glob("*")), "a checkpoint")
        os.kill(command.process.pid, signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
    for words in (["ray", "--resume"], ["local"]):
        with running(tmp_path, *slow_training(tmp_path, *words)) as command:
            assert command.wait() == 0, command.said()
    assert_same_folder(contents(tmp_path / "ray"), contents(tmp_path / "local"))


@pytest.mark.long
def test_a_checkpoint_of_more_parts_than_cores_goes_on(tmp_path: Path) -> None:
    """It keeps its four parts on two cores: they answer together, so none may wait until another has ended."""
    few = ["environment.tables=false", "arms.table.baseline=none", "training.seeds=5"]
    out, how = tmp_path / "ray", {"workers": 4, "log_steps": 0}
    with pytest.raises(Crash):
        train(out, small_config(*few), crash_at=3, **how)
    train(tmp_path / "local", small_config(*few), often=False, **how)
    words = [*few, "--out", str(out), "--engine", "ray", "--resume"]
    with running(tmp_path, *train_py(tmp_path, *words)) as command:
        assert command.wait() == 0, command.said()
    assert_same_folder(contents(out), contents(tmp_path / "local"))


BUSY = """
import ray
from experiments import load_config
from experiments.session import on_ray

on_ray.LATE = 0.5
said = []


class Other:
    pass


def leave(line):
    said.append(line)
    ray.kill(other)


with on_ray.cluster(None, 1, leave) as engine:
    other = ray.remote(num_cpus=1)(Other).remote()
    ray.get(other.__ray_ready__.remote())
    (member,) = engine.share(load_config("bandit", ["training.updates=2"]), [(0,)], [None])
    member.request("advance", 2, False)
    assert member.answer()[0].end == 2
(line,) = said
assert line == "1 of 1 parts of the training have not begun yet; waiting (0 of the cluster's cores are free)", line
"""


def test_of_a_cluster_that_is_busy_one_line_says_so_and_training_begins_when_it_is_free(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    with running(tmp_path, "busy") as command:
        assert command.wait() == 0, command.said()


LEFT = """
from experiments import load_config
from experiments.session import on_ray

on_ray.LATE = 0.5
with on_ray.cluster(None, 1, print) as engine:
    known = iter([2])  # cores: a machine with one of them has left, which is not known at first
    engine.cores, on_ray._cores = 2, lambda: next(known, 1)
    config = load_config("bandit", ["training.updates=2", "training.seeds=2"])
    members = engine.share(config, [(0,), (1,)], [None, None])
    for member in members:
        member.request("advance", 2, False)
    assert [member.answer()[0].end for member in members] == [2, 2]
"""


@pytest.mark.long
def test_parts_that_wait_for_a_machine_that_has_left_begin_on_the_others(tmp_path: Path) -> None:
    (tmp_path / "left.py").write_text(LEFT)
    with running(tmp_path, "left") as command:
        assert command.wait() == 0, command.said()


WHERE = """
import sys

import experiments
from experiments.session.on_ray import cluster
from experiments.storage.sources import digest


def asked(_):
    import experiments
    from experiments.storage.sources import digest

    return experiments.__file__, digest()


with cluster(sys.argv[1], None, print) as engine:
    ((_, (place, found)),) = engine.each(asked, [0], str, lambda: None)
assert place != experiments.__file__, place
assert found == digest()
"""


@pytest.mark.long
def test_a_cluster_that_runs_already_is_sent_our_sources(file: Path, local: Path, tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    address = f"127.0.0.1:{free_port()}"
    head = ("ray.scripts.scripts", "start", "--head", "--block", "--port", address.partition(":")[2])
    (tmp_path / "head").mkdir()
    options = ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
    with running(tmp_path / "head", *head, *options) as cluster:
        wait_for(lambda: cluster.family() and "Ray runtime started" in cluster.said(), "a cluster")
        for words in (("where", address), swept(file, tmp_path / "out", "--engine", "ray", "--address", address)):
            with running(tmp_path, *words) as command:
                assert command.wait() == 0, command.said()
    assert_same(tmp_path / "out", local)


@pytest.mark.long
def test_an_address_where_nobody_answers_is_refused_in_one_line(file: Path, tmp_path: Path) -> None:
    words = swept(file, tmp_path / "out", "--engine", "ray", "--address", f"127.0.0.1:{free_port()}")
    with running(tmp_path, *words) as command:
        assert command.wait() == 2
    assert command.said().startswith("experiments.sweep: --address 127.0.0.1:")
    assert command.said().count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("family", "host", "written"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
)
def test_somebody_who_listens_is_found_at_either_kind_of_address(
    family: socket.AddressFamily, host: str, written: str
) -> None:
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        listening.listen()
        on_ray()._knock(f"{written}:{listening.getsockname()[1]}")


@pytest.fixture
def on_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is connected."""
    monkeypatch.setattr("ray.init", lambda **how: None)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    monkeypatch.setattr(on_ray(), "_knock", lambda address: None)
    monkeypatch.setattr(on_ray(), "_cores", lambda: 2)


def refused(*_: object, **how: object) -> None:
    from ray.exceptions import AuthenticationError

    raise AuthenticationError("The token is wrong")


@pytest.mark.usefixtures("on_paper")
@pytest.mark.parametrize("address", [None, "head:6379"])
def test_a_cluster_that_refuses_is_one_line(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.init", refused)
    with pytest.raises(Failure, match=r"^(Ray cannot|--address head:6379 ).*: The token is wrong") as caught:
        on_ray().cluster(address, None, print).__enter__()
    assert caught.value.status == 2


@pytest.mark.usefixtures("on_paper")
@pytest.mark.parametrize("asked", ["ray.wait", "ray.cancel"])
def test_a_cluster_that_is_gone_is_one_line(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the head of the cluster ends while tasks are under way."""
    engine_of = on_ray().RayEngine
    monkeypatch.setattr(engine_of, "_begin", lambda *_: object())
    monkeypatch.setattr("ray.wait", lambda *_, **how: [[], []])
    monkeypatch.setattr("ray.cancel", lambda *_, **how: None)
    monkeypatch.setattr(asked, refused)

    def waited() -> None:
        with (
            on_ray().cluster(None, None, print) as engine,
            closing(engine.each(abs, [1], str, stopped)) as answers,
        ):
            list(answers)

    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Failure, match=r"^Ray does not answer any more: The token is wrong.*; what was") as caught:
        waited()
    assert caught.value.status == 1


def on_ray() -> ModuleType:
    """Imported here, since it needs the extra."""
    return importlib.import_module("experiments.session.on_ray")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
