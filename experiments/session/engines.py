"""Where trainings run: in processes of this machine, or on a Ray cluster. Neither changes a number."""

import sys
import time
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from bisect import insort
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from experiments.config.commands import is_installed, pip_install
from experiments.config.failures import Failure
from experiments.config.mistakes import one_line
from experiments.session.command_line import available_cores
from experiments.session.processes import MOMENT, Child, Ended, Lost, end

if TYPE_CHECKING:
    from experiments.session.workers import Elsewhere

Task = TypeVar("Task")
ENGINES = ("local", "ray")
ATTEMPTS = 3  # in all, if a cluster loses the process: of a task, or of a training from one checkpoint
# Once half of all tasks are done, one that takes this many times as long as their median is named as late. Spark
# (spark.speculation) begins such a task a second time; here it is only named, since it may rightly take long.
LATE_TIMES = 3.0
LATE_SECONDS = 10.0  # no task is late before this: nobody would check on it so soon


@dataclass
class _Attempt(Generic[Task]):
    """A task that is under way."""

    task: Task
    number: int  # from 1
    began: float
    is_late: bool = False


class Engine(ABC):
    """What does tasks apart from each other, so that one that fails does not stop the others.

    Attributes:
        attempts: how often a task is tried if its process ends.
        cores: about how many tasks are done at once, and how many processes share a large training.
        share: starts a process for each share of the seeds of one training, as `Workers` takes it; None: threads
            and processes of this machine share it.
    """

    attempts = 1
    share: "Elsewhere | None" = None

    def __init__(self, cores: int, notify: Callable[[str], None], at_once: int | None = None) -> None:
        """Make an engine.

        Args:
            cores: as above.
            notify: told, in a line, which task is late, and which is tried again and why.
            at_once: how many tasks are handed out at a time; None: as many as there are cores.
        """
        self.cores, self._notify, self._at_once = cores, notify, at_once or cores

    def each(
        self,
        function: Callable[[Task], Any],
        tasks: Sequence[Task],
        named: Callable[[Task], str],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Generator[tuple[Task, Any], None, None]:
        """Do each task; yields pairs of task and answer as they come. Closing the iterator ends what is under way.

        Args:
            function: what to do; it and its tasks and answers are pickled where processes cannot be forked.
            tasks: in about the order in which they are begun.
            named: a task in words, for messages.
            meanwhile: called several times per second until an answer comes, to show that it goes on.
        Returns:
            the answers; `Ended` where a task failed, or its process ended without an answer in each attempt.
        """
        waiting = deque((task, 1) for task in tasks)
        under_way: dict[Any, _Attempt[Task]] = {}
        took: list[float] = []  # seconds of the tasks that are done, shortest first
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._at_once:
                    task, number = waiting.popleft()
                    under_way[self._begin(function, task)] = _Attempt(task, number, time.monotonic())
                if not (ready := self._ready(list(under_way))):
                    meanwhile()
                for handle in ready:
                    attempt, answer = under_way.pop(handle), self._answer(handle)
                    if isinstance(answer, Lost) and attempt.number < self.attempts:
                        again = f"attempt {attempt.number + 1} of {self.attempts}"
                        self._notify(f"{named(attempt.task)}: {answer.why}; {again}")
                        waiting.append((attempt.task, attempt.number + 1))
                        continue
                    if isinstance(answer, Lost) and self.attempts > 1:
                        answer = Ended(f"{answer.why}, in each of {self.attempts} attempts")
                    insort(took, time.monotonic() - attempt.began)
                    yield attempt.task, answer
                if 2 * len(took) >= len(tasks):
                    self._name_late(under_way.values(), took[len(took) // 2], named)
        finally:
            self._end(list(under_way))

    def _name_late(self, under_way: Iterable[_Attempt[Task]], median: float, named: Callable[[Task], str]) -> None:
        for attempt in under_way:
            seconds = time.monotonic() - attempt.began
            if not attempt.is_late and seconds > max(LATE_SECONDS, LATE_TIMES * median):
                attempt.is_late = True
                done = f"{median:.0f} s" if median >= 1 else "a second"
                why = f"not done after {seconds:.0f} s; half of the others took {done} or less"
                self._notify(f"{named(attempt.task)}: {why}")

    @abstractmethod
    def _begin(self, function: Callable[[Task], Any], task: Task) -> Any:
        """Hand out a task."""

    @abstractmethod
    def _ready(self, under_way: Sequence[Any]) -> Sequence[Any]:
        """Some that have ended, after at most a moment."""

    @abstractmethod
    def _answer(self, handle: Any) -> Any:
        """The answer of one that has ended; `Lost` if its process ended before it gave one."""

    @abstractmethod
    def _end(self, under_way: Sequence[Any]) -> None:
        """End what nobody waits for any more."""


class LocalEngine(Engine):
    """A process of this machine for each task. A task whose process ends is not tried again: here it was probably
    killed for want of memory, and would be again."""

    def _begin(self, function: Callable[[Task], Any], task: Task) -> Child:
        return Child(function, task)

    def _ready(self, under_way: Sequence[Any]) -> Sequence[Any]:
        return wait(under_way, MOMENT)

    def _answer(self, handle: Any) -> Any:
        return handle.answer()

    def _end(self, under_way: Sequence[Any]) -> None:
        end([child.process for child in under_way])


def add_engine(parser: ArgumentParser) -> None:
    """The options that choose an engine."""
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="where to train (default: local); changes no number"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of a running Ray cluster, or auto (default: Ray is started on this machine, and ended)",
    )


def check_engine(options: Namespace) -> None:
    """Check that there is such an engine here, before anything is written.

    Raises:
        Failure: there is none.
    """
    if options.engine == "local" and options.address is not None:
        raise Failure("--address is that of a Ray cluster: it needs --engine ray")
    if options.engine == "ray" and not is_installed("ray"):
        raise Failure(f"--engine ray needs the extra ray, which is not installed: {pip_install('ray')}")


@contextmanager
def opened(options: Namespace, notify: Callable[[str], None]) -> Iterator[Engine]:
    """The engine that the command line asks for, as long as the context lasts.

    Args:
        options: `engine`, `address`, and `workers` (None: as many as there are cores).
        notify: as in `Engine`.
    Raises:
        Failure: it is not installed, or cannot be reached.
    """
    check_engine(options)
    if options.engine == "local":
        yield LocalEngine(options.workers or available_cores(), notify)
        return
    try:
        from experiments.session.on_ray import cluster  # Ray is an extra
    except ImportError as error:  # as where a ray.py lies in the current folder
        place = getattr(sys.modules.get("ray"), "__file__", None) or "ray"
        raise Failure(f"--engine ray: {place} is no Ray that can be used: {one_line(error)}") from None
    with cluster(options.address, options.workers, notify) as engine:
        yield engine
