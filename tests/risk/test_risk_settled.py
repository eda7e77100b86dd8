"""What an end waits for."""

from __future__ import annotations

import pytest

from risk.settled import unsettled
from risk.state import QUOTES, QUOTES_OFFSET
from shm.records import OrderStatus
from shm.tables import PositionOwner


def quotes(desk, symbol=0):
    return QUOTES.at(desk.memory.state("risk") + QUOTES_OFFSET + symbol * QUOTES.size)


def test_an_entry_its_fill_and_its_stop(guarded):
    assert unsettled(guarded.memory) == []
    entry = guarded.enter()
    assert unsettled(guarded.memory) == [0]
    guarded.fill(entry, 450_000)
    guarded.look()
    assert unsettled(guarded.memory) == [0]
    (stop,) = guarded.orders()
    guarded.rest(stop)
    assert unsettled(guarded.memory) == []
    guarded.release_move()
    guarded.best(450_880, 450_881)
    guarded.look()
    assert unsettled(guarded.memory) == [0], "its stop is on the move"


def test_an_exit_is_waited_for(guarded):
    guarded.open()
    (stop,) = guarded.orders()
    guarded.rest(stop)
    guarded.control.flatten_requested = 1
    guarded.look()
    (leave,) = guarded.orders()
    assert unsettled(guarded.memory) == [0]
    guarded.fill(leave, 450_000)
    guarded.look()
    (cancel,) = guarded.orders()
    guarded.report(cancel, OrderStatus.CANCELED)
    guarded.look()
    assert unsettled(guarded.memory) == []


def test_a_position_on_the_wrong_side_is_never_settled(guarded):
    row = guarded.position(1)
    row.side, row.exit_lot, row.exit_value, row.quantity_lot = 1, 2, 900_000, -2
    assert unsettled(guarded.memory) == [1]
    row.owner = int(PositionOwner.LEFT_ALONE)
    assert unsettled(guarded.memory) == []


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("what", ["order_id", "stray_order_id"])
def test_quotes_are_waited_for(guarded, side, what):
    getattr(quotes(guarded, 2), what)[side] = 7
    assert unsettled(guarded.memory) == [2]
