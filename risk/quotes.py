"""Market making: the quotes that the engine wants, and the next message towards them.

A QUOTE says what is to stand on both sides of a symbol. A side's order is kept while its price is
the wanted one and its quantity within need: no more than wanted, at least half of it. Otherwise it
is canceled, its end is waited for, and only then is placed what is wanted by that time: never two
orders on a side. A placement passes the limits of entries as they apply to it, may not take
liquidity, and leaves the inventory within `quoting.max_inventory_usd` if it is filled at once. A
cancel passes always, and is written again until the order has ended.

Quotes do not stand while trading is not allowed, prices are unknown or old, the engine has not
confirmed them within the lease, or the inventory is being closed. Then what was wanted is
forgotten: only a QUOTE that comes after it brings them back.

A QUOTE that was decided before a fill was known places nothing on the side of that fill.
"""

from __future__ import annotations

from risk.entries import (
    look_at_permission,
    look_at_symbol,
    reference_price,
    weigh_order,
)
from risk.exposure import measure_exposure
from risk.inventory import MARKET_MAKING
from risk.limit_table import LAST_OF_STATE, Refusal
from risk.limits import refused_by_size, refused_by_state
from risk.orders import NEVER_NS, age_of_order_back
from risk.positions import (
    FLAT,
    position_address,
    symbol_address,
    symbol_state_address,
)
from risk.quote_orders import write_quote, write_quote_cancel
from risk.quote_rows import is_quoted, quoted_left_lot, quotes_address, quotes_live
from risk.quote_state import QUOTES, QuoteStop
from risk.state import CONTEXT, ENTRY_CHECK, PARAMETERS, SYMBOL_STATE
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import QUOTE
from shm.tables import CONTROL, POSITION, SYMBOL
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
parameters_at = view_of(PARAMETERS)
check_at = view_of(ENTRY_CHECK)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
quotes_at = view_of(QUOTES)
quote_at = view_of(QUOTE)

NONE = int(Refusal.NONE)
NO_PRICE = int(Refusal.NO_PRICE)
NO_MARK = int(Refusal.NO_MARK)
COLLAR = int(Refusal.COLLAR)
RATE = int(Refusal.RATE)
RING = int(Refusal.RING)
INVENTORY = int(Refusal.INVENTORY)
LEASE = int(QuoteStop.LEASE)
CLOSING = int(QuoteStop.CLOSING)
CROSS = int(QuoteStop.CROSS)
assert int(LAST_OF_STATE) < LEASE

QUOTES_READ = counters.offset("risk.quotes")
QUOTES_INVALID = counters.offset("risk.quotes_invalid")
QUOTES_UNAWARE = counters.offset("risk.quotes_unaware")
STOPPED_HALTED = counters.offset("risk.quotes_stopped_halted")
STOPPED_STALE = counters.offset("risk.quotes_stopped_stale")
STOPPED_LEASE = counters.offset("risk.quotes_stopped_lease")
STOPPED_CLOSING = counters.offset("risk.quotes_stopped_closing")
REFUSED_CROSS = counters.offset("risk.quotes_refused_cross")
REFUSED_INVENTORY = counters.offset("risk.quotes_refused_inventory")
REFUSED_LIMIT = counters.offset("risk.quotes_refused_limit")
REFUSED_RATE = counters.offset("risk.quotes_refused_rate")

# A cancel whose order has not ended is written again after this.
RESEND_NS = 1_000_000_000
# While a ring was full the next look comes after this at the latest.
LOOK_NS = 20_000_000
TICK_MAX = 1 << 40
LOT_MAX = 1 << 31


@kernel
def stop_counter(reason: int) -> int:
    """Return the counter of a reason for which quotes do not stand, or one is not placed."""
    if reason == LEASE:
        return STOPPED_LEASE
    if reason == CLOSING:
        return STOPPED_CLOSING
    if reason == CROSS:
        return REFUSED_CROSS
    if reason == INVENTORY:
        return REFUSED_INVENTORY
    if reason in (RATE, RING):
        return REFUSED_RATE
    if NO_PRICE <= reason <= NO_MARK:
        return STOPPED_STALE
    return STOPPED_HALTED if reason < NO_PRICE else REFUSED_LIMIT


@kernel
def stop_reason(context: int, symbol: int, now_ns: int) -> int:
    """Return why no quote of a symbol may stand now, or 0. Fills the check of its state."""
    view = context_at(context)
    check = check_at(view.check)
    quotes = quotes_at(quotes_address(context, symbol))
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    look_at_permission(context, symbol, MARKET_MAKING, 0, now_ns)
    look_at_symbol(context, symbol, now_ns)
    # What limits a placement is no reason to withdraw what stands.
    check.quoted = 0
    check.signal_age_ns = 0
    check.position_state = FLAT
    check.in_flight_count = 0
    check.position_count = 0
    check.rate_age_ns = NEVER_NS
    reason = refused_by_state(view.check, view.parameters)
    if reason != NONE:
        return reason
    if now_ns - quotes.quote_ns > parameters_at(view.parameters).quote_lease_ns:
        return LEASE
    if state.want_close != 0 or row.exit_order_id != 0 or state.doubt_order_id != 0:
        return CLOSING
    return NONE


@kernel
def room_lot(context: int, symbol: int, place: int, tick: int) -> int:
    """Return the lots that a side may trade at a price until the inventory limit; ≤ 0 = none."""
    worth = tick * symbol_at(symbol_address(context, symbol)).value_e8
    if worth <= 0:
        return 0
    most = parameters_at(context_at(context).parameters).max_inventory_e8 // worth
    held = position_at(position_address(context, symbol)).quantity_lot
    return most - held if place == 0 else most + held


@kernel
def _refused(context: int, symbol: int, place: int, now_ns: int) -> int:
    """Return why what is wanted on a side may not be placed now, or NONE."""
    view = context_at(context)
    settings = parameters_at(view.parameters)
    check = check_at(view.check)
    quotes = quotes_at(quotes_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    tick = quotes.wanted_tick[place]
    lots = quotes.wanted_lot[place]
    if lots > room_lot(context, symbol, place, tick):
        return INVENTORY
    if (tick >= state.ask_tick) if place == 0 else (tick <= state.bid_tick):
        return CROSS
    if abs(tick - reference_price(context, symbol)) > settings.price_collar_pct * tick:
        return COLLAR
    row = position_at(position_address(context, symbol))
    check.side = 1 - 2 * place
    # A symbol that is quoted or held counts as a position already.
    counted = 1 if row.state != FLAT else 0
    check.position_count = control_at(view.control).open_position_count - counted
    check.rate_age_ns = age_of_order_back(context, settings.entries_per_s, now_ns)
    refusal = refused_by_state(view.check, view.parameters)
    if refusal != NONE:
        return refusal
    measure_exposure(context, symbol)
    # Two sides are quoted to hold nothing: likeness and repeats say nothing about them. What is
    # below every likeness passes every limit of it.
    check.correlation = -1.0
    check.unknown_pairs = 0
    check.repeat_count = 0
    check.size_bound = NONE
    check.limit_tick = tick
    check.quantity_lot = lots
    weigh_order(context, symbol, tick, tick, settings.stop_loss_pct)
    if 0 < lots <= -check.side * row.quantity_lot:
        # It reduces what is held: whatever is at stake, there is less of it afterwards.
        check.inventory_e8 = 0
        check.strategy_notional_e8 = 0
        check.gross_notional_e8 = 0
        check.net_notional_e8 = 0
        check.risk_e8 = 0
        check.order_risk_e8 = 0
    return refused_by_size(view.check, view.parameters)


@kernel
def _is_fit(context: int, symbol: int, place: int) -> bool:
    """Return whether a side's order is what is wanted."""
    quotes = quotes_at(quotes_address(context, symbol))
    left = quoted_left_lot(context, symbol, place)
    wanted = quotes.wanted_lot[place]
    if quotes.cancel_ns[place] != 0 or quotes.tick[place] != quotes.wanted_tick[place]:
        return False
    return left <= wanted <= 2 * left


@kernel
def _step_side(context: int, symbol: int, place: int, now_ns: int) -> None:
    """Write the next message towards what is wanted on a side, if its time has come."""
    view = context_at(context)
    quotes = quotes_at(quotes_address(context, symbol))
    stray = quotes.stray_order_id[place]
    if stray != 0 and now_ns - quotes.stray_ns[place] >= RESEND_NS:
        write_quote_cancel(context, symbol, place, stray, now_ns)
    order_id = quotes.order_id[place]
    if order_id != 0:
        if _is_fit(context, symbol, place):
            return
        asked_ns = quotes.cancel_ns[place]
        if asked_ns == 0 or now_ns - asked_ns >= RESEND_NS:
            write_quote_cancel(context, symbol, place, order_id, now_ns)
        return
    if stray != 0 or quotes.wanted_lot[place] == 0 or now_ns < quotes.retry_ns[place]:
        return
    lots = quotes.wanted_lot[place]
    tick = quotes.wanted_tick[place]
    reason = _refused(context, symbol, place, now_ns)
    if reason == NONE and not write_quote(context, symbol, place, lots, tick, now_ns):
        reason = RING
    if reason != NONE:
        # The engine's next word tries again: at the latest when it confirms.
        quotes.wanted_lot[place] = 0
        count(view.counters, stop_counter(reason), 1)


@kernel
def step_quotes(context: int, symbol: int, now_ns: int) -> None:
    """Withdraw a symbol's quotes where none may stand, else take a step on either side."""
    quotes = quotes_at(quotes_address(context, symbol))
    reason = stop_reason(context, symbol, now_ns)
    if reason != NONE:
        is_news = quotes.stop_reason == NONE and quotes_live(context, symbol)
        if is_news or quotes.wanted_lot[0] != 0 or quotes.wanted_lot[1] != 0:
            count(context_at(context).counters, stop_counter(reason), 1)
        quotes.wanted_lot[0] = 0
        quotes.wanted_lot[1] = 0
    quotes.stop_reason = reason
    _step_side(context, symbol, 0, now_ns)
    _step_side(context, symbol, 1, now_ns)


@kernel
def _is_sound(context: int, quote: int) -> bool:
    source = quote_at(quote)
    symbol = source.symbol
    if symbol >= control_at(context_at(context).control).symbol_count:
        return False
    if not is_quoted(context, symbol):
        return False
    for place in range(2):
        if not 0 <= source.lot[place] <= LOT_MAX or not 0 <= source.tick[place] <= TICK_MAX:
            return False
        if (source.lot[place] == 0) != (source.tick[place] == 0):
            return False
    both = source.lot[0] != 0 and source.lot[1] != 0
    return not both or source.tick[0] < source.tick[1]


@kernel
def take_quote(context: int, quote: int, now_ns: int) -> None:
    """Take over what the engine wants, and take a step towards it.

    Args:
        context: CONTEXT.
        quote: QUOTE, whose symbol may be none.
        now_ns: monotonic.
    """
    view = context_at(context)
    source = quote_at(quote)
    count(view.counters, QUOTES_READ, 1)
    if not _is_sound(context, quote):
        count(view.counters, QUOTES_INVALID, 1)
        return
    symbol = source.symbol
    quotes = quotes_at(quotes_address(context, symbol))
    quotes.quote_id = source.quote_id
    quotes.quote_ns = source.written_ns
    quotes.origin_ns = source.origin_ns
    for place in range(2):
        lots = source.lot[place]
        if lots != 0 and source.report_position - quotes.known_position[place] < 0:
            count(view.counters, QUOTES_UNAWARE, 1)
            continue
        if lots != 0:
            # Cut here as well as refused below, so that what stands is what is wanted.
            room = room_lot(context, symbol, place, source.tick[place])
            if 0 < room < lots:
                lots = room
        quotes.wanted_lot[place] = lots
        quotes.wanted_tick[place] = source.tick[place]
    step_quotes(context, symbol, now_ns)


@kernel
def _earlier(due_ns: int, other_ns: int) -> int:
    """Return the earlier of two times, of which 0 is none."""
    if due_ns == 0 or (other_ns != 0 and other_ns < due_ns):
        return other_ns
    return due_ns


@kernel
def _due(context: int, symbol: int, now_ns: int) -> int:
    """Return when a symbol's quotes are to be looked at again at the latest, or 0."""
    settings = parameters_at(context_at(context).parameters)
    quotes = quotes_at(quotes_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    due = 0
    is_live = False
    for place in range(2):
        if quotes.stray_order_id[place] != 0:
            due = _earlier(due, max(quotes.stray_ns[place] + RESEND_NS, now_ns + LOOK_NS))
        if quotes.order_id[place] != 0:
            is_live = True
            asked_ns = quotes.cancel_ns[place]
            if asked_ns != 0:
                due = _earlier(due, max(asked_ns + RESEND_NS, now_ns + LOOK_NS))
            elif not _is_fit(context, symbol, place):
                due = _earlier(due, now_ns + LOOK_NS)
        elif quotes.wanted_lot[place] != 0:
            due = _earlier(due, max(quotes.retry_ns[place], now_ns + LOOK_NS))
    if is_live:
        due = _earlier(due, max(quotes.quote_ns + settings.quote_lease_ns + 1, now_ns + LOOK_NS))
        due = _earlier(due, max(state.seen_ns + settings.max_stale_ns + 1, now_ns + LOOK_NS))
    return due


@kernel
def step_all_quotes(context: int, now_ns: int) -> int:
    """Take a step of every quoted symbol; return when the next is due, 0 = none.

    Loop bound: quoted_count ≤ 32.
    """
    settings = parameters_at(context_at(context).parameters)
    due = 0
    for index in range(settings.quoted_count):
        symbol = settings.quoted_symbols[index]
        step_quotes(context, symbol, now_ns)
        due = _earlier(due, _due(context, symbol, now_ns))
    return due


@kernel
def forget_wanted(context: int) -> None:
    """Want no quotes, and ask for the end of those that stand anew: after a restart.

    Cancels that a predecessor wrote may be lost with an executor. Loop bound: quoted_count ≤ 32.
    """
    settings = parameters_at(context_at(context).parameters)
    for index in range(settings.quoted_count):
        quotes = quotes_at(quotes_address(context, settings.quoted_symbols[index]))
        for place in range(2):
            quotes.wanted_lot[place] = 0
            quotes.cancel_ns[place] = 0
            quotes.stray_ns[place] = 0
