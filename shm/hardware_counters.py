"""The processor's own counters of cache references and misses, through perf_event_open.

They count this thread's user-space work and exist only where the kernel and the (virtual) machine
allow it. Where they do not, the reason is stated instead of a number.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_TYPE_HARDWARE = 0
_CACHE_REFERENCES, _CACHE_MISSES = 2, 3
_ATTRIBUTE_SIZE = 112  # PERF_ATTR_SIZE_VER5
# Bits of the flags word: exclude_kernel, exclude_hv. The counter starts enabled.
_EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 5, 1 << 6
_READ_FORMAT_GROUP = 1 << 3

# (event, group leader or -1) → file descriptor; raises OSError where it is refused.
OpenEvent = Callable[[int, int], int]


def open_event(event: int, leader: int) -> int:
    """Open a hardware counter for the calling thread on any core.

    Source: perf_event_open(2).

    Raises:
        OSError: the kernel or the machine does not offer it.
    """
    number = _PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        raise OSError(f"perf_event_open: number unknown for machine={platform.machine()}")
    flags = _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR
    # u32 type, u32 size, u64 config, sample_period, sample_type, read_format, flags; rest zero.
    head = struct.pack(
        "<IIQQQQQ", _TYPE_HARDWARE, _ATTRIBUTE_SIZE, event, 0, 0, _READ_FORMAT_GROUP, flags
    )
    attribute = ctypes.create_string_buffer(head, _ATTRIBUTE_SIZE)
    ctypes.set_errno(0)
    _LIBC.syscall.restype = ctypes.c_long
    descriptor = _LIBC.syscall(
        ctypes.c_long(number), attribute, ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(leader),
        ctypes.c_ulong(8),  # PERF_FLAG_FD_CLOEXEC
    )  # fmt: skip
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"perf_event_open: {os.strerror(error)}")
    return int(descriptor)


class CacheCounters:
    """Cache references and misses of this thread since the object was made.

    Args:
        opener: opens one event; tests give their own.
    """

    def __init__(self, opener: OpenEvent = open_event) -> None:
        self.refusal = ""
        self._descriptors: list[int] = []
        try:
            # One group: both count over the same stretches of time, so their ratio is right even
            # where the kernel shares the hardware between several groups.
            self._descriptors.append(opener(_CACHE_REFERENCES, -1))
            self._descriptors.append(opener(_CACHE_MISSES, self._descriptors[0]))
        except OSError as error:
            self.refusal = error.strerror or str(error)
            self.close()

    def read(self) -> tuple[int, int]:
        """Return (references, misses).

        Raises:
            OSError: there are no counters; `refusal` says why.
        """
        if not self._descriptors:
            raise OSError(f"no cache counters: {self.refusal}")
        count, references, misses = struct.unpack("<QQQ", os.read(self._descriptors[0], 24))
        assert count == 2, f"a group of two events was read: count={count}"
        return references, misses

    def close(self) -> None:
        """Give the counters back."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self.refusal = self.refusal or "counters are closed"
