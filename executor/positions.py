"""What we believe to hold: risk's position rows, and the fills that risk has not read yet."""

from __future__ import annotations

from shm.records import REPORT
from shm.ring_layout import RING
from shm.topology import SharedMemory


class LocalPositions:
    """Positions in lots by symbol, right at any moment of risk's life."""

    def __init__(self, memory: SharedMemory, symbols: tuple[str, ...]) -> None:
        self._memory = memory
        self._ring = memory.ring("reports")
        self._symbols = symbols

    def lots(self, symbol: int) -> int:
        """Return a symbol's position as it will be once risk has read all reports.

        Risk may be between reading a report and giving it back: whoever finds a difference looks
        again. Loop bound: the capacity of the ring.
        """
        held = self._memory.position(symbol).quantity_lot
        control = RING.at(self._ring)
        filled: dict[int, int] = {}
        for position in range(control.head_0, control.tail):
            slot = (position & control.mask) * control.slot_size
            report = REPORT.at(self._ring + control.slots_offset + slot)
            if report.symbol != symbol or report.fill_lot <= 0:
                continue
            if report.order_id == 0:
                # Nobody's order: the ids count up, so none is there twice.
                held += report.fill_lot * report.side
                continue
            # After a crash a fill may have been reported twice.
            if report.filled_lot > filled.get(report.order_id, 0):
                filled[report.order_id] = report.filled_lot
                held += report.fill_lot * report.side
        return held
