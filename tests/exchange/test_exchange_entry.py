"""New orders on a scripted market: modes, times in force, price match, self-trade prevention."""

from __future__ import annotations

import pytest
from scripted_desk import START_MS, SYMBOL, Bench, refusal

from exchange.matching.layout import BUY
from exchange.orders import acknowledgement_json, order_json, query_json

LIMIT = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
LIMIT.update(quantity="0.010", price="63000")


@pytest.fixture
def bench() -> Bench:
    return Bench()


REFUSED = [
    ({"price": "0"}, -4001),
    ({"price": "-1"}, -4001),
    ({"price": "nan"}, -1102),
    ({"price": "1e5"}, -1102),
    ({"price": "9" * 40}, -1102),
    ({"quantity": "-0.010"}, -4003),
    ({"quantity": "0.0"}, -4003),
    ({"price": "1.00"}, -4013),
    ({"price": "5000000"}, -4002),
    ({"positionSide": "LONG"}, -4061),
    ({"positionSide": "UP"}, -4060),
    ({"closePosition": "true"}, -4136),
    ({"timeInForce": "GTE_GTC"}, -1115),
    ({"timeInForce": "GTD"}, -1102),
    ({"timeInForce": "GTD", "goodTillDate": str(START_MS + 600_000)}, -5040),
    ({"timeInForce": "GTD", "goodTillDate": "253402300799000"}, -5040),
    ({"goodTillDate": str(START_MS + 700_000)}, -1106),
    ({"newOrderRespType": "FULL"}, -1136),
    ({"selfTradePreventionMode": "EXPIRE"}, -5039),
    ({"priceMatch": "OPPONENT"}, -1106),
    ({"priceMatch": "OPPONENT_7", "price": ""}, -5037),
    ({"priceMatch": "QUEUE_20", "price": "", "symbol": "FOOUSDT"}, -1121),
    ({"type": "MARKET", "timeInForce": "", "price": "", "priceMatch": "QUEUE"}, -5038),
    ({"type": "TRAILING_STOP_MARKET"}, -4120),
    ({"timeInForce": "FOK", "quantity": "0.011", "price": "64000"}, -5021),
    ({"timeInForce": "GTX", "price": "64000"}, -5022),
    ({"newClientOrderId": ""}, -4015),
    ({"newClientOrderId": "new\nline"}, -1100),
    ({"newClientOrderId": "abc\n"}, -1100),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_refusals(bench, changes, code):
    assert refusal(bench.desk.place, {**LIMIT, **changes}) == code
    assert (bench.register.orders, bench.events.sent) == ({}, [])
    assert bench.register.rejections == {str(code): 1}


def test_refusals_of_the_mode_are_turned_round_in_hedge_mode(bench):
    bench.account.is_dual_side = True
    assert refusal(bench.desk.place, LIMIT) == -4061
    assert refusal(bench.desk.place, {**LIMIT, "positionSide": "BOTH"}) == -4061
    long = {**LIMIT, "positionSide": "LONG"}
    assert refusal(bench.desk.place, {**long, "reduceOnly": "true"}) == -1106
    assert bench.desk.place({**long, "reduceOnly": "false"})[0].is_open


def test_the_test_endpoint_checks_and_leaves_nothing(bench):
    order = bench.desk.test({**LIMIT, "newClientOrderId": "trial"})
    assert (order.order_id, order.client_order_id) == (0, "trial")
    assert refusal(bench.desk.test, {**LIMIT, "price": "90000"}) == -4016
    assert (bench.register.orders, dict(bench.register.requests)) == ({}, {})
    assert (bench.register.rejections, bench.events.sent) == ({}, [])


def test_good_till_date(bench):
    due_ms = START_MS + 700_999
    order, _ = bench.desk.place({**LIMIT, "timeInForce": "GTD", "goodTillDate": str(due_ms)})
    assert order_json(order)["goodTillDate"] == due_ms // 1000 * 1000
    bench.time.advance(699_999)
    assert order.is_open
    bench.time.advance(1)
    assert (order.status, order.updated_ms) == ("EXPIRED", START_MS + 700_000)
    assert bench.events.orders() == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]
    assert order not in bench.market.resting[SYMBOL]


@pytest.mark.parametrize("end", ["cancel", "fill", "cancel_all"])
def test_a_good_till_timer_ends_with_its_order(bench, end):
    terms = {"timeInForce": "GTD", "goodTillDate": str(START_MS + 700_000), "price": "64000"}
    order, _ = bench.desk.place({**LIMIT, **terms, "side": "SELL"})
    assert bench.time.armed() == 1
    if end == "cancel":
        bench.desk.cancel({"orderId": str(order.order_id)}, SYMBOL)
    elif end == "fill":
        bench.market.take(BUY, 50)
        assert order.status == "FILLED"
    else:
        bench.desk.cancel_all(SYMBOL)
    assert bench.time.armed() == 0


MATCHES = [
    ("BUY", "OPPONENT", 640_000),
    ("BUY", "OPPONENT_5", 640_004),
    ("BUY", "QUEUE", 639_999),
    ("BUY", "QUEUE_10", 639_990),
    ("SELL", "OPPONENT_20", 639_980),
    ("SELL", "QUEUE_20", 640_019),
]


@pytest.mark.parametrize(("side", "match", "tick"), MATCHES)
def test_price_match_takes_the_price_from_the_book(bench, side, match, tick):
    params = {**LIMIT, "side": side, "priceMatch": match, "price": ""}
    order, _ = bench.desk.place(params)
    assert (order.price_tick, query_json(order)["priceMatch"]) == (tick, match)
    assert bench.events.sent[0]["o"]["pm"] == match


def test_price_match_needs_the_level():
    bench = Bench(quotes=4)
    params = {**LIMIT, "priceMatch": "OPPONENT_5", "price": ""}
    assert refusal(bench.desk.place, params) == -5041


STP = [
    ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH", 0),
    ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "FILLED", 10),
    ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH", 0),
    ("NONE", "FILLED", "FILLED", 10),
]


@pytest.mark.parametrize(("mode", "maker_status", "taker_status", "taken"), STP)
def test_self_trade_prevention(bench, mode, maker_status, taker_status, taken):
    maker = bench.place("SELL", "LIMIT", "0.010", "64000")
    bench.market.resting[SYMBOL].remove(maker)
    bench.market.resting[SYMBOL].insert(0, maker)  # first of its price
    taker = bench.place("BUY", "LIMIT", "0.010", "64000", selfTradePreventionMode=mode)
    assert (maker.status, taker.status, taker.executed_lot) == (maker_status, taker_status, taken)
    ended = [row for row in bench.events.orders() if row[1] == "EXPIRED_IN_MATCH"]
    assert ended == [("EXPIRED", "EXPIRED_IN_MATCH")] * (maker_status, taker_status).count(
        "EXPIRED_IN_MATCH"
    )
    assert len(bench.register.open[SYMBOL]) == (maker_status == "NEW")


def test_self_trades_book_both_sides(bench):
    maker = bench.place("SELL", "LIMIT", "0.010", "64000")
    bench.market.take(BUY, 10)  # what stood before ours
    bench.place("BUY", "MARKET", "0.004", selfTradePreventionMode="NONE")
    assert (maker.status, maker.executed_lot, bench.held()) == ("PARTIALLY_FILLED", 4, 0)
    taken, made = bench.register.trades[SYMBOL]
    assert taken.trade_id == made.trade_id
    assert (taken.is_maker, made.is_maker) == (False, True)


def test_client_ids_are_unique_among_open_orders(bench):
    first, _ = bench.desk.place({**LIMIT, "newClientOrderId": "id"})
    assert refusal(bench.desk.place, {**LIMIT, "newClientOrderId": "id"}) == -4116
    bench.desk.cancel({"origClientOrderId": "id"}, SYMBOL)
    second, _ = bench.desk.place({**LIMIT, "newClientOrderId": "id"})
    assert bench.desk.query({"origClientOrderId": "id"}, SYMBOL) is second
    assert bench.desk.query({"orderId": str(first.order_id)}, SYMBOL) is first


def test_an_acknowledgement_shows_no_fills(bench):
    order = bench.place("BUY", "MARKET", "0.010")
    assert order_json(order)["status"] == "FILLED"
    body = acknowledgement_json(order)
    assert (body["status"], body["executedQty"]) == ("NEW", "0.000")


def test_unauthorised_requests_are_counted_as_what_they_were(bench):
    bench.desk.refuse_unauthorised({**LIMIT, "newClientOrderId": "x"}, -1022)
    bench.desk.refuse_unauthorised({"algoType": "CONDITIONAL"}, -1022)
    bench.desk.refuse_unauthorised({"symbol": SYMBOL, "orderId": "5"}, -1022)
    counts = {"place": 1, "algo_place": 1, "algo_refused": 1, "amend": 1}
    assert dict(bench.register.requests) == counts
    assert bench.register.rejections == {"-1022": 1}


def test_a_market_order_far_from_the_mark_is_refused(bench):
    bench.market.marks_by_symbol[SYMBOL] = 500_000
    assert refusal(bench.place, "BUY", "MARKET", "0.010") == -4131
    assert bench.place("SELL", "MARKET", "0.010").status == "FILLED"
