"""How alike two symbols move: weighted correlation of the returns of their mid prices, online.

At each step of a fixed grid a symbol's return is mid now / mid at the step before - 1. For a pair
with both returns r, s the sums of r·s, r² and s² decay by one factor and take the new products in;

    correlation = Σ w r s / √(Σ w r² · Σ w s²),    w = decay^(age in common returns)

without taking the means off, as RiskMetrics does (J.P. Morgan and Reuters, "RiskMetrics Technical
Document", 4th edition 1996, sections 5.2 and 5.3): the mean of a return over a second is far below
its deviation, and a common drift is a common risk. A symbol without a valid price at a step, or at
the one before, gives no return: its pairs keep their sums. Prices that are sampled more often than
they trade look less alike than they are (Epps 1979): the grid is not to be finer than a second.

Cost: one multiplication and addition for three sums of each pair, once a step: O(n²), 8,256 pairs
for 128 symbols; reading a pair is O(1). A step that a crash cuts short costs some pairs a return.
"""

from __future__ import annotations

import math

from risk.state import CONTEXT, CORRELATION, PAIR, PARAMETERS, SYMBOL_STATE
from risk.undo import SYMBOL_STATE_SIZE
from shm.compiled import kernel
from shm.tables import CONTROL
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
correlation_at = view_of(CORRELATION)
pair_at = view_of(PAIR)
parameters_at = view_of(PARAMETERS)
symbol_state_at = view_of(SYMBOL_STATE)

# What `correlation_of` returns where it is not known: no correlation is above 1.
UNKNOWN = 2.0
PAIR_SIZE = PAIR.size


@kernel
def pair_index(first: int, second: int) -> int:
    """Return the place of a pair of symbols in the triangular table."""
    high = max(first, second)
    low = min(first, second)
    return high * (high + 1) // 2 + low


@kernel
def take_returns(correlation: int, pairs: int, symbol_count: int, decay: float) -> None:
    """Take one step: `step_return` holds each symbol's return, `known_step` the step of its price.

    A symbol has a return when its price was known at this step and at the one before; the caller
    marks that by leaving step_return at NaN where it was not. Loop bound: symbol_count².
    """
    view = correlation_at(correlation)
    for high in range(symbol_count):
        upper = view.step_return[high]
        if upper != upper:
            continue
        base = high * (high + 1) // 2
        for low in range(high + 1):
            lower = view.step_return[low]
            if lower != lower:
                continue
            pair = pair_at(pairs + (base + low) * PAIR_SIZE)
            pair.product = decay * pair.product + upper * lower
            pair.square_row = decay * pair.square_row + upper * upper
            pair.square_column = decay * pair.square_column + lower * lower
            pair.sample_count += 1


@kernel
def observe_prices(context: int, now_ns: int) -> int:
    """Take a step when one is due; return 1 if it was. Loop bound: symbol_count².

    After a pause of several steps the return over the pause is one sample, of all symbols alike.
    """
    view = context_at(context)
    settings = parameters_at(view.parameters)
    estimate = correlation_at(view.correlation)
    if now_ns - estimate.step_ns < settings.correlation_grid_ns:
        return 0
    estimate.step_ns = now_ns
    estimate.step_count += 1
    step = estimate.step_count
    count = control_at(view.control).symbol_count
    for symbol in range(count):
        state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
        estimate.step_return[symbol] = math.nan
        if state.best_valid == 0:
            continue
        mid = (state.bid_tick + state.ask_tick) / 2.0
        if step > 1 and estimate.known_step[symbol] == step - 1:
            estimate.step_return[symbol] = mid / estimate.mid[symbol] - 1.0
        estimate.mid[symbol] = mid
        estimate.known_step[symbol] = step
    take_returns(view.correlation, view.pairs, count, settings.correlation_decay)
    return 1


@kernel
def likeness_of(
    pairs: int, first: int, second: int, samples_min: int, sign: int, least: float
) -> float:
    """Return the correlation of two symbols times `sign` where it is above `least`, else `least`.

    UNKNOWN as in `correlation_of`. The root is only taken of what is above: `least` ≥ 0.
    """
    pair = pair_at(pairs + pair_index(first, second) * PAIR_SIZE)
    square = pair.square_row * pair.square_column
    if pair.sample_count < samples_min or not square > 0.0:
        return UNKNOWN
    product = pair.product * sign
    if product <= 0.0 or product * product <= least * least * square:
        return least
    return max(least, min(1.0, product / math.sqrt(square)))


@kernel
def correlation_of(pairs: int, first: int, second: int, samples_min: int) -> float:
    """Return the correlation of two symbols in -1..1, or UNKNOWN.

    Unknown: fewer than `samples_min` returns in common, or a price that never moved.
    """
    pair = pair_at(pairs + pair_index(first, second) * PAIR_SIZE)
    if pair.sample_count < samples_min:
        return UNKNOWN
    scale = math.sqrt(pair.square_row * pair.square_column)
    if not scale > 0.0:
        return UNKNOWN
    return max(-1.0, min(1.0, pair.product / scale))
