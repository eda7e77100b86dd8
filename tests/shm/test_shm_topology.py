"""An instance's segments: where everything lies, all or nothing, from outside the same."""

from __future__ import annotations

import os

import pytest

from shm import segments, topology
from shm.records import SYMBOL_COUNT_MAX
from shm.ring_layout import RING
from shm.segments import LayoutMismatchError, LiveOwnerError, SegmentError
from shm.tables import (
    DOORBELL,
    ORDER_ROW,
    PROCESSES,
    STAGES,
    SYMBOL,
    read_symbol_name,
    write_symbol_name,
)
from shm.topology import CONTROL_AREAS, RINGS, Sizes, attach_all, create_all, segment_names

SIZES = Sizes(market_queue=64, queue=16, order_rows=10, state={"engine": 50_000})


@pytest.fixture
def memory(segment_name: str):
    made = create_all(segment_name.lstrip("/"), SIZES, build_hash=9, epoch=1234)
    yield made
    made.unlink()
    made.close()


def test_every_ring_is_formatted_as_its_row_says(memory):
    for ring in RINGS:
        control = RING.at(memory.ring(ring.name))
        assert control.capacity == (64 if ring.name == "market" else 16)
        assert control.slot_size == ring.record.size
        assert control.cursor_count == len(ring.gating)
        assert memory.ring(ring.name) % 64 == 0


def test_ring_table_is_the_contract():
    rows = {ring.name: (ring.producer, ring.gating, ring.observers) for ring in RINGS}
    assert rows == {
        "market": ("feed", (), ("engine", "risk")),
        "signals": ("engine", ("risk",), ()),
        "quotes": ("engine", ("risk",), ()),
        "orders": ("risk", ("executor",), ()),
        "reports": ("executor", ("risk",), ("engine",)),
    }
    assert set(topology.MARKET_CURSOR) == {"engine", "risk"}


def test_areas_are_page_aligned_and_apart():
    places = list(CONTROL_AREAS.values())
    assert places == sorted(set(places))
    assert all(place % 4096 == 0 for place in places)
    assert places[-1] < topology.CONTROL_SEGMENT_SIZE


def test_rows_follow_one_another_within_their_areas(memory):
    first, second = memory.symbol_address(0), memory.symbol_address(1)
    assert second - first == SYMBOL.size
    base = memory.parts["control"].address
    assert first - base == CONTROL_AREAS["symbols"]
    last = memory.symbol_address(SYMBOL_COUNT_MAX - 1) + SYMBOL.size - base
    assert last <= CONTROL_AREAS["positions"]
    for index in (-1, SYMBOL_COUNT_MAX):
        for address in (
            memory.symbol_address,
            memory.position_address,
            memory.book_request_address,
        ):
            with pytest.raises(AssertionError, match=f"out of range: {index}"):
                address(index)


def test_no_two_things_share_an_address(memory):
    places = [memory.doorbell(stage) for stage in STAGES]
    places += [memory.histograms.address_of(name) for name in ("feed", "ack")]
    places += [memory.counters.block(stage) for stage in STAGES]
    places += [memory.state(stage) for stage in STAGES] + [memory.order_rows]
    places += [memory.ring(ring.name) for ring in RINGS] + [memory.control_address]
    assert len(set(places)) == len(places)
    for name in PROCESSES:
        memory.process(name).pid = PROCESSES.index(name) + 1
    assert [memory.process(name).pid for name in PROCESSES] == [1, 2, 3, 4, 5, 6, 7]


def test_sizes_are_as_asked(memory):
    assert memory.order_row_count == SIZES.order_rows
    assert memory.parts["order_rows"].size == segments.HEADER_SIZE + 10 * ORDER_ROW.size
    assert memory.parts["engine"].size == segments.HEADER_SIZE + 50_000
    assert memory.parts["feed"].size == segments.HEADER_SIZE + 4096


def test_doorbells_start_as_futexes(memory):
    for stage in STAGES:
        doorbell = DOORBELL.at(memory.doorbell(stage))
        assert (doorbell.event_fd, doorbell.event_one, doorbell.sleeping) == (-1, 1, 0)


def test_unknown_names_are_refused(memory):
    with pytest.raises(AssertionError, match="unknown ring: nope"):
        memory.ring("nope")
    with pytest.raises(AssertionError, match="unknown stage: monitor"):
        memory.state("monitor")


def test_attached_instance_sees_the_same(memory):
    memory.control.kill_latch = 1
    memory.counters.add("feed.events", 5)
    other = attach_all(memory.instance, build_hash=9)
    assert (other.control.kill_latch, other.control.epoch) == (1, 1234)
    assert other.counters.get("feed.events") == 5
    assert other.order_row_count == memory.order_row_count
    memory.prefault("engine")
    assert other.counters.get("feed.events") == 5
    other.close()


def test_attach_refuses_another_build_and_a_missing_instance(memory):
    with pytest.raises(LayoutMismatchError, match="build differs"):
        attach_all(memory.instance, build_hash=8)
    with pytest.raises(SegmentError, match="no such segment"):
        attach_all(memory.instance + "absent")


def test_second_creator_is_refused_with_the_pid_of_the_first(memory):
    with pytest.raises(LiveOwnerError, match=f"owner_pid={os.getpid()}"):
        create_all(memory.instance, SIZES)
    assert attach_all(memory.instance).control.epoch == 1234


def test_all_segments_or_none(segment_name: str):
    instance = segment_name.lstrip("/")
    taken = segments.create(segment_names(instance)["orders"], 100)
    with pytest.raises(LiveOwnerError):
        create_all(instance, SIZES)
    assert list(segments.list_segments(segment_name)) == [taken.name]
    taken.close()


@pytest.mark.parametrize("sizes", [Sizes(market_queue=100), Sizes(queue=3)])
def test_capacities_are_checked_before_anything_is_made(segment_name: str, sizes: Sizes):
    with pytest.raises(ValueError, match="capacity must be a power of two"):
        create_all(segment_name.lstrip("/"), sizes)
    assert list(segments.list_segments(segment_name)) == []


def test_symbol_names_round_trip(memory):
    row = memory.symbol(3)
    for name in ("BTCUSDT", "1000PEPEUSDT", "A" * 23, "ETHUSDT"):
        write_symbol_name(row, name)
        assert read_symbol_name(memory.symbol(3)) == name
    with pytest.raises(ValueError, match="too long"):
        write_symbol_name(row, "A" * 24)
