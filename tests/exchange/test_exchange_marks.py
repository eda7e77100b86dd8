"""Index, mark price and funding rate by hand, on a clock that the test moves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.instruments import E8, INSTRUMENTS
from exchange.markets.marks import Funding, Marks
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder, Trade
from exchange.trading.account import Account
from exchange.trading.funding import book_funding, funding_fee_e8
from exchange.trading.income import FUNDING_FEE

BTC = INSTRUMENTS["BTCUSDT"]
HOUR_MS = 3_600_000
NOON_MS = 20_000 * 24 * HOUR_MS + 12 * HOUR_MS


class Bench:
    """Marks with a clock, a quote and a last price in the test's hands."""

    def __init__(self, interval_ms: int = 8 * HOUR_MS) -> None:
        self.now_ms = NOON_MS
        self.quote = (639_995, 640_005)
        self.last = 0
        self.marks = Marks(
            [BTC],
            lambda symbol: self.quote,
            lambda symbol: self.last,
            lambda: self.now_ms,
            interval_ms=interval_ms,
        )

    def seconds(self, count: int) -> list[Funding]:
        due = []
        for _ in range(count):
            self.now_ms += 1_000
            due += self.marks.step()
        return due


def test_still_book():
    bench = Bench()
    view = bench.marks.view("BTCUSDT")
    # Half of the interval is to come: 64000 * (1 + 0.0001 * 0.5) = 64003.2; the basis is 0; the
    # last price stands for the middle: the median is 64000.0.
    assert view.index_e8 == 64_000 * E8
    assert view.mark_e8 == 64_000 * E8
    assert view.funding_rate_e8 == 10_000
    assert view.next_funding_ms == NOON_MS + 4 * HOUR_MS
    bench.last = 640_020
    assert bench.marks.tick("BTCUSDT") == 640_020
    bench.last = 650_000
    assert bench.marks.tick("BTCUSDT") == 640_032


def test_no_book_no_price():
    bench = Bench()
    bench.quote = (0, 640_005)
    assert bench.marks.tick("BTCUSDT") == 0
    assert bench.marks.view("BTCUSDT").mark_e8 == 0
    bench.now_ms += 8 * HOUR_MS
    assert bench.marks.step() == []


def test_index_follows_the_middle_with_five_seconds():
    bench = Bench()
    bench.marks.tick("BTCUSDT")
    bench.quote = (640_995, 641_005)
    bench.now_ms += 5_000
    moved = bench.marks.view("BTCUSDT").index_e8 - 64_000 * E8
    assert moved == round(100 * E8 * (1 - math.exp(-1)))
    bench.now_ms += 60_000
    assert abs(bench.marks.view("BTCUSDT").index_e8 - 64_100 * E8) < E8 // 1_000


def test_mark_does_not_follow_one_wild_trade():
    bench = Bench()
    bench.seconds(10)
    bench.last = 900_000
    assert bench.marks.tick("BTCUSDT") <= 640_064
    bench.last = 1
    assert bench.marks.tick("BTCUSDT") >= 640_000


# The premium stands still at p: F = p + clamp(0.01 % − p, ±0.05 %), within ± 2 %.
#  premium     rate (both 1e-8)
RATES = """
        0       10000
    10000       10000
    60000       10000
    60001       10001
   100000       50000
   -40000       10000
   -40001        9999
  -140000      -90000
  3000000     2000000
 -3000000    -2000000
"""


@pytest.mark.parametrize("line", RATES.split("\n")[1:-1])
def test_funding_rate_clamps_the_interest(line):
    premium, rate = map(int, line.split())
    bench = Bench()
    row = bench.marks._symbols["BTCUSDT"]
    row.premium_e8 = premium
    row.sample()
    row.sample()
    assert row.rate_e8() == rate


def test_later_premiums_weigh_more():
    row = Bench().marks._symbols["BTCUSDT"]
    for premium in (300_000, 600_000, 900_000):
        row.premium_e8 = premium
        row.sample()
    # (1 * 300000 + 2 * 600000 + 3 * 900000) / 6 = 700000, less 0.05 %
    assert row.rate_e8() == 650_000


def test_funding_is_due_at_the_interval():
    bench = Bench(interval_ms=10_000)
    due = bench.seconds(25)
    assert [row.time_ms for row in due] == [NOON_MS + 10_000, NOON_MS + 20_000]
    assert [row.rate_e8 for row in due] == [10_000, 10_000]
    assert bench.marks.history("BTCUSDT") == due
    # A clock that jumps pays once; one that jumps back does not wait for what it has left.
    bench.now_ms += 100_000
    assert len(bench.marks.step()) == 1
    bench.now_ms -= 90_000
    bench.marks.step()
    assert bench.marks.view("BTCUSDT").next_funding_ms - bench.now_ms <= 10_000


# 0.100 BTC at a mark of 64000.0 is 6400 USDT.
#  position   rate        paid
FEES = """
   +100       0.00010000   -0.64000000
   -100       0.00010000   +0.64000000
   +100      -0.00037500   +2.40000000
   -100      -0.00037500   -2.40000000
   +1         0.00010001   -0.00640064
"""


@pytest.mark.parametrize("line", FEES.split("\n")[1:-1])
def test_funding_fees_by_hand(line):
    lot, rate, paid = line.split()
    notional = BTC.notional_e8(640_000, int(lot))
    assert funding_fee_e8(notional, round(float(rate) * E8)) == round(float(paid) * E8)


class Told:
    """Remember what the user data stream would hear."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int]] = []

    def account_changed(self, account, reason, positions, change_e8):
        self.events.append((reason, len(list(positions)), change_e8))


def test_funding_is_booked_on_both_legs():
    held = Account([BTC], 10_000 * E8, 20_000, 50_000, lambda symbol: 640_000)
    held.is_dual_side = True
    for side, leg, lot in ((BUY, "LONG", 100), (SELL, "SHORT", 40)):
        order = ClientOrder(
            BTC, 1, "c", side, "LIMIT", "GTC", 640_000, lot, False, 0, position_side=leg
        )
        held.apply(Trade(order, 1, 640_000, lot, False, 0))
    before = held.wallet_e8
    told = Told()
    paid = book_funding(held, told, [Funding("BTCUSDT", 7, 10_000, 640_000)])
    assert paid == -64_000_000 + 25_600_000 == held.wallet_e8 - before
    rows = [row for row in held.income.rows if row.kind == FUNDING_FEE]
    assert [(row.amount_e8, row.time_ms) for row in rows] == [(-64_000_000, 7), (25_600_000, 7)]
    assert told.events == [("FUNDING_FEE", 0, paid)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(1, 50), st.integers(0, 9)), max_size=60)
)
def test_mark_stays_between_what_it_is_made_of(moves):
    bench = Bench(interval_ms=60_000)
    middle = 640_000
    lowest = highest = middle
    for move, spread, seconds in moves:
        middle += move
        bench.quote = (middle - spread, middle + spread)
        bench.last = middle + spread
        lowest, highest = min(lowest, middle), max(highest, middle)
        bench.seconds(seconds)
        view = bench.marks.view("BTCUSDT")
        assert lowest * E8 // 10 <= view.index_e8 <= highest * E8 // 10
        assert lowest * 0.98 - 50 <= bench.marks.tick("BTCUSDT") <= highest * 1.02 + 50
        assert bench.now_ms < view.next_funding_ms <= bench.now_ms + 60_000
