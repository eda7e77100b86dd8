"""Model the order flow of a synthetic market: when the next event comes and what it is.

Arrivals excite one another (Hawkes process with an exponential kernel); the traders follow a fair
value with short trends (Ornstein-Uhlenbeck drift) and rare impulses. Makers quote around it, stale
quotes are swept, and the book's imbalance leans with the trend.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from exchange.instruments import Instrument
from exchange.matching.ladder import BUY, SELL
from exchange.matching.plain_book import Book, RestingOrder

BRANCHING = 0.6  # share of the events that others have caused
DECAY = 12.0  # 1/s, so a cluster lasts about 0.2 s
EXCITATION_MAX = 4_000.0  # events/s
NOISE = 0.00004  # per sqrt(s): 0.03 % in a minute
TREND_S = 20.0  # how long a trend keeps half of itself, roughly
TREND = 0.000022  # per s, standard deviation of the drift: 0.09 % in a minute
IMPULSE_EVERY_S = 240.0
IMPULSE_S = (8.0, 18.0)
IMPULSE_MOVE = (0.002, 0.004)
IMPULSE_ACTIVITY = 10.0  # how much busier the market is meanwhile
LEVELS_MIN = 280  # a thinner side gets far quotes and loses only its touch
LEVELS_KEEP = 210  # a side as thin as this is not cancelled at all
MAKER_LEAN = 0.4  # bounds of the log odds of buying: makers keep both sides filled
TAKER_LEAN = 2.0
PULL_S = 7_200.0  # the fair value returns to its start within hours


@dataclass(frozen=True, slots=True)
class Action:
    """Be one step of the flow: place an order (`rests` or not), or cancel one."""

    order: RestingOrder
    rests: bool
    cancel: bool


class Flow:
    """Draw the events of one symbol; all randomness comes from one seeded generator."""

    def __init__(self, instrument: Instrument, seed: int, rate: float) -> None:
        self._random = random.Random(f"{seed}/{instrument.symbol}")
        self._instrument = instrument
        self._base_rate = rate * (1.0 - BRANCHING)
        self._excitation = 0.0
        self._log_start = math.log(instrument.base_tick)
        self._log_fair = self._log_start
        self._trend = 0.0
        self._impulse = 0.0
        self._impulse_end_s = 0.0
        self._next_impulse_s = self._random.expovariate(1.0 / IMPULSE_EVERY_S)
        self._next_id = 1
        self._live: list[RestingOrder] = []
        width_tick = instrument.base_tick * 0.0015
        self._near_tick = 1.5
        self._middle_tick = max(8.0, width_tick / 12.0)
        self._far_tick = max(120.0, width_tick / 2.0)
        self.time_s = 0.0

    @property
    def fair_tick(self) -> float:
        """Return the fair value in ticks."""
        return math.exp(self._log_fair)

    def seed_orders(self) -> list[RestingOrder]:
        """Return the orders of the opening book, 420 levels a side."""
        orders = []
        for side in (BUY, SELL):
            price = int(self.fair_tick) + (1 if side == SELL else 0)
            for rank in range(420):
                orders.append(self._order(side, price, self._size(1.0 + rank / 60)))
                gap = 1 if rank < 12 else 1 + int(self._random.expovariate(4 / self._middle_tick))
                price -= side * gap
        return orders

    def advance(self) -> float:
        """Move to the next event; return its time in seconds of market time."""
        start_s = self.time_s
        while True:
            bound = self._intensity()
            step_s = self._random.expovariate(bound)
            self.time_s += step_s
            self._excitation *= math.exp(-DECAY * step_s)
            if self._random.random() * bound <= self._intensity():
                break
        self._excitation = min(self._excitation + BRANCHING * DECAY, EXCITATION_MAX)
        self._move_fair(self.time_s - start_s)
        return self.time_s

    def act(self, book: Book) -> Action:
        """Return what the traders do now, given the book."""
        bid, ask = book.bids.best(), book.asks.best()
        fair = self.fair_tick
        if not bid or not ask:
            return self._quote(BUY if not bid else SELL, bid, ask, fair, far=False)
        gap_tick = fair - (bid + ask) / 2
        draw = self._random.random()
        stale = abs(gap_tick) > 1.5 + (ask - bid) / 2
        if draw < (0.25 if stale else 0.09):
            return self._take(book, bid, ask, gap_tick)
        if draw < 0.50:
            victim = self._victim(book, gap_tick)
            if victim is not None:
                return Action(victim, rests=False, cancel=True)
        levels_bid, levels_ask = len(book.bids), len(book.asks)
        thinnest = min(levels_bid, levels_ask)
        if draw > (0.92 if thinnest > LEVELS_KEEP else 0.75) and thinnest < LEVELS_MIN:
            thin = BUY if levels_bid < levels_ask else SELL
            return self._quote(thin, bid, ask, fair, far=True)
        side = BUY if self._random.random() < self._lean(-gap_tick, MAKER_LEAN) else SELL
        return self._quote(side, bid, ask, fair, far=False)

    def _intensity(self) -> float:
        busy = IMPULSE_ACTIVITY if self.time_s < self._impulse_end_s else 1.0
        return self._base_rate * busy + self._excitation

    def _move_fair(self, step_s: float) -> None:
        gauss = self._random.gauss
        self._trend += -self._trend * step_s / TREND_S + TREND * math.sqrt(
            2.0 * step_s / TREND_S
        ) * gauss(0.0, 1.0)
        if self.time_s >= self._next_impulse_s:
            length_s = self._random.uniform(*IMPULSE_S)
            direction = 1.0 if self._random.random() < 0.5 else -1.0
            self._impulse = direction * self._random.uniform(*IMPULSE_MOVE) / length_s
            self._impulse_end_s = self.time_s + length_s
            self._next_impulse_s = self._impulse_end_s + self._random.expovariate(
                1.0 / IMPULSE_EVERY_S
            )
        drift = self._trend + (self._log_start - self._log_fair) / PULL_S
        if self.time_s < self._impulse_end_s:
            drift += self._impulse
        self._log_fair += drift * step_s + NOISE * math.sqrt(step_s) * gauss(0.0, 1.0)

    def _lean(self, gap_tick: float, bound: float) -> float:
        """Return the probability of a buy: the trend and the distance to the fair value."""
        pull = self._drift() / TREND * 0.35 + gap_tick / self._middle_tick
        pull = max(-bound, min(bound, pull))
        return 1.0 / (1.0 + math.exp(-pull))

    def _drift(self) -> float:
        return self._trend + (self._impulse if self.time_s < self._impulse_end_s else 0.0)

    def _take(self, book: Book, bid: int, ask: int, gap_tick: float) -> Action:
        side = BUY if self._random.random() < self._lean(2.0 * gap_tick, TAKER_LEAN) else SELL
        best = ask if side == BUY else bid
        beyond = side * (self.fair_tick - best)
        if beyond >= 0:
            # A stale quote is swept up to the fair value.
            limit = best + side * int(beyond)
            wanted = self._size(6.0 + min(beyond, 60.0))
            return Action(self._order(side, limit, wanted), rests=False, cancel=False)
        return Action(self._order(side, best, self._size(0.35)), rests=False, cancel=False)

    def _quote(self, side: int, bid: int, ask: int, fair: float, far: bool) -> Action:
        draw = self._random.random()
        if far:
            distance = self._random.uniform(self._middle_tick, 2.5 * LEVELS_MIN)
        elif ask - bid > 2 and draw < 0.85:
            distance = 0.0  # a wide spread is closed first
        else:
            scale = self._near_tick if draw < 0.6 else self._middle_tick
            distance = self._random.expovariate(1.0 / (scale if draw < 0.9 else self._far_tick))
        price = round(fair - side * (0.5 + distance))
        # Makers do not cross: a price on the other side is pulled back to one tick before it.
        if side == BUY and ask:
            price = min(price, ask - 1)
        elif side == SELL and bid:
            price = max(price, bid + 1)
        lean = math.tanh(self._drift() / TREND) * side
        order = self._order(side, max(1, price), self._size((1.0 + 0.6 * lean) + distance / 200))
        self._live.append(order)
        return Action(order, rests=True, cancel=False)

    def _victim(self, book: Book, gap_tick: float) -> RestingOrder | None:
        """Return the order to cancel: often at the threatened touch, else any live one."""
        if self._random.random() < 0.35:
            side = SELL if self._random.random() < self._lean(gap_tick, MAKER_LEAN) else BUY
            ladder = book.own(side)
            level = ladder.levels[ladder.nth(int(self._random.expovariate(0.4)))]
            for order in level.orders.values():
                if order.owner == 0 and len(ladder) > LEVELS_KEEP:
                    return order
        live = self._live
        for _ in range(8):
            if not live:
                return None
            index = int(self._random.random() * len(live))
            order = live[index]
            if order.remaining_lot > 0 and _is_needed(book, order):
                continue
            live[index] = live[-1]
            live.pop()
            if order.remaining_lot > 0:
                return order
        return None

    def adopt(self, orders: list[RestingOrder]) -> None:
        """Take orders over as live ones."""
        self._live.extend(orders)

    def _order(self, side: int, price_tick: int, quantity_lot: int) -> RestingOrder:
        self._next_id += 1
        # Negative ids keep the flow's orders apart from the clients'.
        return RestingOrder(-self._next_id, side, price_tick, quantity_lot)

    def _size(self, scale: float) -> int:
        draw = self._random.lognormvariate(0.0, 0.9)
        return max(1, int(self._instrument.typical_lot * scale * draw))


def _is_needed(book: Book, order: RestingOrder) -> bool:
    """Tell whether a thin side would lose a level with this order."""
    ladder = book.own(order.side)
    return len(ladder) < LEVELS_MIN and len(ladder.levels[order.price_tick].orders) == 1
