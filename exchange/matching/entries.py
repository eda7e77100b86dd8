"""Match orders by price, then time: what the exchange calls, compiled.

    status = matching_submit(book, order_id, owner, side, price_tick, quantity_lot, how)

An entry checks everything first: a refusal (below 0) leaves the book as it was. What happened
stands in the header's result words, the changes and the events, until the next entry.

Invariant: between two entries the best bid is below the best ask.
"""

from __future__ import annotations

from exchange.matching.layout import (
    BAD_HOW,
    BAD_OWNER,
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_SIDE,
    BUSY,
    BUY,
    CROSSES,
    DONE,
    EXPIRE_BOTH,
    EXPIRE_MAKER,
    EXPIRE_TAKER,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    HOW_MAX,
    IOC,
    LEVELS_FULL,
    NOT_PAUSED,
    OWNER_MAX,
    PAUSE,
    PAUSED,
    PRICE_TICK_MAX,
    QUANTITY_LOT_MAX,
    RESTS,
    SELL,
    TIME_IN_FORCE_MASK,
    UNKNOWN,
    WORD,
)
from exchange.matching.levels import (
    book_at,
    find_level,
    has_free_level,
    keys_of,
    level_at,
    level_count,
    note_change,
    note_event,
    order_at,
    refresh_best,
    set_level_count,
)
from exchange.matching.queues import append, resting, room_for, unlink, withdraw
from shm.compiled import export, kernel
from shm.memory import load_i64


@kernel
def begin(book: int) -> None:
    """Clear what the last entry left behind."""
    header = book_at(book)
    header.slot = -1
    header.remaining_lot = 0
    header.event_count = 0
    header.change_count = 0
    header.taker_prevented = 0


@kernel
def crosses(book: int, side: int, price_tick: int) -> bool:
    """Tell whether a limit at that price would take."""
    header = book_at(book)
    best = header.best_ask if side == BUY else header.best_bid
    return best != 0 and (best - price_tick) * side <= 0


@kernel
def available(book: int, side: int, limit_tick: int, wanted_lot: int, not_owner: int) -> int:
    """Return what an order could take up to its limit (0: none), at most `wanted_lot`.

    Orders of `not_owner` do not count (0: all count). Loop bound: levels of the other side, and
    their orders when an owner is left out.
    """
    keys = keys_of(book, -side)
    slots = keys + book_at(book).level_capacity * WORD
    place = level_count(book, -side) - 1
    found = 0
    while place >= 0 and found < wanted_lot:
        level = level_at(book, load_i64(slots + place * WORD))
        if limit_tick != 0 and (level.price_tick - limit_tick) * side > 0:
            break
        found += level.total_lot
        slot = level.head if not_owner != 0 else -1
        while slot >= 0:
            order = order_at(book, slot)
            if order.owner == not_owner:
                found -= order.remaining_lot
            slot = order.following
        place -= 1
    return min(found, wanted_lot)


@kernel
def fill_level(
    book: int, place: int, side: int, quantity_lot: int, owner: int, prevention: int, pause: int
) -> int:
    """Fill a taker from one level, oldest order first; return what is left of it.

    Sets `taker_prevented`, or `taker_side` when it pauses. Loop bound: the level's orders; each
    turn but the last removes one.

    # Venue: "Self Trade Prevention FAQ": the taker's mode decides; what remains expires.
    """
    header = book_at(book)
    level = level_at(book, place)
    price_tick = level.price_tick
    while quantity_lot > 0 and level.count > 0:
        slot = level.head
        maker = order_at(book, slot)
        maker_owner = maker.owner
        if prevention != 0 and maker_owner == owner:
            if prevention & EXPIRE_MAKER != 0:
                note_event(book, slot, price_tick, 0, maker.remaining_lot)
                unlink(book, slot)
            if prevention & EXPIRE_TAKER != 0:
                header.taker_prevented = 1
                break
            continue
        lot = min(quantity_lot, maker.remaining_lot)
        quantity_lot -= lot
        maker.remaining_lot -= lot
        level.total_lot -= lot
        note_event(book, slot, price_tick, lot, maker.remaining_lot)
        if maker.remaining_lot == 0:
            unlink(book, slot)
        if pause != 0 and maker_owner != 0 and quantity_lot > 0:
            header.taker_side = side
            break
    return quantity_lot


@kernel
def take(book: int, owner: int, side: int, limit_tick: int, quantity_lot: int, how: int) -> int:
    """Let a taker walk the other side up to its limit (0: none); return what is left of it.

    Loop bound: the levels of the other side; each turn but the last drops one.

    # Venue: "Self Trade Prevention FAQ", USDⓈ-M: it has no effect with FOK and GTX.
    """
    header = book_at(book)
    force = how & TIME_IN_FORCE_MASK
    works = owner != 0 and force in (GTC, IOC)
    prevention = how & EXPIRE_BOTH if works else 0
    slots = keys_of(book, -side) + header.level_capacity * WORD
    while quantity_lot > 0:
        count = level_count(book, -side)
        if count == 0:
            break
        place = load_i64(slots + (count - 1) * WORD)
        level = level_at(book, place)
        if limit_tick != 0 and (level.price_tick - limit_tick) * side > 0:
            break
        before_lot = level.total_lot
        quantity_lot = fill_level(book, place, side, quantity_lot, owner, prevention, how & PAUSE)
        if level.total_lot != before_lot:
            note_change(book, -side, level.price_tick, level.total_lot)
        if level.count == 0:
            # It is the best one: the last entry of its side.
            set_level_count(book, -side, count - 1)
            level.head = header.level_free
            header.level_free = place
        if header.taker_prevented != 0 or header.taker_side != 0:
            break
    return quantity_lot


@kernel
def conclude(
    book: int, order_id: int, owner: int, side: int, price_tick: int, left_lot: int, how: int
) -> int:
    """Decide what becomes of the rest of a taker; return the status."""
    header = book_at(book)
    force = how & TIME_IN_FORCE_MASK
    status = EXPIRED
    if left_lot == 0:
        status = FILLED
    elif header.taker_side != 0:
        header.taker_id = order_id
        header.taker_owner = owner
        header.taker_price_tick = price_tick
        header.taker_lot = left_lot
        header.taker_how = how
        status = PAUSED
    elif header.taker_prevented == 0 and force in (GTC, GTX):
        slot = append(book, order_id, owner, side, price_tick, left_lot)
        note_change(
            book, side, price_tick, level_at(book, order_at(book, slot).level - 1).total_lot
        )
        header.slot = slot
        status = RESTS
    header.remaining_lot = left_lot
    refresh_best(book)
    return status


@kernel
def check(book: int, price_tick: int, quantity_lot: int, how: int) -> int:
    """Return 0 when these can be accepted, else the first reason why not."""
    if how < 0 or how > HOW_MAX:
        return BAD_HOW
    force = how & TIME_IN_FORCE_MASK
    is_market = price_tick == 0 and force in (IOC, FOK)
    if not is_market and (price_tick < 1 or price_tick > PRICE_TICK_MAX):
        return BAD_PRICE
    if quantity_lot < 1 or quantity_lot > QUANTITY_LOT_MAX:
        return BAD_QUANTITY
    if book_at(book).taker_side != 0:
        return BUSY
    return 0


@export(7)
def matching_submit(
    book: int, order_id: int, owner: int, side: int, price_tick: int, quantity_lot: int, how: int
) -> int:
    """Match an order; by its time in force the rest stays in the book or is gone.

    Args:
        book: address of a formatted book.
        order_id: the caller's number.
        owner: 0 the market's own flow, else the group within which orders do not trade.
        side: BUY or SELL.
        price_tick: limit in ticks; 0 for none, with IOC and FOK only.
        quantity_lot: lots, 1 … QUANTITY_LOT_MAX.
        how: time in force, self-trade prevention, PAUSE.

    Returns:
        RESTS, FILLED, EXPIRED or PAUSED; below 0 a refusal. Loop bounds: those of `take`, with
        FOK of `available` as well.
    """
    if side != BUY and side != SELL:
        return BAD_SIDE
    if owner < 0 or owner > OWNER_MAX:
        return BAD_OWNER
    refusal = check(book, price_tick, quantity_lot, how)
    if refusal != 0:
        return refusal
    force = how & TIME_IN_FORCE_MASK
    if force == GTX and crosses(book, side, price_tick):
        return CROSSES
    if force in (GTC, GTX):
        refusal = room_for(book, side, price_tick)
        if refusal != 0:
            return refusal
    begin(book)
    left_lot = quantity_lot
    if force != FOK or available(book, side, price_tick, quantity_lot, 0) == quantity_lot:
        left_lot = take(book, owner, side, price_tick, quantity_lot, how)
    return conclude(book, order_id, owner, side, price_tick, left_lot, how)


@export(1)
def matching_submit_asked(book: int) -> int:
    """Do `matching_submit` with the order that stands in the header's request words.

    For Python: one write of six words and one argument cost half of what seven arguments cost.
    """
    asked = book_at(book)
    return matching_submit(
        book,
        asked.asked_id,
        asked.asked_owner,
        asked.asked_side,
        asked.asked_price_tick,
        asked.asked_lot,
        asked.asked_how,
    )


@export(2)
def matching_resume(book: int, quantity_lot: int) -> int:
    """Go on with the paused taker, with that many lots at most (-1: all; 0 drops the rest).

    Returns:
        As `matching_submit`; NOT_PAUSED, or BAD_QUANTITY for more than what is left of it.
    """
    header = book_at(book)
    side = header.taker_side
    if side == 0:
        return NOT_PAUSED
    if quantity_lot < -1 or quantity_lot > header.taker_lot:
        return BAD_QUANTITY
    left_lot = header.taker_lot if quantity_lot == -1 else quantity_lot
    begin(book)
    header.taker_side = 0
    owner = header.taker_owner
    limit_tick = header.taker_price_tick
    how = header.taker_how
    left_lot = take(book, owner, side, limit_tick, left_lot, how)
    return conclude(book, header.taker_id, owner, side, limit_tick, left_lot, how)


@export(3)
def matching_cancel(book: int, slot: int, order_id: int) -> int:
    """Take a resting order out of the book; return DONE, or UNKNOWN."""
    if not resting(book, slot, order_id):
        return UNKNOWN
    begin(book)
    book_at(book).remaining_lot = order_at(book, slot).remaining_lot
    withdraw(book, slot)
    refresh_best(book)
    return DONE


@export(4)
def matching_reduce(book: int, slot: int, order_id: int, remaining_lot: int) -> int:
    """Shrink a resting order to what shall remain; it keeps its place.

    Returns:
        DONE, UNKNOWN, or BAD_QUANTITY when it is below 1 or more than what remains.
    """
    if not resting(book, slot, order_id):
        return UNKNOWN
    order = order_at(book, slot)
    if remaining_lot < 1 or remaining_lot > order.remaining_lot:
        return BAD_QUANTITY
    begin(book)
    header = book_at(book)
    level = level_at(book, order.level - 1)
    if remaining_lot != order.remaining_lot:
        level.total_lot -= order.remaining_lot - remaining_lot
        order.remaining_lot = remaining_lot
        note_change(book, order.side, order.price_tick, level.total_lot)
    header.slot = slot
    header.remaining_lot = remaining_lot
    refresh_best(book)
    return DONE


@export(6)
def matching_amend(
    book: int, slot: int, order_id: int, price_tick: int, remaining_lot: int, how: int
) -> int:
    """Give a resting order another price or size: it leaves and is matched anew.

    Args:
        book: address of a formatted book.
        slot: where it rests.
        order_id: its number.
        price_tick: the new limit.
        remaining_lot: what shall remain of it.
        how: GTC or GTX, with what `matching_submit` knows besides.

    Returns:
        As `matching_submit`; UNKNOWN, or CROSSES for a GTX, which then stays as it was.

    # Venue: "Modify Order", USDⓈ-M: modified orders will be reordered in the match queue.
    """
    if not resting(book, slot, order_id):
        return UNKNOWN
    refusal = check(book, price_tick, remaining_lot, how)
    if refusal != 0:
        return refusal
    force = how & TIME_IN_FORCE_MASK
    if force not in (GTC, GTX):
        return BAD_HOW
    order = order_at(book, slot)
    owner = order.owner
    side = order.side
    if force == GTX and crosses(book, side, price_tick):
        return CROSSES
    leaves_level = level_at(book, order.level - 1).count == 1
    if not leaves_level and not has_free_level(book) and find_level(book, side, price_tick) < 0:
        return LEVELS_FULL
    begin(book)
    withdraw(book, slot)
    left_lot = take(book, owner, side, price_tick, remaining_lot, how)
    return conclude(book, order_id, owner, side, price_tick, left_lot, how)


@export(5)
def matching_available(
    book: int, side: int, limit_tick: int, wanted_lot: int, not_owner: int
) -> int:
    """Exported `available`; BAD_SIDE for another side."""
    if side != BUY and side != SELL:
        return BAD_SIDE
    return available(book, side, limit_tick, wanted_lot, not_owner)
