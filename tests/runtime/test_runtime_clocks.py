"""Clocks and libc calls of kernels are those of Python."""

from __future__ import annotations

import ctypes
import errno
import os
import time

import pytest

from runtime.clocks import clock_mono_ns, mono_ns, wall_ns
from runtime.system_calls import (
    error_number,
    poll,
    read_file,
    receive,
    sched_yield,
    write_file,
)
from shm.compiled import kernel


@kernel
def wall_now() -> int:
    return wall_ns()


@kernel
def mono_now() -> int:
    return mono_ns()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(mono_now, time.monotonic_ns), (clock_mono_ns, time.monotonic_ns), (wall_now, time.time_ns)],
)
def test_kernel_clock_lies_between_two_looks_of_python(ours, theirs):
    ours()
    for _ in range(100):
        before, now, after = theirs(), ours(), theirs()
        assert before <= now <= after


@kernel
def pass_on(source: int, target: int, buffer: int, size: int) -> int:
    got = read_file(source, buffer, size)
    return write_file(target, buffer, got) if got > 0 else got


@kernel
def failing_read(buffer: int) -> int:
    return -error_number() if read_file(-1, buffer, 8) < 0 else 0


@kernel
def nothing_there(descriptor: int, buffer: int) -> int:
    return -error_number() if receive(descriptor, buffer, 8, 0x40) < 0 else 0


@kernel
def is_readable(pollfd: int) -> int:
    sched_yield()
    return poll(pollfd, 1, 0)


def test_bytes_pass_through_kernels():
    (source, in_end), (out_end, target) = os.pipe(), os.pipe()
    buffer = ctypes.create_string_buffer(64)
    os.write(in_end, b"twelve bytes")
    assert pass_on(source, target, ctypes.addressof(buffer), 64) == 12
    assert os.read(out_end, 64) == b"twelve bytes"
    os.close(in_end)
    assert pass_on(source, target, ctypes.addressof(buffer), 64) == 0
    for descriptor in (source, out_end, target):
        os.close(descriptor)


def test_error_number_tells_why_a_call_failed():
    import socket

    buffer = ctypes.create_string_buffer(8)
    address = ctypes.addressof(buffer)
    assert failing_read(address) == -errno.EBADF
    one, two = socket.socketpair()
    with one, two:
        assert nothing_there(one.fileno(), address) == -errno.EAGAIN


def test_poll_sees_what_is_readable():
    read_end, write_end = os.pipe()
    # struct pollfd: int fd, short events, short revents.
    entry = (ctypes.c_int16 * 4).from_buffer_copy(read_end.to_bytes(4, "little") + b"\1\0\0\0")
    assert is_readable(ctypes.addressof(entry)) == 0
    os.write(write_end, b"x")
    assert is_readable(ctypes.addressof(entry)) == 1
    os.close(read_end)
    os.close(write_end)
