"""Whatever is asked of the desk, in whatever order, its invariants hold after every request."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_desk import SYMBOL, Bench

from exchange.errors import VenueError
from exchange.instruments import INSTRUMENTS
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder

MARK = 640_000
ENDS = {"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"}
ALGO_PATHS = {
    ("NEW",),
    ("NEW", "CANCELED"),
    ("NEW", "EXPIRED"),
    ("NEW", "TRIGGERING", "REJECTED"),
    ("NEW", "TRIGGERING", "TRIGGERED"),
    ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED"),
}
LOTS = (1, 2, 3, 7, 10, 24, 150_000)
TERMS = ("MARKET", "GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD", "QUEUE", "OPPONENT_5")
STP_MODES = ("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")
ALGO_KINDS = ("STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TRAILING_STOP_MARKET")
ALGO_EXTRAS = ("", "reduceOnly", "closePosition", "MARK_PRICE", "GTD")
ACTIONS = {"place": 10, "algo": 4, "amend": 3, "cancel": 2, "flow": 5, "mark": 1, "wait": 1}
ACTIONS["filters"] = 1


def draw_step(random: Random, is_dual_side: bool) -> tuple:
    """Draw one request or one act of the market; offsets are ticks from the middle."""
    kind = random.choices(list(ACTIONS), list(ACTIONS.values()))[0]
    side, lot = random.choice(("BUY", "SELL")), random.choice(LOTS)
    offset = random.randint(-6, 6)
    leg = random.choice(("LONG", "SHORT")) if is_dual_side else "BOTH"
    if kind == "place":
        reduce_only = not is_dual_side and random.random() < 0.25
        terms, stp = random.choice(TERMS), random.choice(STP_MODES)
        return kind, side, lot, offset, terms, reduce_only, stp, leg
    if kind == "algo":
        extra = random.choice(ALGO_EXTRAS)
        return kind, side, lot, offset, random.choice(ALGO_KINDS), extra, leg
    if kind == "amend":
        return kind, random.randint(0, 3), lot, offset
    if kind == "cancel":
        return kind, random.randint(0, 3), random.choice(("one", "one", "one", "all", "algo"))
    if kind == "flow":
        return kind, side, random.choice((1, 5, 20)), offset, random.random() < 0.4
    if kind == "mark":
        return kind, offset
    if kind == "wait":
        return kind, random.choice((1_000, 400_000, 900_000))
    return kind, random.choice((1, 1, 2)), random.choice((1, 1, 2))


class Judge:
    """Watch every acceptance and every fill from outside of the desk."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._fill, bench.desk.on_fill = bench.desk.on_fill, self._on_fill
        self._add, bench.register.add = bench.register.add, self._on_add
        self.refusals = 0
        self._seen = 0
        self._ended: set[int] = set()
        self._paths: dict[int, list[str]] = {}

    def _on_add(self, order: ClientOrder) -> None:
        self._add(order)
        rows = {r["filterType"]: r for r in self.bench.desk.filters[SYMBOL].as_json()}
        price, quantity = (
            Decimal(order.price_text()),
            Decimal(order.instrument.quantity_text(order.quantity_lot)),
        )
        mark = Decimal(order.instrument.price_text(self.bench.market.mark_tick(SYMBOL)))
        lots = rows["LOT_SIZE" if order.kind == "LIMIT" else "MARKET_LOT_SIZE"]
        assert 0 < quantity <= Decimal(lots["maxQty"])
        # What closes is shrunk to the position, which need not lie on a step that came later.
        if not order.is_closing:
            assert quantity >= Decimal(lots["minQty"])
            assert quantity % Decimal(lots["stepSize"]) == 0
            assert (price or mark) * quantity >= Decimal(rows["MIN_NOTIONAL"]["notional"])
        if order.kind == "LIMIT":
            bounds = rows["PRICE_FILTER"]
            assert Decimal(bounds["minPrice"]) <= price <= Decimal(bounds["maxPrice"])
            assert price % Decimal(bounds["tickSize"]) == 0 or order.price_match != "NONE"
            percent = rows["PERCENT_PRICE"]
            if order.side == BUY:
                assert price <= mark * Decimal(percent["multiplierUp"])
            else:
                assert price >= mark * Decimal(percent["multiplierDown"])
        assert len(self.bench.register.open[SYMBOL]) <= rows["MAX_NUM_ORDERS"]["limit"]

    def _on_fill(self, order: ClientOrder, price: int, lot: int, maker: bool, number: int) -> None:
        held = self.bench.account.held_lot(SYMBOL, order.position_side)
        if order.is_closing:
            assert held * order.side < 0, "a closing order fills only against a position"
            assert lot <= abs(held), "and never beyond it"
        self._fill(order, price, lot, maker, number)

    def check(self) -> None:
        register = self.bench.register
        refused = sum(register.rejections.values())
        assert register.asked == len(register.orders) + refused
        algo = self.bench.desk.algo
        asked = register.requests["algo_place"]
        assert asked == len(algo.orders) + register.requests["algo_refused"]
        assert refused <= self.refusals + len(algo.orders), "a refusal is told to whoever asked"
        trades = register.trades.get(SYMBOL, [])
        executed = dict.fromkeys(register.orders, 0)
        for trade in trades:
            executed[trade.order.order_id] += trade.quantity_lot
        self._read_events()
        for order in register.orders.values():
            assert order.executed_lot == executed[order.order_id] <= order.quantity_lot
            assert (order.order_id in self._ended) == (not order.is_open)
            assert order.is_open == (order.order_id in register.open[SYMBOL])
            assert order.is_open == (order in self.bench.market.resting[SYMBOL])
            assert (order.status == "FILLED") == (order.executed_lot == order.quantity_lot)
            if order.is_open and order.is_closing:
                held = self.bench.account.held_lot(SYMBOL, order.position_side)
                assert held * order.side < 0
                assert order.remaining_lot <= abs(held)
        self._check_algo()

    def _read_events(self) -> None:
        for event in self.bench.events.sent[self._seen :]:
            row = event.get("o", {})
            if event["e"] == "ORDER_TRADE_UPDATE":
                assert row["i"] not in self._ended, "nothing is told of an order after its end"
                if row["X"] in ENDS:
                    self._ended.add(row["i"])
            elif event["e"] == "ALGO_UPDATE":
                self._paths.setdefault(row["aid"], []).append(row["X"])
        self._seen = len(self.bench.events.sent)

    def _check_algo(self) -> None:
        algo = self.bench.desk.algo
        assert set(self._paths) == set(algo.orders)
        for algo_id, path in self._paths.items():
            assert tuple(path) in ALGO_PATHS
            order = algo.orders[algo_id]
            assert order.status == path[-1]
            assert (order in algo.open_orders(SYMBOL)) == (order.status == "NEW")
            if order.status in ("TRIGGERED", "FINISHED"):
                assert order.child.is_open == (order.status == "TRIGGERED")


def run(bench: Bench, step: tuple) -> None:
    kind, instrument = step[0], INSTRUMENTS[SYMBOL]
    if kind == "place":
        _, side, lot, offset, terms, reduce_only, stp, leg = step
        params = {"symbol": SYMBOL, "side": side, "quantity": instrument.quantity_text(lot)}
        params.update(selfTradePreventionMode=stp, positionSide=leg)
        if reduce_only:
            params["reduceOnly"] = "true"
        if terms == "MARKET":
            bench.desk.place({**params, "type": "MARKET"})
            return
        price = instrument.price_text(MARK + offset)
        if terms in ("QUEUE", "OPPONENT_5"):
            params.update(priceMatch=terms, timeInForce="GTC")
        else:
            params.update(price=price, timeInForce=terms)
        if terms == "GTD":
            params["goodTillDate"] = str(bench.time.ms + 700_000)
        bench.desk.place({**params, "type": "LIMIT"})
    elif kind == "algo":
        place_algo(bench, *step[1:])
    elif kind == "amend":
        orders = bench.register.open_orders(SYMBOL)
        if len(orders) > step[1]:
            order = orders[step[1]]
            params = {"symbol": SYMBOL, "orderId": str(order.order_id), "side": order.side_text}
            params["price"] = instrument.price_text(MARK + step[3])
            params["quantity"] = instrument.quantity_text(step[2])
            bench.desk.amendments.amend(params)
    elif kind == "cancel":
        cancel(bench, step[1], step[2])
    elif kind == "flow":
        _, side, lot, offset, takes = step
        if takes:
            bench.market.take(BUY if side == "BUY" else SELL, lot)
        else:
            bench.market.quote(BUY if side == "BUY" else SELL, MARK + offset, lot)
    elif kind == "mark":
        bench.market.marks_by_symbol[SYMBOL] = MARK + step[1]
        bench.desk.on_marks()
    elif kind == "wait":
        bench.time.advance(step[1])
    else:
        bench.desk.filters.change(SYMBOL, tick_step=step[1], lot_step=step[2])


def place_algo(bench: Bench, side: str, lot: int, offset: int, kind: str, extra: str, leg: str):
    instrument = INSTRUMENTS[SYMBOL]
    params = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": side, "type": kind}
    params.update(positionSide=leg, quantity=instrument.quantity_text(lot))
    price = instrument.price_text(MARK + offset)
    if kind == "TRAILING_STOP_MARKET":
        params.update(callbackRate="0.1")
    else:
        params.update(triggerPrice=price)
    if kind == "STOP":
        params.update(price=price)
    if extra == "closePosition":
        del params["quantity"]
    if extra == "GTD":
        params.update(timeInForce="GTD", goodTillDate=str(bench.time.ms + 700_000))
    elif extra == "MARK_PRICE":
        params["workingType"] = extra
    elif extra:
        params[extra] = "true"
    bench.desk.algo.place(params)


def cancel(bench: Bench, rank: int, what: str) -> None:
    if what == "all":
        bench.desk.cancel_all(SYMBOL)
    elif what == "algo":
        bench.desk.algo.cancel_all(SYMBOL)
    else:
        orders = bench.register.open_orders(SYMBOL)
        order_id = orders[rank].order_id if len(orders) > rank else 1
        bench.desk.cancel({"orderId": str(order_id)}, SYMBOL)


@settings(max_examples=2_000, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(20, 60))
def test_invariants_hold_after_any_requests(seed, count):
    """Hypothesis prints the seed of a failure and finds the shortest start of it that fails."""
    random = Random(seed)
    bench = Bench(quotes=6)
    bench.account.is_dual_side = is_dual_side = random.random() < 0.5
    judge = Judge(bench)
    for _ in range(count):
        try:
            run(bench, draw_step(random, is_dual_side))
        except VenueError:
            judge.refusals += 1
        judge.check()
    bench.desk.cancel_all(SYMBOL)
    bench.desk.algo.cancel_all(SYMBOL)
    judge.check()
    assert not bench.register.open.get(SYMBOL)
    assert bench.time.armed() == 0
    assert all(o.owner == 0 for o in bench.market.resting[SYMBOL])
