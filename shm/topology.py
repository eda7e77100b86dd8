"""Which segments an instance consists of, who writes and reads each, and where things lie in them.

One table of rings and one list of areas; the supervisor creates them, stages and monitors use them
through `SharedMemory`, which only knows addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shm import counters, histogram_layout, segments
from shm.fields import Record
from shm.records import MARKET_EVENT, ORDER, QUOTE, REPORT, SIGNAL, SYMBOL_COUNT_MAX
from shm.ring_layout import format_ring, ring_size
from shm.segments import Segment
from shm.tables import (
    BOOK_REQUEST,
    CONTROL,
    DOORBELL,
    FUNDING,
    ORDER_ROW,
    POSITION,
    PROCESS,
    PROCESSES,
    STAGES,
    SYMBOL,
    SYMBOL_TRUST,
    process_index,
)


@dataclass(frozen=True)
class RingRow:
    """One ring: what it carries, who writes it, who holds the writer back, who looks on."""

    name: str
    record: Record
    producer: str
    gating: tuple[str, ...]
    observers: tuple[str, ...]


RINGS = (
    RingRow("market", MARKET_EVENT, "feed", (), ("engine", "risk")),
    RingRow("signals", SIGNAL, "engine", ("risk",), ()),
    RingRow("quotes", QUOTE, "engine", ("risk",), ()),
    RingRow("orders", ORDER, "risk", ("executor",), ()),
    RingRow("reports", REPORT, "executor", ("risk",), ("engine",)),
)
RING_BY_NAME = {ring.name: ring for ring in RINGS}

# Cursor of a broadcast reader: it gates nobody, but its laps are counted at a place of its own.
MARKET_CURSOR = {"engine": 0, "risk": 1}


@dataclass(frozen=True)
class Sizes:
    """How large an instance is."""

    market_queue: int = 32768
    queue: int = 8192
    order_rows: int = 2000
    # Bytes of each stage's own state; a stage's state.py says how many it needs.
    state: dict[str, int] = field(default_factory=dict)


# The control segment: offsets of its areas, in order.
CONTROL_AREAS: dict[str, int] = {}
_end = 0
for _name, _size in (
    ("control", CONTROL.size),
    ("processes", PROCESS.size * len(PROCESSES)),
    ("doorbells", DOORBELL.size * len(STAGES)),
    ("symbols", SYMBOL.size * SYMBOL_COUNT_MAX),
    ("positions", POSITION.size * SYMBOL_COUNT_MAX),
    ("book_requests", BOOK_REQUEST.size * SYMBOL_COUNT_MAX),
    ("trusts", SYMBOL_TRUST.size * SYMBOL_COUNT_MAX),
    ("funding", FUNDING.size * SYMBOL_COUNT_MAX),
    ("counters", counters.AREA_SIZE),
    ("histograms", histogram_layout.AREA_SIZE),
):
    CONTROL_AREAS[_name] = _end
    _end += -(-_size // 4096) * 4096
CONTROL_SEGMENT_SIZE = _end


def segment_names(instance: str) -> dict[str, str]:
    """Return the POSIX names of an instance's segments by what they hold."""
    parts = ("control", *(ring.name for ring in RINGS), "order_rows", *STAGES)
    return {part: f"/{instance}.{part}" for part in parts}


class SharedMemory:
    """The mapped segments of one instance, as addresses. See `create_all` and `attach_all`."""

    def __init__(self, instance: str, parts: dict[str, Segment]) -> None:
        self.instance = instance
        self.parts = parts
        base = parts["control"].address
        self.control_address = base + CONTROL_AREAS["control"]
        self.control = CONTROL.at(self.control_address)
        self.counters = counters.CounterArea(base + CONTROL_AREAS["counters"])
        self.histograms = histogram_layout.HistogramArea(base + CONTROL_AREAS["histograms"])

    def ring(self, name: str) -> int:
        """Return the address of a ring's control words."""
        assert name in RING_BY_NAME, f"unknown ring: {name}"
        return self.parts[name].address

    def state(self, stage: str) -> int:
        """Return the address of a stage's own state."""
        assert stage in STAGES, f"unknown stage: {stage}"
        return self.parts[stage].address

    @property
    def order_rows(self) -> int:
        """Return the address of the executor's order table."""
        return self.parts["order_rows"].address

    @property
    def order_row_count(self) -> int:
        """Return the rows of the order table."""
        return (self.parts["order_rows"].size - segments.HEADER_SIZE) // ORDER_ROW.size

    def process(self, name: str) -> Any:
        """Return the process row of a stage, the supervisor or the exchange, in place."""
        base = self.parts["control"].address + CONTROL_AREAS["processes"]
        return PROCESS.at(base + process_index(name) * PROCESS.size)

    def doorbell(self, stage: str) -> int:
        """Return the address of a stage's doorbell."""
        base = self.parts["control"].address + CONTROL_AREAS["doorbells"]
        return base + STAGES.index(stage) * DOORBELL.size

    def _row(self, area: str, record: Record, index: int) -> int:
        assert 0 <= index < SYMBOL_COUNT_MAX, f"symbol index out of range: {index}"
        return self.parts["control"].address + CONTROL_AREAS[area] + index * record.size

    def symbol_address(self, index: int) -> int:
        """Return the address of a row of the symbol table; rows follow one another."""
        return self._row("symbols", SYMBOL, index)

    def position_address(self, index: int) -> int:
        """Return the address of a symbol's position row; rows follow one another."""
        return self._row("positions", POSITION, index)

    def book_request_address(self, index: int) -> int:
        """Return the address of a symbol's book request row; rows follow one another."""
        return self._row("book_requests", BOOK_REQUEST, index)

    def trust_address(self, index: int) -> int:
        """Return the address of a symbol's SYMBOL_TRUST row; rows follow one another."""
        return self._row("trusts", SYMBOL_TRUST, index)

    def trust(self, index: int) -> Any:
        """Return a symbol's SYMBOL_TRUST row, in place."""
        return SYMBOL_TRUST.at(self.trust_address(index))

    def funding_address(self, index: int) -> int:
        """Return the address of a symbol's funding row; rows follow one another."""
        return self._row("funding", FUNDING, index)

    def position(self, index: int) -> Any:
        """Return a symbol's position row, in place."""
        return POSITION.at(self.position_address(index))

    def symbol(self, index: int) -> Any:
        """Return a row of the symbol table, in place."""
        return SYMBOL.at(self.symbol_address(index))

    def prefault(self, stage: str) -> None:
        """Map what a stage works in on every event: the market ring, its state, the control tables.

        Gated rings are left alone: a page of theirs holds 32 records and is mapped by the first of
        them, while mapping all of them would double the memory of a quiet instance.
        """
        parts = ["control", stage]
        if stage in ("feed", *MARKET_CURSOR):
            parts.append("market")
        for part in parts:
            self.parts[part].prefault()

    def close(self) -> None:
        """Unmap everything."""
        for part in self.parts.values():
            part.close()

    def unlink(self) -> None:
        """Remove the names; only the owner does."""
        for part in self.parts.values():
            segments.unlink(part.name)


def create_all(instance: str, sizes: Sizes, build_hash: int = 0, epoch: int = 0) -> SharedMemory:
    """Create and format all segments of an instance, or none.

    Raises:
        LiveOwnerError: a living supervisor owns the instance.
        SegmentError: no space, or a name is taken by something else.
        ValueError: a ring's capacity is no power of two.
    """
    wanted = {"control": CONTROL_SEGMENT_SIZE}
    capacities = {ring.name: sizes.queue for ring in RINGS} | {"market": sizes.market_queue}
    for ring in RINGS:
        wanted[ring.name] = ring_size(capacities[ring.name], ring.record.size)
    wanted["order_rows"] = sizes.order_rows * ORDER_ROW.size
    for stage in STAGES:
        wanted[stage] = max(sizes.state.get(stage, 0), 4096)
    names = segment_names(instance)
    made: dict[str, Segment] = {}
    try:
        for part, size in wanted.items():
            made[part] = segments.create(names[part], size, build_hash, epoch)
    except segments.SegmentError:
        for segment in made.values():
            segment.close()
            segments.unlink(segment.name)
        raise
    memory = SharedMemory(instance, made)
    for ring in RINGS:
        capacity = capacities[ring.name]
        format_ring(memory.ring(ring.name), capacity, ring.record.size, len(ring.gating))
    for stage in STAGES:
        doorbell = DOORBELL.at(memory.doorbell(stage))
        doorbell.event_fd, doorbell.event_one = -1, 1
    memory.control.epoch = epoch
    return memory


def attach_all(instance: str, build_hash: int = 0) -> SharedMemory:
    """Attach to a living instance from outside (status, monitor, make stop).

    Raises:
        SegmentError: there is no such instance.
        LayoutMismatchError: it runs another layout or build.
    """
    attached: dict[str, Segment] = {}
    try:
        for part, name in segment_names(instance).items():
            attached[part] = segments.attach(name, build_hash)
    except segments.SegmentError:
        for segment in attached.values():
            segment.close()
        raise
    return SharedMemory(instance, attached)
