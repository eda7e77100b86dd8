"""Pauses before something that failed is tried again. Loops: none."""

from __future__ import annotations

from risk.state import SYMBOL_STATE
from shm.compiled import kernel
from shm.views import view_of

symbol_state_at = view_of(SYMBOL_STATE)

# Exits and stops are tried again after 50 ms, then after twice as long each time, up to 1.6 s.
RETRY_NS = 50_000_000
RETRY_DOUBLINGS = 5


@kernel
def retry_delay_ns(failures: int) -> int:
    """Return the pause before the next order after that many failures, 1 or more."""
    return RETRY_NS << min(max(failures - 1, 0), RETRY_DOUBLINGS)


@kernel
def note_failed_exit(symbol_state: int, is_partial: bool, now_ns: int) -> None:
    """Begin a pause before the next exit order; a failed partial close never holds up a stop."""
    state = symbol_state_at(symbol_state)
    state.retry_count += 1
    state.retry_ns = now_ns + retry_delay_ns(state.retry_count)
    state.retry_partial = 1 if is_partial else 0
