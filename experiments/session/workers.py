"""Training in blocks of updates, in this process or shared between several.

The seeds are shared out, each process trains its own in all arms, and the records are put together again. A run's
numbers do not depend on its neighbours, so the number of processes changes none of them.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.config.failures import OUT_OF_MEMORY, Failure, is_out_of_memory
from experiments.config.schema import Config
from experiments.session.processes import CONTEXT, end, start, why_ended
from experiments.storage.stored_states import check_values
from experiments.training.loop import Training
from experiments.training.records import Column, Records, Runs, merged, scattered
from experiments.training.simulated.simulators import SimulatorError

BLOCK_SECONDS = 0.25  # a block is about as many updates as take this long

State = dict[str, NDArray[Any]]


class Block(NamedTuple):
    """Updates in a row, and what training needs to go on after them where it was asked for."""

    records: Records
    states: list[State] | None  # one for each share of the seeds


class Answer(NamedTuple):
    """What a worker sends back for a request."""

    value: Any
    error: str | None


class WorkerFailed(Failure, RuntimeError):
    """A worker process ended or raised; the message says why."""

    status = 1


def shares(seeds: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """The seeds in as many nearly equal parts as there are workers, none of them empty."""
    parts = np.array_split(np.arange(len(seeds)), min(workers, len(seeds)))
    return [tuple(seeds[i] for i in part) for part in parts]


def check_states(training: Training, states: Sequence[State], update: int) -> None:
    """Whether training can go on from these states, one a share of the seeds, after so many updates.

    Raises:
        ValueError: an array is missing, too many, not of the shape and type that this training has, or holds what
            no training comes to.
    """
    parts = shares(training.seeds, max(len(states), 1))
    if len(parts) != len(states):
        raise ValueError(f"has {len(states)} shares of {len(training.seeds)} seeds")
    for part, state in zip(parts, states, strict=True):
        of_part = training if part == training.seeds else Training(training.config, part)
        expected, found = ({k: f"{a.dtype} {a.shape}" for k, a in s.items()} for s in (of_part.state(), state))
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise ValueError(
                    f"{name} is {found.get(name, 'not there')}; this training has {expected.get(name, 'none')}"
                )
        if not int(state["update_count"]) == update <= training.config.training.updates:
            raise ValueError(f"is after update {update}, or {state['update_count']}; neither fits")
        check_values(training, state, update)
        of_part.load(state)


class Workers:
    """All runs of a config, trained by one process for each share of the seeds.

    With one share everything happens in this process. Use as a context manager: the processes end with it.
    """

    def __init__(self, training: Training, workers: int, states: Sequence[State] | None = None) -> None:
        """Args:
        training: of all seeds, not yet begun; it has checked the config against its world.
        workers: number of processes.
        states: to go on from, one a share, as `Block.states` gave them.
        """
        self.config, self.runs = training.config, training.runs
        parts = shares(training.seeds, workers)
        order = {run: place for place, run in enumerate(zip(*self.runs, strict=True))}
        arms, worlds = list(self.config.arms), self.config.environment.world_list
        self._places = [
            np.array([order[run] for run in zip(*Runs.of(arms, part, worlds), strict=True)]) for part in parts
        ]
        self.update_count = int(states[0]["update_count"]) if states else 0
        given: Sequence[State | None] = states or [None] * len(parts)
        if len(parts) == 1:  # whoever made the training closes it
            if states:
                training.load(states[0])
            self._members: list[_Local | _Process] = [_Local(training)]
        else:
            self._members = []
            for part, state in zip(parts, given, strict=True):
                earlier = [member.pipe for member in self._members if isinstance(member, _Process)]
                self._members.append(_Process(self.config, part, state, earlier))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        processes = [member for member in self._members if isinstance(member, _Process)]
        for member in processes:
            member.pipe.close()
        end([member.process for member in processes])

    def blocks(self, state_due: Callable[[int], bool]) -> Iterator[Block]:
        """The updates that are left. The next block is already being trained while one is looked at.

        Args:
            state_due: asked once a block with the number of updates at its end, whether that is a moment to keep.
        """
        total, size = self.config.training.updates, 1
        requested = self.update_count
        pending: list[bool] = []

        def ask() -> None:
            nonlocal requested
            updates = min(size, total - requested)
            requested += updates
            want_state = state_due(requested)
            pending.append(want_state)
            for member in self._members:
                member.request("advance", (updates, want_state))

        if requested < total:
            ask()
        began = time.monotonic()
        while pending:
            if requested < total:
                ask()
            want_state = pending.pop(0)
            answers = [member.answer() for member in self._members]
            took, began = time.monotonic() - began, time.monotonic()
            records = merged([part for part, _ in answers], self._places, len(self.runs.arm))
            updates = records.end - self.update_count
            self.update_count = records.end
            # Blocks grow and shrink gently: one slow block says little about the next.
            size = max(1, min(2 * size, round(updates * BLOCK_SECONDS / max(took, 1e-6))))
            yield Block(records, [state for _, state in answers] if want_state else None)

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet."""
        parts = self._all("final")
        return {name: scattered([part[name] for part in parts], self._places) for name in parts[0]}

    def parameters(self) -> dict[str, torch.Tensor]:
        """Trained parameters by "<arm>/seed_<k>/<layer>"."""
        return {
            name: torch.from_numpy(array) for arrays in self._all("parameters") for name, array in arrays.items()
        }

    def _all(self, what: str) -> list[Any]:
        for member in self._members:
            member.request(what, ())
        return [member.answer() for member in self._members]


def _perform(training: Training, what: str, arguments: tuple[Any, ...]) -> Any:
    if what == "advance":
        updates, want_state = arguments
        return training.advance(updates), training.state() if want_state else None
    if what == "final":
        return training.final()
    return {name: tensor.numpy() for name, tensor in training.parameters().items()}


class _Local:
    def __init__(self, training: Training) -> None:
        self._training = training
        self._requests: list[tuple[str, tuple[Any, ...]]] = []

    def request(self, what: str, arguments: tuple[Any, ...]) -> None:
        self._requests.append((what, arguments))

    def answer(self) -> Any:
        try:
            return _perform(self._training, *self._requests.pop(0))
        except SimulatorError as error:
            raise WorkerFailed(str(error)) from error


class _Process:
    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        state: Mapping[str, NDArray[Any]] | None,
        earlier: Sequence[Connection],
    ) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = start(_serve, theirs, [self.pipe, *earlier], config, seeds, state)
        theirs.close()

    def request(self, what: str, arguments: tuple[Any, ...]) -> None:
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


def _serve(
    pipe: Connection,
    inherited: Sequence[Connection],
    config: Config,
    seeds: Sequence[int],
    state: Mapping[str, NDArray[Any]] | None,
) -> None:
    """A worker: answer requests until the pipe closes. One thread, since every core has a worker."""
    for other in inherited:  # of the main process: a pipe closes when nobody holds its other end
        other.close()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")  # for good
    try:
        with closing(Training(config, seeds)) as training:
            if state is not None:
                training.load(state)
            while True:
                what, arguments = pipe.recv()
                pipe.send(Answer(_perform(training, what, arguments), None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the main process is gone, or has no more questions
    except SimulatorError as error:
        pipe.send(Answer(None, str(error)))
    except Exception as error:
        out_of_memory = is_out_of_memory(error)
        pipe.send(Answer(None, OUT_OF_MEMORY if out_of_memory else "".join(traceback.format_exception(error))))
