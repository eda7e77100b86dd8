"""Margin by hand: brackets, initial margin, liquidation and break-even prices, leverage."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from exchange.errors import VenueError
from exchange.instruments import E8, INSTRUMENTS, Instrument
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder, Trade
from exchange.streams.hub import Hub
from exchange.trading import brackets, margin
from exchange.trading.account import Account
from exchange.trading.modes import AccountModes
from exchange.trading.positions import Position
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

BTC = INSTRUMENTS["BTCUSDT"]


def account(mark_tick: int = 640_000, balance: int = 10_000) -> Account:
    return Account([BTC], balance * E8, 20_000, 50_000, lambda symbol: mark_tick)


def order(
    side: int, price_tick: int, lot: int, position_side: str = "BOTH", reduce_only: bool = False
) -> ClientOrder:
    terms = (BTC, 1, "c", side, "LIMIT" if price_tick else "MARKET", "GTC", price_tick, lot)
    return ClientOrder(*terms, reduce_only, 0, position_side=position_side)


def fill(held: Account, side: int, price_tick: int, lot: int, position_side: str = "BOTH") -> Trade:
    trade = Trade(order(side, price_tick, lot, position_side), 1, price_tick, lot, False, 0)
    held.apply(trade)
    return trade


#     notional  bracket  leverage  ratio   cum      maintenance
BRACKETS = """
      50000         1       125    0.0040      0        200
      50001         2       100    0.0050     50        200.005
     600000         2       100    0.0050     50       2950
    3000000         3        75    0.0065    950      18550
   12000000         4        50    0.0100  11450     108550
   70000000         5        25    0.0200 131450    1268550
  100000000         6        20    0.0250 481450    2018550
"""


@pytest.mark.parametrize("line", BRACKETS.split("\n")[1:-1])
def test_brackets_of_btcusdt(line):
    notional, number, leverage, ratio, cum, maintenance = map(Fraction, line.split())
    row = brackets.bracket_at("BTCUSDT", int(notional) * E8)
    assert (row.number, row.leverage_max, row.cum) == (number, leverage, cum)
    assert Fraction(row.maintenance_ppm, 10**6) == ratio
    assert Fraction(brackets.maintenance_e8("BTCUSDT", int(notional) * E8), E8) == maintenance


@pytest.mark.parametrize("symbol", [*INSTRUMENTS, "NEWUSDT"])
def test_maintenance_margin_has_no_steps(symbol):
    rows = brackets.brackets_of(symbol)
    for row, following in pairwise(rows):
        end = row.cap * E8
        assert row.cap == following.floor
        assert row.maintenance_e8(end) == following.maintenance_e8(end)
        assert row.leverage_max > following.leverage_max
    assert (rows[0].floor, rows[0].cum, rows[-1].leverage_max) == (0, 0, 1)


# Position and orders in lots at 64000.0 (64 USDT a lot), leverage 20; * reduce-only.
#  mode    position          orders                            margin in lots / 20
MARGINS = """
  one-way  BOTH:+100         -                                 100
  one-way  BOTH:+100         BOTH:+100                         200
  one-way  BOTH:+100         BOTH:-100                         100
  one-way  BOTH:+100         BOTH:-300                         200
  one-way  BOTH:+100         BOTH:-300*                        100
  one-way  BOTH:-50          BOTH:+20,BOTH:-70                 120
  one-way  -                 BOTH:+30,BOTH:-40                 40
  hedge    LONG:+100         -                                 100
  hedge    LONG:+100         SHORT:-100                        200
  hedge    LONG:+100         LONG:-100                         100
  hedge    LONG:+100         LONG:+10,LONG:-100,SHORT:-5       115
  hedge    LONG:+80,SHORT:-60  -                               140
  hedge    LONG:+80,SHORT:-60  SHORT:+60,LONG:+1               141
"""


@pytest.mark.parametrize("line", MARGINS.split("\n")[1:-1])
def test_initial_margin_counts_the_worse_side(line):
    mode, positions, orders, expected = line.split()
    held = account()
    held.is_dual_side = mode == "hedge"
    for text in positions.split(",") if positions != "-" else ():
        side, lot = text.split(":")
        fill(held, BUY if int(lot) > 0 else SELL, 640_000, abs(int(lot)), side)
    resting = []
    for text in orders.split(",") if orders != "-" else ():
        side, lot = text.rstrip("*").split(":")
        way = BUY if int(lot) > 0 else SELL
        resting.append(order(way, 640_000, abs(int(lot)), side, text.endswith("*")))
    assert held.initial_margin_e8("BTCUSDT", resting) == int(expected) * 64 * E8 // 20


def test_liquidation_price_of_the_venues_example(monkeypatch):
    # Venue: "How to Calculate Liquidation Price": wallet 1535443.01, 109.488 BTC at 32481.98 and
    # 3683.979 ETH at 1456.84, marks 31967.27 and 1335.18: BTC liquidates at 26316.89.
    coin = Instrument("BTCUSDT", 2, 1, 3, 1, 1, 5, 10**9, 1)
    row = brackets.Bracket(1, 20, 0, 10**9, 25_000, 16_300)
    monkeypatch.setattr(margin, "bracket_at", lambda symbol, notional: row)
    position = Position(coin)
    position.fill(BUY, 3_248_198, 109_488)
    others = -44_819_289_000_000 // 1 - 35_651_250_800_000
    text = margin.liquidation_price_text([position], 3_196_727, 153_544_301_000_000, others)
    assert round(Fraction(text), 2) == Fraction("26316.89")


# One position in the first bracket (0.4 %), wallet after its fee of 0.05 %; prices by
# hand: p = (wallet − q * entry) / (|q| * 0.004 − q), wallet as left after the fee.
#  balance  side   lots   entry     price                      hand
LIQUIDATIONS = """
   100      LONG    30    64000.0   60942.43641232             (99.04 − 1920) / (0.00012 − 0.03)
   100      SHORT   30    64000.0   67033.20053121             (99.04 + 1920) / (0.00012 + 0.03)
   10000    LONG    30    64000.0   0                          more wallet than the position costs
"""


@pytest.mark.parametrize("line", LIQUIDATIONS.split("\n")[1:-1])
def test_liquidation_price_by_hand(line):
    balance, side, lots, entry, price = line.split()[:5]
    held = account(balance=int(balance))
    way = BUY if side == "LONG" else SELL
    fill(held, way, BTC.price_tick(entry), int(lots))
    assert Fraction(held.liquidation_text("BTCUSDT")) == Fraction(price)


def test_hedged_legs_share_a_liquidation_price():
    held = account(balance=100)
    held.is_dual_side = True
    fill(held, BUY, 640_000, 30, "LONG")
    fill(held, SELL, 640_000, 10, "SHORT")
    # wallet 100 − 1.28 fees; (98.72 − 1920 + 640) / (0.00012 + 0.00004 − 0.02)
    expected = (Fraction("98.72") - 1280) / (Fraction("0.00016") - Fraction("0.02"))
    assert abs(Fraction(held.liquidation_text("BTCUSDT")) - expected) <= Fraction(1, 10**8)


def test_break_even_price_has_the_fees_paid():
    held = account()
    fill(held, BUY, 640_000, 10)
    # 64000 * 1.0005
    assert held.position("BTCUSDT").break_even_text() == "64032.00000"
    fill(held, SELL, 650_000, 5)
    assert held.position("BTCUSDT").break_even_text() == "64032.00000"
    fill(held, SELL, 650_000, 15)
    # 10 lots short at 65000.0, their part of the fee is two thirds of 15 * 65 * 0.0005
    assert held.position("BTCUSDT").break_even_text() == "64967.50000"
    fill(held, BUY, 650_000, 10)
    assert held.position("BTCUSDT").break_even_text() == "0.0"


def test_order_cost_has_the_open_loss():
    # 100 USDT at 20x: 2000 USDT of position, less what the order would lose at the mark.
    held = account(balance=100)
    held.check_margin(order(BUY, 640_000, 31), lambda symbol: [])
    with pytest.raises(VenueError) as caught:
        held.check_margin(order(BUY, 640_000, 32), lambda symbol: [])
    assert caught.value.code == -2019
    # 31 lots at 64050.0: 99.2775 of margin and 31 * 0.05 = 1.55 of loss are more than 100.
    with pytest.raises(VenueError) as caught:
        held.check_margin(order(BUY, 640_500, 31), lambda symbol: [])
    assert caught.value.code == -2019
    held.check_margin(order(SELL, 640_500, 31), lambda symbol: [])
    # A market buy costs the best ask and 0.05 %: 31 lots at 64032.0 lose 31 * 0.032 = 0.992.
    with pytest.raises(VenueError):
        held.check_margin(order(BUY, 0, 31), lambda symbol: [], 640_000)
    held.check_margin(order(BUY, 0, 30), lambda symbol: [], 640_000)


def modes(held: Account, waiting: tuple[str, ...] = ()) -> tuple[AccountModes, Register]:
    register, events = Register(), UserEvents(Hub(), lambda: 0)

    def waiting_of(symbol: str) -> list[str]:
        return [each for each in waiting if each == symbol]

    return AccountModes(held, register, events, waiting_of), register


#  held lots  balance  from  to   answer
LEVERAGES = """
   0          100      20    0    -4028
   0          100      20    126  -4028
   0          100      20    125  50000
   0          100      20    21   70000000
   0          100      20    1    1800000000
   30         10000    20    10   230000000
   30         100      20    10   -2028
   30         100      20    19   -2028
   780        10000    20    125  50000
   790        10000    20    125  -2027
   790        10000    20    100  600000
"""


@pytest.mark.parametrize("line", LEVERAGES.split("\n")[1:-1])
def test_leverage_and_its_cap(line):
    lots, balance, before, wanted, answer = map(int, line.split())
    held = account(balance=balance)
    held.set_leverage("BTCUSDT", before)
    if lots:
        fill(held, BUY, 640_000, lots)
    changing, _ = modes(held)
    if answer > 0:
        assert changing.set_leverage("BTCUSDT", wanted) == answer
        assert held.leverage("BTCUSDT") == wanted
    else:
        with pytest.raises(VenueError) as caught:
            changing.set_leverage("BTCUSDT", wanted)
        assert (caught.value.code, held.leverage("BTCUSDT")) == (answer, before)


def test_position_beyond_the_bracket_is_refused():
    held = account(balance=10_000)
    held.set_leverage("BTCUSDT", 125)
    with pytest.raises(VenueError) as caught:
        held.check_margin(order(BUY, 640_000, 800), lambda symbol: [])
    assert caught.value.code == -2027


def test_position_mode_changes_only_when_nothing_is_open():
    held = account()
    changing, register = modes(held)
    resting = order(BUY, 600_000, 1)

    def code(is_dual_side: bool) -> int:
        with pytest.raises(VenueError) as caught:
            changing.set_dual_side(is_dual_side)
        return caught.value.code

    assert code(False) == -4059
    register.add(resting)
    assert code(True) == -4067
    register.close(resting)
    fill(held, BUY, 640_000, 1)
    assert code(True) == -4068
    fill(held, SELL, 640_000, 1)
    changing, _ = modes(held, waiting=("BTCUSDT",))
    assert code(True) == -4067
    changing, _ = modes(held)
    changing.set_dual_side(True)
    assert held.is_dual_side
    assert code(True) == -4059


#  margin type  open   code
MARGIN_TYPES = """
   CROSSED      -      -4046
   ISOLATED     -      -4084
   ISOLATED     order  -4047
   ISOLATED     held   -4048
   SHARED       -      -1130
"""


@pytest.mark.parametrize("line", MARGIN_TYPES.split("\n")[1:-1])
def test_margin_type_is_crossed(line):
    margin_type, is_open, code = line.split()
    held = account()
    changing, register = modes(held)
    if is_open == "order":
        register.add(order(BUY, 600_000, 1))
    if is_open == "held":
        fill(held, BUY, 640_000, 1)
    with pytest.raises(VenueError) as caught:
        changing.set_margin_type("BTCUSDT", margin_type)
    assert caught.value.code == int(code)
