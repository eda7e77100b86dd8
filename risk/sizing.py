"""How many lots an entry takes: pure, money in floats, whole lots rounded down. Loops: none."""

from __future__ import annotations

import math

from risk.state import PARAMETERS
from shm.compiled import kernel
from shm.tables import SYMBOL
from shm.views import view_of

parameters_at = view_of(PARAMETERS)
symbol_at = view_of(SYMBOL)

# A stop is judged against the movement of one minute: volatility is per square root of a second.
MINUTE_ROOT = math.sqrt(60.0)
# Larger quantities are refused: products of two of them must fit 63 bits (see positions.py).
LOT_MAX = 1 << 31


@kernel
def size_factor(parameters: int, strength: float, confidence: float, volatility: float) -> float:
    """Return the size as a multiple of the base position, in base_size..max_size.

    volatility_adjusted: strength × confidence × calm, where calm is the stop's distance over one
    minute's standard deviation, at most 1. Unknown volatility (0) gives base_size. fixed: max_size.
    """
    view = parameters_at(parameters)
    if view.fixed_size:
        return view.max_size
    calm = 0.0
    if volatility > 0.0:
        calm = min(1.0, view.stop_loss_pct / (volatility * MINUTE_ROOT))
    return max(view.base_size, min(view.max_size, strength * confidence * calm))


@kernel
def notional_cap(parameters: int, equity: float, gross: float) -> float:
    """Return the most an entry may be worth, in quote.

    The least of max_position, max_order_notional, what is left of the risk budget (all stops hit:
    max_portfolio_risk × equity) and what is left of the margin (equity × leverage). Open positions
    count with their whole stop distance: stops only move closer.
    """
    view = parameters_at(parameters)
    budget = view.max_portfolio_risk * equity / view.stop_loss_pct - gross
    margin = equity * view.leverage - gross
    return min(min(view.max_position, view.max_order_notional), min(budget, margin))


@kernel
def entry_quantity(
    parameters: int, symbol: int, wanted: float, cap: float, low_tick: int, high_tick: int
) -> int:
    """Return the lots of an entry; 0 = refused.

    Args:
        parameters: PARAMETERS.
        symbol: SYMBOL row.
        wanted: quote, base position × factor.
        cap: quote, see `notional_cap`.
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
