"""Kill risk at each line that takes over what an earlier run kept; run uncompiled, see cuts.py.

    NUMBA_DISABLE_JIT=1 python -m tests.risk.keeping_cuts            each line once
    python -m tests.risk.keeping_cuts --whole                        without a crash

Three steps are cut: the cold start of the stage, the look at which the wallet becomes known, and
the one at which a person has re-armed. After a crash the stage is started as the supervisor does
it. The end must be that of a start without a crash, which is also what a file would keep of it.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import asdict
from typing import Any

from runtime.limit_file import KeptEquity, KeptLimits, KeptTrades
from shm.latch_table import held
from tests.compiled import exported
from tests.risk.cuts import Killer, Place
from tests.risk.desk import Desk
from tests.risk.runs import agent_of, forget_run, kept_by

E8 = 10**8
KEPT = KeptLimits(
    at_ns=1,
    equity=KeptEquity(9_700 * E8, 10_200 * E8, 10_000 * E8, 20_000),
    latch="drawdown",
    losses=3,
    latched={"SYM0USDT": ("momentum",), "SYM2USDT": ("order_flow", "mean_reversion")},
    trades={"momentum": KeptTrades(9, 4, 1234, 5678), "order_flow": KeptTrades(2, 0, 0, 99)},
)
PAID_IN_E8 = 50 * E8
KERNEL_FILES = ("positions.py", "kept_equity.py")


def tell(killer: Killer, kernels: Any) -> dict[str, Any]:
    """Start cold and let the wallet become known, with at most one crash; return the end."""
    with closing(Desk(kernels)) as desk:
        forget_run(desk)
        agent = agent_of(desk, KEPT)

        def again() -> None:
            nonlocal agent
            agent = agent_of(desk, KEPT, restarted=True)
            agent.on_start()

        if killer.run(agent.on_start):
            again()
        desk.control.wallet_e8 = KEPT.equity.base_e8 + PAID_IN_E8
        killer.step = 1

        def look() -> None:
            # A day that is that of the file, whatever day the test runs on.
            agent._wiring.context.utc_day = KEPT.equity.utc_day
            agent._run(agent._address, 0)

        if killer.run(look):
            again()
            look()
        look()
        found = asdict(kept_by(desk))
        del found["at_ns"]
        found["rearmed"] = rearmed(desk, killer, look, again)
        return found


def rearmed(desk: Desk, killer: Killer, look: Any, again: Any) -> list[Any]:
    """Let a person re-arm; return what was latched before, and what is left after."""
    control = desk.control
    before = [(latch.writer, latch.reason.name) for latch in held(control)]
    count = control.throttle_latches
    control.rearm_ns = control.risk_latch_ns + 1
    killer.step = 2
    if killer.run(look):
        again()
        look()
    look()
    after = kept_by(desk)
    assert after.equity is not None
    return [before, count, asdict(after.equity), after.latch, after.latched, control.risk_latch]


def main() -> int:
    """Cut at the first time each line runs in each step; print what was found as JSON."""
    kernels = exported()
    whole = Killer()
    expected = tell(whole, kernels)
    if "--whole" in sys.argv:
        print(json.dumps({"end": expected}))
        return 0
    # Timers and rings have their own cuts; here it is what touches the memory of limits.
    files = ("keeping.py", "agent.py", *KERNEL_FILES)
    places: list[Place] = [place for place in whole.seen if place[1].endswith(files)]
    wrong = []
    for place in places:
        found = tell(Killer(place), kernels)
        if found != expected:
            wrong.append([place, [key for key in expected if found[key] != expected[key]]])
    inside = sum(place[1].endswith(KERNEL_FILES) for place in places)
    report = {"cuts": len(places), "in_kernels": inside, "wrong": wrong, "end": expected}
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
