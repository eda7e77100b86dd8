"""The account: exact positions, fees, realised profit and margin; decimal texts; signatures."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.instruments import INSTRUMENTS, inferred_instrument, parse_scaled, scaled_text
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder, Trade
from exchange.trading.account import Account

BTC = INSTRUMENTS["BTCUSDT"]


def account(mark_tick: int = 640_000) -> Account:
    return Account([BTC], 10_000 * 10**8, 20_000, 50_000, lambda symbol: mark_tick)


def order(side: int, price_tick: int, lot: int, reduce_only: bool = False) -> ClientOrder:
    return ClientOrder(BTC, 1, "c", side, "LIMIT", "GTC", price_tick, lot, reduce_only, 0)


def fill(held: Account, side: int, price_tick: int, lot: int, is_maker: bool = False) -> Trade:
    trade = Trade(order(side, price_tick, lot), 1, price_tick, lot, is_maker, 0)
    held.apply(trade)
    return trade


def test_round_trip_by_hand():
    held = account()
    # 0.002 BTC at 64000.0 and out at 64100.5: 0.201 USDT profit, fees 0.05 % of each notional.
    opened = fill(held, BUY, 640_000, 2)
    closed = fill(held, SELL, 641_005, 2)
    assert opened.fee_e8 == 6_400_000
    assert closed.fee_e8 == 6_410_050
    assert closed.realised_e8 == 20_100_000
    assert held.wallet_e8 == 10_000 * 10**8 + 20_100_000 - 6_400_000 - 6_410_050


def test_flip_and_maker_fee():
    held = account()
    fill(held, SELL, 640_000, 3)
    flip = fill(held, BUY, 639_000, 5, is_maker=True)
    position = held.position("BTCUSDT")
    assert flip.realised_e8 == 3 * 1_000 * BTC.lot_value_e8
    assert (position.quantity_lot, position.cost) == (2, 2 * 639_000)
    assert flip.fee_e8 == BTC.notional_e8(639_000, 5) * 2 // 10_000
    assert position.entry_text() == "63900.00000"


def test_margin_counts_the_worse_side():
    held = account()
    fill(held, BUY, 640_000, 100)
    one = BTC.notional_e8(640_000, 100)
    assert held.position_margin_e8("BTCUSDT") == one // 20
    assert held.initial_margin_e8("BTCUSDT", [order(SELL, 640_000, 100)]) == one // 20
    assert held.initial_margin_e8("BTCUSDT", [order(BUY, 640_000, 100)]) == 2 * one // 20
    assert held.initial_margin_e8("BTCUSDT", [order(SELL, 640_000, 300)]) == 2 * one // 20
    closing = [order(SELL, 640_000, 300, reduce_only=True)]
    assert held.initial_margin_e8("BTCUSDT", closing) == one // 20


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((BUY, SELL)), st.integers(600_000, 680_000), st.integers(1, 40)),
        max_size=40,
    )
)
def test_wallet_reconciles_to_the_last_digit(steps):
    held = account()
    trades = [fill(held, *step) for step in steps]
    position = held.position("BTCUSDT")
    assert position.quantity_lot == sum(side * lot for side, _, lot in steps)
    paid = sum(t.fee_e8 for t in trades)
    realised = sum(t.realised_e8 for t in trades)
    assert held.wallet_e8 == 10_000 * 10**8 + realised - paid
    # Whatever the path: cash in minus cash out is what was realised less what is still held.
    cash = sum(-side * price * lot for side, price, lot in steps) * BTC.lot_value_e8
    assert realised == cash + position.cost * BTC.lot_value_e8
    if position.quantity_lot:
        exact = Fraction(position.cost, position.quantity_lot)
        assert min(p for _, p, _ in steps) <= exact <= max(p for _, p, _ in steps)
    else:
        assert position.cost == 0


@given(st.integers(0, 10**15), st.integers(0, 8))
def test_decimal_text_round_trip(value, decimals):
    assert parse_scaled(scaled_text(value, decimals), decimals) == value


@pytest.mark.parametrize("text", ["", ".", "-1", "1e3", "abc", "1.2.3", "１"])
def test_what_is_no_decimal_number(text):
    with pytest.raises(ValueError, match="not a decimal"):
        parse_scaled(text, 3)


def test_prices_print_as_the_venue_prints_them():
    assert BTC.price_text(639_439) == "63943.90"
    assert BTC.quantity_text(46_372) == "46.372"
    assert INSTRUMENTS["BNBUSDT"].price_text(60_012) == "600.120"
    assert inferred_instrument("NEWUSDT", 4, 1).price_text(12) == "0.0012"


def test_min_notional_allows_a_base_position():
    assert all(i.min_notional <= 50 for i in INSTRUMENTS.values())
