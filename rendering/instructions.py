"""Instructions that compiled code needs and numba has no words for, as LLVM spells them; and sharing work with them.

Imported only where numba can be. numba's cache does not look here when it decides whether a caller is to be compiled
again: each caller names this file's hash, and a test compares them.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils

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
    if reach.dtype != spans.dtype or {reach.layout, spans.layout} != {"C"}:
        return None
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


# --- sharing work -------------------------------------------------------------------------------
#
# Workers, one a thread, take blocks of work from counters: (2 K,) int64, 0 at first, for K kinds of work. Counter `kind`
# is how many blocks are begun, `kind + 1` how many are done. A worker begins a block, does it, says so, and begins the
# next until there are none; then it waits until all are done. So nobody waits for a worker that has not begun anything:
# one that comes late finds all begun, and writes nothing. Nothing between `begin` and `finish` may raise or take the GIL.


@intrinsic
def _add_one(_context: Any, counters: Any, index: Any) -> Any:
    """Add 1 to counters[index] in one piece for all threads. Returns what it was."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = builder.gep(context.make_array(counters)(context, builder, values[0]).data, [values[1]])
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counters, types.intp), build


@intrinsic
def _look_up(_context: Any, counters: Any, index: Any) -> Any:
    """counters[index], as other threads see it now; so is all they wrote before it."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = builder.gep(context.make_array(counters)(context, builder, values[0]).data, [values[1]])
        return builder.load_atomic(counter, "seq_cst", 8)

    return types.int64(counters, types.intp), build


@intrinsic
def _let_others_run(_context: Any) -> Any:
    """Let another thread have this core, if one wants it."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if sys.platform != "win32":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), build


@njit(nogil=True, error_model="numpy")
def begin(counters, kind):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """The number, from 0, of a block that is now this worker's to do; beyond the last one there is none."""
    return _add_one(counters, kind)


@njit(nogil=True, error_model="numpy")
def finish(counters, kind):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """A block is done."""
    _add_one(counters, kind + 1)


@njit(nogil=True, error_model="numpy")
def wait(counters, kind, count):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """Until all blocks are done."""
    while _look_up(counters, kind + 1) < count:
        _let_others_run()


@njit(nogil=True, error_model="numpy")
def blocks(count, size):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """How many blocks of `size` there are in `count`."""
    return (count + size - 1) // size
