"""What must hold of a whole symbol, with numpy over copies: the twin of engine/wholeness.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.book_layout import (
    BOOK_SIDE,
    FAR_SLOTS,
    PRICE_TICK_MAX,
    QUANTITY_LOT_MAX,
    SIDE_SIZE,
    SIDES_OFFSET,
    WINDOW,
)
from engine.reasons import Refusal, StartReason


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) and value >= 0 for value in values)


def _prices(values: Any) -> bool:
    return all(0 < value <= PRICE_TICK_MAX for value in values)


def naive_state_fault(state: Any) -> StartReason:
    """Return what is wrong first with a SYMBOL_STATE structure."""
    if any(n < 0 for n in (state.clock_ms, state.event_count, state.refused_run)):
        return StartReason.CLOCK
    if state.trade_count < 0 or state.quarantine not in range(1 << len(Refusal)):
        return StartReason.CLOCK
    bounds = (state.low_tick, state.reference_tick, state.high_tick)
    if bounds != (0, 0, 0) and not (
        list(bounds) == sorted(bounds) and _prices(bounds[1:2]) and bounds[0] >= 0
    ):
        return StartReason.CLOCK
    seen = state.trade_count - state.break_trade
    counts = 0 <= state.break_trade <= state.trade_count and 0 <= state.grid_count <= 64
    sums = _finite(
        state.variance_sum, state.buy_lot, state.sell_lot, state.fast_lot, state.slow_lot
    )
    trades = counts and sums and 0 <= state.weight_60 <= 1
    if trades and state.trade_count:
        recent = [state.trade_tick[(state.trade_count - k) & 3] for k in range(1, min(seen, 3) + 1)]
        grid = [state.grid_tick[(state.grid_bucket - k) & 63] for k in range(state.grid_count)]
        trades = _prices([state.last_tick, *recent, *grid])
        trades = trades and _finite(state.ema_fast, state.ema_slow)
        trades = trades and min(state.ema_fast, state.ema_slow) > 0
    if not trades:
        return StartReason.TRADES
    places = [(state.bar_count - k) & 31 for k in range(1, min(max(state.bar_count, 0), 32) + 1)]
    bars = state.bar_count >= 0 and state.divergence in (-1, 0, 1) and 0 <= state.rsi <= 100
    bars = bars and _finite(state.gain_mean, state.loss_mean)
    bars = bars and (state.bar_tick == 0 or _prices([state.bar_tick]))
    bars = bars and _prices([state.bar_closes[k] for k in places])
    if not (bars and all(0 <= state.bar_rsis[k] <= 100 for k in places)):
        return StartReason.BARS
    quotes = 0 <= state.spread_weight <= 1 and _finite(state.spread_variance, state.ofi_gross_lot)
    quotes = quotes and abs(state.ofi_lot) <= state.ofi_gross_lot + 1
    quotes = quotes and abs(state.imbalance) <= 1 and abs(state.score) <= 1
    quotes = quotes and math.isfinite(state.spread_mean)
    quotes = quotes and state.signal_ms >= 0
    quotes = quotes and not 0 < state.clock_ms < state.signal_ms
    quotes = quotes and all(math.isfinite(lot) for lot in state.flow_lot)
    quotes = quotes and _finite(*state.flow_gross_lot)
    if state.bid_tick == 0:
        quotes = quotes and state.ask_tick == 0
    else:
        quotes = quotes and _prices([state.bid_tick, state.ask_tick])
        quotes = quotes and state.bid_tick < state.ask_tick
        quotes = quotes and all(0 < n <= QUANTITY_LOT_MAX for n in (state.bid_lot, state.ask_lot))
    if not quotes:
        return StartReason.QUOTES
    return StartReason.WARM if state.clock_ms else StartReason.EMPTY


def naive_book_fault(raw: bytes, book: Any) -> StartReason:
    """Return what is wrong first with a BOOK, given as bytes and as a structure."""
    if book.state not in (0, 1, 2) or not 0 <= book.base_tick <= PRICE_TICK_MAX:
        return StartReason.BOOK
    if book.crossed_run < 0 or book.is_lossy not in (0, 1):
        return StartReason.BOOK
    for is_ask in range(2):
        side = np.frombuffer(raw, BOOK_SIDE.dtype, 1, SIDES_OFFSET + is_ask * SIDE_SIZE)[0]
        fault = _side_fault(side, int(book.base_tick), is_ask)
        if fault:
            return fault
    return StartReason.WARM


def _side_fault(side: Any, base: int, is_ask: int) -> StartReason:
    direction = 1 if is_ask else -1
    if side["direction"] != direction or not 0 <= side["first_index"] <= WINDOW:
        return StartReason.BOOK
    lots = side["lots"]
    bits = np.unpackbits(side["words"].view(np.uint8), bitorder="little").astype(bool)
    words = np.unpackbits(side["summary"].view(np.uint8), bitorder="little").astype(bool)
    held = np.flatnonzero(bits)
    first = int(held[0]) if len(held) else WINDOW
    levels = (
        np.array_equal(bits, lots != 0)
        and np.array_equal(words, side["words"] != 0)
        and len(held) == side["level_count"]
        and first == side["first_index"]
        and bool(np.all((lots >= 0) & (lots <= QUANTITY_LOT_MAX)))
    )
    if not levels:
        return StartReason.BOOK_LEVELS
    table = {int(t): int(q) for t, q in zip(side["far_ticks"], side["far_lots"], strict=True) if t}
    ticks = [int(tick) for tick in side["far_ticks"] if tick]

    def index(tick: int) -> int:
        return tick - base if is_ask else WINDOW - 1 - (tick - base)

    far = (
        len(ticks) == len(table) == side["far_count"] < FAR_SLOTS
        and _prices(ticks)
        and all(0 < lot <= QUANTITY_LOT_MAX for lot in table.values())
        and all(not 0 <= index(tick) < WINDOW for tick in ticks)
        and sum(index(tick) < 0 for tick in ticks) == side["better_count"]
        and _reachable(side["far_ticks"].tolist())
    )
    if not far:
        return StartReason.BOOK_FAR
    near = [base + place if is_ask else base + WINDOW - 1 - place for place in held.tolist()]
    best = min([*near, *ticks], key=lambda tick: tick * direction, default=0)
    return StartReason.WARM if best == side["best_tick"] else StartReason.BOOK_BEST


def _reachable(slots: list[int]) -> bool:
    for place, tick in enumerate(slots):
        if not tick:
            continue
        probe = ((tick ^ tick >> 32) & 0xFFFFFFFF) * 2654435769 % 2**32 >> 19
        while slots[probe] not in (0, tick):
            probe = (probe + 1) % FAR_SLOTS
        if probe != place:
            return False
    return True
