"""What is kept of a long run, and what stays right of what is not."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from scripted_desk import BALANCE_E8, START_MS, SYMBOL, Bench, refusal

from exchange.trading.income import COMMISSION, TRANSFER, IncomeLedger
from exchange.trading.register import Register
from exchange.trading.retention import Recent

OTHER = "ETHUSDT"


def bench_with(**limits: int) -> Bench:
    bench = Bench((SYMBOL, OTHER))
    bench.desk.register = bench.register = Register(**limits)
    bench.market.quote(-1, 340_000, 1_000, OTHER)
    return bench


def cancelled(bench: Bench, client_id: str) -> int:
    """Place and cancel an order; return its id."""
    order = bench.place("BUY", "LIMIT", "0.010", "63000", newClientOrderId=client_id)
    bench.desk.cancel({"orderId": str(order.order_id)}, SYMBOL)
    return order.order_id


@pytest.mark.parametrize("limit", [1, 3])
def test_the_oldest_goes(limit):
    gone: list[int] = []
    recent = Recent(limit, gone.append)
    for number in range(5):
        recent.add(number)
    assert gone == list(range(5 - limit))
    assert (len(recent), recent.forgotten) == (limit, 5 - limit)


def test_ended_orders_are_forgotten_in_the_order_of_their_ends_and_open_ones_never():
    bench = bench_with(closed_max=3)
    early = bench.place("BUY", "LIMIT", "0.010", "63000", newClientOrderId="early")
    ids = [cancelled(bench, f"id-{number}") for number in range(5)]
    register = bench.register
    assert list(register.orders) == [early.order_id, *ids[2:]]
    assert refusal(bench.desk.query, {"orderId": str(ids[1])}, SYMBOL) == -2013
    assert refusal(bench.desk.query, {"origClientOrderId": "id-1"}, SYMBOL) == -2013
    assert bench.desk.query({"origClientOrderId": "early"}, SYMBOL) is early
    bench.desk.cancel({"orderId": str(early.order_id)}, SYMBOL)
    assert list(register.orders) == [early.order_id, *ids[3:]]
    body: dict[str, Any] = register.as_json()
    assert [row["clientOrderId"] for row in body["orders"]] == ["early", "id-3", "id-4"]
    assert (body["accepted"], body["forgotten"]) == (6, 3)
    assert body["requests"]["place"] == body["accepted"]


def test_an_ordinary_run_forgets_nothing():
    bench = Bench()
    for number in range(50):
        cancelled(bench, f"id-{number}")
    body: dict[str, Any] = bench.register.as_json()
    assert (len(body["orders"]), body["accepted"], body["forgotten"]) == (50, 50, 0)


def test_duplicates_are_counted_once_and_stay_counted():
    bench = bench_with(closed_max=2)
    register = bench.register
    for client_id, duplicates in (
        ("a", 0),
        ("a", 1),
        ("a", 1),  # the third use: the id is counted already, its first use forgotten
        ("b", 1),
        ("b", 2),
        ("a", 2),  # nothing that is kept has it: as good as new
        ("a", 3),
    ):
        cancelled(bench, client_id)
        assert register.duplicate_client_ids == duplicates
    assert bench.desk.query({"origClientOrderId": "a"}, SYMBOL).order_id == max(register.orders)


def test_trades_are_forgotten_over_all_symbols_and_counts_and_positions_stay():
    bench = bench_with(closed_max=100, trades_max=4)
    for _ in range(3):
        bench.place("BUY", "MARKET", "0.002")
        bench.desk.place({"symbol": OTHER, "side": "BUY", "type": "MARKET", "quantity": "0.010"})
    register = bench.register
    assert {symbol: len(rows) for symbol, rows in register.trades.items()} == {SYMBOL: 2, OTHER: 2}
    assert register.as_json()["fills"] == 6
    assert (bench.held(), bench.account.held_lot(OTHER)) == (6, 30)
    for _ in range(4):
        bench.place("BUY", "MARKET", "0.002")
    assert not register.trades[OTHER]


def test_the_wallet_counts_income_that_is_forgotten():
    ledger = IncomeLedger(rows_max=32)
    ledger.add("", TRANSFER, BALANCE_E8, START_MS)
    paid = 0
    for number in count(1):
        ledger.add(SYMBOL, COMMISSION, -number, START_MS + number)
        paid += number
        assert ledger.total_e8 == BALANCE_E8 - paid
        assert ledger.total_e8 == ledger.forgotten_e8 + sum(r.amount_e8 for r in ledger.rows)
        assert len(ledger.rows) <= 34
        if number == 100:
            break
    ids = [row.transaction_id for row in ledger.rows]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert ledger.rows[-1].amount_e8 == -100
    assert ledger.find(SYMBOL, COMMISSION, 0, START_MS + 1, 0, 10) == []
