"""Faults 35 to 40 on the embedded exchange: no order lost or doubled, both books are equal."""

from __future__ import annotations

import pytest

from executor.countdown import COUNTDOWN
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType, TimeInForce
from shm.tables import Distrust

pytestmark = pytest.mark.system
LOTS = 10


@pytest.fixture
def rig(exchange_rig):
    exchange_rig.settings = exchange_rig.settings._replace(
        venue=exchange_rig.settings.venue._replace(countdown_s=1.5, countdown_beat_s=0.5)
    )
    return exchange_rig


def buy(rig, side=1, is_exit=False):
    order_id = rig.write_order(side=side, quantity_lot=LOTS, exit=is_exit)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    return order_id


def price_tick(rig, exchange):
    price = float(exchange.get("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"])
    return round(price / rig.memory.symbol(0).tick_size)


def rest_far(rig, exchange):
    """Rest a bid that the market does not reach."""
    order_id = rig.write_order(
        type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity_lot=LOTS,
        price_tick=price_tick(rig, exchange) * 97 // 100,
    )  # fmt: skip
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    return order_id


def protect(rig, exchange, side=-1):
    """Rest a stop for a position of ours; return its id."""
    tick = price_tick(rig, exchange)
    stop_id = rig.write_order(
        type=OrderType.STOP_MARKET, side=side, quantity_lot=LOTS,
        price_tick=tick + side * tick // 20,
        flags=OrderFlag.REDUCE_ONLY | OrderFlag.EXIT, reason=OrderReason.PROTECTION,
    )  # fmt: skip
    rig.pump(lambda: rig.status(stop_id) == OrderStatus.NEW)
    return stop_id


def settle(rig, exchange, stop_id=0):
    """Close what is held and its stop, end the run, and hold our books against the venue's."""
    lots = rig.memory.position(0).quantity_lot
    assert round(exchange.held("BTCUSDT") / rig.memory.symbol(0).lot_size) == lots
    if lots and stop_id:
        assert rig.status(stop_id) == OrderStatus.NEW
        assert [s["algoStatus"] for s in exchange.stops()] == ["NEW"], "a position is unprotected"
    if lots:
        side = -1 if lots > 0 else 1
        order_id = rig.write_order(side=side, quantity_lot=abs(lots), exit=True)
        rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    exchange.disarm()
    rig.agent.on_close()
    rig.agent = None
    rig.read_reports()
    assert rig.count("venue_matches") == 1, rig.log.lines[-6:]
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0
    assert exchange.orders()["duplicate_client_ids"] == 0
    assert exchange.held("BTCUSDT") == 0.0 == rig.memory.position(0).quantity_lot


@pytest.mark.parametrize("how", ["expired", "dropped"])
def test_fault_35_a_lost_user_stream_allows_no_new_risk_until_all_is_known(rig, exchange, how):
    rig.start()
    buy(rig)
    stop_id = protect(rig, exchange)
    if how == "expired":
        exchange.arm("listen_key_expire")
    else:
        exchange.arm("connection_drop", kind="private")
    rig.pump(lambda: rig.memory.control.reconciled == 0)
    entry = rig.write_order(quantity_lot=LOTS)
    rig.pump(lambda: rig.status(entry) >= OrderStatus.FILLED or bool(rig.reports_of(entry)))
    assert rig.reports_of(entry)[0][0] == "NOT_SENT"
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    buy(rig)
    buy(rig, side=-1, is_exit=True)
    settle(rig, exchange, stop_id)


@pytest.mark.parametrize("fault", ["fill_duplicate", "fill_reorder", "fill_lost"])
def test_fault_36_fills_told_twice_late_or_not_at_all_count_once(rig, exchange, fault):
    rig.start()
    exchange.arm(fault, count=0, **({"hold_ms": 100} if fault == "fill_reorder" else {}))
    ids = [rig.write_order(quantity_lot=LOTS), rig.write_order(quantity_lot=LOTS)]
    rig.pump(lambda: all(rig.status(i) == OrderStatus.FILLED for i in ids), seconds=10.0)
    stop_id = protect(rig, exchange)
    assert rig.memory.position(0).quantity_lot == 2 * LOTS
    rig.pump_for(0.3)
    assert rig.memory.position(0).quantity_lot == 2 * LOTS
    settle(rig, exchange, stop_id)


@pytest.mark.parametrize("fault", ["fill_before_ack", "fill_before_cancel"])
def test_fault_37_a_fill_that_crosses_its_answer_or_its_cancel(rig, exchange, fault):
    rig.start()
    exchange.arm(fault)
    if fault == "fill_before_ack":
        buy(rig)
    else:
        order_id = rest_far(rig, exchange)
        rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
        rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    stop_id = protect(rig, exchange)
    assert rig.memory.position(0).quantity_lot == LOTS
    settle(rig, exchange, stop_id)


def test_fault_38_a_foreign_order_holds_its_symbol_back_until_it_is_gone(rig, exchange):
    rig.start()
    buy(rig)
    stop_id = protect(rig, exchange)
    price = price_tick(rig, exchange) * rig.memory.symbol(0).tick_size
    exchange.arm("foreign_order", symbol="BTCUSDT", quantity="0.01", price=f"{price * 0.97:.1f}")
    rig.pump(lambda: rig.memory.trust(0).distrust == Distrust.ORDER, seconds=10.0)
    assert rig.memory.trust(1).distrust == 0
    assert rig.memory.control.reconciled == 1
    (foreign,) = exchange.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
    exchange.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=foreign["orderId"])
    rig.pump(lambda: rig.memory.trust(0).distrust == 0, seconds=10.0)
    settle(rig, exchange, stop_id)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_fault_38_a_foreign_position_is_booked_as_it_is_made(rig, exchange, side):
    rig.start()
    exchange.arm("foreign_order", symbol="BTCUSDT", side=side, quantity="0.01")
    lots = round(0.01 / rig.memory.symbol(0).lot_size) * (1 if side == "BUY" else -1)
    rig.pump(lambda: rig.memory.position(0).quantity_lot == lots, seconds=10.0)
    assert rig.count("foreign_fills") >= 1
    rig.pump(lambda: rig.count("reconciliations") >= 2, seconds=10.0)
    assert rig.memory.trust(0).distrust == 0
    assert rig.count("corrections") == 0
    settle(rig, exchange)


def test_fault_39_a_countdown_that_is_not_renewed_cancels_and_we_notice(rig, exchange):
    rig.start()
    buy(rig)
    stop_id = protect(rig, exchange)
    order_id = rest_far(rig, exchange)
    rig.pump(lambda: rig.count("beats") >= 1)
    exchange.arm("unavailable_503", path=COUNTDOWN, count=0)
    rig.pump(lambda: rig.memory.trust(0).distrust == Distrust.COUNTDOWN, seconds=10.0)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED, seconds=10.0)
    assert rig.count("ended_by_venue") == 1
    assert "a resting order was ended by the venue" in rig.log.events("warning")
    # It reaches no stop here; ours still protects.
    assert rig.status(stop_id) == OrderStatus.NEW
    exchange.disarm()
    rig.pump(lambda: rig.memory.trust(0).distrust == 0, seconds=10.0)
    settle(rig, exchange, stop_id)


def test_fault_39_beats_that_go_on_cancel_nothing(rig, exchange):
    rig.start()
    order_id = rest_far(rig, exchange)
    rig.pump_for(2.5)
    assert rig.status(order_id) == OrderStatus.NEW
    assert rig.count("beats") >= 4
    settle(rig, exchange)


@pytest.mark.parametrize("count", [1, 3])
def test_fault_40_a_cancel_all_that_leaves_some_is_repeated_until_none_is_open(
    rig, exchange, count
):
    rig.start()
    ids = [rest_far(rig, exchange) for _ in range(3)]
    exchange.arm("cancel_all_partial", symbol="BTCUSDT", keep=2, count=count)
    rig.write_order(action=OrderAction.CANCEL_ALL)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.CANCELED for i in ids))
    assert exchange.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    assert rig.count("ended_by_venue") == 0
    settle(rig, exchange)
