"""Hold the armed faults and decide, seeded, which occasions they strike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import structlog

from exchange.faults.arming import FaultError
from exchange.faults.table import POINTS, Row, Value

ARMED_MAX = 1_000
FILTERS = ("symbol", "path", "method", "stream")


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
        """Tell whether it is armed at that time."""
        age_ms = (now_s - self.armed_s) * 1000
        until_ms = float(self.values["until_ms"])
        return age_ms >= float(self.values["from_ms"]) and (not until_ms or age_ms < until_ms)

    def fits(self, where: Mapping[str, str]) -> bool:
        """Tell whether an occasion passes its filters."""
        values = self.values
        if self.row.is_for_orders and not (values["path"] or values["method"]):
            return where.get("orders") == "yes" and values["symbol"] in ("", where.get("symbol"))
        if any(values[name] and name not in where for name in FILTERS):
            return False
        return all(values.get(name, "") in ("", "all", value) for name, value in where.items())

    def as_json(self) -> dict[str, object]:
        """Return what `/local/faults` shows of it."""
        values = {key: value for key, value in self.values.items() if value != ""}
        left = self.left if self.left >= 0 else None
        head = {"id": self.fault_id, "name": self.row.name, "taken": self.taken, "left": left}
        return {**head, **values}


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
        self.on_change: list[Callable[[], None]] = []
        self.on_disarm_all: list[Callable[[], None]] = []
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self._clock_s = clock_s
        self._faults: dict[int, Fault] = {}
        self._next_id = 1

    def arm(self, row: Row, values: Mapping[str, Value]) -> Fault:
        """Arm a fault; one that is an action happens now, or after its `from_ms`.

        Raises FaultError when an action cannot be done with these values, or too many are armed.
        """
        if len(self._faults) >= ARMED_MAX:
            raise FaultError(f"too many faults are armed: armed={ARMED_MAX}")
        fault = Fault(self._next_id, row, values, self._clock_s())
        if row.is_action or values.get("at") == "now":
            self._act(fault)
        else:
            self._faults[fault.fault_id] = fault
        self._next_id += 1
        structlog.get_logger().info("fault_armed", fault=row.name, id=fault.fault_id)
        self._changed()
        return fault

    def disarm(self, fault_id: int) -> bool:
        """Disarm one fault; tell whether it was there."""
        found = self._faults.pop(fault_id, None) is not None
        self._changed()
        return found

    def disarm_all(self) -> int:
        """Disarm everything; return how many faults there were."""
        count = len(self._faults)
        self._faults.clear()
        self._changed()
        for listener in self.on_disarm_all:
            listener()
        return count

    def take(self, name: str, **where: str) -> Fault | None:
        """Return the fault that strikes this occasion, counted, or None."""
        for fault in self._faults.values():
            if fault.row.name != name or fault.left == 0:
                continue
            if fault.is_due(self._clock_s()) and fault.fits(where) and self._draw(fault):
                return fault
        return None

    def holding(self, name: str) -> Fault | None:
        """Return the fault of that name that is armed now, without using it up."""
        now_s = self._clock_s()
        for fault in self._faults.values():
            if fault.row.name == name and fault.left != 0 and fault.is_due(now_s):
                return fault
        return None

    def armed_json(self) -> list[dict[str, object]]:
        """Return the armed faults, those used up among them."""
        return [fault.as_json() for fault in self._faults.values()]

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
        action = self.actions[fault.row.name]
        from_ms = fault.number("from_ms")
        if from_ms and self.later is not None:
            # Kept in the list until then, so that it can be seen and disarmed.
            self._faults[fault.fault_id] = fault
            self.later(from_ms / 1000, lambda: self._act_later(fault))
            return
        action(fault)
        structlog.get_logger().info("fault_injected", fault=fault.row.name, id=fault.fault_id)
        fault.taken, fault.left = 1, 0

    def _act_later(self, fault: Fault) -> None:
        if fault.fault_id not in self._faults:
            return
        try:
            self.actions[fault.row.name](fault)
        except FaultError as error:
            structlog.get_logger().warning("fault_failed", fault=fault.row.name, reason=str(error))
            return
        structlog.get_logger().info("fault_injected", fault=fault.row.name, id=fault.fault_id)
        fault.taken, fault.left = 1, 0

    def _changed(self) -> None:
        live = {f.row.point for f in self._faults.values() if f.left != 0}
        for point in POINTS:
            setattr(self, f"on_{point}", point in live)
        for listener in self.on_change:
            listener()
