"""List every fault switch: one table for checks, command line, requests and documentation."""

from __future__ import annotations

from dataclasses import dataclass

Value = int | float | str

KINDS = ("market", "private", "ws_api", "rest", "all")
# Where a fault is injected; `Switches` has one flag for each that says whether any is armed.
POINTS = ("requests", "connections", "streams", "snapshots", "desk", "clock")


@dataclass(frozen=True, slots=True)
class Parameter:
    """Be one parameter of a fault; its type is that of its default."""

    name: str
    unit: str
    default: Value
    meaning: str
    minimum: float = 0
    maximum: float = float("inf")
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Be one fault: what it is called, where it is injected, what it takes, what it does."""

    name: str
    point: str
    meaning: str
    parameters: tuple[Parameter, ...] = ()
    serves: tuple[int, ...] = ()  # numbers in the fault catalogue
    count: int = 1  # the default of the parameter of that name
    is_action: bool = False  # done once when it is armed instead of waiting for an occasion
    is_for_orders: bool = False  # strikes new orders only, unless path or method say otherwise


# What every fault takes besides its own. An occasion is a request, a message or a connection.
SELECTORS = (
    Parameter("count", "times", 1, "occasions that it strikes; 0: every one"),
    Parameter("probability", "share", 1.0, "chance that an occasion is struck", maximum=1.0),
    Parameter("seed", "", 0, "of the draws for probability and jitter"),
    Parameter("symbol", "", "", "only occasions of this symbol"),
    Parameter("path", "", "", "only requests to this REST path or WS-API method"),
    Parameter("method", "", "", "only requests by this HTTP method; WS: the WS-API"),
    Parameter("stream", "", "", "only messages of this stream"),
    Parameter("from_ms", "ms", 0, "begin so long after it was armed"),
    Parameter("until_ms", "ms", 0, "end so long after it was armed; 0: never"),
)

_DELAY = Parameter("delay_ms", "ms", 50, "delay", maximum=600_000)
_JITTER = Parameter("jitter_ms", "ms", 0, "up to so much more, drawn evenly", maximum=600_000)
_KIND = Parameter("kind", "", "all", "which connections", choices=KINDS)
_AT = Parameter(
    "at",
    "",
    "now",
    "now: all those open; connect: when one opens; request: before a request is carried out; "
    "answer: instead of its answer",
    choices=("now", "connect", "request", "answer"),
)
_OUTCOME = Parameter(
    "outcome",
    "",
    "live",
    "what became of the order: carried out, carried out and filled, or never seen",
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
    ),
    Row(
        "ack_latency",
        "requests",
        "A request is carried out at once and answered later.",
        (_DELAY, _JITTER),
        (32,),
        count=0,
    ),
    Row(
        "fill_before_ack",
        "requests",
        "The answer to a new order leaves after its user events.",
        (Parameter("delay_ms", "ms", 100, "delay of the answer", maximum=600_000),),
        (37,),
    ),
    Row(
        "fill_before_cancel",
        "requests",
        "The order fills at its price just before its cancellation is looked at.",
        (),
        (37,),
    ),
    Row(
        "unknown_503",
        "requests",
        'Answers 503 "Unknown error, please check your request or try again later." ' + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
    ),
    Row(
        "unavailable_503",
        "requests",
        'Answers 503 "Service Unavailable."; nothing is carried out. ' + _NEW_ORDERS,
        (),
        (31,),
        is_for_orders=True,
    ),
    Row(
        "error_1006",
        "requests",
        "Answers -1006. " + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
    ),
    Row(
        "error_1007",
        "requests",
        "Answers 408 with -1007. " + _NEW_ORDERS,
        (_OUTCOME,),
        (30,),
        is_for_orders=True,
    ),
    Row(
        "error_1008",
        "requests",
        "Answers 503 with -1008; nothing is carried out; reduce-only and close-position orders "
        "are exempt. " + _NEW_ORDERS,
        (),
        (31,),
        is_for_orders=True,
    ),
    Row(
        "too_many_requests",
        "requests",
        "Answers 429 with -1003 and Retry-After; nothing is carried out.",
        (_RETRY,),
        (33,),
    ),
    Row(
        "banned",
        "requests",
        "Answers 418 with -1003 and Retry-After; nothing is carried out.",
        (_RETRY,),
        (33,),
    ),
)

CONNECTIONS = (
    Row(
        "connection_drop",
        "connections",
        "Sends a close frame; a REST connection is closed.",
        (_KIND, _AT),
        (23, 24, 35),
    ),
    Row(
        "connection_half_open",
        "connections",
        "Stops sending and reading and keeps the connection open, until all faults are disarmed.",
        (_KIND, _AT),
        (23,),
    ),
    Row(
        "connection_reset",
        "connections",
        "Resets the connection: RST.",
        (_KIND, _AT),
        (23,),
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
    ),
    Row("depth_gap", "streams", "A diff-depth message is left out.", (), (25,)),
    Row("depth_duplicate", "streams", "A diff-depth message is sent twice.", (), (25,)),
    Row(
        "depth_reorder",
        "streams",
        "A diff-depth message leaves after the next one.",
        (),
        (25,),
    ),
    Row(
        "crossed_book",
        "streams",
        "A diff-depth message has a bid above the best ask, a bookTicker its two sides swapped.",
        (Parameter("share", "fraction", 0.25, "how far above the message's own prices"),),
        (27,),
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
        (28, 29),
    ),
    Row(
        "fill_latency",
        "streams",
        "User events leave later; their order is kept.",
        (_DELAY, _JITTER),
        (35,),
        count=0,
    ),
    Row("fill_duplicate", "streams", "A user event of a fill is sent twice.", (), (36,)),
    Row(
        "fill_reorder",
        "streams",
        "A user event of a fill leaves after the next user event, or after the hold time.",
        (Parameter("hold_ms", "ms", 500, "hold time", maximum=600_000),),
        (36,),
    ),
    Row("fill_lost", "streams", "A user event of a fill is left out.", (), (35, 36)),
    Row(
        "user_stream_silent",
        "streams",
        "The user data stream stays open and says nothing, until it is disarmed.",
        (),
        (35,),
        count=0,
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
    ),
    Row(
        "clock_offset",
        "clock",
        "The venue's clock is shifted: serverTime, event times and the check of timestamps.",
        (Parameter("offset_ms", "ms", 5_000, "shift, negative too", -86_400_000, 86_400_000),),
        (34,),
        count=0,
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
    ),
    Row(
        "cancel_all_partial",
        "desk",
        "A cancel-all leaves the newest orders open and still answers that it is done.",
        (Parameter("keep", "orders", 1, "how many stay open", 1),),
        (40,),
    ),
    Row(
        "filters_change",
        "desk",
        "A symbol's filters change while orders rest; 0 keeps what there is. Takes symbol.",
        (
            Parameter("tick_step", "ticks", 0, "new tick size", maximum=1_000_000),
            Parameter("lot_step", "lots", 0, "new step size", maximum=1_000_000),
            Parameter("min_notional", "USDT", 0, "new minimum notional", maximum=1_000_000),
        ),
        (44,),
        is_action=True,
    ),
    Row(
        "foreign_order",
        "desk",
        "An order of the account that its client never sent: MARKET without a price. Takes symbol.",
        (
            Parameter("side", "", "BUY", "side", choices=("BUY", "SELL")),
            Parameter("quantity", "base asset", "", "quantity"),
            Parameter("price", "price", "", "limit price, good till cancelled"),
        ),
        (38,),
        is_action=True,
    ),
)

TABLE = REQUESTS + CONNECTIONS + STREAMS + OTHERS
ROWS = {row.name: row for row in TABLE}
assert len(ROWS) == len(TABLE), "a fault's name is used twice"
assert all(row.point in POINTS for row in TABLE), "a fault is injected at an unknown point"


def table_json() -> list[dict[str, object]]:
    """Return the table as `/local/faults` shows it."""
    return [
        {
            "name": row.name,
            "point": row.point,
            "meaning": row.meaning,
            "serves": list(row.serves),
            "count": row.count,
            "parameters": {
                p.name: {"unit": p.unit, "default": p.default, "meaning": p.meaning}
                for p in row.parameters
            },
        }
        for row in TABLE
    ]
