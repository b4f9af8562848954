"""A stacked network of tanh layers, forward and backward, compiled: one run is finished before the next begins.

R: runs, S: rows of one run, H: units of a hidden layer, A: actions, P: parameters of one run, L: hidden layers.
Tested against plain torch. A run's numbers do not depend on its neighbours, by construction.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.compiled import contracted, reordered
from agents.products import product

Array = NDArray[Any]

# tanh x = x p(x^2) / q(x^2), at most 4e-7 off; beyond LARGEST single precision has only 1. Coefficients from the
# highest power down, as in Eigen's generic_fast_tanh_float (MathFunctionsImpl.h).
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
LARGEST = np.float32(7.90531110763549805)


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, widths: Sequence[int], rows: Tensor | None) -> Tensor:
        ctx.theta, ctx.widths = theta.detach().numpy(), np.array(widths)
        ctx.rows = (
            np.empty((len(theta), widths[0], 0), ctx.theta.dtype) if rows is None else rows.contiguous().numpy()
        )
        ctx.hidden, logits = _forward(ctx.theta, ctx.widths, ctx.rows)
        return torch.from_numpy(logits).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        by_action = gradient.transpose(1, 2).contiguous().numpy()
        return torch.from_numpy(_backward(ctx.theta, ctx.widths, ctx.rows, ctx.hidden, by_action)), None, None


def network(theta: Tensor, widths: Sequence[int], rows: Tensor | None) -> Tensor:
    """Logits of a network with one or more hidden layers, differentiable in its parameters.

    Args:
        theta: weight, bias, weight, ... of each run side by side, [R, P]; what is behind them has no effect.
        widths: of the rows, the hidden layers (multiples of 16) and the output: D, H, ..., A.
        rows: [R, S, D]; None: the identity. A product with it is left out: the first weight itself is what the
            first layer sees.
    Returns:
        [R, S, A], in memory [R, A, S]: sums over A are then sums of whole rows.
    """
    return cast(Tensor, _Network.apply(theta, widths, rows))  # type: ignore[no-untyped-call]


@contracted
def _parameters(flat: Array, widths: Array, layer: int) -> tuple[Array, Array]:
    """Weight and bias of a layer, counted from 1, as views of one run's parameters, [P]."""
    start = 0
    for below in range(layer - 1):
        start += (widths[below] + 1) * widths[below + 1]
    end = start + widths[layer - 1] * widths[layer]
    return flat[start:end].reshape(widths[layer - 1], widths[layer]), flat[end : end + widths[layer]]


@contracted
def _outputs(flat: Array, widths: Array, layer: int, rows: int) -> Array:
    """What a hidden layer, counted from 1, gives for every row, a view of those of all layers, [S * (H + ...)]."""
    start = rows * widths[1:layer].sum()
    return flat[start : start + rows * widths[layer]].reshape(rows, widths[layer])


@contracted
def _forward(theta: Array, widths: Array, rows: Array) -> tuple[Array, Array]:
    """The outputs of all hidden layers, [R, S * (H + ...)], and the logits, [R, A, S].

    Rows [R, S, 0] stand for the identity.
    """
    runs, number, last = len(rows), rows.shape[1], len(widths) - 1
    hidden = np.empty((runs, number * widths[1:last].sum()), theta.dtype)
    logits = np.empty((runs, widths[last], number), theta.dtype)
    for r in range(runs):
        below = rows[r]
        for layer in range(1, last):
            weight, bias = _parameters(theta[r], widths, layer)
            above = _outputs(hidden[r], widths, layer, number)
            if below.shape[1]:
                product(below, weight, above)
            else:
                above[:] = weight
            _add_and_tanh(above, bias)
            below = above
        weight, bias = _parameters(theta[r], widths, last)
        _output(below, weight, bias, logits[r])
    return hidden, logits


@contracted
def _backward(theta: Array, widths: Array, rows: Array, hidden: Array, gradient: Array) -> Array:
    """The gradient of the parameters, [R, P], from that of the logits, [R, A, S].

    Rows where the latter is 0, as of a state that was not visited, are left out.
    """
    found = np.zeros_like(theta)
    number, last = rows.shape[1], len(widths) - 1
    for r in range(len(rows)):
        used = _columns_in_use(gradient[r])
        below = _outputs(hidden[r], widths, last - 1, number)[used]
        weight, _ = _parameters(theta[r], widths, last)
        of_weight, of_bias = _parameters(found[r], widths, last)
        # The gradient of a layer's sums, before their tanh.
        delta = _output_backward(gradient[r][:, used], below, weight, of_weight, of_bias)
        for layer in range(last - 1, 0, -1):
            of_weight, of_bias = _parameters(found[r], widths, layer)
            _add_rows(delta, of_bias)
            if layer > 1:
                below = _outputs(hidden[r], widths, layer - 1, number)[used]
                product(below.T, delta, of_weight)
                weight, _ = _parameters(theta[r], widths, layer)
                above, delta = delta, np.empty_like(below)
                product(above, weight.T.copy(), delta)
                _times_slope(delta, below)
            elif rows.shape[2]:
                product(rows[r][used].T, delta, of_weight)
            else:
                of_weight[used] = delta
    return found


@contracted
def _columns_in_use(matrix: Array) -> NDArray[np.int64]:
    """The columns in which not everything is 0."""
    used = np.zeros(matrix.shape[1], np.bool_)
    for row in matrix:
        used |= row != 0
    return np.flatnonzero(used)


@contracted
def _add_and_tanh(sums: Array, bias: Array) -> None:
    """sums [S, H] = tanh(sums + bias [H])."""
    for s in range(sums.shape[0]):
        for h in range(sums.shape[1]):
            if sums.itemsize == 8:
                sums[s, h] = np.tanh(sums[s, h] + bias[h])
            else:
                x = min(max(sums[s, h] + bias[h], -LARGEST), LARGEST)
                z = x * x
                p = (((((P6 * z + P5) * z + P4) * z + P3) * z + P2) * z + P1) * z + P0
                q = ((Q3 * z + Q2) * z + Q1) * z + Q0
                sums[s, h] = x * p / q


@contracted
def _times_slope(gradient: Array, y: Array) -> None:
    """gradient *= 1 - y^2, the slope of tanh where it is y. [S, H] both."""
    for s in range(gradient.shape[0]):
        for h in range(gradient.shape[1]):
            gradient[s, h] *= 1 - y[s, h] * y[s, h]


@contracted
def _add_rows(rows: Array, total: Array) -> None:
    """total [H] += the rows of [S, H]."""
    for s in range(rows.shape[0]):
        for h in range(rows.shape[1]):
            total[h] += rows[s, h]


@reordered
def _output(hidden: Array, weight: Array, bias: Array, logits: Array) -> None:
    """logits [A, S] = hidden [S, H] @ weight [H, A] + bias [A]."""
    by_action = weight.T.copy()
    for s in range(hidden.shape[0]):
        for a in range(len(by_action)):
            total = hidden[s, 0] * by_action[a, 0]
            for h in range(1, hidden.shape[1]):
                total += hidden[s, h] * by_action[a, h]
            logits[a, s] = total + bias[a]


@contracted
def _output_backward(gradient: Array, hidden: Array, weight: Array, of_weight: Array, of_bias: Array) -> Array:
    """From the gradient of the logits [A, S] to those of weight, bias, and the sums of the layer below [S, H]."""
    by_action, delta = weight.T.copy(), np.zeros_like(hidden)
    total = np.zeros_like(by_action)
    for s in range(hidden.shape[0]):
        for a in range(len(by_action)):
            g = gradient[a, s]
            of_bias[a] += g
            for h in range(hidden.shape[1]):
                total[a, h] += g * hidden[s, h]
                delta[s, h] += g * by_action[a, h]
    of_weight[:] = total.T
    _times_slope(delta, hidden)
    return delta
