"""What is at stake already: notionals, orders in flight, loss at the stops, likeness. One pass.

Orders sent count at once: an entry in flight counts with its unfilled lots at its limit price, what
is filled of it counts as position. Positions of others in the account count like our own. The loss
at the stops is what equity would lose from here: from the price a position would leave at now
(equity is valued there too) to its stop, for the lots that are left; an entry in flight with its
limit's distance to the stop it will have. A position whose price is beyond its stop has that loss
behind it. Fees and gaps through a stop are not in it.
"""

from __future__ import annotations

import math

from risk.correlation import UNKNOWN, likeness_of
from risk.positions import (
    FLAT,
    exit_price,
    position_address,
    side_of,
    symbol_address,
    symbol_state_address,
)
from risk.quote_rows import quoted_left_lot, quotes_address
from risk.quote_state import QUOTES
from risk.state import CONTEXT, ENTRY_CHECK, PARAMETERS, SYMBOL_STATE
from shm.compiled import kernel
from shm.records import Strategy
from shm.tables import CONTROL, POSITION, SYMBOL
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
check_at = view_of(ENTRY_CHECK)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
quotes_at = view_of(QUOTES)
MARKET_MAKING = int(Strategy.MARKET_MAKING)


@kernel
def held_price(context: int, symbol: int) -> int:
    """Return the price a position is valued at: where it would leave, else its average fill.

    Needs a position with fills.
    """
    place = position_address(context, symbol)
    row = position_at(place)
    price = exit_price(symbol_state_address(context, symbol), side_of(place))
    if price > 0:
        return price
    return (row.entry_value + row.exit_value) // (row.entry_lot + row.exit_lot)


@kernel
def _stop_distance(context: int, symbol: int, price: int) -> int:
    """Return the ticks a position may lose from a price to its stop.

    A net position on the wrong side, or one without a stop, counts with the configured distance.
    """
    row = position_at(position_address(context, symbol))
    if row.stop_tick > 0 and row.entry_lot > row.exit_lot:
        return max(0, (price - row.stop_tick) * row.side)
    return math.ceil(price * parameters_at(context_at(context).parameters).stop_loss_pct)


@kernel
def _quotes_notional_e8(context: int, symbol: int) -> int:
    """Return the notional of a symbol's quotes that stand, both sides: either may be filled."""
    quotes = quotes_at(quotes_address(context, symbol))
    value = symbol_at(symbol_address(context, symbol)).value_e8
    bid = quoted_left_lot(context, symbol, 0) * quotes.tick[0]
    return (bid + quoted_left_lot(context, symbol, 1) * quotes.tick[1]) * value


@kernel
def _add_position(context: int, symbol: int) -> None:
    """Add the notional and the risk of a symbol's position and entry to the check."""
    view = context_at(context)
    check = check_at(view.check)
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    value = symbol_at(symbol_address(context, symbol)).value_e8
    notional = state.entry_left_lot * state.entry_tick * value
    check.net_notional_e8 += row.side * notional
    check.risk_e8 += state.entry_left_lot * state.entry_risk_tick * value
    left = abs(row.entry_lot - row.exit_lot)
    if left > 0:
        price = held_price(context, symbol)
        held = left * price * value
        notional += held
        check.net_notional_e8 += side_of(place) * held
        check.risk_e8 += left * _stop_distance(context, symbol, price) * value
    if row.strategy == MARKET_MAKING:
        notional += _quotes_notional_e8(context, symbol)
    check.gross_notional_e8 += notional
    if row.strategy == check.strategy:
        check.strategy_notional_e8 += notional


@kernel
def _compare(context: int, symbol: int, other: int) -> None:
    """Take the likeness of the order's symbol to an open one into the check, by their sides."""
    view = context_at(context)
    check = check_at(view.check)
    settings = parameters_at(view.parameters)
    sign = check.side * side_of(position_address(context, other))
    samples_min = settings.correlation_samples_min
    least = check.correlation
    found = likeness_of(view.pairs, symbol, other, samples_min, sign, least)
    if found == UNKNOWN:
        check.unknown_pairs += 1
    else:
        check.correlation = found


@kernel
def orders_in_flight(context: int, symbol: int) -> int:
    """Return how many orders of a symbol have no end yet: its entry and its exit."""
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    return state.entry_live + (1 if row.exit_order_id != 0 else 0)


@kernel
def measure_exposure(context: int, symbol: int) -> None:
    """Fill the check's sums over all positions and entries, before the order; needs its side.

    Loop bound: symbol_count ≤ 128, and no further than the last position.
    """
    view = context_at(context)
    check = check_at(view.check)
    control = control_at(view.control)
    check.gross_notional_e8 = 0
    check.net_notional_e8 = 0
    check.strategy_notional_e8 = 0
    check.risk_e8 = 0
    check.inventory_e8 = 0
    check.correlation = 0.0
    check.unknown_pairs = 0
    missing = control.open_position_count
    for other in range(control.symbol_count):
        if missing <= 0:
            break
        if position_at(position_address(context, other)).state == FLAT:
            continue
        missing -= 1
        if other == symbol:
            before = check.net_notional_e8
            _add_position(context, other)
            check.inventory_e8 = check.net_notional_e8 - before
        else:
            _add_position(context, other)
            _compare(context, symbol, other)
