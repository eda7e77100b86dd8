"""POSIX shared-memory segments with an owner: created, attached, recognised as stale, removed.

A segment starts with `SEGMENT_HEADER`. Its owner is the process that made it, named by pid *and*
start time, so a reused pid is not mistaken for it. A segment whose owner lives refuses a second
creator; one whose owner is dead is recreated. Segments are made with mode 0600.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import posix_ipc

from shm.counters import COUNTER_TABLE
from shm.fields import combined_hash
from shm.histogram_layout import HISTOGRAM
from shm.records import RING_RECORDS
from shm.ring_layout import RING
from shm.tables import SEGMENT_HEADER, TABLE_RECORDS

# "scalpshm" read as a little-endian word.
MAGIC = int.from_bytes(b"scalpshm", "little")
LAYOUT_HASH = combined_hash((*RING_RECORDS, *TABLE_RECORDS, RING, HISTOGRAM, COUNTER_TABLE))
MADV_POPULATE_WRITE = 23  # madvise(2); not named by the mmap module
HEADER_SIZE = 4096  # one page: what follows starts page-aligned
SHM_DIRECTORY = Path("/dev/shm")  # noqa: S108  Linux keeps POSIX segments there


class SegmentError(RuntimeError):
    """A segment that cannot be made or attached; the message says why, with the values."""


class LiveOwnerError(SegmentError):
    """The segment belongs to a process that is alive."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(f"already running: segment={name} owner_pid={pid}")
        self.pid = pid


class LayoutMismatchError(SegmentError):
    """The segment was made with another record layout or kernel build."""


def process_start_time(pid: int) -> int:
    """Return a process's start time in clock ticks since boot, or 0 when there is no such process.

    Source: proc(5), field 22 of /proc/<pid>/stat. A zombie counts as gone.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, start_time: int) -> bool:
    """Return whether the very process of that pid and start time is alive."""
    return pid > 0 and process_start_time(pid) == start_time != 0


@dataclass
class Segment:
    """A mapped segment. `address` is the first byte after the header."""

    name: str
    size: int
    base: int
    map: mmap.mmap

    @property
    def address(self) -> int:
        """Return the address of the payload, page-aligned."""
        return self.base + HEADER_SIZE

    @property
    def header(self) -> Any:
        """Return the header, in place."""
        return SEGMENT_HEADER.at(self.base)

    def prefault(self) -> None:
        """Map every page into this process, so that the hot path takes no page fault.

        Nothing is written: other processes may be at work in the segment.
        """
        try:
            self.map.madvise(MADV_POPULATE_WRITE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Before Linux 5.14: reading maps the pages, which exist since `create`, as well.
            for offset in range(0, self.size, mmap.PAGESIZE):
                self.map[offset]

    def close(self) -> None:
        """Unmap. Views over the memory must be gone; the kernel frees it with the process else."""
        # ctypes objects made from the address keep no reference, so nothing can refuse this but a
        # from_buffer export, which we hold only while computing the base address.
        self.map.close()


def _map(handle: posix_ipc.SharedMemory, name: str) -> Segment:
    try:
        mapped = mmap.mmap(handle.fd, handle.size)
    finally:
        handle.close_fd()
    export = ctypes.c_char.from_buffer(mapped)
    base = ctypes.addressof(export)
    del export
    return Segment(name, len(mapped), base, mapped)


def create(name: str, payload_size: int, build_hash: int = 0, epoch: int = 0) -> Segment:
    """Create a segment owned by this process; a stale one of a dead owner is replaced.

    Args:
        name: POSIX name with a leading slash.
        payload_size: bytes after the header; zeroed.
        build_hash: of the kernel build, compared by `attach`.
        epoch: start of the run, seconds of wall clock.

    Raises:
        LiveOwnerError: a living process owns a segment of that name.
        SegmentError: there is no room for it, or it is not ours.
    """
    remove_stale(name)
    size = HEADER_SIZE + payload_size
    try:
        handle = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600, size=size)
    except (OSError, ValueError, posix_ipc.Error) as error:
        # posix_ipc's own errors are no OSError: another creator was faster, or no permission.
        raise SegmentError(f"cannot create segment: name={name} size={size}: {error}") from error
    try:
        # ftruncate promises no memory: without this a full /dev/shm would end in SIGBUS later.
        os.posix_fallocate(handle.fd, 0, size)
    except OSError as error:
        handle.close_fd()
        posix_ipc.unlink_shared_memory(name)
        if error.errno == errno.ENOSPC:
            raise SegmentError(f"no space in /dev/shm: segment={name} bytes={size}") from error
        raise SegmentError(f"cannot map segment: name={name} size={size}: {error}") from error
    try:
        segment = _map(handle, name)
    except OSError as error:
        posix_ipc.unlink_shared_memory(name)
        raise SegmentError(f"cannot map segment: name={name} size={size}: {error}") from error
    header = SEGMENT_HEADER.at(segment.base)
    header.layout_hash = LAYOUT_HASH
    header.build_hash = build_hash
    header.epoch = epoch
    header.creator_pid = os.getpid()
    header.creator_start = process_start_time(os.getpid())
    header.size = size
    header.magic = MAGIC
    return segment


def attach(name: str, build_hash: int = 0) -> Segment:
    """Map an existing segment.

    Args:
        name: POSIX name with a leading slash.
        build_hash: refuse another kernel build; 0 accepts any (a monitor that runs no kernels).

    Raises:
        SegmentError: there is none, it is truncated or not ours.
        LayoutMismatchError: layout or build differ; both hashes are named.
    """
    try:
        handle = posix_ipc.SharedMemory(name)
    except posix_ipc.ExistentialError as error:
        raise SegmentError(f"no such segment: name={name}") from error
    except posix_ipc.PermissionsError as error:
        raise SegmentError(f"segment belongs to another user: name={name}") from error
    if handle.size < HEADER_SIZE:
        size = handle.size
        handle.close_fd()
        raise SegmentError(f"segment is truncated: name={name} bytes={size}")
    segment = _map(handle, name)
    header = SEGMENT_HEADER.at(segment.base)
    problem = _header_problem(header, segment, build_hash)
    if problem:
        segment.close()
        raise problem
    return segment


def _header_problem(
    header: ctypes.Structure, segment: Segment, build_hash: int
) -> Exception | None:
    name = segment.name
    if header.magic != MAGIC:
        return SegmentError(f"not a segment of ours: name={name}")
    if header.size != segment.size:
        return SegmentError(
            f"segment is truncated: name={name} bytes={segment.size} stated={header.size}"
        )
    for what, ours in (("layout", LAYOUT_HASH), ("build", build_hash)):
        theirs = getattr(header, f"{what}_hash")
        if ours and theirs != ours:
            return LayoutMismatchError(
                f"{what} differs: segment={name} theirs={theirs:016x} ours={ours:016x}"
            )
    return None


def owner_of(name: str) -> tuple[int, int] | None:
    """Return (pid, start time) of a segment's owner, or None when there is no such segment.

    (0, 0) stands for a segment whose creator died before it wrote the header.
    """
    try:
        handle = posix_ipc.SharedMemory(name)
    except posix_ipc.ExistentialError:
        return None
    try:
        raw = os.pread(handle.fd, SEGMENT_HEADER.size, 0)
    finally:
        handle.close_fd()
    if len(raw) < SEGMENT_HEADER.size:
        return (0, 0)
    header = SEGMENT_HEADER.structure.from_buffer_copy(raw)
    return (header.creator_pid, header.creator_start) if header.magic == MAGIC else (0, 0)


def remove_stale(name: str) -> bool:
    """Remove a segment whose owner is dead; return whether there was one.

    Raises:
        LiveOwnerError: its owner is alive.
    """
    owner = owner_of(name)
    if owner is None:
        return False
    pid, start_time = owner
    if is_alive(pid, start_time):
        raise LiveOwnerError(name, pid)
    with contextlib.suppress(posix_ipc.ExistentialError):  # somebody else was faster: also gone
        posix_ipc.unlink_shared_memory(name)
    return True


def unlink(name: str) -> None:
    """Remove a segment's name; mappings stay valid until they are closed."""
    with contextlib.suppress(posix_ipc.ExistentialError):  # removed already: the wanted state
        posix_ipc.unlink_shared_memory(name)


def list_segments(prefix: str) -> Iterator[str]:
    """Yield the names of all segments that start with `prefix` (leading slash included)."""
    for path in sorted(SHM_DIRECTORY.glob(prefix.lstrip("/") + "*")):
        yield "/" + path.name
