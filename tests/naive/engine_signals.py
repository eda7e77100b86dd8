"""The eight signals from whole histories: every sum is taken anew over all that has happened.

The twin of engine/venue_clock.py, observations.py, rsi.py and signals.py. Nothing is kept but lists
of what came in, so nothing can be carried over wrongly.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from engine.reasons import Refusal
from shm.records import EventFlag, EventKind, Factor
from tests.naive.engine_book import NaiveBook
from tests.naive.engine_quarantine import LOTS, PRICES, NaiveGuard


def soft_sign(value: float) -> float:
    return value / (1 + abs(value))


def wilder(closes: list[int], period: int) -> list[float | None]:
    """Return the index after each close, None before a whole period of changes."""
    changes = [after - before for before, after in pairwise(closes)]
    found: list[float | None] = [None] * min(len(closes), period)
    gain = sum(max(c, 0) for c in changes[:period]) / period
    loss = sum(max(-c, 0) for c in changes[:period]) / period
    for index in range(period, len(changes) + 1):
        if index > period:
            gain = (gain * (period - 1) + max(changes[index - 1], 0)) / period
            loss = (loss * (period - 1) + max(-changes[index - 1], 0)) / period
        found.append(100 * gain / (gain + loss) if gain + loss > 0 else 50.0)
    return found


class NaiveSymbol:
    """One symbol's history and the scores that follow from it."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.book = NaiveBook()
        self.crossed_run = 0
        self.guard = NaiveGuard(settings, self.forget)

    def forget(self) -> None:
        """Start over: the book alone stays."""
        self.evaluated = 0
        self.trades: list[tuple[int, int, int, int]] = []  # ms, tick, lot, is_sell
        self.flows: list[tuple[int, float]] = []
        # Time, bid, its lots, ask, its lots; a bid of 0 says that from then on they are unknown.
        self.quotes: list[tuple[int, int, int, int, int]] = []
        self.quote_ms = 0
        self.imbalance: float | None = None
        self.depths: list[tuple[list[tuple[int, int]], list[tuple[int, int]]] | None] = [None]
        self.depth_flows: list[tuple[int, list[int]]] = []

    @property
    def now(self) -> int:
        return self.guard.clock

    def take(self, event: Any) -> bool:
        """Take an event in; return whether the signals are evaluated after it."""
        kind, delayed = int(event["kind"]), int(event["flags"]) & EventFlag.DELAYED
        names = ("price_tick", "quantity_lot", "ask_tick", "ask_lot", "venue_ns")
        tick, lot, ask, ask_lot, venue_ns = (int(event[name]) for name in names)
        if kind == EventKind.TRADE:
            taken = self.guard.prices(tick, tick, lot) and self.guard.time(venue_ns)
            if taken:
                is_sell = int(event["flags"]) & EventFlag.SIDE_ASK
                self.trades.append((self.now, tick, lot, is_sell))
        elif kind == EventKind.BEST:
            taken = self.guard.prices(tick, ask, lot, ask_lot, is_best=True)
            if not taken:
                self._forget_best()
            elif taken := self.guard.time(venue_ns):
                self._see_best(tick, lot, ask, ask_lot)
                self.quote_ms = self.now
        elif kind == EventKind.LEVEL:
            taken = self._take_level(event, tick, lot, venue_ns, bool(delayed))
        else:
            taken = False
            self._take_other(event, kind)
        if not taken or delayed:
            return False
        self.evaluated += 1
        self.guard.evaluated()
        return True

    def _take_other(self, event: Any, kind: int) -> None:
        self.book.take(event)
        if kind == EventKind.SNAPSHOT_BEGIN:
            self.crossed_run = 0
            self._forget_depth()
        elif kind == EventKind.SNAPSHOT_END:
            if self.book.is_valid and self._settles():
                self._see_depth()
        elif kind == EventKind.INVALID:
            self._forget_depth()
            self._forget_best()
        elif kind != EventKind.MARK:
            self.guard.refuse(Refusal.DROPPED if kind == EventKind.DROPPED else Refusal.KIND)

    def _take_level(self, event: Any, tick: int, lot: int, venue_ns: int, delayed: bool) -> bool:
        if not self.book.is_valid and not self.book.is_building:
            return False
        if tick not in PRICES or (lot and lot not in LOTS):
            self.guard.refuse(Refusal.QUANTITY if tick in PRICES else Refusal.PRICE)
            self._withdraw()
            return False
        if not self.book.take(event) or not self._settles():
            return False
        if not delayed and not self.guard.time(venue_ns):
            return False
        self._see_depth()
        return True

    def _settles(self) -> bool:
        bid, ask = self.book.best(0), self.book.best(1)
        if bid and ask and bid >= ask:
            self.crossed_run += 1
            if self.crossed_run >= 2:
                self.guard.refuse(Refusal.CROSSED_BOOK)
                self._withdraw()
            return False
        self.crossed_run = 0
        if not self.guard.book(bid, ask):
            self._withdraw()
            return False
        return True

    def _withdraw(self) -> None:
        self.book.is_valid = self.book.is_building = False
        self._forget_depth()

    def _forget_depth(self) -> None:
        self.imbalance = None
        self.depths.append(None)

    def _forget_best(self) -> None:
        self.quotes.append((self.now, 0, 0, 0, 0))

    def _see_best(self, bid: int, bid_lot: int, ask: int, ask_lot: int) -> None:
        if self.quotes and self.quotes[-1][1]:
            _, bid_0, bid_lot_0, ask_0, ask_lot_0 = self.quotes[-1]
            flow = (bid_lot if bid >= bid_0 else 0) - (bid_lot_0 if bid <= bid_0 else 0)
            flow += (ask_lot_0 if ask >= ask_0 else 0) - (ask_lot if ask <= ask_0 else 0)
            self.flows.append((self.now, flow))
        self.quotes.append((self.now, bid, bid_lot, ask, ask_lot))

    def _see_depth(self) -> None:
        count = self.settings.signals.book_levels
        bids, asks = self.book.levels(0, count), self.book.levels(1, count)
        self.imbalance = None
        if self.settings.signals.flow_levels > 1:
            self._see_depth_flow()
        if not bids or not asks:
            return
        bid = sum((count - k) * lot for k, (_, lot) in enumerate(bids))
        ask = sum((count - k) * lot for k, (_, lot) in enumerate(asks))
        self.imbalance = (bid - ask) / (bid + ask)
        if self.now - self.quote_ms >= 1000:
            if self.guard.is_near(bids[0][0], asks[0][0]):
                self._see_best(*bids[0], *asks[0])
            else:
                self._forget_best()

    def _see_depth_flow(self) -> None:
        # Per level: what was there and is not any more, against what was not there and is now.
        count = self.settings.signals.flow_levels
        after = (self.book.levels(0, count), self.book.levels(1, count))
        before = self.depths[-1]
        self.depths.append(after)
        if before is None:
            return
        events = []
        for level in range(count):
            flow = 0
            for sign, old, new in ((1, before[0], after[0]), (-1, before[1], after[1])):
                price_0, lot_0 = old[level] if level < len(old) else (-sign * math.inf, 0)
                price_1, lot_1 = new[level] if level < len(new) else (-sign * math.inf, 0)
                better, worse = sign * price_1 > sign * price_0, sign * price_1 < sign * price_0
                flow += sign * (lot_1 if better else -lot_0 if worse else lot_1 - lot_0)
            events.append(flow)
        self.depth_flows.append((self.now, events))

    # What the history says -------------------------------------------------------------------

    def _decayed(self, pairs: list[tuple[int, float]], tau_s: float) -> float:
        return math.fsum(x * math.exp((t - self.now) / 1000 / tau_s) for t, x in pairs)

    def _age_weight(self) -> float:
        return -math.expm1((self.trades[0][0] - self.now) / 60_000) if self.trades else 0.0

    def variance(self) -> float:
        prices = [trade[1] for trade in self.trades]
        steps = [(b - a) / a for a, b in pairwise(prices)]
        pairs = [(t[0], r * r) for t, r in zip(self.trades[1:], steps, strict=True)]
        return max(self._decayed(pairs, 60) / 60 / self._age_weight(), prices[-1] ** -2)

    def _price_before(self, buckets: int) -> int | None:
        wanted = self.now // 250 - buckets
        known = [price for t, price, _, _ in self.trades if t // 250 <= wanted]
        return known[-1] if known else None

    def momentum(self) -> float | None:
        if len(self.trades) < 3 or self._age_weight() == 0:
            return None
        t, before, _, _ = self.trades[-3]
        change = self.trades[-1][1] / before - 1
        return soft_sign(change / math.sqrt(self.variance() * max((self.now - t) / 1000, 1)))

    def acceleration(self) -> float | None:
        middle, oldest = self._price_before(20), self._price_before(40)
        if oldest is None or middle is None:
            return None
        velocity = self.trades[-1][1] / middle - 1
        slower = velocity - (middle / oldest - 1)
        return soft_sign((velocity + slower) / 2 / math.sqrt(self.variance() * 5))

    def order_flow(self) -> float | None:
        parts = []
        if self.trades:
            buy = self._decayed([(t, q) for t, _, q, s in self.trades if not s], 5)
            sell = self._decayed([(t, q) for t, _, q, s in self.trades if s], 5)
            parts.append((buy - sell) / (buy + sell + 1))
        if self.settings.signals.flow_levels > 1:
            if self.depth_flows:
                pairs = [(t, e) for t, events in self.depth_flows for e in events]
                gross = self._decayed([(t, abs(e)) for t, e in pairs], 5)
                parts.append(self._decayed(pairs, 5) / (gross + 1))
        elif sum(quote[1] > 0 for quote in self.quotes) > 1:
            gross = self._decayed([(t, abs(e)) for t, e in self.flows], 5)
            parts.append(self._decayed(self.flows, 5) / (gross + 1))
        return sum(parts) / len(parts) if parts else None

    def volume_ratio(self) -> float | None:
        if self._age_weight() == 0:
            return None
        volume = [(t, float(q)) for t, _, q, _ in self.trades]
        slow = self._decayed(volume, 60) / 60 / self._age_weight()
        return self._decayed(volume, 1) / slow if slow > 0 else None

    def volume_spike(self) -> float | None:
        ratio, limit = self.volume_ratio(), self.settings.scalping.volume_spike_ratio
        if ratio is None or ratio < limit:
            return None if ratio is None else 0.0
        net = self._decayed([(t, -q if s else q) for t, _, q, s in self.trades], 5)
        gross = self._decayed([(t, q) for t, _, q, _ in self.trades], 5)
        if abs(net) <= 1e-9 * gross:
            return 0.0
        return math.copysign(1 - limit / (2 * ratio), net)

    def book_imbalance(self) -> float | None:
        if self.imbalance is not None:
            return self.imbalance
        if not self.quotes or not self.quotes[-1][1]:
            return None
        _, _, bid, _, ask = self.quotes[-1]
        return (bid - ask) / (bid + ask)

    def ema(self, span: int) -> float:
        mean = float(self.trades[0][1])
        for _, price, _, _ in self.trades[1:]:
            mean += 2 / (span + 1) * (price - mean)
        return mean

    def ema_cross(self) -> float | None:
        signals = self.settings.signals
        if len(self.trades) < signals.ema_slow or self._age_weight() == 0:
            return None
        fast, slow = self.ema(signals.ema_fast), self.ema(signals.ema_slow)
        return soft_sign((fast - slow) / slow / math.sqrt(self.variance()))

    def closes(self) -> list[int]:
        """Return the closes of the seconds that are over, since the last gap of a minute."""
        bars: dict[int, int] = {}
        for t, price, _, _ in self.trades:
            if bars and t // 1000 - max(bars) > 60:
                bars = {}
            bars[t // 1000] = price
        return [price for second, price in bars.items() if second < self.now // 1000]

    def rsi(self) -> float | None:
        signals, closes = self.settings.signals, self.closes()
        values = wilder(closes, signals.rsi_period)
        if not values or values[-1] is None:
            return None
        score, value = 0.0, values[-1]
        known = [(c, v) for c, v in zip(closes, values, strict=True) if v is not None]
        if len(known) > 20:
            before, close = known[-21:-1][::-1], closes[-1]
            lowest = min(before, key=lambda pair: pair[0])
            highest = max(before, key=lambda pair: pair[0])
            if close < lowest[0] and value > lowest[1]:
                score += 0.5
            elif close > highest[0] and value < highest[1]:
                score -= 0.5
        low, high = signals.rsi_oversold, signals.rsi_overbought
        if value < low:
            score += 0.5 + 0.5 * (low - value) / low
        elif value > high:
            score -= 0.5 + 0.5 * (value - high) / (100 - high)
        return max(-1.0, min(1.0, score))

    def spread(self) -> float | None:
        if not self.quotes or not self.quotes[-1][1]:
            return None
        ends = [quote[0] for quote in self.quotes[1:]] + [self.now]
        # Ages are in time that was observed: it stands still while the best prices are unknown.
        stood = [
            (ask - bid, end - start)
            for (start, bid, _, ask, _), end in zip(self.quotes, ends, strict=True)
            if bid
        ]
        pairs, age_ms = [], 0
        for spread, length_ms in reversed(stood):
            weight = math.exp(-age_ms / 60_000) - math.exp(-(age_ms + length_ms) / 60_000)
            pairs.insert(0, (spread, weight))
            age_ms += length_ms
        total = math.fsum(weight for _, weight in pairs)
        if total <= 0:
            return None
        mean = math.fsum(s * w for s, w in pairs) / total
        variance = math.fsum((s - mean) ** 2 * w for s, w in pairs) / total
        deviation = (pairs[-1][0] - mean) / max(math.sqrt(variance), 0.5)
        flow = self.order_flow() or 0.0
        return -soft_sign(deviation) * ((flow > 0) - (flow < 0))

    def scores(self) -> list[float | None]:
        """Return the eight scores by Factor, None where a signal is not known."""
        return [getattr(self, factor.name.lower())() for factor in Factor]
