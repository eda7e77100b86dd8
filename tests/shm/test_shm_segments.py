"""Segments: owners alive and dead, damage, mismatches, permissions, no space."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import posix_ipc
import pytest

from shm import segments
from shm.segments import (
    HEADER_SIZE,
    LAYOUT_HASH,
    LayoutMismatchError,
    LiveOwnerError,
    SegmentError,
    attach,
    create,
    is_alive,
    list_segments,
    owner_of,
    process_start_time,
    remove_stale,
    unlink,
)

ROOT = Path(__file__).resolve().parents[2]
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def file_of(name: str) -> Path:
    return segments.SHM_DIRECTORY / name.lstrip("/")


def test_created_segment_is_zeroed_aligned_and_described(segment_name: str):
    segment = create(segment_name, 10_000, build_hash=5, epoch=77)
    assert segment.size == HEADER_SIZE + 10_000
    assert segment.address == segment.base + HEADER_SIZE
    assert segment.address % 4096 == 0
    assert ctypes.string_at(segment.address, 10_000) == bytes(10_000)
    header = segment.header
    assert (header.layout_hash, header.build_hash, header.epoch) == (LAYOUT_HASH, 5, 77)
    assert header.creator_pid == os.getpid()
    assert header.creator_start == process_start_time(os.getpid()) > 0
    assert header.size == segment.size
    segment.close()


def test_mode_is_0600_whatever_the_umask(segment_name: str):
    before = os.umask(0)
    try:
        create(segment_name, 100).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(segment_name).stat().st_mode) == 0o600


def test_attached_segment_is_the_same_memory(segment_name: str):
    one = create(segment_name, 4096, build_hash=3)
    two = attach(segment_name, build_hash=3)
    ctypes.c_int64.from_address(one.address + 64).value = 4242
    assert ctypes.c_int64.from_address(two.address + 64).value == 4242
    two.close()
    one.prefault()
    assert ctypes.c_int64.from_address(one.address + 64).value == 4242
    one.close()


def test_live_owner_refuses_a_second_creator_and_is_named(segment_name: str):
    create(segment_name, 100).close()
    with pytest.raises(LiveOwnerError, match=f"owner_pid={os.getpid()}") as caught:
        create(segment_name, 100)
    assert caught.value.pid == os.getpid()
    with pytest.raises(LiveOwnerError):
        remove_stale(segment_name)
    assert file_of(segment_name).exists()


def dead_owner(name: str) -> int:
    pid = os.fork()
    if pid == 0:
        create(name, 100)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return pid


def test_segment_of_a_dead_owner_is_replaced(segment_name: str):
    pid = dead_owner(segment_name)
    owner = owner_of(segment_name)
    assert owner is not None
    assert owner[0] == pid
    assert not is_alive(*owner)
    segment = create(segment_name, 300)
    assert owner_of(segment_name) == (os.getpid(), process_start_time(os.getpid()))
    assert segment.size == HEADER_SIZE + 300
    segment.close()


def test_reused_pid_with_another_start_time_is_dead(segment_name: str):
    segment = create(segment_name, 100)
    segment.header.creator_start -= 1
    assert not is_alive(*(owner_of(segment_name) or (0, 0)))
    segment.close()
    create(segment_name, 100).close()


def test_zombie_and_nobody_are_not_alive():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert process_start_time(pid) == 0
    os.waitpid(pid, 0)
    assert process_start_time(pid) == 0
    assert not is_alive(0, 0)
    assert not is_alive(-1, 0)
    assert is_alive(os.getpid(), process_start_time(os.getpid()))


def test_start_time_survives_a_bracket_in_the_command_name():
    before = Path("/proc/self/comm").read_text()
    start = process_start_time(os.getpid())
    try:
        Path("/proc/self/comm").write_text("a) b 1 2")
        assert process_start_time(os.getpid()) == start
    finally:
        Path("/proc/self/comm").write_text(before)


def test_creator_dead_before_the_header_is_stale(segment_name: str):
    handle = posix_ipc.SharedMemory(segment_name, posix_ipc.O_CREX, mode=0o600, size=16384)
    handle.close_fd()
    assert owner_of(segment_name) == (0, 0)
    create(segment_name, 100).close()


def test_empty_file_is_stale_too(segment_name: str):
    file_of(segment_name).touch()
    assert owner_of(segment_name) == (0, 0)
    with pytest.raises(SegmentError, match="truncated"):
        attach(segment_name)
    assert remove_stale(segment_name)


def test_attach_to_nothing_says_so(segment_name: str):
    with pytest.raises(SegmentError, match=f"no such segment: name={segment_name}"):
        attach(segment_name)
    assert owner_of(segment_name) is None
    assert not remove_stale(segment_name)


@pytest.mark.parametrize("size", [1, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 4096])
def test_truncated_segment_is_refused(segment_name: str, size: int):
    create(segment_name, 100_000).close()
    os.truncate(file_of(segment_name), size)
    with pytest.raises(SegmentError, match=f"truncated: name={segment_name} bytes={size}"):
        attach(segment_name)


def test_foreign_content_is_refused(segment_name: str):
    segment = create(segment_name, 100)
    segment.header.magic ^= 1
    segment.close()
    with pytest.raises(SegmentError, match="not a segment of ours"):
        attach(segment_name)


def test_layout_mismatch_names_both_hashes(segment_name: str):
    segment = create(segment_name, 100)
    segment.header.layout_hash = LAYOUT_HASH ^ 0xFF
    segment.close()
    with pytest.raises(LayoutMismatchError) as caught:
        attach(segment_name)
    assert f"{LAYOUT_HASH:016x}" in str(caught.value)
    assert f"{LAYOUT_HASH ^ 0xFF:016x}" in str(caught.value)


def test_build_mismatch_names_both_hashes_and_zero_accepts_any(segment_name: str):
    create(segment_name, 100, build_hash=0xABC).close()
    with pytest.raises(LayoutMismatchError, match="build differs") as caught:
        attach(segment_name, build_hash=0xDEF)
    assert f"{0xABC:016x}" in str(caught.value)
    assert f"{0xDEF:016x}" in str(caught.value)
    attach(segment_name).close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_more_than_there_is_is_refused_and_leaves_nothing(segment_name: str):
    room = os.statvfs(segments.SHM_DIRECTORY)
    before = open_files()
    with pytest.raises(SegmentError, match="no space in /dev/shm"):
        create(segment_name, (room.f_blocks + 1) * room.f_frsize)
    assert not file_of(segment_name).exists()
    assert open_files() == before


def test_full_shared_memory_is_refused_before_trading_not_by_a_bus_error(segment_name: str):
    """Create on a tmpfs of 64 KiB, mounted in a mount namespace of a child of its own."""
    program = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare({CLONE_NEWNS}) or libc.mount(b"none", b"/", None, {MS_REC | MS_PRIVATE}, None):
    sys.exit(77)
if libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=64k"):
    sys.exit(77)
from shm import segments, topology
try:
    topology.create_all("{segment_name.lstrip("/")}", topology.Sizes())
except segments.SegmentError as error:
    print(error)
print(list(segments.list_segments("/")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("mounting a tmpfs is not permitted here")
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert said.startswith("no space in /dev/shm: segment=")
    assert left == "[]", "segments were left behind"


def test_list_and_unlink(segment_name: str):
    names = [f"{segment_name}.{part}" for part in ("b", "a")]
    for name in names:
        create(name, 100).close()
    assert list(list_segments(segment_name)) == sorted(names)
    for name in names:
        unlink(name)
        unlink(name)
    assert list(list_segments(segment_name)) == []


def test_use_of_a_truncated_mapping_kills_that_process_only(segment_name: str):
    create(segment_name, 100_000).close()
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()  # the signal is expected, its traceback is not wanted
        segment = attach(segment_name)
        os.truncate(file_of(segment_name), HEADER_SIZE)
        ctypes.c_int64.from_address(segment.address + 50_000).value = 1
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGBUS
