"""The sequence rules of depth data, per symbol: a pure function of ids and of the symbol's row.

Venue: "How to manage a local order book correctly". USDⓈ-M: updates with u < lastUpdateId are
dropped, the first one applied has U ≤ lastUpdateId ≤ u, then every pu equals the previous u. Spot:
u ≤ lastUpdateId is dropped, the first has U ≤ lastUpdateId + 1, then every U is the previous u + 1;
it has no pu. A first update whose pu is lastUpdateId itself follows without a gap and is taken too:
it is what a quiet book gives when the snapshot was made between two updates.
"""

from __future__ import annotations

from feed.state import KEPT, SYNC, Action, SyncState
from shm.compiled import kernel
from shm.views import view_of

sync_at = view_of(SYNC)
kept_at = view_of(KEPT)

APPLY = int(Action.APPLY)
DROP = int(Action.DROP)
BUFFER = int(Action.BUFFER)
BUFFER_ANEW = int(Action.BUFFER_ANEW)
GAP = int(Action.GAP)
TOO_OLD = int(Action.TOO_OLD)
DUPLICATE = int(Action.DUPLICATE)

UNSYNCED = int(SyncState.UNSYNCED)
WAITING_SNAPSHOT = int(SyncState.WAITING_SNAPSHOT)
SYNCED = int(SyncState.SYNCED)


@kernel
def _follows(first_id: int, previous_id: int, last_id: int) -> bool:
    """Return whether an update comes directly after the one that ended with `last_id`."""
    return previous_id == last_id if previous_id >= 0 else first_id == last_id + 1


@kernel
def _is_older(last_id: int, previous_id: int, snapshot_id: int) -> bool:
    """Return whether all of an update is in the snapshot and cannot be the first one applied."""
    return last_id < snapshot_id if previous_id >= 0 else last_id <= snapshot_id


@kernel
def _bridges(first_id: int, previous_id: int, snapshot_id: int) -> bool:
    """Return whether an update that is not older starts within or directly after the snapshot."""
    return first_id <= snapshot_id or _follows(first_id, previous_id, snapshot_id)


@kernel
def on_update(row: int, first_id: int, last_id: int, previous_id: int) -> int:
    """Return what to do with a depth update, and note its ids in the row.

    Args:
        row: SYNC of its symbol.
        first_id: U.
        last_id: u.
        previous_id: pu; -1 where the venue has none.

    Returns:
        an `Action`. GAP and TOO_OLD change nothing: the caller declares the book invalid.
    """
    r = sync_at(row)
    if r.state != SYNCED:
        if r.kept_count > 0 and not _follows(first_id, previous_id, r.kept_last_id):
            # While a second connection takes over, both bring the same updates.
            if r.source_count > 1 and last_id <= r.kept_last_id:
                return DUPLICATE
            return BUFFER_ANEW
        return BUFFER
    if r.is_bridged:
        if not _follows(first_id, previous_id, r.last_id):
            return DUPLICATE if r.source_count > 1 and last_id <= r.last_id else GAP
    else:
        if _is_older(last_id, previous_id, r.snapshot_id):
            return DROP
        if not _bridges(first_id, previous_id, r.snapshot_id):
            return TOO_OLD
        r.is_bridged = 1
    r.last_id = last_id
    return APPLY


@kernel
def on_snapshot(row: int, snapshot_id: int) -> int:
    """Return from which byte of the kept updates to go on after a snapshot, or -1: too old.

    Args:
        row: SYNC of its symbol; nothing is changed.
        snapshot_id: lastUpdateId.

    Loop bound: kept_count.
    """
    r = sync_at(row)
    offset = 0
    for _ in range(r.kept_count):
        entry = kept_at(r.kept + offset)
        if not _is_older(entry.last_id, entry.previous_id, snapshot_id):
            bridged = _bridges(entry.first_id, entry.previous_id, snapshot_id)
            return offset if bridged else -1
        offset += entry.size
    # An applied book must not go back in time.
    if r.state == SYNCED:
        newest = r.last_id if r.is_bridged else r.snapshot_id
        if snapshot_id < newest:
            return -1
    return offset


@kernel
def accept_snapshot(row: int, snapshot_id: int) -> None:
    """Note in the row that a snapshot was applied; kept updates follow by `on_update`."""
    r = sync_at(row)
    r.state = SYNCED
    r.snapshot_id = snapshot_id
    r.is_bridged = 0
    r.is_keeping = 0
    r.snapshot_wanted = 0


@kernel
def forget_kept(row: int) -> None:
    """Drop the kept updates."""
    r = sync_at(row)
    r.kept_size = 0
    r.kept_count = 0
    r.kept_last_id = 0


@kernel
def want_snapshot(row: int) -> None:
    """Withdraw the book: updates are kept from here on, until a snapshot is there."""
    r = sync_at(row)
    forget_kept(row)
    r.state = WAITING_SNAPSHOT
    r.is_bridged = 0
    r.is_keeping = 0
    r.snapshot_wanted = 1
