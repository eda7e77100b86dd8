"""The sequence rules as tables: one line per step.

diff U u pu      -> action of `on_update` (pu "-" = spot)
snap id          -> ok (accepted), skip N (accepted, N kept updates are in it), old
want             a gap or a lost connection: the book is withdrawn
two              a second connection of the symbol is open
keep             a fresh snapshot is wanted while the book goes on
"""

import ctypes

import pytest

from feed import sync
from feed.state import KEPT, Action, SyncState
from tests.feed.feed_samples import Bench

BENCH = Bench()
ROW = BENCH.memory.rows[0]
ADDRESS = ctypes.addressof(ROW)

TABLES = {
    "futures: u < lastUpdateId is dropped, U <= lastUpdateId <= u bridges": """
        want
        snap 100           -> ok
        diff 90 99 80      -> DROP
        diff 95 100 94     -> APPLY
        diff 101 120 100   -> APPLY
    """,
    "futures: both ends of the bridge are inclusive": """
        want
        snap 100           -> ok
        diff 100 130 99    -> APPLY
        diff 140 150 130   -> APPLY
    """,
    "futures: U is not the previous u + 1, pu counts": """
        want
        snap 100           -> ok
        diff 99 105 98     -> APPLY
        diff 111 120 105   -> APPLY
        diff 121 130 121   -> GAP
    """,
    "futures: an update that starts after the snapshot shows that it is too old": """
        want
        snap 100           -> ok
        diff 103 105 102   -> TOO_OLD
    """,
    "futures: pu equal to lastUpdateId follows without a gap": """
        want
        snap 100           -> ok
        diff 103 105 100   -> APPLY
    """,
    "a duplicate and an update out of order are gaps": """
        want
        snap 100           -> ok
        diff 99 105 98     -> APPLY
        diff 99 105 98     -> GAP
        want
        snap 120           -> ok
        diff 119 125 118   -> APPLY
        diff 131 135 130   -> GAP
    """,
    "updates are kept while the snapshot is fetched, and follow it": """
        want
        diff 80 89 79      -> BUFFER
        diff 90 99 89      -> BUFFER
        diff 100 110 99    -> BUFFER
        snap 95            -> skip 1
        diff 90 99 89      -> APPLY
        diff 100 110 99    -> APPLY
    """,
    "a snapshot older than the kept updates is taken again": """
        want
        diff 90 99 89      -> BUFFER
        snap 80            -> old
        diff 100 110 99    -> BUFFER
        snap 105           -> skip 1
    """,
    "a snapshot newer than all kept updates": """
        want
        diff 90 99 89      -> BUFFER
        snap 200           -> skip 1
        diff 150 160 149   -> DROP
        diff 195 205 190   -> APPLY
    """,
    "a gap among the kept updates makes the earlier ones useless": """
        want
        diff 90 99 89      -> BUFFER
        diff 120 130 119   -> BUFFER_ANEW
        diff 131 140 130   -> BUFFER
        snap 110           -> old
        snap 125           -> ok
    """,
    "spot: u <= lastUpdateId is dropped, then U = previous u + 1": """
        want
        snap 100           -> ok
        diff 90 100 -      -> DROP
        diff 99 105 -      -> APPLY
        diff 106 110 -     -> APPLY
        diff 112 115 -     -> GAP
    """,
    "spot: the first may start at lastUpdateId + 1, not later": """
        want
        snap 100           -> ok
        diff 101 105 -     -> APPLY
        want
        snap 200           -> ok
        diff 202 205 -     -> TOO_OLD
    """,
    "while a second connection takes over, what it brings twice is dropped": """
        want
        diff 90 99 89      -> BUFFER
        two
        diff 90 99 89      -> DUPLICATE
        snap 95            -> ok
        diff 90 99 89      -> APPLY
        diff 90 99 89      -> DUPLICATE
        diff 100 110 99    -> APPLY
        diff 130 140 129   -> GAP
    """,
    "a book that goes on while it is fetched again must not go back in time": """
        want
        snap 100           -> ok
        diff 99 105 98     -> APPLY
        keep
        snap 104           -> old
        snap 105           -> ok
        diff 106 110 105   -> APPLY
    """,
}


def keep(first, last, previous):
    entry = KEPT.at(ROW.kept + ROW.kept_size)
    entry.size = KEPT.size
    entry.first_id, entry.last_id, entry.previous_id = first, last, previous
    ROW.kept_size += KEPT.size
    ROW.kept_count += 1
    ROW.kept_last_id = last


def step(words):
    """Do one line; return its result as text."""
    if words[0] == "want":
        sync.want_snapshot(ADDRESS)
    elif words[0] == "two":
        ROW.source_count = 2
    elif words[0] == "keep":
        ROW.is_keeping = 1
    elif words[0] == "diff":
        first, last = int(words[1]), int(words[2])
        previous = -1 if words[3] == "-" else int(words[3])
        action = Action(sync.on_update(ADDRESS, first, last, previous))
        if action is Action.BUFFER_ANEW:
            sync.forget_kept(ADDRESS)
        if action in (Action.BUFFER, Action.BUFFER_ANEW):
            keep(first, last, previous)
        return action.name
    else:
        start = sync.on_snapshot(ADDRESS, int(words[1]))
        if start < 0:
            return "old"
        sync.accept_snapshot(ADDRESS, int(words[1]))
        sync.forget_kept(ADDRESS)
        assert ROW.state == SyncState.SYNCED
        return f"skip {start // KEPT.size}" if start else "ok"
    return ""


@pytest.mark.parametrize("name", TABLES)
def test_rules(name):
    ROW.state, ROW.source_count, ROW.is_bridged = SyncState.UNSYNCED, 1, 0
    ROW.kept_size = ROW.kept_count = ROW.kept_last_id = 0
    for number, line in enumerate(TABLES[name].strip().splitlines()):
        said, _, wanted = (part.strip() for part in line.partition("->"))
        assert step(said.split()) == wanted, f"line {number + 1}: {said}"


def test_updates_before_any_connection_are_kept():
    ROW.state, ROW.kept_count = SyncState.UNSYNCED, 0
    assert sync.on_update(ADDRESS, 1, 2, 0) == Action.BUFFER
