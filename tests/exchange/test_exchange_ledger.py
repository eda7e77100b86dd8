"""Any sequence of fills, fundings, modes and leverages: the wallet is the sum of its history."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.instruments import E8, INSTRUMENTS
from exchange.markets.marks import Funding
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder, Trade
from exchange.trading.account import Account
from exchange.trading.brackets import brackets_of
from exchange.trading.funding import book_funding
from tests.naive.exchange_account import NaiveAccount

BTC = INSTRUMENTS["BTCUSDT"]
TICK, LOT = Fraction(1, 10), Fraction(1, 1000)
START_E8 = 10_000 * E8
MAKER_E8, TAKER_E8 = 20_000, 50_000
TABLE = [(row.cap, Fraction(row.maintenance_ppm, 10**6)) for row in brackets_of("BTCUSDT")]
QUIET = SimpleNamespace(account_changed=lambda *told: None)

FILL = st.tuples(
    st.just("fill"),
    st.sampled_from((BUY, SELL)),
    st.integers(500_000, 800_000),
    st.integers(1, 400),
    st.booleans(),
    st.booleans(),
)
FUND = st.tuples(st.just("fund"), st.integers(-2_000_000, 2_000_000), st.integers(500_000, 800_000))
MODE = st.tuples(st.just("mode"), st.booleans())
LEVERAGE = st.tuples(st.just("leverage"), st.integers(1, 125))


class Pair:
    """The account and its twin, given the same."""

    def __init__(self) -> None:
        self.mark = 640_000
        self.account = Account([BTC], START_E8, MAKER_E8, TAKER_E8, lambda symbol: self.mark)
        self.twin = NaiveAccount(TICK, LOT, Fraction(10_000))

    def fill(self, side: int, price: int, lot: int, is_maker: bool, on_short: bool) -> None:
        leg = ("SHORT" if on_short else "LONG") if self.account.is_dual_side else "BOTH"
        held = self.account.held_lot("BTCUSDT", leg)
        if (leg == "LONG" and side == SELL) or (leg == "SHORT" and side == BUY):
            lot = min(lot, abs(held))  # as the desk cuts what closes a leg
        if lot == 0:
            return
        others = [p for p in self.account.positions.values() if p.position_side != leg]
        before = [(p.quantity_lot, p.cost, p.realised_e8) for p in others]
        order = ClientOrder(
            BTC, 1, "c", side, "LIMIT", "GTC", price, lot, False, 0, position_side=leg
        )
        self.account.apply(Trade(order, 1, price, lot, is_maker, 0))
        rate = Fraction(MAKER_E8 if is_maker else TAKER_E8, E8)
        self.twin.fill(leg[0], side, price * TICK, lot * LOT, rate)
        assert before == [(p.quantity_lot, p.cost, p.realised_e8) for p in others]

    def fund(self, rate_e8: int, mark: int) -> None:
        book_funding(self.account, QUIET, [Funding("BTCUSDT", 0, rate_e8, mark)])
        self.twin.fund(Fraction(rate_e8, E8), mark * TICK)

    def change_mode(self, is_dual_side: bool) -> None:
        if not any(self.account.open_positions()):
            self.account.is_dual_side = is_dual_side

    def check(self) -> None:
        account, twin = self.account, self.twin
        rows = [(row.kind, Fraction(row.amount_e8, E8)) for row in account.income.rows]
        assert rows == [("TRANSFER", Fraction(10_000)), *twin.history]
        assert Fraction(account.wallet_e8, E8) == sum(amount for _, amount in rows) == twin.wallet
        for (_, side), position in account.positions.items():
            held = twin.legs[side[0]]
            assert position.quantity_lot * LOT == held["size"]
            assert position.cost * TICK * LOT == held["cost"]
            assert Fraction(position.realised_e8, E8) == twin.realised[side[0]]
        mark = self.mark * TICK
        assert Fraction(account.unrealised_e8(), E8) == twin.unrealised(mark)
        initial = twin.initial(mark, account.leverage("BTCUSDT"))
        assert Fraction(account.initial_margin_e8("BTCUSDT", ()), E8) == initial
        needed = Fraction(account.maintenance_all_e8(), E8)
        exact = twin.maintenance(mark, TABLE)
        assert exact <= needed <= exact + Fraction(2, E8)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(FILL, FILL, FILL, FUND, MODE, LEVERAGE), max_size=40))
def test_wallet_is_its_history_whatever_happens(steps):
    pair = Pair()
    for kind, *values in steps:
        if kind == "fill":
            pair.fill(*values)
        elif kind == "fund":
            pair.fund(*values)
        elif kind == "mode":
            pair.change_mode(*values)
        else:
            pair.account.set_leverage("BTCUSDT", *values)
        pair.check()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((BUY, SELL)), st.integers(630_000, 650_000), st.integers(1, 900)),
        min_size=1,
        max_size=8,
    )
)
def test_liquidation_price_is_where_the_margin_ends(fills):
    pair = Pair()
    for side, price, lot in fills:
        pair.fill(side, price, lot, False, False)
    position = pair.account.position("BTCUSDT")
    text = pair.account.liquidation_text("BTCUSDT")
    expected = None
    if position.quantity_lot:
        expected = pair.twin.end_of_margin(TABLE, 10**9)
    if expected is None:
        assert text == "0"
    else:
        assert abs(Fraction(text) - expected) <= Fraction(1, 10**6)
