"""The engine's state: what it keeps per symbol, its parameters, and where all of it lies.

The stage's segment holds, one after another: ENGINE, then a SYMBOL_STATE per symbol, then a BOOK
per symbol, then a QUOTED per symbol. All of it outlives the process but the addresses and
parameters at the front of ENGINE, which are written anew at each start. See restart.py for what a
restarted engine makes of it.
"""

from __future__ import annotations

import ctypes
from typing import Any

from config.settings import Settings
from engine.book_layout import BOOK, BOOK_SIDE, SIDE_SIZE, SIDES_OFFSET, WINDOW
from engine.quoting_state import QUOTED
from shm.fields import Field, Record
from shm.records import (
    MARKET_EVENT,
    REPORT,
    SIGNAL,
    SIGNAL_COUNT,
    STRATEGY_COUNT_MAX,
    SYMBOL_COUNT_MAX,
)

BOOK_LEVELS_MAX = 20
# Levels of a side that multi-level order flow can compare.
FLOW_LEVELS_MAX = 10
TRADE_RING = 4
GRID_SIZE = 64
BAR_RING = 32
FILL_ROWS = 1024

# Two halves of two sides of price and quantity.
FLOW_PAIR_WORDS = 2 * 2 * FLOW_LEVELS_MAX * 2

# Decay tables: exp(−dt/τ) as a product of three factors over the bytes of dt in milliseconds.
TAU_MS = (1_000, 5_000, 60_000)
DECAY_ROWS = 256

PARAMETERS = Record(
    "parameters",
    "What the settings ask of the engine; written once, at start.",
    [
        Field("order_flow_imbalance", "f64", "fraction", "agent", "least imbalance of an entry"),
        Field("momentum_acceleration", "f64", "fraction", "agent", "least acceleration"),
        Field("volume_spike_ratio", "f64", "times", "agent", "volume over its mean: a spike"),
        Field("ema_fast_gain", "f64", "fraction", "agent", "2 / (span + 1)"),
        Field("ema_slow_gain", "f64", "fraction", "agent", "2 / (span + 1)"),
        Field("rsi_oversold", "f64", "points", "agent", "below: oversold"),
        Field("rsi_overbought", "f64", "points", "agent", "above: overbought"),
        Field("weights", "f64", "weight", "agent", "of the eight signals", SIGNAL_COUNT),
        Field("ema_slow_span", "i64", "trades", "agent", "trades before the means count"),
        Field("rsi_period", "i64", "bars", "agent", "of Wilder's mean"),
        Field("book_levels", "i64", "levels", "agent", "on each side, for book imbalance"),
        Field("warmup_events", "i64", "events", "agent", "of a symbol before its first signal"),
        Field("flow_levels", "i64", "levels", "agent", "order flow compares; 1 = best prices"),
        Field("use_volume_spikes", "i64", "0 or 1", "agent", "spikes confirm entries"),
        Field("require_book", "i64", "0 or 1", "agent", "no signal without a valid book"),
        Field("strategy_enabled", "i64", "0 or 1", "agent", "by Strategy", STRATEGY_COUNT_MAX),
        Field("jump_max", "f64", "fraction", "agent", "a price further away is refused"),
        Field("quarantine_ms", "i64", "ms", "agent", "without a refusal, before entries again"),
        Field("decay_1", "f64", "factor", "agent", "by dt & 255, row by τ", 3 * DECAY_ROWS),
        Field("decay_256", "f64", "factor", "agent", "by dt >> 8 & 255", 3 * DECAY_ROWS),
        Field("decay_65536", "f64", "factor", "agent", "by dt >> 16", 3 * DECAY_ROWS),
        # What signals tell risk about leaving, by Strategy.
        Field("exit_rule", "i64", "ExitRule", "agent", "how it leaves", STRATEGY_COUNT_MAX),
        Field("hold_ms_min", "i64", "ms", "agent", "no exit by rule before", STRATEGY_COUNT_MAX),
        Field("hold_ms_max", "i64", "ms", "agent", "time limit", STRATEGY_COUNT_MAX),
        Field("stop_pct", "f64", "fraction", "agent", "0 = configured", STRATEGY_COUNT_MAX),
        Field("target_pct", "f64", "fraction", "agent", "0 = configured", STRATEGY_COUNT_MAX),
    ],
)

THRESHOLDS = Record(
    "thresholds",
    "What an entry of one symbol must reach; written once, at start.",
    [
        Field("signal_threshold", "f64", "score", "agent", "least strength of an entry"),
        Field("confidence_threshold", "f64", "fraction", "agent", "least confidence"),
        Field("min_confirmations", "i64", "count", "agent", "least agreeing beside the trigger"),
        Field("cooldown_ms", "i64", "ms", "agent", "between two signals of the symbol"),
    ],
    size=32,
    align=32,
)

SYMBOL_STATE = Record(
    "symbol_state",
    "What the engine knows of one symbol: running means, short rings, scores, last decision.",
    [
        # Quarantine: stays when the state starts over.
        Field(
            "quarantine", "i64", "bits by Refusal", "engine", "why it enters nothing; 0 = it may"
        ),
        Field("sound_ms", "i64", "ms, venue", "engine", "clock at the last refusal; 0 = not known"),
        Field("sound_events", "i64", "count", "engine", "evaluated since"),
        # Clock, bounds and trades.
        Field("clock_ms", "i64", "ms, venue", "engine", "latest time seen; 0 = no event yet"),
        Field("low_tick", "i64", "ticks", "engine", "below it a price may be a jump"),
        Field("high_tick", "i64", "ticks", "engine", "above it a price may be a jump"),
        Field("reference_tick", "i64", "ticks", "engine", "middle of these bounds; 0 = none yet"),
        Field("jump_run", "i64", "count", "engine", "jumps in a row that agree with one another"),
        Field("jump_tick", "i64", "ticks", "engine", "the first of them"),
        Field("late_count", "i64", "count", "engine", "events before the clock, taken at it"),
        Field("refused_run", "i64", "count", "engine", "events far before the clock, in a row"),
        Field("event_count", "i64", "count", "engine", "evaluated since the state was cold"),
        Field("trade_count", "i64", "count", "engine", "trades since the state was cold"),
        Field("break_trade", "i64", "count", "engine", "of these, before the last lap bridged"),
        Field("trade_tick", "i64", "ticks", "engine", "prices by trade & 3", TRADE_RING),
        Field("trade_ms", "i64", "ms, venue", "engine", "their times", TRADE_RING),
        Field("last_tick", "i64", "ticks", "engine", "price of the last trade"),
        Field("weight_60", "f64", "0..1", "engine", "1 − exp(−age/60 s), age since first trade"),
        Field("variance_sum", "f64", "1/s", "engine", "decayed squared returns / 60 s"),
        Field("buy_lot", "f64", "lots", "engine", "bought by takers, decayed over 5 s"),
        Field("sell_lot", "f64", "lots", "engine", "sold by takers, decayed over 5 s"),
        Field("fast_lot", "f64", "lots", "engine", "volume decayed over 1 s"),
        Field("slow_lot", "f64", "lots", "engine", "volume decayed over 60 s"),
        Field("ema_fast", "f64", "ticks", "engine", "exponential mean of trade prices"),
        Field("ema_slow", "f64", "ticks", "engine", "exponential mean of trade prices"),
        # Price grid: the last price of each quarter of a second.
        Field("grid_bucket", "i64", "250 ms", "engine", "newest bucket, since 1970"),
        Field("grid_count", "i64", "count", "engine", "buckets known, the newest included"),
        Field("grid_tick", "i64", "ticks", "engine", "last price by bucket & 63", GRID_SIZE),
        # Bars of one second and Wilder's means.
        Field("bar_second", "i64", "s, venue", "engine", "second of the open or last bar"),
        Field("bar_tick", "i64", "ticks", "engine", "last price of the open bar; 0 = none open"),
        Field("bar_count", "i64", "count", "engine", "bars closed"),
        Field("close_tick", "i64", "ticks", "engine", "close of the last bar"),
        Field("gain_mean", "f64", "ticks", "engine", "mean gain; a sum until the period is full"),
        Field("loss_mean", "f64", "ticks", "engine", "mean loss; a sum until the period is full"),
        Field("rsi", "f64", "0..100", "engine", "relative strength index of the closed bars"),
        Field("divergence", "i64", "+1, -1, 0", "engine", "of the last bar: bullish, bearish"),
        Field("bar_closes", "i64", "ticks", "engine", "closes by bar & 31", BAR_RING),
        Field("bar_rsis", "f64", "0..100", "engine", "index at these closes", BAR_RING),
        # Best prices.
        Field("bid_tick", "i64", "ticks", "engine", "best bid; 0 = unknown"),
        Field("bid_lot", "i64", "lots", "engine", "quantity there"),
        Field("ask_tick", "i64", "ticks", "engine", "best ask; 0 = unknown"),
        Field("ask_lot", "i64", "lots", "engine", "quantity there"),
        Field("quote_ms", "i64", "ms, venue", "engine", "when the best-price stream last spoke"),
        Field("quote_count", "i64", "count", "engine", "best prices taken in since it was cold"),
        Field("ofi_lot", "f64", "lots", "engine", "order-flow imbalance, decayed over 5 s"),
        Field("ofi_gross_lot", "f64", "lots", "engine", "its absolute terms, decayed over 5 s"),
        Field("spread_weight", "f64", "0..1", "engine", "1 − exp(−time observed/60 s)"),
        Field("spread_mean", "f64", "ticks", "engine", "mean over venue time, 60 s"),
        Field("spread_variance", "f64", "ticks²", "engine", "variance over venue time, 60 s"),
        # Depth.
        Field("imbalance", "f64", "-1..1", "engine", "depth-weighted, last complete update"),
        Field("has_imbalance", "i64", "0 or 1", "engine", "both sides had a level"),
        Field("bid_liquidity_lot", "f64", "lots", "engine", "sum over the levels read"),
        Field("ask_liquidity_lot", "f64", "lots", "engine", "sum over the levels read"),
        Field("bid_pressure", "f64", "lots", "engine", "weighted sum"),
        Field("ask_pressure", "f64", "lots", "engine", "weighted sum"),
        Field("levels", "i64", "tick, lot", "engine", "scratch", 2 * 2 * BOOK_LEVELS_MAX),
        # Results.
        Field("scored_ms", "i64", "ms, venue", "engine", "clock of the last price scores"),
        Field("scored_trades", "i64", "count", "engine", "trades they were computed from"),
        Field("variance", "f64", "1/s", "engine", "of returns, a tick per second at least"),
        Field("micro_trend", "f64", "fraction", "engine", "return over the last three trades"),
        Field("velocity", "f64", "fraction", "engine", "return over the last 5 s"),
        Field("acceleration", "f64", "fraction", "engine", "velocity minus that 5 s before"),
        Field("volume_ratio", "f64", "times", "engine", "current volume over its mean"),
        Field("spread_deviation", "f64", "deviations", "engine", "spread against its mean"),
        Field("scores", "f64", "-1..1", "engine", "the eight signals, 0 = none", SIGNAL_COUNT),
        Field("known", "i64", "bits by Factor", "engine", "signals that are warm"),
        # Decision.
        Field("side", "i64", "+1, -1, 0", "engine", "proposed by the strategy"),
        Field("strategy", "i64", "Strategy", "engine", "that proposed it"),
        Field("score", "f64", "-1..1", "engine", "weighted score"),
        Field("confidence", "f64", "0..1", "engine", "share of active weight that agrees"),
        Field("agreeing", "i64", "bits by Factor", "engine", "factors with the side's sign"),
        Field("opposing", "i64", "bits by Factor", "engine", "factors against it"),
        Field("confirmations", "i64", "count", "engine", "agreeing beside the trigger"),
        Field("signal_ms", "i64", "ms, venue", "engine", "time of the last signal; 0 = none"),
        # Order flow of the best levels, see book_flow.py; untouched while one level is asked for.
        Field("flow_updates", "i64", "count", "engine", "depth updates compared since it was cold"),
        Field(
            "flow_known", "i64", "0 or 1", "engine", "`flow_pairs` hold the last update's levels"
        ),
        Field("flow_ms", "i64", "ms, venue", "engine", "time the sums are decayed to"),
        Field("flow_lot", "f64", "lots", "engine", "by level, decayed over 5 s", FLOW_LEVELS_MAX),
        Field("flow_gross_lot", "f64", "lots", "engine", "its absolute terms", FLOW_LEVELS_MAX),
        Field("flow_half", "i64", "0 or 1", "engine", "half of `flow_pairs` that is the newer"),
        Field("flow_pairs", "i64", "tick, lot", "engine", "levels by half, side", FLOW_PAIR_WORDS),
    ],
)

THRESHOLDS_SIZE = THRESHOLDS.size * SYMBOL_COUNT_MAX

ENGINE = Record(
    "engine",
    "The engine itself: addresses of what it reads and writes, and what outlives it.",
    [
        Field("symbol_count", "i64", "count", "agent", "symbols traded"),
        Field("symbol_states", "i64", "address", "agent", "SYMBOL_STATE by symbol"),
        Field("books", "i64", "address", "agent", "BOOK by symbol"),
        Field("market", "i64", "address", "agent", "ring read, broadcast"),
        Field("signals", "i64", "address", "agent", "ring written, gated"),
        Field("reports", "i64", "address", "agent", "ring observed"),
        Field("wait", "i64", "address", "agent", "waiting state"),
        Field("counters", "i64", "address", "agent", "the engine's block"),
        Field("histogram", "i64", "address", "agent", "receive stamp → signal written"),
        Field("book_requests", "i64", "address", "agent", "BOOK_REQUEST by symbol"),
        Field("feed_doorbell", "i64", "address", "agent", "0 = nobody answers book requests"),
        Field("risk_doorbell", "i64", "address", "agent", "rung after a signal"),
        Field("market_cursor", "i64", "index", "agent", "where its laps are counted"),
        Field("requests_made", "i64", "count", "engine", "book requests since its start"),
        Field("requests_rung", "i64", "count", "engine", "of these, the feed was woken for"),
        Field("quotes", "i64", "address", "agent", "ring written, gated"),
        Field("quoted", "i64", "address", "agent", "QUOTED rows"),
        Field("quoted_count", "i64", "count", "agent", "symbols quoted"),
        Field("quoted_places", "i64", "1 + row", "agent", "by symbol; 0 = no", SYMBOL_COUNT_MAX),
        Field("confirm_ns", "i64", "ns", "agent", "between two confirmations of quotes"),
        Field("confirm_due_ns", "i64", "ns, monotonic", "engine", "when the next one is"),
        Field("parameters", "u8", "PARAMETERS", "agent", "", PARAMETERS.size, align=64),
        Field("thresholds", "u8", "THRESHOLDS", "agent", "by symbol", THRESHOLDS_SIZE, align=64),
        Field("start_reasons", "i64", "StartReason", "engine", "by symbol", SYMBOL_COUNT_MAX),
        Field("event", "u8", "MARKET_EVENT", "engine", "event copied", MARKET_EVENT.size, align=64),
        Field("report", "u8", "REPORT", "engine", "report copied", REPORT.size, align=64),
        Field("signal", "u8", "SIGNAL", "engine", "result of engine_process", SIGNAL.size),
        # From here on: kept when the stage is started again within an epoch.
        Field("signal_id", "i64", "id", "engine", "of the last signal", align=64),
        Field("applying", "i64", "index + 1", "engine", "symbol of the event under way; 0 = none"),
        Field("market_position", "i64", "position", "engine", "next market event to read"),
        Field("read_origin_ns", "i64", "ns, monotonic", "engine", "of an event read of late"),
        Field("kept_symbols", "i64", "count", "engine", "symbols whose state is kept"),
        Field("quote_id", "i64", "id", "engine", "of the last quote"),
        Field("report_position", "i64", "position", "engine", "next report to look at"),
        Field("reports_missed", "i64", "count", "engine", "times the reports overtook it"),
        # What a report under way has changed of the tables below, as it was before.
        Field("undo_symbol", "i64", "index + 1", "engine", "of a report under way; 0 = none"),
        Field("undo_inventory", "i64", "lots", "engine", "of that symbol"),
        Field("undo_foreign_id", "i64", "id", "engine", "of that symbol"),
        Field("undo_row", "i64", "row", "engine", "of its order in the tables of fills"),
        Field("undo_order_id", "i64", "id", "engine", "that the row held"),
        Field("undo_lot", "i64", "lots", "engine", "that the row held"),
        Field("inventories", "i64", "lots", "engine", "signed sum of fills", SYMBOL_COUNT_MAX),
        Field("foreign_ids", "i64", "id", "engine", "last fill not ours", SYMBOL_COUNT_MAX),
        Field("fill_order_ids", "i64", "id", "engine", "by order & 1023", FILL_ROWS),
        Field("fill_lots", "i64", "lots", "engine", "filled of that order", FILL_ROWS),
    ],
)

KEPT_OFFSET = ENGINE.offset("signal_id")
PARAMETERS_OFFSET = ENGINE.offset("parameters")
THRESHOLDS_OFFSET = ENGINE.offset("thresholds")


def state_size(settings: Settings, symbol_count: int) -> int:
    """Return the bytes of the engine's segment; every symbol takes the same, whatever is set."""
    assert 0 < symbol_count <= SYMBOL_COUNT_MAX, f"symbol_count out of range: {symbol_count}"
    return ENGINE.size + symbol_count * (SYMBOL_STATE.size + BOOK.size + QUOTED.size)


def thresholds_address(engine_address: int, index: int) -> int:
    """Return the address of a symbol's thresholds."""
    return engine_address + THRESHOLDS_OFFSET + index * THRESHOLDS.size


def symbol_state_address(engine_address: int, index: int) -> int:
    """Return the address of a symbol's state."""
    return engine_address + ENGINE.size + index * SYMBOL_STATE.size


def book_address(engine_address: int, symbol_count: int, index: int) -> int:
    """Return the address of a symbol's book."""
    return symbol_state_address(engine_address, symbol_count) + index * BOOK.size


def quoted_row_address(engine_address: int, symbol_count: int, place: int) -> int:
    """Return the address of a QUOTED row; there is room for one per symbol."""
    return book_address(engine_address, symbol_count, symbol_count) + place * QUOTED.size


def prepare(engine_address: int, symbol_count: int, keep: bool) -> Any:
    """Return the ENGINE record in place with its addresses; rings are still to be named.

    Args:
        engine_address: `state_size` bytes, 64-byte aligned, zeroed unless `keep`.
        symbol_count: symbols.
        keep: a predecessor of this epoch used the memory: what it knew stays, and `engine_start`
            judges it. Without it the state is laid out cold.
    """
    if keep:
        ctypes.memset(engine_address, 0, KEPT_OFFSET)
    engine = ENGINE.at(engine_address)
    engine.symbol_count = symbol_count
    engine.symbol_states = symbol_state_address(engine_address, 0)
    engine.books = book_address(engine_address, symbol_count, 0)
    engine.quoted = quoted_row_address(engine_address, symbol_count, 0)
    for index in range(0 if keep else symbol_count):
        book = book_address(engine_address, symbol_count, index)
        for is_ask in range(2):
            side = BOOK_SIDE.at(book + SIDES_OFFSET + is_ask * SIDE_SIZE)
            side.direction = 2 * is_ask - 1
            side.first_index = WINDOW
    return engine
