"""Where trainings run: in processes of this machine, or on a Ray cluster. Neither changes a number."""

import importlib.util
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from experiments.config.commands import pip_install
from experiments.config.failures import Failure
from experiments.session.command_line import available_cores
from experiments.session.processes import each_apart

if TYPE_CHECKING:
    from experiments.session.workers import Elsewhere

Task = TypeVar("Task")
ENGINES = ("local", "ray")


class Engine(Protocol):
    """What does tasks apart from each other, so that one that fails does not stop the others.

    Attributes:
        cores: about how many tasks are done at once, and processes share a large training.
        share: starts a process for each share of the seeds of one training, as `Workers` takes it; None: threads
            and processes of this machine share it.
    """

    cores: int

    @property
    def share(self) -> "Elsewhere | None": ...

    def each(
        self,
        function: Callable[[Task], Any],
        tasks: Sequence[Task],
        named: Callable[[Task], str],
        meanwhile: Callable[[], None],
    ) -> Generator[tuple[Task, Any], None, None]:
        """Do each task; yields pairs of task and answer as they come. Closing the iterator ends what is under way.

        Args:
            function: what to do; it and its tasks and answers are pickled where processes cannot be forked.
            tasks: in about the order in which they are begun.
            named: a task in words, for messages.
            meanwhile: called several times per second until an answer comes, to show that it goes on.
        Returns:
            the answers; `processes.Ended` where a task failed, or its process ended without an answer.
        """
        ...


class LocalEngine:
    """A process of this machine for each task."""

    share = None

    def __init__(self, cores: int) -> None:
        self.cores = cores

    def each(
        self,
        function: Callable[[Task], Any],
        tasks: Sequence[Task],
        named: Callable[[Task], str],
        meanwhile: Callable[[], None],
    ) -> Generator[tuple[Task, Any], None, None]:
        return each_apart(function, tasks, self.cores, meanwhile)


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
    if options.engine == "ray" and importlib.util.find_spec("ray") is None:
        raise Failure(f"--engine ray needs the extra ray, which is not installed: {pip_install('ray')}")


@contextmanager
def opened(options: Namespace, notify: Callable[[str], None]) -> Iterator[Engine]:
    """The engine that the command line asks for, as long as the context lasts.

    Args:
        options: `engine`, `address`, and `workers` (None: as many as there are cores).
        notify: told, in a line, what was tried again and why.
    Raises:
        Failure: it is not installed, or cannot be reached.
    """
    check_engine(options)
    if options.engine == "local":
        yield LocalEngine(options.workers or available_cores())
        return
    from experiments.session.on_ray import cluster  # Ray is an extra

    with cluster(options.address, options.workers, notify) as engine:
        yield engine
