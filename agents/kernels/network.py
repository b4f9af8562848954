"""A stacked network of tanh layers, forward and backward, compiled: one run is finished before the next begins.

The matrices of one run fit the cache, those of all runs do not: array operations over all of them wait for memory.

R: runs, N: rows of one run, H: units of a hidden layer, A: actions, P: parameters of one run.
Tested against plain torch. A run's numbers do not depend on its neighbours, by construction.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from agents.kernels.compiled import compiled

Array = NDArray[Any]

# Of a tile: 4 rows of two vectors are as many sums as most processors have under way at a time.
ROWS, VECTOR_BYTES = 4, 32
COLUMNS = 16  # of what is multiplied from the right a multiple of these

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
        rows = theta.new_empty(len(theta), widths[0], 0) if rows is None else rows
        ctx.theta, ctx.widths, ctx.rows = theta.detach().numpy(), np.array(widths), rows.contiguous().numpy()
        ctx.hidden = theta.new_empty(len(theta), rows.shape[1] * sum(widths[1:-1])).numpy()
        logits = theta.new_empty(len(theta), widths[-1], rows.shape[1])
        _forward(ctx.theta, ctx.widths, ctx.rows, ctx.hidden, logits.numpy())
        return logits.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        by_action = gradient.transpose(1, 2).contiguous().numpy()
        of_theta = np.empty_like(ctx.theta)
        _backward(ctx.theta, ctx.widths, ctx.rows, ctx.hidden, by_action, of_theta)
        return torch.from_numpy(of_theta), None, None


def network(theta: Tensor, widths: Sequence[int], rows: Tensor | None) -> Tensor:
    """Logits of a network with one or more hidden layers, differentiable in its parameters.

    Args:
        theta: weight, bias, weight, ... of each run side by side, [R, P]; what is behind them has no effect.
        widths: of the rows, the hidden layers (multiples of 16) and the output: D, H, ..., A.
        rows: [R, N, D]; None: the identity. A product with it is left out: the first weight itself is what the
            first layer sees.
    Returns:
        [R, N, A], in memory [R, A, N]: sums over A are then sums of whole rows.
    """
    if rows is not None and (rows.shape[0], rows.shape[2]) != (len(theta), widths[0]):
        raise ValueError(
            f"rows of {len(theta)} runs must be [{len(theta)}, N, {widths[0]}], not {list(rows.shape)}"
        )
    return cast(Tensor, _Network.apply(theta, widths, rows))  # type: ignore[no-untyped-call]


def _tile(rows: int) -> Callable[..., Any]:
    """out[i : i + rows, j : j + columns] = left[i : i + rows] @ right[:, j : j + columns], two vectors wide.

    Written as vector operations, which compilers do not find in a plain loop. Any strides but within rows of
    `right` and `out`, whose numbers lie side by side.
    """

    @intrinsic
    def tile(context: Any, left: Any, right: Any, out: Any, i: Any, j: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = [
                target.make_array(kind)(target, builder, value)
                for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
            ]
            i, j = arguments[3:]
            number = target.get_value_type(left.dtype)
            size = target.get_abi_sizeof(number)
            lanes = VECTOR_BYTES // size
            vector, places = ir.VectorType(number, lanes), ir.VectorType(ir.IntType(32), lanes)

            def pointer(array: Any, row: Any, column: Any, kind: Any) -> Any:
                strides = cgutils.unpack_tuple(builder, array.strides, 2)
                offset = builder.add(builder.mul(row, strides[0]), builder.mul(column, strides[1]))
                return builder.bitcast(cgutils.pointer_add(builder, array.data, offset), kind.as_pointer())

            cells = [
                (builder.add(i, i.type(r)), builder.add(j, j.type(v * lanes))) for r in range(rows) for v in (0, 1)
            ]
            sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in cells]
            inner = cgutils.unpack_tuple(builder, arrays[0].shape, 2)[1]
            with cgutils.for_range(builder, inner) as loop:
                across = [
                    builder.load(pointer(arrays[1], loop.index, j, vector), align=size) for _, j in cells[:2]
                ]
                for cell, ((row, _), total) in enumerate(zip(cells, sums, strict=True)):
                    if cell % 2 == 0:
                        one = builder.load(pointer(arrays[0], row, loop.index, number))
                        first = builder.insert_element(ir.Constant(vector, ir.Undefined), one, ir.IntType(32)(0))
                        down = builder.shuffle_vector(first, first, ir.Constant(places, None))
                    product = builder.fmul(down, across[cell % 2], flags=["contract"])
                    builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)
            for (row, column), total in zip(cells, sums, strict=True):
                builder.store(builder.load(total), pointer(arrays[2], row, column, vector), align=size)
            return target.get_dummy_value()

        return types.void(left, right, out, types.intp, types.intp), generate

    return tile


_several_rows, _one_row = _tile(ROWS), _tile(1)


@compiled("contract")
def product(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any]) -> None:
    """out = left @ right. [n, k], [k, m] and [n, m]; m a multiple of COLUMNS.

    A number of the result is a sum in the order of the inner index, whatever the size of the matrices: no run
    depends on its neighbours, no row on the number of rows.
    """
    rows = left.shape[0]
    for j in range(0, right.shape[1], 2 * VECTOR_BYTES // right.itemsize):
        if rows < ROWS:
            for i in range(rows):
                _one_row(left, right, out, i, j)
            continue
        for i in range(0, rows - ROWS, ROWS):
            _several_rows(left, right, out, i, j)
        _several_rows(left, right, out, rows - ROWS, j)  # those at the end, some of them once more


# Loops where array expressions would do: those take several times as long to compile. A row is taken out, as a
# view, before a loop over its numbers: only then does that become vector instructions.


@compiled("contract")
def _parameters(flat: Array, widths: Array, layer: int) -> tuple[Array, Array]:
    """Weight and bias of a layer, counted from 1, as views of one run's parameters, [P]."""
    start = 0
    for below in range(layer - 1):
        start += (widths[below] + 1) * widths[below + 1]
    end = start + widths[layer - 1] * widths[layer]
    return flat[start:end].reshape(widths[layer - 1], widths[layer]), flat[end : end + widths[layer]]


@compiled("contract")
def _outputs(flat: Array, widths: Array, layer: int, rows: int) -> Array:
    """What a hidden layer, counted from 1, gives for every row, a view of those of all layers, [N * (H + ...)]."""
    start = 0
    for below in range(1, layer):
        start += rows * widths[below]
    return flat[start : start + rows * widths[layer]].reshape(rows, widths[layer])


@compiled("contract")
def _forward(theta: Array, widths: Array, rows: Array, hidden: Array, logits: Array) -> None:
    """Fills in the outputs of all hidden layers, [R, N * (H + ...)], and the logits, [R, A, N].

    Rows [R, N, 0] stand for the identity.
    """
    last = len(widths) - 1
    for r in range(theta.shape[0]):
        below = rows[r]
        for layer in range(1, last):
            weight, bias = _parameters(theta[r], widths, layer)
            above = _outputs(hidden[r], widths, layer, rows.shape[1])
            if below.shape[1]:
                product(below, weight, above)
            else:
                _copy(weight, above)
            add_and_tanh(above, bias)
            below = above
        weight, bias = _parameters(theta[r], widths, last)
        _output(below, weight, bias, logits[r])


@compiled("contract")
def _backward(theta: Array, widths: Array, rows: Array, hidden: Array, gradient: Array, found: Array) -> None:
    """Fills in the gradient of the parameters, [R, P], from that of the logits, [R, A, N].

    Rows where the latter is 0, as of a state that was not visited, are left out.
    """
    number, last = rows.shape[1], len(widths) - 1
    for r in range(theta.shape[0]):
        for p in range(theta.shape[1]):
            found[r, p] = 0
        used = _columns_in_use(gradient[r])
        below = _rows(_outputs(hidden[r], widths, last - 1, number), used)
        weight, _ = _parameters(theta[r], widths, last)
        of_weight, of_bias = _parameters(found[r], widths, last)
        # The gradient of a layer's sums, before their tanh.
        delta = _output_backward(gradient[r], used, below, weight, of_weight, of_bias)
        for layer in range(last - 1, 0, -1):
            of_weight, of_bias = _parameters(found[r], widths, layer)
            _add_rows(delta, of_bias)
            if layer > 1:
                below = _rows(_outputs(hidden[r], widths, layer - 1, number), used)
                product(below.T, delta, of_weight)
                weight, _ = _parameters(theta[r], widths, layer)
                above, delta = delta, np.empty_like(below)
                product(above, _transposed(weight), delta)
                _times_slope(delta, below)
            elif rows.shape[2]:
                product(_rows(rows[r], used).T, delta, of_weight)
            else:
                for n in range(used.shape[0]):
                    _copy_row(delta[n], of_weight[used[n]])


@compiled("contract")
def _columns_in_use(matrix: Array) -> NDArray[np.int64]:
    """The columns in which not everything is 0."""
    used, number = np.empty(matrix.shape[1], np.int64), 0
    for column in range(matrix.shape[1]):
        for row in range(matrix.shape[0]):
            if matrix[row, column] != 0:
                used[number] = column
                number += 1
                break
    return used[:number]


@compiled("contract")
def _rows(matrix: Array, chosen: NDArray[np.int64]) -> Array:
    found = np.empty((chosen.shape[0], matrix.shape[1]), matrix.dtype)
    for n in range(chosen.shape[0]):
        _copy_row(matrix[chosen[n]], found[n])
    return found


@compiled("contract")
def _copy_row(row: Array, place: Array) -> None:
    for column in range(row.shape[0]):
        place[column] = row[column]


@compiled("contract")
def _copy(matrix: Array, place: Array) -> None:
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            place[row, column] = matrix[row, column]


@compiled("contract")
def _transposed(matrix: Array) -> Array:
    found = np.empty((matrix.shape[1], matrix.shape[0]), matrix.dtype)
    for column in range(matrix.shape[1]):
        for row in range(matrix.shape[0]):
            found[column, row] = matrix[row, column]
    return found


@compiled("contract")
def add_and_tanh(sums: Array, bias: Array) -> None:
    """sums [N, H] = tanh(sums + bias [H])."""
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


@compiled("contract")
def _times_slope(gradient: Array, y: Array) -> None:
    """gradient *= 1 - y^2, the slope of tanh where it is y. [N, H] both."""
    for s in range(gradient.shape[0]):
        for h in range(gradient.shape[1]):
            gradient[s, h] *= 1 - y[s, h] * y[s, h]


@compiled("contract")
def _add_rows(rows: Array, total: Array) -> None:
    """total [H] += the rows of [N, H]."""
    for s in range(rows.shape[0]):
        for h in range(rows.shape[1]):
            total[h] += rows[s, h]


@compiled("contract", "reassoc", "nsz")
def _output(hidden: Array, weight: Array, bias: Array, logits: Array) -> None:
    """logits [A, N] = hidden [N, H] @ weight [H, A] + bias [A]."""
    by_action = _transposed(weight)
    for s in range(hidden.shape[0]):
        units = hidden[s]
        for a in range(by_action.shape[0]):
            weights, total = by_action[a], bias.dtype.type(0)
            for h in range(units.shape[0]):
                total += units[h] * weights[h]
            logits[a, s] = total + bias[a]


@compiled("contract")
def _output_backward(
    gradient: Array, used: NDArray[np.int64], hidden: Array, weight: Array, of_weight: Array, of_bias: Array
) -> Array:
    """From the gradient of the logits [A, N] to those of weight, bias, and the sums of the layer below.

    Of all rows only those `used`; hidden: their outputs, [rows in use, H], and so is what is returned.
    """
    by_row = np.empty((used.shape[0], weight.shape[1]), weight.dtype)
    for n in range(used.shape[0]):
        row = used[n]
        for a in range(weight.shape[1]):
            by_row[n, a] = gradient[a, row]
    _add_rows(by_row, of_bias)
    by_action = _transposed(weight)
    delta, of_by_action = np.empty_like(hidden), np.empty_like(by_action)
    product(by_row.T, hidden, of_by_action)
    _copy(of_by_action.T, of_weight)
    product(by_row, by_action, delta)
    _times_slope(delta, hidden)
    return delta
