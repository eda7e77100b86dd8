"""Remember every order ever accepted and count every request, accepted or not."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from exchange.orders import ClientOrder, Trade

ORDER_ID_FIRST = 8_000_000_001
CLIENT_ID_MAX = 36  # characters
REFUSED_MAX = 10_000  # refusals remembered one by one; the counts cover all


class Register:
    """Index orders by id and by client id, and hold the account's trades.

    # Invariant: place requests = accepted orders + rejections.
    """

    def __init__(self) -> None:
        self.orders: dict[int, ClientOrder] = {}
        self.open: dict[str, dict[int, ClientOrder]] = {}
        self.trades: dict[str, list[Trade]] = {}
        self.requests: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.refused: deque[dict[str, object]] = deque(maxlen=REFUSED_MAX)
        self._by_client_id: dict[tuple[str, str], ClientOrder] = {}
        self._uses: Counter[str] = Counter()
        self._next_id = ORDER_ID_FIRST

    def take_id(self) -> int:
        """Return the next order id."""
        self._next_id += 1
        return self._next_id - 1

    def add(self, order: ClientOrder) -> None:
        """Enter an accepted order."""
        symbol = order.instrument.symbol
        self.orders[order.order_id] = order
        self._by_client_id[symbol, order.client_order_id] = order
        self._uses[order.client_order_id] += 1
        self.open.setdefault(symbol, {})[order.order_id] = order

    def refuse(self, params: Mapping[str, str], code: int) -> None:
        """Count a refused order request and remember whose it was."""
        self.rejections[str(code)] += 1
        # A refused request holds whatever its sender wrote: only as much as an id can have is kept.
        client_id = params.get("newClientOrderId", "")[:CLIENT_ID_MAX]
        symbol = params.get("symbol", "")[:CLIENT_ID_MAX]
        self.refused.append({"clientOrderId": client_id, "symbol": symbol, "code": code})

    def close(self, order: ClientOrder) -> None:
        """Take an order that has ended off the open ones."""
        self.open[order.instrument.symbol].pop(order.order_id, None)

    def add_trade(self, trade: Trade) -> None:
        """Enter a fill."""
        self.trades.setdefault(trade.order.instrument.symbol, []).append(trade)

    def find(
        self, symbol: str, order_id: int | None, client_order_id: str | None
    ) -> ClientOrder | None:
        """Return the order; the order id wins; the newest use of a client id is found."""
        if order_id is not None:
            order = self.orders.get(order_id)
            return order if order is not None and order.instrument.symbol == symbol else None
        return self._by_client_id.get((symbol, client_order_id or ""))

    def open_orders(self, symbol: str) -> list[ClientOrder]:
        """Return a symbol's open orders, oldest first."""
        return list(self.open.get(symbol, {}).values())

    def is_open_client_id(self, symbol: str, client_order_id: str) -> bool:
        """Tell whether a client id is taken by an open order."""
        order = self._by_client_id.get((symbol, client_order_id))
        return order is not None and order.is_open

    def duplicate_client_ids(self) -> int:
        """Return how many client ids were accepted more than once."""
        return sum(1 for uses in self._uses.values() if uses > 1)

    def as_json(self) -> dict[str, object]:
        """Return the whole register for the check at the end of a run."""
        return {
            "orders": [_row(order) for order in self.orders.values()],
            "requests": dict(self.requests),
            "rejections": dict(self.rejections),
            "refused": list(self.refused),
            "duplicate_client_ids": self.duplicate_client_ids(),
            "fills": sum(len(trades) for trades in self.trades.values()),
        }


def _row(order: ClientOrder) -> dict[str, object]:
    instrument = order.instrument
    return {
        "clientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "symbol": instrument.symbol,
        "side": order.side_text,
        "type": order.kind,
        "timeInForce": order.time_in_force,
        "reduceOnly": order.reduce_only,
        "status": order.status,
        "price": order.price_text(),
        "avgPrice": order.average_text(),
        "origQty": instrument.quantity_text(order.quantity_lot),
        "executedQty": instrument.quantity_text(order.executed_lot),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }
