"""The engine on Ray: a task becomes a Ray task, and a share of a large training an actor, on any of its machines.

A worker process does one task after another. If it, or its machine, dies, the task is tried again elsewhere, a
bounded number of times. This is the only module that imports Ray.
"""

import logging
import math
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from experiments.config.failures import Failure
from experiments.config.mistakes import one_line
from experiments.config.schema import Config
from experiments.session.command_line import available_cores
from experiments.session.engines import ATTEMPTS, Engine, Task
from experiments.session.members import Answer, Share, State, WorkerLost
from experiments.session.processes import MOMENT, Ended, Lost, answered

ROOT = Path(__file__).resolve().parents[2]
OURS = ("agents", "envs", "experiments")  # what the machines of a cluster are sent of the folder that holds us
CONNECTING = 10.0  # seconds until a machine that does not answer counts as not there
LATE = 20.0  # seconds until the user is told that a part of a training has not begun
RESOLUTION = 10_000  # Ray counts cores to four decimals
AHEAD = 2  # tasks that are handed out for each core, so that no core waits for the next


class RayEngine(Engine):
    """Tasks of the Ray cluster that this process is connected to, with one core each."""

    attempts = ATTEMPTS

    def __init__(self, cores: int, notify: Callable[[str], None], at_once: int) -> None:
        super().__init__(cores, notify, at_once)
        self._do = ray.remote(num_cpus=1, max_retries=0)(answered)
        self.share = self._share

    def _begin(self, function: Callable[[Task], Any], task: Task) -> Any:
        return self._do.remote(function, task)

    def _ready(self, under_way: Sequence[Any]) -> Sequence[Any]:
        return ray.wait(under_way, timeout=MOMENT)[0]

    def _answer(self, handle: Any) -> Any:
        try:
            return ray.get(handle)
        except RayTaskError as error:  # a mistake in this program
            print(error, file=sys.stderr, flush=True)
            return Ended("its task ended with the traceback above")
        except RayError as error:
            return Lost(_why(error))

    def _end(self, under_way: Sequence[Any]) -> None:
        for reference in under_way:
            ray.cancel(reference, force=True)

    def _share(
        self, config: Config, parts: Sequence[Sequence[int]], states: Sequence[State | None]
    ) -> list["RayShare"]:
        """Start a process for each part, and wait until all have begun.

        A checkpoint may have more parts than there are cores. They share cores then: no part ever answers without
        all others, so one that waited for a core of its own would wait for ever. That a machine has left may be
        known only after a while; the parts then begin once more, on the cores that are left.
        """
        cores, was_told = min(self.cores, _cores()), False
        each = math.floor(RESOLUTION / math.ceil(len(parts) / cores)) / RESOLUTION
        members = [RayShare(config, *part, each) for part in zip(parts, states, strict=True)]
        while late := ray.wait([member.begun for member in members], num_returns=len(members), timeout=LATE)[1]:
            if _cores() < cores:
                for member in members:
                    member.close()
                return self._share(config, parts, states)
            if not was_told:
                was_told = True
                free = ray.available_resources().get("CPU", 0)
                self._notify(
                    f"{len(late)} of {len(members)} parts of the training have not begun yet; waiting "
                    f"({free:g} of the cluster's cores are free)"
                )
        return members


class _Actor:
    """A share of the seeds in a worker process of Ray."""

    def __init__(self, config: Config, seeds: Sequence[int], state: State | None) -> None:
        self._begin: Callable[[], Share] = cache(partial(Share, config, seeds, state))

    def answer(self, what: str, arguments: tuple[Any, ...]) -> Answer:
        try:
            return Answer(self._begin().perform(what, arguments), None)
        except Exception as error:
            return Answer.failed(error)


class RayShare:
    """A member that trains on the cluster. Its requests wait there, so it need not wait for us.

    Attributes:
        begun: there once its process is; that may be the end of it, which the first answer tells.
    """

    def __init__(self, config: Config, seeds: Sequence[int], state: State | None, cores: float) -> None:
        self._actor = ray.remote(num_cpus=cores)(_Actor).remote(config, seeds, state)
        self.begun: ray.ObjectRef[Any] = self._actor.__ray_ready__.remote()
        self._answers: deque[ray.ObjectRef[Answer]] = deque()

    def request(self, what: str, *arguments: Any) -> None:
        self._answers.append(self._actor.answer.remote(what, arguments))

    def answer(self) -> Any:
        try:
            found: Answer = ray.get(self._answers.popleft())
        except RayError as error:
            raise WorkerLost(f"a training process of Ray ended unexpectedly ({_why(error)})") from None
        return found.checked()

    def close(self) -> None:
        ray.kill(self._actor)


def _cores() -> int:
    """Of the cluster, with the machines that it has now."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _why(error: RayError) -> str:
    """Why a task has no answer, in words: the first sentence of what Ray says."""
    return one_line(error).partition(". ")[0]


@contextmanager
def cluster(address: str | None, workers: int | None, notify: Callable[[str], None]) -> Iterator[RayEngine]:
    """Connect to a cluster, or start one on this machine and end it afterwards.

    Args:
        address: of the cluster; None: it is started here.
        workers: how many tasks may run at a time; None: as many as the cluster has cores.
        notify: as in `Engine`.
    Raises:
        Failure: the cluster cannot be reached or started, or is gone.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray of this machine reports to nobody
    if address is None:
        how: dict[str, Any] = {"address": "local", "num_cpus": workers or available_cores()}
        how |= {"include_dashboard": False}
    else:
        excludes = ["__pycache__", *(f"/{name}" for name in os.listdir(ROOT) if name not in OURS)]
        how = {"address": address, "runtime_env": {"working_dir": str(ROOT), "excludes": excludes}}
    before = signal.getsignal(signal.SIGTERM)  # Ray puts its own in the place
    try:
        if address is not None:
            _knock(address)
        with _silent():
            ray.init(**how, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        what = "Ray cannot be started here"
        if address is not None:
            what = f"--address {address} (of a cluster that has a token, with RAY_AUTH_MODE=token)"
        raise Failure(f"{what}: {one_line(error)}") from None
    signal.signal(signal.SIGTERM, before)
    try:
        cores = _cores()
        yield RayEngine(min(workers or cores, cores), notify, workers or AHEAD * cores)
    except RayError as error:  # of whatever asks the cluster itself, and not one of its tasks
        raise Failure(
            f"Ray does not answer any more: {_why(error)}; what was finished is kept", status=1
        ) from None
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Whether anybody listens at HOST:PORT: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()


@contextmanager
def _silent() -> Iterator[None]:
    """Ray writes each attempt to connect to standard error, past Python; what it raises says it in one line."""
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, os.fdopen(os.dup(2), "wb") as kept:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept.fileno(), 2)
