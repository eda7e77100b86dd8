"""Orders, moves, fundings, modes and liquidations in any order: the account stays true."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from still_market import StillMarket

from exchange.errors import VenueError
from exchange.instruments import E8
from exchange.markets.marks import Funding
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.funding import book_funding
from exchange.trading.income import INSURANCE_CLEAR
from exchange.trading.liquidation import Liquidator
from exchange.trading.modes import AccountModes
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

SYMBOL = "BTCUSDT"
REFUSALS = {-2019, -2022, -2027, -2028, -4005, -4028, -4059, -4061, -4067, -4068, -4131, -4164}
QUIET = SimpleNamespace(account_changed=lambda *told: None)

ORDER = st.tuples(
    st.just("order"),
    st.sampled_from(("BUY", "SELL")),
    st.integers(1, 3_000),
    st.sampled_from(("BOTH", "LONG", "SHORT")),
    st.booleans(),
)
REST = st.tuples(
    st.just("rest"),
    st.sampled_from(("BUY", "SELL")),
    st.integers(1, 300),
    st.sampled_from(("BOTH", "LONG", "SHORT")),
    st.booleans(),
)
MOVE = st.tuples(st.just("move"), st.integers(-40_000, 40_000))
FUND = st.tuples(st.just("fund"), st.integers(-2_000_000, 2_000_000))
MODE = st.tuples(st.just("mode"), st.booleans())
LEVERAGE = st.tuples(st.just("leverage"), st.integers(1, 125))


class Scene:
    """One desk in a market that the steps move."""

    def __init__(self) -> None:
        self.market = StillMarket()
        self.account = Account(
            self.market.instruments.values(), 5_000 * E8, 20_000, 50_000, self.market.mark_tick
        )
        self.register = Register()
        events = UserEvents(Hub(), lambda: 1_000)
        self.desk = Desk(self.market, self.account, self.register, events, lambda: 1_000)
        self.market.sink = self.desk
        self.modes = AccountModes(self.account, self.register, events, self.desk.algo.open_orders)
        self.liquidator = Liquidator(self.desk, lambda order: None)

    def order(self, side: str, lot: int, leg: str, reduce_only: bool, price: str = "") -> None:
        text = self.market.instruments[SYMBOL].quantity_text(lot)
        params = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": text}
        if price:
            params.update(type="LIMIT", timeInForce="GTC", price=price)
        if self.account.is_dual_side:
            params["positionSide"] = leg
        else:
            params["reduceOnly"] = str(reduce_only).lower()
        self.desk.place(params)

    def rest(self, side: str, lot: int, leg: str, reduce_only: bool) -> None:
        bid, ask = self.market.quotes[SYMBOL]
        tick = bid - 500 if side == "BUY" else ask + 500
        price = self.market.instruments[SYMBOL].price_text(tick)
        self.order(side, lot, leg, reduce_only, price)

    def move(self, ticks: int) -> None:
        bid, ask = self.market.quotes[SYMBOL]
        if bid + ticks > 100_000:
            self.market.set(SYMBOL, bid + ticks, ask + ticks)

    def fund(self, rate_e8: int) -> None:
        mark_tick = self.market.mark_tick(SYMBOL)
        book_funding(self.account, QUIET, [Funding(SYMBOL, 1_000, rate_e8, mark_tick)])

    def mode(self, is_dual_side: bool) -> None:
        self.modes.set_dual_side(is_dual_side)

    def leverage(self, leverage: int) -> None:
        self.modes.set_leverage(SYMBOL, leverage)

    def check(self) -> None:
        account = self.account
        trades = self.register.trades.get(SYMBOL, [])
        rows = account.income.rows
        assert account.wallet_e8 == sum(row.amount_e8 for row in rows)
        for (_, side), position in account.positions.items():
            own = [t for t in trades if t.order.position_side == side]
            assert position.realised_e8 == sum(t.realised_e8 for t in own)
            assert position.quantity_lot == sum(t.order.side * t.quantity_lot for t in own)
        used = {p.position_side for p in account.open_positions()}
        assert used <= ({"LONG", "SHORT"} if account.is_dual_side else {"BOTH"})
        if used:
            assert account.margin_balance_e8() >= account.maintenance_all_e8()
        else:
            assert account.wallet_e8 >= 0
        paid = -sum(row.amount_e8 for row in rows if row.kind == INSURANCE_CLEAR)
        assert self.liquidator.insurance_e8 == paid
        refused = sum(self.register.rejections.values())
        assert self.register.asked == len(self.register.orders) + refused


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(ORDER, ORDER, REST, MOVE, MOVE, FUND, MODE, LEVERAGE), max_size=30),
    st.sampled_from((10**9, 50)),
    st.booleans(),
)
def test_account_stays_true(steps, lot, is_dual_side):
    scene = Scene()
    scene.market.lot = lot
    scene.account.is_dual_side = is_dual_side
    for name, *values in steps:
        try:
            getattr(scene, name)(*values)
        except VenueError as error:
            assert error.code in REFUSALS, error
        scene.liquidator.check()
        scene.check()
