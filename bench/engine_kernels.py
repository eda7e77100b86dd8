"""The measured loops over a book and over real rings. bench/twins/engine.cpp mirrors the first."""

from __future__ import annotations

from engine.book import PAIR_SIZE, apply_level, keep_best_levels
from engine.loop import engine_run
from runtime.clocks import mono_ns
from shm.atomics import pause
from shm.compiled import export
from shm.memory import copy_bytes, load_i64
from shm.records import MARKET_EVENT
from shm.rings import claim_broadcast, publish
from shm.views import view_of

event_at = view_of(MARKET_EVENT)
EVENT_SIZE = MARKET_EVENT.size
PAYLOAD_SIZE = MARKET_EVENT.offset("sequence")
STEP_SIZE = 24  # side, price, quantity


@export(5)
def book_steps(book: int, steps: int, count: int, levels: int, out: int) -> int:
    """Apply level updates and keep the best levels of both sides; return a fold.

    The best levels of the updated side are read after each.

    Args:
        book: address of a BOOK.
        steps: i64[count][3]: side, price in ticks, quantity in lots.
        count: steps.
        levels: read after each step, ≤ 20.
        out: i64[2][levels][2], where the best levels of both sides are kept.

    Loop bound: count × levels.
    """
    answer = 0
    bids = 0
    asks = 0
    for index in range(count):
        step = steps + index * STEP_SIZE
        is_ask = load_i64(step)
        apply_level(book, is_ask, load_i64(step + 8), load_i64(step + 16))
        if levels == 0:
            continue
        pairs = out + is_ask * levels * PAIR_SIZE
        known = bids
        if is_ask != 0:
            known = asks
        found = keep_best_levels(book, is_ask, load_i64(step + 8), levels, pairs, known)
        if is_ask != 0:
            asks = found
        else:
            bids = found
        for place in range(found):
            pair = pairs + place * PAIR_SIZE
            answer += load_i64(pair) ^ (load_i64(pair + 8) << place)
    return answer


@export(4)
def write_scheduled(ring: int, events: int, count: int, period_ns: int) -> int:
    """Write events into a broadcast ring at fixed times; each is stamped when it is written.

    Loop bound: count, and the time until each is due.
    """
    first = mono_ns() + period_ns
    for index in range(count):
        while mono_ns() < first + index * period_ns:
            pause()
        slot = claim_broadcast(ring)
        copy_bytes(slot, events + index * EVENT_SIZE, PAYLOAD_SIZE)
        event_at(slot).origin_ns = mono_ns()
        publish(ring, slot)
    return count


@export(4)
def write_and_run(ring: int, engine: int, events: int, count: int) -> int:
    """Write events into the market ring and let the engine take each at once; return the items.

    Loop bound: count.
    """
    worked = 0
    for index in range(count):
        slot = claim_broadcast(ring)
        copy_bytes(slot, events + index * EVENT_SIZE, PAYLOAD_SIZE)
        event_at(slot).origin_ns = mono_ns()
        publish(ring, slot)
        # A deadline in the past: one look, then it returns.
        worked += engine_run(engine, 1)
    return worked
