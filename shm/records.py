"""The records that travel through the rings, and the codes they carry.

Prices are integers in ticks, quantities integers in lots, times integer nanoseconds. `origin_ns`
is the monotonic receive stamp of the market event that caused a record, `written_ns` the monotonic
stamp of the stage that wrote it: latency is read off the records themselves.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from shm.fields import Field, Record

SYMBOL_COUNT_MAX = 128
SIGNAL_COUNT = 8
# Strategies that tables by strategy have room for; codes above `Strategy` are a user's own.
STRATEGY_COUNT_MAX = 16


class EventKind(IntEnum):
    """What a market event says."""

    TRADE = 1  # price, quantity, trade id; SIDE_ASK set = the buyer was the maker (a sell)
    BEST = 2  # best bid and offer
    LEVEL = 3  # new total quantity at a price; 0 removes the level
    SNAPSHOT_BEGIN = 4  # forget the book; levels with SNAPSHOT set follow
    SNAPSHOT_END = 5  # the book is valid from here on
    INVALID = 6  # the book of this symbol is not to be trusted; quantity_lot = InvalidReason
    MARK = 7  # the venue's mark price, to the nearest tick; nothing else of the record is set
    DROPPED = 8  # a message of this symbol could not be read; what it said is not known


class EventFlag(IntFlag):
    """Flags of a market event."""

    SIDE_ASK = 1  # LEVEL: the ask side. TRADE: the aggressor sold
    LAST = 2  # the last record that came from one venue message
    SNAPSHOT = 4  # the level belongs to a snapshot
    DELAYED = 8  # was buffered while the snapshot was fetched: not a fresh price


class InvalidReason(IntEnum):
    """Why a book was declared invalid."""

    NONE = 0
    GAP = 1  # pu did not equal the last u
    DISCONNECT = 2
    LAPPED = 3  # a reader of the market ring lost records
    MALFORMED = 4
    RESTART = 5  # the feed started anew
    CROSSED = 6
    OVERFLOW = 7  # more buffered or scratch data than there is room for


MARKET_EVENT = Record(
    "market_event",
    "One canonical market event; the payload of the broadcast ring `market`.",
    [
        Field("origin_ns", "i64", "ns, monotonic", "feed", "receive stamp of the venue message"),
        Field("venue_ns", "i64", "ns, venue clock", "feed", "event time the venue states"),
        Field("price_tick", "i64", "ticks", "feed", "price; BEST: the best bid"),
        Field("quantity_lot", "i64", "lots", "feed", "quantity; BEST: at the best bid"),
        Field("ask_tick", "i64", "ticks", "feed", "BEST: the best ask"),
        Field("update_id", "i64", "id", "feed", "others: trade id, or u", overlay="ask_tick"),
        Field("ask_lot", "i64", "lots", "feed", "BEST: quantity at the best ask"),
        Field("symbol", "u16", "index", "feed", "row of the symbol table"),
        Field("kind", "u8", "EventKind", "feed", "what the record says"),
        Field("flags", "u8", "EventFlag", "feed", "side, last of message, snapshot, delayed"),
        Field("written_delta_ns", "u32", "ns", "feed", "written − origin, saturating at 2^32 − 1"),
        Field("sequence", "i64", "position + 1", "feed", "written last", closing=True),
    ],
    size=64,
)


class Strategy(IntEnum):
    """Which strategy a signal comes from."""

    NONE = 0
    MOMENTUM = 1
    MEAN_REVERSION = 2
    ORDER_FLOW = 3
    MARKET_MAKING = 4


# The code of the first of `signals.user_strategies`; the others follow in the order of the list.
USER_STRATEGY_FIRST = int(Strategy.MARKET_MAKING) + 1


class ExitRule(IntEnum):
    """How a position is left besides stop, target, partial close and time limit: a hint."""

    PLAIN = 0  # the trailing stop of the configuration
    TRAIL_RISK = 1  # trails at half of the initial risk
    RETURN_TO_MEAN = 2  # closes at `mean_tick` plus a profit
    IMBALANCE = 3  # closes when the imbalance of the best prices has turned
    STOP_ONLY = 4  # nothing but the stop: no target, partial, trailing or time limit (inventory)


class Factor(IntEnum):
    """The eight signals, in the order of their scores."""

    MOMENTUM = 0
    ACCELERATION = 1
    ORDER_FLOW = 2
    VOLUME_SPIKE = 3
    BOOK_IMBALANCE = 4
    EMA_CROSS = 5
    RSI = 6
    SPREAD = 7


SIGNAL = Record(
    "signal",
    "A validated trading signal; the payload of the gated ring `signals`.",
    [
        Field("origin_ns", "i64", "ns, monotonic", "engine", "stamp of the event that caused it"),
        Field("written_ns", "i64", "ns, monotonic", "engine", "when the engine wrote it"),
        Field("venue_ns", "i64", "ns, venue clock", "engine", "event time of the cause"),
        Field("signal_id", "i64", "id", "engine", "counts up from 1 within an epoch"),
        Field("bid_tick", "i64", "ticks", "engine", "best bid at the decision"),
        Field("ask_tick", "i64", "ticks", "engine", "best ask at the decision"),
        Field("strength", "f64", "0..1", "engine", "absolute weighted score"),
        Field("confidence", "f64", "0..1", "engine", "share of the weight that agrees"),
        Field("volatility", "f64", "fraction", "engine", "of price, per square root of a second"),
        Field("scores", "f32", "-1..1", "engine", "the eight signals, see Factor", SIGNAL_COUNT),
        Field("symbol", "u16", "index", "engine", "row of the symbol table"),
        Field("agreeing", "u8", "bits by Factor", "engine", "factors with the signal's sign"),
        Field("opposing", "u8", "bits by Factor", "engine", "factors against it"),
        Field("strategy", "u8", "Strategy", "engine", "which strategy's entry it is"),
        Field("confirmations", "u8", "count", "engine", "agreeing factors beside the trigger"),
        Field("side", "i8", "+1 buy, -1 sell", "engine", "direction"),
        Field("exit_rule", "u8", "ExitRule", "engine", "hint: how the position is left"),
        Field("mean_tick", "i64", "ticks", "engine", "hint: price expected to return; 0 = none"),
        Field("hold_ms_min", "u32", "ms", "engine", "hint: no exit by rule or reversal before"),
        Field("hold_ms_max", "u32", "ms", "engine", "hint: time limit; 0 = the configured one"),
        Field("stop_pct", "f32", "fraction", "engine", "hint: stop; 0 = the configured one"),
        Field("target_pct", "f32", "fraction", "engine", "hint: target; 0 = the configured one"),
        Field("sequence", "i64", "position + 1", "engine", "written last", closing=True),
    ],
    size=192,
)


QUOTE = Record(
    "quote",
    "The quotes of one symbol as they are to stand from now on; the payload of the ring `quotes`.",
    [
        Field("origin_ns", "i64", "ns, monotonic", "engine", "stamp of the event that caused it"),
        Field("written_ns", "i64", "ns, monotonic", "engine", "when the engine wrote it"),
        Field("venue_ns", "i64", "ns, venue clock", "engine", "time the decision was made for"),
        Field("quote_id", "i64", "id", "engine", "counts up from 1 within an epoch"),
        Field("report_position", "i64", "position", "engine", "reports before it were known"),
        Field("tick", "i64", "ticks", "engine", "price by side, bid first; 0 = no quote", 2),
        Field("lot", "i64", "lots", "engine", "quantity by side; 0 = no quote", 2),
        Field("reasons", "i64", "QuoteReason", "engine", "why, by side", 2),
        Field("symbol", "u16", "index", "engine", "row of the symbol table"),
        Field("sequence", "i64", "position + 1", "engine", "written last", closing=True),
    ],
    size=128,
)


class OrderAction(IntEnum):
    """What the executor is asked to do."""

    PLACE = 1
    CANCEL = 2  # cancel the order named by order_id
    CANCEL_ALL = 3  # cancel all open orders of the symbol


class OrderType(IntEnum):
    """The venue's order types that are used."""

    LIMIT = 1
    MARKET = 2
    STOP_MARKET = 3  # rests at the venue until the price reaches `price_tick`, then a market order


class TimeInForce(IntEnum):
    """The venue's time in force; GTX is post-only."""

    NONE = 0
    GTC = 1
    IOC = 2
    FOK = 3
    GTX = 4


class OrderFlag(IntFlag):
    """Flags of an order."""

    REDUCE_ONLY = 1
    EXIT = 2  # risk-reducing: passes the halt latch and keeps its share of the message budget


class OrderReason(IntEnum):
    """Why an order was written."""

    NONE = 0
    ENTRY = 1
    STOP = 2
    TARGET = 3
    PARTIAL = 4
    TRAILING = 5
    TIME_LIMIT = 6
    REVERSAL = 7
    FLATTEN = 8
    STALE = 9
    PROTECTION = 10  # the stop that rests at the venue
    QUOTE = 11  # one side of market making
    HALT = 12
    DRAWDOWN = 13
    FOREIGN = 14  # a position that is not ours, or is on the wrong side, is reduced
    MEAN = 15  # the price has returned to the mean
    IMBALANCE = 16  # the imbalance of the best prices has turned
    UNPROTECTED = 17  # the venue holds no stop for it, and will not take one


ORDER = Record(
    "order",
    "An order that passed risk; the payload of the gated ring `orders`.",
    [
        Field("origin_ns", "i64", "ns, monotonic", "risk", "stamp of the event that caused it"),
        Field("written_ns", "i64", "ns, monotonic", "risk", "when risk wrote it"),
        Field("expires_ns", "i64", "ns, monotonic", "risk", "not sent after this; 0 = never stale"),
        Field("order_id", "i64", "id", "risk", "counts up from 1 within an epoch"),
        Field("position_id", "i64", "id", "risk", "the position it opens or reduces"),
        Field("signal_id", "i64", "id", "risk", "the signal an entry came from; 0 = none"),
        Field("price_tick", "i64", "ticks", "risk", "limit or trigger price; 0 = none"),
        Field("quantity_lot", "i64", "lots", "risk", "quantity"),
        Field("reference_tick", "i64", "ticks", "risk", "opposite best price at the decision"),
        Field("symbol", "u16", "index", "risk", "row of the symbol table"),
        Field("action", "u8", "OrderAction", "risk", "place, cancel or cancel all"),
        Field("type", "u8", "OrderType", "risk", "limit, market or stop market"),
        Field("time_in_force", "u8", "TimeInForce", "risk", "of a limit order"),
        Field("side", "i8", "+1 buy, -1 sell", "risk", "direction"),
        Field("flags", "u8", "OrderFlag", "risk", "reduce-only, exit"),
        Field("reason", "u8", "OrderReason", "risk", "why it was written"),
        Field("strategy", "u8", "Strategy", "risk", "whose position it opens or reduces"),
        Field("sequence", "i64", "position + 1", "risk", "written last", closing=True),
    ],
)


class OrderStatus(IntEnum):
    """The state of an order at the venue, as far as it is known. UNKNOWN is a state of its own."""

    FREE = 0  # the row of the order table is not in use
    SENDING = 1  # written before the request leaves: it may or may not reach the venue
    UNKNOWN = 2  # no answer, or one that does not decide: the venue is asked by client id
    NEW = 3
    PARTIALLY_FILLED = 4
    FILLED = 5
    CANCELED = 6
    REJECTED = 7
    EXPIRED = 8  # by the venue: the unfilled rest of IOC, FOK, a crossing GTX
    NOT_SENT = 9  # refused by the executor: stale, table full, halted


TERMINAL_STATUS_MIN = OrderStatus.FILLED


class ReportFlag(IntFlag):
    """Flags of a report."""

    MAKER = 1  # we were the maker of this fill
    QUOTE = 2  # the order is one side of market making


REPORT = Record(
    "report",
    "A change of an order, or a fill; the payload of the gated ring `reports`.",
    [
        Field("origin_ns", "i64", "ns, monotonic", "executor", "origin of the order it is about"),
        Field("written_ns", "i64", "ns, monotonic", "executor", "when the executor wrote it"),
        Field("venue_ns", "i64", "ns, venue clock", "executor", "transaction time; 0 = unknown"),
        Field("order_id", "i64", "id", "executor", "as in the order"),
        Field("position_id", "i64", "id", "executor", "as in the order"),
        Field("venue_order_id", "i64", "id", "executor", "the venue's id; 0 = unknown"),
        Field("trade_id", "i64", "id", "executor", "of the fill; 0 when there is none"),
        Field("fill_tick", "i64", "ticks", "executor", "price of this fill"),
        Field("fill_lot", "i64", "lots", "executor", "quantity of this fill; 0 = no fill"),
        Field("filled_lot", "i64", "lots", "executor", "filled in all, as the venue states it"),
        Field("fee_e8", "i64", "1e-8 quote", "executor", "fee of this fill, paid in the quote"),
        Field("other_fee_e8", "i64", "1e-8 fee_asset", "executor", "fee paid in another asset"),
        Field("fee_asset", "i64", "ASSET_NAME_SIZE ASCII", "executor", "that asset; 0 = the quote"),
        Field("error_code", "i32", "venue code", "executor", "of a rejection; 0 = none"),
        Field("symbol", "u16", "index", "executor", "row of the symbol table"),
        Field("status", "u8", "OrderStatus", "executor", "state of the order after this"),
        Field("side", "i8", "+1 buy, -1 sell", "executor", "direction of the order"),
        Field("flags", "u8", "ReportFlag", "executor", "maker, quote"),
        Field(
            "sequence",
            "i64",
            "position + 1",
            "executor",
            "stored last, release order",
            closing=True,
        ),
    ],
    size=128,
)

# Characters of an asset's name that a report has room for.
ASSET_NAME_SIZE = 8


def asset_code(name: str) -> int:
    """Return the name of an asset as a report carries it; what is longer is cut."""
    raw = name.encode("ascii", "replace")[:ASSET_NAME_SIZE]
    return int.from_bytes(raw.ljust(ASSET_NAME_SIZE, b"\0"), "little")


def asset_name(code: int) -> str:
    """Return the name behind an `asset_code`."""
    return code.to_bytes(ASSET_NAME_SIZE, "little").rstrip(b"\0").decode("ascii", "replace")


RING_RECORDS = (MARKET_EVENT, SIGNAL, QUOTE, ORDER, REPORT)

for _record in RING_RECORDS:
    # Invariant: the sequence is the last word of the slot, whatever the record's size.
    if _record.offset("sequence") != _record.size - 8:
        raise AssertionError(f"sequence is not the last word: {_record.name}")
