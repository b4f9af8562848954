"""Compile the loops of a training before it begins, or load the code compiled earlier."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import numba.core.event

from experiments.session.command_line import available_cores
from experiments.session.engines import LocalEngine
from experiments.session.processes import LINUX
from experiments.storage.stored_files import StoreError
from experiments.training.finite import parts
from experiments.training.initial import initial_policies, learner_of
from experiments.training.loop import Training


class Watch(Protocol):
    """Shows how far the preparations are."""

    def compiling(self) -> None:
        """A function is about to be compiled."""

    def stop(self) -> None:
        """Everything is compiled. Nothing may be drawn by a thread, since processes may be forked from here on."""


class _Counting(numba.core.event.Listener):
    """Reports that a function is about to be compiled."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told

    def on_start(self, event: object) -> None:
        self._told()

    def on_end(self, event: object) -> None: ...


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Numba keeps nearly all the objects that it makes: a search for garbage takes a tenth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_nothing_collected()
def compile_ahead(training: Training, notify: Callable[[str], None], watch: Watch | None = None) -> float:
    """Load or compile the compiled code, before there are processes that would each do it.

    This trains one update of one seed, and discards it; in a simulator, where that could take long, it is a
    gradient step on one row.

    Args:
        training: what is to be trained.
        notify: called once, with a line of text, if anything has to be compiled.
        watch: shows that it goes on.
    Returns:
        the seconds that an update of one seed takes; infinite: not measured, because the world is a simulator.
    Raises:
        StoreError: numba cannot store the compiled code.
    """
    number = 0

    def told() -> None:
        nonlocal number
        if number == 0:
            notify("compiling for this processor, which takes some seconds")
        number += 1
        if watch is not None:
            watch.compiling()

    try:
        if training.is_compiled and parts.are_missing() and LINUX and available_cores() > 1:
            if watch is not None:
                watch.stop()  # a process that is forked must not have its thread
            _compile_apart(training, lambda: told() if number == 0 else None)
        with numba.core.event.install_listener("numba:compile", _Counting(told)):
            return _touch(training)
    except OSError as error:
        place = error.filename or "the folder of compiled code"
        raise StoreError(f"{place}: {error.strerror}; NUMBA_CACHE_DIR can name another folder") from None
    finally:
        if watch is not None:
            watch.stop()


def _compile_apart(training: Training, meanwhile: Callable[[], None]) -> None:
    """Compile each part of the training of a run in a process of its own. The processes leave what they compile on
    disk; what one of them could not, this process compiles later."""
    engine = LocalEngine(len(parts.PARTS), lambda line: None)
    with closing(engine.each(training.compile_part, parts.PARTS, str, meanwhile)) as compiled:
        for _ in compiled:
            pass


def _touch(training: Training) -> float:
    config, world, seeds = training.config, training.world, training.seeds[:1]
    if world.mdp is not None:
        Training(config, seeds).advance(1)
        began = time.perf_counter()
        Training(config, seeds).advance(1)
        return time.perf_counter() - began
    import torch

    for agent in map(config.agent_of, config.arms):
        learner = learner_of(initial_policies([agent], world, seeds), agent)
        row = torch.zeros(1, 1, world.inputs, dtype=learner.theta.dtype)
        learner.step(learner.log_pi(row).sum((1, 2)))
    return math.inf
