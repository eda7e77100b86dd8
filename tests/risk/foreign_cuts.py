"""Kill risk at the lines that book a fill of nobody's order; run uncompiled, see cuts.py.

NUMBA_DISABLE_JIT=1 python -m tests.risk.foreign_cuts [stride]
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Any

from shm.records import REPORT, OrderStatus
from shm.tables import POSITION
from tests.compiled import exported
from tests.risk.cuts import POSITION_RUN_FIELDS, QUIET_FIELDS, Killer, Place, plain
from tests.risk.desk import Desk

# (side, lots, trade id): opened, told again, turned around, and closed.
FILLS = ((1, 5, 90), (1, 5, 90), (-1, 8, 91), (1, 3, 92))


def tell(killer: Killer) -> dict[str, Any]:
    """Play the fills, with at most one crash; return the end."""
    with closing(Desk(exported())) as desk:
        desk.look()
        rows = []
        for number, (side, lots, trade_id) in enumerate(FILLS):
            values = {
                "side": side, "fill_lot": lots, "filled_lot": lots, "fill_tick": 100_000 + number,
                "trade_id": trade_id, "fee_e8": 700, "status": int(OrderStatus.FILLED),
            }  # fmt: skip
            desk.write("reports", REPORT, values)
            killer.step = number
            if killer.run(desk.look):
                desk.recover()
                desk.look()
            rows.append(plain(desk.position(), POSITION, (*POSITION_RUN_FIELDS, *QUIET_FIELDS)))
        control = desk.control
        totals = [control.realized_e8, control.fee_e8, control.open_position_count]
        return {"rows": rows, "totals": [*totals, desk.header.last_position_id]}


def main() -> int:
    """Cut at each line that runs within a change of a fill; print what was found as JSON."""
    stride = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    whole = Killer()
    expected = tell(whole)
    inside = ("foreign.py", "fills.py", "positions.py", "undo.py")
    places: list[Place] = [p for p in whole.seen if p[1].endswith(inside)][::stride]
    wrong = [place for place in places if tell(Killer(place)) != expected]
    print(json.dumps({"cuts": len(places), "wrong": wrong, "end": expected}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
