"""The venue's time of a symbol: which events are taken, and what time does to the running sums.

One clock per symbol, in whole milliseconds, moved by every event that is evaluated. Streams of one
symbol are not in order with respect to one another, so an event a little before the clock is taken
at the clock; one far before it is refused, and a run of those means that the clock itself was
wrong: the state then starts over. All sums decay together when the clock moves.
"""

from __future__ import annotations

from engine.rsi import close_bar
from engine.state import DECAY_ROWS, GRID_SIZE, PARAMETERS, SYMBOL_STATE
from shm.compiled import kernel
from shm.memory import zero_bytes
from shm.views import view_of

state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)
STATE_SIZE = SYMBOL_STATE.size
CLOCK_OFFSET = SYMBOL_STATE.offset("clock_ms")

LATE_MS_MAX = 10_000
REFUSED_RUN_MAX = 16
BUCKET_MS = 250
GRID_MASK = GRID_SIZE - 1
NS_PER_MS = 1_000_000
TIME_REFUSED = -1

# Rows of the decay tables, see TAU_MS.
TAU_1_S = 0
TAU_5_S = 1
TAU_60_S = 2


@kernel
def decay(parameters: int, row: int, elapsed_ms: int) -> float:
    """Return exp(−elapsed/τ): three table entries and their product, of which short ones need one.

    Args:
        parameters: address of PARAMETERS.
        row: TAU_1_S, TAU_5_S or TAU_60_S.
        elapsed_ms: ≥ 0; beyond 4.6 h it counts as 4.6 h.
    """
    view = parameters_at(parameters)
    first = row * DECAY_ROWS
    near = view.decay_1[first + (elapsed_ms & 255)]
    if elapsed_ms < 256:
        return near
    middle = view.decay_256[first + ((elapsed_ms >> 8) & 255)]
    return near * middle * view.decay_65536[first + min(elapsed_ms >> 16, DECAY_ROWS - 1)]


@kernel
def start_over(state: int) -> None:
    """Make a state cold; a quarantine stays, and is counted anew."""
    zero_bytes(state + CLOCK_OFFSET, STATE_SIZE - CLOCK_OFFSET)
    view = state_at(state)
    view.sound_ms = 0
    view.sound_events = 0


@kernel
def accept_time(state: int, venue_ns: int) -> int:
    """Return the time in ms at which an event is taken, or TIME_REFUSED.

    Args:
        state: address of SYMBOL_STATE; late and refused events are noted in it.
        venue_ns: what the venue states, ns; not positive is refused.
    """
    view = state_at(state)
    if venue_ns <= 0:
        return TIME_REFUSED
    time_ms = venue_ns // NS_PER_MS
    late_ms = view.clock_ms - time_ms
    if late_ms > LATE_MS_MAX:
        view.refused_run += 1
        if view.refused_run < REFUSED_RUN_MAX:
            return TIME_REFUSED
        start_over(state)
        return time_ms
    view.refused_run = 0
    if late_ms > 0:
        view.late_count += 1
        return view.clock_ms
    return time_ms


@kernel
def _move_grid(state: int, now_ms: int) -> None:
    # Loop bound: GRID_SIZE. A quiet bucket holds the last price: nothing traded at another.
    view = state_at(state)
    bucket = now_ms // BUCKET_MS
    passed = bucket - view.grid_bucket
    if passed <= 0:
        return
    if view.trade_count == view.break_trade:
        # What traded while nothing was read is unknown: the grid begins with the next trade.
        return
    for back in range(min(passed, GRID_SIZE)):
        view.grid_tick[(bucket - back) & GRID_MASK] = view.last_tick
    view.grid_bucket = bucket
    view.grid_count = min(view.grid_count + passed, GRID_SIZE)


@kernel
def _note_spread(state: int, decay_60: float) -> None:
    # The spread that stood until now counts with the time it stood (West 1979, weighted update).
    view = state_at(state)
    weight = 1.0 - (1.0 - view.spread_weight) * decay_60
    gain = (1.0 - decay_60) / weight
    difference = (view.ask_tick - view.bid_tick) - view.spread_mean
    view.spread_mean += gain * difference
    view.spread_variance = (1.0 - gain) * (view.spread_variance + gain * difference * difference)
    view.spread_weight = weight


@kernel
def advance(state: int, parameters: int, now_ms: int) -> None:
    """Move a symbol's clock and let its sums decay.

    Args:
        state: address of SYMBOL_STATE; changed.
        parameters: address of PARAMETERS.
        now_ms: as `accept_time` returned it, so not before the clock.

    Loop bound: GRID_SIZE.
    """
    view = state_at(state)
    elapsed_ms = now_ms - view.clock_ms
    if elapsed_ms == 0:
        return
    if view.clock_ms == 0:
        view.clock_ms = now_ms
        return
    decay_1 = decay(parameters, TAU_1_S, elapsed_ms)
    decay_5 = decay(parameters, TAU_5_S, elapsed_ms)
    decay_60 = decay(parameters, TAU_60_S, elapsed_ms)
    view.clock_ms = now_ms
    if view.trade_count > 0:
        view.weight_60 = 1.0 - (1.0 - view.weight_60) * decay_60
        view.variance_sum *= decay_60
        view.slow_lot *= decay_60
        view.fast_lot *= decay_1
        view.buy_lot *= decay_5
        view.sell_lot *= decay_5
        _move_grid(state, now_ms)
        if view.bar_tick != 0 and now_ms // 1000 > view.bar_second:
            close_bar(state, parameters)
    view.ofi_lot *= decay_5
    view.ofi_gross_lot *= decay_5
    if view.bid_tick != 0:
        _note_spread(state, decay_60)
