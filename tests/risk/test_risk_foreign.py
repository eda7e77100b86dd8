"""Fills of nobody's order belong to the net position, and a policy says who looks after it."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from shm.records import REPORT, OrderFlag, OrderReason, OrderStatus
from shm.tables import Distrust, PositionOwner, PositionState
from tests.naive.risk_foreign import Holding
from tests.uncompiled import run_uncompiled

PRICE = 450_000


@pytest.fixture
def desk_of(make_desk: Any) -> Any:
    def make(policy: str, **changes: Any) -> Any:
        size = {"trading__base_position_usd": 450.0, "trading__max_position_usd": 450.0}
        desk = make_desk(risk__foreign_policy=policy, **size, **changes)
        desk.foreign_ids = itertools.count(100)
        desk.best(PRICE, PRICE + 1)
        desk.look()
        return desk

    return make


def foreign(desk: Any, side: int, lots: int, tick: int = PRICE, trade_id: int = 0) -> int:
    """Report a fill of nobody's order; return its trade id."""
    trade_id = trade_id or next(desk.foreign_ids)
    values = {
        "order_id": 0, "side": side, "fill_lot": lots, "fill_tick": tick, "filled_lot": lots,
        "trade_id": trade_id, "fee_e8": 100, "status": int(OrderStatus.FILLED),
    }  # fmt: skip
    desk.write("reports", REPORT, values)
    desk.look()
    return trade_id


def enter(desk: Any, side: int = 1) -> Any:
    """Open a position of ours; return its entry order."""
    desk.signal(side=side)
    desk.look()
    (order,) = desk.orders()
    desk.fill(order, PRICE)
    desk.look()
    return order


def signal_is_taken(desk: Any) -> bool:
    before = desk.count("accepted")
    desk.best(PRICE, PRICE + 1)
    desk.signal()
    desk.look()
    return desk.count("accepted") > before


def test_halt_leaves_a_foreign_position_alone_and_takes_no_entry(desk_of):
    desk = desk_of("halt")
    foreign(desk, -1, 7)
    row = desk.position()
    assert (row.quantity_lot, row.owner, row.state) == (
        -7, PositionOwner.LEFT_ALONE, PositionState.OPEN,
    )  # fmt: skip
    assert row.stop_tick == row.target_tick == 0
    for price in (PRICE // 2, PRICE * 2):
        desk.best(price, price + 1)
        desk.look()
    desk.control.flatten_requested = 1
    desk.look()
    desk.control.flatten_requested = 0
    assert desk.orders() == []
    assert not signal_is_taken(desk)
    # Its owner closes it: the symbol is free again.
    foreign(desk, 1, 7)
    assert (row.quantity_lot, row.state) == (0, PositionState.FLAT)
    assert desk.control.open_position_count == 0
    assert signal_is_taken(desk)


def test_a_person_who_kills_closes_what_is_left_alone_too(desk_of):
    desk = desk_of("halt")
    foreign(desk, 1, 7)
    desk.control.kill_flatten = 1
    desk.look()
    (order,) = desk.orders()
    assert (order.side, order.quantity_lot, order.reason) == (-1, 7, OrderReason.FLATTEN)


def test_adopt_manages_it_as_one_of_ours(desk_of):
    desk = desk_of("adopt")
    foreign(desk, 1, 7)
    row = desk.position()
    assert row.owner == PositionOwner.MANAGED
    assert row.stop_tick == PRICE - 900
    assert row.target_tick == PRICE + 1_800
    assert row.hold_ns_max > 0
    assert desk.orders() == []
    desk.best(PRICE - 900, PRICE - 899)
    desk.look()
    (order,) = desk.orders()
    assert (order.side, order.quantity_lot, order.reason) == (-1, 7, OrderReason.STOP)
    assert order.flags & OrderFlag.REDUCE_ONLY
    desk.fill(order, PRICE - 900)
    desk.look()
    assert row.state == PositionState.FLAT


def test_reduce_closes_it_at_once(desk_of):
    desk = desk_of("reduce")
    foreign(desk, -1, 7)
    (order,) = desk.orders()
    assert (order.side, order.quantity_lot, order.reason) == (1, 7, OrderReason.FOREIGN)
    assert order.flags & OrderFlag.REDUCE_ONLY
    assert desk.count("exit_foreign") == 1


@pytest.mark.parametrize("policy", ["halt", "adopt", "reduce"])
def test_a_liquidation_closes_our_position(desk_of, policy):
    desk = desk_of(policy)
    order = enter(desk)
    foreign(desk, -1, order.quantity_lot, PRICE - 100)
    row = desk.position()
    assert (row.quantity_lot, row.state) == (0, PositionState.FLAT)
    assert desk.control.realized_e8 == -100 * order.quantity_lot * 10_000
    assert row.round_trips == 1
    assert desk.count("foreign_fills") == 1
    assert signal_is_taken(desk)


def test_a_partial_reduction_leaves_the_rest_managed(desk_of):
    desk = desk_of("halt")
    order = enter(desk)
    foreign(desk, -1, 1)
    row = desk.position()
    assert row.owner == PositionOwner.OURS
    desk.best(row.stop_tick, row.stop_tick + 1)
    desk.look()
    (leaving,) = desk.orders()
    assert leaving.quantity_lot == order.quantity_lot - 1


def test_what_is_added_to_ours_is_managed_with_it(desk_of):
    desk = desk_of("halt")
    order = enter(desk)
    foreign(desk, 1, 5)
    row = desk.position()
    assert row.owner == PositionOwner.OURS
    assert row.quantity_lot == order.quantity_lot + 5
    desk.best(row.stop_tick, row.stop_tick + 1)
    desk.look()
    (leaving,) = desk.orders()
    assert leaving.quantity_lot == order.quantity_lot + 5


def test_a_fill_beyond_our_position_opens_a_foreign_one(desk_of):
    desk = desk_of("halt")
    order = enter(desk)
    first_id = desk.position().position_id
    foreign(desk, -1, order.quantity_lot + 3)
    row = desk.position()
    assert (row.quantity_lot, row.side, row.owner) == (-3, -1, PositionOwner.LEFT_ALONE)
    assert row.position_id == first_id + 1
    assert row.fee_e8 + 1000 <= desk.control.fee_e8 == 1100
    assert desk.control.open_position_count == 1
    assert desk.header.untrusted == 0


def test_our_own_late_fill_makes_it_ours_to_manage(desk_of):
    """An entry in flight and a foreign fill on its other side are one net position."""
    desk = desk_of("halt")
    desk.signal()
    desk.look()
    (order,) = desk.orders()
    foreign(desk, -1, 3)
    row = desk.position()
    assert (row.quantity_lot, row.owner) == (-3, PositionOwner.LEFT_ALONE)
    desk.fill(order, PRICE, lot=2)
    desk.look()
    assert row.quantity_lot == -1
    assert desk.header.untrusted == 0


def test_an_entry_in_flight_and_a_foreign_fill_on_its_side_are_one(desk_of):
    desk = desk_of("halt")
    desk.signal()
    desk.look()
    (order,) = desk.orders()
    foreign(desk, 1, 3)
    desk.fill(order, PRICE)
    desk.look()
    row = desk.position()
    assert row.quantity_lot == 3 + order.quantity_lot
    assert row.owner == PositionOwner.OURS
    assert row.stop_tick == PRICE - 900


def test_trade_ids_count_up_and_others_are_duplicates(desk_of):
    desk = desk_of("adopt")
    trade_id = foreign(desk, 1, 7)
    foreign(desk, 1, 7, trade_id=trade_id)
    foreign(desk, 1, 7, trade_id=trade_id - 1)
    assert desk.position().quantity_lot == 7
    assert desk.count("duplicate_fills") == 2
    assert desk.count("foreign_fills") == 1


@pytest.mark.parametrize(
    "change", [{"side": 0}, {"fill_lot": 0}, {"fill_tick": 0}, {"symbol": 99}, {"order_id": 5}]
)
def test_a_report_that_makes_no_sense_changes_nothing(desk_of, change):
    desk = desk_of("adopt")
    values = {"side": 1, "fill_lot": 7, "fill_tick": PRICE, "trade_id": 9, "filled_lot": 7}
    desk.write("reports", REPORT, values | change)
    desk.look()
    assert desk.position().quantity_lot == 0
    assert desk.count("unknown_reports") == 1


@pytest.mark.parametrize("reason", list(Distrust))
def test_a_symbol_that_is_not_trusted_takes_no_entry_and_others_do(desk_of, reason):
    desk = desk_of("halt")
    desk.memory.trust(0).distrust = int(reason)
    assert not signal_is_taken(desk)
    assert desk.count("rejected_distrust") == 1
    desk.best(PRICE, PRICE + 1, symbol=1)
    desk.signal(symbol=1)
    desk.look()
    assert desk.count("accepted") == 1
    desk.memory.trust(0).distrust = 0
    assert signal_is_taken(desk)


@pytest.mark.parametrize("seed", range(8))
def test_random_fills_against_the_twin(desk_of, seed):
    print(f"seed={seed}")
    chance = random.Random(seed)
    # A stop is far away here: only the fills decide.
    desk = desk_of("halt", risk__stop_loss_pct=0.05, risk__take_profit_pct=0.1)
    twin = Holding()
    ended = 0
    for _ in range(100):
        before = twin.lots
        back = -1 if before > 0 else 1
        side, lots = chance.choice((1, -1, back)), chance.randint(1, 9)
        tick = PRICE + chance.randint(-50, 50)
        foreign(desk, side, lots, tick)
        twin.fill(side, lots, tick, foreign=True)
        row = desk.position()
        assert row.quantity_lot == twin.lots
        assert (row.state == PositionState.FLAT) == (twin.lots == 0)
        assert desk.control.open_position_count == (twin.lots != 0)
        if before * twin.lots < 0 or (before and twin.lots == 0):
            # How a part that closes is priced is a matter of taste; the whole is not.
            ended += 1
            assert desk.control.realized_e8 == twin.result * 10_000
    assert ended > 3
    assert desk.orders() == []
    assert desk.header.untrusted == 0


def test_a_crash_at_any_line_books_a_fill_once():
    """Uncompiled, in a process of its own: see foreign_cuts.py."""
    found = run_uncompiled("tests.risk.foreign_cuts", "3")
    assert found["wrong"] == []
    assert found["cuts"] > 100
    assert [row["quantity_lot"] for row in found["end"]["rows"]] == [5, 5, -3, 0]
    assert found["end"]["totals"][1] == 3 * 700
