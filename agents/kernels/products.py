"""Products of small matrices, in tiles of vector instructions.

On the matrices of one run they are faster than BLAS: docs/speed.md has what was measured.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.rows import fill

Array = NDArray[Any]

# Of a tile: 4 rows of two vectors are as many sums as most processors have under way at a time.
ROWS, VECTOR_BYTES = 4, 32


def _tile(rows: int) -> Callable[..., Any]:
    """out[i : i + rows, j : j + columns] = left[i : i + rows] @ right[:, j : j + columns], two vectors wide.

    It is written as vector operations, which compilers do not find in a plain loop. The numbers within a row of
    `right` and of `out` have to lie side by side; all other strides may be any.
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
def product(left: Array, right: Array, out: Array) -> None:
    """out = left @ right: [n, k] @ [k, m] -> [n, m]. In `right` and `out` the numbers of a row lie side by side.

    For matrices as small as these it is twice as fast as BLAS, which copies before it multiplies. The order in
    which a number is summed depends on the sizes alone, so no run depends on its neighbours.
    """
    rows, columns = left.shape[0], 2 * VECTOR_BYTES // right.itemsize
    wide = right.shape[1] // columns * columns
    for j in range(0, wide, columns):
        if rows < ROWS:
            for i in range(rows):
                _one_row(left, right, out, i, j)
            continue
        for i in range(0, rows - ROWS, ROWS):
            _several_rows(left, right, out, i, j)
        _several_rows(left, right, out, rows - ROWS, j)  # the last rows; some are computed twice
    for j in range(wide, right.shape[1]):
        _column(left, right, out, j)


@compiled("contract", "reassoc", "nsz", makes_arrays=True)
def _column(left: Array, right: Array, out: Array, j: int) -> None:
    """One column of a product, where no tile fits. It reads `left` in the order in which it lies in memory."""
    inner = left.shape[1]
    if left.strides[1] == left.itemsize:
        factors = np.empty(inner, right.dtype)
        for k in range(inner):
            factors[k] = right[k, j]
        for i in range(left.shape[0]):
            row, total = left[i], out.dtype.type(0)
            for k in range(inner):
                total += row[k] * factors[k]
            out[i, j] = total
    else:
        totals = np.empty(left.shape[0], out.dtype)
        fill(totals, 0.0)
        for k in range(inner):
            column = left[:, k]
            for i in range(len(totals)):
                totals[i] += column[i] * right[k, j]
        for i in range(len(totals)):
            out[i, j] = totals[i]
