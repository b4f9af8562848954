"""Counted random numbers beside NumPy's Philox, number for number."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.philox import halves, normals, normals_at, uniforms, uniforms_at

Uniforms = NDArray[np.float64]

KEYS = [(0, 0, 0), (7, 1, 3), (2**62, 5, 2**40), (2**64 - 1, 3, 1)]  # seed, purpose, update
keys = pytest.mark.parametrize("key", KEYS, ids=str)


def oracle(seed: int, purpose: int, update: int, block: int = 0) -> np.random.Philox:
    """NumPy's generator, whose next number is the first of a block. It counts up before it begins."""
    counter = (block + (update << 64) - 1) % 2**256
    return np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=counter)


def filled(fill: Any, key: tuple[int, int, int], first: int, n: int, kind: type = np.float64) -> NDArray[Any]:
    """The numbers first, ..., first + n - 1."""
    out = np.empty(n, kind)
    fill(*map(np.uint64, key), first, out)
    return out


@keys
@pytest.mark.parametrize("block", [0, 1, 1000, 2**40])
def test_uniforms_are_those_of_numpy(key: tuple[int, int, int], block: int) -> None:
    expected = np.random.Generator(oracle(*key, block)).random(1001)
    np.testing.assert_array_equal(filled(uniforms, key, 4 * block, 1001), expected)


@keys
@pytest.mark.parametrize("block", [0, 1, 1000, 2**40])
def test_halves_are_those_of_numpy(key: tuple[int, int, int], block: int) -> None:
    expected = np.random.Generator(oracle(*key, block)).integers(2**32, size=1001, dtype=np.uint32)
    np.testing.assert_array_equal(filled(halves, key, 8 * block, 1001, np.uint32), expected)


@keys
def test_normals_are_pairs_of_uniforms_after_box_and_muller(key: tuple[int, int, int]) -> None:
    u, v = filled(uniforms, key, 8, 1000).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log(1 - u))
    expected = radius * [np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)]
    np.testing.assert_allclose(filled(normals, key, 8, 1000), expected.T.ravel(), rtol=1e-13, atol=1e-15)


@settings(deadline=None)
@example(first=3, n=0)
@given(first=st.integers(0, 40), n=st.integers(0, 40))
def test_a_number_depends_on_its_place_alone(first: int, n: int) -> None:
    for fill, kind in ((uniforms, np.float64), (normals, np.float64), (halves, np.uint32)):
        whole, room = filled(fill, KEYS[1], 0, 80, kind), np.zeros(n + 2, kind)
        fill(*KEYS[1], first, room[1:-1])
        np.testing.assert_array_equal(room, [0, *whole[first : first + n], 0])  # and nothing beside it


@settings(deadline=None)
@given(first=st.integers(0, 40), places=st.sets(st.integers(0, 40)))
def test_numbers_at_some_places_are_those_of_all_places(first: int, places: set[int]) -> None:
    chosen, drawn = np.array(sorted(places), np.uint32), np.empty(8)
    for some, every in ((uniforms_at, uniforms), (normals_at, normals)):
        out = np.empty(len(chosen))
        some(*map(np.uint64, KEYS[1]), first, chosen, drawn, out)
        np.testing.assert_array_equal(out, filled(every, KEYS[1], 0, 81)[first + chosen])


def test_numbers_of_seeds_purposes_updates_and_places_differ() -> None:
    """64 numbers of each of 8 x 8 x 8 keys: of 32,768 random ones two are equal with probability 2^-24."""
    numbers = [filled(uniforms, (s, p, u), 0, 64) for s in range(8) for p in range(8) for u in range(8)]
    assert len(np.unique(numbers)) == 8**3 * 64


@pytest.mark.parametrize("axis", ["places", "updates", "purposes", "seeds"])
def test_numbers_are_uniform_along_every_axis(axis: str) -> None:
    """Whichever part of the key counts up: pairs of neighbours fall into 16 x 16 boxes alike."""
    n, k = 51_200, range(51_200)
    numbers = {
        "places": lambda: filled(uniforms, (1, 2, 3), 0, n),
        "updates": lambda: np.concatenate([filled(uniforms, (1, 2, u), 5, 1) for u in k]),
        "purposes": lambda: np.concatenate([filled(uniforms, (1, p, 3), 5, 1) for p in k]),
        "seeds": lambda: np.concatenate([filled(uniforms, (s, 2, 3), 5, 1) for s in k]),
    }[axis]()
    boxes = (numbers * 16).astype(int).reshape(-1, 2) @ [16, 1]
    counts, expected = np.bincount(boxes, minlength=256), n / 2 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 330.5  # 99.9 % of chi-squared, 255 degrees of freedom


def test_normals_are_standard_normal() -> None:
    n = 400_000
    numbers = filled(normals, KEYS[1], 0, n).astype(float)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        # 3.29: 99.9 % of the normal distribution, both ends
        assert abs((numbers**power).mean() - moment) < 3.29 * (variance / n) ** 0.5
    assert abs((numbers[::2] * numbers[1::2]).mean()) < 3.29 / (n / 2) ** 0.5


@compiled()
def _from_compiled_code(seeds: NDArray[np.uint64], update: int, out: Uniforms) -> None:
    for r in range(len(seeds)):
        for t in range(out.shape[1]):
            uniforms(seeds[r], 3, update, t * out.shape[2], out[r, t])


def test_compiled_code_calls_with_scalars_and_rows() -> None:
    out = np.empty((2, 5, 3))
    _from_compiled_code(np.array([4, 2**64 - 1], np.uint64), 9, out)
    for seed, numbers in zip((4, 2**64 - 1), out, strict=True):
        np.testing.assert_array_equal(numbers.ravel(), filled(uniforms, (seed, 3, 9), 0, 15))
