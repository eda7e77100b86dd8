"""An executor that was killed at every point: exactly one order at the venue, reports complete."""

import pytest
from executor_venue import Behaviour

from executor.agent import Agent
from executor.ledger import Ledger
from executor.ws_api import WsApi
from shm.records import OrderStatus, OrderType, TimeInForce

FILL = (("60000.0", "0.004"), ("60000.1", "0.006"))


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the product catches it."""


def raise_killed(*args, **kwargs):
    raise Killed


def work_until_killed(rig):
    with pytest.raises(Killed):
        rig.pump(lambda: False)
    rig.kill()


def assert_one_complete_order(rig, venue, order_id):
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert len(venue.placed()) == len(venue.orders) == 1
    fills = {(r["trade_id"], r["fill_lot"], r["filled_lot"]) for r in rig.seen if r["fill_lot"]}
    assert fills == {(1, 4, 4), (2, 6, 10)}
    assert rig.reports_of(order_id)[-1] == ("FILLED", 6, 10)
    assert rig.memory.position(0).quantity_lot == 10
    row = rig.row(order_id)
    assert row.filled_value == 600_000 * 4 + 600_001 * 6
    assert row.fee_e8 == 2_000_000
    assert rig.memory.control.reconciled == 1


def test_killed_before_the_row_exists(rig, venue, monkeypatch):
    rig.start()
    monkeypatch.setattr(rig.agent._placing, "take", raise_killed)
    order_id = rig.write_order()
    work_until_killed(rig)
    venue.behaviours.append(Behaviour(fills=FILL))
    rig.start(restarted=True)
    assert_one_complete_order(rig, venue, order_id)


def test_killed_between_row_and_cursor(rig, venue, monkeypatch):
    """The order is in the ring and has a row: it is decided by query, never sent blindly."""
    rig.start()
    agent = rig.agent

    def take_and_die(order):
        agent._ledger.table.open_row(order)
        raise Killed

    monkeypatch.setattr(agent._placing, "take", take_and_die)
    order_id = rig.write_order()
    work_until_killed(rig)
    rig.start(restarted=True)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NOT_SENT)
    assert venue.placed() == []
    assert rig.reports_of(order_id) == [("NOT_SENT", 0, 0)]
    assert "order was taken before" in rig.log.events("warning")


def test_killed_while_sending_before_the_bytes_left(rig, venue, monkeypatch):
    rig.start()
    monkeypatch.setattr(WsApi, "place", raise_killed)
    order_id = rig.write_order()
    work_until_killed(rig)
    monkeypatch.undo()
    rig.start(restarted=True)
    assert rig.status(order_id) == OrderStatus.SENDING
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NOT_SENT)
    assert venue.placed() == []
    # Trading goes on with the next order.
    venue.behaviours.append(Behaviour(fills=(("60000.0", "0.010"),)))
    following = rig.write_order()
    rig.pump(lambda: rig.status(following) == OrderStatus.FILLED)


@pytest.mark.parametrize("late_s", [0.0, 0.6])
def test_killed_after_sending_before_the_answer(rig, venue, monkeypatch, late_s):
    rig.start()
    place = WsApi.place

    def place_and_die(self, row):
        place(self, row)
        raise Killed

    monkeypatch.setattr(WsApi, "place", place_and_die)
    venue.behaviours.append(Behaviour(fills=FILL, delay_s=late_s, send_events=False))
    order_id = rig.write_order()
    work_until_killed(rig)
    monkeypatch.undo()
    rig.start(restarted=True)
    assert_one_complete_order(rig, venue, order_id)


@pytest.mark.parametrize("fills_before", [0, 1])
def test_killed_after_the_fill_before_its_report(rig, venue, monkeypatch, fills_before):
    rig.start()
    publish = Ledger._publish
    left = [fills_before]

    def publish_or_die(self, source, change, status, code):
        if change.fill_lot:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        return publish(self, source, change, status, code)

    monkeypatch.setattr(Ledger, "_publish", publish_or_die)
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    work_until_killed(rig)
    monkeypatch.undo()
    rig.start(restarted=True)
    assert_one_complete_order(rig, venue, order_id)


@pytest.mark.parametrize("point", ["before the row", "sums only", "before the status"])
def test_killed_after_the_report_before_the_row(rig, venue, monkeypatch, point):
    rig.start()
    write = Ledger._write

    def write_and_die(self, row, change, before, status):
        if change.filled_lot == 10:
            if point != "before the row":
                row.filled_value += change.fill_tick * change.fill_lot
                row.fee_e8 += change.fee.quote_e8
            if point == "before the status":
                row.filled_lot = change.filled_lot
            raise Killed
        write(self, row, change, before, status)

    monkeypatch.setattr(Ledger, "_write", write_and_die)
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    work_until_killed(rig)
    monkeypatch.undo()
    rig.start(restarted=True)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.memory.position(0).quantity_lot == 10
    assert len(venue.orders) == 1
    fills = {(r["trade_id"], r["fill_lot"], r["filled_lot"]) for r in rig.seen if r["fill_lot"]}
    assert fills == {(1, 4, 4), (2, 6, 10)}
    assert rig.row(order_id).filled_value == 600_000 * 4 + 600_001 * 6


def test_killed_between_claim_and_publish(rig, venue, monkeypatch):
    """A claimed slot that was never published is written again by the successor."""
    rig.start()
    publish = rig.kernels.ring_publish
    orders = rig.memory.ring("orders")

    def die_in_reports(ring, slot):
        if ring != orders:
            raise Killed
        return publish(ring, slot)

    monkeypatch.setattr(rig.kernels, "ring_publish", die_in_reports)
    venue.behaviours.append(Behaviour(fills=FILL))
    order_id = rig.write_order()
    work_until_killed(rig)
    monkeypatch.undo()
    rig.start(restarted=True)
    assert_one_complete_order(rig, venue, order_id)


def test_open_order_survives_and_a_foreign_one_is_canceled(rig, venue):
    rig.start()
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    rig.kill()
    from executor_venue import VenueOrder

    foreign = VenueOrder(
        1, {"symbol": "ETHUSDT", "newClientOrderId": "web_\x1b[31m", "quantity": "1"}
    )
    venue.orders.append(foreign)
    rig.start(restarted=True)
    assert foreign.status == "CANCELED"
    assert venue.by_client_id(rig.client_id(order_id))[0].status == "NEW"
    assert rig.status(order_id) == OrderStatus.NEW
    assert rig.memory.control.reconciled == 1
    shown = [v["client_id"] for _, e, v in rig.log.lines if "client_id" in v]
    assert shown
    assert all(text.isprintable() for text in shown)


def test_restart_sets_no_leverage_and_is_ready_within_a_second(rig, venue):
    import time

    rig.start()
    rig.kill()
    before = len(venue.requests)
    started = time.monotonic()
    rig.start(restarted=True)
    assert time.monotonic() - started < 1.0
    assert "/fapi/v1/leverage" not in {path for _, path, _ in venue.requests[before:]}
    assert isinstance(rig.agent, Agent)
