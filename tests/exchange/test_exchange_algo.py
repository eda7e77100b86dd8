"""Conditional orders: what is refused, what triggers them, what they become, what is told."""

from __future__ import annotations

import pytest
from scripted_desk import SYMBOL, Bench, refusal

from exchange.matching.layout import BUY, SELL
from exchange.trading import algo_service
from exchange.trading.algo_orders import algo_json, algo_open_json, algo_query_json

STOP = {"triggerPrice": "63900"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


REFUSED = [
    ({"algoType": "TWAP"}, -1130),
    ({"algoType": ""}, -1102),
    ({"symbol": "FOOUSDT"}, -1121),
    ({"side": "LONG"}, -1117),
    ({"type": "LIMIT"}, -1116),
    ({"triggerPrice": ""}, -1102),
    ({"triggerPrice": "0"}, -4006),
    ({"triggerPrice": "-5"}, -4006),
    ({"triggerPrice": "63900.05"}, -4014),
    ({"triggerPrice": "63900.001"}, -1111),
    ({"triggerPrice": "4600000"}, -4007),
    ({"triggerPrice": "64100"}, -2021),  # a SELL stop above the price
    ({"quantity": ""}, -1102),
    ({"quantity": "0"}, -4003),
    ({"quantity": "121"}, -4005),
    ({"quantity": "0.0001"}, -1111),
    ({"quantity": "0.000"}, -4003),
    ({"price": "63000"}, -1106),
    ({"type": "STOP"}, -1102),
    ({"type": "STOP", "price": "0"}, -4001),
    ({"type": "STOP", "price": "63000", "priceMatch": "QUEUE"}, -1106),
    ({"type": "STOP", "priceMatch": "FOO"}, -5037),
    ({"priceMatch": "QUEUE"}, -5038),
    ({"workingType": "INDEX_PRICE"}, -4031),
    ({"timeInForce": "DAY"}, -1115),
    ({"timeInForce": "GTE_GTC"}, -4509),
    ({"timeInForce": "GTD"}, -1102),
    ({"positionSide": "SHORT"}, -4061),
    ({"positionSide": "UP"}, -4060),
    ({"selfTradePreventionMode": "FOO"}, -5039),
    ({"clientAlgoId": "a b"}, -1100),
    ({"clientAlgoId": "a" * 37}, -4015),
    ({"priceProtect": "maybe"}, -1130),
    ({"closePosition": "true"}, -4137),
    ({"closePosition": "true", "quantity": ""}, -4509),
    ({"closePosition": "true", "quantity": "", "reduceOnly": "true"}, -1106),
    ({"closePosition": "true", "quantity": "", "type": "STOP", "price": "63000"}, -4136),
    ({"type": "TRAILING_STOP_MARKET"}, -1102),
    ({"type": "TRAILING_STOP_MARKET", "callbackRate": "0"}, -2007),
    ({"type": "TRAILING_STOP_MARKET", "callbackRate": "10.1"}, -2007),
    ({"type": "TRAILING_STOP_MARKET", "callbackRate": "0.15"}, -2007),
    ({"type": "TRAILING_STOP_MARKET", "callbackRate": "1", "activatePrice": "63000"}, -2021),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_refusals(bench, changes, code):
    params = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET"}
    params.update(quantity="0.010", **STOP)
    assert refusal(bench.desk.algo.place, {**params, **changes}) == code
    assert bench.events.algo() == []
    assert not bench.desk.algo.is_waiting(SYMBOL)


def test_a_small_order_needs_reduce_only(bench):
    terms = {"triggerPrice": "40000", "quantity": "0.001"}
    assert refusal(bench.algo, "SELL", "STOP_MARKET", **terms) == -4164
    assert bench.algo("SELL", "STOP_MARKET", **terms, reduceOnly="true").status == "NEW"


TRIGGERS = [
    ("BUY", "STOP_MARKET", "64100", ("64099.9",), "64100"),
    ("SELL", "STOP_MARKET", "63900", ("63900.1", "64500"), "63899"),
    ("BUY", "TAKE_PROFIT_MARKET", "63900", ("63900.1", "64500"), "63900"),
    ("SELL", "TAKE_PROFIT_MARKET", "64100", ("64099.9", "63000"), "64200"),
]


@pytest.mark.parametrize(("side", "kind", "trigger", "before", "at"), TRIGGERS)
def test_it_waits_for_its_price(bench, side, kind, trigger, before, at):
    order = bench.algo(side, kind, triggerPrice=trigger)
    for price in before:
        bench.print_at(price)
    assert (order.status, bench.register.orders) == ("NEW", {})
    bench.print_at(at)
    assert (order.status, order.trigger_ms) == ("FINISHED", bench.time.ms)
    assert bench.held() == (10 if side == "BUY" else -10)
    assert bench.events.algo() == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    assert bench.events.orders() == [("NEW", "NEW"), ("TRADE", "FILLED")]
    assert not bench.desk.algo.is_waiting(SYMBOL)


def test_a_limit_child_rests_and_finishes_later(bench):
    order = bench.algo("BUY", "STOP", triggerPrice="64100", price="63950", clientAlgoId="mine")
    bench.print_at(64100)
    child = order.child
    assert (order.status, child.status, child.client_order_id) == ("TRIGGERED", "NEW", "mine")
    assert (child.kind, child.time_in_force, child.price_tick) == ("LIMIT", "GTC", 639_500)
    assert refusal(bench.desk.algo.cancel, {"clientAlgoId": "mine"}) == -2011
    body = algo_query_json(order)
    assert (body["actualOrderId"], body["actualType"]) == (str(child.order_id), "LIMIT")
    bench.desk.cancel({"orderId": str(child.order_id)}, SYMBOL)
    assert order.status == "FINISHED"
    assert bench.events.algo() == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]


def test_ordinary_queries_do_not_know_it(bench):
    order = bench.algo("SELL", "STOP_MARKET", **STOP, clientAlgoId="stop-1")
    for key, value in (("orderId", str(order.algo_id)), ("origClientOrderId", "stop-1")):
        assert refusal(bench.desk.query, {key: value}, SYMBOL) == -2013
        assert refusal(bench.desk.cancel, {key: value}, SYMBOL) == -2011
    assert bench.desk.cancel_all(SYMBOL) == 0
    bench.desk.countdown.set(SYMBOL, 10)
    bench.time.advance(10)
    assert order.status == "NEW"
    assert bench.desk.algo.query({"algoId": str(order.algo_id)}) is order
    assert refusal(bench.desk.algo.query, {"algoId": "1"}) == -2013
    assert refusal(bench.desk.algo.query, {}) == -1102
    assert bench.desk.algo.cancel_all(SYMBOL) == 1
    assert order.status == "CANCELED"
    assert refusal(bench.desk.algo.cancel, {"algoId": str(order.algo_id)}) == -2011


def test_client_algo_ids_are_unique_among_the_waiting(bench):
    bench.algo("SELL", "STOP_MARKET", **STOP, clientAlgoId="one")
    assert refusal(bench.algo, "SELL", "STOP_MARKET", **STOP, clientAlgoId="one") == -4116
    bench.desk.algo.cancel({"clientAlgoId": "one"})
    bench.algo("SELL", "STOP_MARKET", **STOP, clientAlgoId="one")


def test_there_is_a_limit_of_their_number(bench):
    limit = bench.desk.filters[SYMBOL].algo_orders_max
    for _ in range(limit):
        bench.algo("SELL", "STOP_MARKET", **STOP)
    assert refusal(bench.algo, "SELL", "STOP_MARKET", **STOP) == -4045


def test_mark_price_triggers(bench):
    order = bench.algo("SELL", "STOP_MARKET", **STOP, workingType="MARK_PRICE")
    bench.print_at(63000)
    bench.desk.on_marks()
    assert order.status == "NEW"
    bench.market.marks_by_symbol[SYMBOL] = 639_000
    bench.desk.on_marks()
    assert order.status == "FINISHED"


def test_price_protection_waits_until_mark_and_last_agree(bench):
    order = bench.algo("SELL", "STOP_MARKET", triggerPrice="60000", priceProtect="TRUE")
    bench.print_at(59000)  # the mark is still 64,000: 7.8 % away
    assert order.status == "NEW"
    bench.market.marks_by_symbol[SYMBOL] = 600_000
    bench.print_at(59500)
    assert order.status == "FINISHED"


def test_close_position_closes_whatever_is_there(bench):
    bench.place("BUY", "MARKET", "0.025")
    order = bench.algo("SELL", "STOP_MARKET", **STOP, closePosition="true")
    bench.place("BUY", "MARKET", "0.010")
    bench.print_at(63900)
    child = order.child
    assert (bench.held(), child.quantity_lot, child.close_position) == (0, 35, True)
    assert (child.reduce_only, order.status) == (True, "FINISHED")


def test_close_position_ends_with_the_position(bench):
    bench.place("BUY", "MARKET", "0.025")
    stop = bench.algo("SELL", "STOP_MARKET", **STOP, closePosition="true")
    profit = bench.algo(
        "SELL", "TAKE_PROFIT_MARKET", triggerPrice="64500", timeInForce="GTE_GTC", quantity="0.025"
    )
    other = bench.algo("SELL", "STOP_MARKET", **STOP, reduceOnly="true")
    bench.place("SELL", "MARKET", "0.020")
    assert (stop.status, profit.status) == ("NEW", "NEW")
    bench.place("SELL", "MARKET", "0.005")
    assert (stop.status, profit.status, other.status) == ("EXPIRED", "EXPIRED", "NEW")


def test_a_stop_that_fires_ends_the_other_one_of_the_position(bench):
    bench.place("BUY", "MARKET", "0.005")
    stop = bench.algo("SELL", "STOP_MARKET", **STOP, closePosition="true")
    second = bench.algo(
        "SELL", "STOP_MARKET", triggerPrice="63800", timeInForce="GTE_GTC", quantity="0.005"
    )
    bench.desk.on_trades(SYMBOL, 637_000, 640_000, 637_000)
    assert (stop.status, second.status, bench.held()) == ("FINISHED", "EXPIRED", 0)


def test_a_child_that_is_refused_is_told(bench):
    order = bench.algo("SELL", "STOP_MARKET", **STOP, reduceOnly="true")
    bench.print_at(63900)
    assert (order.status, order.child) == ("REJECTED", None)
    told = bench.events.sent[-1]["o"]
    assert (told["X"], told["rm"], told["ai"]) == ("REJECTED", "ReduceOnly Order is rejected.", "")
    register = bench.register
    assert (register.requests["place"], dict(register.entries)) == (0, {"triggered": 1})
    assert register.asked == register.accepted + sum(register.rejections.values())


SHUT_STOPS = [
    {"kind": "STOP_MARKET", "triggerPrice": "63900"},
    {"kind": "STOP_MARKET", "triggerPrice": "63900", "workingType": "MARK_PRICE"},
    {"kind": "TRAILING_STOP_MARKET", "callbackRate": "0.1"},
]


def bring_to(bench, price: int) -> None:
    bench.market.marks_by_symbol[SYMBOL] = price * 10
    bench.print_at(price)
    bench.desk.on_marks()


@pytest.mark.parametrize("terms", SHUT_STOPS)
def test_while_the_symbol_takes_no_orders_nothing_fires(bench, terms):
    """A stop that is reached meanwhile fires at the first price after, if that reaches it."""
    bench.place("BUY", "MARKET", "0.020")
    bring_to(bench, 64000)
    order = bench.algo("SELL", **terms)
    bench.market.shut.add(SYMBOL)
    bring_to(bench, 63800)
    assert (order.status, order.failure, bench.held()) == ("NEW", "", 20)
    bench.market.shut.clear()
    bring_to(bench, 63950)
    assert order.status == "NEW"
    bring_to(bench, 63899)
    assert (order.status, bench.held()) == ("FINISHED", 10)
    assert dict(bench.register.rejections) == {}


def test_one_close_position_order_of_a_kind_and_direction(bench):
    close = {"closePosition": "true"}
    bench.place("BUY", "MARKET", "0.010")
    stop = bench.algo("SELL", "STOP_MARKET", **STOP, **close)
    again = {"triggerPrice": "63000", "workingType": "MARK_PRICE", **close}
    assert refusal(bench.algo, "SELL", "STOP_MARKET", **again) == -4130
    profit = bench.algo("SELL", "TAKE_PROFIT_MARKET", triggerPrice="65000", **close)
    assert refusal(bench.algo, "SELL", "TAKE_PROFIT_MARKET", triggerPrice="66000", **close) == -4130
    bench.algo("SELL", "STOP_MARKET", **STOP)  # one with a quantity is not meant
    bench.desk.algo.cancel({"algoId": str(stop.algo_id)})
    assert bench.algo("SELL", "STOP_MARKET", **again).status == profit.status == "NEW"


def test_each_leg_has_its_own_close_position_orders(bench):
    bench.account.is_dual_side = True
    for side, other, leg, trigger in (
        ("BUY", "SELL", "LONG", "63000"),
        ("SELL", "BUY", "SHORT", "65000"),
    ):
        bench.place(side, "MARKET", "0.010", positionSide=leg)
        terms = {"triggerPrice": trigger, "positionSide": leg, "closePosition": "true"}
        order = bench.algo(other, "STOP_MARKET", **terms)
        assert (order.time_in_force, order.reduce_only) == ("GTE_GTC", False)
        assert refusal(bench.algo, other, "STOP_MARKET", **terms) == -4130


def test_a_close_position_order_is_told_as_good_till_the_position_ends(bench):
    bench.place("BUY", "MARKET", "0.010")
    order = bench.algo("SELL", "STOP_MARKET", **STOP, closePosition="true")
    told = bench.events.sent[-1]["o"]
    assert (told["f"], told["R"], told["cp"]) == ("GTE_GTC", True, True)
    for print_body in (algo_json, algo_query_json, algo_open_json):
        body = print_body(order)
        names = ("timeInForce", "reduceOnly", "closePosition")
        assert [body[name] for name in names] == ["GTE_GTC", True, True]


def test_of_ended_orders_the_last_are_kept(bench, monkeypatch):
    monkeypatch.setattr(algo_service, "CLOSED_ALGO_ORDERS_MAX", 3)
    bench = Bench()
    waiting = bench.algo("SELL", "STOP_MARKET", **STOP, clientAlgoId="waits")
    for number in range(8):
        bench.algo("BUY", "STOP_MARKET", triggerPrice="65000", clientAlgoId=f"id-{number % 4}")
        bench.desk.algo.cancel({"clientAlgoId": f"id-{number % 4}"})
    algo = bench.desk.algo
    assert len(algo.orders) == 4
    assert algo.query({"clientAlgoId": "waits"}) is waiting
    assert algo.query({"clientAlgoId": "id-3"}).algo_id == waiting.algo_id + 8
    assert refusal(algo.query, {"clientAlgoId": "id-0"}) == -2013
    assert refusal(algo.query, {"algoId": str(waiting.algo_id + 5)}) == -2013


def test_a_stop_beside_a_profit_fires_by_which_was_nearer(bench):
    """A step that reaches both closes the position by the one that it came to first."""
    bench.place("BUY", "MARKET", "0.010")
    stop = bench.algo("SELL", "STOP_MARKET", triggerPrice="63900", closePosition="true")
    profit = bench.algo("SELL", "TAKE_PROFIT_MARKET", triggerPrice="64500", closePosition="true")
    bench.print_at(64000)
    bench.desk.on_trades(SYMBOL, 639_000, 645_000, 641_000)
    assert (stop.status, profit.status) == ("FINISHED", "EXPIRED")


def test_good_till_date(bench):
    due_ms = bench.time.ms + 700_500
    order = bench.algo("SELL", "STOP_MARKET", **STOP, timeInForce="GTD", goodTillDate=due_ms)
    assert order.good_till_ms == due_ms // 1000 * 1000
    bench.time.advance(699_000)
    assert order.status == "NEW"
    bench.time.advance(2_000)
    assert (order.status, bench.time.armed()) == ("EXPIRED", 0)


def test_trailing_stop_follows_and_calls_back(bench):
    order = bench.algo("SELL", "TRAILING_STOP_MARKET", callbackRate="1", activatePrice="64100")
    for price in (64050, 63000):  # not activated: falling does nothing
        bench.print_at(price)
    bench.print_at(64100)
    assert order.extreme_tick == 641_000
    bench.print_at(65000)
    bench.print_at(64400)  # 0.92 % below the highest
    assert (order.status, order.extreme_tick) == ("NEW", 650_000)
    bench.print_at("64350.0")
    assert order.status == "FINISHED"


def test_trailing_buy_mirrors_it_and_is_active_at_once_by_default(bench):
    bench.print_at(64000)
    order = bench.algo("BUY", "TRAILING_STOP_MARKET", callbackRate="0.5")
    assert (order.activate_tick, order.extreme_tick) == (640_000, 640_000)
    for price in (63500, 63817):
        bench.print_at(price)
    assert (order.status, order.extreme_tick) == ("NEW", 635_000)
    bench.print_at("63817.5")
    assert order.status == "FINISHED"


def test_a_range_that_makes_a_new_high_and_ends_below_the_callback_fires(bench):
    bench.print_at(64000)
    order = bench.algo("SELL", "TRAILING_STOP_MARKET", callbackRate="1")
    bench.desk.on_trades(SYMBOL, 640_000, 660_000, 654_000)
    assert (order.status, order.extreme_tick) == ("NEW", 660_000)
    bench.desk.on_trades(SYMBOL, 654_000, 670_000, 663_000)
    assert order.status == "FINISHED"


def test_a_trade_of_our_own_triggers_after_the_request_is_over(bench):
    """The child enters only when the taker that moved the price has been dealt with."""
    bench.print_at(64000)
    stop = bench.algo("BUY", "STOP_MARKET", triggerPrice="64000.1", quantity="0.002")
    taker = bench.place("BUY", "LIMIT", "0.015", "64000.1", timeInForce="IOC")
    assert (taker.status, stop.status) == ("FILLED", "FINISHED")
    ids = [e["o"]["i"] for e in bench.events.sent if e["e"] == "ORDER_TRADE_UPDATE"]
    assert ids == sorted(ids), "no event of the taker after the child's first one"


def test_triggered_children_trigger_others_in_turn(bench):
    bench.print_at(64000)
    first = bench.algo("BUY", "STOP_MARKET", triggerPrice="64000.1", quantity="0.040")
    second = bench.algo("BUY", "STOP_MARKET", triggerPrice="64000.3", quantity="0.010")
    third = bench.algo("SELL", "TAKE_PROFIT_MARKET", triggerPrice="64000.5", quantity="0.010")
    bench.print_at("64000.1")
    assert [o.status for o in (first, second, third)] == ["FINISHED", "FINISHED", "NEW"]
    assert bench.held() == 50


def test_hedge_mode_takes_a_leg(bench):
    bench.account.is_dual_side = True
    bench.place("BUY", "MARKET", "0.010", positionSide="LONG")
    bench.place("SELL", "MARKET", "0.007", positionSide="SHORT")
    close = {"closePosition": "true"}
    assert refusal(bench.algo, "BUY", "STOP_MARKET", positionSide="LONG", **close) == -1128
    stop = bench.algo("SELL", "STOP_MARKET", **STOP, positionSide="LONG", **close)
    bench.print_at(63900)
    assert (stop.status, bench.held("LONG"), bench.held("SHORT")) == ("FINISHED", 0, -7)
    assert stop.child.reduce_only is False


def test_bodies_have_the_venue_s_fields(bench):
    order = bench.algo("SELL", "TRAILING_STOP_MARKET", callbackRate="2.5", activatePrice="65000")
    body = algo_json(order)
    assert (body["activatePrice"], body["callbackRate"]) == ("65000.00", "2.5")
    assert (body["algoStatus"], body["quantity"], body["icebergQuantity"]) == ("NEW", "0.010", None)
    plain = algo_json(bench.algo("SELL", "STOP_MARKET", **STOP))
    assert (plain["activatePrice"], plain["callbackRate"]) == ("", "")
    query = algo_query_json(order)
    assert (query["actualOrderId"], query["actualPrice"]) == ("", "0.00000")
    told = bench.events.sent[0]["o"]
    assert set(told) == {
        *("caid", "aid", "at", "o", "s", "S", "ps", "f", "q", "X", "ai", "ap", "aq", "act", "tp"),
        *("p", "V", "wt", "pm", "cp", "pP", "R", "tt", "gtd", "AP", "cr"),
    }


def test_flow_trades_reach_the_service(bench):
    order = bench.algo("SELL", "STOP_MARKET", triggerPrice="63999.5")
    bench.market.take(SELL, 45)
    assert order.status == "FINISHED"
    buy = bench.algo("BUY", "STOP_MARKET", triggerPrice="64000.2")
    bench.market.take(BUY, 30)
    assert buy.status == "FINISHED"
