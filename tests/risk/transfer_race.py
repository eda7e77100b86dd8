"""Let money be paid in between two reads of risk as it begins with a wallet; run uncompiled.

    NUMBA_DISABLE_JIT=1 python -m tests.risk.transfer_race

The executor takes the wallet away, counts the transfer and states the wallet again. All of it, or
any part of it, may come between what risk reads of both.
"""

from __future__ import annotations

import json
from contextlib import closing
from itertools import count

from risk import positions
from tests.compiled import exported
from tests.risk.desk import Desk
from tests.risk.runs import begin_run

E8 = 10**8
WALLET_E8 = 10_000 * E8
PAID_E8 = 400 * E8
DAY = 20_000


def equity_of(desk: Desk, times: tuple[int, int, int]) -> int:
    """Return the equity at the end, the executor's three stores made at these of risk's reads."""
    begin_run(desk, None)
    control, reads = desk.control, count()
    control.wallet_e8 = WALLET_E8
    stores = (("wallet_e8", 0), ("transfer_e8", PAID_E8), ("wallet_e8", WALLET_E8 + PAID_E8))
    left = list(zip(times, stores, strict=True))

    def between() -> None:
        now = next(reads)
        while left and left[0][0] <= now:
            setattr(control, *left.pop(0)[1])

    desk.wiring.context.utc_day = DAY
    barrier = positions.compiler_barrier
    positions.compiler_barrier = between
    try:
        for _ in range(6):
            positions.track_equity(desk.wiring.address, 0.1)
            between()
    finally:
        positions.compiler_barrier = barrier
    assert not left, "the executor came to its end"
    return positions.equity_e8(desk.wiring.address)


def main() -> None:
    """Print what equity is after each order of reads and stores."""
    found = {}
    with closing(Desk(exported())) as desk:
        for first in range(3):
            for second in range(first, 4):
                for third in range(second, 5):
                    times = (first, second, third)
                    found[str(times)] = equity_of(desk, times)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
