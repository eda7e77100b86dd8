"""Orders of the scripted venue, and what it is told to do with the next one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass
class Behaviour:
    """What the venue does with the next request to place an order."""

    accept: bool = True
    fills: tuple[tuple[str, str], ...] = ()  # price, quantity
    respond: bool = True
    delay_s: float = 0.0
    hidden_s: float = 0.0  # queries do not find it for that long
    error: tuple[int, int, str] | None = None
    events_first: bool = False
    event_copies: int = 1
    reverse_events: bool = False
    send_events: bool = True
    close: bool = False


@dataclass
class VenueOrder:
    venue_id: int
    params: dict[str, str]
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    created: float = field(default_factory=time.time)
    visible_at: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")

    def body(self) -> dict[str, Any]:
        average = self.cost / self.executed if self.executed else Decimal(0)
        return {
            "orderId": self.venue_id,
            "symbol": self.params["symbol"],
            "status": self.status,
            "clientOrderId": self.params["newClientOrderId"],
            "executedQty": str(self.executed),
            "origQty": self.params["quantity"],
            "avgPrice": str(average),
            "updateTime": int(self.created * 1000),
            "time": int(self.created * 1000),
        }


class RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str, headers: Any = None) -> None:
        self.status, self.body = status, {"code": code, "msg": message}
        self.headers = headers or {}
        super().__init__(message)
