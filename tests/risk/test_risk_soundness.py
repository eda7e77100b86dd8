"""Trust that is lost with a position on the wrong side, and what brings it back."""

from __future__ import annotations

import time

import pytest

from shm.records import OrderStatus
from shm.tables import Distrust
from tests.risk.desk import SYMBOL_COUNT


def lose(desk) -> None:
    """Have more closed than was opened, and close the rest."""
    desk.close_too_much(2)
    (back,) = desk.orders()
    desk.fill(back, 449_003)
    desk.look()
    assert desk.position().quantity_lot == 0


def compare(desk, later_ns: int, *symbols: int) -> None:
    """Have the executor asked for symbols so long after the positions became sound."""
    for symbol in symbols or range(SYMBOL_COUNT):
        desk.memory.trust(symbol).compared_ns = desk.header.unsound_ns + later_ns


def enters(desk) -> bool:
    refused = desk.count("rejected_untrusted")
    desk.best(450_000, 450_001, 1)
    desk.signal(1, 1)
    desk.look()
    return desk.count("rejected_untrusted") == refused and len(desk.orders()) == 1


def test_trust_comes_back_with_a_comparison_of_all_symbols(desk):
    lose(desk)
    compare(desk, 0)
    assert not enters(desk)
    compare(desk, 1)
    desk.look()
    assert desk.header.untrusted == 0 and enters(desk)


def test_a_symbol_that_was_not_compared_is_missed(desk):
    lose(desk)
    compare(desk, 1, 0, 1)
    desk.look()
    assert desk.header.untrusted == 1


@pytest.mark.parametrize("bit", [Distrust.POSITION, Distrust.ORDER, Distrust.COUNTDOWN])
def test_a_difference_in_any_symbol_keeps_it_away(desk, bit):
    lose(desk)
    compare(desk, 1)
    desk.memory.trust(2).distrust = int(bit)
    desk.look()
    assert desk.header.untrusted == 1
    desk.memory.trust(2).distrust = 0
    desk.look()
    assert desk.header.untrusted == 0


@pytest.mark.parametrize("how", ["wrong side", "broken sums"])
def test_while_a_position_is_unsound_the_time_does_not_run(desk, how):
    lose(desk)
    row = desk.position(2)
    if how == "wrong side":
        row.exit_lot, row.exit_value, row.side, row.quantity_lot = 1, 450_000, 1, -1
    else:
        row.entry_lot = 1
    before = time.monotonic_ns()
    desk.look()
    assert desk.header.unsound_ns >= before
    row.exit_lot = row.exit_value = row.side = row.quantity_lot = row.entry_lot = 0
    desk.memory.trust(2).compared_ns = before
    compare(desk, 1, 0, 1)
    desk.look()
    assert desk.header.untrusted == 1
    compare(desk, 1)
    desk.look()
    assert desk.header.untrusted == 0


def test_a_late_fill_of_the_entry_makes_it_sound_again(desk):
    entry = desk.enter()
    desk.report(entry, OrderStatus.EXPIRED, filled_lot=3)
    desk.fill(entry, 450_000, lot=1, done=2)
    desk.look()
    desk.orders()
    assert desk.header.untrusted == 0
    desk.position().exit_lot, desk.position().exit_value = 2, 900_000
    desk.position().quantity_lot = -desk.position().side
    desk.header.untrusted = 1
    desk.look()
    unsound = desk.header.unsound_ns
    assert unsound > 0
    desk.fill(entry, 450_000, lot=2, done=0)
    desk.look()
    compare(desk, 1)
    desk.look()
    assert desk.header.untrusted == 0
