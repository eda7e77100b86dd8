"""Plain loads, stores and copies at addresses, for kernels.

Each is an ordinary Python function (used when kernels run uncompiled) with a numba lowering of the
same meaning. All integers widen to int64, all floats to float64, so that kernels know two number
types only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

INT64 = ir.IntType(64)
INT32 = ir.IntType(32)
INT8 = ir.IntType(8)
BYTE_POINTER = INT8.as_pointer()
LLVM_TYPES: dict[str, Any] = {
    "i8": INT8,
    "u8": INT8,
    "i16": ir.IntType(16),
    "u16": ir.IntType(16),
    "i32": INT32,
    "u32": INT32,
    "i64": INT64,
    "f32": ir.FloatType(),
    "f64": ir.DoubleType(),
}


def define(
    function: Callable[..., Any], result: Any, arguments: tuple[Any, ...], code: Any
) -> None:
    """Give a Python function a numba lowering.

    Args:
        function: the Python body, kept for uncompiled runs.
        result: numba type of the result.
        arguments: numba types of the arguments; integers of any width are cast to them.
        code: `code(context, builder, llvm_arguments) -> llvm value or None for void`.
    """

    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            return None if kws else _signature(result, arguments, args)

    Template.__name__ = f"Template_{function.__name__}"
    infer_global(function, types.Function(Template))

    # The signature states exact types, so numba has cast the arguments before this is emitted.
    @lower_builtin(function, *arguments)
    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        made = code(context, builder, values)
        return context.get_dummy_value() if made is None else made


def _signature(result: Any, wanted: tuple[Any, ...], given: tuple[Any, ...]) -> Any:
    if len(given) != len(wanted):
        return None
    for value, want in zip(given, wanted, strict=True):
        accepted = types.Integer if want == types.int64 else (types.Integer, types.Float)
        if not isinstance(value, accepted):
            return None
    return signature(result, *wanted)


def pointer(builder: Any, address: Any, kind: Any) -> Any:
    """Return an LLVM pointer of `kind` for an int64 address."""
    return builder.inttoptr(address, kind.as_pointer())


def load_scalar(builder: Any, place: Any, name: str) -> Any:
    """Emit a plain load of a field type and widen it to int64 or float64."""
    # Alignment 1: fields are naturally aligned, but wire buffers are not, and x86 does not care.
    value = builder.load(place, align=1)
    if name == "f32":
        return builder.fpext(value, ir.DoubleType())
    if name in ("f64", "i64"):
        return value
    return builder.zext(value, INT64) if name[0] == "u" else builder.sext(value, INT64)


def store_scalar(builder: Any, place: Any, name: str, value: Any) -> None:
    """Emit a plain store of an int64 or float64, narrowed to the field type."""
    if name == "f32":
        value = builder.fptrunc(value, ir.FloatType())
    elif name not in ("f64", "i64"):
        value = builder.trunc(value, LLVM_TYPES[name])
    builder.store(value, place, align=1)


def numba_type(name: str) -> Any:
    """Return the numba type under which kernels see a field type."""
    return types.float64 if name[0] == "f" else types.int64


def _make_load(name: str, ctype: Any) -> Callable[[int], Any]:
    def load(address: int) -> Any:
        return ctype.from_address(address).value

    def code(context: Any, builder: Any, values: Any) -> Any:
        return load_scalar(builder, pointer(builder, values[0], LLVM_TYPES[name]), name)

    load.__name__ = f"load_{name}"
    define(load, numba_type(name), (types.int64,), code)
    return load


def _make_store(name: str, ctype: Any) -> Callable[[int, Any], None]:
    def store(address: int, value: Any) -> None:
        ctype.from_address(address).value = value

    def code(context: Any, builder: Any, values: Any) -> None:
        store_scalar(builder, pointer(builder, values[0], LLVM_TYPES[name]), name, values[1])

    store.__name__ = f"store_{name}"
    define(store, types.void, (types.int64, numba_type(name)), code)
    return store


load_u8 = _make_load("u8", ctypes.c_uint8)
load_u16 = _make_load("u16", ctypes.c_uint16)
load_u32 = _make_load("u32", ctypes.c_uint32)
load_i32 = _make_load("i32", ctypes.c_int32)
load_i64 = _make_load("i64", ctypes.c_int64)
load_f64 = _make_load("f64", ctypes.c_double)
store_u8 = _make_store("u8", ctypes.c_uint8)
store_i32 = _make_store("i32", ctypes.c_int32)
store_i64 = _make_store("i64", ctypes.c_int64)
store_f64 = _make_store("f64", ctypes.c_double)


def copy_bytes(target: int, source: int, size: int) -> None:
    """Copy `size` bytes between regions that do not overlap."""
    ctypes.memmove(target, source, size)


def zero_bytes(target: int, size: int) -> None:
    """Set `size` bytes to zero."""
    ctypes.memset(target, 0, size)


def _code_copy(context: Any, builder: Any, values: Any) -> None:
    target = builder.inttoptr(values[0], BYTE_POINTER)
    source = builder.inttoptr(values[1], BYTE_POINTER)
    cgutils.raw_memcpy(builder, target, source, values[2], 1)


def _code_zero(context: Any, builder: Any, values: Any) -> None:
    target = builder.inttoptr(values[0], BYTE_POINTER)
    cgutils.memset(builder, target, values[1], 0)


define(copy_bytes, types.void, (types.int64,) * 3, _code_copy)
define(zero_bytes, types.void, (types.int64,) * 2, _code_zero)


def count_trailing_zeros(value: int) -> int:
    """Return the index of the lowest set bit of 64; 64 when there is none."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    return 64 if value == 0 else (value & -value).bit_length() - 1


def count_leading_zeros(value: int) -> int:
    """Return the number of zero bits above the highest set bit of 64; 64 when there is none."""
    return 64 - (value & 0xFFFF_FFFF_FFFF_FFFF).bit_length()


def population_count(value: int) -> int:
    """Return the number of set bits of 64."""
    return (value & 0xFFFF_FFFF_FFFF_FFFF).bit_count()


def _code_ctz(context: Any, builder: Any, values: Any) -> Any:
    return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))


def _code_clz(context: Any, builder: Any, values: Any) -> Any:
    return builder.ctlz(values[0], ir.Constant(ir.IntType(1), 0))


def _code_popcount(context: Any, builder: Any, values: Any) -> Any:
    return builder.ctpop(values[0])


define(count_trailing_zeros, types.int64, (types.int64,), _code_ctz)
define(count_leading_zeros, types.int64, (types.int64,), _code_clz)
define(population_count, types.int64, (types.int64,), _code_popcount)


def shift_right(value: int, bits: int) -> int:
    """Return a logical (zero-filling) right shift of 64 bits; 0 ≤ bits < 64."""
    shifted = (value & 0xFFFF_FFFF_FFFF_FFFF) >> bits
    return shifted - (1 << 64) if shifted >> 63 else shifted


def shift_left(value: int, bits: int) -> int:
    """Return a left shift that drops what leaves 64 bits; 0 ≤ bits < 64."""
    shifted = (value << bits) & 0xFFFF_FFFF_FFFF_FFFF
    return shifted - (1 << 64) if shifted >> 63 else shifted


define(shift_right, types.int64, (types.int64,) * 2, lambda c, b, v: b.lshr(v[0], v[1]))
define(shift_left, types.int64, (types.int64,) * 2, lambda c, b, v: b.shl(v[0], v[1]))


def wrapping_add(left: int, right: int) -> int:
    """Return the sum modulo 2^64. numba's own `+` lets the compiler assume that nothing wraps."""
    return (left + right + (1 << 63)) % (1 << 64) - (1 << 63)


def wrapping_subtract(left: int, right: int) -> int:
    """Return the difference modulo 2^64: the distance of two positions across the wrap."""
    return (left - right + (1 << 63)) % (1 << 64) - (1 << 63)


# Plain add and sub, without the "no signed wrap" flag that numba sets.
define(wrapping_add, types.int64, (types.int64,) * 2, lambda c, b, v: b.add(v[0], v[1]))
define(wrapping_subtract, types.int64, (types.int64,) * 2, lambda c, b, v: b.sub(v[0], v[1]))
