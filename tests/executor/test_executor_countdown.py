"""The dead-man countdown: armed with the first order, kept alive, disarmed, late."""

from collections import deque

import pytest
from executor_venue import Behaviour, RefusedError

from executor.countdown import COUNTDOWN
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType, TimeInForce
from shm.tables import Distrust

LIMIT = {"type": OrderType.LIMIT, "price_tick": 600_000, "time_in_force": TimeInForce.GTC}
FILL = (("60000.0", "0.010"),)
BEAT_S = 0.5


@pytest.fixture
def rig(make_rig):
    return make_rig(countdown_s=1.5, countdown_beat_s=BEAT_S)


def beats(venue, symbol="BTCUSDT"):
    """Return the countdown times in ms that a symbol was given, in order."""
    return [
        int(p["countdownTime"])
        for _, path, p in venue.requests
        if path == COUNTDOWN and p["symbol"] == symbol
    ]


def fail_beats(venue):
    venue.rest_errors["POST", COUNTDOWN] = deque([RefusedError(503, -1001, "gone")] * 10_000)


def rest_order(rig):
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    return order_id


def test_nothing_is_armed_without_an_order_or_a_position(rig, venue):
    rig.start()
    rig.pump_for(0.3)
    assert beats(venue) == beats(venue, "ETHUSDT") == []


def test_armed_by_the_first_order_renewed_and_disarmed_when_it_is_gone(rig, venue):
    rig.start()
    order_id = rest_order(rig)
    rig.pump(lambda: len(beats(venue)) == 1)
    rig.pump(lambda: len(beats(venue)) >= 3)
    assert set(beats(venue)) == {1500}
    assert beats(venue, "ETHUSDT") == []
    assert rig.count("beats") >= 2
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: beats(venue)[-1] == 0)
    rig.pump_for(0.7)
    assert beats(venue).count(0) == 1
    assert rig.count("beats_failed") == 0
    assert rig.memory.trust(0).distrust == 0


def test_a_position_keeps_it_armed(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    done = len(beats(venue))
    rig.pump(lambda: len(beats(venue)) >= done + 3)
    assert 0 not in beats(venue)


def test_off_when_the_knob_is_zero(make_rig, venue):
    rig = make_rig(countdown_s=0.0)
    rig.start()
    rest_order(rig)
    rig.pump_for(0.3)
    assert beats(venue) == []


def test_late_beats_take_the_entries_of_the_symbol_alone_until_one_succeeds(rig, venue):
    rig.start()
    rest_order(rig)
    rig.pump(lambda: rig.count("beats") >= 1)
    fail_beats(venue)
    rig.pump(lambda: rig.memory.trust(0).distrust == Distrust.COUNTDOWN)
    assert rig.memory.trust(1).distrust == 0
    assert rig.memory.control.reconciled == 1
    assert rig.count("beats_failed") >= 1
    assert rig.log.events("warning").count("countdown not renewed") == 1
    entry = rig.write_order(symbol=0)
    rig.pump(lambda: bool(rig.reports_of(entry)))
    assert rig.reports_of(entry)[0][0] == "NOT_SENT"
    venue.behaviours.append(Behaviour(fills=FILL))
    leaving = rig.write_order(exit=True, side=-1)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)
    venue.rest_errors.clear()
    rig.pump(lambda: rig.memory.trust(0).distrust & Distrust.COUNTDOWN == 0)
    assert "countdown renewed again" in rig.log.events("warning")


def test_orders_that_the_countdown_canceled_unheard_are_found(rig, venue):
    rig.start()
    order_id = rest_order(rig)
    rig.pump(lambda: rig.count("beats") >= 1)
    fail_beats(venue)
    venue.orders[0].status = "CANCELED"  # and no event tells
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED, seconds=8.0)
    assert rig.count("ended_by_venue") == 1
    assert "countdown has run out: the venue cancels what is open" in rig.log.events("error")
    assert "a resting order was ended by the venue" in rig.log.events("warning")


def test_a_stop_that_it_took_is_reported_so_that_another_can_be_placed(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    opening = rig.write_order()
    rig.pump(lambda: rig.status(opening) == OrderStatus.FILLED)
    values = {
        "type": OrderType.STOP_MARKET, "side": -1, "price_tick": 590_000,
        "flags": OrderFlag.REDUCE_ONLY | OrderFlag.EXIT, "reason": OrderReason.PROTECTION,
    }  # fmt: skip
    stop_id = rig.write_order(**values)
    rig.pump(lambda: rig.status(stop_id) == OrderStatus.NEW)
    venue.algo.end(venue.algo.orders[0], "CANCELED")
    rig.pump(lambda: rig.status(stop_id) == OrderStatus.CANCELED)
    assert rig.count("ended_by_venue") == 1
    again = rig.write_order(**values)
    rig.pump(lambda: rig.status(again) == OrderStatus.NEW)


def test_close_disarms_so_that_a_stop_that_stays_is_not_taken(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    opening = rig.write_order()
    rig.pump(lambda: rig.status(opening) == OrderStatus.FILLED and rig.count("beats") >= 1)
    rig.agent.on_close()
    rig.agent = None
    assert beats(venue)[-1] == 0


def test_a_restarted_executor_arms_what_is_open(rig, venue):
    rig.start()
    rest_order(rig)
    rig.kill()
    done = len(beats(venue))
    rig.start(restarted=True)
    rig.pump(lambda: len(beats(venue)) > done)
    assert beats(venue)[-1] == 1500


@pytest.mark.parametrize(("armed", "interval_s"), [(1, 3.0), (6, 3.0), (20, 10.0), (100, 50.0)])
def test_beats_keep_to_their_share_of_the_request_weight(make_rig, armed, interval_s, venue):
    rig = make_rig()
    rig.start()
    countdown = rig.agent._countdown
    countdown._renewed_ns = dict.fromkeys(range(armed), 0)
    assert countdown.interval_ns() == interval_s * 1e9
    assert countdown._length_ns() / 1e9 == pytest.approx(max(10.0, interval_s / 3.0 * 10.0))
    assert armed * 10 * 60 / interval_s <= 1200
