"""The order table and its transitions."""

import ctypes
import itertools
import time

import pytest

from executor.orders import OrderTable
from executor.transitions import OrderEvent, is_terminal, next_status
from shm.records import ORDER, OrderStatus
from shm.tables import ORDER_ROW

S, E = OrderStatus, OrderEvent
LIVE = (S.SENDING, S.UNKNOWN, S.NEW, S.PARTIALLY_FILLED)
ENDED = (S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED, S.NOT_SENT)


def test_table_is_total():
    for status, event in itertools.product(LIVE + ENDED, OrderEvent):
        assert next_status(status, event) in LIVE + ENDED


@pytest.mark.parametrize("event", [E.UNDECIDED, E.NOT_SENT, E.REJECTED])
def test_our_own_guesses_never_undo_the_word_of_the_venue(event):
    for status in (S.NEW, S.PARTIALLY_FILLED, *ENDED):
        assert next_status(status, event) == status


@pytest.mark.parametrize("status", [S.FILLED, S.CANCELED, S.EXPIRED])
def test_an_end_stated_by_the_venue_stays(status):
    for event in OrderEvent:
        after = next_status(status, event)
        assert after == status or (event == E.FILLED and after == S.FILLED)


@pytest.mark.parametrize("status", [S.REJECTED, S.NOT_SENT])
def test_an_order_taken_for_absent_can_turn_up(status):
    assert next_status(status, E.ACCEPTED) == S.NEW
    assert next_status(status, E.PARTIAL) == S.PARTIALLY_FILLED
    assert next_status(status, E.FILLED) == S.FILLED


@pytest.mark.parametrize("first", [E.PARTIAL, E.FILLED, E.CANCELED, E.EXPIRED])
def test_a_late_acknowledgement_changes_nothing(first):
    after = next_status(S.SENDING, first)
    assert next_status(after, E.ACCEPTED) == after


@pytest.mark.parametrize("events", list(itertools.permutations([E.ACCEPTED, E.PARTIAL, E.FILLED])))
def test_any_order_of_events_ends_the_same(events):
    status = S.SENDING
    for event in events:
        status = next_status(status, event)
    assert status == S.FILLED


def order(order_id, **values):
    made = ORDER.new()
    made.order_id, made.quantity_lot, made.side = order_id, 10, 1
    made.written_ns = time.monotonic_ns()
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def memory():
    return ctypes.create_string_buffer(ORDER_ROW.size * 4)


def test_rows_are_found_only_by_their_own_id(memory):
    table = OrderTable(ctypes.addressof(memory), 4)
    row = table.open_row(order(5, price_tick=7, symbol=3, flags=2))
    assert (row.status, row.price_tick, row.symbol, row.flags) == (S.SENDING, 7, 3, 2)
    assert table.slot_of(5).order_id == 5
    assert table.find(1) is table.find(9) is table.find(0) is None
    assert [table.has_seen(i) for i in (1, 5, 9, 6)] == [True, True, False, False]


def test_a_row_is_used_again_only_when_it_ended_and_was_confirmed(memory):
    table = OrderTable(ctypes.addressof(memory), 4)
    row = table.open_row(order(1))
    for status in LIVE:
        table.set_status(row, status)
        assert not table.is_free_for(5)
    table.set_status(row, S.FILLED)
    assert not table.is_free_for(5)
    table.confirm(1)
    assert table.is_free_for(5)
    table.open_row(order(5))
    assert table.find(1) is None
    assert table.open_ids == {5}


def test_a_successor_finds_the_rows_as_they_are(memory):
    table = OrderTable(ctypes.addressof(memory), 4)
    for order_id, status in ((1, S.NEW), (2, S.FILLED), (3, S.UNKNOWN)):
        table.set_status(table.open_row(order(order_id)), status)
    table.confirm(2)
    successor = OrderTable(ctypes.addressof(memory), 4)
    assert successor.open_ids == {1, 3}
    assert successor.ended_ids == {2}, "what a predecessor confirmed is compared again"
    assert successor.with_status(S.UNKNOWN) == [3]


class Dying:
    """An ORDER whose n-th read kills the reader: a SIGKILL while a row is being filled."""

    def __init__(self, source, reads):
        self._source, self._left = source, reads

    def __getattr__(self, name):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return getattr(self._source, name)


def test_a_row_that_is_half_written_does_not_exist(memory):
    reads = 0
    while True:
        table = OrderTable(ctypes.addressof(memory), 4)
        if table.find(1) is None:
            old = table.open_row(order(1))
            table.set_status(old, S.FILLED)
        table.confirm(1)
        try:
            table.open_row(Dying(order(5, price_tick=9), reads))
        except KeyboardInterrupt:
            successor = OrderTable(ctypes.addressof(memory), 4)
            assert is_whole(successor) if successor.has_seen(5) else successor.find(5) is None
            reads += 1
            ctypes.memset(memory, 0, ORDER_ROW.size * 4)
            continue
        break
    assert reads >= 10
    assert is_terminal(S.NOT_SENT) and not is_terminal(S.PARTIALLY_FILLED)


def is_whole(table):
    row = table.find(5)
    return row is not None and row.price_tick == 9 and row.status == S.SENDING


def test_entries_leave_rows_to_exits():
    memory = ctypes.create_string_buffer(ORDER_ROW.size * 16)
    table = OrderTable(ctypes.addressof(memory), 16)
    for order_id in range(1, 14):
        assert table.has_room_for_entry(order_id)
        table.open_row(order(order_id))
    assert table.has_room_for_entry(14)
    table.open_row(order(14))
    assert not table.has_room_for_entry(15)
    assert table.has_room_for_exit(15)


def test_an_exit_displaces_an_ended_row_but_never_a_living_one(memory):
    table = OrderTable(ctypes.addressof(memory), 4)
    row = table.open_row(order(1))
    assert not table.has_room_for_exit(5)
    row.filled_lot, row.venue_order_id = 10, 77
    table.set_status(row, S.FILLED)
    assert not table.has_room_for_entry(5)
    assert table.has_room_for_exit(5)
    assert (table.displace_for(5), table.displace_for(5)) == (1, 0)
    table.open_row(order(5))
    kept = table.displaced[1]
    assert (kept.order_id, kept.status, kept.filled_lot, kept.venue_order_id) == (
        1,
        S.FILLED,
        10,
        77,
    )
    assert (table.open_ids, table.ended_ids) == ({5}, set())
    table.confirm(1)
    assert table.displaced == {}
