"""libc calls for kernels: each returns what libc returns; `error_number` tells why it failed.

All arguments and results are int64. The symbols are resolved by the dynamic linker, so the kernel
library and JIT call the same code.
"""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shm.memory import BYTE_POINTER, INT32, INT64, LLVM_TYPES, define

_LIBC = ctypes.CDLL(None, use_errno=True)
_FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98}
SYS_FUTEX = _FUTEX_NUMBERS[platform.machine()]
FUTEX_WAIT = 0  # without FUTEX_PRIVATE_FLAG: the word is shared between processes
FUTEX_WAKE = 1

EAGAIN = 11
EINTR = 4
MSG_DONTWAIT = 0x40
CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1
# struct epoll_event is packed on x86-64: u32 events, u64 data.
EPOLL_EVENT_SIZE = 12 if platform.machine() == "x86_64" else 16
EPOLL_DATA_OFFSET = EPOLL_EVENT_SIZE - 8


def _external(name: str, result: str, arguments: str, variadic: bool = False) -> Callable[..., int]:
    """Define a kernel-callable libc function.

    Args:
        name: symbol.
        result: "i32" or "i64".
        arguments: space-separated, each i32, i64 or p (pointer).
        variadic: libc declares it with an ellipsis.
    """
    kinds = arguments.split()
    c_types: dict[str, Any] = {"i32": ctypes.c_int, "i64": ctypes.c_int64, "p": ctypes.c_void_p}
    foreign = getattr(_LIBC, name)

    def call(*values: int) -> int:
        # A local prototype: other users of the same symbol keep theirs.
        foreign.restype = c_types[result]
        return foreign(*[c_types[k](v) for k, v in zip(kinds, values, strict=True)])

    def code(context: Any, builder: Any, values: Any) -> Any:
        llvm = {"p": BYTE_POINTER, "i32": INT32, "i64": INT64}
        fixed = [llvm[k] for k in kinds]
        head = fixed[:1] if variadic else fixed
        kind = ir.FunctionType(LLVM_TYPES[result], head, var_arg=variadic)
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        passed = []
        for k, value in zip(kinds, values, strict=True):
            if k == "p":
                passed.append(builder.inttoptr(value, BYTE_POINTER))
            else:
                passed.append(builder.trunc(value, INT32) if k == "i32" else value)
        made = builder.call(function, passed)
        return builder.sext(made, INT64) if result == "i32" else made

    call.__name__ = call.__qualname__ = f"libc_{name}"
    define(call, types.int64, (types.int64,) * len(kinds), code)
    return call


receive = _external("recv", "i64", "i32 p i64 i32")
read_file = _external("read", "i64", "i32 p i64")
write_file = _external("write", "i64", "i32 p i64")
epoll_wait = _external("epoll_wait", "i32", "i32 p i32 i32")
poll = _external("poll", "i32", "p i64 i32")
sched_yield = _external("sched_yield", "i32", "")
nanosleep = _external("nanosleep", "i32", "p p")
_system_call_6 = _external("syscall", "i64", "i64 p i64 i64 p p i64", variadic=True)


def futex(address: int, operation: int, value: int, timeout_address: int) -> int:
    """Wait on, or wake waiters of, the low 32 bits of a word shared between processes.

    Args:
        address: of the word.
        operation: FUTEX_WAIT or FUTEX_WAKE.
        value: expected word, or number of waiters to wake.
        timeout_address: of a relative `struct timespec`, or 0.

    Source: futex(2).
    """
    return _system_call_6(SYS_FUTEX, address, operation, value, timeout_address, 0, 0)


def _code_futex(context: Any, builder: Any, values: Any) -> Any:
    kind = ir.FunctionType(INT64, [INT64], var_arg=True)
    function = cgutils.get_or_insert_function(builder.module, kind, "syscall")
    word = builder.inttoptr(values[0], BYTE_POINTER)
    limit = builder.inttoptr(values[3], BYTE_POINTER)
    zero = ir.Constant(INT64, 0)
    number = ir.Constant(INT64, SYS_FUTEX)
    return builder.call(function, [number, word, values[1], values[2], limit, zero, zero])


define(futex, types.int64, (types.int64,) * 4, _code_futex)


def error_number() -> int:
    """Return errno of the last failed call of this thread."""
    return ctypes.get_errno()


def _code_error_number(context: Any, builder: Any, values: Any) -> Any:
    kind = ir.FunctionType(INT32.as_pointer(), [])
    function = cgutils.get_or_insert_function(builder.module, kind, "__errno_location")
    return builder.sext(builder.load(builder.call(function, [])), INT64)


define(error_number, types.int64, (), _code_error_number)


def clock_ns(clock: int) -> int:
    """Return a clock in nanoseconds: CLOCK_MONOTONIC or CLOCK_REALTIME (through the vDSO)."""
    return time.clock_gettime_ns(clock)


def _code_clock(context: Any, builder: Any, values: Any) -> Any:
    pair = ir.LiteralStructType([INT64, INT64])
    slot = cgutils.alloca_once(builder, pair)
    kind = ir.FunctionType(INT32, [INT32, pair.as_pointer()])
    function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
    builder.call(function, [builder.trunc(values[0], INT32), slot])
    value = builder.load(slot)
    seconds = builder.mul(builder.extract_value(value, 0), ir.Constant(INT64, 1_000_000_000))
    return builder.add(seconds, builder.extract_value(value, 1))


define(clock_ns, types.int64, (types.int64,), _code_clock)
