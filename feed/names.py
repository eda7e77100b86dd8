"""Recognise the words of the wire: names of fields, kinds of events, symbols."""

from __future__ import annotations

from feed.scan import OPEN_OBJECT, QUOTE, string_end
from feed.state import MESSAGE, SYNC, Code, Kind
from shm.compiled import inline_kernel, kernel
from shm.memory import load_i64, load_u8, shift_left
from shm.views import address_of, view_of

message_at = view_of(MESSAGE)
sync_at = view_of(SYNC)
SYNC_SIZE = SYNC.size

IGNORED = int(Code.IGNORED)

# Codes of names longer than two letters; names of one or two letters are their own bytes.
NAME_UNKNOWN = 1 << 16
NAME_DATA = NAME_UNKNOWN + 1
NAME_SNAPSHOT_ID = NAME_UNKNOWN + 2
NAME_SNAPSHOT_BIDS = NAME_UNKNOWN + 3
NAME_SNAPSHOT_ASKS = NAME_UNKNOWN + 4

DEPTH = int(Kind.DEPTH)
TRADE = int(Kind.TRADE)
AGGREGATE = int(Kind.AGGREGATE)
BEST = int(Kind.BEST)
MARK = int(Kind.MARK)
EVENT_KIND_NONE = int(Kind.NONE)


def _word(text: str) -> int:
    """Return up to eight characters as the signed word they are in memory."""
    return int.from_bytes(text.encode().ljust(8, b"\0"), "little", signed=True)


MASK_5 = (1 << 40) - 1
MASK_6 = (1 << 48) - 1
MASK_4 = (1 << 32) - 1
WORD_DATA = _word('data"')
WORD_BIDS = _word('bids"')
WORD_ASKS = _word('asks"')
WORD_LAST_UPDATE = _word("lastUpda")
WORD_TE_ID = _word("teId")
SIZE_LAST_UPDATE_ID = len('lastUpdateId"')
WORD_TRADE = _word('trade"')
WORD_AGG_TRADE = _word("aggTrade")
WORD_BOOK_TICKER = _word("bookTick")
WORD_ER = _word('er"')
WORD_DEPTH_UPDATE = _word("depthUpd")
WORD_ATE = _word('ate"')
WORD_MARK_PRICE = _word("markPric")
WORD_E_UPDATE = _word('eUpdate"')
WORD_STREAM = _word('{"stream')
WORD_AFTER_STREAM = _word('":"')
WORD_BEFORE_DATA = _word(',"data":')
WORD_TRUE = _word("true")
WORD_FALSE = _word("false")
WORD_MARKET = _word('MARKET"')
MASK_7 = (1 << 56) - 1
MASK_3 = (1 << 24) - 1


@kernel
def long_name(word: int, after: int) -> int:
    """Return the code of a name of more than two letters.

    Args:
        word: its first eight bytes.
        after: position behind its closing quote.
    """
    if word & MASK_5 == WORD_DATA:
        return NAME_DATA
    if word & MASK_5 == WORD_BIDS:
        return NAME_SNAPSHOT_BIDS
    if word & MASK_5 == WORD_ASKS:
        return NAME_SNAPSHOT_ASKS
    if word == WORD_LAST_UPDATE:
        first = after - SIZE_LAST_UPDATE_ID
        if load_i64(first) == word and load_i64(first + 8) & MASK_4 == WORD_TE_ID:
            return NAME_SNAPSHOT_ID
    return NAME_UNKNOWN


@inline_kernel
def event_kind(p: int) -> tuple[int, int]:
    """Return (kind, position behind the closing quote) of an event's name.

    p stands behind the opening quote. A kind that is not used is EVENT_KIND_NONE.
    """
    word = load_i64(p)
    kind = EVENT_KIND_NONE
    size = 0
    if word & MASK_6 == WORD_TRADE:
        kind, size = TRADE, 6
    else:
        # p ≤ end: what is compared stays within the bytes read ahead, and a name that runs over the
        # end gives a position the caller refuses.
        second = load_i64(p + 8)
        if word == WORD_AGG_TRADE and second & 0xFF == QUOTE:
            kind, size = AGGREGATE, 9
        elif word == WORD_BOOK_TICKER and second & MASK_3 == WORD_ER:
            kind, size = BEST, 11
        elif word == WORD_DEPTH_UPDATE and second & MASK_4 == WORD_ATE:
            kind, size = DEPTH, 12
        elif word == WORD_MARK_PRICE and second == WORD_E_UPDATE:
            kind, size = MARK, 16
    return kind, p + size


@inline_kernel
def _is_symbol(p: int, end: int, row: int) -> bool:
    """Return whether a row's name and a closing quote stand at p. Loop bound: 3 words."""
    r = sync_at(row)
    size = r.name_size
    if p + size >= end or load_u8(p + size) != QUOTE:
        return False
    name = address_of(r.name)
    done = 0
    while done < size:
        differing = load_i64(p + done) ^ load_i64(name + done)
        left = size - done
        if left < 8:
            differing &= shift_left(1, 8 * left) - 1
        if differing != 0:
            return False
        done += 8
    return True


@kernel
def symbol_index(p: int, end: int, grid: int, message: int) -> tuple[int, int]:
    """Return (index, position behind the closing quote) of a symbol's name at p.

    The expected symbol (`grid`) is compared first; IGNORED for one that is not traded. Loop bound:
    the symbols traded.
    """
    if _is_symbol(p, end, grid):
        return sync_at(grid).symbol, p + sync_at(grid).name_size + 1
    after = string_end(p, end)
    if after < 0:
        return after, end
    m = message_at(message)
    for index in range(m.row_count):
        row = m.rows + index * SYNC_SIZE
        if _is_symbol(p, end, row):
            return index, after
    return IGNORED, after


@kernel
def inside_data(p: int, end: int) -> int:
    """Return the position behind `{"stream":"…","data":{` at p ≤ end, or 0 for another start."""
    if load_i64(p) != WORD_STREAM or load_i64(p + 8) & MASK_3 != WORD_AFTER_STREAM:
        return 0
    p = string_end(p + 11, end)
    if p < 0 or load_i64(p) != WORD_BEFORE_DATA or load_u8(p + 8) != OPEN_OBJECT:
        return 0
    return p + 9
