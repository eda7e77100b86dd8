"""Exits that do not go as ordered: refused, filled in part, too large for one order."""

from __future__ import annotations

import time

from shm.records import OrderReason, OrderStatus
from shm.tables import PositionState


def test_an_exit_that_fails_is_issued_again_with_growing_pauses(desk):
    entry = desk.open()
    desk.best(449_000, 449_001)
    desk.look()
    ids = []
    for pause_ms in (50, 100, 200, 400, 800, 1600, 1600, 1600):
        (order,) = desk.orders()
        assert order.reason == OrderReason.STOP and order.quantity_lot == entry.quantity_lot
        ids.append(order.order_id)
        desk.report(order, OrderStatus.REJECTED, error_code=-1008)
        before = time.monotonic_ns()
        desk.look()
        after = time.monotonic_ns()
        assert desk.orders() == [] and desk.position().state == PositionState.OPEN
        pause_ns = pause_ms * 1_000_000
        assert before + pause_ns <= desk.symbol_state().retry_ns <= after + pause_ns
        desk.release_retry()
        desk.look()
    assert ids == sorted(set(ids))
    assert desk.count("exit_retries") == 8 and desk.count("exit_stop") == 1


def test_the_rest_of_an_exit_is_closed_by_another(desk):
    entry = desk.open()
    desk.best(449_000, 449_001)
    desk.look()
    (order,) = desk.orders()
    desk.fill(order, 449_000, lot=4)
    desk.report(order, OrderStatus.EXPIRED, filled_lot=4)
    desk.look()
    desk.release_retry()
    desk.look()
    (rest,) = desk.orders()
    assert rest.quantity_lot == entry.quantity_lot - 4
    desk.fill(rest, 449_000)
    desk.look()
    assert desk.position().state == PositionState.FLAT


def test_a_failed_partial_does_not_hold_up_a_stop(desk):
    desk.open()
    desk.best(450_900, 450_901)
    desk.look()
    (partial,) = desk.orders()
    desk.report(partial, OrderStatus.EXPIRED)
    desk.best(440_000, 440_001)
    desk.look()
    (stop,) = desk.orders()
    assert stop.reason in (OrderReason.STOP, OrderReason.TRAILING)
    assert desk.count("exit_retries") == 0


def test_a_large_position_is_closed_in_orders_the_venue_takes(desk):
    desk.memory.symbol(0).market_lot_max = 6
    entry = desk.open()
    desk.best(449_000, 449_001)
    closed = 0
    while desk.position().quantity_lot:
        desk.look()
        (order,) = desk.orders()
        assert order.quantity_lot <= 6
        closed += order.quantity_lot
        desk.fill(order, 449_000)
        desk.look()
        if desk.position().quantity_lot:
            (order,) = desk.orders()
            closed += order.quantity_lot
            desk.fill(order, 449_000)
            desk.look()
        assert closed <= entry.quantity_lot
    assert closed == entry.quantity_lot and desk.count("exit_retries") == 0
