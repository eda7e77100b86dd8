"""Market events into prices, and prices into steps of positions. Loops: none.

Most events end early: no position, a price that has not changed, or one inside the quiet band of
its position (see exits.py). A trade is judged only where it reaches the stop.
"""

from __future__ import annotations

from risk.exits import is_quiet
from risk.imbalance import note_imbalance
from risk.positions import (
    FLAT,
    exit_price,
    mark_to_market,
    position_address,
    symbol_state_address,
    track_mark,
)
from risk.state import CONTEXT, PARAMETERS, SYMBOL_STATE
from risk.watching import watch_position, watch_trade
from runtime.clocks import mono_ns
from shm.compiled import kernel
from shm.records import MARKET_EVENT, EventFlag, EventKind, ExitRule
from shm.tables import CONTROL, POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
event_at = view_of(MARKET_EVENT)

TRADE = int(EventKind.TRADE)
BEST = int(EventKind.BEST)
INVALID = int(EventKind.INVALID)
MARK = int(EventKind.MARK)
DELAYED = int(EventFlag.DELAYED)
RULE_IMBALANCE = int(ExitRule.IMBALANCE)


@kernel
def _take_best(event: int, symbol_state: int) -> None:
    view = event_at(event)
    state = symbol_state_at(symbol_state)
    if view.price_tick > 0 and view.ask_tick > view.price_tick:
        state.bid_tick = view.price_tick
        state.ask_tick = view.ask_tick
        state.best_valid = 1
    else:
        state.best_valid = 0


@kernel
def _imbalance_is_due(context: int, symbol: int, event: int) -> bool:
    """Take the quantities of a BEST for a position that watches them; return whether it acts."""
    row = position_at(position_address(context, symbol))
    settings = parameters_at(context_at(context).parameters)
    place = symbol_state_address(context, symbol)
    note_imbalance(place, event, settings.imbalance_ns)
    return -symbol_state_at(place).imbalance * row.side >= settings.imbalance_limit


@kernel
def step_best(context: int, event: int, before_tick: int, now_ns: int) -> None:
    """Take a position's step at new best prices.

    Args:
        context: CONTEXT.
        event: the BEST event; its prices are in SYMBOL_STATE already.
        before_tick: the price the position would have left at before it; 0 = unknown.
        now_ns: monotonic.
    """
    market = event_at(event)
    symbol = market.symbol
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    is_due = row.exit_rule == RULE_IMBALANCE and _imbalance_is_due(context, symbol, event)
    price = exit_price(symbol_state_address(context, symbol), row.side)
    if price == before_tick and not is_due:
        # It has been judged at this price; what time brings, the timers find.
        return
    mark_to_market(context, symbol)
    track_mark(context)
    if not is_due and is_quiet(place, price, now_ns):
        return
    stop = row.stop_tick
    watch_position(context, symbol, market.origin_ns, now_ns)
    if row.stop_tick != stop:
        state.moved_venue_ns = market.venue_ns


@kernel
def step_trade(context: int, event: int, now_ns: int) -> None:
    """Take a position's step at a trade that reaches its stop.

    A trade that is older than the price which moved the stop there says nothing about it: trades
    and best prices come by different streams.
    """
    market = event_at(event)
    symbol = market.symbol
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    if row.entry_lot <= row.exit_lot or (market.price_tick - row.stop_tick) * row.side > 0:
        return
    if market.price_tick > 0 and market.venue_ns >= state.moved_venue_ns:
        watch_trade(context, symbol, market.price_tick, market.origin_ns, now_ns)


@kernel
def take_event_at(context: int, event: int, now_ns: int) -> None:
    """Take one market event, as `take_event` does, at a given time; 0 = read the clock."""
    view = context_at(context)
    market = event_at(event)
    symbol = market.symbol
    if symbol >= control_at(view.control).symbol_count or market.flags & DELAYED:
        return
    place = symbol_state_address(context, symbol)
    state = symbol_state_at(place)
    row = position_at(position_address(context, symbol))
    if market.kind == MARK:
        # It says nothing about the age of the book.
        state.mark_tick = market.price_tick
        state.mark_ns = market.origin_ns
        return
    state.seen_ns = market.origin_ns
    if market.kind == BEST:
        before = exit_price(place, row.side)
        _take_best(event, place)
        if row.state != FLAT:
            step_best(context, event, before, now_ns if now_ns != 0 else mono_ns())
    elif market.kind == TRADE:
        state.trade_tick = market.price_tick
        if row.state != FLAT:
            step_trade(context, event, now_ns if now_ns != 0 else mono_ns())
    elif market.kind == INVALID:
        state.best_valid = 0
    if state.best_valid != 0:
        state.fresh_ns = market.origin_ns


@kernel
def take_event(context: int, event: int) -> None:
    """Take one market event: remember prices, step the symbol's position where something is due.

    The clock is read only where there is a position: it would be half of the cost elsewhere.
    """
    take_event_at(context, event, 0)
