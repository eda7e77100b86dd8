"""Stops on the embedded exchange: they rest, trigger by its market, and are found again."""

from __future__ import annotations

import pytest

from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType

pytestmark = pytest.mark.system
LOTS = 10


def write_stop(rig, exchange, away_tick, side=-1):
    price = float(exchange.get("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"])
    tick = round(price / rig.memory.symbol(0).tick_size) + side * away_tick
    return rig.write_order(
        type=OrderType.STOP_MARKET, side=side, price_tick=tick, quantity_lot=LOTS,
        flags=OrderFlag.REDUCE_ONLY | OrderFlag.EXIT, reason=OrderReason.PROTECTION,
    )  # fmt: skip


def rest_stop(rig, exchange, away_tick):
    """Write stops until one is taken: the market may have passed it meanwhile (-2021).

    Trades alternate between bid and ask, so that one tick away triggers soon.
    """
    while True:
        order_id = write_stop(rig, exchange, away_tick)
        rig.pump(lambda order_id=order_id: rig.status(order_id) >= OrderStatus.NEW)
        if rig.status(order_id) != OrderStatus.REJECTED:
            return order_id
        assert rig.seen[-1]["error_code"] == -2021


def buy(rig, side=1, is_exit=False):
    order_id = rig.write_order(side=side, quantity_lot=LOTS, exit=is_exit)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)


def close_and_compare(rig, exchange):
    rig.agent.on_close()
    rig.agent = None
    rig.read_reports()
    assert rig.count("venue_matches") == 1, rig.log.lines[-4:]
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0
    assert exchange.orders()["duplicate_client_ids"] == 0


def test_stop_triggers_by_the_market_and_closes_the_position(exchange_rig, exchange):
    rig = exchange_rig
    rig.start()
    buy(rig)
    order_id = rest_stop(rig, exchange, 1)
    rig.pump(lambda: rig.status(order_id) >= OrderStatus.FILLED, seconds=60.0)
    assert rig.status(order_id) == OrderStatus.FILLED
    assert rig.memory.position(0).quantity_lot == 0
    assert exchange.held("BTCUSDT") == 0.0
    child = rig.row(order_id).venue_order_id
    assert child and exchange.stops()[-1]["actualOrderId"] == str(child)
    close_and_compare(rig, exchange)


def test_canceled_stop_and_one_that_would_trigger_at_once(exchange_rig, exchange):
    rig = exchange_rig
    rig.start()
    buy(rig)
    order_id = rest_stop(rig, exchange, 5_000)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    assert exchange.stops()[-1]["algoStatus"] == "CANCELED"
    refused = write_stop(rig, exchange, -5_000)
    rig.pump(lambda: rig.status(refused) == OrderStatus.REJECTED)
    assert rig.seen[-1]["error_code"] == -2021
    buy(rig, side=-1, is_exit=True)
    close_and_compare(rig, exchange)


@pytest.mark.parametrize("outcome", ["live", "absent"])
def test_unknown_outcome(exchange_rig, exchange, outcome):
    rig = exchange_rig
    rig.start()
    buy(rig)
    exchange.arm("unknown_503", outcome=outcome, path="algoOrder.place")
    order_id = write_stop(rig, exchange, 5_000)
    wanted = OrderStatus.NEW if outcome == "live" else OrderStatus.REJECTED
    rig.pump(lambda: rig.status(order_id) == wanted)
    # The event of a stop that lives may overtake the answer that leaves its outcome open.
    first = ("UNKNOWN", "NEW") if outcome == "live" else ("UNKNOWN",)
    assert rig.reports_of(order_id)[0][0] in first
    assert len(exchange.stops()) == (outcome == "live")
    buy(rig, side=-1, is_exit=True)
    close_and_compare(rig, exchange)


def test_restart_with_a_resting_stop_and_one_that_triggers_meanwhile(exchange_rig, exchange):
    rig = exchange_rig
    rig.start()
    buy(rig)
    far, near = rest_stop(rig, exchange, 50_000), rest_stop(rig, exchange, 1)
    rig.kill()
    for _ in range(20_000):
        if any(s["algoStatus"] == "FINISHED" for s in exchange.stops()):
            break
    rig.start(restarted=True)
    rig.pump(lambda: rig.status(near) == OrderStatus.FILLED)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    assert rig.status(far) == OrderStatus.NEW
    assert rig.memory.position(0).quantity_lot == 0
    close_and_compare(rig, exchange)
    assert rig.reports_of(far)[-1][0] == "CANCELED"


def test_the_stop_of_an_open_position_stays_when_the_executor_closes(exchange_rig, exchange):
    rig = exchange_rig
    rig.start()
    buy(rig)
    rest_stop(rig, exchange, 50_000)
    close_and_compare(rig, exchange)
    assert [s["algoStatus"] for s in exchange.stops()] == ["NEW"]
    assert "stops stay at the venue: the position is open" in rig.log.events("warning")
