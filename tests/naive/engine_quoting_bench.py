"""The quoting kernels and their twin side by side, compared at every decision."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.quoting import decide, note_fill, on_book, on_trade
from engine.quoting_state import (
    QUOTE_DECISION,
    QUOTE_PARAMETERS,
    QUOTE_STATE,
    FlowThreshold,
    QuoteAction,
    QuoteReason,
)
from tests.naive.engine_bench import aligned
from tests.naive.engine_quoting import NaiveQuoter, vpins

# Short memories, so that a few hundred events are a long time.
USUAL = {
    "risk_aversion": 0.01,
    "horizon_s": 60.0,
    "maker_fee": 0.0005,
    "edge_tick": 1.5,
    "quote_lot": 10,
    "max_inventory_lot": 50,
    "lot_min": 2,
    "value_min": 2_500,
    "hysteresis_tick": 2,
    "rest_ms": 100,
    "message_rate": 4,
    "message_burst": 20,
    "stale_ms": 1_000,
    "spread_max": 0.02,
    "sample_ms": 100,
    "short_s": 0.5,
    "long_s": 2.0,
    "burst_ratio": 3.0,
    "intensity_s": 5.0,
    "step_tick": 1,
    "flow_lot": 40,
    "flow_buckets": 5,
    "flow_threshold": int(FlowThreshold.FIXED),
    "flow_max": 0.8,
    "flow_quantile": 0.9,
    "flow_memory": 128.0,
}
TOLERANCE = 1e-9


def close(got: float, wanted: float) -> bool:
    return got == pytest.approx(wanted, rel=TOLERANCE, abs=TOLERANCE)


class QuoteBench:
    """State, parameters and decision in private memory, and the twin."""

    def __init__(self, **changes: Any) -> None:
        sizes = (QUOTE_STATE.size, QUOTE_PARAMETERS.size, QUOTE_DECISION.size)
        self._memory, self.at = zip(*[aligned(size) for size in sizes], strict=True)
        self.state = QUOTE_STATE.at(self.at[0])
        self.p = QUOTE_PARAMETERS.at(self.at[1])
        self.result = QUOTE_DECISION.at(self.at[2])
        for name, value in (USUAL | changes).items():
            setattr(self.p, name, value)
        self.twin = NaiveQuoter(self.p)
        self.ms = 1_700_000_000_000
        self.best = (1_000, 1_002)
        self.sent: list[tuple[int, int]] = []  # ms, messages

    def stands(self) -> list[bool]:
        return [tick != 0 for tick in self.state.tick]

    def trade(self, ms: int, tick: int, lot: int, is_sell: int) -> None:
        on_trade(*self.at[:2], ms, tick, lot, is_sell)
        self.twin.on_trade(ms, tick, lot, is_sell)

    def book(self, ms: int, bid: int, bid_lot: int, ask: int, ask_lot: int) -> None:
        on_book(*self.at[:2], ms, bid, bid_lot, ask, ask_lot)
        self.twin.on_book(ms, bid, bid_lot, ask, ask_lot)

    def fill(self, side: int, lot: int) -> None:
        note_fill(self.at[0], side, lot)
        standing = self.twin.standing[side]
        if standing:
            left = standing[1] - lot
            self.twin.standing[side] = (standing[0], left) if left > 0 else None

    def compare_estimates(self) -> None:
        for name, tau in (("volatility_short", self.p.short_s), ("volatility_long", self.p.long_s)):
            wanted, got = self.twin.volatility(tau), getattr(self.state, name)
            assert close(got, wanted) if wanted is not None else got <= 0.0, name
        _, intensity, decay = self.twin.history.fit
        assert close(self.state.intensity, intensity) and close(self.state.decay, decay)
        values = vpins(self.twin.history.buckets, self.p.flow_lot, self.p.flow_buckets)
        if values:
            assert self.state.vpin == values[-1]
            assert close(self.state.flow_share, self.twin.share(values))

    def decide(self, ms: int, inventory: int) -> None:
        """Decide with both, compare everything, and check what must always hold."""
        messages = decide(*self.at, ms, inventory)
        wanted = self.twin.decide(ms, inventory)
        self.compare_estimates()
        got = self.result
        assert [QuoteReason(value) for value in got.reasons] == wanted.reasons
        assert list(got.action) == wanted.action
        assert (list(got.tick), list(got.lot)) == (wanted.tick, wanted.lot)
        assert (list(got.messages), messages) == (wanted.messages, sum(wanted.messages))
        standing = [entry or (0, 0) for entry in self.twin.standing]
        assert list(zip(self.state.tick, self.state.lot, strict=True)) == standing
        assert self.state.budget == self.twin.budget
        if messages:
            self.sent.append((ms, messages))
        self.check_always(inventory)

    def check_always(self, inventory: int) -> None:
        assert self.state.budget <= 1000 * self.p.message_burst
        self.check_prices(inventory)

    def check_prices(self, inventory: int) -> None:
        state, got, p = self.state, self.result, self.p
        assert state.budget >= 1000 * sum(self.stands()), "every withdrawal is paid for"
        bid, ask = got.tick
        if bid:
            assert 0 < bid < state.ask_tick and inventory + got.lot[0] <= p.max_inventory_lot
        if ask:
            assert ask > state.bid_tick and got.lot[1] - inventory <= p.max_inventory_lot
        if bid and ask:
            assert ask - bid + 1e-6 >= max(p.maker_fee * (bid + ask) + p.edge_tick, 1)

    def check_budget(self) -> None:
        """Check every window between two decisions."""
        begins = [(ms, sum(n for _, n in self.sent[:i])) for i, (ms, _) in enumerate(self.sent)]
        for begin, before in begins:
            total = -before
            for ms, number in self.sent:
                total += number
                if ms >= begin:
                    allowed = self.p.message_burst + (ms - begin) * self.p.message_rate / 1000
                    assert total <= allowed, (begin, ms)

    def walk(self, rng: random.Random, count: int, spread: int = 0) -> dict[str, int]:
        """Drive a random market with faults in it; return how often what happened."""
        middle, inventory = 1_001, 0
        names = [action.name for action in QuoteAction] + ["both", "BUDGET"]
        done = dict.fromkeys(names, 0)
        for _ in range(count):
            self.ms += rng.choice((0, 5, 20, 40, 80, 1_500 if rng.random() < 0.02 else 30))
            kind, late = rng.random(), 40 if rng.random() < 0.01 else 0
            if kind < 0.35:
                reach, is_sell = int(rng.expovariate(0.5)), rng.randrange(2)
                price = middle - reach - 1 if is_sell else middle + reach + 1
                lot = 300 if rng.random() < 0.01 else rng.choice((1, 2, 5))
                self.trade(self.ms - late, price, lot, is_sell)
            elif kind < 0.65:
                middle += rng.choice((-1, 0, 0, 1)) * rng.choice((1, 1, 1, 30)) ** (kind > 0.64)
                half = spread or rng.choice((1, 1, 2, 15 if rng.random() < 0.1 else 1))
                fault = -3 if rng.random() < 0.01 else 1
                self.best = (middle - half, middle + half * fault)
                lot = 0 if rng.random() < 0.01 else 7
                self.book(self.ms - late, self.best[0], lot, self.best[1], 4)
            else:
                inventory = self._fill_some(rng, inventory)
                self.decide(self.ms - late, inventory)
                for side in (0, 1):
                    done[QuoteAction(self.result.action[side]).name] += 1
                    done["BUDGET"] += self.result.reasons[side] & QuoteReason.BUDGET != 0
                done["both"] += all(self.stands())
        self.check_budget()
        return done

    def _fill_some(self, rng: random.Random, inventory: int) -> int:
        for side in (0, 1):
            if self.stands()[side] and rng.random() < 0.1:
                lot = rng.randint(1, self.state.lot[side])
                self.fill(side, lot)
                inventory += -lot if side else lot
        return inventory

    def warm(self) -> None:
        """Lead the kernels and the twin to two standing quotes."""
        rng, middle = random.Random(5), 1_001
        for step in range(900):
            self.ms += 20
            middle += rng.choice((-1, 0, 0, 1)) if step % 5 == 0 else 0
            reach, is_sell = int(rng.expovariate(0.5)), step % 2
            self.trade(self.ms, middle - reach if is_sell else middle + reach, 2, is_sell)
            self.best = (middle - 1, middle + 1)
            self.book(self.ms, self.best[0], 5, self.best[1], 5)
            if step == 0:
                self.decide(self.ms, 0)
        self.decide(self.ms, 0)
        assert self.stands() == [True, True]
