"""SGD and Adam for stacked parameters, a run at a time, and the norm of a gradient by which it is clipped.

R: runs, P: parameters of one run. Tested against torch's own, which take each of their passes over all runs.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]

# torch's defaults.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@compiled("contract", "reassoc", "nsz")
def norms(gradient: Array) -> Array:
    """Euclidean length of each row, [R, P] -> [R]."""
    found = np.empty(gradient.shape[0], gradient.dtype)
    for r in range(gradient.shape[0]):
        row, total = gradient[r], gradient.dtype.type(0)
        for p in range(row.shape[0]):
            total += row[p] * row[p]
        found[r] = math.sqrt(total)
    return found


def sgd(theta: Array, gradient: Array, scale: Array, learning_rate: float) -> None:
    """theta [R, P] -= learning rate x scale [R] x gradient."""
    _sgd(theta, gradient, (learning_rate * scale).astype(theta.dtype))


def adam(
    theta: Array, gradient: Array, scale: Array, first: Array, second: Array, step: int, learning_rate: float
) -> None:
    """Move along running means of the gradient and its square, after Kingma and Ba, *Adam* (2015), algorithm 1.

    Args:
        theta, gradient: [R, P].
        scale: of each run's gradient, [R]; 0: the run stays as it is, and so do its means.
        first, second: the means, [R, P], changed in place.
        step: how many steps were taken, this one included.
        learning_rate: of all runs.
    """
    numbers = 1 - BETA_1, 1 - BETA_2, learning_rate / (1 - BETA_1**step), 1 / math.sqrt(1 - BETA_2**step), EPSILON
    _adam(theta, gradient, scale.astype(theta.dtype), first, second, *map(theta.dtype.type, numbers))


@compiled("contract")
def _sgd(theta: Array, gradient: Array, rate: Array) -> None:
    for r in range(theta.shape[0]):
        if rate[r] != 0:
            for p in range(theta.shape[1]):
                theta[r, p] -= rate[r] * gradient[r, p]


@compiled("contract")
def _adam(
    theta: Array, gradient: Array, scale: Array, first: Array, second: Array,
    new_1: float, new_2: float, rate: float, root: float, epsilon: float,
) -> None:  # fmt: skip
    for r in range(theta.shape[0]):
        if scale[r] != 0:
            for p in range(theta.shape[1]):
                g = scale[r] * gradient[r, p]
                first[r, p] += new_1 * (g - first[r, p])
                second[r, p] += new_2 * (g * g - second[r, p])
                theta[r, p] -= rate * first[r, p] / (np.sqrt(second[r, p]) * root + epsilon)
