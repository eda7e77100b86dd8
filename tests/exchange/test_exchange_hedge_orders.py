"""Orders in hedge mode: each leg by itself, and no leg ever closed beyond what it has."""

from __future__ import annotations

import pytest
from scripted_desk import SYMBOL, Bench, refusal

from exchange.matching.layout import BUY
from exchange.orders import order_json

LONG, SHORT = {"positionSide": "LONG"}, {"positionSide": "SHORT"}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.account.is_dual_side = True
    return bench


def test_legs_are_moved_by_their_own_orders(bench):
    bench.place("BUY", "MARKET", "0.010", **LONG)
    order = bench.place("SELL", "MARKET", "0.007", **SHORT)
    assert (bench.held("LONG"), bench.held("SHORT"), bench.held()) == (10, -7, 0)
    assert order_json(order)["positionSide"] == "SHORT"
    assert bench.events.sent[-1]["o"]["ps"] == "SHORT"
    assert bench.register.trades[SYMBOL][-1].as_json()["positionSide"] == "SHORT"
    bench.place("SELL", "MARKET", "0.004", **LONG)
    bench.place("BUY", "MARKET", "0.007", **SHORT)
    assert (bench.held("LONG"), bench.held("SHORT")) == (6, 0)


def test_a_leg_is_not_closed_beyond_what_it_has(bench):
    assert refusal(bench.place, "SELL", "MARKET", "0.001", **LONG) == -2022
    bench.place("BUY", "MARKET", "0.010", **LONG)
    assert refusal(bench.place, "SELL", "MARKET", "0.011", **LONG) == -2022
    assert refusal(bench.place, "BUY", "MARKET", "0.010", **SHORT) == -2022


def test_closing_orders_shrink_with_their_leg_only(bench):
    bench.place("BUY", "MARKET", "0.010", **LONG)
    bench.place("SELL", "MARKET", "0.010", **SHORT)
    closing = bench.place("SELL", "LIMIT", "0.010", "64500", **LONG)
    other = bench.place("BUY", "LIMIT", "0.010", "63500", **SHORT)
    opening = bench.place("SELL", "LIMIT", "0.010", "64500", **SHORT)
    bench.place("SELL", "MARKET", "0.006", **LONG)
    assert (closing.remaining_lot, closing.quantity_lot) == (4, 4)
    assert ("AMENDMENT", "NEW") in bench.events.orders()
    bench.place("SELL", "MARKET", "0.004", **LONG)
    assert (closing.status, other.status, opening.status) == ("EXPIRED", "NEW", "NEW")
    assert (other.remaining_lot, opening.remaining_lot) == (10, 10)


def test_several_closing_orders_never_flip_the_leg(bench):
    bench.place("BUY", "MARKET", "0.010", **LONG)
    orders = [bench.place("SELL", "LIMIT", "0.010", f"6400{n}", **LONG) for n in range(3, 6)]
    bench.market.take(BUY, 500)
    assert bench.held("LONG") == 0
    assert sorted(o.status for o in orders) == ["EXPIRED", "EXPIRED", "FILLED"]


def test_a_conditional_order_of_the_other_mode_is_refused_when_it_fires(bench):
    bench.account.is_dual_side = False
    stop = bench.algo("BUY", "STOP_MARKET", triggerPrice="64100")
    bench.account.is_dual_side = True
    bench.print_at(64100)
    assert (stop.status, bench.held(), bench.register.orders) == ("REJECTED", 0, {})


def test_closing_needs_no_margin(bench):
    bench.place("BUY", "MARKET", "0.100", **LONG)
    bench.account.book(SYMBOL, "TRANSFER", 50 * 10**8 - bench.account.wallet_e8, bench.time.ms)
    assert refusal(bench.place, "SELL", "MARKET", "0.100", **SHORT) in (-2019, -2027)
    assert bench.place("SELL", "MARKET", "0.100", **LONG).executed_lot == 100
