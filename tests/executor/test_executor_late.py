"""What changes while something waits: halts, expiry, rows that are used again, the doorbell."""

import os
import threading
import time
from types import SimpleNamespace

import pytest
from executor_venue import Behaviour, RefusedError

from executor import venue as wire
from executor.ledger import NO_FEE
from executor.limits import Limits
from executor.venue import Reply
from shm.records import ORDER, OrderStatus

FILL = (("60000.0", "0.010"),)


@pytest.fixture
def gate(rig, venue):
    """A rig without WS-API whose REST worker is busy until the gate is set."""
    rig.start()
    venue.api_open = False
    venue.drop_api()
    rig.pump(lambda: not rig.agent._api.is_up)
    made = threading.Event()
    rig.agent._rest_worker.submit(-1, made.wait, lambda result: None)
    yield made
    made.set()


@pytest.mark.parametrize("why", ["kill_latch", "halt_reason", "reconciled", "closing"])
def test_an_entry_that_waits_for_the_worker_is_halted(rig, venue, gate, why):
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.SENDING)
    if why == "closing":
        rig.agent._placing.closing = True
    else:
        setattr(rig.memory.control, why, 0 if why == "reconciled" else 1)
    gate.set()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NOT_SENT)
    assert venue.placed() == []
    code = wire.CODE_CLOSING if why == "closing" else wire.CODE_HALTED
    assert rig.seen[-1]["error_code"] == code


def test_an_exit_that_waits_for_the_worker_is_not_halted(rig, venue, gate):
    order_id = rig.write_order(exit=True)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.SENDING)
    rig.memory.control.kill_latch = 1
    gate.set()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)


def test_an_entry_expires_while_it_waits_for_the_worker(rig, venue, gate):
    expires_ns = time.monotonic_ns() + 60_000_000
    order_id = rig.write_order(expires_ns=expires_ns)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.SENDING)
    rig.pump(lambda: time.monotonic_ns() > expires_ns)
    gate.set()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NOT_SENT)
    assert venue.placed() == []
    assert rig.seen[-1]["error_code"] == wire.CODE_STALE


def test_the_doorbell_is_taken_where_orders_are_held(rig):
    rig.start()
    rig.agent._holds_orders = True
    os.eventfd_write(rig.event_fd, 1)
    rig.agent._poll(time.monotonic_ns())
    with pytest.raises(BlockingIOError):
        os.eventfd_read(rig.event_fd)


def test_an_exit_is_sent_although_the_table_is_full(make_rig, venue):
    rig = make_rig(order_rows=4)
    rig.start()
    refusals = venue.rest_errors.setdefault(("GET", wire.ALL_ORDERS), type(venue.behaviours)())
    refusals.extend(RefusedError(503, -1000, "Service Unavailable.") for _ in range(1000))
    venue.behaviours += [Behaviour(fills=FILL) for _ in range(4)]
    ids = [rig.write_order() for _ in range(4)]
    rig.pump(lambda: all(rig.status(i) == OrderStatus.FILLED for i in ids))
    entry = rig.write_order()
    rig.pump(lambda: rig.reports_of(entry))
    assert rig.seen[-1]["error_code"] == wire.CODE_TABLE_FULL
    venue.behaviours.append(Behaviour(fills=FILL))
    leaving = rig.write_order(exit=True, side=-1)
    rig.pump(lambda: rig.status(leaving) == OrderStatus.FILLED)
    table = rig.agent._ledger.table
    assert list(table.displaced) == [leaving - 4]
    refusals.clear()
    rig.pump(lambda: not table.ended_ids and not table.displaced)
    assert rig.count("mismatches") == 0


def test_an_answer_for_a_former_order_of_a_row_is_dropped(make_rig, venue):
    rig = make_rig(order_rows=4)
    rig.start()
    table = rig.agent._ledger.table
    order = ORDER.new()
    order.order_id, order.quantity_lot, order.side = 1, 10, 1
    table.set_status(table.open_row(order), OrderStatus.CANCELED)
    look = rig.agent._resolver.look(1, 0)
    next(look)
    order.order_id = 5
    table.displace_for(5)
    row = table.open_row(order)
    state = {
        "clientOrderId": rig.client_id(1), "orderId": 9, "symbol": "BTCUSDT",
        "status": "CANCELED", "executedQty": "0",
    }  # fmt: skip
    with pytest.raises(StopIteration) as end:
        look.send(Reply(status=200, body=state))
    assert end.value.value is True
    assert (row.status, row.venue_order_id) == (OrderStatus.SENDING, 0)


def test_order_counts_of_rest_headers_are_measured_by_stated_limits():
    limits = Limits()
    full = Reply(status=200, headers={"x-mbx-order-count-10s": "240", "x-mbx-order-count-1m": "?"})
    limits.note(full)
    assert limits.allows_entry(), "no limit was stated"
    row = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300}
    limits.note(Reply(status=200, rate_limits=[row | {"count": 1}]))
    limits.note(Reply(status=200, headers={"x-mbx-order-count-10s": "239"}))
    assert limits.allows_entry()
    limits.note(full)
    assert not limits.allows_entry() and limits.allows_exit()


def test_a_fee_in_another_asset_is_told_once(rig):
    rig.start()
    row = SimpleNamespace(symbol=0)
    fees = [
        rig.agent._resolver.fee(row, fee, asset)
        for fee, asset in (("0.01", "USDT"), ("0", "BNB"), ("0.01", "BNB"), ("0.02", "BNB"))
    ]
    assert fees == [(1_000_000, 0, ""), NO_FEE, (0, 1_000_000, "BNB"), (0, 2_000_000, "BNB")]
    told = [v["asset"] for level, _, v in rig.log.lines if level == "warning" and "asset" in v]
    assert told == ["BNB"]
