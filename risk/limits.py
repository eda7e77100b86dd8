"""The checks of limit_table.py, compiled. Pure. Loops: none."""

from __future__ import annotations

import math

from risk.limit_table import Refusal
from risk.state import ENTRY_CHECK, PARAMETERS
from shm.compiled import kernel
from shm.records import SIGNAL, STRATEGY_COUNT_MAX
from shm.tables import SYMBOL, PositionState
from shm.views import view_of

check_at = view_of(ENTRY_CHECK)
parameters_at = view_of(PARAMETERS)
signal_at = view_of(SIGNAL)
symbol_at = view_of(SYMBOL)

NONE = int(Refusal.NONE)
HALTED = int(Refusal.HALTED)
DRAWDOWN = int(Refusal.DRAWDOWN)
DISABLED = int(Refusal.DISABLED)
STALE = int(Refusal.STALE)
DUPLICATE = int(Refusal.DUPLICATE)
POSITIONS = int(Refusal.POSITIONS)
SIZE = int(Refusal.SIZE)
ORDER_NOTIONAL = int(Refusal.ORDER_NOTIONAL)
GROSS_NOTIONAL = int(Refusal.GROSS_NOTIONAL)
COLLAR = int(Refusal.COLLAR)
RATE = int(Refusal.RATE)
RING = int(Refusal.RING)
FLAT = int(PositionState.FLAT)
E8 = 100_000_000.0


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
    return view.volatility >= 0.0 and view.volatility < math.inf


@kernel
def is_stale(age_ns: int, max_stale_ns: int) -> bool:
    """Return whether an age is too great; one from the future is not trusted either."""
    return age_ns > max_stale_ns or age_ns < 0


@kernel
def _is_halted(check: int) -> bool:
    view = check_at(check)
    if view.halt_reason != 0 or view.kill_latch != 0 or view.stop_requested != 0:
        return True
    if view.flatten_requested != 0 or view.reconciled == 0 or view.clock_ready == 0:
        return True
    return view.untrusted != 0 or view.distrust != 0 or view.equity_e8 <= 0


@kernel
def first_refusal(check: int, parameters: int) -> int:
    """Return the Refusal of highest precedence, or NONE. The order is that of LIMITS."""
    view = check_at(check)
    settings = parameters_at(parameters)
    if _is_halted(check):
        return HALTED
    if view.risk_latch != 0:
        return DRAWDOWN
    if view.strategy_enabled == 0:
        return DISABLED
    if view.best_valid == 0 or is_stale(view.price_age_ns, settings.max_stale_ns):
        return STALE
    if is_stale(view.signal_age_ns, settings.max_stale_ns):
        return STALE
    if view.position_state != FLAT:
        return DUPLICATE
    if view.position_count >= settings.max_positions:
        return POSITIONS
    # Without a limit price there is no size either: the collar is the reason then.
    if view.limit_tick != 0 and view.quantity_lot <= 0:
        return SIZE
    if view.order_notional_e8 > settings.max_order_notional * E8:
        return ORDER_NOTIONAL
    if view.gross_notional_e8 + view.order_notional_e8 > settings.max_gross_notional * E8:
        return GROSS_NOTIONAL
    if view.limit_tick == 0:
        return COLLAR
    if view.order_count >= settings.entries_per_s:
        return RATE
    return RING if view.ring_free <= 0 else NONE


@kernel
def entry_limit_tick(
    parameters: int, symbol: int, side: int, bid_tick: int, ask_tick: int, signal_mid: float
) -> int:
    """Return the limit price of an entry, or 0 when no price fits.

    The opposite best price plus max_slippage_pct, rounded toward the best price, cut to the collar
    around the mid price and around the mid price the signal was made at, to the venue's own bounds
    (PERCENT_PRICE is judged against the mid: the mark price is not known here).
    """
    settings = parameters_at(parameters)
    view = symbol_at(symbol)
    middle = (bid_tick + ask_tick) / 2.0
    collar = settings.price_collar_pct
    if side > 0:
        limit = math.floor(ask_tick * (1.0 + settings.max_slippage_pct))
        bound = min(middle, signal_mid) * (1.0 + collar)
        if view.multiplier_up > 0.0:
            bound = min(bound, middle * view.multiplier_up)
        limit = min(limit, math.floor(bound))
        if view.price_tick_max > 0:
            limit = min(limit, view.price_tick_max)
        return limit if limit >= ask_tick else 0
    limit = math.ceil(bid_tick * (1.0 - settings.max_slippage_pct))
    bound = max(middle, signal_mid) * (1.0 - collar)
    if view.multiplier_down > 0.0:
        bound = max(bound, middle * view.multiplier_down)
    limit = max(limit, math.ceil(bound))
    limit = max(limit, view.price_tick_min)
    return limit if 0 < limit <= bid_tick else 0
