"""What the end of a run waits for, read from risk's memory.

No kernels: risk's agent asks while it closes, the supervisor when everybody has ended. Loop bound:
symbol_count.
"""

from __future__ import annotations

from typing import Any

from risk.state import (
    GUARD,
    GUARDS_OFFSET,
    QUOTES,
    QUOTES_OFFSET,
    SYMBOL_STATE,
    SYMBOLS_OFFSET,
)
from shm.tables import PositionOwner
from shm.topology import SharedMemory


def _is_unprotected(memory: SharedMemory, symbol: int) -> bool:
    row = memory.position(symbol)
    left = row.entry_lot - row.exit_lot
    if left == 0 or row.owner == PositionOwner.LEFT_ALONE:
        return False
    guard = GUARD.at(memory.state("risk") + GUARDS_OFFSET + symbol * GUARD.size)
    # On the wrong side nothing is protected, it is to be closed.
    return bool(left < 0 or guard.exposed_ns)


def _is_under_way(memory: SharedMemory, symbol: int) -> bool:
    row, base = memory.position(symbol), memory.state("risk")
    state = SYMBOL_STATE.at(base + SYMBOLS_OFFSET + symbol * SYMBOL_STATE.size)
    quotes: Any = QUOTES.at(base + QUOTES_OFFSET + symbol * QUOTES.size)
    orders = (state.entry_live, row.exit_order_id, state.doubt_order_id, state.want_close)
    return any(orders) or any(quotes.order_id) or any(quotes.stray_order_id)


def unsettled(memory: SharedMemory) -> list[int]:
    """Return the symbols with an order under way, or a position that no stop at the venue covers.

    Where no stops are configured, none is missed.
    """
    symbols = range(memory.control.symbol_count)
    return [s for s in symbols if _is_unprotected(memory, s) or _is_under_way(memory, s)]
