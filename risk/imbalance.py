"""The imbalance of the best prices' quantities, smoothed in time, for positions that watch it.

    x = (bid_lot − ask_lot) / (bid_lot + ask_lot)
    s += (x_before − s) × dt / (dt + window)        x_before held for dt

The first BEST of a position begins it anew: what was before the entry is the engine's business.
Loops: none.
"""

from __future__ import annotations

from risk.state import SYMBOL_STATE
from shm.compiled import kernel
from shm.records import MARKET_EVENT
from shm.views import view_of

symbol_state_at = view_of(SYMBOL_STATE)
event_at = view_of(MARKET_EVENT)


@kernel
def note_imbalance(symbol_state: int, event: int, window_ns: int) -> None:
    """Take a BEST event; one without quantities leaves the imbalance as it is."""
    state = symbol_state_at(symbol_state)
    best = event_at(event)
    total = best.quantity_lot + best.ask_lot
    if total <= 0 or best.quantity_lot < 0 or best.ask_lot < 0:
        return
    fresh = (best.quantity_lot - best.ask_lot) / total
    if state.imbalance_at_ns == 0:
        state.imbalance = fresh
    else:
        passed = max(0, best.origin_ns - state.imbalance_at_ns)
        share = passed / (passed + window_ns)
        state.imbalance += (state.imbalance_now - state.imbalance) * share
    state.imbalance_now = fresh
    state.imbalance_at_ns = best.origin_ns
