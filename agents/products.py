"""Products of the small matrices of a policy network, compiled: a tile of the result stays in registers.

The matrices of one run fit the cache, but not those of all runs, so a library's product of a whole stack waits for
memory. Here one run is finished before the next begins. A number of the result is a sum in the order of the inner
index, whatever the size of the matrices: no run depends on its neighbours, no row on the number of rows.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from agents.compiled import compiled

ROWS = 6  # of a tile: with two vectors of 32 bytes a row it fills the 16 vector registers of most processors
VECTOR_BYTES = 32


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


@compiled
def product(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any]) -> None:
    """out = left @ right. [n, k], [k, m] and [n, m]; m a multiple of 16."""
    rows = left.shape[0]
    for j in range(0, right.shape[1], 2 * VECTOR_BYTES // right.itemsize):
        if rows < ROWS:
            for i in range(rows):
                _one_row(left, right, out, i, j)
            continue
        for i in range(0, rows - ROWS, ROWS):
            _several_rows(left, right, out, i, j)
        _several_rows(left, right, out, rows - ROWS, j)  # those at the end, some of them once more
