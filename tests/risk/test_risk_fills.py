"""Fills: each lot once, in any order, with duplicates; sums and results against the twin."""

from __future__ import annotations

import ctypes
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import fills, positions
from risk.state import ISLAND_COUNT, ORDER_STATE
from shm.records import OrderStatus
from shm.tables import POSITION, PositionState
from tests.naive import risk_positions as naive

VALUE = 10_000


def address(record) -> int:
    return ctypes.addressof(record)


def sequence_of(sizes: list[int]) -> list[tuple[int, int]]:
    """Return (lots, cumulative) of fills of these sizes."""
    total, found = 0, []
    for lot in sizes:
        total += lot
        found.append((lot, total))
    return found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 30)), max_size=14))
def test_covering_counts_each_lot_once(stretches):
    order, twin = ORDER_STATE.new(), naive.Order()
    for lot, start in stretches:
        end = start + lot
        new = fills.uncovered_lot(address(order), start, end)
        trial = set(twin.lots)
        assert new == len(set(range(start, end)) - trial)
        if fills.cover(address(order), start, end):
            assert twin.fill(1, lot, end) == new
        else:
            assert order.island_count == ISLAND_COUNT
        assert fills.uncovered_lot(address(order), 0, 100) == 100 - len(twin.lots)


@pytest.mark.parametrize("seed", range(12))
def test_a_position_is_the_sum_of_its_fills_in_any_order_with_duplicates(desk, seed):
    print(f"seed={seed}")
    chance = random.Random(seed)
    side = chance.choice([1, -1])
    order = desk.enter(side)
    sizes: list[int] = []
    while sum(sizes) < order.quantity_lot:
        sizes.append(min(chance.randint(1, 4), order.quantity_lot - sum(sizes)))
    sequence = [(lot, done, 450_000 + chance.randint(-9, 9)) for lot, done in sequence_of(sizes)]
    heard = sequence + chance.choices(sequence, k=3)
    chance.shuffle(heard)
    twin = naive.Order()
    for lot, done, price in heard:
        desk.fill(order, price, lot, done - lot, fee_e8=7 * lot)
        fresh = twin.fill(price, lot, done)
        # The terminal state may come first: what it leaves out is waited for.
        desk.look()
        row = desk.position()
        assert row.quantity_lot == side * len(twin.lots)
        assert (row.entry_lot, row.entry_value) == (len(twin.lots), twin.value)
        assert row.fee_e8 == desk.control.fee_e8 == 7 * len(twin.lots)
        assert fresh == 0 or desk.count("fills") > 0
    assert row.state == PositionState.OPEN
    assert desk.count("duplicate_fills") == 3
    prices = [twin.lots[k] for k in range(order.quantity_lot)]
    expected = naive.unrealized(side, prices, 0, 450_000 if side > 0 else 450_001, VALUE)
    assert desk.control.unrealized_e8 == expected


lots = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 40)), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([1, -1]), lots, lots, st.integers(1, 10**6))
def test_results_agree_with_the_twin(side, entries, exits, price):
    bought = [p for p, q in entries for _ in range(q)]
    sold = [p for p, q in exits for _ in range(q)][: len(bought)]
    row = POSITION.new()
    row.side = side
    row.entry_lot, row.entry_value = len(bought), sum(bought)
    row.exit_lot, row.exit_value = len(sold), sum(sold)
    assert positions.realized_e8(address(row), VALUE) == naive.realized(side, bought, sold, VALUE)
    found = positions.unrealized_e8(address(row), VALUE, price)
    left = len(bought) - len(sold)
    expected = naive.unrealized(side, bought, len(sold), price, VALUE) if left else 0
    assert found == expected
    if not left:
        exact = side * (sum(sold) - sum(bought)) * VALUE
        assert positions.realized_e8(address(row), VALUE) == exact


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**17), st.integers(0, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_share_of_does_not_overflow(whole, part, parts):
    part = min(part, parts)
    assert positions.share_of(whole, part, parts) == whole * part // parts


def test_a_late_fill_reopens_the_position(desk):
    order = desk.enter()
    desk.report(order, OrderStatus.EXPIRED)
    desk.look()
    assert desk.position().state == PositionState.FLAT
    desk.fill(order, 450_001, lot=4)
    desk.look()
    row = desk.position()
    assert (row.state, row.quantity_lot) == (PositionState.OPEN, 4)
    desk.best(440_000, 440_001)
    desk.look()
    (stop,) = desk.orders()
    assert stop.quantity_lot == 4


def test_a_late_fill_of_an_earlier_position_belongs_to_the_net_position(desk):
    first = desk.enter()
    desk.report(first, OrderStatus.EXPIRED)
    desk.look()
    second = desk.open()
    desk.fill(first, 450_001, lot=2)
    desk.look()
    assert desk.position().quantity_lot == second.quantity_lot + 2


def test_more_closed_than_opened_halts_entries(desk):
    desk.close_too_much(1)
    assert desk.position().quantity_lot == -1
    desk.best(450_000, 450_001, 1)
    desk.signal(1, 1)
    desk.look()
    assert desk.count("rejected_untrusted") == 1


def test_a_terminal_report_waits_for_the_fills_it_states(desk):
    order = desk.enter()
    desk.report(order, OrderStatus.EXPIRED, filled_lot=5)
    desk.look()
    assert desk.position().state == PositionState.ENTERING
    desk.fill(order, 450_001, lot=5)
    desk.look()
    assert (desk.position().state, desk.position().quantity_lot) == (PositionState.OPEN, 5)


def test_many_gaps_are_settled_from_the_executors_row(desk):
    order = desk.enter()
    quantity = order.quantity_lot
    odd = list(range(1, quantity, 2))[: ISLAND_COUNT + 2]
    assert len(odd) >= ISLAND_COUNT - 1
    for k in odd:
        desk.fill(order, 450_001, lot=1, done=k)
    desk.report(order, OrderStatus.FILLED, filled_lot=quantity)
    desk.look(2)
    assert desk.position().quantity_lot < quantity
    desk.row(
        order,
        OrderStatus.FILLED,
        filled_lot=quantity,
        filled_value=quantity * 450_001,
        fee_e8=99_000,
    )
    desk.look()
    assert desk.position().state == PositionState.ENTERING, "a second has not passed"
    desk.order_state(order.order_id).written_ns -= 1_100_000_000
    desk.look()
    row = desk.position()
    assert (row.state, row.quantity_lot) == (PositionState.OPEN, quantity)
    assert (row.entry_value, row.fee_e8) == (quantity * 450_001, 99_000)
    assert desk.count("settled_orders") == 1
