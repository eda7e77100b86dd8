"""Write market events in place into the broadcast ring, and count them."""

from __future__ import annotations

from feed.state import FEED, LEVEL_SIZE, SYNC
from runtime.clocks import mono_ns
from runtime.waits import ring_doorbell
from shm.compiled import kernel
from shm.counters import offset
from shm.histograms import count
from shm.memory import load_i64
from shm.records import MARKET_EVENT, EventFlag, EventKind
from shm.rings import claim_broadcast, publish
from shm.views import view_of

event_at = view_of(MARKET_EVENT)
feed_at = view_of(FEED)
sync_at = view_of(SYNC)

LEVEL = int(EventKind.LEVEL)
INVALID = int(EventKind.INVALID)
SIDE_ASK = int(EventFlag.SIDE_ASK)
LAST = int(EventFlag.LAST)

COUNT_EVENTS = offset("feed.events")
COUNT_LEVELS = offset("feed.levels")
DELTA_MAX = (1 << 32) - 1


@kernel
def write_event(
    feed: int,
    symbol: int,
    kind: int,
    flags: int,
    origin_ns: int,
    venue_ns: int,
    delta_ns: int,
    price_tick: int,
    quantity_lot: int,
    third: int,
    fourth: int,
) -> None:
    """Publish one market event.

    Args:
        feed: FEED.
        symbol: index.
        kind: EventKind.
        flags: EventFlag bits.
        origin_ns: receive stamp.
        venue_ns: event time.
        delta_ns: written − origin, ≥ 0.
        price_tick: see MARKET_EVENT.
        quantity_lot: likewise.
        third: ask_tick, or the update id.
        fourth: ask_lot.
    """
    f = feed_at(feed)
    slot = claim_broadcast(f.ring)
    event = event_at(slot)
    event.origin_ns = origin_ns
    event.venue_ns = venue_ns
    event.price_tick = price_tick
    event.quantity_lot = quantity_lot
    event.ask_tick = third
    event.ask_lot = fourth
    event.symbol = symbol
    event.kind = kind
    event.flags = flags
    event.written_delta_ns = min(max(delta_ns, 0), DELTA_MAX)
    publish(f.ring, slot)
    f.unannounced += 1


@kernel
def write_side(
    feed: int,
    symbol: int,
    flags: int,
    origin_ns: int,
    venue_ns: int,
    delta_ns: int,
    update_id: int,
    levels: int,
    level_count: int,
    is_last: bool,
) -> None:
    """Publish the levels of one side; the last one gets LAST if `is_last`.

    `levels`: address of `level_count` (tick, lot) pairs. Loop bound: level_count.
    """
    for index in range(level_count):
        place = levels + index * LEVEL_SIZE
        end = LAST if is_last and index == level_count - 1 else 0
        write_event(
            feed, symbol, LEVEL, flags | end, origin_ns, venue_ns, delta_ns,
            load_i64(place), load_i64(place + 8), update_id, 0,
        )  # fmt: skip


@kernel
def write_levels(
    feed: int,
    symbol: int,
    flags: int,
    origin_ns: int,
    venue_ns: int,
    update_id: int,
    bids: int,
    bid_count: int,
    asks: int,
    ask_count: int,
    ends_message: bool,
) -> None:
    """Publish the levels of one update, bids first. Loop bound: the levels."""
    f = feed_at(feed)
    delta_ns = mono_ns() - origin_ns
    bids_end = ends_message and ask_count == 0
    write_side(
        feed, symbol, flags, origin_ns, venue_ns, delta_ns, update_id, bids, bid_count, bids_end
    )
    write_side(
        feed, symbol, flags | SIDE_ASK, origin_ns, venue_ns, delta_ns, update_id, asks, ask_count,
        ends_message,
    )  # fmt: skip
    count(f.counters, COUNT_EVENTS, bid_count + ask_count)
    count(f.counters, COUNT_LEVELS, bid_count + ask_count)


@kernel
def write_single(
    feed: int,
    symbol: int,
    kind: int,
    flags: int,
    origin_ns: int,
    venue_ns: int,
    price_tick: int,
    quantity_lot: int,
    third: int,
    fourth: int,
) -> int:
    """Publish and count an event of its own; return written − origin in ns."""
    delta_ns = mono_ns() - origin_ns
    write_event(
        feed, symbol, kind, flags, origin_ns, venue_ns, delta_ns,
        price_tick, quantity_lot, third, fourth,
    )  # fmt: skip
    count(feed_at(feed).counters, COUNT_EVENTS, 1)
    return delta_ns


@kernel
def write_invalid(feed: int, row: int, reason: int) -> None:
    """Publish that a symbol's book is not to be trusted."""
    r = sync_at(row)
    write_single(feed, r.symbol, INVALID, LAST, mono_ns(), r.venue_ns_last, 0, reason, 0, 0)
    r.is_valid = 0


@kernel
def announce(feed: int) -> None:
    """Ring the readers' doorbells if records were published since the last time."""
    f = feed_at(feed)
    if f.unannounced == 0:
        return
    f.unannounced = 0
    ring_doorbell(f.engine_doorbell)
    ring_doorbell(f.risk_doorbell)
