"""The algo service of the scripted venue: stops that wait, and trigger when a test says so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from executor_venue_orders import Behaviour, RefusedError, VenueOrder

if TYPE_CHECKING:
    from executor_venue import ScriptedVenue

FIRST_ID = 1_000_000_000_000


@dataclass
class AlgoOrder:
    algo_id: int
    params: dict[str, str]
    created_ms: int
    status: str = "NEW"
    child: VenueOrder | None = None
    visible: bool = True

    def body(self) -> dict[str, Any]:
        p, child = self.params, self.child
        return {
            "algoId": self.algo_id,
            "clientAlgoId": p["clientAlgoId"],
            "algoType": "CONDITIONAL",
            "orderType": p["type"],
            "symbol": p["symbol"],
            "side": p["side"],
            "quantity": p["quantity"],
            "algoStatus": self.status,
            "triggerPrice": p["triggerPrice"],
            "actualOrderId": str(child.venue_id) if child else "",
            "actualQty": str(child.executed) if child else "0",
            "updateTime": self.created_ms,
        }


class AlgoDesk:
    """What the venue knows of conditional orders; tests change it from their own thread."""

    def __init__(self, venue: ScriptedVenue) -> None:
        self.venue = venue
        self.orders: list[AlgoOrder] = []
        self.child_has_client_id = True
        self.send_events = True

    @property
    def placed(self) -> list[dict[str, str]]:
        return [
            p for m, path, p in self.venue.requests if (m, path) == ("POST", "/fapi/v1/algoOrder")
        ]

    async def place(self, params: dict[str, str], behaviour: Behaviour) -> Any:
        self.venue.requests.append(("POST", "/fapi/v1/algoOrder", params))
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        if behaviour.error and not behaviour.accept:
            raise RefusedError(*behaviour.error)
        if not behaviour.accept:
            return None
        known = [o for o in self.orders if o.params["clientAlgoId"] == params["clientAlgoId"]]
        if any(o.status == "NEW" for o in known):
            raise RefusedError(400, -4116, "ClientOrderId is duplicated.")
        order = AlgoOrder(FIRST_ID + len(self.orders), dict(params), self.venue._now_ms())
        self.orders.append(order)
        answer = order.body()
        if behaviour.send_events:
            await self._tell(order)
        for price, quantity in behaviour.fills:
            await self._trigger(order, ((price, quantity),), behaviour.send_events, False)
        if behaviour.error:
            raise RefusedError(*behaviour.error)
        return answer

    def trigger(
        self,
        order: AlgoOrder,
        fills: tuple[tuple[str, str], ...],
        send: bool = True,
        child_first: bool = False,
    ) -> VenueOrder:
        """Let a stop trigger, fill, and expire with what is left; return the order it became."""
        return self.venue.call(self._trigger(order, fills, send, child_first))

    async def _trigger(
        self, order: AlgoOrder, fills: tuple[tuple[str, str], ...], send: bool, child_first: bool
    ) -> VenueOrder:
        venue = self.venue
        client_id = order.params["clientAlgoId"]
        if not self.child_has_client_id:
            client_id = f"x-{order.algo_id}"
        params = {k: order.params[k] for k in ("symbol", "side", "quantity")}
        params |= {"newClientOrderId": client_id, "type": "MARKET"}
        order.child = child = VenueOrder(venue._next_id, params)
        venue._next_id += 1
        venue.orders.append(child)
        order.status = "TRIGGERED"
        events = [venue._order_event(child, "NEW")]
        events += [venue._fill(child, price, quantity) for price, quantity in fills]
        if child.is_open:
            child.status = "EXPIRED"
            events.append(venue._order_event(child, "EXPIRED"))
        told = [self._event(order)]
        order.status = "FINISHED"
        events = [*events, *told] if child_first else [*told, *events]
        if send:
            for event in [*events, self._event(order)]:
                await venue._broadcast(json.dumps(event))
        return child

    def end(self, order: AlgoOrder, status: str) -> None:
        """Let the venue itself end a waiting stop."""
        order.status = status
        self.venue.call(self._tell(order))

    async def _tell(self, order: AlgoOrder) -> None:
        if self.send_events:
            await self.venue._broadcast(json.dumps(self._event(order)))

    def _event(self, order: AlgoOrder) -> dict[str, Any]:
        body = order.body()
        names = {
            "caid": "clientAlgoId", "aid": "algoId", "s": "symbol", "S": "side",
            "X": "algoStatus", "ai": "actualOrderId", "aq": "actualQty",
        }  # fmt: skip
        event = {short: body[name] for short, name in names.items()}
        now_ms = self.venue._now_ms()
        return {"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": event}

    def handle(self, method: str, name: str, params: dict[str, str]) -> Any:
        if name == "openAlgoOrders":
            return [o.body() for o in self._of(params.get("symbol")) if o.status == "NEW"]
        if name == "allAlgoOrders":
            first = int(params.get("algoId", 0))
            return [o.body() for o in self._of(params["symbol"]) if o.algo_id >= first]
        if name == "algoOpenOrders":
            for order in self._of(params["symbol"]):
                if order.status == "NEW":
                    self._cancel(order)
            return {"code": 200, "msg": "The operation of cancel all open order is done."}
        assert name == "algoOrder", name
        found = [
            o
            for o in self.orders
            if o.visible
            and (
                params.get("clientAlgoId") == o.params["clientAlgoId"]
                or params.get("algoId") == str(o.algo_id)
            )
        ]
        if method == "GET":
            if not found:
                raise RefusedError(400, -2013, "Order does not exist.")
            return found[-1].body()
        if not found or found[-1].status != "NEW":
            raise RefusedError(400, -2011, "Unknown order sent.")
        order = found[-1]
        self._cancel(order)
        return {
            "algoId": order.algo_id,
            "clientAlgoId": order.params["clientAlgoId"],
            "code": "200",
            "msg": "success",
        }

    def _cancel(self, order: AlgoOrder) -> None:
        order.status = "CANCELED"
        self.venue.loop.create_task(self._tell(order))

    def _of(self, symbol: str | None) -> list[AlgoOrder]:
        return [o for o in self.orders if symbol in (None, o.params["symbol"])]
