"""A vector register of eight doubles as a type of numba's, so that compiled loops are vectorised for certain.

LLVM's own vectoriser gives up on loops over the eight items of a block that hold more than a few statements.
Here every value *is* eight numbers: `+ - * /` act on all of them, and the code that comes out runs in registers
of whatever width the machine has (one of AVX-512, two of AVX2, four of NEON or SSE). Memory is addressed by byte,
as that
costs nothing to pass from Python.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "BYTES",
    "WIDTH",
    "fill",
    "if_at_most",
    "load",
    "magnitude",
    "multiply_add",
    "number_at",
    "put_mark",
    "put_number",
    "square_root",
    "store",
    "transposed",
]

WIDTH = 8
#: Bytes of a vector.
BYTES = 8 * WIDTH
VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
DOUBLE, BYTE = ir.DoubleType(), ir.IntType(8)


class Vector(types.Type):
    """The type of eight doubles."""

    def __init__(self) -> None:
        super().__init__(name="Vector8")


vector = Vector()


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Kept in a register as it is."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def instruction(signature: Any, emit: Callable[..., Any]) -> Any:
    """A function of compiled code from what it emits, given the builder and the arguments."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        result = emit(builder, *arguments)
        return context.get_dummy_value() if result is None else result

    # The parameters are bound by name, so there is one definition for each number of them.
    if len(signature.args) == 1:

        @intrinsic
        def unary(typingctx, a):
            return signature, codegen

        return unary
    if len(signature.args) == 2:

        @intrinsic
        def binary(typingctx, a, b):
            return signature, codegen

        return binary
    if len(signature.args) == 3:

        @intrinsic
        def ternary(typingctx, a, b, c):
            return signature, codegen

        return ternary

    @intrinsic
    def quaternary(typingctx, a, b, c, d):
        return signature, codegen

    return quaternary


def pointer(builder: Any, address: Any, kind: Any = VECTOR) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def splat(builder: Any, number: Any) -> Any:
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), mask)


def call(name: str) -> Callable[..., Any]:
    """A call of one of LLVM's own functions on vectors."""

    def emit(builder: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * len(arguments))
        return builder.call(get_or_insert_function(builder.module, kind, f"{name}.v{WIDTH}f64"), arguments)

    return emit


address, number, nothing = types.int64, types.float64, types.void

#: Eight numbers from consecutive addresses, and to them.
load = instruction(vector(address), lambda b, a: b.load(pointer(b, a), align=8))
store = instruction(nothing(address, vector), lambda b, a, v: b.store(v, pointer(b, a), align=8) and None)
#: One number from an address, and to it.
number_at = instruction(number(address), lambda b, a: b.load(pointer(b, a, DOUBLE), align=8))
put_number = instruction(
    nothing(address, number), lambda b, a, x: b.store(x, pointer(b, a, DOUBLE), align=8) and None
)
#: A flag of one byte to an address.
put_mark = instruction(
    nothing(address, types.boolean),
    lambda b, a, flag: (
        b.store(b.zext(flag, BYTE) if flag.type.width < 8 else flag, pointer(b, a, BYTE)) and None
    ),
)
#: The same number eight times.
fill = instruction(vector(number), splat)
square_root = instruction(vector(vector), call("llvm.sqrt"))
magnitude = instruction(vector(vector), call("llvm.fabs"))
#: `a b + c`, fused where the machine can.
multiply_add = instruction(vector(vector, vector, vector), call("llvm.fmuladd"))
#: `x` where `a <= b`, else (and where either is NaN) `y`.
if_at_most = instruction(
    vector(vector, vector, vector, vector),
    lambda builder, a, b, x, y: builder.select(builder.fcmp_ordered("<=", a, b), x, y),
)


def arithmetic(name: str, operation: Callable[..., Any]) -> None:
    """Teach the compiler one operator between vectors."""
    function = instruction(vector(vector, vector), lambda builder, a, b: getattr(builder, name)(a, b))

    @overload(operation)
    def implementation(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: function(a, b)
        return None


for _name, _operation in (
    ("fadd", operator.add),
    ("fsub", operator.sub),
    ("fmul", operator.mul),
    ("fdiv", operator.truediv),
):
    arithmetic(_name, _operation)


def negated() -> None:
    """Teach the compiler the sign."""
    function = instruction(vector(vector), lambda builder, a: builder.fneg(a))

    @overload(operator.neg)
    def implementation(a):
        return (lambda a: function(a)) if isinstance(a, Vector) else None


negated()

#: How 8 x 8 numbers are transposed in three rounds of exchanges between pairs of registers 1, 2 and 4 apart.
ROUNDS = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)


@intrinsic
def transposed(typingctx, rows):
    """Eight vectors, a tuple, read the other way."""
    kind = types.UniTuple(vector, WIDTH)

    def codegen(context, builder, _signature, arguments):
        v = [builder.extract_value(arguments[0], i) for i in range(WIDTH)]
        for step, low, high in ROUNDS:
            for i in (i for i in range(WIDTH) if not i & step):
                pair = v[i], v[i + step]
                for place, mask in ((i, low), (i + step, high)):
                    constant = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(mask))
                    v[place] = builder.shuffle_vector(*pair, constant)
        return context.make_tuple(builder, kind, v)

    return kind(kind), codegen
