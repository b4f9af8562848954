"""The policy of a stacked network without gradients, in NumPy.

Simulators ask for a few rows at a time, hundreds of thousands of times. For so few rows, the overhead of a torch
operation costs more than its arithmetic.

M: runs, N: rows of one run, D: width of a row, A: actions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def log_policy(layers: Sequence[Array], rows: Array) -> NDArray[np.float64]:
    """Log-probabilities of every row, equal up to rounding to a log-softmax of `PolicyShape.logits`.

    Each run has products of its own, so its numbers do not depend on the runs beside it. Numbers that are not
    finite pass through without a warning.

    Args:
        layers: parameters of the M runs as `PolicyShape.split` orders them: weight [M, D, H], bias [M, H], ...;
            for a table, only its logits [M, S, A].
        rows: [M, N, D].
    Returns:
        [M, N, A].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        hidden = rows
        if len(layers) > 1:
            *inner, (weight, bias) = zip(layers[::2], layers[1::2], strict=True)
            for inner_weight, inner_bias in inner:
                hidden = _affine(hidden, inner_weight, inner_bias)
                np.tanh(hidden, out=hidden)
            logits = _affine(hidden, weight, bias)
        else:
            logits = np.matmul(hidden, layers[0])
        shifted = logits.astype(np.float64)
        shifted -= shifted.max(-1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
        return shifted


def _affine(rows: Array, weight: Array, bias: Array) -> Array:
    product = np.matmul(rows, weight)
    product += bias[:, None]
    return product
