"""Remember accepted orders and count every request, accepted or not."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from exchange.orders import ClientOrder, Trade
from exchange.trading.retention import CLOSED_ORDERS_MAX, TRADES_MAX, Recent

ORDER_ID_FIRST = 8_000_000_001
CLIENT_ID_MAX = 36  # characters
REFUSED_MAX = 10_000  # refusals remembered one by one; the counts cover all
TRIGGERED = "triggered"  # what lets an order enter that no client sent
LIQUIDATION = "liquidation"


class Register:
    """Index orders by id and by client id, and hold the account's trades.

    Of ended orders and of trades the most recent are kept; counts cover all.

    # Invariant: place requests + entries of the venue's own = accepted orders + rejections.
    # Invariant: every open order is in `orders`; accepted = len(orders) + forgotten.
    """

    def __init__(self, closed_max: int = CLOSED_ORDERS_MAX, trades_max: int = TRADES_MAX) -> None:
        self.orders: dict[int, ClientOrder] = {}
        self.open: dict[str, dict[int, ClientOrder]] = {}
        self.trades: dict[str, deque[Trade]] = {}
        self.accepted = 0
        self.fills = 0
        self.duplicate_client_ids = 0  # how many client ids were accepted more than once
        self.requests: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.refused: deque[dict[str, object]] = deque(maxlen=REFUSED_MAX)
        self._closed = Recent(closed_max, self._forget)
        self._recent_trades = Recent(trades_max, self._forget_trade)
        self._by_client_id: dict[tuple[str, str], ClientOrder] = {}
        self._uses: Counter[str] = Counter()  # of the client ids of `orders`
        self._repeated: set[str] = set()  # those of them that are counted as duplicates
        self._next_id = ORDER_ID_FIRST

    @property
    def forgotten(self) -> int:
        """Return how many ended orders are no longer kept."""
        return self._closed.forgotten

    @property
    def asked(self) -> int:
        """Return how many orders came to be let in, from clients and from the venue itself."""
        return self.requests["place"] + sum(self.entries.values())

    def take_id(self) -> int:
        """Return the next order id."""
        self._next_id += 1
        return self._next_id - 1

    def add(self, order: ClientOrder) -> None:
        """Enter an accepted order."""
        symbol, client_id = order.instrument.symbol, order.client_order_id
        self.accepted += 1
        self.orders[order.order_id] = order
        self._by_client_id[symbol, client_id] = order
        self._uses[client_id] += 1
        if self._uses[client_id] > 1 and client_id not in self._repeated:
            self._repeated.add(client_id)
            self.duplicate_client_ids += 1
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
        del self.open[order.instrument.symbol][order.order_id]
        self._closed.add(order)

    def add_trade(self, trade: Trade) -> None:
        """Enter a fill."""
        self.fills += 1
        self.trades.setdefault(trade.order.instrument.symbol, deque()).append(trade)
        self._recent_trades.add(trade)

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

    def as_json(self) -> dict[str, object]:
        """Return the register for the check at the end of a run.

        `orders` lacks the `forgotten` oldest ended ones; all counts cover them too.
        """
        return {
            "orders": [_row(order) for order in self.orders.values()],
            "accepted": self.accepted,
            "forgotten": self.forgotten,
            "requests": dict(self.requests),
            "entries": dict(self.entries),
            "rejections": dict(self.rejections),
            "refused": list(self.refused),
            "duplicate_client_ids": self.duplicate_client_ids,
            "fills": self.fills,
        }

    def _forget(self, order: ClientOrder) -> None:
        """Drop an ended order; a client id that nothing kept has is as good as new."""
        key = order.instrument.symbol, order.client_order_id
        del self.orders[order.order_id]
        if self._by_client_id.get(key) is order:
            del self._by_client_id[key]
        self._uses[order.client_order_id] -= 1
        if not self._uses[order.client_order_id]:
            del self._uses[order.client_order_id]
            self._repeated.discard(order.client_order_id)

    def _forget_trade(self, trade: Trade) -> None:
        # Every symbol's trades are in the order of all, so the oldest of all is its symbol's first.
        self.trades[trade.order.instrument.symbol].popleft()


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
