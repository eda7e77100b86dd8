"""The comparison of order rows with the venue's own list."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from executor.client_ids import client_id
from executor.compare import OurOrder, VenueOrder, compare_orders
from executor.history import History
from executor.orders import OrderTable
from executor.transitions import OrderEvent as E
from executor.venue import Reply
from shm.records import ORDER
from shm.records import OrderStatus as S
from shm.tables import ORDER_ROW

EPOCH = 1_790_000_000


def theirs(order_id, venue_id, event=E.FILLED, executed=10, epoch=EPOCH):
    return VenueOrder(client_id(epoch, order_id), venue_id, event, executed)


@pytest.mark.parametrize(
    ("row", "entries", "verdict"),
    [
        (OurOrder(1, 50, S.FILLED, 10), [theirs(1, 50)], "confirmed"),
        (OurOrder(1, 0, S.FILLED, 10), [theirs(1, 50)], "confirmed"),
        (OurOrder(1, 50, S.CANCELED, 4), [theirs(1, 50, E.CANCELED, 4)], "confirmed"),
        (OurOrder(1, 50, S.EXPIRED, 0), [theirs(1, 50, E.EXPIRED, 0)], "confirmed"),
        (OurOrder(1, 0, S.REJECTED, 0), [], "confirmed"),
        (OurOrder(1, 0, S.NOT_SENT, 0), [], "confirmed"),
        (OurOrder(1, 0, S.REJECTED, 0), [theirs(1, 50, E.REJECTED, 0)], "confirmed"),
        (OurOrder(1, 50, S.FILLED, 10), [], "lost"),
        (OurOrder(1, 50, S.CANCELED, 0), [], "lost"),
        (OurOrder(1, 50, S.FILLED, 10), [theirs(1, 50, executed=9)], "differing"),
        (OurOrder(1, 50, S.CANCELED, 0), [theirs(1, 50, E.ACCEPTED, 0)], "differing"),
        (OurOrder(1, 51, S.FILLED, 10), [theirs(1, 50)], "differing"),
        (OurOrder(1, 0, S.REJECTED, 0), [theirs(1, 50)], "differing"),
        (OurOrder(1, 0, S.NOT_SENT, 0), [theirs(1, 50, E.ACCEPTED, 0)], "differing"),
        (OurOrder(1, 50, S.FILLED, 10), [theirs(1, 50), theirs(1, 60)], "differing"),
        (OurOrder(1, 0, S.UNKNOWN, 0), [], "undecided"),
        (OurOrder(1, 50, S.NEW, 0), [theirs(1, 50, E.ACCEPTED, 0)], "undecided"),
    ],
)
def test_verdicts(row, entries, verdict):
    made = compare_orders([row], entries, EPOCH)
    assert getattr(made, verdict) == [1]
    others = {"confirmed", "lost", "differing", "undecided"} - {verdict}
    assert all(getattr(made, other) == [] for other in others)
    assert made.agrees == (verdict == "confirmed")


def test_duplicates_are_found_without_a_row():
    made = compare_orders([], [theirs(3, 50), theirs(3, 60), theirs(4, 70)], EPOCH)
    assert made.duplicated == [3]
    assert not made.agrees


def test_same_entry_twice_is_no_duplicate():
    made = compare_orders([OurOrder(1, 50, S.FILLED, 10)], [theirs(1, 50)] * 2, EPOCH)
    assert made.confirmed == [1]
    assert made.duplicated == []


def test_foreign_and_former_orders_are_not_looked_at():
    foreign = VenueOrder("web_1", 90, E.ACCEPTED, 0)
    former = theirs(1, 80, E.ACCEPTED, 0, epoch=EPOCH - 1)
    assert compare_orders([OurOrder(1, 0, S.NOT_SENT, 0)], [foreign, former], EPOCH).agrees


def test_settled_stops_before_what_is_not_confirmed():
    rows = [
        OurOrder(1, 50, S.FILLED, 10),
        OurOrder(2, 60, S.NEW, 0),
        OurOrder(3, 70, S.FILLED, 10),
    ]
    entries = [theirs(1, 50), theirs(2, 60, E.ACCEPTED, 0), theirs(3, 70)]
    made = compare_orders(rows, entries, EPOCH)
    assert (made.confirmed, made.undecided, made.settled_id) == ([1, 3], [2], 59)
    rows[1] = OurOrder(2, 60, S.CANCELED, 0)
    entries[1] = theirs(2, 60, E.CANCELED, 0)
    assert compare_orders(rows, entries, EPOCH).settled_id == 70
    assert compare_orders(rows, [], EPOCH).settled_id == 0


def test_settled_does_not_pass_orders_taken_during_the_listing():
    entries = [theirs(1, 50), theirs(2, 60), theirs(3, 70)]
    rows = [OurOrder(1, 50, S.FILLED, 10), OurOrder(3, 70, S.FILLED, 10)]
    made = compare_orders(rows, entries, EPOCH, later={2, 9})
    assert (made.confirmed, made.settled_id, made.agrees) == ([1, 3], 59, True)


def test_settled_does_not_pass_an_order_that_the_list_lacks():
    rows = [OurOrder(1, 50, S.FILLED, 10), OurOrder(2, 60, S.FILLED, 10)]
    made = compare_orders(rows, [theirs(1, 50), theirs(3, 70)], EPOCH)
    assert (made.lost, made.settled_id) == ([2], 59)


def filled_row(table, order_id, venue_id):
    order = ORDER.new()
    order.order_id, order.quantity_lot, order.side = order_id, 10, 1
    row = table.open_row(order)
    row.venue_order_id, row.filled_lot = venue_id, 10
    table.set_status(row, S.FILLED)


def entry(order_id, venue_id):
    return {
        "clientOrderId": client_id(EPOCH, order_id), "orderId": venue_id, "symbol": "BTCUSDT",
        "status": "FILLED", "executedQty": "10",
    }  # fmt: skip


def test_an_order_placed_while_the_list_is_made_is_not_lost():
    memory = ctypes.create_string_buffer(ORDER_ROW.size * 8)
    table = OrderTable(ctypes.addressof(memory), 8)
    unused: Any = None
    lots: Any = SimpleNamespace(symbol_lots=lambda symbol, text: int(text))
    history = History(table, lots, unused, unused, EPOCH, ("BTCUSDT",), unused)
    history._settled_ids[0] = 40
    filled_row(table, 1, 50)
    listing: Any = history.confirm()
    assert next(listing).parameters["orderId"] == 41
    filled_row(table, 2, 60)
    with pytest.raises(StopIteration) as end:
        listing.send(Reply(status=200, body=[entry(1, 50), entry(2, 60)]))
    assert (end.value.value.confirmed, end.value.value.lost) == ([1], [])
    listing = history.confirm()
    first_id = next(listing).parameters["orderId"]
    body = [e for e in (entry(1, 50), entry(2, 60)) if e["orderId"] >= first_id]
    with pytest.raises(StopIteration) as end:
        listing.send(Reply(status=200, body=body))
    assert (end.value.value.confirmed, end.value.value.lost) == ([2], [])
    assert table.ended_ids == set()
