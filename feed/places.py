"""Which field of a venue message goes where: names, places in MESSAGE, bits of `seen`."""

# ruff: noqa: SIM109  # a tuple would be built and searched at run time

from __future__ import annotations

from feed.names import NAME_SNAPSHOT_ASKS, NAME_SNAPSHOT_BIDS, NAME_SNAPSHOT_ID
from feed.state import MESSAGE
from shm.compiled import inline_kernel, kernel

# A name of one letter is its own code; of two, its two bytes; longer ones: feed.names.
A, A_UPPER, B, B_UPPER = ord("a"), ord("A"), ord("b"), ord("B")
E, E_UPPER, M, P, Q, S, T, T_UPPER = (ord(c) for c in "eEmpqstT")
U, U_UPPER, X_UPPER = ord("u"), ord("U"), ord("X")
PU = ord("p") | ord("u") << 8

# Bit of a field in `seen`: letters at their distance from "A"; the rest where no letter is.
BIT_A_TEXT, BIT_A_LIST, BIT_B_LIST = 26, 27, 28
BIT_PU, BIT_SNAPSHOT_ID, BIT_BIDS, BIT_ASKS, BIT_DATA = 58, 59, 60, 61, 62


def bits_of(letters: str) -> int:
    """Return the bits of fields with one letter."""
    return sum(1 << (ord(letter) - A_UPPER) for letter in letters)


_o = MESSAGE.offset
EVENT_MS, TRANSACTION_MS = _o("event_ms"), _o("transaction_ms")
FIRST_ID, LAST_ID, PREVIOUS_ID = _o("first_id"), _o("last_id"), _o("previous_id")
TRADE_ID, AGGREGATE_ID = _o("trade_id"), _o("aggregate_id")
PRICE, QUANTITY = _o("price_tick"), _o("quantity_lot")
BID_TICK, BID_LOT, ASK_TICK, ASK_LOT = _o("bid_tick"), _o("bid_lot"), _o("ask_tick"), _o("ask_lot")


@inline_kernel
def number_place(name: int) -> int:
    """Return where a field that is a number goes: offset × 64 + bit; 0 = skipped."""
    if name == E_UPPER:
        return EVENT_MS << 6 | (E_UPPER - A_UPPER)
    if name == T_UPPER:
        return TRANSACTION_MS << 6 | (T_UPPER - A_UPPER)
    if name == U:
        return LAST_ID << 6 | (U - A_UPPER)
    if name == U_UPPER:
        return FIRST_ID << 6 | (U_UPPER - A_UPPER)
    if name == PU:
        return PREVIOUS_ID << 6 | BIT_PU
    if name == T:
        return TRADE_ID << 6 | (T - A_UPPER)
    if name == A:
        return AGGREGATE_ID << 6 | (A - A_UPPER)
    if name == NAME_SNAPSHOT_ID:
        return LAST_ID << 6 | BIT_SNAPSHOT_ID
    return 0


@inline_kernel
def decimal_place(name: int) -> int:
    """Return where a field that is a decimal text goes: offset × 64 + bit; 0 = not one."""
    if name == P:
        return PRICE << 6 | (P - A_UPPER)
    if name == Q:
        return QUANTITY << 6 | (Q - A_UPPER)
    if name == B:
        return BID_TICK << 6 | (B - A_UPPER)
    if name == B_UPPER:
        return BID_LOT << 6 | (B_UPPER - A_UPPER)
    if name == A:
        return ASK_TICK << 6 | BIT_A_TEXT
    if name == A_UPPER:
        return ASK_LOT << 6  # bit 0
    return 0


@kernel
def is_ours(name: int) -> bool:
    """Return whether a field of this name must have one of the forms read here."""
    if number_place(name) != 0 or decimal_place(name) != 0:
        return True
    if name == S or name == E or name == M or name == X_UPPER:
        return True
    return name == NAME_SNAPSHOT_BIDS or name == NAME_SNAPSHOT_ASKS
