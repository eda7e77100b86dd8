"""Restarts: cuts at every line, lost and stuck orders, broken rows; one story in three builds."""

from __future__ import annotations

import pytest

from risk.agent import CHANGE_TAKEN_BACK, POSITIONS_SHIFT, PUBLICATION_COMPLETED
from shm.records import OrderStatus
from shm.ring_layout import RING
from shm.tables import PositionState
from tests.risk.cuts import Killer, tell
from tests.uncompiled import run_uncompiled

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def uncompiled() -> dict:
    """Run the cuts in a process whose kernels are plain Python."""
    return run_uncompiled("tests.risk.cuts", "6")


def test_a_crash_at_every_sixth_line_leaves_no_trace(uncompiled):
    assert uncompiled["wrong"] == []
    assert uncompiled["cuts"] > 1000 and uncompiled["twice"] > 50


def test_compiled_and_uncompiled_kernels_tell_the_same_story(kernels, uncompiled):
    assert tell(Killer(), kernels=kernels) == uncompiled["end"]


def test_an_order_whose_publication_was_cut_off_by_one_store_is_found(desk):
    desk.enter()
    RING.at(desk.memory.ring("orders")).tail -= 1
    assert desk.recover() == PUBLICATION_COMPLETED
    assert desk.position().state == PositionState.ENTERING
    assert RING.at(desk.memory.ring("orders")).tail == 1


def test_ids_go_on_after_a_restart(desk):
    first = desk.open()
    assert desk.recover() == 0
    second = desk.enter(1, 1)
    assert (second.order_id, second.position_id) == (first.order_id + 1, first.position_id + 1)


def test_a_taken_back_change_is_reported(desk):
    from risk.state import UNDO, UNDO_OFFSET

    desk.open()
    undo = UNDO.at(desk.memory.state("risk") + UNDO_OFFSET)
    # The copies are those of an order that never came into the ring: its tail has not moved.
    undo.kind, undo.key = 2, RING.at(desk.memory.ring("orders")).tail
    desk.position().state = int(PositionState.EXITING)
    assert desk.recover() & CHANGE_TAKEN_BACK


def test_an_order_that_nobody_knows_was_never_sent(desk):
    desk.enter()  # taken out of the ring by `orders`, without a row: the executor lost it
    desk.look()
    assert desk.position().state == PositionState.ENTERING
    desk.order_state(1).written_ns -= 2 * SECOND
    desk.look()
    assert desk.position().state == PositionState.FLAT
    assert desk.count("settled_orders") == 1


def test_an_order_still_in_the_ring_or_not_decided_is_waited_for(desk):
    desk.best(450_000, 450_001)
    desk.signal()
    desk.look()
    desk.order_state(1).written_ns -= 2 * SECOND
    desk.look()
    assert desk.position().state == PositionState.ENTERING, "it is in the ring"
    (order,) = desk.orders()
    row = desk.row(order, OrderStatus.UNKNOWN)
    desk.look()
    assert desk.position().state == PositionState.ENTERING, "the venue is being asked"
    row.status = int(OrderStatus.CANCELED)
    desk.look()
    assert desk.position().state == PositionState.FLAT


def test_an_exit_that_was_lost_is_issued_again(desk):
    desk.open()
    desk.best(449_000, 449_001)
    desk.look()
    (lost,) = desk.orders()
    desk.order_state(lost.order_id).written_ns -= 2 * SECOND
    desk.recover()
    desk.look()
    assert desk.position().state == PositionState.OPEN
    desk.release_retry()
    desk.look()
    (again,) = desk.orders()
    assert again.order_id == lost.order_id + 1 and again.quantity_lot == lost.quantity_lot


def test_a_position_that_is_no_sum_is_rebuilt_from_the_executors_rows(desk):
    order = desk.open()
    lots = order.quantity_lot
    desk.row(order, OrderStatus.FILLED, filled_lot=lots, filled_value=lots * 450_000, fee_e8=1000)
    desk.position().quantity_lot += 5
    desk.position().entry_lot += 3
    assert desk.recover() >> POSITIONS_SHIFT == 1
    row = desk.position()
    assert (row.quantity_lot, row.entry_lot, row.entry_value) == (lots, lots, lots * 450_000)
    assert (row.state, row.stop_tick, desk.header.untrusted) == (PositionState.OPEN, 449_100, 0)


def test_a_position_nobody_can_vouch_for_halts_entries_and_keeps_its_stop(desk):
    desk.open()
    desk.position().quantity_lot += 5
    assert desk.recover() >> POSITIONS_SHIFT == 1
    assert desk.header.untrusted == 1
    desk.best(450_000, 450_001, 1)
    desk.signal(1, 1)
    desk.best(440_000, 440_001)
    desk.look()
    (stop,) = desk.orders()
    assert desk.count("rejected_untrusted") == 1 and stop.symbol == 0


def test_recovery_repairs_the_signal_counts(desk):
    desk.open()
    desk.memory.counters.add("risk.rejected_stale")
    desk.recover()
    assert desk.count("rejected") == 1
    assert desk.count("signals") == desk.count("accepted") + desk.count("rejected") == 2
