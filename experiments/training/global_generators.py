"""The random generators that all code of a process shares: those of `random`, `numpy.random` and `torch`.

An environment should draw from its own `np_random`, which `reset(seed=...)` seeds. Some draw from these generators
instead. Their runs would share one stream, and a run's numbers would depend on the environments stepped beside it.
So each environment gets states of its own, which are seeded from its run's numbers at every reset and swapped in
while it acts. Swapping takes some microseconds per step, so it is done only for generators from which a world
draws.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.random.mtrand import get_bit_generator, set_bit_generator


class Shared(Protocol):
    """One of the generators."""

    def hold(self) -> None:
        """Store its present state, and begin to watch whether anybody draws from it."""

    def moved(self) -> bool:
        """Whether anybody has drawn from it since `hold`, if no place was entered."""

    def release(self) -> None:
        """Restore the state that it had at `hold`."""

    def enter(self, place: int, seed: int | None) -> None:
        """Swap in the state of a place: seeded, or (None) as the place left it."""

    def leave(self, place: int) -> None:
        """Store the present state as that of the place."""


class PythonGenerator:
    """`random.random` and its siblings."""

    def __init__(self) -> None:
        self._states: dict[int, Any] = {}

    def hold(self) -> None:
        self._outside = random.getstate()

    def moved(self) -> bool:
        # 624 words and the number of used ones: each draw changes that number, or renews the words. But `gauss`
        # makes two normal numbers at a time, and keeps the second one for the next call.
        (_, before, kept_before), (_, now, kept_now) = self._outside, random.getstate()
        return (before[-1], before[:2], kept_before) != (now[-1], now[:2], kept_now)

    def release(self) -> None:
        random.setstate(self._outside)

    def enter(self, place: int, seed: int | None) -> None:
        if seed is None:
            random.setstate(self._states[place])
        else:
            random.seed(seed)

    def leave(self, place: int) -> None:
        self._states[place] = random.getstate()


class NumPyGenerator:
    """`numpy.random.rand` and its siblings.

    Copying its state takes a hundred times as long as exchanging its bit generator, so bit generators are
    exchanged. One from which nobody draws stays equal to its untouched twin.
    """

    def __init__(self) -> None:
        self._sources: dict[int, np.random.BitGenerator] = {}
        self._watched, self._untouched = (np.random.MT19937(0) for _ in range(2))

    def hold(self) -> None:
        self._outside = get_bit_generator()
        self._state = np.random.get_state(legacy=False)  # noqa: NPY002  (with the normal number that it may keep)
        set_bit_generator(self._watched)

    def moved(self) -> bool:
        return bool(self._watched.random_raw() != self._untouched.random_raw())

    def release(self) -> None:
        set_bit_generator(self._outside)
        np.random.set_state(self._state)  # noqa: NPY002

    def enter(self, place: int, seed: int | None) -> None:
        if place not in self._sources:
            self._sources[place] = np.random.MT19937(0)
        set_bit_generator(self._sources[place])
        if seed is not None:
            np.random.seed(seed % 2**32)  # noqa: NPY002  (that of the place)

    def leave(self, place: int) -> None:
        """Nothing to do: the bit generator keeps its state itself."""


class TorchGenerator:
    """`torch.rand` and its siblings, on the CPU; if torch is not loaded at `hold`, nobody draws from it."""

    def __init__(self) -> None:
        self._states: dict[int, Any] = {}

    def hold(self) -> None:
        torch = sys.modules.get("torch")
        self._generator = None if torch is None else torch.default_generator
        self._outside: Any = None if self._generator is None else self._generator.get_state()

    def moved(self) -> bool:
        return self._generator is not None and not self._outside.equal(self._generator.get_state())

    def release(self) -> None:
        if self._generator is not None:
            self._generator.set_state(self._outside)

    def enter(self, place: int, seed: int | None) -> None:
        if self._generator is None:
            return
        if seed is None:
            self._generator.set_state(self._states[place])
        else:
            self._generator.manual_seed(seed % 2**63)

    def leave(self, place: int) -> None:
        if self._generator is not None:
            self._states[place] = self._generator.get_state()


class GlobalGenerators:
    """All shared generators, for environments that are numbered by their places.

    Args:
        swapped: whether environments have states of their own from the beginning; otherwise they get them as soon
            as they have drawn from a generator.

    Attributes:
        swapped: the generators of which each environment has a state of its own.
    """

    def __init__(self, swapped: bool = False) -> None:
        self._all: tuple[Shared, ...] = (PythonGenerator(), NumPyGenerator(), TorchGenerator())
        self.swapped: list[Shared] = list(self._all) if swapped else []

    @contextmanager
    def held(self) -> Iterator[None]:
        """After the block, the generators are as they were before it."""
        for generator in self._all:
            generator.hold()
        try:
            yield
        finally:
            for generator in self._all:
                generator.release()

    def drawn_from(self) -> bool:
        """While held: whether environments have drawn from a generator that they share. They will not share it
        again."""
        found = [generator for generator in self._all if generator not in self.swapped and generator.moved()]
        self.swapped += found
        return bool(found)

    def enter(self, place: int, seed: int | None = None) -> None:
        """While held: the environment at this place begins to act; at its reset, with a seed of its own."""
        for generator in self.swapped:
            generator.enter(place, seed)

    def leave(self, place: int) -> None:
        """The environment at this place has acted."""
        for generator in self.swapped:
            generator.leave(place)

    @contextmanager
    def acting(self, seed: int | None = None) -> Iterator[None]:
        """For a single environment: a block in which it acts."""
        with self.held():
            self.enter(0, seed)
            yield
            self.leave(0)
