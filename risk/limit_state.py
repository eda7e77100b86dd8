"""The layouts of what the limits remember (in risk's state segment) and look at (scratch)."""

from __future__ import annotations

from shm.fields import Field, Record
from shm.records import STRATEGY_COUNT_MAX, SYMBOL_COUNT_MAX

# Entries of one symbol that are remembered for the repeat throttle; risk.max_repeats stays below.
REPEAT_COUNT = 32
PAIR_COUNT = SYMBOL_COUNT_MAX * (SYMBOL_COUNT_MAX + 1) // 2
assert STRATEGY_COUNT_MAX <= 32, "a symbol's latched strategies are bits of one word"

REPEATS = Record(
    "risk_repeats",
    "One per symbol: its newest entries, by SYMBOL_STATE.repeat_count.",
    [
        Field("order_ns", "i64", "ns, monotonic", "risk", "when it was written", REPEAT_COUNT),
        Field("key", "i64", "2 × strategy + is buy", "risk", "whose entry it was", REPEAT_COUNT),
    ],
    align=128,
)

TRADES = Record(
    "risk_trades",
    "One per strategy: its closed trades, after fees.",
    [
        Field("trade_count", "i64", "count", "risk", "closed trades"),
        Field("win_count", "i64", "count", "risk", "those that gained"),
        Field("win_ppb", "i64", "1e-9 of the entry", "risk", "sum of the gains"),
        Field("loss_ppb", "i64", "1e-9 of the entry", "risk", "sum of the losses, positive"),
    ],
    align=64,
)

KEPT = Record(
    "risk_kept",
    "What an earlier run's limits knew of equity, taken over when the wallet becomes known.",
    [
        Field("whole", "i64", "0 or 1", "risk", "1 = the cold start has come to its end"),
        Field("base_e8", "i64", "1e-8 quote", "risk", "equity less its unrealised part"),
        Field("peak_e8", "i64", "1e-8 quote", "risk", "highest equity; 0 = nothing was kept"),
        Field("day_start_e8", "i64", "1e-8 quote", "risk", "equity when the day began"),
        Field("utc_day", "i64", "days since 1970", "risk", "the day that day_start_e8 belongs to"),
        Field("wallet_e8", "i64", "1e-8 quote", "risk", "the wallet that base_e8 was held against"),
    ],
    align=128,
)

CORRELATION = Record(
    "risk_correlation",
    "Returns of mid prices on a fixed grid.",
    [
        Field("step_ns", "i64", "ns, monotonic", "risk", "when the last return was taken"),
        Field("step_count", "i64", "count", "risk", "steps taken"),
        Field("mid", "f64", "ticks", "risk", "mid price at known_step", SYMBOL_COUNT_MAX),
        Field("known_step", "i64", "count", "risk", "when mid was taken", SYMBOL_COUNT_MAX),
        Field("step_return", "f64", "fraction", "risk", "of this step", SYMBOL_COUNT_MAX),
    ],
    align=128,
)

PAIR = Record(
    "risk_pair",
    "One per pair of symbols: the weighted products of their returns, in half a cache line.",
    [
        Field("sample_count", "i64", "count", "risk", "returns of both; 0 = the rest is nothing"),
        Field("product", "f64", "weighted sum", "risk", "of both returns"),
        Field("square_row", "f64", "weighted sum", "risk", "of the higher symbol"),
        Field("square_column", "f64", "weighted sum", "risk", "of the lower symbol"),
    ],
    align=32,
)

ENTRY_CHECK = Record(
    "risk_entry_check",
    "Everything the limits look at for one order; scratch.",
    [
        Field("side", "i64", "+1, -1", "kernel", "of the order"),
        Field("strategy", "i64", "Strategy", "kernel", "whose order it is"),
        Field("halt_reason", "i64", "HaltReason", "kernel", "control record"),
        Field("kill_latch", "i64", "LatchReason", "kernel", "held by a person or the supervisor"),
        Field("stop_requested", "i64", "0 or 1", "kernel", "control record"),
        Field("flatten_requested", "i64", "0 or 1", "kernel", "control record"),
        Field("reconciled", "i64", "0 or 1", "kernel", "control record"),
        Field("clock_ready", "i64", "0 or 1", "kernel", "control record"),
        Field("untrusted", "i64", "0 or 1", "kernel", "a position broke its invariant"),
        Field("distrust", "i64", "Distrust", "kernel", "of the symbol, by the executor"),
        Field("equity_e8", "i64", "1e-8 quote", "kernel", "0 or less = unknown or gone"),
        Field("started_age_ns", "i64", "ns", "kernel", "since the start of risk"),
        Field("risk_latch", "i64", "LatchReason", "kernel", "held by risk's own limits"),
        Field("cool_off_left_ns", "i64", "ns", "kernel", "of the pause after losses"),
        Field("throttled", "i64", "0 or 1", "kernel", "the strategy is latched for the symbol"),
        Field("strategy_enabled", "i64", "0 or 1", "kernel", "of the order's strategy"),
        Field("best_valid", "i64", "0 or 1", "kernel", "best prices are known"),
        Field("price_age_ns", "i64", "ns", "kernel", "of the symbol's last market event"),
        Field("signal_age_ns", "i64", "ns", "kernel", "of the event behind the signal"),
        Field("mark_tick", "i64", "ticks", "kernel", "mark price; 0 = unknown"),
        Field("mark_age_ns", "i64", "ns", "kernel", "of the mark price"),
        Field("quoted", "i64", "0 or 1", "kernel", "the symbol belongs to market making"),
        Field("position_state", "i64", "PositionState", "kernel", "of the symbol"),
        Field("position_count", "i64", "count", "kernel", "not flat, over all symbols"),
        Field("in_flight_count", "i64", "count", "kernel", "orders of the symbol, before"),
        Field("rate_age_ns", "i64", "ns", "kernel", "of the order entries_per_s orders ago"),
        Field("repeat_count", "i64", "count", "kernel", "such entries within repeat_window_ns"),
        Field("ring_free", "i64", "records", "kernel", "free slots, the exits' share taken off"),
        Field("correlation", "f64", "0..1, -1", "kernel", "highest likeness; -1 = not asked for"),
        Field("unknown_pairs", "i64", "count", "kernel", "open positions it is not known with"),
        Field("limit_tick", "i64", "ticks", "kernel", "limit price; 0 = none inside the collar"),
        Field("quantity_lot", "i64", "lots", "kernel", "from sizing; 0 = none fits"),
        Field("size_bound", "i64", "Refusal", "kernel", "which bound left no room for a lot"),
        Field("conforms", "i64", "0 or 1", "kernel", "price and quantity pass the filters"),
        Field("lot_max", "i64", "lots", "kernel", "largest order of the symbol"),
        Field("order_notional_e8", "i64", "1e-8 quote", "kernel", "of the order at its limit"),
        Field("risk_tick", "i64", "ticks", "kernel", "from the order's price to its stop"),
        Field("order_risk_e8", "i64", "1e-8 quote", "kernel", "lost by the order at its stop"),
        Field("inventory_e8", "i64", "1e-8 quote", "kernel", "of the symbol, signed, before"),
        Field("strategy_notional_e8", "i64", "1e-8 quote", "kernel", "of the strategy, before"),
        Field("gross_notional_e8", "i64", "1e-8 quote", "kernel", "positions and entries, before"),
        Field("net_notional_e8", "i64", "1e-8 quote", "kernel", "longs less shorts, before"),
        Field("risk_e8", "i64", "1e-8 quote", "kernel", "lost if all stops were hit, before"),
    ],
)
