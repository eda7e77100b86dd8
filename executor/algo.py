"""The venue's wire for conditional orders: paths, shapes, and what their statuses mean.

Venue: USDⓈ-M futures, "New Algo Order", "Cancel Algo Order", "Query Algo Order", "Current All Algo
Open Orders", "Query All Algo Orders", "Event: Algo Order Update". A conditional order waits in a
service of its own, under ids of its own, and no ordinary query knows it. When it triggers it
becomes an ordinary order: `actualOrderId`, in events `ai`. That order shows the same client id,
which nobody promises, so it is known by either.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from executor.transitions import OrderEvent
from executor.venue import NS_PER_MS, VenueDataError
from shm.records import OrderType

ALGO_ORDER = "/fapi/v1/algoOrder"
OPEN_ALGO_ORDERS = "/fapi/v1/openAlgoOrders"
ALL_ALGO_ORDERS = "/fapi/v1/allAlgoOrders"
CANCEL_ALGO_ORDERS = "/fapi/v1/algoOpenOrders"

API_ALGO_PLACE = "algoOrder.place"
API_ALGO_CANCEL = "algoOrder.cancel"

CONDITIONAL = "CONDITIONAL"
WAITING = "NEW"
# It has left the service for the matching engine, or is on its way.
FINISHED = "FINISHED"
TRIGGERED = ("TRIGGERING", "TRIGGERED", FINISHED)
REFUSED = "REJECTED"  # by the matching engine, when it triggered
STATUSES = (WAITING, *TRIGGERED, "CANCELED", "EXPIRED", REFUSED)

STOP_MARKET = int(OrderType.STOP_MARKET)


class AlgoState(NamedTuple):
    """A conditional order as the venue tells it in an answer, a list or an event."""

    client_id: str
    algo_id: int
    symbol: str
    side: int  # +1 buy, -1 sell
    status: str  # one of STATUSES
    venue_order_id: int  # of the ordinary order that it became; 0 = of none yet
    executed: str  # filled of that order; "" where it is not told
    venue_ns: int

    @property
    def has_triggered(self) -> bool:
        """Return whether it is, or is about to be, an ordinary order."""
        return self.status in TRIGGERED


# What ends it while it waits. One that the matching engine refused was accepted before and is gone
# now: EXPIRED, as an ordinary order that was accepted cannot be REJECTED any more.
ENDS = {
    "CANCELED": OrderEvent.CANCELED,
    "EXPIRED": OrderEvent.EXPIRED,
    REFUSED: OrderEvent.EXPIRED,
}
_SIDES = {"BUY": 1, "SELL": -1}
_NAMES = ("clientAlgoId", "algoId", "symbol", "side", "algoStatus")
_EVENT_NAMES = ("caid", "aid", "s", "S", "X")


def is_stop(row: Any) -> bool:
    """Return whether an order row, or an ORDER record, is that of a conditional order."""
    return bool(row.type == STOP_MARKET)


def algo_state(body: Any) -> AlgoState:
    """Return a conditional order from the body of an answer or a row of a list.

    Raises:
        VenueDataError: a field is missing or malformed.
    """
    return _state(body, _NAMES, "actualOrderId", "actualQty", "updateTime")


def algo_event(event: Any) -> AlgoState:
    """Return a conditional order from an ALGO_UPDATE.

    Raises:
        VenueDataError: a field is missing or malformed.
    """
    try:
        body = event["o"] | {"T": event.get("T", 0)}
    except (KeyError, TypeError, AttributeError) as error:
        raise VenueDataError(f"conditional order: {type(error).__name__} {error}") from None
    return _state(body, _EVENT_NAMES, "ai", "aq", "T")


def _state(body: Any, names: tuple[str, ...], child: str, quantity: str, stamp: str) -> AlgoState:
    try:
        client_id, algo_id, symbol, side, status = (body[name] for name in names)
        if status not in STATUSES:
            raise ValueError(status)
        return AlgoState(
            client_id=str(client_id),
            algo_id=int(algo_id),
            symbol=str(symbol),
            side=_SIDES[side],
            status=status,
            # Venue: empty, null or "0" while there is none.
            venue_order_id=int(body.get(child) or 0),
            executed=str(body.get(quantity) or ""),
            venue_ns=int(body.get(stamp) or 0) * NS_PER_MS,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VenueDataError(f"conditional order: {type(error).__name__} {error}") from None
