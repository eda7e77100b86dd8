"""What we believe against what the venue says: at start, while running, at the end."""

from collections import deque
from decimal import Decimal

import pytest
from executor_venue import Behaviour, RefusedError, VenueOrder

from executor import venue as wire
from executor.reconcile import CloseError, StartError
from shm.records import OrderStatus, OrderType, TimeInForce
from shm.tables import Distrust

FILL = (("60000.0", "0.010"),)
LIMIT = {"type": OrderType.LIMIT, "price_tick": 600_000, "time_in_force": TimeInForce.GTC}


def test_start_prepares_the_account(rig, venue):
    resting = VenueOrder(1, {"symbol": "BTCUSDT", "newClientOrderId": "sc-zz-1", "quantity": "1"})
    venue.orders.append(resting)
    rig.start()
    leverages = [p for _, path, p in venue.requests if path == "/fapi/v1/leverage"]
    assert [p["symbol"] for p in leverages] == ["BTCUSDT", "ETHUSDT"]
    assert {p["leverage"] for p in leverages} == {str(rig.settings.trading.leverage)}
    assert resting.status == "CANCELED"
    control = rig.memory.control
    assert (control.reconciled, control.clock_ready) == (1, 1)
    assert rig.count("venue_matches") == 1
    assert abs(control.clock_offset_ns) < 50_000_000


def test_unknown_position_at_start_is_left_and_holds_its_symbol_back(rig, venue):
    venue.positions["ETHUSDT"] = Decimal("0.5")
    rig.start()
    assert rig.memory.control.reconciled == 1
    assert rig.memory.trust(1).distrust == Distrust.POSITION
    assert rig.memory.trust(1).venue_lot == 500
    assert rig.memory.trust(0).distrust == 0
    assert rig.count("venue_matches") == 0
    assert rig.count("mismatches") == 1
    (line,) = [v for level, _, v in rig.log.lines if level == "error"]
    assert "ETHUSDT: venue=500 ours=0" in line["differences"]
    assert venue.placed() == []
    entry = rig.write_order(symbol=1)
    rig.pump(lambda: rig.reports_of(entry))
    assert rig.reports_of(entry) == [("NOT_SENT", 0, 0)]
    assert rig.seen[-1]["error_code"] == wire.CODE_DISTRUST
    venue.behaviours.append(Behaviour(fills=FILL))
    other = rig.write_order(symbol=0)
    rig.pump(lambda: rig.status(other) == OrderStatus.FILLED)
    # Somebody closes it: trading may begin.
    venue.positions.pop("ETHUSDT")
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.memory.trust(1).distrust == 0)
    rig.pump(lambda: rig.count("venue_matches") == 1)


@pytest.mark.parametrize("what", ["hedge mode", "leverage"])
def test_start_is_refused_with_the_reason(rig, venue, what):
    if what == "hedge mode":
        venue.dual = True
    else:
        refusal = RefusedError(400, -4028, "Leverage 15 is not valid")
        venue.rest_errors["POST", "/fapi/v1/leverage"] = deque([refusal])
    with pytest.raises(StartError, match=what):
        rig.start()


def test_lost_user_stream_withdraws_reconciled_until_missed_fills_are_known(rig, venue):
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.user_open = False
    venue.drop_user_stream()
    rig.pump(lambda: rig.memory.control.reconciled == 0)
    venue.fill(venue.orders[0], "59999.9", "0.004", send=False)
    rig.pump_for(0.2)
    assert rig.memory.control.reconciled == 0
    entry = rig.write_order()
    rig.pump(lambda: rig.reports_of(entry))
    assert rig.reports_of(entry)[0][0] == "NOT_SENT"
    venue.user_open = True
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    assert rig.row(order_id).filled_lot == 4
    assert rig.reports_of(order_id)[-1] == ("PARTIALLY_FILLED", 4, 4)
    # One connection took the place of the lost one, and no timer replaces it again.
    made, done = rig.agent._user_link.connection, rig.count("reconciliations")
    rig.pump_for(0.5)
    assert rig.agent._user_link.connection is made
    assert (rig.count("reconnects"), rig.count("reconciliations")) == (1, done)


def test_periodic_comparison_finds_a_foreign_fill_and_a_foreign_order(rig, venue):
    rig.start()
    venue.positions["BTCUSDT"] = Decimal("-0.002")
    venue.orders.append(
        VenueOrder(1, {"symbol": "ETHUSDT", "newClientOrderId": "web_1", "quantity": "1"})
    )
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.count("mismatches") == 2)
    assert rig.memory.trust(0).distrust == Distrust.POSITION
    assert rig.memory.trust(1).distrust == Distrust.ORDER
    assert rig.memory.control.reconciled == 1
    assert rig.count("venue_matches") == 0


def test_end_of_an_order_that_nobody_told_is_found(rig, venue):
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.orders[0].status = "CANCELED"
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    rig.pump(lambda: rig.memory.trust(0).distrust == 0)
    assert rig.count("ended_by_venue") == 1


def close(rig):
    try:
        rig.agent.on_close()
    finally:
        rig.agent = None
        rig.read_reports()


def test_close_cancels_and_agrees_with_the_venue(rig, venue):
    rig.start()
    venue.behaviours += [Behaviour(fills=FILL), Behaviour(accept=False, error=(400, -2019, "no"))]
    filled, rejected, resting = rig.write_order(), rig.write_order(), rig.write_order(**LIMIT)
    rig.pump(
        lambda: (
            rig.status(filled) == OrderStatus.FILLED
            and rig.status(resting) == OrderStatus.NEW
            and rig.status(rejected) == OrderStatus.REJECTED
        )
    )
    table = rig.agent._ledger.table
    late = rig.write_order()
    close(rig)
    assert rig.count("venue_matches") == 1
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0
    assert rig.count("mismatches") == 0
    assert table.find(resting).status == OrderStatus.CANCELED
    assert rig.reports_of(late) == [("NOT_SENT", 0, 0)]
    assert not table.ended_ids and not table.open_ids
    assert rig.memory.control.reconciled == 0


def test_close_counts_lost_and_duplicated_orders(rig, venue):
    rig.start()
    venue.behaviours += [Behaviour(fills=FILL), Behaviour(fills=FILL)]
    lost, doubled = rig.write_order(), rig.write_order()
    rig.pump(lambda: rig.status(doubled) == OrderStatus.FILLED == rig.status(lost))
    venue.orders = [o for o in venue.orders if o.params["newClientOrderId"] != rig.client_id(lost)]
    twin = VenueOrder(5000, dict(venue.orders[0].params), status="CANCELED")
    venue.orders.append(twin)
    close(rig)
    assert rig.count("orders_lost") == 1
    assert rig.count("orders_duplicated") == 1
    assert rig.count("venue_matches") == 0


def test_close_with_a_wrong_position(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    rig.read_reports()
    rig.memory.position(0).quantity_lot += 1
    close(rig)
    assert rig.count("venue_matches") == 0
    assert rig.count("orders_lost") == 0


def test_close_counts_fills_that_risk_has_not_read(rig, venue):
    rig.start()
    rig.fake_risk = False
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.memory.position(0).quantity_lot == 0
    rig.agent.on_close()
    rig.agent = None
    assert rig.count("venue_matches") == 1


def test_close_with_the_venue_gone_ends_in_time(make_rig, venue):
    import time

    rig = make_rig()
    rig.settings = rig.settings._replace(
        supervisor=rig.settings.supervisor._replace(stop_timeout_s=1)
    )
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.rest_errors = AlwaysFailing()
    venue.api_open = False
    venue.drop_api()
    started = time.monotonic()
    # The process ends as failed, so that the supervisor clears the venue without it.
    with pytest.raises(CloseError, match="nothing is left open"):
        close(rig)
    assert time.monotonic() - started < 1.0
    assert rig.count("orders_lost") == 1
    assert rig.count("venue_matches") == 0


class AlwaysFailing(dict):
    def get(self, key, default=None):
        return deque([RefusedError(503, -1000, "Unknown error, please check")])
