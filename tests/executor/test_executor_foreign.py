"""What is not ours: fills are booked to the symbol, orders and positions hold it back by policy."""

from decimal import Decimal

import pytest
from executor_venue import Behaviour, VenueOrder

from shm.records import OrderFlag, OrderReason, OrderStatus, OrderType
from shm.tables import Distrust

FILL = (("60000.0", "0.010"),)


def with_policy(make_rig, policy):
    rig = make_rig()
    rig.settings = rig.settings._replace(risk=rig.settings.risk._replace(foreign_policy=policy))
    return rig


def foreign_order(venue, client_id="web_1", side="BUY", quantity="0.010", venue_id=77, opens=True):
    params = {
        "symbol": "BTCUSDT", "newClientOrderId": client_id, "quantity": quantity, "side": side,
        "type": "LIMIT",
    }  # fmt: skip
    order = VenueOrder(venue_id, params)
    if opens:
        venue.orders.append(order)
    return order


def reports_of_nobody(rig):
    return [(r["side"], r["fill_lot"], r["trade_id"]) for r in rig.seen if r["order_id"] == 0]


def held(rig):
    return rig.memory.position(0).quantity_lot


def test_foreign_fills_are_booked_once_with_their_trade_ids(rig, venue):
    rig.start()
    order = foreign_order(venue)
    venue.fill(order, "60000.0", "0.004")
    venue.fill(order, "60000.5", "0.006")
    rig.pump(lambda: held(rig) == 10)
    for event in venue.events_of(order):
        venue.send_user(event)
    rig.pump(lambda: rig.count("duplicate_events") == 2)
    assert reports_of_nobody(rig) == [(1, 4, 1), (1, 6, 2)]
    (first, second) = [r for r in rig.seen if r["order_id"] == 0]
    assert (first["fill_tick"], second["fill_tick"], first["fee_e8"]) == (600_000, 600_005, 10**6)
    assert rig.count("foreign_fills") == 2
    rig.pump(lambda: rig.count("reconciliations") >= 2)
    assert rig.memory.trust(0).distrust == 0
    assert rig.memory.control.reconciled == 1


def test_a_liquidation_is_booked_from_the_stream(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    order = foreign_order(venue, "autoclose-1700000000000123", "SELL")
    venue.call(fill_silently(venue, order, "58000.0", "0.010"))
    (event,) = venue.events_of(order)
    event["o"]["x"] = "CALCULATED"
    event["o"]["o"] = "LIQUIDATION"
    venue.send_user(event)
    rig.pump(lambda: held(rig) == 0)
    assert reports_of_nobody(rig) == [(-1, 10, 2)]
    rig.agent.on_close()
    rig.agent = None
    assert rig.count("venue_matches") == 1, rig.log.lines[-3:]


async def fill_silently(venue, order, price, quantity):
    venue._fill(order, price, quantity)


@pytest.mark.parametrize("policy", ["halt", "adopt", "reduce"])
def test_a_foreign_order_is_noticed_soon_and_dealt_with_by_policy(make_rig, venue, policy):
    rig = with_policy(make_rig, policy)
    rig.start()
    order = foreign_order(venue)
    venue.send_user(venue._order_event(order, "NEW"))
    rig.pump(lambda: rig.memory.trust(0).distrust == Distrust.ORDER, seconds=10.0)
    assert rig.memory.trust(1).distrust == 0
    if policy == "halt":
        rig.pump_for(0.5)
        assert order.status == "NEW"
        order.status = "CANCELED"
        venue.send_user(venue._order_event(order, "CANCELED"))
    rig.pump(lambda: order.status == "CANCELED")
    rig.pump(lambda: rig.memory.trust(0).distrust == 0, seconds=10.0)


def test_a_position_that_stays_different_is_taken_over(rig, venue):
    rig.start()
    venue.positions["BTCUSDT"] = Decimal("-0.007")
    rig.agent._reconciler.foreign(0)
    rig.pump(lambda: held(rig) == -7, seconds=8.0)
    (report,) = [r for r in rig.seen if r["order_id"] == 0]
    assert (report["fill_tick"], report["trade_id"]) == (600_000, 128)
    assert rig.count("corrections") == 1
    assert "position taken over from the venue" in rig.log.events("error")
    rig.pump(lambda: rig.memory.trust(0).distrust == 0, seconds=10.0)
    # A real foreign fill after it counts on.
    venue.fill(foreign_order(venue), "60000.0", "0.002")
    rig.pump(lambda: held(rig) == -5)
    assert [trade_id for _, _, trade_id in reports_of_nobody(rig)] == [128, 129]


def test_a_position_in_flight_is_not_taken_over(rig, venue):
    """Fills that are under way are no difference, however often they are looked at."""
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL, respond=False, send_events=False, hidden_s=2.5))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.UNKNOWN)
    rig.agent._reconciler.foreign(0)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.REJECTED, seconds=5.0)
    assert rig.count("corrections") == 0


def test_a_fill_that_a_stop_may_have_become_waits_for_the_stop(rig, venue):
    """The order that a stop became has another client id, and its fills come before ALGO_UPDATE."""
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    opening = rig.write_order()
    rig.pump(lambda: rig.status(opening) == OrderStatus.FILLED)
    stop_id = rest_stop(rig)
    venue.algo.child_has_client_id = False
    venue.algo.trigger(venue.algo.orders[0], (("59000.0", "0.010"),), child_first=True)
    rig.pump(lambda: rig.status(stop_id) == OrderStatus.FILLED)
    rig.pump_for(0.3)
    assert reports_of_nobody(rig) == []
    assert held(rig) == 0


def test_a_foreign_fill_beside_a_resting_stop_is_booked_in_the_end(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    opening = rig.write_order()
    rig.pump(lambda: rig.status(opening) == OrderStatus.FILLED)
    stop_id = rest_stop(rig)
    venue.fill(foreign_order(venue, side="SELL"), "59500.0", "0.004")
    rig.pump(lambda: held(rig) == 6)
    assert reports_of_nobody(rig) == [(-1, 4, 2)]
    assert rig.status(stop_id) == OrderStatus.NEW


def test_a_later_fill_waits_behind_one_that_a_stop_may_explain(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(fills=FILL))
    opening = rig.write_order()
    rig.pump(lambda: rig.status(opening) == OrderStatus.FILLED)
    rest_stop(rig)
    # The stop is on the side of the first and of the third.
    venue.fill(foreign_order(venue, side="SELL"), "59500.0", "0.004")
    venue.fill(foreign_order(venue, side="BUY", venue_id=78), "59600.0", "0.003")
    venue.fill(foreign_order(venue, side="SELL", venue_id=79), "59700.0", "0.002")
    rig.pump(lambda: rig.agent._ledger.held_symbols)
    assert rig.agent._reconciler._comparing.busy_symbols() == {0}
    assert reports_of_nobody(rig) == []
    rig.pump(lambda: held(rig) == 7)
    assert reports_of_nobody(rig) == [(-1, 4, 2), (1, 3, 3), (-1, 2, 4)]
    assert rig.count("duplicate_events") == 0
    assert rig.agent._reconciler._comparing.busy_symbols() == set()


def rest_stop(rig):
    stop_id = rig.write_order(
        type=OrderType.STOP_MARKET, side=-1, price_tick=590_000,
        flags=OrderFlag.REDUCE_ONLY | OrderFlag.EXIT, reason=OrderReason.PROTECTION,
    )  # fmt: skip
    rig.pump(lambda: rig.status(stop_id) == OrderStatus.NEW)
    return stop_id


def test_an_unknown_stop_holds_its_symbol_back_and_goes_by_policy(make_rig, venue):
    rig = with_policy(make_rig, "adopt")
    rig.start()
    stop = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "STOP_MARKET", "quantity": "0.010",
        "triggerPrice": "61000.0", "clientAlgoId": "web_1",
    }  # fmt: skip
    venue.call(venue.algo.place(stop, Behaviour()))
    rig.pump(lambda: venue.algo.orders[0].status == "CANCELED", seconds=10.0)
    rig.pump(lambda: rig.memory.trust(0).distrust == 0, seconds=10.0)
    assert "open order that is not ours is canceled" in rig.log.events("error")


def test_an_event_of_an_order_long_confirmed_is_not_booked(rig, venue):
    rig.start()
    order = foreign_order(venue, rig.client_id(63), opens=False)
    venue.call(fill_silently(venue, order, "60000.0", "0.010"))
    venue.positions.clear()
    (event,) = venue.events_of(order)
    venue.send_user(event)
    rig.pump(lambda: rig.count("foreign_events") == 1)
    rig.pump_for(0.2)
    assert reports_of_nobody(rig) == []


def test_a_crash_between_report_and_row_books_nothing_twice(rig, venue, monkeypatch):
    from executor.ledger import Ledger

    rig.start()
    publish = Ledger._publish

    class Killed(BaseException):
        pass

    def publish_and_die(self, *args):
        publish(self, *args)
        raise Killed

    monkeypatch.setattr(Ledger, "_publish", publish_and_die)
    venue.fill(foreign_order(venue), "60000.0", "0.010")
    with pytest.raises(Killed):
        rig.pump(lambda: False)
    rig.kill()
    monkeypatch.undo()
    rig.start(restarted=True)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    rig.pump(lambda: rig.memory.trust(0).distrust == 0)
    assert held(rig) == 10
    assert rig.count("corrections") == 0
