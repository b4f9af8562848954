"""Random numbers without a state: number i is a function of (seed, purpose, update, i) and of nothing else.

Philox 4x64-10 of Salmon, Moraes, Dror and Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3* (2011). A block is
four words of 64 bits, with the key (seed, purpose) and the counter (block, update, 0, 0). Word i is lane i mod 4
of block i div 4. `numpy.random.Philox(key=[seed, purpose], counter=[block, update, 0, 0])` gives the same words,
but counts up first: it begins with block + 1.

Seed, purpose and update are integers from 0 on; those of 2^63 and more must be `numpy.uint64`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]
Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]

ROUNDS = 10
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
# Added to the key in each round: the fractional parts of the golden ratio and of the square root of 3.
WEYL_0, WEYL_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ZERO, HALF, LOW = np.uint64(0), np.uint64(32), np.uint64(0xFFFFFFFF)


@compiled()
def uniforms(seed: int, purpose: int, update: int, first: int, out: Array) -> None:
    """Fill out [n] with the numbers first, ..., first + n - 1: multiples of 2^-53 in [0, 1), one per word."""
    for block in range(first // 4, (first + len(out) + 3) // 4):
        a, b, c, d = _words(seed, purpose, update, block)
        _put((_uniform(a), _uniform(b), _uniform(c), _uniform(d)), 4 * block - first, out)


@compiled()
def halves(seed: int, purpose: int, update: int, first: int, out: Array) -> None:
    """Fill out [n] with unsigned integers of 32 bits, two per word, the lower half first. Number i is lane i mod 8
    of block i div 8."""
    for block in range(first // 8, (first + len(out) + 7) // 8):
        a, b, c, d = _words(seed, purpose, update, block)
        _put(
            (a & LOW, a >> HALF, b & LOW, b >> HALF, c & LOW, c >> HALF, d & LOW, d >> HALF),
            8 * block - first,
            out,
        )


@compiled()
def normals(seed: int, purpose: int, update: int, first: int, out: Array) -> None:
    """Fill out [n] with standard normal numbers; numbers 2 k and 2 k + 1 are made from uniforms 2 k and 2 k +
    1."""
    for block in range(first // 4, (first + len(out) + 3) // 4):
        a, b, c, d = _words(seed, purpose, update, block)
        _put(_normal_pair(a, b) + _normal_pair(c, d), 4 * block - first, out)


@compiled()
def _words(seed: int, purpose: int, update: int, block: int) -> Words:
    """A block of four words."""
    x_0, x_1, x_2, x_3 = np.uint64(block), np.uint64(update), ZERO, ZERO
    key_0, key_1 = np.uint64(seed), np.uint64(purpose)
    for _ in range(ROUNDS):
        high_0, low_0 = _high_word(MULTIPLIER_0, x_0), MULTIPLIER_0 * x_0
        high_1, low_1 = _high_word(MULTIPLIER_1, x_2), MULTIPLIER_1 * x_2
        x_0, x_1, x_2, x_3 = high_1 ^ x_1 ^ key_0, low_1, high_0 ^ x_3 ^ key_1, low_0
        key_0, key_1 = key_0 + WEYL_0, key_1 + WEYL_1
    return x_0, x_1, x_2, x_3


@compiled()
def _high_word(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 bits of a product, from four products of 32-bit halves. LLVM turns them into one
    instruction."""
    middle = (a >> HALF) * (b & LOW) + ((a & LOW) * (b & LOW) >> HALF)
    other = (a & LOW) * (b >> HALF) + (middle & LOW)
    return (a >> HALF) * (b >> HALF) + (middle >> HALF) + (other >> HALF)


@compiled()
def _uniform(word: np.uint64) -> float:
    return (word >> np.uint64(11)) * 2.0**-53


@compiled()
def _normal_pair(a: np.uint64, b: np.uint64) -> tuple[float, float]:
    """Two standard normal numbers from two words, after Box and Muller, *A Note on the Generation of Random Normal
    Deviates* (1958). 1 - u, unlike u, is never 0."""
    radius, angle = math.sqrt(-2 * math.log(1 - _uniform(a))), 2 * math.pi * _uniform(b)
    return radius * math.cos(angle), radius * math.sin(angle)


@compiled()
def _put(numbers: tuple[Any, ...], place: int, out: Array) -> None:
    """Store the numbers of a block from a place on, except those outside the array."""
    for lane in range(len(numbers)):
        if 0 <= place + lane < len(out):
            out[place + lane] = numbers[lane]
