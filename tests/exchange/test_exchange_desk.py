"""The desk on a live flow, in one process: whatever is asked of it, the account stays true."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import VenueError
from exchange.instruments import INSTRUMENTS
from exchange.markets.synthetic import SyntheticMarket
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

SYMBOL = "BTCUSDT"
START_E8 = 1_000_000 * 10**8


def clock_ms() -> int:
    return 1_000


def new_desk(seed: int) -> tuple[Desk, SyntheticMarket]:
    hub = Hub()
    instrument = INSTRUMENTS[SYMBOL]
    market = SyntheticMarket(hub, [instrument], seed, 120.0, None, clock_ms)
    account = Account([instrument], START_E8, 20_000, 50_000, market.mark_tick)
    desk = Desk(market, account, Register(), UserEvents(hub, clock_ms), clock_ms)
    market.sink = desk
    market.symbols[SYMBOL].sink = desk
    return desk, market


def check(desk: Desk, market: SyntheticMarket) -> None:
    register, account = desk.register, desk.account
    position = account.position(SYMBOL)
    trades = register.trades.get(SYMBOL, [])
    assert position.quantity_lot == sum(t.order.side * t.quantity_lot for t in trades)
    realised = sum(t.realised_e8 for t in trades)
    assert account.wallet_e8 == START_E8 + realised - sum(t.fee_e8 for t in trades)
    for order in register.orders.values():
        own = [t for t in trades if t.order is order]
        assert order.executed_lot == sum(t.quantity_lot for t in own) <= order.quantity_lot
        assert order.cost == sum(t.quantity_lot * t.price_tick for t in own)
        assert (order.status == "FILLED") == (order.executed_lot == order.quantity_lot)
        if order.is_open:
            assert market.symbols[SYMBOL].book.order_at(order.slot) is order
            assert order.remaining_lot == order.quantity_lot - order.executed_lot
            if order.reduce_only:
                assert position.quantity_lot * order.side < 0
                assert order.remaining_lot <= abs(position.quantity_lot)
    refused = sum(register.rejections.values())
    assert register.asked == len(register.orders) + refused


STEP = st.tuples(
    st.sampled_from(("LIMIT", "LIMIT", "LIMIT", "MARKET", "CANCEL", "FLOW")),
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(("GTC", "GTC", "IOC", "FOK", "GTX")),
    st.integers(-30, 10),  # ticks better than the opposite best
    st.integers(1, 600),  # lots
    st.booleans(),  # reduce-only
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.lists(STEP, min_size=5, max_size=40))
def test_account_stays_true(seed, steps):
    desk, market = new_desk(seed)
    instrument = INSTRUMENTS[SYMBOL]
    for kind, side, time_in_force, offset, lot, reduce_only in steps:
        if kind == "FLOW":
            for _ in range(lot):
                market.symbols[SYMBOL].step()
        elif kind == "CANCEL":
            for order in desk.register.open_orders(SYMBOL)[:1]:
                desk.cancel({"orderId": str(order.order_id)}, SYMBOL)
        else:
            bid, ask = market.best(SYMBOL)
            price = ask + offset if side == "BUY" else bid - offset
            params = {
                "symbol": SYMBOL,
                "side": side,
                "type": kind,
                "quantity": instrument.quantity_text(lot),
                "reduceOnly": str(reduce_only).lower(),
            }
            if kind == "LIMIT":
                params.update(timeInForce=time_in_force, price=instrument.price_text(price))
            held = desk.account.held_lot(SYMBOL)
            try:
                desk.place(params)
            except VenueError as error:
                assert error.code in (-2019, -2022, -4131, -4164, -5021, -5022)
            after = desk.account.held_lot(SYMBOL)
            if reduce_only:
                assert abs(after) <= abs(held)
                assert after * held >= 0
        check(desk, market)


def test_own_orders_do_not_trade_with_each_other():
    desk, market = new_desk(1)
    bid, _ = market.best(SYMBOL)
    others_lot = market.symbols[SYMBOL].book.total(1, bid)
    instrument = INSTRUMENTS[SYMBOL]
    limit = {"symbol": SYMBOL, "type": "LIMIT", "price": instrument.price_text(bid)}
    resting, _ = desk.place({**limit, "side": "BUY", "timeInForce": "GTC", "quantity": "0.010"})
    assert resting.is_open
    sold = instrument.quantity_text(others_lot + 5)
    taker, _ = desk.place({**limit, "side": "SELL", "timeInForce": "IOC", "quantity": sold})
    assert (resting.status, resting.executed_lot) == ("EXPIRED_IN_MATCH", 0)
    assert (taker.status, taker.executed_lot) == ("EXPIRED", others_lot)
    assert desk.account.held_lot(SYMBOL) == -others_lot
    check(desk, market)
