"""The records of market making: parameters, what is kept per symbol, and a decision.

Sides are 0 (bid) and 1 (ask), as in the book. Prices are ticks, quantities lots, times whole
milliseconds of the venue's clock.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from shm.fields import Field, Record

INTENSITY_BUCKETS = 16
FLOW_BUCKETS_MAX = 64
FLOW_BINS = 64


class QuoteModel(IntEnum):
    """The formula that gives reservation price and spread."""

    GLFT = 0
    AS_FINITE = 1
    AS_STATIONARY = 2


class FlowThreshold(IntEnum):
    """What VPIN is compared with."""

    DISTRIBUTION = 0
    FIXED = 1


class BookStatus(IntEnum):
    """What is known of the best prices."""

    UNKNOWN = 0
    VALID = 1
    CROSSED = 2


class QuoteAction(IntEnum):
    """What is to become of a side's quote."""

    KEEP = 0  # what stands stays; nothing stands where nothing stood
    REPLACE = 1  # withdraw what stands, if anything, and place anew
    PULL = 2  # withdraw what stands, if anything


class QuoteReason(IntFlag):
    """Why; several may hold at once."""

    # Both sides are pulled.
    PARAMETERS = 1 << 0  # one of them is zero, out of range or not a number
    TIME = 1 << 1  # not positive, or before a time already seen
    BOOK_UNKNOWN = 1 << 2
    BOOK_CROSSED = 1 << 3
    STALE = 1 << 4
    WIDE = 1 << 5  # the market's spread
    VOLATILITY_UNKNOWN = 1 << 6  # too little seen, or no movement at all
    VOLATILITY_BURST = 1 << 7
    INTENSITY_UNKNOWN = 1 << 8  # too few arrivals, or they do not fall off with distance
    FLOW_UNKNOWN = 1 << 9
    FLOW_TOXIC = 1 << 10
    INVENTORY = 1 << 11  # not a number of lots that can be
    NOT_FINITE = 1 << 12  # the formula gave no price
    # One side is pulled.
    LIMIT = 1 << 16  # it would carry the inventory beyond its limit
    TOO_SMALL = 1 << 17  # below the venue's least quantity or value
    OUT_OF_RANGE = 1 << 18  # no such price
    UNPAID = 1 << 19  # safety asked for another price, the message budget did not allow it
    # One side is replaced.
    FIRST = 1 << 24  # nothing stood
    MOVED = 1 << 25
    WOULD_CROSS = 1 << 26  # what stood was at or beyond the opposite best price
    TOO_LARGE = 1 << 27  # what stood was more than the limit leaves
    TOO_LITTLE = 1 << 28  # less than half of it was left
    PAIR = 1 << 29  # with the other side it would have stood too close
    # One side is kept although another price was wanted.
    HYSTERESIS = 1 << 32
    RESTING = 1 << 33  # it changed too short a time ago
    BUDGET = 1 << 34
    # How the price came about.
    WIDENED = 1 << 40  # to the least spread after fees
    POST_ONLY = 1 << 41  # moved away from the opposite best price


QUOTE_PARAMETERS = Record(
    "quote_parameters",
    "What the settings and a symbol's filters ask of its quotes; written at start.",
    [
        Field("model", "i64", "QuoteModel", "agent", "formula in use"),
        Field("risk_aversion", "f64", "1/tick", "agent", "γ"),
        Field("horizon_s", "f64", "s", "agent", "T of the finite horizon"),
        Field("maker_fee", "f64", "fraction", "agent", "of the traded value; negative = rebate"),
        Field("edge_tick", "f64", "ticks", "agent", "least spread beyond fees"),
        Field("quote_lot", "i64", "lots", "agent", "quantity of a quote"),
        Field("max_inventory_lot", "i64", "lots", "agent", "largest inventory, either sign"),
        Field("lot_min", "i64", "lots", "agent", "smallest order of the venue"),
        Field("value_min", "i64", "ticks × lots", "agent", "smallest order value of the venue"),
        Field("hysteresis_tick", "i64", "ticks", "agent", "least change of a standing quote"),
        Field("rest_ms", "i64", "ms", "agent", "least time between two changes of a side"),
        Field("message_rate", "i64", "1/s", "agent", "budget filled per second"),
        Field("message_burst", "i64", "messages", "agent", "size of the budget"),
        Field("stale_ms", "i64", "ms", "agent", "age at which best prices are not trusted"),
        Field("spread_max", "f64", "fraction", "agent", "market spread over mid: too wide beyond"),
        Field("sample_ms", "i64", "ms", "agent", "least time between samples of the mid"),
        Field("short_s", "f64", "s", "agent", "time constant of the short volatility"),
        Field("long_s", "f64", "s", "agent", "time constant of the long volatility"),
        Field("burst_ratio", "f64", "times", "agent", "short over long volatility: a burst beyond"),
        Field("intensity_s", "f64", "s", "agent", "time constant of the arrival counts"),
        Field("step_tick", "i64", "ticks", "agent", "width of a distance bucket"),
        Field("flow_lot", "i64", "lots", "agent", "volume of a bucket of VPIN"),
        Field("flow_buckets", "i64", "count", "agent", "buckets VPIN is the mean of"),
        Field("flow_threshold", "i64", "FlowThreshold", "agent", "what VPIN is compared with"),
        Field("flow_max", "f64", "fraction", "agent", "FIXED: toxic above"),
        Field("flow_quantile", "f64", "fraction", "agent", "DISTRIBUTION: toxic from there on"),
        Field("flow_memory", "f64", "buckets", "agent", "DISTRIBUTION: how long a value counts"),
    ],
)

QUOTE_STATE = Record(
    "quote_state",
    "What market making knows of one symbol, and the quotes that stand as far as it decided them.",
    [
        # Clock and best prices.
        Field("clock_ms", "i64", "ms, venue", "engine", "latest event taken; 0 = none yet"),
        Field("refused_run", "i64", "count", "engine", "events before the clock, in a row"),
        Field("book_ms", "i64", "ms, venue", "engine", "when the best prices were last stated"),
        Field("book_status", "i64", "BookStatus", "engine", "whether they are to be trusted"),
        Field("bid_tick", "i64", "ticks", "engine", "best bid; 0 = unknown"),
        Field("bid_lot", "i64", "lots", "engine", "quantity there"),
        Field("ask_tick", "i64", "ticks", "engine", "best ask; 0 = unknown"),
        Field("ask_lot", "i64", "lots", "engine", "quantity there"),
        # Volatility.
        Field("sample_ms", "i64", "ms, venue", "engine", "when the mid was last sampled"),
        Field("sample_mid2", "i64", "half ticks", "engine", "the sample; 0 = none"),
        Field("short_square", "f64", "ticks²", "engine", "decayed squared changes, short"),
        Field("short_time", "f64", "s", "engine", "decayed time they took"),
        Field("long_square", "f64", "ticks²", "engine", "decayed squared changes, long"),
        Field("long_time", "f64", "s", "engine", "decayed time they took"),
        Field("volatility_short", "f64", "ticks/√s", "engine", "-1 = unknown"),
        Field("volatility_long", "f64", "ticks/√s", "engine", "-1 = unknown"),
        # Arrivals.
        Field("intensity_ms", "i64", "ms, venue", "engine", "time the counts are decayed to"),
        Field("fit_ms", "i64", "ms, venue", "engine", "when A and k were last fitted"),
        Field("arrival_ms", "i64", "ms, venue", "engine", "time of the last arrival"),
        Field("arrival_side", "i64", "0 or 1", "engine", "1 = its taker sold"),
        Field("arrival_mid2", "i64", "half ticks", "engine", "mid price before it; 0 = none"),
        Field("arrival_reach", "i64", "buckets", "engine", "buckets it was counted in so far"),
        Field("exposure", "f64", "s", "engine", "decayed time with known best prices"),
        Field("reached", "f64", "count", "engine", "decayed arrivals", INTENSITY_BUCKETS),
        Field("intensity", "f64", "1/s", "engine", "A, of one side; 0 = unknown"),
        Field("decay", "f64", "1/tick", "engine", "k; 0 = unknown"),
        # Order flow.
        Field("flow_size", "i64", "lots", "engine", "bucket volume this was begun with"),
        Field("flow_length", "i64", "count", "engine", "bucket count this was begun with"),
        Field("flow_buy", "i64", "lots", "engine", "bought by takers in the open bucket"),
        Field("flow_sell", "i64", "lots", "engine", "sold by takers in the open bucket"),
        Field("flow_count", "i64", "count", "engine", "buckets closed"),
        Field("flow_values", "i64", "count", "engine", "values of VPIN so far"),
        Field("flow_sum", "i64", "lots", "engine", "imbalances of the last buckets, summed"),
        Field("flow_ring", "i64", "lots", "engine", "these imbalances", FLOW_BUCKETS_MAX),
        Field("flow_bins", "f64", "weight", "engine", "past values of VPIN, decayed", FLOW_BINS),
        Field("flow_weight", "f64", "weight", "engine", "sum over the bins"),
        Field("flow_share", "f64", "fraction", "engine", "of past values below the last"),
        Field("vpin", "f64", "0..1", "engine", "-1 = unknown"),
        # From here on: not estimates. Survives a clock that turned out to be wrong.
        Field("decided_ms", "i64", "ms, venue", "engine", "latest decision", align=64),
        Field("late_run", "i64", "count", "engine", "decisions before a time seen, in a row"),
        Field("budget", "i64", "1e-3 messages", "engine", "left"),
        Field("budget_ms", "i64", "ms, venue", "engine", "when it was last filled; 0 = never"),
        Field("tick", "i64", "ticks", "engine", "standing quote by side; 0 = none", 2),
        Field("lot", "i64", "lots", "engine", "its quantity by side", 2),
        Field("changed_ms", "i64", "ms, venue", "engine", "last change by side; 0 = never", 2),
    ],
)

QUOTE_DECISION = Record(
    "quote_decision",
    "What is to be done about the quotes of one symbol.",
    [
        Field("now_ms", "i64", "ms, venue", "engine", "time of the decision"),
        Field("action", "i64", "QuoteAction", "engine", "by side", 2),
        Field("tick", "i64", "ticks", "engine", "what stands afterwards, by side; 0 = none", 2),
        Field("lot", "i64", "lots", "engine", "its quantity, by side", 2),
        Field("reasons", "i64", "QuoteReason", "engine", "by side", 2),
        Field("messages", "i64", "count", "engine", "to the venue, by side: 0, 1 or 2", 2),
        Field("target_tick", "i64", "ticks", "engine", "wanted price by side; 0 = none", 2),
        Field("target_lot", "i64", "lots", "engine", "wanted quantity by side", 2),
        Field("urgency", "i64", "0, 1 or 2", "engine", "scratch: keep, may, must; by side", 2),
        Field("spread_min_tick", "i64", "ticks", "engine", "least spread after fees"),
        Field("inventory", "f64", "quotes", "engine", "q of the formulas"),
        Field("offset", "f64", "ticks", "engine", "of the formula, from the mid, by side", 2),
        Field("reservation", "f64", "ticks", "engine", "centre of the two quotes"),
        Field("half_spread", "f64", "ticks", "engine", "after the least spread"),
    ],
)

KEPT_OFFSET = QUOTE_STATE.offset("decided_ms")

QUOTED = Record(
    "quoted",
    "One per quoted symbol: what was last told about its quotes, and what that comes from.",
    [
        Field("symbol", "i64", "index", "agent", "row of the symbol table"),
        Field("clock_ms", "i64", "ms, venue", "engine", "time of the last event; 0 = none yet"),
        Field("clock_ns", "i64", "ns, monotonic", "engine", "receive stamp of that event"),
        Field("now_ms", "i64", "ms, venue", "engine", "time of the last decision"),
        Field("tick", "i64", "ticks", "engine", "wanted by side; 0 = no quote", 2),
        Field("lot", "i64", "lots", "engine", "wanted by side; 0 = no quote", 2),
        Field("changing", "i64", "0 or 1", "engine", "being changed: torn if the engine dies"),
        Field("pending", "i64", "0 or 1", "engine", "not published yet, or to be confirmed"),
        Field("dirty", "i64", "0 or 1", "engine", "to be decided anew: a report, a lap"),
        Field("origin_ns", "i64", "ns, monotonic", "engine", "stamp of what changed it last"),
        Field("written_ns", "i64", "ns, monotonic", "engine", "when it was last published"),
        Field("state", "u8", "QUOTE_STATE", "engine", "", QUOTE_STATE.size, align=64),
        Field("parameters", "u8", "QUOTE_PARAMETERS", "agent", "", QUOTE_PARAMETERS.size, align=64),
        Field("decision", "u8", "QUOTE_DECISION", "engine", "", QUOTE_DECISION.size, align=64),
    ],
    align=64,
)

STATE_OFFSET = QUOTED.offset("state")
PARAMETERS_OFFSET = QUOTED.offset("parameters")
DECISION_OFFSET = QUOTED.offset("decision")
