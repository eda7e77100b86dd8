"""Orders from the ring to the venue and back, with everything working."""

from shm.records import OrderStatus, OrderType, TimeInForce


def test_market_order_is_placed_acknowledged_and_filled(rig, venue):
    from executor_venue import Behaviour

    rig.start()
    assert rig.memory.control.reconciled == 1
    assert rig.memory.control.wallet_e8 == 10_000 * 10**8
    venue.behaviours.append(Behaviour(fills=(("60000.0", "0.004"), ("60000.1", "0.006"))))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id) == [
        ("NEW", 0, 0), ("PARTIALLY_FILLED", 4, 4), ("FILLED", 6, 10),
    ]  # fmt: skip
    row = rig.row(order_id)
    assert row.filled_value == 600_000 * 4 + 600_001 * 6
    assert row.fee_e8 == 2_000_000
    (placed,) = venue.placed()
    assert placed["newClientOrderId"] == rig.client_id(order_id)
    assert placed["quantity"] == "0.010"
    assert rig.count("sent") == rig.count("acked") == 1
    assert rig.count("fills") == 2
    for name in ("executor", "tick_to_order", "ack"):
        assert rig.memory.histograms.get(name).count == 1


def test_limit_order_rests_and_is_canceled(rig, venue):
    from shm.records import OrderAction

    rig.start()
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTX, side=-1
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    (placed,) = venue.placed()
    assert (placed["price"], placed["timeInForce"], placed["side"]) == ("60000.0", "GTX", "SELL")
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    assert venue.orders[0].status == "CANCELED"
    assert rig.reports_of(order_id) == [("NEW", 0, 0), ("CANCELED", 0, 0)]
