"""The counters: one row each, one writer each, read by whoever looks in from outside.

The hot path counts, the cold path logs. A counter is one int64 in the block of its owner; blocks of
different owners are whole pairs of lines apart, so counting never moves a line between cores.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from shm.fields import Field, Record
from shm.records import STRATEGY_COUNT_MAX, USER_STRATEGY_FIRST

BLOCK_COUNT_MAX = 128  # counters per owner
BLOCK_SIZE = BLOCK_COUNT_MAX * 8
OWNERS = ("feed", "engine", "risk", "executor", "supervisor", "ledger")


@dataclass(frozen=True)
class Counter:
    """One row: where it counts, what it is called, what one count means."""

    owner: str
    label: str
    meaning: str


COUNTERS: tuple[Counter, ...] = (
    Counter("feed", "frames", "WebSocket data frames received"),
    Counter("feed", "bytes", "bytes received on market connections"),
    Counter("feed", "events", "records written to the market ring"),
    Counter("feed", "trades", "trades among them"),
    Counter("feed", "best", "best bid and offer updates among them"),
    Counter("feed", "levels", "level changes among them"),
    Counter("feed", "empty_updates", "depth updates without a level"),
    Counter("feed", "stale_updates", "depth updates older than the snapshot, dropped by rule"),
    Counter("feed", "gaps", "depth updates whose pu did not equal the last u"),
    Counter("feed", "snapshots", "depth snapshots applied"),
    Counter("feed", "snapshots_too_old", "snapshots taken again because they did not bridge"),
    Counter("feed", "fallback", "messages decoded by the JSON library"),
    Counter("feed", "malformed", "messages no decoder could read, dropped"),
    Counter("feed", "off_grid", "prices or quantities that are no whole tick or lot, dropped"),
    Counter("feed", "ignored", "messages of kinds that are not used"),
    Counter("feed", "control_frames", "pings, pongs and closes"),
    Counter("feed", "connects", "connections established"),
    Counter("feed", "disconnects", "connections lost"),
    Counter("feed", "overflows", "buffers that were too small; the book was made invalid"),
    Counter("feed", "marks", "mark prices among the records"),
    Counter("feed", "duplicates", "trades and quotes not newer than the last one, dropped"),
    Counter("engine", "events", "market events read"),
    Counter("engine", "laps", "times the market ring overtook the engine"),
    Counter("engine", "evaluations", "times the eight signals were computed"),
    Counter("engine", "candidates", "entries that a strategy proposed"),
    Counter("engine", "signals", "signals written"),
    Counter("engine", "signals_momentum", "of the momentum strategy"),
    Counter("engine", "signals_mean_reversion", "of the mean reversion strategy"),
    Counter("engine", "signals_order_flow", "of the order flow strategy"),
    *(
        Counter("engine", f"signals_user_{place}", f"of the user's strategy number {place}")
        for place in range(1, 1 + STRATEGY_COUNT_MAX - USER_STRATEGY_FIRST)
    ),
    Counter("engine", "cooled_down", "entries held back by the cool-down"),
    Counter("engine", "unconfirmed", "entries below threshold, confidence or confirmations"),
    Counter("engine", "ring_full", "signals rejected because the ring was full"),
    Counter("engine", "out_of_window", "levels kept in the far table"),
    Counter("engine", "recentres", "times a book window moved"),
    Counter("engine", "far_overflow", "levels lost because the far table was full"),
    Counter("engine", "crossed", "books found crossed after an update"),
    Counter("engine", "refused", "events refused: the sum of the reasons"),
    Counter("engine", "refused_symbol", "refused: no such symbol"),
    Counter("engine", "refused_kind", "refused: no such kind of event"),
    Counter("engine", "refused_price", "refused: no price"),
    Counter("engine", "refused_quantity", "refused: no quantity"),
    Counter("engine", "refused_crossed_best", "refused: the best bid is not below the best ask"),
    Counter("engine", "refused_crossed_book", "refused: the book stayed crossed"),
    Counter("engine", "refused_time", "refused: no time, or far before the symbol's clock"),
    Counter("engine", "refused_jump", "refused: a price too far from the last sound ones"),
    Counter("engine", "refused_dropped", "messages that the feed could not read"),
    Counter("engine", "quarantines", "times a symbol was put into quarantine"),
    Counter("engine", "quarantines_ended", "times a symbol left it"),
    Counter("engine", "quarantined", "evaluations without a decision because of it"),
    Counter("engine", "reports", "reports observed"),
    Counter("engine", "reports_missed", "times reports were overwritten before they were read"),
    Counter("engine", "invalidations", "books made invalid"),
    Counter("engine", "warm_symbols", "symbols that went on where a killed engine stopped"),
    Counter("engine", "cold_symbols", "symbols torn or not whole then, which began cold"),
    Counter("engine", "quotes", "wanted quotes published, confirmations included"),
    Counter("engine", "quote_changes", "decisions that changed what is to stand"),
    Counter("engine", "quoted_symbols", "symbols that belong to market making"),
    Counter("engine", "quotes_full", "quotes that waited because the ring was full"),
    Counter("risk", "events", "market events read"),
    Counter("risk", "laps", "times the market ring overtook risk"),
    Counter("risk", "signals", "signals read"),
    Counter("risk", "accepted", "signals that became an entry order"),
    Counter("risk", "rejected", "signals refused, for whatever reason"),
    Counter("risk", "rejected_halted", "refused: halted, killed, stopping or flattening"),
    Counter("risk", "rejected_stale", "refused: the symbol's price is too old"),
    Counter("risk", "rejected_duplicate", "refused: the symbol has a position or an entry"),
    Counter("risk", "rejected_positions", "refused: too many positions"),
    Counter("risk", "rejected_notional", "refused: the order is worth too much"),
    Counter("risk", "rejected_size", "refused: below the venue's minimum"),
    Counter("risk", "rejected_rate", "refused: too many orders a second"),
    Counter("risk", "rejected_collar", "refused: price too far from the market"),
    Counter("risk", "rejected_drawdown", "refused: drawdown limit"),
    Counter("risk", "rejected_ring", "refused: the order ring was full"),
    Counter("risk", "rejected_disabled", "refused: the strategy is switched off"),
    Counter("risk", "orders", "orders written"),
    Counter("risk", "exits", "exit orders among them"),
    Counter("risk", "exit_stop", "by the initial or moved stop"),
    Counter("risk", "exit_target", "by the target"),
    Counter("risk", "exit_partial", "half closed at one initial risk"),
    Counter("risk", "exit_trailing", "by the trailing stop"),
    Counter("risk", "exit_time", "by the time limit"),
    Counter("risk", "exit_reversal", "by an opposite signal"),
    Counter("risk", "exit_flatten", "because all positions were to be closed"),
    Counter("risk", "exit_retries", "exits sent again after a rejection or a remainder"),
    Counter("risk", "reports", "reports read"),
    Counter("risk", "fills", "fills applied"),
    Counter("risk", "duplicate_fills", "fills already applied, ignored"),
    Counter("risk", "round_trips", "positions opened and closed again"),
    Counter("risk", "unknown_reports", "reports of orders or positions that are not ours"),
    Counter("risk", "rejected_invalid", "refused: symbol, side or numbers make no sense"),
    Counter("risk", "exit_mean", "because the price returned to the mean"),
    Counter("risk", "exit_imbalance", "because the imbalance of the best prices turned"),
    Counter("risk", "exit_stale", "because the price had become too old"),
    Counter("risk", "exit_halt", "because trading was halted"),
    Counter("risk", "exit_drawdown", "because the drawdown limit tripped"),
    Counter("risk", "exit_foreign", "because the net position was on the wrong side"),
    Counter("risk", "exit_unprotected", "because the venue held no stop for too long"),
    Counter("risk", "foreign_fills", "fills of nobody's order applied to a position"),
    Counter("risk", "exit_protection", "by the stop that rests at the venue"),
    Counter("risk", "exits_doubted", "exits of unknown outcome beside which another was sent"),
    Counter("risk", "stops", "stops sent to rest at the venue"),
    Counter("risk", "stop_cancels", "cancels of them, to move them or with their position"),
    Counter("risk", "stops_refused", "stops that the venue or the executor refused"),
    Counter("risk", "stops_lost", "stops that ended without being asked to, and not by filling"),
    Counter("risk", "stops_strayed", "stops taken for absent that turned up beside another"),
    Counter("risk", "settled_orders", "orders decided from the executor's rows, not by reports"),
    Counter("risk", "rejected_venue", "refused: venue not reconciled or user stream down"),
    Counter("risk", "rejected_clock", "refused: the venue's clock is not measured"),
    Counter("risk", "rejected_untrusted", "refused: a position broke its invariant"),
    Counter("risk", "rejected_distrust", "refused: the venue states the symbol otherwise"),
    Counter("risk", "rejected_equity", "refused: equity unknown or gone"),
    Counter("risk", "rejected_warmup", "refused: the run has just begun"),
    Counter("risk", "rejected_daily_loss", "refused: the day's loss limit"),
    Counter("risk", "rejected_cool_off", "refused: too many losses in a row"),
    Counter("risk", "rejected_throttled", "refused: latched after too many repeats"),
    Counter("risk", "rejected_no_price", "refused: no valid best prices"),
    Counter("risk", "rejected_late", "refused: the signal is too old"),
    Counter("risk", "rejected_no_mark", "refused: mark price unknown or too old"),
    Counter("risk", "rejected_in_flight", "refused: too many orders of the symbol in flight"),
    Counter("risk", "rejected_correlation", "refused: too alike to an open position, or unknown"),
    Counter("risk", "rejected_no_edge", "refused: the strategy's closed trades show no edge"),
    Counter("risk", "rejected_filter", "refused: breaks a filter of the venue"),
    Counter("risk", "rejected_quantity", "refused: the order has too many lots"),
    Counter("risk", "rejected_inventory", "refused: too much of one symbol"),
    Counter("risk", "rejected_strategy", "refused: too much of one strategy"),
    Counter("risk", "rejected_gross", "refused: too much in all"),
    Counter("risk", "rejected_net", "refused: too much on one side"),
    Counter("risk", "rejected_portfolio", "refused: too much lost if all stops were hit"),
    Counter("risk", "rejected_margin", "refused: too much margin used"),
    Counter("risk", "rejected_repeat", "refused: repeated too often; latches the strategy"),
    Counter("risk", "rearmed", "throttle latches that a person released"),
    Counter("risk", "rejected_quoted", "refused: the symbol belongs to market making"),
    Counter("risk", "quotes", "wanted quotes read"),
    Counter("risk", "quotes_invalid", "quotes of a symbol that is not quoted, or without sense"),
    Counter("risk", "quotes_unaware", "sides of a quote decided before a fill was known, left"),
    Counter("risk", "quote_orders", "quotes sent to rest at the venue"),
    Counter("risk", "quote_cancels", "cancels of them"),
    Counter("risk", "quotes_failed", "quotes refused, expired or canceled by the venue"),
    Counter("risk", "quotes_strayed", "quotes taken for absent that turned up beside another"),
    Counter("risk", "quote_fills_buy", "fills of bids"),
    Counter("risk", "quote_fills_sell", "fills of asks"),
    Counter("risk", "quote_fills_maker", "fills of quotes as maker"),
    Counter("risk", "quotes_stopped_halted", "withdrawn or not placed: trading is not allowed"),
    Counter("risk", "quotes_stopped_stale", "withdrawn or not placed: prices unknown or old"),
    Counter("risk", "quotes_stopped_lease", "withdrawn or not placed: the engine was silent"),
    Counter("risk", "quotes_stopped_closing", "withdrawn or not placed: inventory is being closed"),
    Counter("risk", "quotes_refused_cross", "not placed: the price would take liquidity"),
    Counter("risk", "quotes_refused_inventory", "not placed: the inventory limit"),
    Counter("risk", "quotes_refused_limit", "not placed: collar, filters, notionals, margin"),
    Counter("risk", "quotes_refused_rate", "not placed: orders a second, or the ring's share"),
    Counter("executor", "orders", "orders read"),
    Counter("executor", "sent", "order requests sent"),
    Counter("executor", "sent_rest", "of these over REST"),
    Counter("executor", "acked", "orders the venue accepted"),
    Counter("executor", "rejected", "orders the venue rejected"),
    Counter("executor", "not_sent", "orders refused before sending: stale, table full, halted"),
    Counter("executor", "fills", "fills reported"),
    Counter("executor", "unknown", "orders whose outcome was unknown and had to be queried"),
    Counter("executor", "queries", "order queries made"),
    Counter("executor", "duplicate_events", "user-data events already applied"),
    Counter("executor", "foreign_events", "user-data events of orders that are not ours"),
    Counter("executor", "reconciliations", "comparisons with the venue"),
    Counter("executor", "mismatches", "differences found by them"),
    Counter("executor", "orders_lost", "orders whose fate is unknown at the end"),
    Counter("executor", "orders_duplicated", "orders that the venue saw more than once"),
    Counter("executor", "reconnects", "connections established again"),
    Counter("executor", "malformed", "messages that could not be read"),
    Counter("executor", "venue_matches", "1 = the last comparison found everything equal"),
    Counter("executor", "cancels", "cancel requests sent"),
    Counter("executor", "clock_measures", "measurements of the venue clock"),
    Counter("executor", "ring_full", "reports that waited because the ring was full"),
    Counter("executor", "foreign_fills", "fills of orders that are not ours, reported"),
    Counter("executor", "corrections", "positions taken over from the venue's statement"),
    Counter("executor", "explained", "foreign fills told late, taken over by then"),
    Counter("executor", "ended_by_venue", "resting orders that ended canceled, not by our asking"),
    Counter("executor", "would_take", "post-only orders refused because the price had moved"),
    Counter("executor", "beats", "countdowns renewed or stopped at the venue"),
    Counter("executor", "beats_failed", "requests to do so that the venue did not carry out"),
    Counter("supervisor", "restarts", "stages started again"),
    Counter("supervisor", "halts", "times trading was halted"),
    Counter("ledger", "orders", "orders written to the trade ledger"),
    Counter("ledger", "fills", "fills written to it"),
    Counter("ledger", "round_trips", "round trips closed in it"),
    Counter("ledger", "duplicates", "fills that it had already"),
    Counter("ledger", "lost_records", "ring records that were overwritten before it read them"),
    Counter("ledger", "repaired_orders", "orders and sums taken from the executor's rows instead"),
    Counter("ledger", "batches", "transactions committed"),
    Counter("ledger", "batch_us_max", "longest transaction, in microseconds"),
    Counter("ledger", "failures", "transactions that failed and were tried again"),
    Counter("ledger", "blocked", "1 = it cannot be written now"),
)


def _number() -> dict[str, int]:
    used = dict.fromkeys(OWNERS, 0)
    offsets: dict[str, int] = {}
    for counter in COUNTERS:
        key = f"{counter.owner}.{counter.label}"
        assert key not in offsets, f"two counters of one name: {key}"
        index = used[counter.owner]
        assert index < BLOCK_COUNT_MAX, f"too many counters: owner={counter.owner}"
        offsets[key] = index * 8
        used[counter.owner] = index + 1
    return offsets


# Byte offset of each counter from the start of its owner's block.
OFFSETS: dict[str, int] = _number()


def offset(key: str) -> int:
    """Return a counter's byte offset within its owner's block, for kernels."""
    return OFFSETS[key]


def block_offset(owner: str) -> int:
    """Return the byte offset of an owner's block within the counter area."""
    return OWNERS.index(owner) * BLOCK_SIZE


AREA_SIZE = len(OWNERS) * BLOCK_SIZE

# The whole area as one record: its layout hash changes when a counter is added, moved or renamed.
COUNTER_TABLE = Record(
    "counters",
    "All counters of an instance, one block per owner.",
    [
        Field(
            f"{counter.owner}_{counter.label}",
            "i64",
            "count",
            counter.owner,
            counter.meaning,
            align=0 if OFFSETS[f"{counter.owner}.{counter.label}"] else BLOCK_SIZE,
        )
        for owner in OWNERS
        for counter in COUNTERS
        if counter.owner == owner
    ],
    align=BLOCK_SIZE,
)
assert COUNTER_TABLE.size == AREA_SIZE
assert all(
    COUNTER_TABLE.offset(key.replace(".", "_")) == block_offset(key.partition(".")[0]) + place
    for key, place in OFFSETS.items()
)


class CounterArea:
    """Read and write counters from plain Python, over the area at `address`."""

    def __init__(self, address: int) -> None:
        self.address = address

    def _word(self, key: str) -> ctypes.c_int64:
        owner = key.partition(".")[0]
        return ctypes.c_int64.from_address(self.address + block_offset(owner) + OFFSETS[key])

    def get(self, key: str) -> int:
        """Return the value of `owner.label`."""
        return self._word(key).value

    def add(self, key: str, amount: int = 1) -> None:
        """Count up; only the owner may."""
        self._word(key).value += amount

    def set(self, key: str, value: int) -> None:
        """Set a counter that states a condition; only the owner may."""
        self._word(key).value = value

    def block(self, owner: str) -> int:
        """Return the address of an owner's block, for kernels."""
        return self.address + block_offset(owner)

    def as_dict(self, owner: str = "") -> dict[str, int]:
        """Return all counters, or those of one owner, by `owner.label`."""
        return {key: self.get(key) for key in OFFSETS if key.startswith(owner)}
