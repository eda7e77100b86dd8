"""The venue's wire for orders: paths, the shapes of its JSON, and what its refusals mean.

Venue: USDⓈ-M futures, "Trade" and "Account" endpoints, "Error codes", "General info" (HTTP 503).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NamedTuple

from executor.transitions import OrderEvent

TIME = "/fapi/v1/time"
ORDER = "/fapi/v1/order"
OPEN_ORDERS = "/fapi/v1/openOrders"
ALL_OPEN_ORDERS = "/fapi/v1/allOpenOrders"
ALL_ORDERS = "/fapi/v1/allOrders"
USER_TRADES = "/fapi/v1/userTrades"
INCOME = "/fapi/v1/income"
LEVERAGE = "/fapi/v1/leverage"
POSITION_MODE = "/fapi/v1/positionSide/dual"
POSITIONS = "/fapi/v3/positionRisk"
BALANCE = "/fapi/v3/balance"
LISTEN_KEY = "/fapi/v1/listenKey"

API_PLACE = "order.place"
API_CANCEL = "order.cancel"
API_STATUS = "order.status"

E8 = 100_000_000
NS_PER_MS = 1_000_000

CODE_CLOCK = -1021
CODE_NOT_FOUND = -2013
CODE_CANCEL_REJECTED = -2011
CODE_DUPLICATE = -4116
CODE_WOULD_TAKE = -5022  # a post-only order that would have taken liquidity
CODE_NO_LISTEN_KEY = -1125
CODES_UNKNOWN = (-1006, -1007)
CODE_OVERLOADED = -1008
CODES_LIMIT = (-1003, -1015)
# Ours, for reports: refused here, nothing was sent. The venue's codes are all above -10000.
CODE_STALE = -90_001
CODE_TABLE_FULL = -90_002
CODE_HALTED = -90_003
CODE_LIMITED = -90_004
CODE_CLOSING = -90_005
CODE_MALFORMED = -90_006
CODE_DISTRUST = -90_008  # what we believe about the symbol is not what the venue says
CODE_TRIGGER_REFUSED = -90_007  # a stop that the venue refused when it triggered

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD")


class VenueDataError(ValueError):
    """A message of the venue that cannot be understood; it never holds what was sent to it."""


class Verdict(Enum):
    """What a reply to a request means for the order it was about."""

    OK = "ok"
    REFUSED = "refused"  # it did not happen
    FAILED = "failed"  # it did not happen; the same may be tried again
    CLOCK = "clock"  # it did not happen: our stamp is off
    LIMITED = "limited"  # it did not happen: too many requests
    NOT_FOUND = "not found"
    DUPLICATE = "duplicate"  # an open order has the id: ours, or what became of it
    UNKNOWN = "unknown"  # it may have happened


@dataclass(slots=True)
class Reply:
    """What came back for one request over REST or WS-API; times are monotonic."""

    status: int = 0  # HTTP status; 0 = there was no answer
    body: Any = None
    error: str = ""  # kind of failure when there was no answer
    sent_ns: int = 0  # after the bytes were handed over; 0 = nothing was sent
    received_ns: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    rate_limits: list[dict[str, Any]] = field(default_factory=list)
    retry_after_ns: int = 0

    @property
    def ok(self) -> bool:
        """Return whether the venue did what was asked."""
        return self.status == 200

    @property
    def code(self) -> int:
        """Return the venue's error code, or 0."""
        code = self.body.get("code", 0) if isinstance(self.body, dict) and not self.ok else 0
        return code if isinstance(code, int) else 0

    @property
    def message(self) -> str:
        """Return the venue's message, or the kind of failure, printable and short."""
        text = self.error
        if isinstance(self.body, dict) and not self.ok:
            text = str(self.body.get("msg", text))
        return printable(text)


def classify(reply: Reply) -> Verdict:
    """Return what a reply means.

    Venue: HTTP 503 has three meanings by message; every other 5XX leaves the outcome unknown.
    """
    if reply.ok:
        return Verdict.OK
    if reply.status == 0:
        # Nothing was sent, or nothing came back.
        return Verdict.UNKNOWN if reply.sent_ns else Verdict.FAILED
    code = reply.code
    if code in CODES_UNKNOWN:
        return Verdict.UNKNOWN
    if code == CODE_OVERLOADED or _is_unavailable(reply):
        return Verdict.FAILED
    if reply.status in (418, 429) or code in CODES_LIMIT:
        return Verdict.LIMITED
    by_code = {
        CODE_CLOCK: Verdict.CLOCK,
        CODE_DUPLICATE: Verdict.DUPLICATE,
        CODE_NOT_FOUND: Verdict.NOT_FOUND,
        CODE_CANCEL_REJECTED: Verdict.NOT_FOUND,
    }
    if code in by_code:
        return by_code[code]
    return Verdict.UNKNOWN if reply.status >= 500 else Verdict.REFUSED


def _is_unavailable(reply: Reply) -> bool:
    return reply.status == 503 and reply.message.startswith("Service Unavailable")


def printable(text: str, size_max: int = 200) -> str:
    """Return a text of the venue for a log line: control characters escaped, cut to size."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown[:size_max]


def decode(text: str | bytes) -> Any:
    """Return the JSON value of a message.

    Raises:
        VenueDataError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VenueDataError(f"no JSON: {type(error).__name__}, {len(text)} bytes") from None


class OrderState(NamedTuple):
    """An order as the venue tells it in a response or query."""

    client_id: str
    venue_order_id: int
    symbol: str
    event: OrderEvent
    executed: str
    average: str  # "" where the response does not have it
    venue_ns: int


STATUS_EVENTS = {
    "NEW": OrderEvent.ACCEPTED,
    "PENDING_NEW": OrderEvent.ACCEPTED,
    "PARTIALLY_FILLED": OrderEvent.PARTIAL,
    "FILLED": OrderEvent.FILLED,
    "CANCELED": OrderEvent.CANCELED,
    "PENDING_CANCEL": OrderEvent.ACCEPTED,
    "REJECTED": OrderEvent.REJECTED,
    "EXPIRED": OrderEvent.EXPIRED,
    "EXPIRED_IN_MATCH": OrderEvent.EXPIRED,
}


def order_state(body: Any) -> OrderState:
    """Return an order from the body of a place, cancel or query response.

    Raises:
        VenueDataError: a field is missing or malformed.
    """
    try:
        return OrderState(
            client_id=str(body["clientOrderId"]),
            venue_order_id=int(body["orderId"]),
            symbol=str(body["symbol"]),
            event=STATUS_EVENTS[body["status"]],
            executed=str(body["executedQty"]),
            average=str(body.get("avgPrice", "")),
            venue_ns=int(body.get("updateTime", 0)) * NS_PER_MS,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VenueDataError(f"order: {type(error).__name__} {error}") from None


class TradeRow(NamedTuple):
    """A fill from userTrades."""

    trade_id: int
    venue_order_id: int
    price: str
    quantity: str
    fee: str
    fee_asset: str
    is_maker: bool
    venue_ns: int


def trade_rows(body: Any) -> list[TradeRow]:
    """Return the fills of a userTrades response, oldest first.

    Raises:
        VenueDataError: a field is missing or malformed.
    """
    try:
        rows = [
            TradeRow(
                trade_id=int(row["id"]),
                venue_order_id=int(row["orderId"]),
                price=str(row["price"]),
                quantity=str(row["qty"]),
                fee=str(row["commission"]),
                fee_asset=str(row["commissionAsset"]),
                is_maker=bool(row["maker"]),
                venue_ns=int(row["time"]) * NS_PER_MS,
            )
            for row in body
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise VenueDataError(f"trades: {type(error).__name__} {error}") from None
    return sorted(rows)


class PositionRow(NamedTuple):
    """A position from positionRisk, as texts."""

    quantity: str  # signed
    entry: str
    mark: str


def position_rows(body: Any) -> dict[str, PositionRow]:
    """Return the positions by symbol (one-way mode) from positionRisk.

    Raises:
        VenueDataError: a field is missing, or the account is in hedge mode.
    """
    found: dict[str, PositionRow] = {}
    try:
        for row in body:
            if row.get("positionSide", "BOTH") != "BOTH":
                raise VenueDataError(f"hedge mode: positionSide={printable(row['positionSide'])}")
            prices = (str(row.get(name, "")) for name in ("entryPrice", "markPrice"))
            found[row["symbol"]] = PositionRow(str(row["positionAmt"]), *prices)
    except (KeyError, TypeError, AttributeError) as error:
        raise VenueDataError(f"positions: {type(error).__name__} {error}") from None
    return found


def position_texts(body: Any) -> dict[str, str]:
    """Return the signed position quantity by symbol, see `position_rows`."""
    return {symbol: row.quantity for symbol, row in position_rows(body).items()}


def wallet_e8(body: Any, asset: str) -> int:
    """Return the wallet balance of an asset from a balance response, 1e-8.

    Raises:
        VenueDataError: the asset is not listed, or a field is malformed.
    """
    try:
        for row in body:
            if row["asset"] == asset:
                return to_e8(row["balance"])
    except (KeyError, TypeError) as error:
        raise VenueDataError(f"balance: {type(error).__name__} {error}") from None
    raise VenueDataError(f"balance: no asset {asset}")


def to_e8(text: object) -> int:
    """Return a decimal text in 1e-8, rounded half to even.

    Raises:
        VenueDataError: it is no finite number.
    """
    try:
        return int((Decimal(str(text)) * E8).to_integral_value())
    except (InvalidOperation, OverflowError, ValueError):
        raise VenueDataError(f"no number: {printable(str(text), 40)}") from None


def quote_asset(symbol: str) -> str:
    """Return the quote asset that a symbol's name ends with."""
    return next((quote for quote in _QUOTES if symbol.endswith(quote)), "USDT")
