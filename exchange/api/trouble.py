"""Plan what goes wrong with a request: delays, answers in place of its own, broken connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exchange.api.limits import ADDRESS, WEIGHT_PER_MINUTE, banned
from exchange.errors import VenueError
from exchange.faults.connections import Connections
from exchange.faults.switches import Fault, Switches

Params = Mapping[str, str]
UNKNOWN_TEXT = "Unknown error, please check your request or try again later."
UNAVAILABLE_TEXT = "Service Unavailable."
DEPTH_PATHS = ("/fapi/v1/depth", "depth")


@dataclass(slots=True)
class Plan:
    """Say what happens to one request; by default nothing."""

    request_delay_s: float = 0.0
    answer_delay_s: float = 0.0
    cut_before: str | None = None  # the way in which the connection is broken, or None
    cut_after: str | None = None
    refusal: VenueError | None = None  # the answer instead of the true one
    is_carried_out: bool = True
    fills_before: bool = False
    fills_after: bool = False


@dataclass(frozen=True, slots=True)
class Occasion:
    """Be a request as the filters see it."""

    kind: str  # rest or ws_api
    path: str  # REST path or WS-API method
    method: str  # HTTP method, or WS
    params: Params
    is_order: bool

    def where(self) -> dict[str, str]:
        """Return what faults are filtered by."""
        return {
            "path": self.path,
            "method": self.method,
            "symbol": self.params.get("symbol", ""),
            "orders": "yes" if self.is_order else "no",
        }


class Trouble:
    """Ask the switches about a request; REST and WS-API act on the plan in their own ways."""

    def __init__(
        self,
        switches: Switches,
        connections: Connections,
        clock_ms: Callable[[], int],
        fill: Callable[[Params], None],
    ) -> None:
        self._switches = switches
        self._clock_ms = clock_ms
        self.connections = connections
        self.fill = fill

    @property
    def is_armed(self) -> bool:
        """Tell whether any request may be struck."""
        return self._switches.on_requests or self._switches.on_connections

    def plan(self, occasion: Occasion) -> Plan:
        """Return what happens to a request."""
        plan, where, take = Plan(), occasion.where(), self._switches.take
        if late := take("request_latency", **where):
            plan.request_delay_s = late.delay_s()
        for name in ("ack_latency", "fill_before_ack"):
            is_meant = name == "ack_latency" or occasion.is_order
            if is_meant and (late := take(name, **where)):
                plan.answer_delay_s += late.delay_s()
        is_cancel = occasion.path == "order.cancel" or (
            occasion.method == "DELETE" and occasion.path == "/fapi/v1/order"
        )
        plan.fills_before = is_cancel and take("fill_before_cancel", **where) is not None
        cut = self.connections.struck
        plan.cut_before = cut(occasion.kind, "request", **where)
        self._refuse(plan, occasion, where)
        plan.cut_after = None if plan.cut_before else cut(occasion.kind, "answer", **where)
        return plan

    def shown(self, path: str, params: Params, result: object) -> object:
        """Return what a client sees of a result: depth snapshots can be made to look old."""
        if not self._switches.on_snapshots or path not in DEPTH_PATHS:
            return result
        fault = self._switches.take("stale_snapshot", path=path, symbol=params.get("symbol", ""))
        if fault is None or not isinstance(result, dict):
            return result
        update_id = max(1, result["lastUpdateId"] - fault.number("behind"))
        return {**result, "lastUpdateId": update_id}

    def _refuse(self, plan: Plan, occasion: Occasion, where: dict[str, str]) -> None:
        """Put an answer in place of the true one; the first fault that strikes wins."""
        take = self._switches.take
        for name, error in (
            ("unknown_503", lambda: VenueError.saying(-1000, UNKNOWN_TEXT, 503)),
            ("error_1006", lambda: VenueError(-1006)),
            ("error_1007", lambda: VenueError(-1007)),
        ):
            if fault := take(name, **where):
                plan.refusal = error()
                plan.is_carried_out = fault.text("outcome") != "absent"
                plan.fills_after = fault.text("outcome") == "filled"
                return
        plan.refusal = self._failure(occasion, where)
        plan.is_carried_out = plan.refusal is None

    def _failure(self, occasion: Occasion, where: dict[str, str]) -> VenueError | None:
        take, params = self._switches.take, occasion.params
        if take("unavailable_503", **where):
            return VenueError.saying(-1000, UNAVAILABLE_TEXT, 503)
        # Venue: -1008 exempts reduce-only and close-position orders.
        is_exempt = "true" in (params.get("reduceOnly"), params.get("closePosition"))
        if not is_exempt and take("error_1008", **where):
            return VenueError(-1008)
        if fault := take("too_many_requests", **where):
            error = VenueError(-1003, ip=ADDRESS, limit=WEIGHT_PER_MINUTE)
            error.retry_at_ms = self._retry_at_ms(fault)
            return error
        if fault := take("banned", **where):
            return banned(ADDRESS, self._retry_at_ms(fault))
        return None

    def _retry_at_ms(self, fault: Fault) -> int:
        return self._clock_ms() + fault.number("retry_after_s") * 1_000
