"""One gradient step of a run: clipping, then SGD or Adam, compiled.

P: parameters of a run, R: runs. Tested against torch's optimisers.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]

# The defaults of torch.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@compiled()
def move(
    theta: Array, gradient: Array, means: Array, step: int, learning_rate: float, max_grad_norm: float
) -> float:
    """Move a run's parameters along its gradient.

    Args:
        theta, gradient: [P].
        means: Adam's running means of the gradient and of its square, [2, P]; for SGD, [0, P].
        step: the number of steps so far, including this one.
        learning_rate: step size.
        max_grad_norm: longer gradients are clipped to this Euclidean norm; 0: off.
    Returns:
        the norm before clipping.
    """
    length = norm(gradient)
    scale = min(max_grad_norm / (length + 1e-6), 1.0) if max_grad_norm > 0 else 1.0
    if len(means) == 0:
        _sgd(theta, gradient, learning_rate * scale)
    else:
        rate, root = learning_rate / (1 - BETA_1**step), 1 / math.sqrt(1 - BETA_2**step)
        _adam(theta, gradient, scale, means[0], means[1], rate, root)
    return length


@compiled()
def move_all(
    theta: Array, gradient: Array, means: Array, frozen: NDArray[np.bool_], step: int, learning_rate: float,
    max_grad_norm: float, norms: Array,
) -> None:  # fmt: skip
    """`move` for all runs, with a first axis R, except frozen ones; fills in the norms."""
    for r in range(len(theta)):
        if frozen[r]:
            norms[r] = norm(gradient[r])
        else:
            norms[r] = move(theta[r], gradient[r], means[r], step, learning_rate, max_grad_norm)


@compiled("contract", "reassoc", "nsz")
def norm(gradient: Array) -> float:
    """Euclidean length, [P]."""
    total = gradient.dtype.type(0)
    for p in range(len(gradient)):
        total += gradient[p] * gradient[p]
    return math.sqrt(np.float64(total))


@compiled("contract")
def _sgd(theta: Array, gradient: Array, rate: float) -> None:
    own_rate = theta.dtype.type(rate)
    for p in range(len(theta)):
        theta[p] -= own_rate * gradient[p]


@compiled("contract")
def _adam(
    theta: Array, gradient: Array, scale: float, first: Array, second: Array, rate: float, root: float
) -> None:
    """Kingma and Ba, *Adam* (2015), algorithm 1."""
    number = theta.dtype.type
    own_scale, own_rate, own_root = number(scale), number(rate), number(root)
    new_1, new_2, epsilon = number(1 - BETA_1), number(1 - BETA_2), number(EPSILON)
    for p in range(len(theta)):
        g = own_scale * gradient[p]
        first[p] += new_1 * (g - first[p])
        second[p] += new_2 * (g * g - second[p])
        theta[p] -= own_rate * first[p] / (np.sqrt(second[p]) * own_root + epsilon)
