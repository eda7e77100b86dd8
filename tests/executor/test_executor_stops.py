"""Stops that rest at the venue: placed, canceled, triggered, in doubt, and kept over restarts."""

from decimal import Decimal

import pytest
from executor_venue import Behaviour

from executor import venue as wire
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType

UNKNOWN_503 = (503, -1000, "Unknown error, please check your request or try again later.")
OPENING = (("60000.0", "0.010"),)
CLOSING = (("59000.0", "0.004"), ("58999.9", "0.006"))


def write_stop(rig, quantity_lot=10, side=-1, price_tick=590_000):
    return rig.write_order(
        type=OrderType.STOP_MARKET,
        side=side,
        price_tick=price_tick,
        quantity_lot=quantity_lot,
        flags=OrderFlag.REDUCE_ONLY | OrderFlag.EXIT,
        reason=OrderReason.PROTECTION,
    )


def open_position(rig, venue):
    venue.behaviours.append(Behaviour(fills=OPENING))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)


def rest_stop(rig, venue):
    order_id = write_stop(rig)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    return order_id


def names(rig, order_id):
    return [name for name, _, _ in rig.reports_of(order_id)]


def close(rig):
    rig.agent.on_close()
    rig.agent = None
    rig.read_reports()


@pytest.mark.parametrize("transport", ["ws_api", "rest"])
def test_stop_is_placed_with_the_algo_service_and_rests(rig, venue, transport):
    venue.api_open = transport == "ws_api"
    rig.start(wait_api=venue.api_open)
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    (placed,) = venue.algo.placed
    wanted = {
        "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET",
        "triggerPrice": "59000.0", "quantity": "0.010", "reduceOnly": "true",
        "workingType": "CONTRACT_PRICE", "clientAlgoId": rig.client_id(order_id),
    }  # fmt: skip
    assert {name: placed[name] for name in wanted} == wanted
    assert rig.reports_of(order_id) == [("NEW", 0, 0)]
    row = rig.row(order_id)
    assert row.algo_id == venue.algo.orders[0].algo_id
    assert row.venue_order_id == 0
    # An ordinary order was not made of it.
    assert len(venue.orders) == 1


def test_working_type_is_a_knob(make_rig, venue):
    rig = make_rig(stop_working_type="MARK_PRICE")
    rig.start()
    rest_stop(rig, venue)
    assert venue.algo.placed[0]["workingType"] == "MARK_PRICE"


@pytest.mark.parametrize("child_first", [False, True])
@pytest.mark.parametrize("same_id", [True, False])
def test_triggered_stop_books_the_fills_of_the_order_it_became(rig, venue, child_first, same_id):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.child_has_client_id = same_id
    child = venue.algo.trigger(venue.algo.orders[0], CLOSING, child_first=child_first)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    fills = [(n, lot, all_) for n, lot, all_ in rig.reports_of(order_id) if lot]
    assert fills == [("PARTIALLY_FILLED", 4, 4), ("FILLED", 6, 10)]
    row = rig.row(order_id)
    assert row.venue_order_id == child.venue_id
    assert row.filled_value == 590_000 * 4 + 589_999 * 6
    assert rig.memory.position(0).quantity_lot == 0
    close(rig)
    assert rig.count("venue_matches") == 1, rig.log.lines[-4:]
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0


def test_duplicate_events_of_the_order_it_became_count_once(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.child_has_client_id = False
    child = venue.algo.trigger(venue.algo.orders[0], CLOSING)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    for event in venue.events_of(child):
        venue.send_user(event)
    rig.pump(lambda: rig.count("duplicate_events") == 2)
    assert rig.memory.position(0).quantity_lot == 0
    assert rig.count("foreign_events") == 0


def test_a_stop_that_fills_less_ends_with_what_was_filled(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.trigger(venue.algo.orders[0], (("59000.0", "0.004"),))
    rig.pump(lambda: rig.status(order_id) == OrderStatus.EXPIRED)
    assert rig.reports_of(order_id)[-1] == ("EXPIRED", 0, 4)
    assert rig.memory.position(0).quantity_lot == 6


def test_lost_events_of_a_triggered_stop_are_asked_for(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.trigger(venue.algo.orders[0], CLOSING, send=False)
    rig.agent._reconciler.distrust("test")
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id)[-1] == ("FILLED", 6, 10)
    rig.pump(lambda: rig.memory.control.reconciled == 1)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "REJECTED"])
def test_a_stop_that_the_venue_ends_is_reported(rig, venue, status):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.end(venue.algo.orders[0], status)
    wanted = "CANCELED" if status == "CANCELED" else "EXPIRED"
    rig.pump(lambda: rig.status(order_id).name == wanted)
    code = wire.CODE_TRIGGER_REFUSED if status == "REJECTED" else 0
    assert rig.seen[-1]["error_code"] == code


def test_cancel_uses_the_algo_service(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    assert venue.algo.orders[0].status == "CANCELED"
    assert ("DELETE", "/fapi/v1/order") not in [(m, p) for m, p, _ in venue.requests]
    following = rest_stop(rig, venue)
    assert rig.client_id(following) != rig.client_id(order_id)


def test_cancel_that_crosses_the_trigger_is_decided_by_query(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.trigger(venue.algo.orders[0], CLOSING, send=False)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id)[-1] == ("FILLED", 6, 10)
    assert "CANCELED" not in names(rig, order_id)
    assert rig.memory.position(0).quantity_lot == 0


@pytest.mark.parametrize("transport", ["ws_api", "rest"])
@pytest.mark.parametrize("fate", ["live", "filled", "absent"])
def test_unknown_outcome_of_a_stop_is_decided_by_query(rig, venue, transport, fate):
    venue.api_open = transport == "ws_api"
    rig.start(wait_api=venue.api_open)
    open_position(rig, venue)
    fills = (("59000.0", "0.010"),) if fate == "filled" else ()
    accept = fate != "absent"
    venue.behaviours.append(
        Behaviour(accept=accept, error=UNKNOWN_503, send_events=False, fills=fills)
    )
    order_id = write_stop(rig)
    wanted = {"live": "NEW", "filled": "FILLED", "absent": "REJECTED"}[fate]
    rig.pump(lambda: rig.status(order_id).name == wanted)
    assert names(rig, order_id)[0] == "UNKNOWN"
    assert len(venue.algo.placed) == 1
    if fate == "absent":
        assert rig.seen[-1]["error_code"] == wire.CODE_NOT_FOUND


def test_a_lost_answer_is_not_sent_again(rig, venue):
    rig.start()
    open_position(rig, venue)
    venue.behaviours.append(Behaviour(respond=False, send_events=False))
    order_id = write_stop(rig)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    assert names(rig, order_id) == ["UNKNOWN", "NEW"]
    assert len(venue.algo.placed) == 1


@pytest.mark.parametrize(
    "error",
    [
        (400, -2021, "Order would immediately trigger."),
        (400, -4120, "Order type not supported for this endpoint."),
    ],
)
def test_refusals_are_reported_with_their_code(rig, venue, error):
    rig.start()
    venue.behaviours.append(Behaviour(accept=False, error=error))
    order_id = write_stop(rig)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.REJECTED)
    assert rig.seen[-1]["error_code"] == error[1]
    assert len(venue.algo.placed) == 1


@pytest.mark.parametrize("change", [{"price_tick": 0}, {"flags": 0}, {"quantity_lot": 0}])
def test_a_malformed_stop_is_not_sent(rig, venue, change):
    rig.start()
    values = {
        "type": OrderType.STOP_MARKET, "price_tick": 1, "flags": OrderFlag.REDUCE_ONLY,
    } | change  # fmt: skip
    order_id = rig.write_order(**values)
    rig.pump(lambda: bool(rig.reports_of(order_id)))
    assert rig.seen[-1]["error_code"] == wire.CODE_MALFORMED
    assert venue.algo.placed == []


def test_a_resting_stop_survives_a_restart_and_others_stops_go(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    foreign = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010",
        "triggerPrice": "58000.0", "clientAlgoId": "web_1",
    }  # fmt: skip
    venue.call(venue.algo.place(foreign, Behaviour()))
    rig.kill()
    rig.start(restarted=True)
    assert [o.status for o in venue.algo.orders] == ["NEW", "CANCELED"]
    assert rig.status(order_id) == OrderStatus.NEW
    assert rig.memory.control.reconciled == 1
    venue.algo.trigger(venue.algo.orders[0], CLOSING)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.memory.position(0).quantity_lot == 0


def test_a_stop_that_triggered_while_the_executor_was_dead(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    rig.kill()
    venue.algo.child_has_client_id = False
    venue.algo.trigger(venue.algo.orders[0], CLOSING)
    rig.start(restarted=True)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.memory.position(0).quantity_lot == 0
    rig.pump(lambda: rig.memory.control.reconciled == 1)


def test_a_vanished_stop_counts_as_gone(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    venue.algo.orders[0].visible = False
    venue.algo.orders[0].status = "GONE"
    rig.agent._reconciler.distrust("test")
    rig.pump(lambda: rig.status(order_id) == OrderStatus.EXPIRED, seconds=12.0)
    assert rig.seen[-1]["error_code"] == wire.CODE_NOT_FOUND
    assert "an accepted order is not found any more" in rig.log.events("error")


def test_stops_are_canceled_at_the_end_when_the_position_is_flat(rig, venue):
    rig.start()
    open_position(rig, venue)
    stop_id = rest_stop(rig, venue)
    venue.behaviours.append(Behaviour(fills=(("59500.0", "0.010"),)))
    leaving = rig.write_order(exit=True, side=-1)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)
    close(rig)
    assert venue.algo.orders[0].status == "CANCELED"
    assert rig.reports_of(stop_id)[-1] == ("CANCELED", 0, 0)
    assert rig.count("venue_matches") == 1, rig.log.lines[-4:]
    assert rig.count("orders_lost") == 0


def test_a_stop_stays_at_the_end_when_the_position_is_open(rig, venue):
    rig.start()
    open_position(rig, venue)
    rest_stop(rig, venue)
    close(rig)
    assert venue.algo.orders[0].status == "NEW"
    assert "stops stay at the venue: the position is open" in rig.log.events("warning")
    assert rig.count("venue_matches") == 1, rig.log.lines[-4:]
    assert rig.count("orders_lost") == 0


def test_start_cancels_stops_of_a_flat_symbol_and_leaves_those_that_protect(rig, venue):
    stop = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010",
        "triggerPrice": "58000.0", "clientAlgoId": "sc-1-1",
    }  # fmt: skip
    venue.call(venue.algo.place(stop, Behaviour()))
    venue.call(venue.algo.place(stop | {"symbol": "ETHUSDT", "clientAlgoId": "x"}, Behaviour()))
    venue.positions["BTCUSDT"] = Decimal("0.010")
    rig.start()
    assert [o.status for o in venue.algo.orders] == ["NEW", "CANCELED"]


def test_a_stop_twice_at_the_venue_is_counted(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    first = venue.algo.orders[0]
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    venue.call(venue.algo.place(first.params, Behaviour(send_events=False)))
    venue.algo.orders[1].status = "CANCELED"
    close(rig)
    assert rig.count("orders_duplicated") == 1
    assert rig.count("venue_matches") == 0


def test_a_stop_that_the_venue_does_not_have_is_lost(rig, venue):
    rig.start()
    open_position(rig, venue)
    order_id = rest_stop(rig, venue)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    venue.algo.orders.clear()
    close(rig)
    assert rig.count("orders_lost") == 1
