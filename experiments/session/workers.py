"""Training in blocks of updates, shared between threads, or processes of this machine or of a cluster.

Compiled runs are trained by threads of this process, one run after the other. Otherwise each process trains its
share of the seeds in all arms, and the blocks are joined again. A run's numbers do not depend on its neighbours,
so the number of threads or processes changes none of them.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.config.schema import Config
from experiments.session.members import Local, Member, Process, State, Threads, close_all
from experiments.storage.stored_states import check_values
from experiments.training.loop import Training
from experiments.training.records import Column, Records, Runs, merged, scattered

Elsewhere = Callable[[Config, Sequence[Sequence[int]], Sequence[State | None]], Sequence[Member]]

BLOCK_SECONDS = 0.25  # about how long a block of updates takes
# In short blocks calls and cold caches make each update dearer. So a block has at least this many updates, unless
# they take more than this many times BLOCK_SECONDS.
ENOUGH_UPDATES, LONGEST = 8, 4.0
BATCHES_PER_UPDATE = 8  # a block has an update for as many: a batch costs about a millisecond per block


class Block(NamedTuple):
    """Consecutive updates and, if it was asked for, the state of training after them."""

    records: Records
    states: list[State] | None  # one per share of the seeds


def shares(seeds: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """The seeds in nearly equal parts, one per worker but none of them empty."""
    parts = np.array_split(np.arange(len(seeds)), min(workers, len(seeds)))
    return [tuple(seeds[i] for i in part) for part in parts]


def check_states(training: Training, states: Sequence[State], update: int) -> None:
    """Check that training can continue from these states, one per share of the seeds, after `update` updates.

    Raises:
        ValueError: an array is missing, is not one of this training, has another shape or type, or holds values
            that no training can reach.
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
        if not int(state["update_count"]) == update <= training.config.most_updates:
            raise ValueError(f"is after update {update}, or {state['update_count']}; neither fits")
        check_values(training, state, update)
        of_part.load(state)


class Workers:
    """All runs of a config, trained by threads where they are compiled, else by a process per share of the seeds.

    One share needs no process. Use as a context manager: threads and processes end with it.
    """

    def __init__(
        self,
        training: Training,
        workers: int,
        states: Sequence[State] | None = None,
        pace: float = math.inf,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Begin, or continue from states.

        Args:
            training: the training of all seeds, not yet begun; it has checked the config against its world.
            workers: the number of threads or processes; with states, there is a process for each of them.
            states: the states from which to continue, one per share, as in `Block.states`.
            pace: about how many seconds one worker takes for an update of one seed; infinite: unknown.
            elsewhere: starts a process for each share of the seeds on a cluster; None: all work is done here.
        """
        self.config, self.runs = training.config, training.runs
        by_threads = training.is_compiled and elsewhere is None
        parts = shares(training.seeds, len(states) if states else 1 if by_threads else workers)
        order = {run: place for place, run in enumerate(zip(*self.runs, strict=True))}
        arms, worlds = list(self.config.arms), self.config.environment.world_list
        self._places = [
            np.array([order[run] for run in zip(*Runs.of(arms, part, worlds), strict=True)]) for part in parts
        ]
        self._least = max(1, len(training.batches) // BATCHES_PER_UPDATE)
        # Of the next block.
        self._size = self._fitting(workers / pace / len(training.seeds))
        self.update_count = int(states[0]["update_count"]) if states else 0
        given: Sequence[State | None] = states or [None] * len(parts)
        self._members: Sequence[Member]
        if elsewhere is not None:
            self._members = elsewhere(self.config, parts, given)
        elif len(parts) == 1:  # the caller closes its training
            if states:
                training.load(states[0])
            self._members = [Threads(training, workers) if training.is_compiled else Local(training)]
        else:
            processes: list[Process] = []
            for part, state in zip(parts, given, strict=True):
                processes.append(Process(self.config, part, state, tuple(processes)))
            self._members = processes

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        close_all(self._members)

    def blocks(self, state_due: Callable[[int], bool]) -> Iterator[Block]:
        """Train the updates that are left, block by block.

        Two blocks are requested at the start, so that one is trained while the caller uses the other.

        Args:
            state_due: called once per block with the number of updates at its end; whether to return the state
                there.
        """
        total, requested = self.config.most_updates, self.update_count
        pending: deque[bool] = deque()

        def ask() -> None:
            nonlocal requested
            if updates := min(self._size, total - requested):
                requested += updates
                pending.append(state_due(requested))
                for member in self._members:
                    member.request("advance", updates, pending[-1])

        def answered() -> Iterator[Block]:
            began = time.monotonic()
            while pending:
                answers, want_state = [member.answer() for member in self._members], pending.popleft()
                took, began = time.monotonic() - began, time.monotonic()
                records = merged([part for part, _ in answers], self._places, len(self.runs.arm))
                updates, self.update_count = records.end - self.update_count, records.end
                # Blocks grow and shrink gently: one slow block says little about the next.
                self._size = min(2 * self._size, self._fitting(updates / max(took, 1e-6)))
                yield Block(records, [state for _, state in answers] if want_state else None)
                ask()

        ask()
        ask()
        return answered()

    def _fitting(self, pace: float) -> int:
        """The number of updates of a block, at a pace of so many updates per second."""
        fitting = BLOCK_SECONDS * pace
        return max(self._least, round(max(fitting, min(ENOUGH_UPDATES, LONGEST * fitting))))

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet."""
        parts = self._all("final")
        return {name: scattered([part[name] for part in parts], self._places) for name in parts[0]}

    def parameters(self) -> dict[str, Column]:
        """The trained parameters, by "<arm>/seed_<k>/<layer>"."""
        return {name: array for arrays in self._all("parameters") for name, array in arrays.items()}

    def _all(self, what: str) -> list[Any]:
        for member in self._members:
            member.request(what)
        return [member.answer() for member in self._members]
