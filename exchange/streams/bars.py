"""Build candlesticks of every interval from trades, and keep the last of each.

A trade changes the running minute alone; longer intervals are the minutes put together when one
ends, or when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from exchange.streams.names import DAY_MS, INTERVALS_MS, MINUTE_MS

BARS_KEPT = 1_500  # per interval: as many as the venue gives in one answer, a day of minutes too
MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday of the epoch
NO_TRADE = -1  # first and last id of a bar without trades


class Bar:
    """Be one candlestick: prices in ticks, volume in lots, cost in ticks times lots.

    `buy_lot` and `buy_cost` are those of the takers who bought.
    """

    __slots__ = (
        *("buy_cost", "buy_lot", "close", "cost", "count", "first_id", "high", "last_id", "low"),
        *("open", "open_ms", "volume_lot"),
    )

    def __init__(self, open_ms: int, price: int) -> None:
        self.open_ms = open_ms
        self.open = self.high = self.low = self.close = price
        self.first_id = self.last_id = NO_TRADE
        self.volume_lot = self.cost = self.count = self.buy_lot = self.buy_cost = 0

    def add(self, trade_id: int, price: int, quantity_lot: int, buyer_is_maker: bool) -> None:
        """Take one trade."""
        if self.count == 0:
            self.open = self.high = self.low = price
            self.first_id = trade_id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.last_id = trade_id
        self.count += 1
        self.volume_lot += quantity_lot
        self.cost += price * quantity_lot
        if not buyer_is_maker:
            self.buy_lot += quantity_lot
            self.buy_cost += price * quantity_lot


def joined(first: Bar, second: Bar) -> Bar:
    """Return two bars that follow one another as one, `first` being the earlier."""
    # The flat price of a time without trades is none of the others': it opens no longer bar.
    earlier = first if first.count else second
    later = second if second.count else earlier
    bar = Bar(first.open_ms, earlier.open)
    bar.close = later.close
    bar.high = max(earlier.high, later.high)
    bar.low = min(earlier.low, later.low)
    bar.first_id = first.first_id if first.count else second.first_id
    bar.last_id = second.last_id if second.count else first.last_id
    bar.count = first.count + second.count
    bar.volume_lot = first.volume_lot + second.volume_lot
    bar.cost = first.cost + second.cost
    bar.buy_lot = first.buy_lot + second.buy_lot
    bar.buy_cost = first.buy_cost + second.buy_cost
    return bar


def opening_ms(interval: str, time_ms: int) -> int:
    """Return when the bar of a moment opened; weeks begin on Monday, months on the first, UTC."""
    if interval == "1M":
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000
    length = INTERVALS_MS[interval]
    offset = MONDAY_MS if interval == "1w" else 0
    return time_ms - (time_ms - offset) % length


def closing_ms(interval: str, open_ms: int) -> int:
    """Return the last millisecond of the bar that opened at `open_ms`."""
    if interval == "1M":
        return opening_ms("1M", open_ms + 32 * DAY_MS) - 1
    return open_ms + INTERVALS_MS[interval] - 1


class Bars:
    """Hold one price's bars of all intervals."""

    def __init__(self) -> None:
        self._closed: dict[str, deque[Bar]] = {i: deque(maxlen=BARS_KEPT) for i in INTERVALS_MS}
        self._longer: dict[str, Bar] = {}  # interval -> its closed minutes so far
        self._minute: Bar | None = None
        self._minute_end_ms = 0
        self._window: tuple[int, Bar | None] = (-1, None)
        self.version = 0  # changes with every trade and every end of a minute

    def add(
        self, time_ms: int, trade_id: int, price: int, quantity_lot: int, buyer_is_maker: bool
    ) -> None:
        """Take a trade; times that go backwards count for the running minute."""
        minute = self._minute
        if minute is None:
            open_ms = time_ms - time_ms % MINUTE_MS
            minute = self._minute = Bar(open_ms, price)
            self._minute_end_ms = open_ms + MINUTE_MS
        elif time_ms >= self._minute_end_ms:
            minute = self.roll(time_ms)
        assert minute is not None, "there is a minute after the first trade"
        minute.add(trade_id, price, quantity_lot, buyer_is_maker)
        self.version += 1

    def roll(self, now_ms: int) -> Bar | None:
        """End the minutes that are over; one without trades repeats the price before it.

        Loop bound: the minutes since the last call.
        """
        while self._minute is not None and now_ms >= self._minute_end_ms:
            self._end_minute(self._minute)
        return self._minute

    def _end_minute(self, ended: Bar) -> None:
        next_ms = self._minute_end_ms
        self._closed["1m"].append(ended)
        for interval in INTERVALS_MS:
            if interval == "1m":
                continue
            running = self._longer.get(interval)
            if running is None:
                running = joined(ended, Bar(ended.open_ms, ended.close))
                running.open_ms = opening_ms(interval, ended.open_ms)
            else:
                running = joined(running, ended)
            if closing_ms(interval, running.open_ms) < next_ms:
                self._closed[interval].append(running)
                self._longer.pop(interval, None)
            else:
                self._longer[interval] = running
        self._minute = Bar(next_ms, ended.close)
        self._minute_end_ms = next_ms + MINUTE_MS
        self.version += 1

    def current(self, interval: str) -> Bar | None:
        """Return the running bar, None before the first trade."""
        minute = self._minute
        if minute is None or interval == "1m":
            return minute
        longer = self._longer.get(interval)
        bar = joined(longer, minute) if longer is not None else joined(minute, minute_end(minute))
        bar.open_ms = opening_ms(interval, minute.open_ms)
        return bar

    def closed(self, interval: str) -> deque[Bar]:
        """Return the closed bars, oldest first."""
        return self._closed[interval]

    def between(self, interval: str, start_ms: int, end_ms: int) -> Iterator[Bar]:
        """Yield the bars that open from `start_ms` to `end_ms`, oldest first."""
        for bar in self._closed[interval]:
            if start_ms <= bar.open_ms <= end_ms:
                yield bar
        current = self.current(interval)
        if current is not None and start_ms <= current.open_ms <= end_ms:
            yield current

    def day(self, now_ms: int) -> Bar:
        """Return the last 24 hours as one bar: 1440 whole minutes and the running one.

        Before the first trade it is an empty bar of price 0.
        """
        minute = self._minute
        if minute is None:
            return Bar(now_ms, 0)
        if self._window[0] != minute.open_ms:
            self._window = (minute.open_ms, self._whole_minutes(minute.open_ms - DAY_MS))
        whole = self._window[1]
        return minute if whole is None else joined(whole, minute)

    def _whole_minutes(self, since_ms: int) -> Bar | None:
        closed = self._closed["1m"]
        whole: Bar | None = None
        for bar in islice(closed, max(0, len(closed) - 1_440), None):
            if bar.open_ms >= since_ms:
                whole = bar if whole is None else joined(whole, bar)
        return whole


def minute_end(minute: Bar) -> Bar:
    """Return an empty bar that follows a minute and leaves it as it is when joined."""
    return Bar(minute.open_ms, minute.close)
