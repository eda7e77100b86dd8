"""What the venue answers badly, late, or not at all: never a second order, always a report."""

import time

import pytest
from executor_venue import Behaviour, RefusedError

from executor import venue as wire
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType, TimeInForce

UNKNOWN_503 = (503, -1000, "Unknown error, please check your request or try again later.")
FAILED_503 = (503, -1000, "Service Unavailable.")
OVERLOADED = (503, -1008, "Request throttled by system-level protection. Please try again.")
FILL = (("60000.0", "0.010"),)


def names(rig, order_id):
    return [name for name, _, _ in rig.reports_of(order_id)]


@pytest.mark.parametrize("transport", ["ws_api", "rest"])
def test_lost_response_is_queried_and_never_sent_twice(rig, venue, transport):
    venue.api_open = transport == "ws_api"
    start(rig, venue)
    venue.behaviours.append(Behaviour(respond=False, send_events=False, fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert names(rig, order_id)[0] == "UNKNOWN"
    assert rig.reports_of(order_id)[-1] == ("FILLED", 10, 10)
    assert len(venue.placed()) == len(venue.orders) == 1
    assert rig.count("unknown") == 1
    assert rig.count("sent_rest") == (transport == "rest")


@pytest.mark.parametrize(
    "error", [UNKNOWN_503, (400, -1006, "unexpected"), (408, -1007, "timeout"), (502, 0, "gateway")]
)
@pytest.mark.parametrize("fate", ["live", "filled", "absent"])
def test_unknown_outcome_is_decided_by_query(rig, venue, error, fate):
    start(rig, venue)
    venue.behaviours.append(
        Behaviour(
            accept=fate != "absent",
            error=error,
            send_events=False,
            fills=FILL if fate == "filled" else (),
        )
    )
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    wanted = {"live": "NEW", "filled": "FILLED", "absent": "REJECTED"}[fate]
    rig.pump(lambda: rig.status(order_id).name == wanted)
    assert names(rig, order_id)[0] == "UNKNOWN"
    assert len(venue.placed()) == 1
    if fate == "absent":
        assert rig.seen[-1]["error_code"] == wire.CODE_NOT_FOUND


def test_absent_order_is_not_given_up_before_its_receive_window(rig, venue):
    """The venue shows the order only after a while: it must not be called absent before."""
    start(rig, venue)
    venue.behaviours.append(Behaviour(respond=False, send_events=False, fills=FILL, hidden_s=0.9))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert "REJECTED" not in names(rig, order_id)
    assert rig.count("queries") >= 3


def test_broken_connection_makes_the_order_unknown_and_reconnects(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(close=True, send_events=False, fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert names(rig, order_id)[0] == "UNKNOWN"
    rig.pump(lambda: rig.agent._api.is_up)
    assert rig.count("reconnects") == 1
    assert len(venue.placed()) == 1


def test_late_acknowledgement_after_the_timeout(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(delay_s=0.5, send_events=False, fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert names(rig, order_id)[0] == "UNKNOWN"
    assert len(venue.orders) == 1
    assert rig.count("acked") == 1


@pytest.mark.parametrize("error", [FAILED_503, OVERLOADED])
def test_failed_entry_is_rejected_and_failed_exit_is_tried_again(rig, venue, error):
    start(rig, venue)
    venue.behaviours.append(Behaviour(accept=False, error=error))
    entry = rig.write_order()
    rig.pump(lambda: rig.status(entry) == OrderStatus.REJECTED)
    assert len(venue.placed()) == 1

    venue.behaviours += [Behaviour(accept=False, error=error)] * 2
    venue.behaviours.append(Behaviour(fills=FILL))
    leaving = rig.write_order(exit=True, side=-1)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)
    attempts = [p["newClientOrderId"] for p in venue.placed()[1:]]
    assert attempts == [rig.client_id(leaving)] * 3
    assert all(p["reduceOnly"] == "true" for p in venue.placed()[1:])


def test_retries_of_an_exit_are_bounded(rig, venue):
    start(rig, venue)
    venue.behaviours += [Behaviour(accept=False, error=FAILED_503)] * 20
    order_id = rig.write_order(exit=True)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.REJECTED)
    assert len(venue.placed()) == 4
    rig.pump_for(0.3)
    assert len(venue.placed()) == 4


def test_refusal_is_reported_with_its_code(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(accept=False, error=(400, -2019, "Margin is insufficient.")))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.REJECTED)
    assert rig.seen[-1]["error_code"] == -2019
    assert rig.count("rejected") == 1
    assert rig.count("acked") == 0


def test_duplicate_id_is_queried(rig, venue):
    start(rig, venue)
    venue.behaviours.append(
        Behaviour(error=(400, -4116, "ClientOrderId is duplicated."), send_events=False, fills=FILL)
    )
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert len(venue.placed()) == 1


def test_clock_step_is_measured_again_and_the_exit_goes_out(rig, venue):
    start(rig, venue)
    measured = rig.count("clock_measures")
    venue.clock_shift_s = 3600.0
    entry = rig.write_order()
    rig.pump(lambda: rig.status(entry) == OrderStatus.REJECTED)
    assert rig.seen[-1]["error_code"] == -1021
    assert rig.count("clock_measures") == measured + 1
    offset_s = rig.memory.control.clock_offset_ns / 1e9
    assert abs(offset_s - 3600.0) < 0.5
    venue.clock_shift_s = -3600.0
    venue.behaviours.append(Behaviour(fills=FILL))
    leaving = rig.write_order(exit=True)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)
    assert len(venue.orders) == 1


def test_rate_limit_stops_entries_but_not_exits(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(accept=False, error=(429, -1003, "Too many requests.")))
    first = rig.write_order()
    rig.pump(lambda: rig.status(first) == OrderStatus.REJECTED)
    refused = rig.write_order()
    rig.pump(lambda: rig.reports_of(refused))
    assert names(rig, refused) == ["NOT_SENT"]
    venue.behaviours.append(Behaviour(fills=FILL))
    leaving = rig.write_order(exit=True)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)


def test_ban_stops_everything(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(accept=False, error=(418, -1003, "Banned.")))
    first = rig.write_order()
    rig.pump(lambda: rig.status(first) == OrderStatus.REJECTED)
    leaving = rig.write_order(exit=True)
    rig.pump(lambda: rig.reports_of(leaving))
    assert names(rig, leaving) == ["NOT_SENT"]
    assert len(venue.placed()) == 1


@pytest.mark.parametrize(
    "why", ["stale", "kill_latch", "halt_reason", "reconciled", "symbol", "quantity", "side"]
)
def test_what_is_not_sent(rig, venue, why):
    start(rig, venue)
    values = {}
    control = rig.memory.control
    if why == "stale":
        values["expires_ns"] = time.monotonic_ns() - 1
    elif why in ("kill_latch", "halt_reason"):
        setattr(control, why, 1)
    elif why == "reconciled":
        control.reconciled = 0
    else:
        values[{"quantity": "quantity_lot"}.get(why, why)] = {"symbol": 99}.get(why, 0)
    order_id = rig.write_order(**values)
    rig.pump(lambda: rig.reports_of(order_id))
    assert names(rig, order_id) == ["NOT_SENT"]
    assert venue.placed() == []
    assert rig.count("not_sent") == rig.count("orders") == 1
    if why in ("kill_latch", "halt_reason", "reconciled"):
        leaving = rig.write_order(exit=True)
        rig.pump(lambda: rig.status(leaving) == OrderStatus.NEW)


def test_full_order_table_refuses_and_goes_on_once_rows_are_confirmed(make_rig, venue):
    rig = make_rig(order_rows=4)
    start(rig, venue)
    venue.behaviours += [Behaviour() for _ in range(4)]
    limit = {"type": OrderType.LIMIT, "price_tick": 600_000, "time_in_force": TimeInForce.GTC}
    ids = [rig.write_order(**limit) for _ in range(4)]
    rig.pump(lambda: all(rig.status(i) == OrderStatus.NEW for i in ids))
    refused = rig.write_order(**limit)
    rig.pump(lambda: rig.reports_of(refused))
    assert names(rig, refused) == ["NOT_SENT"]
    assert rig.seen[-1]["error_code"] == wire.CODE_TABLE_FULL
    for order in list(venue.orders):
        venue.fill(order, "60000.0", "0.010")
    rig.pump(lambda: not rig.agent._ledger.table.ended_ids)
    venue.behaviours.append(Behaviour(fills=FILL))
    again = rig.write_order()
    rig.pump(lambda: rig.status(again) == OrderStatus.FILLED)


def test_cancel_that_is_lost_is_repeated(rig, venue):
    start(rig, venue)
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.drop_cancels = 2
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    assert rig.count("cancels") >= 3


def test_cancel_crosses_the_fill(rig, venue):
    start(rig, venue)
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.fill(venue.orders[0], "60000.0", "0.010", send=False)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id)[-1] == ("FILLED", 10, 10)


def test_cancel_all_of_a_symbol(rig, venue):
    start(rig, venue)
    limit = {"type": OrderType.LIMIT, "price_tick": 600_000, "time_in_force": TimeInForce.GTC}
    here = [rig.write_order(**limit) for _ in range(3)]
    other = rig.write_order(symbol=1, **limit)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.NEW for i in [*here, other]))
    rig.write_order(action=OrderAction.CANCEL_ALL, symbol=0, order_id=0)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.CANCELED for i in here))
    assert rig.status(other) == OrderStatus.NEW


def test_lost_fill_event_of_a_market_order_is_noticed(rig, venue):
    start(rig, venue)
    venue.behaviours.append(Behaviour(fills=FILL, send_events=False))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id)[-1] == ("FILLED", 10, 10)
    assert len(venue.placed()) == 1


def test_flatten_has_no_tick_to_order_time(rig, venue):
    start(rig, venue)
    rig.write_order(reason=OrderReason.FLATTEN, flags=OrderFlag.EXIT)
    rig.pump(lambda: rig.count("sent") == 1)
    assert rig.memory.histograms.get("executor").count == 1
    assert rig.memory.histograms.get("tick_to_order").count == 0


def test_refused_listen_key_is_asked_for_again(rig, venue):
    from collections import deque

    venue.rest_errors["POST", "/fapi/v1/listenKey"] = deque(
        [RefusedError(503, -1000, "Unknown error")]
    )
    start(rig, venue)
    assert rig.agent._user.is_up


def start(rig, venue):
    if venue.api_open:
        rig.start()
        return
    rig.pump, pump = (lambda *a, **k: None), rig.pump
    rig.start()
    rig.pump = pump
