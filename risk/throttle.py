"""The repeat throttle: a strategy that enters again and again is latched until a person re-arms it.

Each entry is remembered with its symbol, strategy and side. When as many as risk.max_repeats lie
within risk.repeat_window_ms, the next one is refused (REPEAT) and the strategy is latched for that
symbol: bit `strategy` of SYMBOL_STATE.throttle_latch. From then on it is refused as THROTTLED, over
restarts of risk and of the run too. `make rearm` sets control.rearm_ns (see shm/latch_table.py);
risk releases all latches when it sees a new stamp, and states how many there are in
control.throttle_latches. Exits are not touched.
"""

from __future__ import annotations

from risk.limit_state import REPEAT_COUNT
from risk.state import CONTEXT, HEADER, REPEATS, SYMBOL_STATE
from risk.undo import SYMBOL_STATE_SIZE
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.memory import population_count
from shm.tables import CONTROL
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
header_at = view_of(HEADER)
repeats_at = view_of(REPEATS)
symbol_state_at = view_of(SYMBOL_STATE)

REPEATS_SIZE = REPEATS.size
REPEAT_MASK = REPEAT_COUNT - 1
REARMED = counters.offset("risk.rearmed")
assert REPEAT_COUNT & REPEAT_MASK == 0


@kernel
def repeat_key(strategy: int, side: int) -> int:
    """Return what tells the entries of a symbol apart."""
    return 2 * strategy + (1 if side > 0 else 0)


@kernel
def repeats_within(context: int, symbol: int, key: int, now_ns: int, window_ns: int) -> int:
    """Return how many entries with a key were written for a symbol in the time before now.

    A table full of entries that young counts in whole, whatever their keys: older ones of this key
    may have been pushed out. Loop bound: REPEAT_COUNT.
    """
    view = context_at(context)
    written = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE).repeat_count
    rows = repeats_at(view.repeats + symbol * REPEATS_SIZE)
    found = 0
    for back in range(1, REPEAT_COUNT + 1):
        if back > written:
            return found
        place = (written - back) & REPEAT_MASK
        if now_ns - rows.order_ns[place] >= window_ns:
            return found
        if rows.key[place] == key:
            found += 1
    return REPEAT_COUNT


@kernel
def note_entry(context: int, symbol: int, key: int, now_ns: int) -> None:
    """Remember an entry; within the change that writes it."""
    view = context_at(context)
    state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
    rows = repeats_at(view.repeats + symbol * REPEATS_SIZE)
    place = state.repeat_count & REPEAT_MASK
    rows.order_ns[place] = now_ns
    rows.key[place] = key
    state.repeat_count += 1


@kernel
def count_latches(context: int) -> None:
    """State the number of latched strategies of symbols. Loop bound: symbol_count."""
    view = context_at(context)
    control = control_at(view.control)
    latched = 0
    for symbol in range(control.symbol_count):
        state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
        latched += population_count(state.throttle_latch)
    control.throttle_latches = latched


@kernel
def latch(context: int, symbol: int, strategy: int) -> None:
    """Latch a strategy for a symbol; needs 0 ≤ strategy < 16."""
    view = context_at(context)
    state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
    state.throttle_latch |= 1 << strategy
    count_latches(context)


@kernel
def is_latched(context: int, symbol: int, strategy: int) -> int:
    """Return 1 when a strategy is latched for a symbol."""
    view = context_at(context)
    state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
    return (state.throttle_latch >> strategy) & 1


@kernel
def obey_rearm(context: int) -> None:
    """Release all latches when a person asked for it. Loop bound: symbol_count, on a request."""
    view = context_at(context)
    header = header_at(view.header)
    control = control_at(view.control)
    wanted = control.rearm_ns
    if wanted == header.rearm_seen_ns:
        return
    count(view.counters, REARMED, control.throttle_latches)
    for symbol in range(control.symbol_count):
        state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
        state.throttle_latch = 0
        state.repeat_count = 0
    control.throttle_latches = 0
    header.rearm_seen_ns = wanted
