"""The time a position is without a stop at the venue: from the report on, over restarts of risk."""

from __future__ import annotations

import time

import pytest

from risk.state import GuardState
from shm.records import OrderAction, OrderReason, OrderStatus

MS = 1_000_000


def test_the_time_without_a_stop_goes_on_while_risk_is_dead(guarded):
    """A fill counts from its report on, read or not, and a move from its cancel on."""
    entry = guarded.enter()
    guarded.report(
        entry, OrderStatus.FILLED, fill_tick=450_000, fill_lot=entry.quantity_lot,
        filled_lot=entry.quantity_lot, trade_id=1, written_ns=time.monotonic_ns() - 3_000 * MS,
    )  # fmt: skip
    guarded.recover()
    guarded.look()
    (stop,) = guarded.orders()
    guarded.rest(stop)
    histogram = guarded.memory.histograms.get("unprotected")
    assert histogram.count == 1 and histogram.percentiles((0.5,))[0] >= 3_000 * MS
    guarded.release_move()
    guarded.best(450_880, 450_881)
    guarded.look()
    (cancel,) = guarded.orders()
    assert cancel.action == OrderAction.CANCEL and guarded.guard().exposed_ns > 0
    guarded.guard().exposed_ns -= 9_000 * MS
    guarded.recover()
    guarded.report(stop, OrderStatus.CANCELED, written_ns=time.monotonic_ns())
    guarded.look()
    (again,) = guarded.orders()
    guarded.rest(again)
    assert histogram.count == 2 and histogram.percentiles((0.99,))[0] >= 9_000 * MS


def away_too_long(desk, is_dead: bool):
    """Open a position whose stop is on its way, and be dead or frozen for 16 s; return the stop."""
    desk.open()
    (stop,) = desk.orders()
    assert desk.guard().exposed_ns > 0
    desk.guard().exposed_ns -= 16_000 * MS
    if is_dead:
        desk.recover()
    return stop


@pytest.mark.parametrize("is_dead", [True, False], ids=["dead", "frozen"])
def test_a_stop_that_came_to_rest_while_risk_was_away_is_read_before_the_time_is_judged(
    guarded, is_dead
):
    stop = away_too_long(guarded, is_dead)
    histogram = guarded.memory.histograms.get("unprotected")
    guarded.report(stop, OrderStatus.NEW, written_ns=time.monotonic_ns() - 15_990 * MS)
    guarded.look(2)
    assert guarded.orders() == [] and guarded.count("exit_unprotected") == 0
    assert guarded.guard().state == GuardState.RESTING and guarded.guard().exposed_ns == 0
    # Risk's own measure still tells for how long it did not know.
    assert histogram.count == 1 and histogram.percentiles((1.0,))[0] >= 16_000 * MS


@pytest.mark.parametrize("is_dead", [True, False], ids=["dead", "frozen"])
def test_reports_that_say_nothing_of_a_stop_put_the_close_off_until_they_are_read(guarded, is_dead):
    stop = away_too_long(guarded, is_dead)
    for _ in range(3):
        guarded.report(stop, OrderStatus.UNKNOWN)
    guarded.look()
    assert [order.reason for order in guarded.orders()] == [OrderReason.UNPROTECTED]
    assert guarded.guard().exposed_ns > 0


def test_a_stamp_that_cannot_be_is_not_believed(guarded):
    order = guarded.enter()
    ahead = time.monotonic_ns() + 3_600_000 * MS
    guarded.report(
        order, OrderStatus.PARTIALLY_FILLED, fill_tick=450_000, fill_lot=1, filled_lot=1,
        trade_id=1, written_ns=ahead,
    )  # fmt: skip
    guarded.look()
    assert 0 < guarded.guard().exposed_ns < ahead


def test_without_stops_at_the_venue_nothing_is_timed(make_desk):
    desk = make_desk()
    desk.open()
    assert desk.guard().exposed_ns == 0
