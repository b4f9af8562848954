"""The tanh network of one run, forward and backward, compiled.

The matrices of one run stay in the core's cache. Its parameters are one row: weight, bias, weight, ...

N: rows, D: width of a row, H: units of a hidden layer, A: actions, P: parameters. Tested against plain torch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.products import product
from agents.kernels.rows import copy, copy_row, fill

Array = NDArray[Any]
Ints = NDArray[np.int64]

# tanh x = x p(x^2) / q(x^2), with an error of at most 4e-7; above MAX_INPUT it is 1 in single precision.
# Coefficients from the highest power down, as in Eigen's generic_fast_tanh_float (MathFunctionsImpl.h).
P6, P5, P4, P3, P2, P1, P0 = map(
    np.float32,
    (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    ),
)  # fmt: skip
Q3, Q2, Q1, Q0 = map(
    np.float32, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)
MAX_INPUT = np.float32(7.90531110763549805)


# These are loops because array expressions take several times as long to compile. A loop over the numbers of a row
# works on a view of that row: only then does it become vector instructions.


@compiled("contract", makes_arrays=True)
def forward(theta: Array, widths: Ints, rows: Array, hidden: Array, logits: Array) -> None:
    """Fill in the outputs of all hidden layers and the logits.

    Args:
        theta: parameters, [P].
        widths: the widths of the rows, the hidden layers and the output: D, H, ..., A.
        rows: [N, D]; or [N, 0] in place of the identity with N = D, whose product with the first weight is that
            weight itself.
        hidden: [N * (H + ...)], layer by layer.
        logits: [N, A].
    """
    last, below = len(widths) - 1, rows
    for layer in range(1, last + 1):
        weight, bias = _parameters(theta, widths, layer)
        above = logits if layer == last else _outputs(hidden, widths, layer, len(rows))
        if below.shape[1]:
            product(below, weight, above)
        else:
            copy(weight, above)
        if layer == last:
            _add_bias(above, bias)
        else:
            add_and_tanh(above, bias)
        below = above


@compiled("contract", makes_arrays=True)
def backward(theta: Array, widths: Ints, rows: Array, hidden: Array, gradient: Array, found: Array) -> None:
    """Fill in the gradient of the parameters, [P], from that of the logits, [N, A].

    Rows in which the latter is 0, as in states that were not visited, are left out.
    """
    fill(found, 0.0)
    used = _rows_in_use(gradient)
    delta = _rows(gradient, used)  # the gradient of a layer's sums, before their tanh
    for layer in range(len(widths) - 1, 0, -1):
        of_weight, of_bias = _parameters(found, widths, layer)
        _add_rows(delta, of_bias)
        if layer > 1:
            below = _rows(_outputs(hidden, widths, layer - 1, len(rows)), used)
            product(below.T, delta, of_weight)
            weight, _ = _parameters(theta, widths, layer)
            above, delta = delta, np.empty((len(below), below.shape[1]), below.dtype)
            product(above, _transposed(weight), delta)
            _times_slope(delta, below)
        elif rows.shape[1]:
            product(_rows(rows, used).T, delta, of_weight)
        else:
            for n in range(len(used)):
                copy_row(delta[n], of_weight[used[n]])


@compiled("contract", makes_arrays=True)
def forward_all(theta: Array, widths: Ints, rows: Array, hidden: Array, logits: Array) -> None:
    """`forward` for runs side by side: a first axis R everywhere."""
    for r in range(len(theta)):
        forward(theta[r], widths, rows[r], hidden[r], logits[r])


@compiled("contract", makes_arrays=True)
def backward_all(theta: Array, widths: Ints, rows: Array, hidden: Array, gradient: Array, found: Array) -> None:
    """`backward` for runs side by side: a first axis R everywhere."""
    for r in range(len(theta)):
        backward(theta[r], widths, rows[r], hidden[r], gradient[r], found[r])


@compiled(makes_arrays=True)
def _parameters(flat: Array, widths: Ints, layer: int) -> tuple[Array, Array]:
    """Weight and bias of a layer, counted from 1, as views of the parameters, [P]."""
    start = 0
    for below in range(layer - 1):
        start += (widths[below] + 1) * widths[below + 1]
    end = start + widths[layer - 1] * widths[layer]
    return flat[start:end].reshape(widths[layer - 1], widths[layer]), flat[end : end + widths[layer]]


@compiled(makes_arrays=True)
def _outputs(flat: Array, widths: Ints, layer: int, rows: int) -> Array:
    """The outputs of a hidden layer, counted from 1, for every row, [N, H]: a view of those of all layers."""
    start = 0
    for below in range(1, layer):
        start += rows * widths[below]
    return flat[start : start + rows * widths[layer]].reshape(rows, widths[layer])


@compiled(inlined=True)
def _rows_in_use(matrix: Array) -> Ints:
    """The rows in which not everything is 0."""
    used, number = np.empty(len(matrix), np.int64), 0
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            if matrix[row, column] != 0:
                used[number] = row
                number += 1
                break
    return used[:number]


@compiled(makes_arrays=True)
def _rows(matrix: Array, chosen: Ints) -> Array:
    found = np.empty((len(chosen), matrix.shape[1]), matrix.dtype)
    for n in range(len(chosen)):
        copy_row(matrix[chosen[n]], found[n])
    return found


@compiled(inlined=True)
def _transposed(matrix: Array) -> Array:
    found = np.empty((matrix.shape[1], matrix.shape[0]), matrix.dtype)
    for column in range(matrix.shape[1]):
        for row in range(matrix.shape[0]):
            found[column, row] = matrix[row, column]
    return found


@compiled("contract")
def add_and_tanh(sums: Array, bias: Array) -> None:
    """sums [N, H] = tanh(sums + bias [H])."""
    for n in range(sums.shape[0]):
        row = sums[n]
        for h in range(len(row)):
            if sums.itemsize == 8:
                row[h] = np.tanh(row[h] + bias[h])
            else:
                x = min(max(row[h] + bias[h], -MAX_INPUT), MAX_INPUT)
                z = x * x
                p = (((((P6 * z + P5) * z + P4) * z + P3) * z + P2) * z + P1) * z + P0
                q = ((Q3 * z + Q2) * z + Q1) * z + Q0
                row[h] = x * p / q


@compiled(inlined=True)
def _add_bias(sums: Array, bias: Array) -> None:
    """sums [N, A] += bias [A]."""
    for n in range(sums.shape[0]):
        for a in range(sums.shape[1]):
            sums[n, a] += bias[a]


@compiled("contract")
def _times_slope(gradient: Array, y: Array) -> None:
    """gradient *= 1 - y^2, the slope of tanh where its value is y, [N, H] both."""
    for n in range(gradient.shape[0]):
        slope, outputs = gradient[n], y[n]
        for h in range(len(slope)):
            slope[h] *= 1 - outputs[h] * outputs[h]


@compiled()
def _add_rows(rows: Array, total: Array) -> None:
    """total [H] += the rows of [N, H]."""
    for n in range(rows.shape[0]):
        row = rows[n]
        for h in range(len(row)):
            total[h] += row[h]
