"""Inventories that reports were lost for are taken from risk's positions, at a moment of rest.

An engine that is overtaken by the reports no longer knows what it holds, and would quote on it.
Risk is the consumer of that ring and misses none. When both have read every report there is, its
position rows say what the sums would be.
"""

from __future__ import annotations

from typing import Any

from shm.ring_layout import RING
from shm.topology import SharedMemory


class InventoryMender:
    """Watch `reports_missed`; both it and the inventories are the engine's own memory."""

    def __init__(self, memory: SharedMemory, engine: Any, log: Any) -> None:
        self._memory, self._engine, self._log = memory, engine, log
        self._reports = RING.at(memory.ring("reports"))
        # What a predecessor missed was mended by it, or is still to be.
        self._mended = 0

    def look(self) -> bool:
        """Mend what is wrong if nothing is under way; return whether that was done."""
        engine, ring = self._engine, self._reports
        missed = engine.reports_missed
        if missed == self._mended:
            return False
        tail = ring.tail
        if not ring.head_0 == engine.report_position == tail:
            return False
        held = [self._memory.position(n).quantity_lot for n in range(engine.symbol_count)]
        # Ordering: no report came meanwhile, so risk has changed no row for one.
        if ring.tail != tail:
            return False
        for symbol, lots in enumerate(held):
            if engine.inventories[symbol] != lots:
                self._log.warning(
                    "inventory mended", symbol=symbol, was=engine.inventories[symbol], lots=lots
                )
                engine.inventories[symbol] = lots
        self._mended = missed
        return True
