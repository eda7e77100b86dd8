"""Plan what goes wrong with a request: delays, answers in place of its own, broken connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from exchange.api.limits import ADDRESS, WEIGHT_PER_MINUTE, banned
from exchange.errors import VenueError
from exchange.faults.connections import Connections
from exchange.faults.rows import CANCEL_PATHS, DEPTH_PATHS, FILLABLE_PATHS
from exchange.faults.switches import Fault, Switches, Texts
from exchange.trading.parameters import flag

Params = Mapping[str, str]
UNKNOWN_TEXT = "Unknown error, please check your request or try again later."
UNAVAILABLE_TEXT = "Service Unavailable."


class Filler(Protocol):
    """Make orders fill at their own prices."""

    def fillable(self, params: Params) -> int | None:
        """Return the id of the open limit order that a request names, or None."""

    def fill(self, order_ids: list[int]) -> bool:
        """Fill those that are open limit orders; tell whether any of them is filled now."""


@dataclass(slots=True)
class Plan:
    """Say what happens to one request; by default nothing."""

    request_delay_s: float = 0.0
    answer_delay_s: float = 0.0
    cut_before: str | None = None  # the way in which the connection is broken, or None
    cut_after: str | None = None
    refusal: VenueError | None = None  # the answer instead of the true one
    is_carried_out: bool = True
    fills: Fault | None = None  # strikes only when an order of the request can be made to fill


@dataclass(frozen=True, slots=True)
class Occasion:
    """Be a request as the filters see it."""

    kind: str  # rest or ws_api
    path: str  # REST path or WS-API method
    method: str  # HTTP method, or WS
    params: Params
    places_orders: bool

    def where(self) -> dict[str, Texts]:
        """Return what faults are filtered by."""
        return {
            "path": self.path,
            "method": self.method,
            "symbol": frozenset(row.get("symbol", "") for row in _rows(self.params)),
            "orders": "yes" if self.places_orders else "no",
        }

    def is_fillable(self) -> bool:
        """Tell whether it can make orders that fill."""
        return self.places_orders and self.path in FILLABLE_PATHS

    def is_cancellation(self) -> bool:
        """Tell whether it cancels one order."""
        return self.path in CANCEL_PATHS and self.method in ("DELETE", "WS")


class Trouble:
    """Ask the switches about a request; REST and WS-API act on the plan in their own ways."""

    def __init__(
        self,
        switches: Switches,
        connections: Connections,
        clock_ms: Callable[[], int],
        filler: Filler,
    ) -> None:
        self._switches = switches
        self._clock_ms = clock_ms
        self._filler = filler
        self.connections = connections

    @property
    def is_armed(self) -> bool:
        """Tell whether any request may be struck."""
        return self._switches.on_requests or self._switches.on_connections

    def plan(self, occasion: Occasion) -> Plan:
        """Return what happens to a request.

        # Invariant: no fault is counted whose effect another one hides.
        """
        plan, where, take = Plan(), occasion.where(), self._switches.take
        cut = self.connections.struck
        plan.cut_before = cut(occasion.kind, "request", **where)
        if plan.cut_before:
            return plan
        if late := take("request_latency", **where):
            plan.request_delay_s = late.delay_s()
        plan.cut_after = cut(occasion.kind, "answer", **where)
        if plan.cut_after:
            return plan
        self._refuse(plan, occasion, where)
        waits_for_fills = occasion.places_orders and plan.is_carried_out
        for name in ("ack_latency", "fill_before_ack"):
            is_meant = name == "ack_latency" or waits_for_fills
            if is_meant and (late := take(name, **where)):
                plan.answer_delay_s += late.delay_s()
        return plan

    def reached(self, occasion: Occasion) -> None:
        """Do what happens just before a request is carried out: nothing refuses it any more."""
        if not occasion.is_cancellation():
            return
        order_id = self._filler.fillable(occasion.params)
        if order_id is None:
            return
        if self._switches.take("fill_before_cancel", **occasion.where()):
            self._filler.fill([order_id])

    def told(self, plan: Plan, result: object) -> object:
        """Return what the client is told of a request: its result, or what the plan says."""
        fault = plan.fills
        if fault is not None and not self._filler.fill(_order_ids(result)):
            self._switches.give_back(fault)
            return result
        return plan.refusal or result

    def shown(self, path: str, params: Params, result: object) -> object:
        """Return what a client sees of a result: depth snapshots can be made to look old."""
        if not self._switches.on_snapshots or path not in DEPTH_PATHS:
            return result
        if not isinstance(result, dict):
            return result
        fault = self._switches.take("stale_snapshot", path=path, symbol=params.get("symbol", ""))
        if fault is None:
            return result
        update_id = max(1, result["lastUpdateId"] - fault.number("behind"))
        return {**result, "lastUpdateId": update_id}

    def _refuse(self, plan: Plan, occasion: Occasion, where: dict[str, Texts]) -> None:
        """Put an answer in place of the true one; the first fault that strikes wins."""

        def suits(fault: Fault) -> bool:
            return fault.text("outcome") != "filled" or occasion.is_fillable()

        for name, error in (
            ("unknown_503", lambda: VenueError.saying(-1000, UNKNOWN_TEXT, 503)),
            ("error_1006", lambda: VenueError(-1006)),
            ("error_1007", lambda: VenueError(-1007)),
        ):
            if fault := self._switches.take(name, suits, **where):
                plan.refusal = error()
                plan.is_carried_out = fault.text("outcome") != "absent"
                plan.fills = fault if fault.text("outcome") == "filled" else None
                return
        plan.refusal = self._failure(occasion, where)
        plan.is_carried_out = plan.refusal is None

    def _failure(self, occasion: Occasion, where: dict[str, Texts]) -> VenueError | None:
        take = self._switches.take
        if take("unavailable_503", **where):
            return VenueError.saying(-1000, UNAVAILABLE_TEXT, 503)
        if take("error_1008", lambda fault: not _is_exempt(occasion.params), **where):
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


def _rows(params: Params) -> list[dict[str, str]]:
    """Return the orders that a request speaks of: those of a batch, else the request itself.

    A batch that cannot be read is the request itself: its handler refuses it.
    """
    text = params.get("batchOrders", "")
    try:
        rows = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        rows = None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return [dict(params)]
    return [{name: str(value) for name, value in row.items()} for row in rows]


def _is_exempt(params: Params) -> bool:
    """Tell whether all that a request asks for can only shrink positions.

    # Venue: -1008 exempts reduce-only and close-position orders.
    """
    try:
        return all(flag(row, "reduceOnly") or flag(row, "closePosition") for row in _rows(params))
    except VenueError:
        return False  # its handler would have refused it


def _order_ids(result: object) -> list[int]:
    """Return the orders that a handler's result tells of; a refusal tells of none."""
    rows: list[Any] = result if isinstance(result, list) else [result]
    return [row["orderId"] for row in rows if isinstance(row, dict) and "orderId" in row]
