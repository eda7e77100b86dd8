"""The text of requests about orders, for WS-API and REST.

An order.place request consists of fixed parts that depend on symbol, type, time in force, side and
reduce-only; they are rendered once, and an order fills in its id, price, quantity, time and
signature.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from config.secret import Secret
from executor.algo import API_ALGO_PLACE, CONDITIONAL
from executor.client_ids import client_id
from executor.signing import Signer, ws_api_payload
from runtime.instruments import price_text, quantity_text
from shm.records import OrderFlag, OrderType, TimeInForce
from shm.tables import read_symbol_name
from shm.topology import SharedMemory

REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)
LIMIT = int(OrderType.LIMIT)

# Parameters that an order fills in; everything else is fixed for its shape.
_FILLED = ("newClientOrderId", "price", "quantity", "timestamp")


class Shape(NamedTuple):
    """The rendered texts of one shape of order, with %s where an order fills in."""

    payload: str
    message: str
    with_price: bool


class OrderTexts:
    """Render requests for the orders of one run; the api key is kept, and never shown."""

    def __init__(
        self,
        memory: SharedMemory,
        api_key: Secret,
        signer: Signer,
        recv_window_ms: int,
        working_type: str,
    ) -> None:
        self._working_type = working_type
        self._memory = memory
        self._api_key = api_key
        self._signer = signer
        self._recv_window_ms = recv_window_ms
        self._epoch = memory.control.epoch
        self._shapes: dict[int, Shape] = {}
        self._symbols: dict[int, Any] = {}

    def symbol_row(self, index: int) -> Any:
        """Return a symbol's row, kept."""
        if index not in self._symbols:
            self._symbols[index] = self._memory.symbol(index)
        return self._symbols[index]

    def client_id(self, order_id: int) -> str:
        """Return an order's client id in this run."""
        return client_id(self._epoch, order_id)

    def parameters(self, row: Any) -> dict[str, object]:
        """Return the parameters of a new order without stamp and signature."""
        symbol = self.symbol_row(row.symbol)
        found: dict[str, object] = {
            "symbol": read_symbol_name(symbol),
            "side": "BUY" if row.side > 0 else "SELL",
            "type": OrderType(row.type).name,
            "quantity": quantity_text(symbol, row.quantity_lot),
            "newClientOrderId": self.client_id(row.order_id),
            "newOrderRespType": "ACK",
        }
        if row.type == LIMIT:
            found["price"] = price_text(symbol, row.price_tick)
            found["timeInForce"] = TimeInForce(row.time_in_force).name
        if row.flags & REDUCE_ONLY:
            found["reduceOnly"] = "true"
        return found

    def stop_parameters(self, row: Any) -> dict[str, object]:
        """Return the parameters of a new stop without stamp and signature.

        Venue: "New Algo Order"; price protection is off when it is not named: it would hold the
        stop back while mark and last price are far apart, which is when it is needed.
        """
        symbol = self.symbol_row(row.symbol)
        return {
            "algoType": CONDITIONAL,
            "symbol": read_symbol_name(symbol),
            "side": "BUY" if row.side > 0 else "SELL",
            "type": OrderType(row.type).name,
            "triggerPrice": price_text(symbol, row.price_tick),
            "quantity": quantity_text(symbol, row.quantity_lot),
            "workingType": self._working_type,
            "reduceOnly": "true",
            "clientAlgoId": self.client_id(row.order_id),
        }

    def place_stop(self, request_id: str, row: Any, venue_ms: int) -> str:
        """Return the text of an algoOrder.place request, signed."""
        return self.request(request_id, API_ALGO_PLACE, self.stop_parameters(row), venue_ms)

    def place(self, request_id: str, row: Any, venue_ms: int) -> str:
        """Return the text of an order.place request, signed."""
        key = (row.symbol << 24) | (row.type << 16) | (row.time_in_force << 8)
        key |= (row.flags & REDUCE_ONLY) << 1 | (row.side > 0)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = self._render(row)
        symbol = self.symbol_row(row.symbol)
        quantity = quantity_text(symbol, row.quantity_lot)
        values: tuple[object, ...] = (self.client_id(row.order_id), quantity, venue_ms)
        if shape.with_price:
            values = (values[0], price_text(symbol, row.price_tick), quantity, venue_ms)
        signature = self._signer.sign((shape.payload % values).encode())
        return shape.message % (request_id, *values, signature)

    def _render(self, row: Any) -> Shape:
        fixed = self.parameters(row)
        fixed |= {"apiKey": self._api_key.reveal(), "recvWindow": self._recv_window_ms}
        fixed["timestamp"] = 0
        # Sorted names put newClientOrderId, price, quantity and timestamp in the order of `values`.
        escaped = {k: str(v).replace("%", "%%") for k, v in fixed.items()}
        payload = ws_api_payload({k: "%s" if k in _FILLED else v for k, v in escaped.items()})
        members = []
        for name in sorted(fixed):
            if name == "timestamp":
                text = "%s"
            elif name in _FILLED:
                text = '"%s"'
            else:
                text = json.dumps(fixed[name]).replace("%", "%%")
            members.append(f'"{name}":{text}')
        head = '{"id":"%s","method":"order.place","params":{'
        message = head + ",".join(members) + ',"signature":"%s"}}'
        return Shape(payload, message, "price" in fixed)

    def request(
        self, request_id: str, method: str, parameters: dict[str, object], venue_ms: int
    ) -> str:
        """Return the text of any other signed WS-API request."""
        whole = parameters | {"apiKey": self._api_key.reveal(), "timestamp": venue_ms}
        whole["recvWindow"] = self._recv_window_ms
        whole["signature"] = self._signer.ws_api(whole)
        return json.dumps({"id": request_id, "method": method, "params": whole})
