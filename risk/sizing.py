"""How many lots an entry takes: pure, money in floats, whole lots rounded down. Loops: none.

wanted = base position × factor, by position_sizing.method, in base_size..max_size;
room = the least of the bounds: one order, one position, the risk of one trade, what is left of the
portfolio's risk and of the margin; lots = what both allow, rounded down, and raised to the venue's
minimum where that is worth no more than the base position and the room.
"""

from __future__ import annotations

import math

from risk.limit_table import Refusal
from risk.state import ENTRY_CHECK, PARAMETERS, SizeMethod
from risk.trades import UNKNOWN_EDGE
from shm.compiled import kernel
from shm.tables import SYMBOL
from shm.views import view_of

check_at = view_of(ENTRY_CHECK)
parameters_at = view_of(PARAMETERS)
symbol_at = view_of(SYMBOL)

FIXED = int(SizeMethod.FIXED)
FRACTIONAL_KELLY = int(SizeMethod.FRACTIONAL_KELLY)
SIZE = int(Refusal.SIZE)
PORTFOLIO_RISK = int(Refusal.PORTFOLIO_RISK)
MARGIN = int(Refusal.MARGIN)
E8 = 100_000_000.0
# A stop is judged against the movement of one minute: volatility is per square root of a second.
MINUTE_ROOT = math.sqrt(60.0)
# Larger quantities are refused: products of two of them must fit 63 bits (see positions.py).
LOT_MAX = 1 << 31


@kernel
def size_factor(
    parameters: int,
    strength: float,
    confidence: float,
    volatility: float,
    stop_pct: float,
    equity: float,
    share: float,
) -> float:
    """Return the size as a multiple of the base position, in base_size..max_size; 0 = no edge.

    volatility_adjusted: strength × confidence × calm, where calm is the stop's distance over one
    minute's standard deviation, at most 1. Unknown volatility (0) gives base_size.
    fixed: max_size.
    fractional_kelly: a position that loses kelly_fraction × `share` of equity at its stop, where
    `share` is `kelly_share` of the strategy; base_size while that is unknown, 0 when it is 0.

    Args:
        parameters: PARAMETERS.
        strength: of the signal, 0..1.
        confidence: of the signal, 0..1.
        volatility: fraction per square root of a second; 0 = unknown.
        stop_pct: distance of the stop, a fraction above 0.
        equity: quote.
        share: see `trades.kelly_share`.
    """
    view = parameters_at(parameters)
    if view.size_method == FIXED:
        return view.max_size
    if view.size_method == FRACTIONAL_KELLY:
        if share == UNKNOWN_EDGE:
            return view.base_size
        if share <= 0.0:
            return 0.0
        wanted = view.kelly_fraction * share * equity / stop_pct / view.base_position
        return max(view.base_size, min(view.max_size, wanted))
    calm = 0.0
    if volatility > 0.0:
        calm = min(1.0, stop_pct / (volatility * MINUTE_ROOT))
    return max(view.base_size, min(view.max_size, strength * confidence * calm))


@kernel
def notional_room(parameters: int, check: int, stop_pct: float) -> tuple[float, int]:
    """Return (the most an entry may be worth, in quote; the Refusal of the bound that is least).

    SIZE stands for the bounds of one order, one position and one trade's risk. What is left of the
    portfolio's risk and of the margin may be negative. Needs the check's equity and sums.
    """
    view = parameters_at(parameters)
    before = check_at(check)
    equity = before.equity_e8 / E8
    room = min(view.max_order_notional_e8 / E8, view.max_position_e8 / E8)
    room = min(room, view.risk_per_trade * equity / stop_pct)
    bound = SIZE
    risk = (view.max_portfolio_risk * equity - before.risk_e8 / E8) / stop_pct
    if risk < room:
        room = risk
        bound = PORTFOLIO_RISK
    margin = view.max_margin_share * equity * view.leverage - before.gross_notional_e8 / E8
    if margin < room:
        room = margin
        bound = MARGIN
    return room, bound


@kernel
def entry_quantity(
    parameters: int, symbol: int, wanted: float, cap: float, low_tick: int, high_tick: int
) -> int:
    """Return the lots of an entry; 0 = refused.

    Args:
        parameters: PARAMETERS.
        symbol: SYMBOL row.
        wanted: quote, base position × factor.
        cap: quote, see `notional_room`.
        low_tick: the lower of best and limit price: the venue's minimum must hold there.
        high_tick: the higher one: the cap must hold there.

    Below the venue's minimum the quantity is raised to it if the minimum is worth no more than the
    base position and the cap. Above lot_max it is cut.
    """
    view = symbol_at(symbol)
    lot_high = high_tick * view.tick_size * view.lot_size
    lot_low = low_tick * view.tick_size * view.lot_size
    if not (lot_low > 0.0 and lot_high > 0.0):
        return 0
    base = parameters_at(parameters).base_position
    least = max(1, view.lot_min)
    # The tolerance keeps a minimum that is a whole number of lots from being rounded up by a float.
    least = max(least, math.ceil(view.notional_min / lot_low - 1e-9))
    allowed = min(wanted, cap)
    if not allowed > 0.0 or allowed / lot_high >= LOT_MAX:
        return 0
    quantity = math.floor(allowed / lot_high)
    if quantity < least:
        if least * lot_high > min(base, cap):
            return 0
        quantity = least
    if view.lot_max > 0:
        quantity = min(quantity, view.lot_max)
    return quantity if quantity >= least else 0
