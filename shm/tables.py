"""The tables in shared memory beside the rings: control, processes, doorbells, symbols, orders.

Each row has one writer, named per field; everybody may read.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from shm.fields import CACHE_LINE_PAIR, Field, Record
from shm.records import SYMBOL_COUNT_MAX

STAGES = ("feed", "engine", "risk", "executor")
PROCESSES = (*STAGES, "supervisor", "exchange", "ledger")
SYMBOL_NAME_SIZE = 24


class ProcessState(IntEnum):
    """The life of a process as the supervisor and the process itself state it."""

    ABSENT = 0
    STARTING = 1
    READY = 2
    RUNNING = 3
    STOPPING = 4
    STOPPED = 5
    DEAD = 6
    HALTED = 7  # its restart budget is used up


class HaltReason(IntEnum):
    """Why entries are not allowed for now; what only a person lifts is in latch_table.py."""

    NONE = 0
    NOT_READY = 1  # a stage is starting, restarting or has not reconciled
    RESTART_BUDGET = 3  # a stage is not started again
    STOPPING = 4
    VENUE = 6  # the venue is not reconciled, or its user stream is down
    LEDGER = 7  # the trade ledger cannot be written


SEGMENT_HEADER = Record(
    "segment_header",
    "The first bytes of every segment: who made it, with which layout and build.",
    [
        Field("magic", "i64", "constant", "supervisor", "says that this is a segment of ours"),
        Field("layout_hash", "i64", "hash", "supervisor", "over all record layouts"),
        Field("build_hash", "i64", "hash", "supervisor", "over the kernel sources"),
        Field("epoch", "i64", "s, wall clock", "supervisor", "start of the run that made it"),
        Field("creator_pid", "i64", "pid", "supervisor", "process that made it"),
        Field("creator_start", "i64", "clock ticks", "supervisor", "its start time since boot"),
        Field("size", "i64", "bytes", "supervisor", "of the whole segment"),
        Field("heartbeat_ns", "i64", "ns, monotonic", "supervisor", "last sign of life"),
    ],
    size=64,
)

CONTROL = Record(
    "control",
    "One per instance: whether trading is allowed, and what is asked of the stages.",
    [
        Field("halt_reason", "i64", "HaltReason", "supervisor", "0 = entries are allowed"),
        Field("stop_requested", "i64", "0 or 1", "supervisor", "the stages are to close"),
        Field("flatten_requested", "i64", "0 or 1", "supervisor", "risk is to close all positions"),
        Field("symbol_count", "i64", "count", "supervisor", "rows of the symbol table in use"),
        Field("epoch", "i64", "s, wall clock", "supervisor", "part of every client order id"),
        Field("started_ns", "i64", "ns, monotonic", "supervisor", "start of the run"),
        Field("weight_limit", "i64", "weight/min", "supervisor", "by exchangeInfo; 0 = not stated"),
        Field("supervisor_latch_ns", "i64", "ns, monotonic", "supervisor", "when it tripped"),
        Field("supervisor_latch", "i64", "LatchReason", "supervisor", "its own kill latch"),
        # Written by make kill and make rearm, from outside: a line pair of its own.
        Field(
            "kill_latch",
            "i64",
            "LatchReason",
            "operator",
            "a person's kill latch: only risk-reducing orders pass",
            align=CACHE_LINE_PAIR,
        ),
        Field("kill_latch_ns", "i64", "ns, monotonic", "operator", "when it was tripped"),
        Field("kill_flatten", "i64", "0 or 1", "operator", "risk is to close all positions"),
        Field("rearm_ns", "i64", "ns, monotonic", "operator", "latches tripped before it are void"),
        # Written by the executor.
        Field(
            "reconciled",
            "i64",
            "0 or 1",
            "executor",
            "all was compared with the venue since the user stream came up",
            align=CACHE_LINE_PAIR,
        ),
        Field("wallet_e8", "i64", "1e-8 quote", "executor", "wallet balance at reconciliation"),
        Field("funding_e8", "i64", "1e-8 quote", "executor", "funding got since the start, signed"),
        Field("transfer_e8", "i64", "1e-8 quote", "executor", "paid in since the start, signed"),
        Field("clock_offset_ns", "i64", "ns", "executor", "venue wall clock minus ours"),
        Field("clock_ready", "i64", "0 or 1", "executor", "the offset has been measured"),
        # Written by risk.
        Field(
            "open_position_count",
            "i64",
            "count",
            "risk",
            "positions not flat, entries in flight included",
            align=CACHE_LINE_PAIR,
        ),
        Field("realized_e8", "i64", "1e-8 quote", "risk", "realised profit before fees"),
        Field("fee_e8", "i64", "1e-8 quote", "risk", "fees paid"),
        Field("unrealized_e8", "i64", "1e-8 quote", "risk", "of open positions, at best prices"),
        # After the totals: what is taken back with a change that was cut short is not a latch.
        Field("risk_latch_ns", "i64", "ns, monotonic", "risk", "when its limit tripped"),
        Field("risk_latch", "i64", "LatchReason", "risk", "its own kill latch"),
        Field("throttle_latches", "i64", "count", "risk", "strategies of symbols that are latched"),
    ],
    align=CACHE_LINE_PAIR,
)

PROCESS = Record(
    "process",
    "One per process: what `make status` shows.",
    [
        Field("pid", "i64", "pid", "supervisor", "0 = never started"),
        Field("start_time", "i64", "clock ticks", "supervisor", "since boot: tells a reused pid"),
        Field("restarts", "i64", "count", "supervisor", "times it was started again"),
        Field("core", "i64", "cpu", "supervisor", "core it is pinned to; -1 = not pinned"),
        Field("node", "i64", "node", "supervisor", "NUMA node of that core"),
        Field("wait", "i64", "WaitStrategy", "supervisor", "how it waits"),
        Field("supervised_state", "i64", "ProcessState", "supervisor", "as the supervisor sees it"),
        Field(
            "heartbeat_ns",
            "i64",
            "ns, monotonic",
            "process",
            "last sign of life",
            align=CACHE_LINE_PAIR,
        ),
        Field("state", "i64", "ProcessState", "process", "as the process itself states it"),
        Field("work_count", "i64", "count", "process", "items worked off since its start"),
    ],
    align=CACHE_LINE_PAIR,
)

DOORBELL = Record(
    "doorbell",
    "One per stage: how a producer wakes it, only when it sleeps.",
    [
        Field("word", "i64", "count", "producers", "futex word (low 32 bits); rings count it up"),
        Field("event_fd", "i64", "fd", "supervisor", "eventfd to write instead; -1 = futex"),
        Field("event_one", "i64", "count", "supervisor", "the 1 that is written to event_fd"),
        Field("sleeping", "i64", "0 or 1", "stage", "1 = about to block", align=CACHE_LINE_PAIR),
        Field("wakes", "i64", "count", "producers", "system calls made to wake it"),
    ],
    align=CACHE_LINE_PAIR,
)

SYMBOL = Record(
    "symbol",
    "One per traded symbol: the venue's filters as integers, from exchangeInfo.",
    [
        Field("name", "u8", "ASCII, zero padded", "supervisor", "the symbol", SYMBOL_NAME_SIZE),
        Field("price_decimals", "i64", "digits", "supervisor", "of prices on the wire"),
        Field("tick_unit", "i64", "10^-price_decimals", "supervisor", "tick size"),
        Field("quantity_decimals", "i64", "digits", "supervisor", "of quantities on the wire"),
        Field("lot_unit", "i64", "10^-quantity_decimals", "supervisor", "lot size"),
        Field("value_e8", "i64", "1e-8 quote", "supervisor", "of one tick times one lot, exact"),
        Field("tick_size", "f64", "quote", "supervisor", "tick_unit / 10^price_decimals"),
        Field("lot_size", "f64", "base", "supervisor", "lot_unit / 10^quantity_decimals"),
        Field("lot_min", "i64", "lots", "supervisor", "smallest order"),
        Field("lot_max", "i64", "lots", "supervisor", "largest limit order"),
        Field("market_lot_max", "i64", "lots", "supervisor", "largest market order"),
        Field("price_tick_min", "i64", "ticks", "supervisor", "lowest price"),
        Field("price_tick_max", "i64", "ticks", "supervisor", "highest price"),
        Field("notional_min", "f64", "quote", "supervisor", "smallest order value"),
        Field("multiplier_up", "f64", "ratio", "supervisor", "PERCENT_PRICE, upper"),
        Field("multiplier_down", "f64", "ratio", "supervisor", "PERCENT_PRICE, lower"),
        Field("taker_fee", "f64", "fraction", "supervisor", "fee of taking liquidity"),
        Field("maker_fee", "f64", "fraction", "supervisor", "fee of providing liquidity"),
    ],
)

ORDER_ROW = Record(
    "order_row",
    "One per order, at its id modulo the rows: the executor's memory, which outlives it.",
    [
        Field("order_id", "i64", "id", "executor", "0 = the row is free"),
        Field("position_id", "i64", "id", "executor", "as in the order"),
        Field("origin_ns", "i64", "ns, monotonic", "executor", "as in the order"),
        Field("written_ns", "i64", "ns, monotonic", "executor", "when risk wrote the order"),
        Field("sent_ns", "i64", "ns, monotonic", "executor", "after the bytes were handed over"),
        Field("acked_ns", "i64", "ns, monotonic", "executor", "first word of the venue about it"),
        Field("venue_order_id", "i64", "id", "executor", "0 = unknown; of a stop: not triggered"),
        Field("algo_id", "i64", "id", "executor", "of a stop while it waits; 0 = unknown"),
        Field("price_tick", "i64", "ticks", "executor", "limit or trigger price"),
        Field("quantity_lot", "i64", "lots", "executor", "ordered"),
        Field("filled_lot", "i64", "lots", "executor", "filled, as the venue states it"),
        Field("filled_value", "i64", "ticks × lots", "executor", "sum over fills"),
        Field("fee_e8", "i64", "1e-8 quote", "executor", "sum over fills"),
        Field("last_trade_id", "i64", "id", "executor", "highest trade id applied"),
        Field("symbol", "u16", "index", "executor", "row of the symbol table"),
        Field("status", "u8", "OrderStatus", "executor", "as far as it is known"),
        Field("type", "u8", "OrderType", "executor", "as in the order"),
        Field("time_in_force", "u8", "TimeInForce", "executor", "as in the order"),
        Field("side", "i8", "+1 buy, -1 sell", "executor", "direction"),
        Field("flags", "u8", "OrderFlag", "executor", "as in the order"),
        Field("reason", "u8", "OrderReason", "executor", "as in the order"),
        Field("strategy", "u8", "Strategy", "executor", "as in the order"),
        Field("error_code", "i32", "venue code", "executor", "of a rejection"),
        Field("queries", "i32", "count", "executor", "times the venue was asked about it"),
    ],
    align=CACHE_LINE_PAIR,
)


class PositionState(IntEnum):
    """The life of a position."""

    FLAT = 0
    ENTERING = 1  # the entry order is in flight, nothing or part of it filled
    OPEN = 2
    EXITING = 3  # an order that closes all or part of it is in flight


class PositionOwner(IntEnum):
    """Whose a position is: who opened it, and whether its exits are ours to make."""

    OURS = 0
    MANAGED = 1  # opened by somebody else, managed or closed by us
    LEFT_ALONE = 2  # opened by somebody else, who looks after it: no exit of ours


POSITION = Record(
    "position",
    "One per symbol (one-way mode): the position, its exits and its results.",
    [
        # The first line is all that a price reads at which nothing happens.
        Field("position_id", "i64", "id", "risk", "counts up within an epoch; 0 = never any"),
        Field("state", "i64", "PositionState", "risk", "where it is in its life"),
        Field("side", "i64", "+1, -1, 0", "risk", "direction of the entry"),
        Field("quantity_lot", "i64", "lots, signed", "risk", "net position: sum of its fills"),
        Field("exit_order_id", "i64", "id", "risk", "the exit in flight; 0 = none"),
        Field("quiet_low_tick", "i64", "ticks", "risk", "nothing is due above this price …"),
        Field("quiet_high_tick", "i64", "ticks", "risk", "… and below this one …"),
        Field("quiet_until_ns", "i64", "ns, monotonic", "risk", "… before this time; 0 = unknown"),
        Field("entry_lot", "i64", "lots", "risk", "filled by the entry"),
        Field("entry_value", "i64", "ticks × lots", "risk", "sum over fills of the entry"),
        Field("exit_lot", "i64", "lots", "risk", "filled by exits"),
        Field("exit_value", "i64", "ticks × lots", "risk", "sum over fills of exits"),
        Field("stop_tick", "i64", "ticks", "risk", "current stop"),
        Field("target_tick", "i64", "ticks", "risk", "target; 0 = none"),
        Field("partial_tick", "i64", "ticks", "risk", "price of the partial close; 0 = none"),
        Field("best_tick", "i64", "ticks", "risk", "best price seen in its favour"),
        Field("partial_done", "i64", "0 or 1", "risk", "the partial close was ordered"),
        Field("trailing", "i64", "0 or 1", "risk", "the stop has begun to trail"),
        Field("opened_ns", "i64", "ns, monotonic", "risk", "first fill"),
        Field("hold_ns_min", "i64", "ns", "risk", "no exit by rule or reversal before"),
        Field("hold_ns_max", "i64", "ns", "risk", "time limit; 0 = none"),
        Field("exit_rule", "i64", "ExitRule", "risk", "how it is left, from the signal"),
        Field("mean_tick", "i64", "ticks", "risk", "price expected to return; 0 = none"),
        Field("rule_tick", "i64", "ticks", "risk", "price at which its rule closes; 0 = none"),
        Field("initial_risk_tick", "i64", "ticks", "risk", "entry to initial stop"),
        Field("stop_pct", "f64", "fraction", "risk", "its own stop; 0 = the configured one"),
        Field("target_pct", "f64", "fraction", "risk", "its own target; 0 = the configured one"),
        Field("fee_e8", "i64", "1e-8 quote", "risk", "fees of this position"),
        Field("entry_order_id", "i64", "id", "risk", "the entry; 0 = none"),
        Field("exit_sent_ns", "i64", "ns, monotonic", "risk", "when the last exit was written"),
        Field("strategy", "i64", "Strategy", "risk", "whose entry it was"),
        Field("exit_reason", "i64", "OrderReason", "risk", "of the last exit order"),
        Field("round_trips", "i64", "count", "risk", "positions of this symbol closed so far"),
        Field("owner", "i64", "PositionOwner", "risk", "who opened it, who looks after it"),
    ],
    align=CACHE_LINE_PAIR,
)


class Distrust(IntFlag):
    """Why a symbol takes no entries: what we believe about it may not be what the venue says."""

    POSITION = 1  # the venue has another position than we
    ORDER = 2  # an order is open that is not ours, or one of ours is not
    COUNTDOWN = 4  # the venue was not asked in time to go on waiting for us


SYMBOL_TRUST = Record(
    "symbol_trust",
    "One per symbol: whether the executor trusts what we believe about it.",
    [
        Field("distrust", "i64", "Distrust bits", "executor", "0 = entries are allowed"),
        Field("venue_lot", "i64", "lots, signed", "executor", "position the venue stated last"),
        Field("compared_ns", "i64", "ns, monotonic", "executor", "when it was asked for that"),
        Field("foreign_trade_id", "i64", "id", "executor", "of the last report with order id 0"),
        Field("venue_trade_id", "i64", "id", "executor", "of the last foreign fill, the venue's"),
        Field("unexplained_buy_lot", "i64", "lots", "executor", "taken over, no event explains it"),
        Field("unexplained_sell_lot", "i64", "lots", "executor", "likewise"),
        Field("unexplained_ns", "i64", "ns, venue clock", "executor", "fills up to it explain it"),
    ],
    align=CACHE_LINE_PAIR,
)

BOOK_REQUEST = Record(
    "book_request",
    "One per symbol: the engine asks the feed for a fresh snapshot.",
    [Field("wanted", "i64", "count", "engine", "counted up for each request")],
    align=CACHE_LINE_PAIR,
)

FUNDING = Record(
    "funding",
    "One per symbol: the funding of this run, as the venue's income history has it.",
    [
        Field("total_e8", "i64", "1e-8 quote", "executor", "got since the start; paid is negative"),
        Field("payments", "i64", "count", "executor", "payments in it; written last"),
        Field("last_ms", "i64", "ms, venue clock", "executor", "time of the latest"),
    ],
)

TABLE_RECORDS = (
    SEGMENT_HEADER,
    CONTROL,
    PROCESS,
    DOORBELL,
    SYMBOL,
    ORDER_ROW,
    POSITION,
    BOOK_REQUEST,
    SYMBOL_TRUST,
    FUNDING,
)

assert SYMBOL_COUNT_MAX <= 1 << 16, "symbol indices are u16"


def process_index(name: str) -> int:
    """Return the row of a process in the process table."""
    return PROCESSES.index(name)


def write_symbol_name(row: object, name: str) -> None:
    """Store a symbol's name in its row, zero padded.

    Raises:
        ValueError: the name is not ASCII or longer than 23 characters.
    """
    raw = name.encode("ascii")
    if len(raw) >= SYMBOL_NAME_SIZE:
        raise ValueError(f"symbol name is too long: {name!r}")
    cells = row.name  # type: ignore[attr-defined]
    for index in range(SYMBOL_NAME_SIZE):
        cells[index] = raw[index] if index < len(raw) else 0


def read_symbol_name(row: object) -> str:
    """Return a symbol's name from its row."""
    return bytes(row.name).rstrip(b"\0").decode("ascii")  # type: ignore[attr-defined]
