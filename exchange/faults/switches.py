"""Hold the armed faults and decide, seeded, which occasions they strike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping

import structlog

from exchange.faults.arming import FaultError
from exchange.faults.rows import POINTS, Row, Value

ARMED_MAX = 1_000  # faults that may still strike, and as many that are used up
FILTERS = ("symbol", "path", "method", "stream")
TIMER_SLACK_S = 0.001  # a timer must not look at a window before it has ended

Texts = str | frozenset[str]  # what an occasion is, in one regard: one name or several


class Fault:
    """Be one armed fault: its row, its values, its own random numbers, what is left of it."""

    __slots__ = ("armed_s", "fault_id", "left", "random", "row", "taken", "values")

    def __init__(
        self, fault_id: int, row: Row, values: Mapping[str, Value], armed_s: float
    ) -> None:
        self.fault_id = fault_id
        self.row = row
        self.values = values
        self.random = random.Random(f"{row.name}:{values['seed']}")
        self.left = int(values["count"]) or -1  # -1: without end
        self.taken = 0
        self.armed_s = armed_s

    def number(self, name: str) -> int:
        """Return a whole-number parameter."""
        return int(self.values[name])

    def text(self, name: str) -> str:
        """Return a text parameter."""
        return str(self.values[name])

    def delay_s(self) -> float:
        """Return the delay for one occasion in s: `delay_ms` and a draw of `jitter_ms`."""
        jitter_ms = float(self.values.get("jitter_ms", 0))
        delay_ms = float(self.values["delay_ms"])
        if jitter_ms:
            delay_ms += self.random.random() * jitter_ms
        return delay_ms / 1000

    def is_due(self, now_s: float) -> bool:
        """Tell whether its window has begun."""
        return (now_s - self.armed_s) * 1000 >= float(self.values["from_ms"])

    def is_live(self, now_s: float) -> bool:
        """Tell whether it may still strike: it is not used up, and its window has not ended."""
        until_ms = float(self.values["until_ms"])
        return self.left != 0 and (not until_ms or (now_s - self.armed_s) * 1000 < until_ms)

    def fits(self, where: Mapping[str, Texts]) -> bool:
        """Tell whether an occasion passes its filters."""
        values = self.values
        is_narrowed = values["path"] or values["method"]
        if self.row.is_for_orders and not is_narrowed and where.get("orders") != "yes":
            return False
        if any(values[name] and name not in where for name in FILTERS):
            return False
        return all(_is_among(values.get(name, ""), found) for name, found in where.items())

    def as_json(self) -> dict[str, object]:
        """Return what `/local/faults` shows of it."""
        values = {key: value for key, value in self.values.items() if value != ""}
        left = self.left if self.left >= 0 else None
        head = {"id": self.fault_id, "name": self.row.name, "taken": self.taken, "left": left}
        return {**head, **values}


def _is_among(wanted: Value, found: Texts) -> bool:
    if wanted in ("", "all", found):
        return True
    return isinstance(found, frozenset) and wanted in found


class Switches:
    """Be asked at every injection point whether something is to go wrong there.

    Each point asks one attribute first (`on_requests`, …), which is False while nothing is armed
    for it: this is all that an exchange without faults pays. Draws happen per fault and in the
    order of the occasions that fit it, so the same seed and requests give the same faults.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.on_requests = False
        self.on_connections = False
        self.on_streams = False
        self.on_snapshots = False
        self.on_desk = False
        self.on_clock = False
        # Called with a fault that is an action, when its time has come.
        self.actions: dict[str, Callable[[Fault], None]] = {}
        # Called with a fault whose action lasts, when it is disarmed or its window ends.
        self.undo: dict[str, Callable[[Fault], None]] = {}
        self.on_change: list[Callable[[], None]] = []
        self.on_disarm: list[Callable[[list[Fault]], None]] = []
        self.on_disarm_all: list[Callable[[], None]] = []
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self.symbols: Collection[str] = ()  # that are traded; empty: not known
        self._clock_s = clock_s
        self._faults: dict[int, Fault] = {}
        self._live: dict[str, list[Fault]] = {}  # by name, those that may still strike
        self._next_id = 1

    def arm(self, row: Row, values: Mapping[str, Value]) -> Fault:
        """Arm a fault; one that is an action happens now, or after its `from_ms`.

        Raises FaultError when an action cannot be done with these values, too many are armed, or
        the symbol is not traded.
        """
        symbol = values.get("symbol")
        if symbol and self.symbols and symbol not in self.symbols:
            raise FaultError(f"unknown symbol: fault={row.name} symbol={symbol}")
        self._make_room()
        fault = Fault(self._next_id, row, values, self._clock_s())
        if row.is_action or values.get("at") == "now":
            self._act(fault)
        else:
            self._faults[fault.fault_id] = fault
        self._next_id += 1
        structlog.get_logger().info("fault_armed", fault=row.name, id=fault.fault_id)
        if fault.number("until_ms") and self.later is not None:
            self.later(
                fault.number("until_ms") / 1000 + TIMER_SLACK_S, lambda: self._run_out(fault)
            )
        self._changed()
        return fault

    def disarm(self, fault_id: int) -> bool:
        """Disarm one fault and end what it does; tell whether it was there."""
        fault = self._faults.pop(fault_id, None)
        self._end([fault] if fault is not None else [])
        return fault is not None

    def disarm_all(self) -> int:
        """Disarm everything and end what it does; return how many faults there were."""
        faults = list(self._faults.values())
        self._faults.clear()
        self._end(faults)
        for listener in self.on_disarm_all:
            listener()
        return len(faults)

    def take(
        self, name: str, suits: Callable[[Fault], bool] | None = None, /, **where: Texts
    ) -> Fault | None:
        """Return the fault that strikes this occasion, counted, or None.

        `suits` tells of a fault that fits whether it could have an effect here.
        """
        faults = self._live.get(name)
        if not faults:
            return None
        now_s = self._clock_s()
        if not all(fault.is_live(now_s) for fault in faults):
            self._changed()
            faults = self._live.get(name, [])
        for fault in faults:
            if not (fault.is_due(now_s) and fault.fits(where)):
                continue
            if (suits is None or suits(fault)) and self._draw(fault):
                return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """Take back the count of an occasion on which a fault turned out to have no effect."""
        fault.taken -= 1
        if fault.left >= 0:
            fault.left += 1
        self._changed()

    def holding(self, name: str) -> Fault | None:
        """Return the fault of that name that is armed now, without using it up."""
        now_s = self._clock_s()
        for fault in self._live.get(name, ()):
            if fault.is_live(now_s) and fault.is_due(now_s):
                return fault
        return None

    def lasting(self, name: str) -> list[Fault]:
        """Return the faults of that name whose action has been done and lasts, oldest first."""
        return [fault for fault in self._live.get(name, ()) if fault.row.lasts and fault.taken]

    def armed_json(self) -> list[dict[str, object]]:
        """Return the armed faults, those used up among them."""
        return [fault.as_json() for fault in self._faults.values()]

    def _make_room(self) -> None:
        """Forget the oldest used-up fault where there are many; raise FaultError for live ones."""
        now_s = self._clock_s()
        used_up = [i for i, fault in self._faults.items() if not fault.is_live(now_s)]
        if len(self._faults) - len(used_up) >= ARMED_MAX:
            raise FaultError(f"too many faults are armed: armed={ARMED_MAX}")
        if len(used_up) >= ARMED_MAX:
            del self._faults[used_up[0]]

    def _draw(self, fault: Fault) -> bool:
        probability = float(fault.values["probability"])
        if probability < 1 and fault.random.random() >= probability:
            return False
        fault.taken += 1
        if fault.left > 0:
            fault.left -= 1
            if fault.left == 0:
                self._changed()
        if fault.taken == 1:
            structlog.get_logger().info("fault_injected", fault=fault.row.name, id=fault.fault_id)
        return True

    def _act(self, fault: Fault) -> None:
        from_ms = fault.number("from_ms")
        if from_ms and self.later is not None:
            # Kept in the list until then, so that it can be seen and disarmed.
            self._faults[fault.fault_id] = fault
            self.later(from_ms / 1000, lambda: self._act_later(fault))
            return
        self._do(fault)
        if fault.row.lasts:
            self._faults[fault.fault_id] = fault

    def _act_later(self, fault: Fault) -> None:
        if fault.fault_id not in self._faults:
            return
        try:
            self._do(fault)
        except FaultError as error:
            structlog.get_logger().warning("fault_failed", fault=fault.row.name, reason=str(error))
            fault.left = 0
        self._changed()

    def _do(self, fault: Fault) -> None:
        self.actions[fault.row.name](fault)
        structlog.get_logger().info("fault_injected", fault=fault.row.name, id=fault.fault_id)
        fault.taken, fault.left = 1, -1 if fault.row.lasts else 0

    def _run_out(self, fault: Fault) -> None:
        """End a fault whose window has ended; what it delays stays delayed."""
        if fault.fault_id in self._faults:
            fault.left = 0
            self._changed()
            self._undo(fault)

    def _end(self, faults: list[Fault]) -> None:
        self._changed()
        for listener in self.on_disarm:
            listener(faults)
        for fault in faults:
            self._undo(fault)

    def _undo(self, fault: Fault) -> None:
        if fault.row.lasts and fault.taken:
            self.undo[fault.row.name](fault)

    def _changed(self) -> None:
        now_s = self._clock_s()
        self._live = {}
        for fault in self._faults.values():
            if fault.is_live(now_s):
                self._live.setdefault(fault.row.name, []).append(fault)
        points = {faults[0].row.point for faults in self._live.values()}
        for point in POINTS:
            setattr(self, f"on_{point}", point in points)
        for listener in self.on_change:
            listener()
