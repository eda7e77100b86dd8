"""Turn decoded messages into market events by the sequence rules."""

from __future__ import annotations

from feed.publish import write_invalid, write_levels, write_single
from feed.state import FEED, KEPT, LEVEL_SIZE, MESSAGE, SYNC, Code, Kind
from feed.sync import (
    APPLY,
    BUFFER_ANEW,
    DROP,
    DUPLICATE,
    GAP,
    SYNCED,
    TOO_OLD,
    UNSYNCED,
    accept_snapshot,
    forget_kept,
    on_snapshot,
    on_update,
    want_snapshot,
)
from runtime.clocks import mono_ns
from shm.compiled import kernel
from shm.counters import offset
from shm.histograms import count, record_value
from shm.memory import copy_bytes
from shm.records import EventFlag, EventKind, InvalidReason
from shm.views import view_of

feed_at = view_of(FEED)
message_at = view_of(MESSAGE)
sync_at = view_of(SYNC)
kept_at = view_of(KEPT)
SYNC_SIZE = SYNC.size
KEPT_HEADER = KEPT.size

OK = int(Code.OK)
MALFORMED = int(Code.MALFORMED)
OFF_GRID = int(Code.OFF_GRID)
IGNORED = int(Code.IGNORED)
OVERFLOW = int(Code.OVERFLOW)

DEPTH = int(Kind.DEPTH)
TRADE = int(Kind.TRADE)
AGGREGATE = int(Kind.AGGREGATE)
BEST = int(Kind.BEST)
SNAPSHOT = int(Kind.SNAPSHOT)
MARK = int(Kind.MARK)

EVENT_TRADE = int(EventKind.TRADE)
EVENT_DROPPED = int(EventKind.DROPPED)
EVENT_BEST = int(EventKind.BEST)
EVENT_BEGIN = int(EventKind.SNAPSHOT_BEGIN)
EVENT_END = int(EventKind.SNAPSHOT_END)
EVENT_MARK = int(EventKind.MARK)
SIDE_ASK = int(EventFlag.SIDE_ASK)
LAST = int(EventFlag.LAST)
FLAG_SNAPSHOT = int(EventFlag.SNAPSHOT)
DELAYED = int(EventFlag.DELAYED)

REASON_GAP = int(InvalidReason.GAP)
REASON_MALFORMED = int(InvalidReason.MALFORMED)
REASON_OVERFLOW = int(InvalidReason.OVERFLOW)

COUNT_TRADES = offset("feed.trades")
COUNT_BEST = offset("feed.best")
COUNT_MARKS = offset("feed.marks")
COUNT_DUPLICATES = offset("feed.duplicates")
COUNT_EMPTY = offset("feed.empty_updates")
COUNT_STALE = offset("feed.stale_updates")
COUNT_GAPS = offset("feed.gaps")
COUNT_SNAPSHOTS = offset("feed.snapshots")
COUNT_TOO_OLD = offset("feed.snapshots_too_old")
COUNT_MALFORMED = offset("feed.malformed")
COUNT_OFF_GRID = offset("feed.off_grid")
COUNT_IGNORED = offset("feed.ignored")
COUNT_OVERFLOWS = offset("feed.overflows")
MS_NS = 1_000_000


@kernel
def venue_time(row: int, event_ms: int) -> int:
    """Return an event time in ns; without one, the newest that was stated for the symbol."""
    r = sync_at(row)
    if event_ms <= 0:
        return r.venue_ns_last
    r.venue_ns_last = max(r.venue_ns_last, event_ms * MS_NS)
    return event_ms * MS_NS


@kernel
def invalidate(feed: int, row: int, reason: int) -> None:
    """Withdraw a symbol's book and want a snapshot; INVALID is published once per book."""
    r = sync_at(row)
    if r.is_valid:
        write_invalid(feed, row, reason)
    want_snapshot(row)
    feed_at(feed).wanted_count += 1


@kernel
def keep(feed: int, row: int, origin_ns: int, venue_ns: int) -> None:
    """Keep a depth update for after the snapshot; what does not fit drops all that was kept."""
    f, r, m = feed_at(feed), sync_at(row), message_at(feed_at(feed).message)
    bid_size, ask_size = m.bid_count * LEVEL_SIZE, m.ask_count * LEVEL_SIZE
    size = KEPT_HEADER + bid_size + ask_size
    if r.kept_size + size > r.kept_capacity:
        # The snapshot on its way will not connect with what comes later: it is taken again then.
        count(f.counters, COUNT_OVERFLOWS, 1)
        forget_kept(row)
        if size > r.kept_capacity:
            return
    place = r.kept + r.kept_size
    entry = kept_at(place)
    entry.size = size
    entry.origin_ns, entry.venue_ns = origin_ns, venue_ns
    entry.first_id, entry.last_id = m.first_id, m.last_id
    entry.previous_id = m.previous_id
    entry.bid_count, entry.ask_count = m.bid_count, m.ask_count
    copy_bytes(place + KEPT_HEADER, m.levels + m.bid_first * LEVEL_SIZE, bid_size)
    copy_bytes(place + KEPT_HEADER + bid_size, m.levels + m.ask_first * LEVEL_SIZE, ask_size)
    r.kept_size += size
    r.kept_count += 1
    r.kept_last_id = m.last_id


@kernel
def _apply_depth(feed: int, row: int, origin_ns: int) -> None:
    f, r, m = feed_at(feed), sync_at(row), message_at(feed_at(feed).message)
    if r.state == UNSYNCED:
        invalidate(feed, row, REASON_GAP)
    venue_ns = venue_time(row, m.event_ms)
    action = on_update(row, m.first_id, m.last_id, m.previous_id)
    if action == DROP:
        count(f.counters, COUNT_STALE, 1)
        return
    if action == DUPLICATE:
        count(f.counters, COUNT_DUPLICATES, 1)
        return
    if action == APPLY:
        bids = m.levels + m.bid_first * LEVEL_SIZE
        asks = m.levels + m.ask_first * LEVEL_SIZE
        if m.bid_count + m.ask_count == 0:
            count(f.counters, COUNT_EMPTY, 1)
        else:
            write_levels(
                feed, r.symbol, 0, origin_ns, venue_ns, m.last_id,
                bids, m.bid_count, asks, m.ask_count, True,
            )  # fmt: skip
            record_value(f.histogram, mono_ns() - origin_ns)
        if not r.is_keeping:
            return
    elif action == GAP:
        count(f.counters, COUNT_GAPS, 1)
        invalidate(feed, row, REASON_GAP)
    elif action == TOO_OLD:
        count(f.counters, COUNT_TOO_OLD, 1)
        invalidate(feed, row, REASON_GAP)
    elif action == BUFFER_ANEW:
        count(f.counters, COUNT_GAPS, 1)
        forget_kept(row)
    keep(feed, row, origin_ns, venue_ns)


@kernel
def _apply_trade(feed: int, row: int, origin_ns: int) -> None:
    f, r, m = feed_at(feed), sync_at(row), message_at(feed_at(feed).message)
    if m.trade_id <= r.trade_id_last:
        count(f.counters, COUNT_DUPLICATES, 1)
        return
    r.trade_id_last = m.trade_id
    flags = LAST | SIDE_ASK if m.is_sell else LAST
    delta_ns = write_single(
        feed, r.symbol, EVENT_TRADE, flags, origin_ns, venue_time(row, m.event_ms),
        m.price_tick, m.quantity_lot, m.trade_id, 0,
    )  # fmt: skip
    count(f.counters, COUNT_TRADES, 1)
    record_value(f.histogram, delta_ns)


@kernel
def _apply_best(feed: int, row: int, origin_ns: int) -> None:
    f, r, m = feed_at(feed), sync_at(row), message_at(feed_at(feed).message)
    if m.last_id <= r.best_id_last:
        count(f.counters, COUNT_DUPLICATES, 1)
        return
    r.best_id_last = m.last_id
    delta_ns = write_single(
        feed, r.symbol, EVENT_BEST, LAST, origin_ns, venue_time(row, m.event_ms),
        m.bid_tick, m.bid_lot, m.ask_tick, m.ask_lot,
    )  # fmt: skip
    count(f.counters, COUNT_BEST, 1)
    record_value(f.histogram, delta_ns)


@kernel
def settle(feed: int, code: int, origin_ns: int) -> None:
    """Publish or count the message that was decoded; `code` is what its decoder returned."""
    f = feed_at(feed)
    m = message_at(f.message)
    row = f.rows + m.symbol * SYNC_SIZE
    if code == OK:
        if m.kind == BEST:
            _apply_best(feed, row, origin_ns)
        elif m.kind == DEPTH:
            count(f.counters, COUNT_OFF_GRID, m.off_lot_count)
            _apply_depth(feed, row, origin_ns)
        elif m.kind == TRADE or m.kind == AGGREGATE:
            _apply_trade(feed, row, origin_ns)
        elif m.kind == MARK:
            # Its clock is not the book's: it moves no time of the symbol.
            write_single(
                feed, sync_at(row).symbol, EVENT_MARK, LAST, origin_ns, m.event_ms * MS_NS,
                m.price_tick, 0, 0, 0,
            )  # fmt: skip
            count(f.counters, COUNT_MARKS, 1)
        else:  # a partial book on a stream: not subscribed
            count(f.counters, COUNT_IGNORED, 1)
        return
    if code == IGNORED:
        count(f.counters, COUNT_IGNORED, 1)
        return
    if code == OFF_GRID:
        count(f.counters, COUNT_OFF_GRID, 1)
    elif code == OVERFLOW:
        count(f.counters, COUNT_OVERFLOWS, 1)
    else:
        count(f.counters, COUNT_MALFORMED, 1)
    # Readers that decide by what they know of the symbol are told that something is missing.
    venue_ns = sync_at(row).venue_ns_last
    write_single(feed, sync_at(row).symbol, EVENT_DROPPED, LAST, origin_ns, venue_ns, 0, 0, 0, 0)
    if m.kind == DEPTH:
        # What the update would have changed is not known: the book is withdrawn with it.
        invalidate(feed, row, REASON_OVERFLOW if code == OVERFLOW else REASON_MALFORMED)


@kernel
def _replay_kept(feed: int, row: int, start: int) -> None:
    """Publish the kept updates from byte `start` on as DELAYED. Loop bound: kept_count."""
    f, r = feed_at(feed), sync_at(row)
    place = r.kept + start
    end = r.kept + r.kept_size
    while place < end:
        entry = kept_at(place)
        if on_update(row, entry.first_id, entry.last_id, entry.previous_id) == APPLY:
            bids = place + KEPT_HEADER
            asks = bids + entry.bid_count * LEVEL_SIZE
            if entry.bid_count + entry.ask_count == 0:
                count(f.counters, COUNT_EMPTY, 1)
            else:
                write_levels(
                    feed, r.symbol, DELAYED, entry.origin_ns, entry.venue_ns, entry.last_id,
                    bids, entry.bid_count, asks, entry.ask_count, True,
                )  # fmt: skip
        place += entry.size


@kernel
def apply_snapshot(feed: int, row: int, origin_ns: int) -> int:
    """Publish the snapshot that was decoded and the kept updates that follow it.

    Returns 1, or 0 when it ends before the kept updates start: it is wanted again then. Loop
    bound: levels and kept updates.
    """
    f, r, m = feed_at(feed), sync_at(row), message_at(feed_at(feed).message)
    start = on_snapshot(row, m.last_id)
    if start < 0:
        count(f.counters, COUNT_TOO_OLD, 1)
        r.snapshot_wanted = 1
        f.wanted_count += 1
        return 0
    # Venue: E is when the answer was made, T the time of the book in it; updates newer than the
    # book may have been sent before the answer, so T is the time that fits in with them.
    stated_ms = m.transaction_ms if m.transaction_ms > 0 else m.event_ms
    venue_ns = stated_ms * MS_NS if stated_ms > 0 else r.venue_ns_last
    accept_snapshot(row, m.last_id)
    write_single(feed, r.symbol, EVENT_BEGIN, 0, origin_ns, venue_ns, 0, 0, m.last_id, 0)
    write_levels(
        feed, r.symbol, FLAG_SNAPSHOT, origin_ns, venue_ns, m.last_id,
        m.levels + m.bid_first * LEVEL_SIZE, m.bid_count,
        m.levels + m.ask_first * LEVEL_SIZE, m.ask_count, False,
    )  # fmt: skip
    write_single(feed, r.symbol, EVENT_END, LAST, origin_ns, venue_ns, 0, 0, m.last_id, 0)
    r.is_valid = 1
    count(f.counters, COUNT_SNAPSHOTS, 1)
    _replay_kept(feed, row, start)
    forget_kept(row)
    return 1


@kernel
def await_snapshot(feed: int, row: int) -> None:
    """Ask for a fresh snapshot; a book that is in order goes on while it is fetched."""
    r = sync_at(row)
    if r.state == SYNCED:
        forget_kept(row)
        r.is_keeping = 1
        r.snapshot_wanted = 1
        feed_at(feed).wanted_count += 1
    else:
        invalidate(feed, row, REASON_GAP)
