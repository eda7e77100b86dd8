"""The kill latch in the executor: nothing that adds risk leaves, what rests is withdrawn."""

from __future__ import annotations

import threading
import time

import pytest
from executor_venue import Behaviour

from shm.latch_table import LatchReason, trip
from shm.records import OrderFlag, OrderStatus, OrderType, TimeInForce

LIMIT = {"type": OrderType.LIMIT, "price_tick": 500_000, "time_in_force": TimeInForce.GTC}
REDUCING = int(OrderFlag.EXIT) | int(OrderFlag.REDUCE_ONLY)


@pytest.mark.parametrize("writer", ["operator", "supervisor", "risk"])
def test_resting_orders_are_withdrawn_whoever_latched(rig, venue, writer):
    rig.start()
    resting = [rig.write_order(**LIMIT) for _ in range(3)]
    exit_id = rig.write_order(exit=True, **LIMIT)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.NEW for i in (*resting, exit_id)))
    venue.drop_cancels = 1
    trip(rig.memory.control, writer, LatchReason.OPERATOR)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.CANCELED for i in resting))
    assert rig.status(exit_id) == OrderStatus.NEW, "what reduces risk stays"
    assert rig.log.events().count("kill latch: only risk-reducing orders pass") == 1


def test_an_order_in_doubt_is_withdrawn_once_it_is_known_to_rest(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(respond=False, send_events=False, hidden_s=0.3))
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) in (OrderStatus.SENDING, OrderStatus.UNKNOWN))
    trip(rig.memory.control, "operator", LatchReason.OPERATOR)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)


def test_between_taking_and_sending_the_latch_is_asked_once_more(rig, venue, monkeypatch):
    rig.start()
    placing = rig.agent._placing
    opened = placing._open_row

    def trip_meanwhile(order):
        row = opened(order)
        trip(rig.memory.control, "risk", LatchReason.DRAWDOWN)
        return row

    monkeypatch.setattr(placing, "_open_row", trip_meanwhile)
    order_id, exit_id = rig.write_order(), rig.write_order(exit=True)
    rig.pump(lambda: rig.status(exit_id) == OrderStatus.NEW)
    assert rig.status(order_id) == OrderStatus.NOT_SENT
    assert [p["newClientOrderId"] for p in venue.placed()] == [rig.client_id(exit_id)]


def test_fault_41_a_kill_during_a_burst_lets_nothing_more_out(make_rig, venue):
    """Another thread trips while orders flood in: at most the one at the socket is later."""
    rig = make_rig(order_rows=512, queue=512)
    rig.start()
    control = rig.memory.control
    started = threading.Event()

    def trip_in_the_middle() -> None:
        started.wait(10)
        trip(control, "operator", LatchReason.OPERATOR)

    killer = threading.Thread(target=trip_in_the_middle)
    killer.start()
    entries = [rig.write_order(**LIMIT) for _ in range(150)]
    rig.agent.do_work()
    started.set()
    entries += [rig.write_order(**LIMIT) for _ in range(150)]
    exits = [rig.write_order(exit=True, **LIMIT) for _ in range(20)]
    rig.pump(lambda: rig.count("orders") == 320, 20.0)
    killer.join(10)
    rig.pump(lambda: all(rig.row(i).sent_ns for i in exits), 20.0)
    sent = {row.order_id: row.sent_ns for row in rig.agent._ledger.table.rows() if row.sent_ns}
    after = [i for i in entries if sent.get(i, 0) > control.kill_latch_ns]
    assert len(after) <= 1, after
    assert set(exits) <= set(sent), "exits pass"
    refused = [i for i in entries if i not in sent]
    assert len(refused) >= 150
    rig.pump(lambda: not rig.agent._ledger.table.open_ids - set(exits), 20.0)
    rig.pump(lambda: all(rig.status(i) == OrderStatus.NEW for i in exits), 20.0)
    left = [order for order in venue.orders if order.is_open]
    assert {o.params["newClientOrderId"] for o in left} == {rig.client_id(i) for i in exits}
    placed = {p["newClientOrderId"] for p in venue.placed()}
    assert not placed & {rig.client_id(i) for i in refused}


def test_a_rearm_lets_entries_through_again(rig, venue):
    rig.start()
    trip(rig.memory.control, "supervisor", LatchReason.RESTART_BUDGET)
    refused = rig.write_order()
    rig.pump(lambda: rig.reports_of(refused))
    assert rig.seen[-1]["status"] == OrderStatus.NOT_SENT and venue.placed() == []
    rig.memory.control.rearm_ns = time.monotonic_ns()
    sent = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(sent) == OrderStatus.NEW)
