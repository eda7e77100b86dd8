"""Modified orders: what is refused, what changes, what it costs them, what is remembered."""

from __future__ import annotations

import pytest
from scripted_desk import SYMBOL, Bench, refusal

from exchange.api.endpoints_batch import modified_json
from exchange.matching.layout import SELL
from exchange.orders import ClientOrder
from exchange.trading import amending
from exchange.trading.amending import AMENDMENTS_MAX


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def order(bench) -> ClientOrder:
    return bench.place("BUY", "LIMIT", "0.010", "63000", newClientOrderId="mine")


def amend(bench: Bench, order: ClientOrder, **changes: object) -> ClientOrder:
    params = {"symbol": SYMBOL, "orderId": str(order.order_id), "side": "BUY"}
    params.update(quantity="0.010", price="63000")
    return bench.desk.amendments.amend({**params, **{k: str(v) for k, v in changes.items()}})


REFUSED = [
    ({}, -5027),
    ({"orderId": "1"}, -2013),
    ({"orderId": ""}, -1102),
    ({"side": "SELL"}, -1117),
    ({"side": ""}, -1102),
    ({"price": ""}, -1102),
    ({"quantity": ""}, -1102),
    ({"price": "63000.05"}, -4014),
    ({"price": "68000"}, -4016),
    ({"price": "100"}, -4013),
    ({"quantity": "1001"}, -4005),
    ({"quantity": "0.0005"}, -1111),
    ({"quantity": "0.001", "price": "40000"}, -5029),
    ({"priceMatch": "QUEUE"}, -1106),
    ({"priceMatch": "QUEUE_1", "price": ""}, -5037),
    ({"reduceOnly": "true", "price": "62000"}, -5047),
    ({"quantity": "900"}, -2019),
    ({"modifyId": "one", "price": "62000"}, -1102),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_a_refused_amendment_leaves_the_order_as_it_was(bench, order, changes, code):
    sent = len(bench.events.sent)
    assert refusal(amend, bench, order, **changes) == code
    assert (order.status, order.price_tick, order.quantity_lot) == ("NEW", 630_000, 10)
    assert order in bench.market.resting[SYMBOL]
    assert len(bench.events.sent) == sent
    assert bench.desk.amendments.history(order) == []


def test_price_and_quantity_change(bench, order):
    amend(bench, order, price="63100", quantity="0.012")
    assert (order.price_tick, order.quantity_lot, order.remaining_lot) == (631_000, 12, 12)
    assert (order.status, order.stp_mode) == ("NEW", "NONE")
    assert bench.events.orders() == [("NEW", "NEW"), ("AMENDMENT", "NEW")]
    told = bench.events.sent[-1]["o"]
    assert (told["p"], told["q"], told["i"]) == ("63100.00", "0.012", order.order_id)


def test_it_loses_its_place(bench):
    first = bench.place("BUY", "LIMIT", "0.010", "63000")
    second = bench.place("BUY", "LIMIT", "0.010", "63000")
    amend(bench, first, quantity="0.005")
    bench.market.take(SELL, 310)
    assert (first.status, second.status) == ("NEW", "FILLED")


def test_it_is_matched_at_its_new_price(bench, order):
    amend(bench, order, price="64000.0", quantity="0.015")
    assert (order.status, order.executed_lot) == ("PARTIALLY_FILLED", 10)
    assert bench.events.orders()[1:] == [("AMENDMENT", "NEW"), ("TRADE", "PARTIALLY_FILLED")]
    amend(bench, order, price="64000.1", quantity="0.015")
    assert (order.status, order.executed_lot) == ("FILLED", 15)
    assert refusal(amend, bench, order, price="63000") == -2013


def test_what_leaves_nothing_to_fill_cancels(bench, order):
    amend(bench, order, price="64000.0", quantity="0.015")
    amend(bench, order, price="64000.0", quantity="0.010")
    assert (order.status, order.executed_lot) == ("CANCELED", 10)
    assert bench.events.orders()[-1] == ("CANCELED", "CANCELED")


def test_a_post_only_order_that_would_take_is_cancelled(bench):
    order = bench.place("BUY", "LIMIT", "0.010", "63000", timeInForce="GTX")
    amend(bench, order, price="64000")
    assert (order.status, order.executed_lot) == ("CANCELED", 0)
    assert order not in bench.market.resting[SYMBOL]


def test_price_match(bench, order):
    amend(bench, order, price="", priceMatch="QUEUE_5")
    assert (order.price_tick, order.price_match) == (639_995, "QUEUE_5")
    assert refusal(amend, bench, order, price="", priceMatch="QUEUE_5") == -5027


def test_history_has_the_newest_first(bench, order):
    amend(bench, order, price="63100", modifyId=7)
    bench.time.advance(5)
    amend(bench, order, price="63100", quantity="0.011")
    newest, oldest = [row.as_json() for row in bench.desk.amendments.history(order)]
    assert newest["amendment"] == {
        "price": {"before": "63100.00", "after": "63100.00"},
        "origQty": {"before": "0.010", "after": "0.011"},
        "count": 2,
    }
    assert (oldest["amendment"]["count"], oldest["amendment"]["modifyId"]) == (1, 7)
    assert newest["time"] - oldest["time"] == 5
    assert newest["amendmentId"] > oldest["amendmentId"]


def test_the_answer_returns_the_clients_number(bench, order):
    params = {"symbol": SYMBOL, "origClientOrderId": "mine", "side": "BUY", "modifyId": "42"}
    body = modified_json(bench.desk, {**params, "quantity": "0.010", "price": "63100"})
    assert (body["modifyId"], body["price"]) == (42, "63100.00")
    assert "avgPrice" not in body


def test_there_is_an_end_to_amendments(bench, order):
    order.amend_count = AMENDMENTS_MAX
    assert refusal(amend, bench, order, price="63100") == -5026


def test_reduce_only_stays_within_the_position(bench):
    bench.place("BUY", "MARKET", "0.010")
    exit_order = bench.place("SELL", "LIMIT", "0.004", "64100", reduceOnly="true")
    terms = {"side": "SELL", "price": "64100", "reduceOnly": "true"}
    assert refusal(amend, bench, exit_order, **terms, quantity="0.011") == -2022
    amend(bench, exit_order, **terms, quantity="0.010")
    assert exit_order.remaining_lot == 10
    assert refusal(amend, bench, exit_order, side="SELL", price="64100", quantity="0.000") == -4003
    small = {"side": "SELL", "price": "63900", "quantity": "0.001"}
    assert bench.desk.filters.change(SYMBOL, min_notional=100).min_notional == 100
    assert refusal(amend, bench, exit_order, **small) == -5029


def test_a_cheaper_order_needs_no_new_margin(bench):
    order = bench.place("BUY", "LIMIT", "1.000", "63000")
    bench.account.book(SYMBOL, "TRANSFER", -bench.account.wallet_e8 + 10**8, bench.time.ms)
    amend(bench, order, price="62900", quantity="1.000")
    assert order.price_tick == 629_000
    assert refusal(amend, bench, order, price="62900", quantity="1.001") == -2019


def test_no_amendment_while_the_symbol_takes_no_orders(bench, order):
    bench.market.shut.add(SYMBOL)
    assert refusal(amend, bench, order, price="64000") == -1008
    assert (order.status, order.price_tick, bench.held()) == ("NEW", 630_000, 0)
    bench.market.shut.clear()
    assert amend(bench, order, price="64000").status == "FILLED"


def test_of_all_changes_the_last_are_kept(monkeypatch):
    monkeypatch.setattr(amending, "AMENDMENT_ROWS_MAX", 3)
    bench = Bench()
    first = bench.place("BUY", "LIMIT", "0.010", "63000")
    second = bench.place("BUY", "LIMIT", "0.010", "63000")
    for price in ("63001", "63002"):
        amend(bench, first, price=price)
        amend(bench, second, price=price)
    history = bench.desk.amendments.history
    assert [row.count for row in history(first)] == [2]
    assert [row.count for row in history(second)] == [2, 1]
    amend(bench, second, price="63003")
    amend(bench, second, price="63004")
    assert history(first) == []
    assert [row.count for row in history(second)] == [4, 3, 2]
