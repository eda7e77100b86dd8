"""Candlesticks, day statistics and the tape against their slow twins."""

from __future__ import annotations

import random

import pytest

from exchange.instruments import INSTRUMENTS
from exchange.streams import events
from exchange.streams.bars import BARS_KEPT, Bars, closing_ms, opening_ms
from exchange.streams.names import INTERVALS_MS
from exchange.streams.tape import TRADES_KEPT, Aggregate, Print, Tape
from tests.naive import exchange_bars as naive

START_MS = 1_772_236_799_000  # one second before 2026-02-28 00:00 UTC, a Saturday


def walk(seed: int, count: int, gap_ms: int) -> list[naive.Trade]:
    draw = random.Random(seed)
    time_ms, price, trades = START_MS, 640_000, []
    for number in range(count):
        time_ms += int(draw.expovariate(1 / gap_ms))
        price = max(1, price + draw.randrange(-30, 31))
        trades.append((time_ms, 1_000 + number, price, draw.randrange(1, 500), draw.random() < 0.5))
    return trades


def fields(bar: object, row: dict[str, int]) -> dict[str, int]:
    return {name: getattr(bar, name) for name in row}


@pytest.mark.parametrize(("seed", "count", "gap_ms"), [(1, 600, 7_000), (2, 300, 900_000)])
def test_bars_equal_the_naive_ones_after_every_few_trades(seed, count, gap_ms):
    trades = walk(seed, count, gap_ms)
    bars = Bars()
    for number, trade in enumerate(trades, start=1):
        bars.add(*trade)
        if number % 97 and number != count:
            continue
        for interval in INTERVALS_MS:
            wanted = naive.bars(trades[:number], interval, trade[0])[-BARS_KEPT - 1 :]
            got = list(bars.between(interval, 0, 1 << 62))[-BARS_KEPT - 1 :]
            assert [fields(bar, row) for bar, row in zip(got, wanted, strict=True)] == wanted


def test_time_without_trades_gives_flat_bars():
    bars = Bars()
    bars.add(START_MS, 1, 500, 3, False)
    bars.roll(START_MS + 5 * 60_000)
    rows = list(bars.between("1m", 0, 1 << 62))
    assert [row.count for row in rows] == [1, 0, 0, 0, 0, 0]
    assert {(row.open, row.high, row.low, row.close) for row in rows} == {(500,) * 4}
    assert [row.first_id for row in rows[1:]] == [-1] * 5


@pytest.mark.parametrize(("seed", "gap_ms"), [(3, 400_000), (4, 40_000)])
def test_the_day_equals_the_naive_one(seed, gap_ms):
    trades = walk(seed, 1_500, gap_ms)
    bars = Bars()
    for number, trade in enumerate(trades, start=1):
        bars.add(*trade)
        if number % 37 == 0:
            wanted = naive.day(trades[:number], trade[0])
            day = bars.day(trade[0])
            assert fields(day, wanted) == wanted


@pytest.mark.parametrize("interval", INTERVALS_MS)
def test_a_bar_ends_where_the_next_begins(interval):
    draw = random.Random(5)
    for _ in range(300):
        time_ms = draw.randrange(1_500_000_000_000, 1_900_000_000_000)
        first, after = naive.bounds(interval, time_ms)
        assert opening_ms(interval, time_ms) == first
        assert closing_ms(interval, first) == after - 1


def test_bars_and_tapes_are_bounded():
    bars, tape = Bars(), Tape()
    for number in range(BARS_KEPT + 400):
        bars.add(START_MS + number * 60_000, number, 100 + number % 7, 1, False)
    assert len(bars.closed("1m")) == BARS_KEPT
    for number in range(TRADES_KEPT + 10):
        tape.add(Print(number, 1, 1, number, True))
        tape.add_aggregate(Aggregate(number, 1, True, number, 0, number, number, 1))
    assert [t.trade_id for t in tape.trades(3)] == [TRADES_KEPT + 7 + i for i in range(3)]
    assert [t.trade_id for t in tape.trades(2, from_id=50)] == [50, 51]
    assert tape.trades(TRADES_KEPT * 2)[0].trade_id == 10
    assert [a.aggregate_id for a in tape.aggregates(2, from_id=99)] == [99, 100]
    assert [a.aggregate_id for a in tape.aggregates(2, start_ms=20, end_ms=40)] == [20, 21]
    assert [a.aggregate_id for a in tape.aggregates(2, end_ms=40)] == [39, 40]


def test_texts_of_averages_and_percents():
    draw = random.Random(6)
    instrument = INSTRUMENTS["BTCUSDT"]
    for _ in range(500):
        base, change = draw.randrange(1, 10**6), draw.randrange(-(10**6), 10**6)
        assert events.percent_text(change, base) == naive.percent(change, base)
    assert events.percent_text(5, 0) == "0.000"
    assert events.cost_text(instrument, 640_000 * 3) == "192.00000"
