"""Instructions that compiled code needs and numba has no words for, as LLVM spells them.

Imported only where numba can be. numba's cache does not see changes here: touch the callers after one.
"""

from typing import Any

from llvmlite import ir
from numba import extending, types

intrinsic: Any = extending.intrinsic  # its types do not fit its use


@intrinsic
def choose(_context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """choose(condition, yes, no): `yes if condition else no`, both numbers of one type, never by a jump."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        chosen = builder.select(context.cast(builder, values[0], condition, types.boolean), *values[1:])
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return (yes(types.boolean, yes, no), build) if yes == no else None


@intrinsic
def span(_context: Any, reach: Any, a: Any, b: Any, c: Any, spans: Any, k: Any) -> Any:
    """span(reach, a, b, c, spans, k): how far three vertices reach together, and how many pixels that is across and down.

    reach, spans: (N, 4) and (K, 4) int16 or int32, C order. spans[k] becomes the largest of reach[a], reach[b] and
    reach[c] in each column. Returns four int16 side by side as one int64: the sum of its first two columns, the same
    again, and the sum of the other two, twice, each cut to -1..2.
    """
    lane = ir.IntType(reach.dtype.bitwidth)
    four, short = ir.VectorType(lane, 4), ir.VectorType(ir.IntType(16), 4)

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def row(array: Any, kind: Any, index: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            first = builder.gep(data, [builder.shl(index, ir.Constant(index.type, 2))])
            return builder.bitcast(first, four.as_pointer())

        def larger(x: Any, y: Any) -> Any:
            return builder.select(builder.icmp_signed(">", x, y), x, y)

        def smaller(x: Any, y: Any) -> Any:
            return builder.select(builder.icmp_signed("<", x, y), x, y)

        rows = [builder.load(row(values[0], reach, index), align=lane.width // 8) for index in values[1:4]]
        widest = larger(larger(rows[0], rows[1]), rows[2])
        builder.store(widest, row(values[4], spans, values[5]), align=lane.width // 8)
        swapped = ir.Constant(ir.VectorType(ir.IntType(32), 4), [1, 0, 3, 2])
        size = builder.add(widest, builder.shuffle_vector(widest, ir.Constant(four, ir.Undefined), swapped))
        size = larger(smaller(size, ir.Constant(four, [2] * 4)), ir.Constant(four, [-1] * 4))
        size = builder.trunc(size, short) if lane.width > 16 else size
        return builder.bitcast(size, ir.IntType(64))

    return types.int64(reach, types.uintp, types.uintp, types.uintp, spans, types.uintp), build


@intrinsic
def add_one(_context: Any, counters: Any, index: Any) -> Any:
    """add_one(counters, index): add 1 to counters[index], (N,) int64, in one piece for all threads. Returns what it was."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = builder.gep(context.make_array(counters)(context, builder, values[0]).data, [values[1]])
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counters, types.intp), build


@intrinsic
def look_up(_context: Any, counters: Any, index: Any) -> Any:
    """look_up(counters, index): counters[index], (N,) int64, as other threads see it now; so is all they wrote before it."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = builder.gep(context.make_array(counters)(context, builder, values[0]).data, [values[1]])
        return builder.load_atomic(counter, "seq_cst", 8)

    return types.int64(counters, types.intp), build
