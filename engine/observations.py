"""What a trade, a best price and a complete depth update change in a symbol's state.

Each is called after `venue_clock.advance`; prices and quantities have been checked.
"""

from __future__ import annotations

from engine.book import PAIR_SIZE, best_levels, best_tick, quantity_at
from engine.book_flow import forget_depth_flow, observe_depth_flow
from engine.quarantine import is_near
from engine.rsi import open_bar
from engine.state import PARAMETERS, SYMBOL_STATE, TRADE_RING
from engine.venue_clock import BUCKET_MS, GRID_MASK
from shm.compiled import kernel
from shm.memory import load_i64
from shm.views import address_of, view_of

state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)

TRADE_MASK = TRADE_RING - 1
VARIANCE_TAU_S = 60.0
# Depth stands in for best prices when the best-price stream has been silent that long.
QUOTE_SILENCE_MS = 1_000


@kernel
def observe_trade(
    state: int, parameters: int, price_tick: int, quantity_lot: int, is_sell: int
) -> None:
    """Take a trade in: price rings, means, variance, volumes.

    Args:
        state: address of SYMBOL_STATE; changed.
        parameters: address of PARAMETERS.
        price_tick: ticks, > 0.
        quantity_lot: lots, > 0.
        is_sell: 1 when the taker sold.
    """
    view = state_at(state)
    settings = parameters_at(parameters)
    now_ms = view.clock_ms
    if view.trade_count == view.break_trade:
        view.ema_fast = float(price_tick)
        view.ema_slow = float(price_tick)
        view.grid_bucket = now_ms // BUCKET_MS
        view.grid_count = 1
    else:
        change = (price_tick - view.last_tick) / view.last_tick
        view.variance_sum += change * change / VARIANCE_TAU_S
        view.ema_fast += settings.ema_fast_gain * (price_tick - view.ema_fast)
        view.ema_slow += settings.ema_slow_gain * (price_tick - view.ema_slow)
    place = view.trade_count & TRADE_MASK
    view.trade_tick[place] = price_tick
    view.trade_ms[place] = now_ms
    view.trade_count += 1
    view.last_tick = price_tick
    view.grid_tick[view.grid_bucket & GRID_MASK] = price_tick
    open_bar(state, now_ms // 1000, price_tick)
    if is_sell != 0:
        view.sell_lot += quantity_lot
    else:
        view.buy_lot += quantity_lot
    view.fast_lot += quantity_lot
    view.slow_lot += quantity_lot


@kernel
def observe_best(state: int, bid_tick: int, bid_lot: int, ask_tick: int, ask_lot: int) -> None:
    """Take best prices in and add their order-flow event.

    With P, q the best price and quantity of a side before and after:
    e = q_b·1{P_b ≥ P_b'} − q_b'·1{P_b ≤ P_b'} − q_a·1{P_a ≤ P_a'} + q_a'·1{P_a ≥ P_a'}.
    Source: Cont, Kukanov, Stoikov, The Price Impact of Order Book Events (2014), section 2.1.

    Args:
        state: address of SYMBOL_STATE; changed.
        bid_tick: ticks, > 0.
        bid_lot: lots.
        ask_tick: ticks, > bid_tick.
        ask_lot: lots.
    """
    view = state_at(state)
    if view.bid_tick != 0:
        flow = 0
        if bid_tick >= view.bid_tick:
            flow += bid_lot
        if bid_tick <= view.bid_tick:
            flow -= view.bid_lot
        if ask_tick <= view.ask_tick:
            flow -= ask_lot
        if ask_tick >= view.ask_tick:
            flow += view.ask_lot
        view.ofi_lot += flow
        view.ofi_gross_lot += abs(flow)
    view.bid_tick = bid_tick
    view.bid_lot = bid_lot
    view.ask_tick = ask_tick
    view.ask_lot = ask_lot
    view.quote_count += 1


@kernel
def forget_best(state: int) -> None:
    """Make the best prices unknown: what comes next is not compared with what was before."""
    view = state_at(state)
    view.bid_tick = 0
    view.bid_lot = 0
    view.ask_tick = 0
    view.ask_lot = 0


@kernel
def _weigh(pairs: int, count: int, levels: int) -> float:
    # Linear weights, the best level counting most. Loop bound: count ≤ levels ≤ 20.
    weighted = 0.0
    for place in range(count):
        weighted += float(levels - place) * load_i64(pairs + place * PAIR_SIZE + 8)
    return weighted


@kernel
def _sum(pairs: int, count: int) -> float:
    # Loop bound: count ≤ 20.
    total = 0.0
    for place in range(count):
        total += load_i64(pairs + place * PAIR_SIZE + 8)
    return total


@kernel
def observe_depth(state: int, parameters: int, book: int) -> None:
    """Take a complete, uncrossed book in: liquidity, pressure and imbalance of its best levels.

    Pressure weighs the k-th of N levels with N − k. Imbalance is (bid − ask) / (bid + ask) of the
    pressures; a one-sided book has none. Loop bound: 2 × book_levels.

    Args:
        state: address of SYMBOL_STATE; changed.
        parameters: address of PARAMETERS.
        book: address of BOOK.
    """
    view = state_at(state)
    levels = parameters_at(parameters).book_levels
    pairs = address_of(view.levels)
    ask_pairs = pairs + levels * PAIR_SIZE
    bid_count = best_levels(book, 0, levels, pairs)
    ask_count = best_levels(book, 1, levels, ask_pairs)
    view.bid_liquidity_lot = _sum(pairs, bid_count)
    view.ask_liquidity_lot = _sum(ask_pairs, ask_count)
    view.bid_pressure = _weigh(pairs, bid_count, levels)
    view.ask_pressure = _weigh(ask_pairs, ask_count, levels)
    if parameters_at(parameters).flow_levels > 1:
        observe_depth_flow(state, parameters, book)
    view.has_imbalance = 0
    view.imbalance = 0.0
    if bid_count == 0 or ask_count == 0:
        return
    view.has_imbalance = 1
    view.imbalance = (view.bid_pressure - view.ask_pressure) / (
        view.bid_pressure + view.ask_pressure
    )
    if view.clock_ms - view.quote_ms >= QUOTE_SILENCE_MS:
        bid = best_tick(book, 0)
        ask = best_tick(book, 1)
        if is_near(state, parameters, bid, ask):
            observe_best(state, bid, quantity_at(book, 0, bid), ask, quantity_at(book, 1, ask))
        else:
            # A whole book, but no market: what was best a second ago is not known to be any more.
            forget_best(state)


@kernel
def forget_depth(state: int) -> None:
    """Make the imbalance unknown: the book was withdrawn. Order flow compares with it no more."""
    view = state_at(state)
    view.has_imbalance = 0
    view.imbalance = 0.0
    forget_depth_flow(state)
