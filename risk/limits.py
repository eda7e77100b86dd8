"""The checks of limit_table.py, compiled. Pure. Loops: none."""

from __future__ import annotations

import math

from risk.limit_table import Refusal
from risk.state import ENTRY_CHECK, PARAMETERS
from shm.compiled import kernel
from shm.latch_table import LatchReason
from shm.records import SIGNAL, STRATEGY_COUNT_MAX
from shm.tables import SYMBOL, PositionState
from shm.views import view_of

check_at = view_of(ENTRY_CHECK)
parameters_at = view_of(PARAMETERS)
signal_at = view_of(SIGNAL)
symbol_at = view_of(SYMBOL)

NONE = int(Refusal.NONE)
KILLED = int(Refusal.KILLED)
HALTED = int(Refusal.HALTED)
VENUE = int(Refusal.VENUE)
CLOCK = int(Refusal.CLOCK)
UNTRUSTED = int(Refusal.UNTRUSTED)
DISTRUST = int(Refusal.DISTRUST)
EQUITY = int(Refusal.EQUITY)
WARMUP = int(Refusal.WARMUP)
DRAWDOWN = int(Refusal.DRAWDOWN)
DAILY_LOSS = int(Refusal.DAILY_LOSS)
COOL_OFF = int(Refusal.COOL_OFF)
THROTTLED = int(Refusal.THROTTLED)
DISABLED = int(Refusal.DISABLED)
NO_PRICE = int(Refusal.NO_PRICE)
STALE = int(Refusal.STALE)
LATE = int(Refusal.LATE)
NO_MARK = int(Refusal.NO_MARK)
QUOTED = int(Refusal.QUOTED)
DUPLICATE = int(Refusal.DUPLICATE)
IN_FLIGHT = int(Refusal.IN_FLIGHT)
POSITIONS = int(Refusal.POSITIONS)
RATE = int(Refusal.RATE)
CORRELATION = int(Refusal.CORRELATION)
NO_EDGE = int(Refusal.NO_EDGE)
COLLAR = int(Refusal.COLLAR)
SIZE = int(Refusal.SIZE)
QUANTITY = int(Refusal.QUANTITY)
FILTER = int(Refusal.FILTER)
ORDER_NOTIONAL = int(Refusal.ORDER_NOTIONAL)
INVENTORY = int(Refusal.INVENTORY)
STRATEGY_NOTIONAL = int(Refusal.STRATEGY_NOTIONAL)
GROSS_NOTIONAL = int(Refusal.GROSS_NOTIONAL)
NET_NOTIONAL = int(Refusal.NET_NOTIONAL)
PORTFOLIO_RISK = int(Refusal.PORTFOLIO_RISK)
MARGIN = int(Refusal.MARGIN)
REPEAT = int(Refusal.REPEAT)
RING = int(Refusal.RING)
FLAT = int(PositionState.FLAT)
LATCH_DAILY_LOSS = int(LatchReason.DAILY_LOSS)
E8 = 100_000_000.0
SECOND_NS = 1_000_000_000
# A hint beyond this is no stop of a scalper: the signal is not understood.
HINT_MAX = 0.5
# Money that does not fit a word is more than any limit allows.
MONEY_E8_MAX = 1 << 60


@kernel
def signal_is_valid(signal: int, symbol_count: int) -> bool:
    """Return whether a signal's symbol, side, strategy and numbers can be meant; NaN cannot."""
    view = signal_at(signal)
    if view.symbol >= symbol_count or view.strategy >= STRATEGY_COUNT_MAX:
        return False
    if view.side != 1 and view.side != -1:
        return False
    if not (view.bid_tick > 0 and view.ask_tick > view.bid_tick):
        return False
    if not (view.strength > 0.0 and view.strength <= 1.0):
        return False
    if not (view.confidence >= 0.0 and view.confidence <= 1.0):
        return False
    if not (view.stop_pct >= 0.0 and view.stop_pct <= HINT_MAX):
        return False
    if not (view.target_pct >= 0.0 and view.target_pct <= HINT_MAX):
        return False
    return view.volatility >= 0.0 and view.volatility < math.inf


@kernel
def is_stale(age_ns: int, max_stale_ns: int) -> bool:
    """Return whether an age is too great; one from the future is not trusted either."""
    return age_ns > max_stale_ns or age_ns < 0


@kernel
def money_e8(quantity_lot: int, price_tick: int, value_e8: int) -> int:
    """Return lots × ticks × value in 1e-8 quote, MONEY_E8_MAX where it would be more."""
    if float(quantity_lot) * float(price_tick) * float(value_e8) >= float(MONEY_E8_MAX):
        return MONEY_E8_MAX
    return quantity_lot * price_tick * value_e8


@kernel
def _refused_by_latches(check: int, parameters: int) -> int:
    view = check_at(check)
    settings = parameters_at(parameters)
    if view.kill_latch != 0:
        return KILLED
    if view.halt_reason != 0 or view.stop_requested != 0 or view.flatten_requested != 0:
        return HALTED
    if view.reconciled == 0:
        return VENUE
    if view.clock_ready == 0:
        return CLOCK
    if view.untrusted != 0:
        return UNTRUSTED
    if view.distrust != 0:
        return DISTRUST
    if view.equity_e8 <= 0:
        return EQUITY
    if view.started_age_ns < settings.warmup_ns:
        return WARMUP
    if view.risk_latch != 0:
        return DAILY_LOSS if view.risk_latch == LATCH_DAILY_LOSS else DRAWDOWN
    if view.cool_off_left_ns > 0:
        return COOL_OFF
    if view.throttled != 0:
        return THROTTLED
    return DISABLED if view.strategy_enabled == 0 else NONE


@kernel
def refused_by_state(check: int, parameters: int) -> int:
    """Return the first Refusal up to LAST_OF_STATE, or NONE: what needs neither price nor size."""
    refusal = _refused_by_latches(check, parameters)
    if refusal != NONE:
        return refusal
    view = check_at(check)
    settings = parameters_at(parameters)
    if view.best_valid == 0:
        return NO_PRICE
    if is_stale(view.price_age_ns, settings.max_stale_ns):
        return STALE
    if is_stale(view.signal_age_ns, settings.max_stale_ns):
        return LATE
    mark_is_known = view.mark_tick > 0 and not is_stale(view.mark_age_ns, settings.max_mark_age_ns)
    if settings.max_mark_age_ns > 0 and not mark_is_known:
        return NO_MARK
    if view.quoted != 0:
        return QUOTED
    if view.position_state != FLAT:
        return DUPLICATE
    if view.in_flight_count >= settings.max_symbol_orders:
        return IN_FLIGHT
    if view.position_count >= settings.max_positions:
        return POSITIONS
    return RATE if view.rate_age_ns < SECOND_NS else NONE


@kernel
def _refused_by_order(check: int, parameters: int) -> int:
    """Return the first Refusal that concerns the order alone."""
    view = check_at(check)
    settings = parameters_at(parameters)
    # Not known counts as alike: the first position needs no estimate, the second one does.
    is_alike = view.unknown_pairs > 0 or view.correlation > settings.correlation_limit
    if settings.correlation_limit < 1.0 and is_alike:
        return CORRELATION
    if view.size_bound == NO_EDGE:
        return NO_EDGE
    if view.limit_tick <= 0:
        return COLLAR
    if view.quantity_lot <= 0:
        # What left no room for a lot is the reason, found at its own place in the table.
        return view.size_bound if view.size_bound > SIZE else SIZE
    if view.quantity_lot > view.lot_max:
        return QUANTITY
    if view.conforms == 0:
        return FILTER
    return ORDER_NOTIONAL if view.order_notional_e8 > settings.max_order_notional_e8 else NONE


@kernel
def _refused_by_portfolio(check: int, parameters: int) -> int:
    """Return the first Refusal that concerns the order with all that is there."""
    view = check_at(check)
    settings = parameters_at(parameters)
    order = view.order_notional_e8
    if abs(view.inventory_e8 + view.side * order) > settings.max_position_e8:
        return INVENTORY
    if view.strategy_notional_e8 + order > settings.max_strategy_e8:
        return STRATEGY_NOTIONAL
    if view.gross_notional_e8 + order > settings.max_gross_e8:
        return GROSS_NOTIONAL
    net = view.net_notional_e8 + view.side * order
    # An order that brings the net closer to zero passes however far away it is.
    if abs(net) > settings.max_net_e8 and abs(net) > abs(view.net_notional_e8):
        return NET_NOTIONAL
    if view.risk_e8 + view.order_risk_e8 > settings.max_portfolio_risk * view.equity_e8:
        return PORTFOLIO_RISK
    margin = settings.max_margin_share * view.equity_e8 * settings.leverage
    return MARGIN if view.gross_notional_e8 + order > margin else NONE


@kernel
def refused_by_size(check: int, parameters: int) -> int:
    """Return the first Refusal after LAST_OF_STATE, or NONE."""
    refusal = _refused_by_order(check, parameters)
    if refusal != NONE:
        return refusal
    refusal = _refused_by_portfolio(check, parameters)
    if refusal != NONE:
        return refusal
    view = check_at(check)
    if view.repeat_count >= parameters_at(parameters).max_repeats:
        return REPEAT
    return RING if view.ring_free <= 0 else NONE


@kernel
def first_refusal(check: int, parameters: int) -> int:
    """Return the Refusal of highest precedence, or NONE. The order is that of LIMITS."""
    refusal = refused_by_state(check, parameters)
    return refusal if refusal != NONE else refused_by_size(check, parameters)


@kernel
def conforms(symbol: int, side: int, price_tick: int, quantity_lot: int, reference: float) -> bool:
    """Return whether an order's final price and quantity pass the filters of the venue.

    Venue: PRICE_FILTER, LOT_SIZE, MIN_NOTIONAL, and PERCENT_PRICE against the mark price (a buy
    not above mark × multiplierUp, a sell not below mark × multiplierDown). Prices are whole ticks
    and quantities whole lots by their type. `reference`: ticks, mark price or what stands for it.
    """
    view = symbol_at(symbol)
    if price_tick <= 0 or price_tick < view.price_tick_min:
        return False
    if view.price_tick_max > 0 and price_tick > view.price_tick_max:
        return False
    if quantity_lot < max(1, view.lot_min):
        return False
    if view.lot_max > 0 and quantity_lot > view.lot_max:
        return False
    # notional_min is a decimal of few digits: to 1e-8 it is exact.
    least = math.floor(view.notional_min * E8 + 0.5)
    if money_e8(quantity_lot, price_tick, view.value_e8) < least:
        return False
    if side > 0:
        return view.multiplier_up <= 0.0 or price_tick <= reference * view.multiplier_up
    return view.multiplier_down <= 0.0 or price_tick >= reference * view.multiplier_down


@kernel
def entry_limit_tick(
    parameters: int,
    symbol: int,
    side: int,
    bid_tick: int,
    ask_tick: int,
    signal_mid: float,
    reference: float,
) -> int:
    """Return the limit price of an entry, or 0 when no price fits.

    The opposite best price plus max_slippage_pct, rounded toward the best price, cut to the collar
    around the mid price, the mid price the signal was made at and the `reference` (the mark price,
    or the mid price where that is not used; ticks), and to the venue's own bounds.
    """
    settings = parameters_at(parameters)
    view = symbol_at(symbol)
    middle = (bid_tick + ask_tick) / 2.0
    collar = settings.price_collar_pct
    if side > 0:
        limit = math.floor(ask_tick * (1.0 + settings.max_slippage_pct))
        bound = min(min(middle, signal_mid), reference) * (1.0 + collar)
        if view.multiplier_up > 0.0:
            bound = min(bound, reference * view.multiplier_up)
        limit = min(limit, math.floor(bound))
        if view.price_tick_max > 0:
            limit = min(limit, view.price_tick_max)
        return limit if limit >= ask_tick else 0
    limit = math.ceil(bid_tick * (1.0 - settings.max_slippage_pct))
    bound = max(max(middle, signal_mid), reference) * (1.0 - collar)
    if view.multiplier_down > 0.0:
        bound = max(bound, reference * view.multiplier_down)
    limit = max(limit, math.ceil(bound))
    limit = max(limit, view.price_tick_min)
    return limit if 0 < limit <= bid_tick else 0
