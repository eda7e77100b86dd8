"""Look on at a gated ring from plain Python: read what was published, hold nobody back."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from shm.fields import Record
from shm.ring_layout import RING

# A gated ring does not mark a slot that is being rewritten: an observer trusts a record only while
# the producer is at least this part of a lap away from it.
MARGIN_SHIFT = 2


class RingObserver:
    """Read a gated ring without holding its producer back.

    Args:
        kernels: of the run.
        ring: address of the ring.
        record: what it carries.
    """

    def __init__(self, kernels: Any, ring: int, record: Record) -> None:
        self.position = 0
        self.lost = 0
        self._kernels, self._ring = kernels, ring
        self._capacity: int = RING.at(ring).capacity
        self._record = record.new()
        self._target = ctypes.addressof(self._record)

    def newest(self) -> int:
        """Return the position after the last published record."""
        return int(self._kernels.ring_newest(self._ring))

    def read(self, until: int, count_max: int) -> Iterator[Any]:
        """Yield the records before `until`, each valid until the next; count what was overwritten.

        Loop bound: `count_max` records.
        """
        count = 0
        while self.position < until and count < count_max:
            self._kernels.ring_read_broadcast(self._ring, self.position, self._target)
            # Ordering: the record was copied before the tail is loaded (the kernel's acquire
            # fence), so a tail short of a lap proves that it was not being rewritten.
            newest = self.newest()
            if newest - self.position > self._capacity - (self._capacity >> MARGIN_SHIFT):
                there = newest - self._capacity // 2
                self.lost += there - self.position
                self.position = there
                continue
            self.position += 1
            count += 1
            yield self._record
