"""The layouts of risk's memory: what survives the process, and what is private to it.

The state segment holds, in this order: the header, the stamps of recent orders, one row per symbol,
one row per symbol about its stop at the venue, a table of recent orders, the undo record (see
undo.py), and what the limits remember (see limit_state.py). Position rows and the totals in the
control record lie in the control segment; risk is their only writer.
"""

from __future__ import annotations

from enum import IntEnum

from config.settings import Settings
from risk.limit_state import CORRELATION, KEPT, PAIR, PAIR_COUNT, REPEATS, TRADES
from risk.limit_state import ENTRY_CHECK as ENTRY_CHECK  # all layouts are found in this module
from risk.quote_state import QUOTE_ORDERS_MAX, QUOTED_COUNT_MAX, QUOTES
from shm.fields import Field, Record
from shm.records import STRATEGY_COUNT_MAX, SYMBOL_COUNT_MAX
from shm.tables import CONTROL, POSITION

# The message rate is judged over the last second; max_orders_per_s is at most 300.
STAMP_COUNT = 512
# Orders that late reports can still be matched to; an order in flight is never overwritten.
ORDER_COUNT = 1024
# An entry, an exit, an exit in doubt, a resting stop, and one that turned up after all.
ORDERS_IN_FLIGHT_MAX = 5
assert (
    ORDER_COUNT > ORDERS_IN_FLIGHT_MAX * SYMBOL_COUNT_MAX + QUOTE_ORDERS_MAX * QUOTED_COUNT_MAX
), "a free row is always found"
# Fills that arrived ahead of an earlier one of the same order.
ISLAND_COUNT = 8
REFUSAL_COUNT_MAX = 64


class Role(IntEnum):
    """What an order does to its position."""

    ENTRY = 1
    EXIT = 2
    STOP = 3  # an exit that rests at the venue until its trigger is reached
    QUOTE = 4  # one side of market making: entry or exit, as the net position has it


class GuardState(IntEnum):
    """What is known of the stop that rests at the venue for a symbol."""

    NONE = 0  # there is none
    PLACING = 1  # its order is written, nothing is known yet
    RESTING = 2  # the venue has it, or it has triggered and is being filled
    CANCELING = 3  # its cancel is written; it may still rest
    DOUBT = 4  # nobody knows: the executor is asking the venue


class ForeignPolicy(IntEnum):
    """What becomes of a position that somebody else opened; the names are the knob's choices."""

    HALT = 0
    ADOPT = 1
    REDUCE = 2


class UndoKind(IntEnum):
    """Which change was under way when the undo record was written, and what commits it."""

    NONE = 0
    REPORT = 1  # a report is applied; committed when its ring's head has passed it
    ORDER = 2  # an order or a cancel is written; committed when it is in the ring
    LOCAL = 3  # a change of our own; committed when the record says NONE again


class SizeMethod(IntEnum):
    """How many times the base position an entry is; the names are those of the knob."""

    VOLATILITY_ADJUSTED = 0
    FIXED = 1
    FRACTIONAL_KELLY = 2


class ExitAction(IntEnum):
    """What one step of the exit machine asks for."""

    HOLD = 0
    PARTIAL_CLOSE = 1
    CLOSE = 2
    MOVE_STOP = 3


HEADER = Record(
    "risk_header",
    "Risk's own counters and equity; outlives the process.",
    [
        Field("last_order_id", "i64", "id", "risk", "the last one taken"),
        Field("last_position_id", "i64", "id", "risk", "the last one taken"),
        Field("order_count", "i64", "count", "risk", "orders written; indexes the stamps"),
        Field("wallet_start_e8", "i64", "1e-8 quote", "risk", "first wallet less results, paid in"),
        Field("peak_e8", "i64", "1e-8 quote", "risk", "highest equity, less what was paid in"),
        Field("untrusted", "i64", "0 or 1", "risk", "1 = a position broke its invariant"),
        Field("unsound_ns", "i64", "ns, monotonic", "risk", "when one last did"),
        Field("started_ns", "i64", "ns, monotonic", "risk", "start of the process; 0 = long ago"),
        Field("utc_day", "i64", "days since 1970", "risk", "the day that day_start_e8 belongs to"),
        Field("day_start_e8", "i64", "1e-8 quote", "risk", "equity as it began, less paid in"),
        Field("floor_e8", "i64", "1e-8 quote", "risk", "a loss below it trips; less paid in"),
        Field("calm_low_e8", "i64", "1e-8 quote", "risk", "unrealised result at the floor"),
        Field("calm_high_e8", "i64", "1e-8 quote", "risk", "unrealised result at the peak"),
        Field("loss_streak", "i64", "count", "risk", "closed trades in a row that lost"),
        Field("cool_off_until_ns", "i64", "ns, monotonic", "risk", "no entries before"),
        Field("rearm_seen_ns", "i64", "ns, monotonic", "risk", "control.rearm_ns as it was obeyed"),
    ],
)

STAMPS = Record(
    "risk_stamps",
    "When the last orders were written, by order_count.",
    [Field("order_ns", "i64", "ns, monotonic", "risk", "stamps", STAMP_COUNT)],
)

SYMBOL_STATE = Record(
    "risk_symbol",
    "One per symbol: best prices as risk read them, and what its position waits for.",
    [
        Field("bid_tick", "i64", "ticks", "risk", "best bid"),
        Field("ask_tick", "i64", "ticks", "risk", "best ask"),
        Field("best_valid", "i64", "0 or 1", "risk", "0 = no BEST since start, lap or INVALID"),
        Field("seen_ns", "i64", "ns, monotonic", "risk", "receive stamp of the last event"),
        Field("trade_tick", "i64", "ticks", "risk", "price of the last trade"),
        Field("mark_tick", "i64", "ticks", "risk", "the venue's mark price; 0 = unknown"),
        Field("mark_ns", "i64", "ns, monotonic", "risk", "receive stamp of the mark price"),
        Field("realized_e8", "i64", "1e-8 quote", "risk", "of the current position"),
        Field("unrealized_e8", "i64", "1e-8 quote", "risk", "of the current position"),
        Field("entry_live", "i64", "0 or 1", "risk", "the entry order is not terminal"),
        Field("entry_left_lot", "i64", "lots", "risk", "of the entry, not filled yet"),
        Field("entry_tick", "i64", "ticks", "risk", "the entry in flight counts with it"),
        Field("entry_risk_tick", "i64", "ticks", "risk", "from there to the entry's stop"),
        Field("want_close", "i64", "OrderReason", "risk", "why it is to be closed; 0 = it is not"),
        Field("retry_ns", "i64", "ns, monotonic", "risk", "no exit order before"),
        Field("retry_count", "i64", "count", "risk", "exits that failed in a row"),
        Field("retry_partial", "i64", "0 or 1", "risk", "only partial closes wait for retry_ns"),
        Field("foreign_trade_id", "i64", "id", "risk", "of the last fill that was nobody's order"),
        Field("doubt_order_id", "i64", "id", "risk", "an exit of unknown outcome beside another"),
        Field("fresh_ns", "i64", "ns, monotonic", "risk", "last event at which best was valid"),
        Field("lapped_ns", "i64", "ns, monotonic", "risk", "the first lap after fresh_ns"),
        Field("moved_venue_ns", "i64", "ns, venue clock", "risk", "of the stop's last move"),
        Field("imbalance", "f64", "-1..1", "risk", "smoothed, of the best quantities"),
        Field("imbalance_now", "f64", "-1..1", "risk", "at the last BEST"),
        Field("imbalance_at_ns", "i64", "ns, monotonic", "risk", "of the last BEST; 0 = none"),
        Field("repeat_count", "i64", "count", "risk", "entries written; indexes REPEATS"),
        Field("throttle_latch", "i64", "bits by Strategy", "risk", "no entries until re-armed"),
    ],
    align=128,
)

GUARD = Record(
    "risk_guard",
    "One per symbol: the stop that rests at the venue. At most one is ever asked for.",
    [
        Field("state", "i64", "GuardState", "risk", "what is known of it"),
        Field("order_id", "i64", "id", "risk", "its order; 0 = there is none"),
        Field("position_id", "i64", "id", "risk", "the position it protects"),
        Field("side", "i64", "+1, -1", "risk", "direction of the order"),
        Field("quantity_lot", "i64", "lots", "risk", "ordered"),
        Field("trigger_tick", "i64", "ticks", "risk", "price that triggers it"),
        Field("written_ns", "i64", "ns, monotonic", "risk", "when its order or cancel was written"),
        Field("placed_ns", "i64", "ns, monotonic", "risk", "when its order was written"),
        Field("retry_ns", "i64", "ns, monotonic", "risk", "none is placed before"),
        Field("failure_count", "i64", "count", "risk", "stops refused or lost in a row"),
        Field("exposed_ns", "i64", "ns, monotonic", "risk", "not covered since; 0 = covered"),
        Field("stray_order_id", "i64", "id", "risk", "one taken for absent that turned up"),
        Field("stray_ns", "i64", "ns, monotonic", "risk", "when its cancel was written"),
    ],
    align=128,
)

ORDER_STATE = Record(
    "risk_order",
    "One per recent order: what has been applied of it. Row = order_id modulo the table's size.",
    [
        Field("order_id", "i64", "id", "risk", "0 = the row is free"),
        Field("position_id", "i64", "id", "risk", "the position it opens or reduces"),
        Field("ring_position", "i64", "position", "risk", "its place in the order ring"),
        Field("written_ns", "i64", "ns, monotonic", "risk", "when it was written"),
        Field("quantity_lot", "i64", "lots", "risk", "ordered"),
        Field("price_tick", "i64", "ticks", "risk", "limit or trigger price; 0 = none"),
        Field("filled_lot", "i64", "lots", "risk", "sum of the fills applied"),
        Field("filled_value", "i64", "ticks × lots", "risk", "sum of the fills applied"),
        Field("fee_e8", "i64", "1e-8 quote", "risk", "sum of the fills applied"),
        Field("stated_lot", "i64", "lots", "risk", "largest cumulative quantity a report stated"),
        Field("contiguous_lot", "i64", "lots", "risk", "all fills below this were applied"),
        Field("island_count", "i64", "count", "risk", "applied stretches above contiguous_lot"),
        Field("island_start", "i64", "lots", "risk", "first lot of each", ISLAND_COUNT),
        Field("island_end", "i64", "lots", "risk", "lot after the last of each", ISLAND_COUNT),
        Field("symbol", "i64", "index", "risk", "row of the symbol table"),
        Field("role", "i64", "Role", "risk", "entry, exit, resting stop or quote"),
        Field("side", "i64", "+1, -1", "risk", "direction"),
        Field("reason", "i64", "OrderReason", "risk", "why it was written"),
        Field("status", "i64", "OrderStatus", "risk", "the last one reported"),
        Field("error_code", "i64", "venue code", "risk", "the last one reported; 0 = none"),
        Field("done", "i64", "0 or 1", "risk", "terminal, and all of its fills are applied"),
    ],
    align=128,
)

TOTALS_OFFSET = CONTROL.offset("open_position_count")
TOTALS_SIZE = CONTROL.offset("unrealized_e8") + 8 - TOTALS_OFFSET
assert TOTALS_SIZE == 4 * 8, "the totals of risk lie side by side in the control record"

UNDO = Record(
    "risk_undo",
    "What a change in progress overwrites, so that a crash in its middle can be taken back.",
    [
        Field("kind", "i64", "UndoKind", "risk", "written last, cleared by the commit"),
        Field("key", "i64", "position", "risk", "of the ring that tells whether it was committed"),
        Field("symbol", "i64", "index", "risk", "whose rows are saved"),
        Field("order_id", "i64", "id", "risk", "whose order row is saved"),
        Field("header", "u8", "bytes", "risk", "copy", HEADER.size, align=64),
        Field("totals", "u8", "bytes", "risk", "copy of the control record's", TOTALS_SIZE),
        Field("position", "u8", "bytes", "risk", "copy", POSITION.size, align=64),
        Field("symbol_state", "u8", "bytes", "risk", "copy", SYMBOL_STATE.size, align=64),
        Field("guard", "u8", "bytes", "risk", "copy", GUARD.size, align=64),
        Field("quotes", "u8", "bytes", "risk", "copy", QUOTES.size, align=64),
        Field("order", "u8", "bytes", "risk", "copy", ORDER_STATE.size, align=64),
        Field("strategy", "i64", "Strategy", "risk", "whose row of TRADES is saved"),
        Field("trades", "u8", "bytes", "risk", "copy", TRADES.size, align=64),
    ],
)

STAMPS_OFFSET = HEADER.size
SYMBOLS_OFFSET = STAMPS_OFFSET + STAMPS.size
GUARDS_OFFSET = SYMBOLS_OFFSET + SYMBOL_STATE.size * SYMBOL_COUNT_MAX
ORDERS_OFFSET = GUARDS_OFFSET + GUARD.size * SYMBOL_COUNT_MAX
UNDO_OFFSET = ORDERS_OFFSET + ORDER_STATE.size * ORDER_COUNT
TRADES_OFFSET = UNDO_OFFSET + UNDO.size
REPEATS_OFFSET = TRADES_OFFSET + TRADES.size * STRATEGY_COUNT_MAX
QUOTES_OFFSET = REPEATS_OFFSET + REPEATS.size * SYMBOL_COUNT_MAX
KEPT_OFFSET = QUOTES_OFFSET + QUOTES.size * SYMBOL_COUNT_MAX
CORRELATION_OFFSET = KEPT_OFFSET + KEPT.size
PAIRS_OFFSET = CORRELATION_OFFSET + CORRELATION.size


def cleared_size(symbol_count: int) -> int:
    """Return the bytes that a fresh start sets to zero: no pairs of symbols that are not there."""
    return PAIRS_OFFSET + PAIR.size * (symbol_count * (symbol_count + 1) // 2)


def state_size(settings: Settings, symbol_count: int) -> int:
    """Return the bytes of risk's state segment: the same whatever the settings."""
    assert symbol_count <= SYMBOL_COUNT_MAX, f"too many symbols: symbol_count={symbol_count}"
    return PAIRS_OFFSET + PAIR.size * PAIR_COUNT


PARAMETERS = Record(
    "risk_parameters",
    "The settings as kernels read them; private to the process.",
    [
        Field("stop_loss_pct", "f64", "fraction", "agent", "initial stop from the entry"),
        Field("take_profit_pct", "f64", "fraction", "agent", "target from the entry"),
        Field("partial_close_fraction", "f64", "fraction", "agent", "closed at one initial risk"),
        Field("trailing_activation_pct", "f64", "fraction", "agent", "gain that starts trailing"),
        Field("trailing_distance_pct", "f64", "fraction", "agent", "stop from the best price"),
        Field("trail_risk_fraction", "f64", "fraction", "agent", "of the initial risk, TRAIL_RISK"),
        Field("profit_step", "f64", "initial risks", "agent", "step of profit protection; 0 = off"),
        Field("mean_profit_pct", "f64", "fraction", "agent", "beyond the mean, RETURN_TO_MEAN"),
        Field("imbalance_limit", "f64", "fraction", "agent", "against the position, IMBALANCE"),
        Field("imbalance_ns", "i64", "ns", "agent", "time over which imbalance is smoothed"),
        Field("longest_hold_ns", "i64", "ns", "agent", "no time limit is later than this"),
        Field("close_halts", "i64", "bits by HaltReason", "agent", "halts that close positions"),
        Field("close_latches", "i64", "bits by LatchReason", "agent", "latches that do"),
        Field("stale_exit_ns", "i64", "ns", "agent", "age of the price that closes; 0 = none"),
        Field("exit_doubt_ns", "i64", "ns", "agent", "before a second exit is sent"),
        Field("venue_stop", "i64", "0 or 1", "agent", "a stop rests at the venue"),
        Field("stop_offset_pct", "f64", "fraction", "agent", "its trigger beyond the stop"),
        Field("stop_move_pct", "f64", "fraction", "agent", "least move of it"),
        Field("stop_move_ns", "i64", "ns", "agent", "least time between moves"),
        Field("unprotected_ns", "i64", "ns", "agent", "without it, until closed; 0 = never"),
        Field("max_drawdown", "f64", "fraction", "agent", "fall from the peak that halts entries"),
        Field("max_portfolio_risk", "f64", "fraction", "agent", "of equity, all stops hit"),
        Field("price_collar_pct", "f64", "fraction", "agent", "limit price from the mid"),
        Field("max_slippage_pct", "f64", "fraction", "agent", "limit price beyond the best"),
        Field("max_order_notional_e8", "i64", "1e-8 quote", "agent", "of one order"),
        Field("max_position_e8", "i64", "1e-8 quote", "agent", "of one symbol"),
        Field("max_strategy_e8", "i64", "1e-8 quote", "agent", "of one strategy"),
        Field("max_gross_e8", "i64", "1e-8 quote", "agent", "of positions and entries"),
        Field("max_net_e8", "i64", "1e-8 quote", "agent", "of longs less shorts, or the reverse"),
        Field("max_order_quantity", "f64", "base asset", "agent", "of one order; 0 = the venue's"),
        Field("max_margin_share", "f64", "fraction", "agent", "of equity, as initial margin"),
        Field("max_daily_loss", "f64", "fraction", "agent", "of equity at the day's start"),
        Field("risk_per_trade", "f64", "fraction", "agent", "of equity, an entry's stop hit"),
        Field("correlation_limit", "f64", "correlation", "agent", "with an open position"),
        Field("correlation_decay", "f64", "factor", "agent", "of a return's weight, each step"),
        Field("kelly_fraction", "f64", "fraction", "agent", "of the Kelly fraction"),
        Field("base_position", "f64", "quote", "agent", "notional of size 1.0"),
        Field("leverage", "f64", "times", "agent", "margin: equity × leverage"),
        Field("base_size", "f64", "of base_position", "agent", "smallest size"),
        Field("max_size", "f64", "of base_position", "agent", "largest size"),
        Field("size_method", "i64", "SizeMethod", "agent", "position_sizing.method"),
        Field("kelly_trades_min", "i64", "count", "agent", "closed trades that make an edge"),
        Field("close_on_reverse", "i64", "0 or 1", "agent", "an opposite signal closes"),
        Field("max_stale_ns", "i64", "ns", "agent", "age of price or signal"),
        Field("max_mark_age_ns", "i64", "ns", "agent", "of the mark price; 0 = it is not used"),
        Field("warmup_ns", "i64", "ns", "agent", "after the start of risk"),
        Field("max_losses", "i64", "count", "agent", "in a row; 0 = any"),
        Field("cool_off_ns", "i64", "ns", "agent", "pause after them"),
        Field("max_repeats", "i64", "count", "agent", "same entries in repeat_window_ns"),
        Field("repeat_window_ns", "i64", "ns", "agent", "see max_repeats"),
        Field("max_symbol_orders", "i64", "count", "agent", "of one symbol in flight"),
        Field("correlation_grid_ns", "i64", "ns", "agent", "between two returns"),
        Field("correlation_samples_min", "i64", "count", "agent", "below it is unknown"),
        Field("max_positions", "i64", "count", "agent", "open at once"),
        Field("entries_per_s", "i64", "orders/s", "agent", "entries stop here, exits go on"),
        Field("time_to_live_ns", "i64", "ns", "agent", "of an entry order"),
        Field("foreign_policy", "i64", "ForeignPolicy", "agent", "positions of others"),
        Field("max_inventory_e8", "i64", "1e-8 quote", "agent", "of one symbol's quotes"),
        Field("quote_lease_ns", "i64", "ns", "agent", "without a word of the engine"),
        Field("quoted_count", "i64", "count", "agent", "symbols quoted"),
        Field("quoted_symbols", "i64", "index", "agent", "these", QUOTED_COUNT_MAX),
        Field("quoted", "i64", "0 or 1", "agent", "by symbol", SYMBOL_COUNT_MAX),
        Field("strategy_enabled", "i64", "0 or 1", "agent", "by Strategy", STRATEGY_COUNT_MAX),
        Field("hold_ns_min", "i64", "ns", "agent", "by Strategy", STRATEGY_COUNT_MAX),
        Field("hold_ns_max", "i64", "ns", "agent", "by Strategy", STRATEGY_COUNT_MAX),
        Field("refusal_counter", "i64", "bytes", "agent", "by Refusal", REFUSAL_COUNT_MAX),
    ],
)

DECISION = Record(
    "risk_decision",
    "What one step of the exit machine found; scratch.",
    [
        Field("action", "i64", "ExitAction", "kernel", "what is to be done"),
        Field("reason", "i64", "OrderReason", "kernel", "why; NONE for HOLD"),
        Field("quantity_lot", "i64", "lots", "kernel", "to close; 0 for HOLD and MOVE_STOP"),
        Field("stop_tick", "i64", "ticks", "kernel", "the stop from now on"),
        Field("best_tick", "i64", "ticks", "kernel", "best price in favour from now on"),
        Field("trailing", "i64", "0 or 1", "kernel", "the stop has begun to trail"),
        Field("partial_done", "i64", "0 or 1", "kernel", "closed in part, or too small for it"),
        Field("judged", "i64", "0 or 1", "kernel", "every check was made, at a known price"),
    ],
)

CONTEXT = Record(
    "risk_context",
    "Addresses for the kernels; private to the process.",
    [
        Field(name, "i64", "address", "agent", meaning)
        for name, meaning in (
            ("market", "ring"),
            ("signals", "ring"),
            ("quotes", "ring"),
            ("orders", "ring"),
            ("reports", "ring"),
            ("control", "control record"),
            ("symbols", "symbol table"),
            ("positions", "position rows"),
            ("trusts", "SYMBOL_TRUST rows"),
            ("order_rows", "the executor's order table"),
            ("order_row_count", "its rows (count)"),
            ("header", "HEADER"),
            ("stamps", "STAMPS"),
            ("symbol_states", "SYMBOL_STATE rows"),
            ("guards", "GUARD rows"),
            ("order_states", "ORDER_STATE rows"),
            ("undo", "UNDO"),
            ("trades", "TRADES rows, by Strategy"),
            ("quote_rows", "QUOTES rows, by symbol"),
            ("repeats", "REPEATS rows, by symbol"),
            ("kept", "KEPT"),
            ("correlation", "CORRELATION"),
            ("pairs", "PAIR rows, see pair_index"),
            ("parameters", "PARAMETERS"),
            ("counters", "risk's counter block"),
            ("histogram", "the histogram `risk`"),
            ("unprotected", "the histogram `unprotected`"),
            ("wait", "waiting state"),
            ("closing", "1 = no entries any more (flag)"),
            ("utc_day", "days since 1970, by the venue's clock (number)"),
            ("floor_transfer_e8", "control.transfer_e8 that floor_e8 was made with (1e-8 quote)"),
            ("executor_doorbell", "doorbell"),
            ("decision", "scratch DECISION"),
            ("check", "scratch ENTRY_CHECK"),
            ("event", "scratch market event"),
            ("unread", "scratch: the oldest market event that waits"),
        )
    ],
)
