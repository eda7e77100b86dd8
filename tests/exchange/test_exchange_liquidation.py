"""Margin calls and liquidations in a market that stands still until the test moves it."""

from __future__ import annotations

import orjson
import pytest
from still_market import StillMarket

from exchange.errors import VenueError
from exchange.instruments import E8
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.income import COMMISSION, INSURANCE_CLEAR, REALIZED_PNL
from exchange.trading.liquidation import Liquidator
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents


class Ears(UserEvents):
    """Keep the events instead of sending them."""

    def __init__(self) -> None:
        super().__init__(Hub(), lambda: 1_000)
        self.heard: list[dict] = []

    def _has_reader(self) -> bool:
        return True

    def _send(self, event: dict[str, object]) -> None:
        self.heard.append(orjson.loads(orjson.dumps(event)))

    def kinds(self) -> list[str]:
        return [event["e"] for event in self.heard]


class Venue:
    """A desk with a liquidator."""

    def __init__(self, balance: int = 100, symbols: tuple[str, ...] = ("BTCUSDT",)) -> None:
        self.market = StillMarket(symbols)
        self.account = Account(
            self.market.instruments.values(), balance * E8, 20_000, 50_000, self.market.mark_tick
        )
        self.events = Ears()
        self.desk = Desk(self.market, self.account, Register(), self.events, lambda: 1_000)
        self.market.sink = self.desk
        self.forced: list[ClientOrder] = []
        self.liquidator = Liquidator(self.desk, self.forced.append)

    def place(self, side: str, quantity: str, price: str = "", **more: str) -> ClientOrder:
        params = {"symbol": "BTCUSDT", "side": side, "quantity": quantity, "type": "MARKET", **more}
        if price:
            params.update(type="LIMIT", price=price, timeInForce="GTC")
        return self.desk.place(params)[0]

    def sum_e8(self, kind: str) -> int:
        return sum(row.amount_e8 for row in self.account.income.rows if row.kind == kind)


def test_margin_call_comes_once_and_again_after_relief():
    venue = Venue()
    venue.place("BUY", "0.030")
    assert not venue.liquidator.check()
    assert "MARGIN_CALL" not in venue.events.kinds()
    # 0.03 BTC from 64000.5: at 61015.0 the balance is 9.475 and the maintenance margin 7.32, at
    # 61000.0 they are 9.025 and 7.32: 81 %.
    venue.market.set("BTCUSDT", 610_145, 610_155)
    assert not venue.liquidator.check()
    assert "MARGIN_CALL" not in venue.events.kinds()
    venue.market.set("BTCUSDT", 609_995, 610_005)
    for _ in range(3):
        assert not venue.liquidator.check()
    assert venue.events.kinds().count("MARGIN_CALL") == 1
    call = next(event for event in venue.events.heard if event["e"] == "MARGIN_CALL")
    (row,) = call["p"]
    assert " ".join(row) == "s ps pa mt iw mp up mm"
    assert " ".join(row.values()) == (
        "BTCUSDT BOTH 0.030 CROSSED 0 61000.00 -90.01500000 7.32000000"
    )
    assert call["cw"] == "99.03999250"
    venue.market.set("BTCUSDT", 639_995, 640_005)
    venue.liquidator.check()
    venue.market.set("BTCUSDT", 609_995, 610_005)
    venue.liquidator.check()
    assert venue.events.kinds().count("MARGIN_CALL") == 2


def test_liquidation_in_a_liquid_market():
    venue = Venue()
    venue.place("BUY", "0.030")
    resting = venue.place("SELL", "0.010", "66000.00")
    # At 60940.0 the balance is 7.225 and the maintenance margin 7.3128.
    venue.market.set("BTCUSDT", 609_395, 609_405)
    assert venue.liquidator.check()
    assert resting.status == "EXPIRED"
    told = [e["o"] for e in venue.events.heard if e["e"] == "ORDER_TRADE_UPDATE"][-2:]
    assert [(o["o"], o["x"], o["X"]) for o in told] == [
        ("LIQUIDATION", "NEW", "NEW"),
        ("LIQUIDATION", "CALCULATED", "FILLED"),
    ]
    (order,) = venue.forced
    # Bankruptcy: 60940.0 − 7.2249925 / 0.03 = 60699.1669, up to the tick; sold at the bid.
    assert (order.status, order.side_text, order.kind) == ("FILLED", "SELL", "LIMIT")
    assert order.time_in_force == "IOC"
    assert order.client_order_id.startswith("autoclose-")
    assert order.price_text() == "60699.20"
    assert order.average_text() == "60939.50000"
    assert venue.account.held_lot("BTCUSDT") == 0
    loss = -30 * (640_005 - 609_395) * 10_000
    fees = -96_000_750 - 91_409_250
    assert venue.sum_e8(REALIZED_PNL) == loss
    assert venue.sum_e8(COMMISSION) == fees
    # 1.25 % of 1828.185 is 22.85, but only what is left can be taken.
    left = 100 * E8 + loss + fees
    assert 0 < left < 22 * E8
    assert venue.sum_e8(INSURANCE_CLEAR) == -left
    assert venue.account.wallet_e8 == 0
    assert venue.liquidator.insurance_e8 == left
    assert not venue.liquidator.check()
    # What the venue does by itself is no request of a client.
    requests, entries = venue.desk.register.requests, venue.desk.register.entries
    assert (dict(requests), dict(entries)) == ({"place": 2}, {"liquidation": 1})
    assert venue.desk.register.asked == venue.desk.register.accepted == 3


def test_insurance_pays_what_a_gap_takes():
    venue = Venue()
    venue.place("SELL", "0.030")
    venue.market.set("BTCUSDT", 699_995, 700_005)
    assert venue.liquidator.check()
    (order,) = venue.forced
    # The book's ask is beyond the bankruptcy price, so the fund takes all of it there.
    assert (order.side_text, order.status) == ("BUY", "FILLED")
    assert order.executed_lot == order.quantity_lot == 30
    assert order.average_text() == order.price_text() + "000"
    assert order.price_tick < 699_995
    rows = [row for row in venue.account.income.rows if row.kind == INSURANCE_CLEAR]
    assert sum(row.amount_e8 for row in rows) > 0
    assert venue.account.wallet_e8 == 0
    reasons = [event["a"]["m"] for event in venue.events.heard if event["e"] == "ACCOUNT_UPDATE"]
    assert reasons[-2:] == ["ORDER", "INSURANCE_CLEAR"]


def test_thin_book_gives_the_rest_to_the_fund():
    venue = Venue()
    venue.place("BUY", "0.030")
    venue.market.set("BTCUSDT", 609_395, 609_405)
    venue.market.lot = 12
    venue.liquidator.check()
    (order,) = venue.forced
    assert order.status == "FILLED"
    assert order.cost == 12 * 609_395 + 18 * order.price_tick
    assert venue.account.wallet_e8 >= 0
    assert venue.account.held_lot("BTCUSDT") == 0


def test_largest_position_goes_first_and_the_fee_takes_the_next():
    venue = Venue(balance=260, symbols=("BTCUSDT", "ETHUSDT"))
    venue.market.set("ETHUSDT", 339_995, 340_005)
    venue.place("BUY", "0.100", symbol="ETHUSDT")
    venue.place("BUY", "0.060")
    venue.market.set("BTCUSDT", 599_395, 599_405)
    assert venue.liquidator.check()
    # The clearance fee of 0.06 BTC, 44.95, is more than the 12.28 that are left.
    assert [order.instrument.symbol for order in venue.forced] == ["BTCUSDT", "ETHUSDT"]
    assert not any(venue.account.open_positions())
    assert venue.account.wallet_e8 == 0


def test_hedged_legs_are_liquidated_as_legs():
    venue = Venue()
    venue.account.is_dual_side = True
    venue.place("BUY", "0.028", positionSide="LONG")
    venue.place("SELL", "0.001", positionSide="SHORT")
    venue.market.set("BTCUSDT", 599_995, 600_005)
    assert venue.liquidator.check()
    legs = {(order.position_side, order.side_text) for order in venue.forced}
    assert ("LONG", "SELL") in legs
    assert all(p.quantity_lot == 0 for p in venue.account.open_positions())
    assert venue.account.wallet_e8 >= 0


@pytest.mark.parametrize("quote", [(0, 0), (639_995, 0)])
def test_without_a_price_nobody_is_liquidated(quote):
    venue = Venue()
    venue.place("BUY", "0.030")
    venue.market.mark_tick = lambda symbol: 0  # as `Marks` says before there is a book
    venue.market.set("BTCUSDT", *quote)
    assert not venue.liquidator.check()
    assert venue.account.held_lot("BTCUSDT") == 30


def test_while_the_book_of_a_held_symbol_is_invalid_the_check_waits(monkeypatch):
    venue = Venue(symbols=("BTCUSDT", "ETHUSDT"))
    venue.place("BUY", "0.030")
    venue.market.set("BTCUSDT", 609_395, 609_405)
    shut = {"BTCUSDT"}

    def check_open(symbol: str) -> None:
        if symbol in shut:
            raise VenueError(-1008)

    monkeypatch.setattr(venue.market, "check_open", check_open)
    assert not venue.liquidator.check()
    assert (venue.account.held_lot("BTCUSDT"), venue.forced) == (30, [])
    shut.clear()
    shut.add("ETHUSDT")  # of which nothing is held
    assert venue.liquidator.check()
    assert venue.account.held_lot("BTCUSDT") == 0
