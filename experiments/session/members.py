"""Workers that train a share of the runs: this thread, threads of this process, or another process.

All answer the same requests in the order in which they were made: "advance" by some updates (answered by a block,
and the state after it if wanted), "final" and "parameters".
"""

import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from experiments.config.failures import OUT_OF_MEMORY, Failure, is_out_of_memory
from experiments.config.schema import Config
from experiments.session.processes import CONTEXT, end, start, why_ended
from experiments.session.surroundings import plain_arithmetic
from experiments.training.loop import Training
from experiments.training.records import Each
from experiments.training.simulated.simulators import SimulatorError

State = dict[str, NDArray[Any]]


class WorkerFailed(Failure, RuntimeError):
    """A worker process ended or raised; the message says why."""

    status = 1


class Member(Protocol):
    """A worker that trains some of the runs."""

    def request(self, what: str, *arguments: Any) -> None: ...
    def answer(self) -> Any: ...


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


class Threads(Local):
    """Threads of this process, each of which trains one run after another while the caller does something else.

    They write into the same arrays. Compiled code runs without the interpreter's lock, so they run side by side.
    """

    def __init__(self, training: Training, number: int) -> None:
        super().__init__(training)
        self._of_runs, self._of_blocks = ThreadPoolExecutor(number, "runs"), ThreadPoolExecutor(1, "blocks")
        self._blocks: deque[Future[Any]] = deque()

    def request(self, what: str, *arguments: Any) -> None:
        if what == "advance":
            asked = self._training, what, arguments, self._of_runs.map
            self._blocks.append(self._of_blocks.submit(_perform, *asked))
        else:
            super().request(what, *arguments)

    def answer(self) -> Any:
        return self._blocks.popleft().result() if self._blocks else super().answer()

    def close(self) -> None:
        """End the threads, and drop the block that they are training."""
        for pool in (self._of_runs, self._of_blocks):
            pool.shutdown(cancel_futures=True)


class Answer(NamedTuple):
    """What a worker process sends back for a request."""

    value: Any
    error: str | None


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
        if answer.error is not None:
            raise WorkerFailed(answer.error)
        return answer.value


def close_all(members: Sequence[Member]) -> None:
    """End all threads and processes of the members."""
    processes = [member for member in members if isinstance(member, Process)]
    for process in processes:
        process.pipe.close()
    for member in members:
        if isinstance(member, Threads):
            member.close()
    end([process.process for process in processes])


def _serve(
    pipe: Connection,
    inherited: Sequence[Connection],
    config: Config,
    seeds: Sequence[int],
    state: Mapping[str, NDArray[Any]] | None,
) -> None:
    """A worker: answer requests until the pipe closes. One thread, since every core has a worker."""
    for other in inherited:  # of the main process: a pipe closes only when nobody holds its other end
        other.close()
    try:
        with plain_arithmetic(), closing(Training(config, seeds)) as training, plain_arithmetic():
            if state is not None:
                training.load(state)
            while True:
                what, arguments = pipe.recv()
                pipe.send(Answer(_perform(training, what, arguments), None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the main process has ended, or needs no more answers
    except SimulatorError as error:
        pipe.send(Answer(None, str(error)))
    except Exception as error:
        out_of_memory = is_out_of_memory(error)
        pipe.send(Answer(None, OUT_OF_MEMORY if out_of_memory else "".join(traceback.format_exception(error))))
