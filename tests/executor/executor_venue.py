"""A scripted venue on loopback: it does what a test tells it to, faults above all.

It shares nothing with the executor: signatures, JSON and rules are written down once more here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections import deque
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web
from executor_venue_algo import AlgoDesk
from executor_venue_orders import Behaviour, RefusedError, VenueOrder

PLACING = ("/fapi/v1/order", "/fapi/v1/algoOrder")
API_KEY = "embedded"
API_SECRET = "embedded"  # the embedded exchange's fixed pair


class ScriptedVenue:
    """Runs in a thread of its own; `port` is known once it is constructed."""

    def __init__(self) -> None:
        self.behaviours: deque[Behaviour] = deque()
        self.orders: list[VenueOrder] = []
        self.trades: list[dict[str, Any]] = []
        self.incomes: list[dict[str, Any]] = []
        self.positions: dict[str, Decimal] = {}
        self.entry_price = "60000.0"
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.raw: list[str] = []
        self.clock_shift_s = 0.0
        self.dual = False
        self.api_open = True
        self.user_open = True
        self.rest_errors: dict[tuple[str, str], deque[RefusedError]] = {}
        self.drop_cancels = 0
        self.algo = AlgoDesk(self)
        self.wallet = Decimal("10000")
        self._next_id, self._next_trade = 1000, 1
        self._key_number = 0
        self._api_sockets: set[web.WebSocketResponse] = set()
        self._user_sockets: set[web.WebSocketResponse] = set()
        self._ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(5)

    def close(self) -> None:
        self.call(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def drop_user_stream(self) -> None:
        self.call(self._close_all(self._user_sockets))

    def drop_api(self) -> None:
        self.call(self._close_all(self._api_sockets))

    def send_user(self, event: Any) -> None:
        text = event if isinstance(event, str) else json.dumps(event)
        self.call(self._broadcast(text))

    def fill(self, order: VenueOrder, price: str, quantity: str, send: bool = True) -> None:
        self.call(self._fill_later(order, price, quantity, send))

    def by_client_id(self, client_id: str) -> list[VenueOrder]:
        return [o for o in self.orders if o.params["newClientOrderId"] == client_id]

    def placed(self) -> list[dict[str, str]]:
        return [p for m, path, p in self.requests if (m, path) == ("POST", "/fapi/v1/order")]

    def events_of(self, order: VenueOrder) -> list[dict[str, Any]]:
        """Return the fill events of an order, as they were or would have been sent."""
        return [self._trade_event(order, t) for t in self.trades if t["orderId"] == order.venue_id]

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        self._ready.set()
        self.loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws-fapi/v1", self._api)
        app.router.add_get("/private/ws", self._user)
        app.router.add_route("*", "/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._close_all(self._user_sockets)
        await self._close_all(self._api_sockets)
        await self._runner.cleanup()

    async def _close_all(self, sockets: set[web.WebSocketResponse]) -> None:
        for ws in list(sockets):
            if ws._req is not None and ws._req.transport is not None:
                ws._req.transport.abort()
        sockets.clear()

    async def _broadcast(self, text: str) -> None:
        for ws in list(self._user_sockets):
            await ws.send_str(text)

    async def _user(self, request: web.Request) -> Any:
        if not self.user_open:
            raise web.HTTPServiceUnavailable
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self._user_sockets.add(ws)
        async for _ in ws:
            pass
        self._user_sockets.discard(ws)
        return ws

    async def _api(self, request: web.Request) -> Any:
        if not self.api_open:
            raise web.HTTPServiceUnavailable
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self._api_sockets.add(ws)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.raw.append(message.data)
                await self._answer_api(ws, json.loads(message.data))
        self._api_sockets.discard(ws)
        return ws

    async def _answer_api(self, ws: web.WebSocketResponse, request: Any) -> None:
        params = {k: str(v) for k, v in request["params"].items()}
        signed = "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "signature")
        method, path = {
            "order.place": ("POST", "/fapi/v1/order"),
            "order.cancel": ("DELETE", "/fapi/v1/order"),
            "order.status": ("GET", "/fapi/v1/order"),
            "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
            "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
        }[request["method"]]
        try:
            assert params["apiKey"] == API_KEY
            self._check(signed, params)
            if method == "POST":
                behaviour = self.behaviours.popleft() if self.behaviours else Behaviour()
                result = await self._place_at(path, params, behaviour)
                if behaviour.close:
                    await self._close_all(self._api_sockets)
                    return
                if not behaviour.respond:
                    return
            else:
                if method == "DELETE" and self.drop_cancels:
                    self.drop_cancels -= 1
                    return
                result = self._handle(method, path, params)
            answer = {"id": request["id"], "status": 200, "result": result, "rateLimits": []}
        except RefusedError as refusal:
            answer = {"id": request["id"], "status": refusal.status, "error": refusal.body}
        await ws.send_str(json.dumps(answer))

    async def _rest(self, request: web.Request) -> web.Response:
        query = request.raw_path.partition("?")[2]
        params = dict(parse_qsl(query, keep_blank_values=True))
        path = "/" + request.match_info["path"]
        try:
            errors = self.rest_errors.get((request.method, path))
            if errors:
                raise errors.popleft()
            if "signature" in params:
                signed = "&".join(p for p in query.split("&") if not p.startswith("signature="))
                self._check(signed, params)
            if request.method == "POST" and path in PLACING:
                behaviour = self.behaviours.popleft() if self.behaviours else Behaviour()
                result = await self._place_at(path, params, behaviour)
                if behaviour.close or not behaviour.respond:
                    assert request.transport is not None
                    request.transport.abort()
            else:
                result = self._handle(request.method, path, params)
        except RefusedError as refusal:
            headers = refusal.headers
            return web.json_response(refusal.body, status=refusal.status, headers=headers)
        return web.json_response(result)

    def _check(self, signed: str, params: dict[str, str]) -> None:
        good = hmac.new(API_SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if good != params["signature"]:
            raise RefusedError(400, -1022, "Signature for this request is not valid.")
        now_ms = self._now_ms()
        stamp = int(params["timestamp"])
        if stamp >= now_ms + 1000 or now_ms - stamp > int(params["recvWindow"]):
            raise RefusedError(
                400, -1021, "Timestamp for this request is outside of the recvWindow."
            )

    def _now_ms(self) -> int:
        return int((time.time() + self.clock_shift_s) * 1000)

    async def _place_at(self, path: str, params: dict[str, str], behaviour: Behaviour) -> Any:
        if path == "/fapi/v1/algoOrder":
            return await self.algo.place(params, behaviour)
        return await self._place(params, behaviour)

    async def _place(self, params: dict[str, str], behaviour: Behaviour) -> Any:
        self.requests.append(("POST", "/fapi/v1/order", params))
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        if behaviour.error and not behaviour.accept:
            raise RefusedError(*behaviour.error)
        if not behaviour.accept:
            return None
        if any(o.is_open for o in self.by_client_id(params["newClientOrderId"])):
            raise RefusedError(400, -4116, "ClientOrderId is duplicated.")
        order = VenueOrder(self._next_id, dict(params))
        order.visible_at = time.time() + behaviour.hidden_s
        self._next_id += 1
        self.orders.append(order)
        acknowledged = order.body()
        events = [self._order_event(order, "NEW")]
        for price, quantity in behaviour.fills:
            events.append(self._fill(order, price, quantity))
        if behaviour.reverse_events:
            events.reverse()
        texts = [json.dumps(e) for e in events for _ in range(behaviour.event_copies)]
        if behaviour.send_events and behaviour.events_first:
            for text in texts:
                await self._broadcast(text)
        elif behaviour.send_events:
            self.loop.call_later(0.005, lambda: self.loop.create_task(self._send_all(texts)))
        if behaviour.error:
            raise RefusedError(*behaviour.error)
        return acknowledged

    async def _send_all(self, texts: list[str]) -> None:
        for text in texts:
            await self._broadcast(text)

    async def _fill_later(self, order: VenueOrder, price: str, quantity: str, send: bool) -> None:
        event = self._fill(order, price, quantity)
        if send:
            await self._broadcast(json.dumps(event))

    def _fill(self, order: VenueOrder, price: str, quantity: str) -> dict[str, Any]:
        amount = Decimal(quantity)
        order.executed += amount
        order.cost += Decimal(price) * amount
        full = order.executed >= Decimal(order.params["quantity"])
        order.status = "FILLED" if full else "PARTIALLY_FILLED"
        symbol = order.params["symbol"]
        signed = amount if order.params["side"] == "BUY" else -amount
        self.positions[symbol] = self.positions.get(symbol, Decimal(0)) + signed
        trade = {
            "id": self._next_trade, "orderId": order.venue_id, "symbol": symbol, "price": price,
            "qty": quantity, "commission": "0.01", "commissionAsset": "USDT", "maker": False,
            "time": self._now_ms(), "after": str(order.executed), "status": order.status,
        }  # fmt: skip
        self._next_trade += 1
        self.trades.append(trade)
        return self._trade_event(order, trade)

    def _trade_event(self, order: VenueOrder, trade: dict[str, Any]) -> dict[str, Any]:
        event = self._order_event(order, "TRADE")
        event["o"].update(
            X=trade["status"], l=trade["qty"], L=trade["price"], z=trade["after"],
            t=trade["id"], n=trade["commission"], N="USDT",
        )  # fmt: skip
        return event

    def _order_event(self, order: VenueOrder, execution: str) -> dict[str, Any]:
        p = order.params
        return {
            "e": "ORDER_TRADE_UPDATE", "E": self._now_ms(), "T": self._now_ms(),
            "o": {
                "s": p["symbol"], "c": p["newClientOrderId"], "S": p["side"], "o": p["type"],
                "x": execution, "X": order.status, "i": order.venue_id, "l": "0",
                "z": str(order.executed), "L": "0", "n": "0", "N": "USDT", "t": 0, "m": False,
            },
        }  # fmt: skip

    def _find(self, params: dict[str, str], code: int) -> VenueOrder:
        for order in reversed(self.orders):
            named = params.get("origClientOrderId") == order.params["newClientOrderId"]
            if (named or params.get("orderId") == str(order.venue_id)) and (
                time.time() >= order.visible_at
            ):
                return order
        raise RefusedError(400, code, "Order does not exist.")

    def _end(self, order: VenueOrder, status: str) -> None:
        order.status = status
        text = json.dumps(self._order_event(order, status))
        self.loop.create_task(self._send_all([text]))

    def _handle(self, method: str, path: str, params: dict[str, str]) -> Any:
        self.requests.append((method, path, params))
        name = path.rpartition("/")[2]
        symbol = params.get("symbol")
        if "algo" in name.lower():
            return self.algo.handle(method, name, params)
        if name == "time":
            return {"serverTime": self._now_ms()}
        if name == "dual":
            return {"dualSidePosition": self.dual}
        if name == "countdownCancelAll":
            return {"symbol": symbol, "countdownTime": params["countdownTime"]}
        if name == "leverage":
            return {"leverage": int(params["leverage"]), "symbol": symbol}
        if name == "listenKey":
            if method == "POST" and self._key_number == 0:
                self._key_number = 1
            return {"listenKey": f"key{self._key_number}"}
        if name == "balance":
            return [{"asset": "USDT", "balance": str(self.wallet)}]
        if name == "positionRisk":
            return [
                {
                    "symbol": s,
                    "positionSide": "BOTH",
                    "positionAmt": str(q),
                    "entryPrice": self.entry_price,
                    "markPrice": "60100.0",
                }
                for s, q in self.positions.items()
                if q and symbol in (None, s)
            ]
        if name == "openOrders":
            return [
                o.body() for o in self.orders if o.is_open and symbol in (None, o.params["symbol"])
            ]
        if name == "allOpenOrders":
            for order in self.orders:
                if order.is_open and order.params["symbol"] == symbol:
                    self._end(order, "CANCELED")
            return {"code": 200, "msg": "done"}
        if name == "userTrades":
            return [t for t in self.trades if str(t["orderId"]) == params["orderId"]]
        if name == "allOrders":
            first = int(params.get("orderId", 0))
            return [
                o.body()
                for o in self.orders
                if o.params["symbol"] == symbol and o.venue_id >= first
            ]
        if name == "income":
            return list(self.incomes)
        assert name == "order", path
        if method == "GET":
            return self._find(params, -2013).body()
        order = self._find(params, -2011)
        if not order.is_open:
            raise RefusedError(400, -2011, "Unknown order sent.")
        self._end(order, "CANCELED")
        return order.body()
