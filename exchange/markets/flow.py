"""Model the order flow of a synthetic market: when the next event comes and what it is.

Arrivals excite one another (Hawkes process with an exponential kernel). Makers quote around a fair
value made of the common factor and the symbol's own noise; the touch stays where it is until the
fair value has left it by `STICKY_BPS`, then stale quotes are pulled or swept and the gap is closed.
Takers' sides persist: two slow chains, a short and a long one, hold the side that orders split.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from exchange.instruments import Instrument
from exchange.markets.regimes import BPS, Weather
from exchange.markets.shape import TOUCH_ORDERS, Shape
from exchange.matching.book import MatchingBook
from exchange.matching.layout import BUY, SELL
from exchange.matching.resting import RestingOrder

BRANCHING = 0.6  # share of the events that others have caused
DECAY = 12.0  # 1/s, so a cluster lasts about 0.2 s
EXCITATION_MAX = 4_000.0  # events/s
URGENCY = 40.0  # how much sooner something comes while the touch is stale or the spread wide
STICKY_BPS = 0.7
LEVELS_WANTED = 600  # a thinner side gets far quotes
LEVELS_MIN = 430  # a side as thin as this loses no level but at its touch
ORDERS_WANTED = 1_300
TOUCH_LEAN = 1.2  # log odds of joining the heavier side, per sticky distance of the fair value
SIDE_SHORT = (0.15, 0.60)  # weight and memory of a taker's side, by trades
SIDE_LONG = (0.36, 0.98)
TREND_LEAN = 0.4  # how often a long run of takers goes with the drift
TAKER_SIGMA = 2.1  # of the logarithm of a taker's size
SWEEP_SHARE = 0.35  # of the events at a stale touch; the rest pull quotes


@dataclass(frozen=True, slots=True)
class Action:
    """Be one step of the flow: place an order (`rests` or not), or cancel one."""

    order: RestingOrder
    rests: bool
    cancel: bool


class Flow:
    """Draw the events of one symbol; all randomness comes from seeded generators."""

    def __init__(self, instrument: Instrument, seed: int, rate: float, chain: str) -> None:
        self._random = random.Random(f"{seed}/{instrument.symbol}")
        self._instrument = instrument
        self.weather = Weather(seed, chain)
        self.shape = Shape(instrument, self._random)
        self._rate = rate
        self._excitation = 0.0
        self._log_start = math.log(instrument.base_tick)
        self._log_own = 0.0
        self._log_fair = self._log_start
        self._sides = [BUY, SELL]  # the held sides of the short and of the long chain
        self._chased = 0  # the side that fair value and touch are catching up with, 0 for none
        self._spread_tick = 1
        self._next_id = 1
        self._live: list[RestingOrder] = []
        self._sticky_tick = max(0.6, STICKY_BPS * BPS * instrument.base_tick)
        self.time_s = 0.0

    @property
    def fair_tick(self) -> float:
        """Return the fair value in ticks."""
        return math.exp(self._log_fair)

    def seed_orders(self) -> list[RestingOrder]:
        """Return the orders of the opening book."""
        depth = self.weather.regime.depth
        orders = []
        for side in (BUY, SELL):
            best = int(self.fair_tick) + (1 if side == SELL else 0)
            for distance in self.shape.opening_ticks():
                price = best - side * distance
                if price < 1:
                    break
                for _ in range(round(TOUCH_ORDERS) if distance == 0 else 1):
                    orders.append(self._order(side, price, self.shape.size(distance, depth)))
        return orders

    def advance(self, bid: int, ask: int) -> float:
        """Move to the next event; return its time in seconds of market time."""
        start_s = self.time_s
        urgent = self._follow(bid, ask) != 0 or ask - bid > self._spread_tick
        while True:
            bound = self._intensity(urgent)
            step_s = self._random.expovariate(bound)
            self.time_s += step_s
            self._excitation *= math.exp(-DECAY * step_s)
            if self._random.random() * bound <= self._intensity(urgent):
                break
        if not urgent:
            self._excitation = min(self._excitation + BRANCHING * DECAY, EXCITATION_MAX)
        self._move_fair(self.time_s - start_s)
        return self.time_s

    def act(self, book: MatchingBook) -> Action:
        """Return what the traders do now, given the book."""
        bid, bid_lot, ask, ask_lot = book.quote()
        if not bid or not ask:
            return self._open_side(BUY if not bid else SELL, bid, ask)
        if self._follow(bid, ask):
            return self._at_stale_touch(book, self._chased, bid, ask)
        if ask - bid > self._spread_tick and self._random.random() < 0.9:
            return self._close_spread(bid, ask)
        regime = self.weather.regime
        draw = self._random.random()
        if draw < regime.taker_share:
            return self._take(bid, ask)
        full = self.shape.best_lot * regime.depth
        # Cancels and adds balance at the wanted number of orders; a touch that is much too thick
        # for the regime sheds some first.
        cancels = max(0.3, min(0.56, 0.48 * book.order_count / ORDERS_WANTED))
        if bid_lot + ask_lot > 3.5 * full:
            cancels = 0.6
        if draw < regime.taker_share + cancels * (1.0 - regime.taker_share):
            victim = self._victim(book, (bid + ask) / 2.0)
            if victim is not None:
                return Action(victim, rests=False, cancel=True)
        return self._add(book, bid, ask, min(bid_lot, ask_lot) < full)

    def adopt(self, orders: list[RestingOrder]) -> None:
        """Take orders over as live ones."""
        self._live.extend(orders)

    def _intensity(self, urgent: bool) -> float:
        base = self._rate * self.weather.regime.activity * (1.0 - BRANCHING)
        return base * (URGENCY if urgent else 1.0) + self._excitation

    def _move_fair(self, step_s: float) -> None:
        common = self._instrument.beta * self.weather.advance(self.time_s)
        # The symbol's own noise comes with its events, not with time: busy spells move more.
        regime = self.weather.regime
        share = 0.5 * step_s + 0.5 / (self._rate * regime.activity)
        sigma = self._instrument.volatility * self.weather.volatility
        self._log_own += sigma * math.sqrt(share) * self._random.gauss(0.0, 1.0)
        self._log_own -= self._log_own * step_s / 7_200.0
        self._log_fair = self._log_start + common + self._log_own

    def _follow(self, bid: int, ask: int) -> int:
        """Return BUY while cheap asks are being taken away, SELL while dear bids are, else 0.

        It begins when the fair value has left the touch by the sticky distance, and ends when the
        touch has reached the fair value.
        """
        fair = self.fair_tick
        if ask and fair > ask + self._sticky_tick:
            self._chased = BUY
        elif bid and fair < bid - self._sticky_tick:
            self._chased = SELL
        elif self._chased and (ask >= fair if self._chased == BUY else bid <= fair):
            self._chased = 0
        return self._chased

    def _at_stale_touch(self, book: MatchingBook, side: int, bid: int, ask: int) -> Action:
        """Sweep what the fair value has passed, or pull it."""
        best = ask if side == BUY else bid
        if self._random.random() < SWEEP_SHARE:
            limit = max(1, math.floor(self.fair_tick) if side == BUY else math.ceil(self.fair_tick))
            wanted = self.shape.taker_lot(TAKER_SIGMA, 12.0)
            return Action(self._order(side, limit, wanted), rests=False, cancel=False)
        victim = book.first_order(-side, 0)
        if victim is None:  # only clients rest there: somebody takes them
            return Action(self._order(side, best, self.shape.best_lot), rests=False, cancel=False)
        return Action(victim, rests=False, cancel=True)

    def _close_spread(self, bid: int, ask: int) -> Action:
        """Quote inside a wide spread, on the side that is farther from the fair value."""
        regime = self.weather.regime
        if regime.spread_bps:
            wanted = regime.spread_bps * BPS * self.fair_tick
            self._spread_tick = 1 + int(self._random.expovariate(1.0 / wanted))
        else:
            self._spread_tick = 1
        fair = self.fair_tick
        side = BUY if fair - bid > ask - fair else SELL
        half = self._spread_tick / 2.0
        if side == BUY:
            price = max(bid + 1, min(ask - self._spread_tick, math.floor(fair - half + 1.0)))
        else:
            price = min(ask - 1, max(bid + self._spread_tick, math.ceil(fair + half - 1.0)))
        price = max(bid + 1, min(ask - 1, price))
        return self._rest(side, price, self.shape.size(0, regime.depth))

    def _take(self, bid: int, ask: int) -> Action:
        side = self._taker_side((bid + ask) / 2.0)
        order = self._order(side, ask if side == BUY else bid, self.shape.taker_lot(TAKER_SIGMA))
        return Action(order, rests=False, cancel=False)

    def _taker_side(self, middle: float) -> int:
        """Return the next taker's side: a held one, or the one that the fair value suggests."""
        draw = self._random.random
        for index, (_, memory) in enumerate((SIDE_SHORT, SIDE_LONG)):
            if draw() > memory:
                self._sides[index] = BUY if draw() < self._trend_odds(index) else SELL
        weight = draw()
        if weight < SIDE_SHORT[0]:
            return self._sides[0]
        if weight < SIDE_SHORT[0] + SIDE_LONG[0]:
            return self._sides[1]
        return BUY if draw() < self._gap_odds(middle) else SELL

    def _trend_odds(self, index: int) -> float:
        if index == 0:
            return 0.5
        drift, noise = self.weather.drift, self.weather.volatility
        return 0.5 + TREND_LEAN * math.tanh(2.0 * drift / noise)

    def _gap_odds(self, middle: float) -> float:
        pull = TOUCH_LEAN * (self.fair_tick - middle) / self._sticky_tick
        return 1.0 / (1.0 + math.exp(-max(-4.0, min(4.0, pull))))

    def _add(self, book: MatchingBook, bid: int, ask: int, is_thin: bool) -> Action:
        draw = self._random.random()
        counts = book.level_count(BUY), book.level_count(SELL)
        if min(counts) < LEVELS_WANTED and draw < (0.35 if min(counts) > LEVELS_MIN else 0.7):
            side = BUY if counts[0] < counts[1] else SELL
            distance = self.shape.far_tick()
        else:
            side = BUY if self._random.random() < self._gap_odds((bid + ask) / 2.0) else SELL
            distance = 0 if draw > (0.45 if is_thin else 0.8) else self.shape.distance_tick()
        price = max(1, (bid if side == BUY else ask) - side * distance)
        return self._rest(side, price, self.shape.size(distance, self.weather.regime.depth))

    def _open_side(self, side: int, bid: int, ask: int) -> Action:
        """Quote on a side that is empty."""
        price = round(self.fair_tick - 0.5 * side)
        if side == BUY and ask:
            price = min(price, ask - 1)
        elif side == SELL and bid:
            price = max(price, bid + 1)
        return self._rest(side, max(1, price), self.shape.size(0, self.weather.regime.depth))

    def _victim(self, book: MatchingBook, middle: float) -> RestingOrder | None:
        """Return the order to cancel: often near the touch, else any live one."""
        if self._random.random() < 0.3:
            side = SELL if self._random.random() < self._gap_odds(middle) else BUY
            if book.level_count(side) > LEVELS_MIN:
                order = book.first_order(side, int(self._random.expovariate(0.8)))
                if order is not None:
                    return order
        live = self._live
        for _ in range(8):
            if not live:
                return None
            index = int(self._random.random() * len(live))
            order = live[index]
            if order.slot >= 0 and _is_needed(book, order):
                continue
            live[index] = live[-1]
            live.pop()
            if order.slot >= 0:
                return order
        return None

    def _rest(self, side: int, price_tick: int, quantity_lot: int) -> Action:
        order = self._order(side, price_tick, quantity_lot)
        self._live.append(order)
        return Action(order, rests=True, cancel=False)

    def _order(self, side: int, price_tick: int, quantity_lot: int) -> RestingOrder:
        self._next_id += 1
        # Negative ids keep the flow's orders apart from the clients'.
        return RestingOrder(-self._next_id, side, price_tick, quantity_lot)


def _is_needed(book: MatchingBook, order: RestingOrder) -> bool:
    """Tell whether a thin side would lose a level with this order."""
    return book.level_count(order.side) < LEVELS_MIN and book.companions(order.slot) == 1
