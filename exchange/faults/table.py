"""List every fault switch: one table for checks, command line, requests and documentation."""

from __future__ import annotations

from exchange.faults.rows import (
    CANCEL_PATHS,
    DEPTH_PATHS,
    KINDS,
    PLACING_PATHS,
    POINTS,
    Parameter,
    Row,
)

_OFTEN = ("count", "probability", "until_ms")
_REQUEST = (*_OFTEN, "symbol", "path", "method")
_NAMED = (*_OFTEN, "symbol", "path")
_MESSAGE = (*_OFTEN, "symbol", "stream")
_SYMBOL = (*_OFTEN, "symbol")
_DIFFS = r"[^@]+@depth(@.+)?"
_BOOKS = r"[^@]+@(depth|bookTicker).*|!bookTicker"
_PUBLIC = r".*[@!].*"
_FILLS = "TRADE_LITE|ACCOUNT_UPDATE|ORDER_TRADE_UPDATE"
_EVENTS = r"[A-Za-z_]+"

_DELAY = Parameter("delay_ms", "ms", 50, "delay", maximum=600_000)
_JITTER = Parameter("jitter_ms", "ms", 0, "up to so much more, drawn evenly", maximum=600_000)
_KIND = Parameter("kind", "", "all", "which connections", choices=KINDS)
_AT = Parameter(
    "at",
    "",
    "now",
    "now: all those open; connect: when a WebSocket opens; request: before a REST or WS-API "
    "request is carried out; answer: instead of its answer",
    choices=("now", "connect", "request", "answer"),
)
_OUTCOME = Parameter(
    "outcome",
    "",
    "live",
    "what became of the order: carried out, carried out and filled, or never seen; an order that "
    "cannot be made to fill is not struck by filled",
    choices=("live", "filled", "absent"),
)
_RETRY = Parameter("retry_after_s", "s", 2, "Retry-After", minimum=1, maximum=259_200)
_NEW_ORDERS = "Without path and method: new orders only."

REQUESTS = (
    Row(
        "request_latency",
        "requests",
        "A request reaches the exchange later.",
        (_DELAY, _JITTER),
        (32,),
        count=0,
        takes=_REQUEST,
    ),
    Row(
        "ack_latency",
        "requests",
        "A request is carried out at once and answered later.",
        (_DELAY, _JITTER),
        (32,),
        count=0,
        takes=_REQUEST,
    ),
    Row(
        "fill_before_ack",
        "requests",
        "The answer to a new order leaves after its user events.",
        (Parameter("delay_ms", "ms", 100, "delay of the answer", maximum=600_000),),
        (37,),
        takes=_NAMED,
        paths=PLACING_PATHS,
    ),
    Row(
        "fill_before_cancel",
        "requests",
        "The order fills at its price just before its cancellation is looked at; a request that "
        "is refused before that, or names no open limit order, is not struck.",
        (),
        (37,),
        takes=_NAMED,
        paths=CANCEL_PATHS,
    ),
    Row(
        "unknown_503",
        "requests",
        'Answers 503 "Unknown error, please check your request or try again later." ' + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
        takes=_REQUEST,
    ),
    Row(
        "unavailable_503",
        "requests",
        'Answers 503 "Service Unavailable."; nothing is carried out. ' + _NEW_ORDERS,
        (),
        (31,),
        is_for_orders=True,
        takes=_REQUEST,
    ),
    Row(
        "error_1006",
        "requests",
        "Answers -1006. " + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
        takes=_REQUEST,
    ),
    Row(
        "error_1007",
        "requests",
        "Answers 408 with -1007. " + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
        takes=_REQUEST,
    ),
    Row(
        "error_1008",
        "requests",
        "Answers 503 with -1008; nothing is carried out; reduce-only and close-position orders "
        "are exempt. " + _NEW_ORDERS,
        (),
        (31,),
        is_for_orders=True,
        takes=_REQUEST,
    ),
    Row(
        "too_many_requests",
        "requests",
        "Answers 429 with -1003 and Retry-After; nothing is carried out.",
        (_RETRY,),
        (33,),
        takes=_REQUEST,
    ),
    Row(
        "banned",
        "requests",
        "Answers 418 with -1003 and Retry-After; nothing is carried out.",
        (_RETRY,),
        (33,),
        takes=_REQUEST,
    ),
)

CONNECTIONS = (
    Row(
        "connection_drop",
        "connections",
        "Sends a close frame; a REST connection is closed.",
        (_KIND, _AT),
        (23, 24, 35),
        takes=_REQUEST,
    ),
    Row(
        "connection_half_open",
        "connections",
        "Stops sending and reading and keeps the connection open, until all faults are disarmed; "
        "requests that are under way are not answered.",
        (_KIND, _AT),
        (23,),
        takes=_REQUEST,
    ),
    Row(
        "connection_reset",
        "connections",
        "Resets the connection: RST.",
        (_KIND, _AT),
        (23,),
        takes=_REQUEST,
    ),
)

STREAMS = (
    Row(
        "market_latency",
        "streams",
        "Market data leave later; their order is kept.",
        (_DELAY, _JITTER),
        (1,),
        count=0,
        takes=_MESSAGE,
        streams=_PUBLIC,
    ),
    Row(
        "depth_gap",
        "streams",
        "A diff-depth message is left out.",
        (),
        (25,),
        takes=_MESSAGE,
        streams=_DIFFS,
    ),
    Row(
        "depth_duplicate",
        "streams",
        "A diff-depth message is sent twice.",
        (),
        (25,),
        takes=_MESSAGE,
        streams=_DIFFS,
    ),
    Row(
        "depth_reorder",
        "streams",
        "A diff-depth message leaves after the next one.",
        (),
        (25,),
        takes=_MESSAGE,
        streams=_DIFFS,
    ),
    Row(
        "crossed_book",
        "streams",
        "A diff-depth message has a bid above the best ask, a bookTicker its two sides swapped.",
        (Parameter("share", "fraction", 0.25, "how far above the message's own prices"),),
        (27,),
        takes=_MESSAGE,
        streams=_BOOKS,
    ),
    Row(
        "absurd_price",
        "streams",
        "The first price of a market-data message makes no sense.",
        (
            Parameter(
                "value", "", "zero", "what it is", choices=("zero", "negative", "nan", "huge")
            ),
        ),
        (27,),
        takes=_MESSAGE,
        streams=_PUBLIC,
    ),
    Row(
        "malformed",
        "streams",
        "A market-data message is no JSON of the venue.",
        (
            Parameter(
                "shape",
                "",
                "truncated",
                "cut in half, nested deeply, no UTF-8, or padded",
                choices=("truncated", "nested", "binary", "padded"),
            ),
            Parameter("size", "bytes", 100_000, "of nested and padded", 1, 16 << 20),
        ),
        (28,),
        takes=_MESSAGE,
        streams=_PUBLIC,
    ),
    Row(
        "fill_latency",
        "streams",
        "User events leave later; their order is kept.",
        (_DELAY, _JITTER),
        (35,),
        count=0,
        takes=_MESSAGE,
        streams=_EVENTS,
    ),
    Row(
        "fill_duplicate",
        "streams",
        "The message of a fill is sent twice: by default ORDER_TRADE_UPDATE, with `stream` "
        "TRADE_LITE or ACCOUNT_UPDATE.",
        (),
        (36,),
        takes=_MESSAGE,
        streams=_FILLS,
        stream="ORDER_TRADE_UPDATE",
    ),
    Row(
        "fill_reorder",
        "streams",
        "The message of a fill leaves after that of the next fill that passes the same filters, or "
        "after the hold time; `stream` as for fill_duplicate.",
        (Parameter("hold_ms", "ms", 5_000, "hold time", maximum=600_000),),
        (36,),
        takes=_MESSAGE,
        streams=_FILLS,
        stream="ORDER_TRADE_UPDATE",
    ),
    Row(
        "fill_lost",
        "streams",
        "The message of a fill is left out; `stream` as for fill_duplicate.",
        (),
        (35, 36),
        takes=_MESSAGE,
        streams=_FILLS,
        stream="ORDER_TRADE_UPDATE",
    ),
    Row(
        "user_stream_silent",
        "streams",
        "The user data stream stays open and says nothing, until it is disarmed.",
        (),
        (35,),
        count=0,
        takes=_MESSAGE,
        streams=_EVENTS,
    ),
)

OTHERS = (
    Row(
        "stale_snapshot",
        "snapshots",
        "A depth snapshot, by REST or WS-API, has its update id set back: it is older than what "
        "the stream has brought.",
        (Parameter("behind", "ids", 1_000_000, "how far the update id is set back", 1),),
        (26,),
        takes=_NAMED,
        paths=DEPTH_PATHS,
    ),
    Row(
        "clock_offset",
        "clock",
        "The venue's clock is shifted: serverTime, event times and the check of timestamps.",
        (Parameter("offset_ms", "ms", 5_000, "shift, negative too", -86_400_000, 86_400_000),),
        (34,),
        count=0,
        takes=("until_ms",),
    ),
    Row(
        "listen_key_expire",
        "desk",
        "The listen key runs out: listenKeyExpired is sent and the stream ends.",
        (),
        (35,),
        is_action=True,
    ),
    Row(
        "dead_man_ignored",
        "desk",
        "A countdown (countdownCancelAll) that runs out cancels nothing.",
        (),
        (6, 39),
        count=0,
        takes=_SYMBOL,
    ),
    Row(
        "cancel_all_partial",
        "desk",
        "A cancel-all leaves the newest orders open and still answers that it is done.",
        (Parameter("keep", "orders", 1, "how many stay open", 1),),
        (40,),
        takes=_SYMBOL,
    ),
    Row(
        "filters_change",
        "desk",
        "A symbol's filters change while orders rest; 0 keeps what there is. "
        "Disarmed, or after until_ms, they are again what they were.",
        (
            Parameter("tick_step", "ticks", 0, "new tick size", maximum=1_000_000),
            Parameter("lot_step", "lots", 0, "new step size", maximum=1_000_000),
            Parameter("min_notional", "USDT", 0, "new minimum notional", maximum=1_000_000),
        ),
        (44,),
        is_action=True,
        takes=("symbol", "until_ms"),
        lasts=True,
    ),
    Row(
        "foreign_order",
        "desk",
        "An order of the account that its client never sent: MARKET without a price.",
        (
            Parameter("side", "", "BUY", "side", choices=("BUY", "SELL")),
            Parameter("quantity", "base asset", "", "quantity"),
            Parameter("price", "price", "", "limit price, good till cancelled"),
        ),
        (38,),
        is_action=True,
        takes=("symbol",),
    ),
)

TABLE = REQUESTS + CONNECTIONS + STREAMS + OTHERS
ROWS = {row.name: row for row in TABLE}
assert len(ROWS) == len(TABLE), "a fault's name is used twice"
assert all(row.point in POINTS for row in TABLE), "a fault is injected at an unknown point"


def table_json() -> list[dict[str, object]]:
    """Return the table as `/local/faults` shows it."""
    return [row.as_json() for row in TABLE]
