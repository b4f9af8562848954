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
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
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
def uniforms_at(seed: int, purpose: int, update: int, first: int, places: Array, eight: Array, out: Array) -> None:
    """Fill out [n] with the numbers first + place for some places [n], in ascending order. `eight` is working
    memory, [8]."""
    drawn = -1
    for n in range(len(places)):
        number = first + places[n]
        if number >> 3 != drawn:
            drawn = number >> 3
            words = _two_blocks(seed, purpose, update, 2 * drawn)
            for lane in range(8):
                eight[lane] = _uniform(words[lane])
        out[n] = eight[number & 7]


@compiled()
def normals_at(seed: int, purpose: int, update: int, first: int, places: Array, eight: Array, out: Array) -> None:
    """Fill out [n] with the normal numbers first + place; arguments as in `uniforms_at`."""
    drawn = -1
    for n in range(len(places)):
        number = first + places[n]
        if number >> 3 != drawn:
            drawn = number >> 3
            words = _two_blocks(seed, purpose, update, 2 * drawn)
            for lane in range(0, 8, 2):
                eight[lane], eight[lane + 1] = _normal_pair(words[lane], words[lane + 1])
        out[n] = eight[number & 7]


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
    x = np.uint64(block), np.uint64(update), ZERO, ZERO
    key_0, key_1 = np.uint64(seed), np.uint64(purpose)
    for _ in range(ROUNDS):
        x = _round(x, key_0, key_1)
        key_0, key_1 = key_0 + WEYL_0, key_1 + WEYL_1
    return x


@compiled()
def _two_blocks(seed: int, purpose: int, update: int, block: int) -> tuple[np.uint64, ...]:
    """This block and the next, eight words. Each round of a block waits for the one before; that of the other need
    not."""
    x, y = (np.uint64(block), np.uint64(update), ZERO, ZERO), (np.uint64(block + 1), np.uint64(update), ZERO, ZERO)
    key_0, key_1 = np.uint64(seed), np.uint64(purpose)
    for _ in range(ROUNDS):
        x, y = _round(x, key_0, key_1), _round(y, key_0, key_1)
        key_0, key_1 = key_0 + WEYL_0, key_1 + WEYL_1
    return x + y


@compiled()
def _round(x: Words, key_0: np.uint64, key_1: np.uint64) -> Words:
    high_0, low_0 = _high_word(MULTIPLIER_0, x[0]), MULTIPLIER_0 * x[0]
    high_1, low_1 = _high_word(MULTIPLIER_1, x[2]), MULTIPLIER_1 * x[2]
    return high_1 ^ x[1] ^ key_0, low_1, high_0 ^ x[3] ^ key_1, low_0


def _upper_half(context: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of 128: one instruction, but numba has no integers of 128 bits."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


_high_word: Any = intrinsic(_upper_half)


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
