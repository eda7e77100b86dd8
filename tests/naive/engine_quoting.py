"""Market making from whole histories: every estimate is a sum taken anew over all that happened.

The twin of engine/quoting.py and the files beside it, written from what they say they compute:
prices instead of distances, lists instead of running sums, the C library's exponentials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from engine.quoting_state import FlowThreshold, QuoteAction, QuoteModel, QuoteReason

TIME_MS_MAX, PRICE_MAX, LOT_MAX = 1 << 50, 1 << 40, 1 << 48
R = QuoteReason
Book = tuple[int, str, int, int]  # ms, status, bid, ask


@dataclass
class Outcome:
    """A decision as plain values; lists by side."""

    action: list[QuoteAction]
    tick: list[int]
    lot: list[int]
    reasons: list[int]
    messages: list[int]


@dataclass
class History:
    """What was seen since the estimates began."""

    clock: int = 0
    refused: int = 0
    books: list[Book] = field(default_factory=list)
    arrivals: list[list[Any]] = field(default_factory=list)  # ms, side, mid2 or None, beyond2
    last_time: int = 0
    fit: tuple[int, float, float] = (0, 0.0, 0.0)
    buckets: list[int] = field(default_factory=list)
    open_bucket: list[int] = field(default_factory=lambda: [0, 0])


def vpins(buckets: list[int], size: int, length: int) -> list[float]:
    ends = range(length, len(buckets) + 1)
    return [sum(buckets[end - length : end]) / (length * size) for end in ends]


class NaiveQuoter:
    """One symbol; `p` is a QUOTE_PARAMETERS record, which must be sound."""

    def __init__(self, p: Any) -> None:
        self.p = p
        self.history = History()
        self.decided = self.late = 0
        self.budget = 0
        self.budget_ms = 0
        self.standing: list[tuple[int, int] | None] = [None, None]  # tick, lot
        self.changed = [0, 0]

    def _accept(self, ms: int) -> bool:
        h = self.history
        if ms <= 0 or ms > TIME_MS_MAX:
            h.refused += 1
            return False
        if ms < h.clock:
            h.refused += 1
            if h.refused < 16:
                return False
            self.history = h = History()
        h.refused, h.clock = 0, ms
        return True

    def on_trade(self, ms: int, tick: int, lot: int, is_sell: int) -> None:
        if not (1 <= tick <= PRICE_MAX and 1 <= lot <= LOT_MAX) or not self._accept(ms):
            return
        h = self.history
        if not h.arrivals or h.arrivals[-1][:2] != [ms, is_sell]:
            mid2 = None
            if h.books and h.books[-1][1] == "valid" and ms - h.books[-1][0] <= self.p.stale_ms:
                mid2 = h.books[-1][2] + h.books[-1][3]
            h.arrivals.append([ms, is_sell, mid2, 0])
        arrival = h.arrivals[-1]
        if arrival[2] is not None:
            beyond2 = arrival[2] - 2 * tick if is_sell else 2 * tick - arrival[2]
            arrival[3] = max(arrival[3], beyond2)
        self._fill_buckets(lot, is_sell)

    def _fill_buckets(self, lot: int, is_sell: int) -> None:
        h, size, side = self.history, self.p.flow_lot, 1 if is_sell else 0
        room = size - sum(h.open_bucket)
        if lot < room:
            h.open_bucket[side] += lot
            return
        h.open_bucket[side] += room
        whole, left = divmod(lot - room, size)
        h.buckets.append(abs(h.open_bucket[0] - h.open_bucket[1]))
        h.buckets += [size] * min(whole, self.p.flow_buckets)
        h.open_bucket = [0, 0]
        h.open_bucket[side] = left

    def on_book(self, ms: int, bid: int, bid_lot: int, ask: int, ask_lot: int) -> None:
        if not self._accept(ms):
            return
        h = self.history
        if ms - h.fit[0] >= 1000:
            h.fit = (ms, *self.fitted(ms))
        sane = all(1 <= tick <= PRICE_MAX for tick in (bid, ask))
        sane = sane and all(1 <= lot <= LOT_MAX for lot in (bid_lot, ask_lot))
        status = "unknown" if not sane else "valid" if bid < ask else "crossed"
        h.books.append((ms, status, bid, ask))

    # What the history says -------------------------------------------------------------------

    def volatility(self, tau_s: float) -> float | None:
        """Return ticks per √s, or None."""
        changes: list[tuple[int, float, float]] = []
        last_ms, last_mid = 0, None
        for ms, status, bid, ask in self.history.books:
            if status != "valid":
                last_mid = None
            elif last_mid is None or ms - last_ms >= self.p.sample_ms:
                if last_mid is not None and ms - last_ms <= self.p.stale_ms:
                    square = ((bid + ask) / 2 - last_mid) ** 2
                    changes.append((ms, square, (ms - last_ms) / 1000))
                last_ms, last_mid = ms, (bid + ask) / 2
        weights = [math.exp((ms - last_ms) / 1000 / tau_s) for ms, _, _ in changes]
        seen = math.fsum(w * t for w, (_, _, t) in zip(weights, changes, strict=True))
        if not changes or seen < tau_s / 2:
            return None
        moved = math.fsum(w * d for w, (_, d, _) in zip(weights, changes, strict=True))
        return math.sqrt(moved / seen)

    def fitted(self, now: int) -> tuple[float, float]:
        """Return A and k, or zeros."""
        h, tau = self.history, self.p.intensity_s

        def age(ms: float) -> float:
            return math.exp((ms - now) / 1000 / tau)

        exposure = 0.0
        ends = [*[book[0] for book in h.books], now][1:]
        for (ms, status, _, _), end in zip(h.books, ends, strict=True):
            if status == "valid":
                exposure += tau * (age(min(end, ms + self.p.stale_ms)) - age(ms))
        if exposure < tau / 2:
            return 0.0, 0.0
        points = []
        for place in range(16):
            delta = 0.5 + place * self.p.step_tick
            hits = [a for a in h.arrivals if a[2] is not None and a[3] >= 2 * delta]
            number = math.fsum(age(a[0]) for a in hits)
            if number >= 5:
                points.append((number, delta, math.log(number / 2 / exposure)))
        if len(points) < 3:
            return 0.0, 0.0
        total = math.fsum(w for w, _, _ in points)
        x_mean = math.fsum(w * x for w, x, _ in points) / total
        y_mean = math.fsum(w * y for w, _, y in points) / total
        slope = math.fsum(w * (x - x_mean) * (y - y_mean) for w, x, y in points)
        slope /= math.fsum(w * (x - x_mean) ** 2 for w, x, _ in points)
        # Equal counts have a slope of nothing but rounding.
        if not 1e-9 <= -slope <= 1e3:
            return 0.0, 0.0
        intensity = math.exp(y_mean - slope * x_mean)
        return (intensity, -slope) if 1e-9 <= intensity <= 1e12 else (0.0, 0.0)

    def flow_reasons(self) -> int:
        values = vpins(self.history.buckets, self.p.flow_lot, self.p.flow_buckets)
        if not values:
            return R.FLOW_UNKNOWN
        if self.p.flow_threshold == FlowThreshold.FIXED:
            return R.FLOW_TOXIC if values[-1] > self.p.flow_max else 0
        if len(values) <= self.p.flow_buckets:
            return R.FLOW_UNKNOWN
        return R.FLOW_TOXIC if self.share(values) >= self.p.flow_quantile else 0

    def share(self, values: list[float]) -> float:
        """Return the weight of past values in lower bins than the last one's."""
        kept = 1 - 1 / self.p.flow_memory
        bins = [min(int(value * 64), 63) for value in values]
        weighted = [(kept**back, place) for back, place in enumerate(reversed(bins[:-1]))]
        below = math.fsum(weight for weight, place in weighted if place < bins[-1])
        total = math.fsum(weight for weight, _ in weighted)
        return below / total if total else 0.0

    # Decisions -------------------------------------------------------------------------------

    def reasons(self, now: int, inventory: int) -> int:
        p, h, found = self.p, self.history, 0
        status = h.books[-1][1] if h.books else "unknown"
        if status != "valid":
            found |= R.BOOK_CROSSED if status == "crossed" else R.BOOK_UNKNOWN
        else:
            ms, _, bid, ask = h.books[-1]
            found |= R.STALE if now - ms > p.stale_ms else 0
            found |= R.WIDE if ask - bid > p.spread_max * (bid + ask) / 2 else 0
        short, long = self.volatility(p.short_s), self.volatility(p.long_s)
        if not long or short is None:
            found |= R.VOLATILITY_UNKNOWN
        elif short > p.burst_ratio * long:
            found |= R.VOLATILITY_BURST
        found |= 0 if h.fit[1] > 0 else R.INTENSITY_UNKNOWN
        found |= self.flow_reasons()
        found |= 0 if abs(inventory) <= LOT_MAX else R.INVENTORY
        return found

    def time_reasons(self, now: int) -> int:
        if now <= 0 or now > TIME_MS_MAX or now < self.history.clock:
            return R.TIME
        if now >= self.decided:
            self.decided, self.late = now, 0
            return R.TIME if self.history.refused else 0
        self.late += 1
        if self.late == 16:
            self.late, self.decided, self.budget_ms, self.changed = 0, now, now, [0, 0]
        return R.TIME

    def model_prices(self, now: int, inventory: int) -> tuple[float, float]:
        """Return bid and ask of the formula, as prices."""
        p, (_, intensity, k) = self.p, self.history.fit
        _, _, best_bid, best_ask = self.history.books[-1]
        mid, gamma, sigma = (best_bid + best_ask) / 2, p.risk_aversion, self.volatility(p.long_s)
        assert sigma
        limit = p.max_inventory_lot
        q, q_max = max(-limit, min(limit, inventory)) / p.quote_lot, limit / p.quote_lot
        liquidity = math.log1p(gamma / k) / gamma
        if p.model == QuoteModel.AS_FINITE:
            horizon = max(math.floor(p.horizon_s * 1000), 1)
            left = (horizon - now % horizon) / 1000
            centre = mid - q * gamma * sigma**2 * left
            spread = gamma * sigma**2 * left + 2 * liquidity
            return centre - spread / 2, centre + spread / 2
        if p.model == QuoteModel.AS_STATIONARY:
            omega = (gamma * sigma * (q_max + 1)) ** 2 / 2
            w = [omega - (gamma * sigma * held) ** 2 / 2 for held in (q, q + 1, q - 1)]
            far = [(w_after / w[0]) <= 1e-12 for w_after in w[1:]]
            below = 2.0**36 if far[0] else math.log(w[0] / w[1]) / gamma
            above = 2.0**36 if far[1] else math.log(w[0] / w[2]) / gamma
            return mid - below - liquidity, mid + above + liquidity
        root = math.sqrt(
            sigma**2 * gamma / (2 * k * intensity) * (1 + gamma / k) ** (1 + k / gamma)
        )
        bid = mid - liquidity - (2 * q + 1) / 2 * root
        return bid, mid + liquidity - (2 * q - 1) / 2 * root

    def targets(self, now: int, inventory: int) -> tuple[list[tuple[int, int] | None], list[int]]:
        """Return the wanted (tick, lot) by side, and reasons by side."""
        p = self.p
        _, _, best_bid, best_ask = self.history.books[-1]
        bid, ask = self.model_prices(now, inventory)
        centre, least = (bid + ask) / 2, 0.0
        least = max(2 * p.maker_fee * centre + p.edge_tick, 1)
        reasons = [0, 0]
        if ask - bid < least:
            bid, ask, reasons = centre - least / 2, centre + least / 2, [int(R.WIDENED)] * 2
        ticks = [math.floor(bid), math.ceil(ask)]
        if ticks[0] >= best_ask:
            ticks[0], reasons[0] = best_ask - 1, reasons[0] | R.POST_ONLY
        if ticks[1] <= best_bid:
            ticks[1], reasons[1] = best_bid + 1, reasons[1] | R.POST_ONLY
        found: list[tuple[int, int] | None] = [None, None]
        for side, room in enumerate(self.rooms(inventory)):
            lot = min(p.quote_lot, room)
            if room <= 0:
                reasons[side] = R.LIMIT
            elif ticks[side] < 1 or ticks[side] > PRICE_MAX:
                reasons[side] = R.OUT_OF_RANGE
            elif lot < p.lot_min or lot * ticks[side] < p.value_min:
                reasons[side] = R.TOO_SMALL | (R.LIMIT if lot < p.quote_lot else 0)
            else:
                found[side] = ticks[side], lot
        return found, reasons

    def rooms(self, inventory: int) -> tuple[int, int]:
        return self.p.max_inventory_lot - inventory, self.p.max_inventory_lot + inventory

    def _withdraw(self, out: Outcome, side: int, now: int, reasons: int) -> None:
        out.action[side] = QuoteAction.PULL
        out.reasons[side] |= reasons
        if self.standing[side]:
            out.messages[side], self.standing[side], self.changed[side] = 1, None, now
            self.budget -= 1000

    def _place(self, out: Outcome, side: int, now: int, target: tuple[int, int]) -> bool:
        messages = 2 if self.standing[side] else 1
        left = self.budget - 1000 * messages
        if left < 1000 * (1 + bool(self.standing[1 - side])):
            return False
        self.budget, self.standing[side], self.changed[side] = left, target, now
        out.action[side], out.messages[side] = QuoteAction.REPLACE, messages
        return True

    def judge(self, side: int, target: tuple[int, int], now: int, room: int) -> tuple[str, int]:
        """Return stay, may or must, and why."""
        standing, reasons = self.standing[side], 0
        _, _, best_bid, best_ask = self.history.books[-1]
        if not standing:
            wish, reasons = "may", int(R.FIRST)
        else:
            tick, lot = standing
            away = abs(tick - target[0])
            reasons |= R.WOULD_CROSS if (tick <= best_bid if side else tick >= best_ask) else 0
            reasons |= R.TOO_LARGE if lot > room else 0
            wish = "must" if reasons else "stay"
            reasons |= R.MOVED if away >= self.p.hysteresis_tick else 0
            reasons |= R.TOO_LITTLE if lot < target[1] / 2 else 0
            if wish == "stay" and reasons:
                wish = "may"
            if 0 < away < self.p.hysteresis_tick and not reasons & (R.WOULD_CROSS | R.TOO_LARGE):
                reasons |= R.HYSTERESIS
        if wish == "may" and self.changed[side] and now - self.changed[side] < self.p.rest_ms:
            wish, reasons = "stay", reasons | R.RESTING
        return wish, reasons

    def too_close(self) -> bool:
        bid, ask = self.standing
        if not bid or not ask:
            return False
        return ask[0] - bid[0] + 1e-6 < max(
            self.p.maker_fee * (bid[0] + ask[0]) + self.p.edge_tick, 1
        )

    def decide(self, now: int, inventory: int) -> Outcome:
        out = Outcome([QuoteAction.KEEP] * 2, [0, 0], [0, 0], [0, 0], [0, 0])
        common = self.time_reasons(now) | self.reasons(now, inventory)
        if not common & R.TIME:
            if self.budget_ms:
                gained = (now - self.budget_ms) * self.p.message_rate
                self.budget = min(self.budget + gained, self.p.message_burst * 1000)
            self.budget_ms = now
        if common:
            for side in (0, 1):
                self._withdraw(out, side, now, common)
            return out
        targets, out.reasons = self.targets(now, inventory)
        order = [1, 0] if inventory > 0 else [0, 1]
        wishes = ["none", "none"]
        for side, target in enumerate(targets):
            if target is None:
                self._withdraw(out, side, now, 0)
            else:
                wishes[side], why = self.judge(side, target, now, self.rooms(inventory)[side])
                out.reasons[side] |= why
        for level in ("must", "may"):
            for side in [side for side in order if wishes[side] == level]:
                self._act(out, side, now, targets[side], level)
        for side in order:
            standing, target = self.standing[side], targets[side]
            if not (standing and target and self.too_close()):
                continue
            closer = standing[0] < target[0] if side else standing[0] > target[0]
            if closer and out.action[side] == QuoteAction.KEEP:
                out.reasons[side] |= R.PAIR
                self._act(out, side, now, target, "must")
        for side, standing in enumerate(self.standing):
            out.tick[side], out.lot[side] = standing or (0, 0)
        return out

    def _act(self, out: Outcome, side: int, now: int, target: Any, level: str) -> None:
        if self._place(out, side, now, target):
            return
        if level == "must":
            self._withdraw(out, side, now, R.UNPAID)
        else:
            out.reasons[side] |= R.BUDGET
