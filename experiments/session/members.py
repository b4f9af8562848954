"""Workers that train a share of the runs: this thread, threads of this process, another process, or one on Ray.

All answer the same requests in the order in which they were made: "advance" by some updates (answered by a block,
and the state after it if wanted), "final" and "parameters".
"""

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from experiments.config.failures import OUT_OF_MEMORY, Failure, is_out_of_memory
from experiments.config.schema import Config
from experiments.session.processes import CONTEXT, end, start, why_ended
from experiments.session.surroundings import plain_arithmetic
from experiments.training.loop import Training
from experiments.training.records import Each
from experiments.training.simulated.simulators import SimulatorError
from experiments.training.termination import termination

State = dict[str, NDArray[Any]]


class WorkerFailed(Failure, RuntimeError):
    """A worker process ended or raised; the message says why."""

    status = 1


class WorkerLost(WorkerFailed):
    """A worker process of a cluster ended, perhaps with its machine: another can go on in its place."""


class Member(Protocol):
    """A worker that trains some of the runs."""

    def request(self, what: str, *arguments: Any) -> None: ...
    def answer(self) -> Any: ...
    def close(self) -> None: ...


def _perform(training: Training, what: str, arguments: tuple[Any, ...], each: Each = map) -> Any:
    if what == "advance":
        updates, want_state = arguments
        return training.advance(updates, each), training.state() if want_state else None
    if what == "final":
        return training.final()
    return training.parameters()


class Local:
    """Does the work in the calling thread, when the answer is wanted."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._requests: deque[tuple[str, tuple[Any, ...]]] = deque()

    def request(self, what: str, *arguments: Any) -> None:
        self._requests.append((what, arguments))

    def answer(self) -> Any:
        try:
            return _perform(self._training, *self._requests.popleft())
        except SimulatorError as error:
            raise WorkerFailed(str(error)) from error

    def close(self) -> None:
        """The caller closes its training."""


class Threads(Local):
    """Threads of this process, each of which trains one run after another while the caller does something else.

    They write into the same arrays. Compiled code runs without the interpreter's lock, so they run side by side.
    """

    def __init__(self, training: Training, number: int) -> None:
        super().__init__(training)
        self._number, self._is_closed = number, False
        self._of_runs, self._of_blocks = ThreadPoolExecutor(number, "runs"), ThreadPoolExecutor(1, "blocks")
        self._blocks: deque[Future[Any]] = deque()

    def request(self, what: str, *arguments: Any) -> None:
        if what == "advance":
            asked = self._training, what, arguments, self._each
            self._blocks.append(self._of_blocks.submit(_perform, *asked))
        else:
            super().request(what, *arguments)

    def _each(self, function: Callable[[int], Any], runs: Iterable[int]) -> list[Any]:
        """The `map` of the threads: each takes the next run when it has done one. The pool's own map makes a
        future per run, which costs about as much as an update."""
        left, found = SimpleQueue[tuple[int, int]](), dict[int, Any]()
        for item in enumerate(runs):
            left.put(item)

        def take() -> None:
            with suppress(Empty):
                while not self._is_closed:
                    place, run = left.get_nowait()
                    found[place] = function(run)

        for done in [self._of_runs.submit(take) for _ in range(self._number)]:
            done.result()
        return [found[place] for place in range(len(found))]

    def answer(self) -> Any:
        return self._blocks.popleft().result() if self._blocks else super().answer()

    def close(self) -> None:
        """End the threads, and drop the block that they are training."""
        self._is_closed = True
        for pool in (self._of_runs, self._of_blocks):
            pool.shutdown(cancel_futures=True)


class Answer(NamedTuple):
    """What a worker process sends back for a request."""

    value: Any
    error: str | None

    @classmethod
    def failed(cls, error: Exception) -> "Answer":
        """The answer of a worker that cannot go on."""
        if isinstance(error, SimulatorError):
            return cls(None, str(error))
        return cls(None, OUT_OF_MEMORY if is_out_of_memory(error) else "".join(traceback.format_exception(error)))

    def checked(self) -> Any:
        """The value.

        Raises:
            WorkerFailed: there is none.
        """
        if self.error is not None:
            raise WorkerFailed(self.error)
        return self.value


class Share:
    """Trains a share of the seeds in a process of its own. One thread, since every core has a worker."""

    def __init__(self, config: Config, seeds: Sequence[int], state: Mapping[str, NDArray[Any]] | None) -> None:
        with ExitStack() as stack:
            stack.enter_context(plain_arithmetic())
            self._training = stack.enter_context(closing(Training(config, seeds)))
            stack.enter_context(plain_arithmetic())  # torch may have come with it
            if state is not None:
                self._training.load(state)
            self.close = stack.pop_all().close

    def perform(self, what: str, arguments: tuple[Any, ...]) -> Any:
        return _perform(self._training, what, arguments)


class Process:
    """Trains in another process, forked or spawned here; see `close_all`."""

    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        state: Mapping[str, NDArray[Any]] | None,
        earlier: Sequence["Process"],
    ) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        pipes = [self.pipe, *(process.pipe for process in earlier)]
        self.process = start(_serve, theirs, pipes, config, seeds, state)
        theirs.close()

    def request(self, what: str, *arguments: Any) -> None:
        with suppress(OSError):  # it has ended; the answer says why
            self.pipe.send((what, arguments))

    def answer(self) -> Any:
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):
            why = why_ended(self.process)
            raise WorkerFailed(f"a training process ended unexpectedly ({why})") from None
        return answer.checked()

    def close(self) -> None:
        """Let it know that no more answers are needed; `close_all` waits for its end."""
        self.pipe.close()


def close_all(members: Sequence[Member]) -> None:
    """End all threads and processes of the members."""
    for member in members:
        member.close()
    end([member.process for member in members if isinstance(member, Process)])


def _serve(
    pipe: Connection,
    inherited: Sequence[Connection],
    config: Config,
    seeds: Sequence[int],
    state: Mapping[str, NDArray[Any]] | None,
) -> None:
    """A worker: answer requests until the pipe closes."""
    for other in inherited:  # of the main process: a pipe closes only when nobody holds its other end
        other.close()
    try:
        with termination.held(), closing(Share(config, seeds, state)) as share, termination.held(False):
            while True:
                what, arguments = pipe.recv()
                pipe.send(Answer(share.perform(what, arguments), None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the main process has ended, or needs no more answers
    except Exception as error:
        pipe.send(Answer.failed(error))
