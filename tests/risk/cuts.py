"""Kill risk at chosen lines of its code and see whether it recovers; run uncompiled.

    NUMBA_DISABLE_JIT=1 python -m tests.risk.cuts [stride]

With a stride of 1 each line is tried, with 2 every second one.

Uncompiled, every kernel is plain Python over the same shared memory, so a trace function can end a
look at any line, as SIGKILL ends a process between two instructions. The private memory of the
process is made anew, `recover` runs, and the story goes on. Its end must be that of a story
without a crash: the same orders, the same positions, the same totals.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from risk.limit_table import REJECTED_COUNTERS
from risk.state import GUARD, ORDER_STATE, UNDO, UNDO_OFFSET
from shm.records import ORDER, OrderAction, OrderReason, OrderStatus
from shm.tables import POSITION
from tests.compiled import exported
from tests.risk.desk import RUN_FIELDS, Desk

ROOT = Path(__file__).resolve().parent.parent.parent
TRACED = {str(path) for path in (ROOT / "risk").glob("*.py")} | {str(ROOT / "shm" / "rings.py")}
Place = tuple[int, str, int]  # step, file, line
POSITION_RUN_FIELDS = ("opened_ns", "exit_sent_ns")
# What is remembered to save work: it may be forgotten at any time.
GUARD_RUN_FIELDS = ("written_ns", "placed_ns", "retry_ns", "exposed_ns", "stray_ns")
QUIET_FIELDS = ("quiet_low_tick", "quiet_high_tick", "quiet_until_ns")


class Crash(BaseException):
    """The process is dead."""


class Killer:
    """Record the lines each step runs, or raise `Crash` when one of them is reached."""

    def __init__(self, target: Place | None = None) -> None:
        self.target = target
        self.step = 0
        self.seen: dict[Place, None] = {}

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            place = (self.step, frame.f_code.co_filename, frame.f_lineno)
            self.seen.setdefault(place)
            if place == self.target:
                self.target = None
                raise Crash
        return self.trace

    def run(self, work: Callable[[], Any]) -> bool:
        """Run something under the trace; return whether it was killed."""
        sys.settrace(self.trace)
        try:
            work()
        except Crash:
            return True
        finally:
            sys.settrace(None)
        return False


def pick(orders: list[Any], reason: OrderReason, number: int = -1) -> Any:
    """Return one of the orders placed for a reason: the last one, or by number."""
    placed = [o for o in orders if o.reason == reason and o.action == OrderAction.PLACE]
    return placed[number]


def story(desk: Desk) -> list[Callable[[list[Any]], None]]:
    """Return the steps: each writes what other stages would, given the orders so far."""

    def stop_is(status: OrderStatus) -> Callable[[list[Any]], None]:
        return lambda orders: desk.report(pick(orders, OrderReason.PROTECTION), status)

    def signal(orders: list[Any]) -> None:
        desk.best(450_000, 450_001)
        desk.signal(1)

    def fill_in_two(orders: list[Any]) -> None:
        desk.fill(orders[0], 450_001, lot=4)
        desk.fill(orders[0], 450_002, done=4)
        desk.signal(1)

    def partial(orders: list[Any]) -> None:
        desk.best(450_910, 450_911)

    def fill_partial(orders: list[Any]) -> None:
        desk.fill(pick(orders, OrderReason.PARTIAL), 450_910)

    def move(orders: list[Any]) -> None:
        desk.release_move()

    def stop(orders: list[Any]) -> None:
        desk.best(449_000, 449_001)
        desk.signal(-1, 1)

    def fill_stop_in_part(orders: list[Any]) -> None:
        order = pick(orders, OrderReason.TRAILING)
        desk.fill(order, 449_000, lot=3)
        desk.report(order, OrderStatus.EXPIRED, filled_lot=3)

    def again(orders: list[Any]) -> None:
        desk.release_retry()

    def cross(orders: list[Any]) -> None:
        # The stop at the venue has triggered meanwhile, and takes one lot of what is left.
        desk.fill(pick(orders, OrderReason.PROTECTION), 448_900, lot=1)

    def fill_rest(orders: list[Any]) -> None:
        order = pick(orders, OrderReason.TRAILING)
        desk.fill(order, 449_000, lot=order.quantity_lot - 1)
        desk.report(order, OrderStatus.EXPIRED, filled_lot=order.quantity_lot - 1)

    def end_stop(orders: list[Any]) -> None:
        desk.report(pick(orders, OrderReason.PROTECTION), OrderStatus.CANCELED, filled_lot=1)

    rest, canceled = stop_is(OrderStatus.NEW), stop_is(OrderStatus.CANCELED)
    return [
        *(signal, fill_in_two, rest, canceled, rest),
        *(partial, fill_partial, move, canceled, rest),
        *(stop, fill_stop_in_part, again, cross, fill_rest, end_stop),
    ]


def tell(killer: Killer, recovery: Killer | None = None, kernels: Any = None) -> dict[str, Any]:
    """Play the story, with at most one crash in a look and one in the recovery; return its end."""
    kernels = kernels or exported()
    changes = {
        "trading__base_position_usd": 1000.0,
        "risk__max_order_notional_usd": 5000.0,
        "risk__venue_stop": True,
    }
    with closing(Desk(kernels, queue=8, market_queue=1024, **changes)) as desk:
        orders: list[Any] = []
        desk.look()
        for number, write in enumerate(story(desk)):
            write(orders)
            killer.step = number
            if killer.run(desk.look):
                if recovery is not None:
                    recovery.run(desk.recover)
                desk.recover()
                desk.look()
            orders += desk.orders()
        rejected = sum(desk.count(label) for label in REJECTED_COUNTERS)
        assert desk.count("rejected") == rejected
        assert desk.count("signals") == desk.count("accepted") + rejected
        assert UNDO.at(desk.memory.state("risk") + UNDO_OFFSET).kind == 0
        return end_of(desk, orders)


def plain(record: Any, layout: Any, leave_out: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for field in layout:
        if field.name not in leave_out and field.count == 1:
            found[field.name] = getattr(record, field.name)
    return found


def end_of(desk: Desk, orders: list[Any]) -> dict[str, Any]:
    """Return everything that must not depend on a crash."""
    control = desk.control
    return {
        "orders": [plain(order, ORDER, RUN_FIELDS) for order in orders],
        "positions": [
            plain(desk.position(k), POSITION, (*POSITION_RUN_FIELDS, *QUIET_FIELDS))
            for k in range(3)
        ],
        "table": [
            plain(desk.order_state(k), ORDER_STATE, ("written_ns",))
            for k in range(1, desk.header.last_order_id + 1)
        ],
        "guards": [plain(desk.guard(k), GUARD, GUARD_RUN_FIELDS) for k in range(3)],
        "totals": [
            control.realized_e8,
            control.fee_e8,
            control.unrealized_e8,
            control.open_position_count,
            control.risk_latch,
            desk.header.last_order_id,
            desk.header.last_position_id,
            desk.header.order_count,
        ],
    }


def main() -> int:
    """Cut at the first time each line runs in each step; print what was found as JSON."""
    stride = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    whole = Killer()
    expected = tell(whole)
    wrong = []
    places = list(whole.seen)[::stride]
    for place in places:
        found = tell(Killer(place))
        if found != expected:
            differing = [key for key in expected if found[key] != expected[key]]
            wrong.append([place, differing])
    twice = cut_recoveries(places, expected)
    print(json.dumps({"cuts": len(places), "twice": twice, "wrong": wrong, "end": expected}))
    return 0


def cut_recoveries(places: list[Place], expected: dict[str, Any]) -> int:
    """Crash in the recovery too, at each of its lines, after crashes within a change."""
    inside = [p for p in places if p[1].endswith(("orders.py", "positions.py"))]
    tried = 0
    for place in inside[:: max(1, len(inside) // 3)]:
        lines = Killer()
        tell(Killer(place), lines)
        for line in list(lines.seen)[::4]:
            assert tell(Killer(place), Killer(line)) == expected, (place, line)
            tried += 1
    return tried


if __name__ == "__main__":
    sys.exit(main())
