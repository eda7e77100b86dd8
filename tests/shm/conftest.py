"""Memory for tests: anonymous regions that forks share, and names of segments that are removed."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
from collections.abc import Callable, Iterator

import pytest

from shm import segments
from shm.ring_layout import format_ring, ring_size

_NUMBERS = itertools.count()


@pytest.fixture
def region() -> Iterator[Callable[[int], int]]:
    """Give addresses of zeroed page-aligned memory, freed after the test."""
    kept: list[mmap.mmap] = []

    def make(size: int) -> int:
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        kept.append(mapped)
        return ctypes.addressof(ctypes.c_char.from_buffer(mapped))

    yield make
    for mapped in kept:
        mapped.close()


@pytest.fixture
def new_ring(region) -> Callable[..., int]:
    """Give addresses of fresh rings."""

    def make(capacity: int, cursors: int = 0, slot_size: int = 64, first: int = 0) -> int:
        address = region(ring_size(capacity, slot_size))
        format_ring(address, capacity, slot_size, cursors, first)
        return address

    return make


@pytest.fixture
def segment_name() -> Iterator[str]:
    """Give a segment name of this test alone; whatever starts with it is removed after it."""
    name = f"/tshm{os.getpid()}x{next(_NUMBERS)}"
    yield name
    for left in list(segments.list_segments(name)):
        segments.unlink(left)
