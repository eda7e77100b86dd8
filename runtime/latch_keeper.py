"""The supervisor's part of the kill latch: kept in a file, told to people, taken over at a start.

Whoever trips, the words in shared memory act at once; the file makes them outlive the run, and the
warning tells people, both within one turn of the supervisor (50 ms).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runtime.instance_folder import FolderError, InstanceFolder, LatchRow, Venue
from shm import segments, topology
from shm.latch_table import MEANINGS, Latch, LatchReason, forget_voided, held, trip
from shm.tables import CONTROL


def row_of(latch: Latch, note: str = "", venue: Venue | None = None) -> LatchRow:
    """Return a trip as it is kept, its monotonic stamp turned into wall-clock time.

    Args:
        latch: the trip.
        note: the user, or the stage.
        venue: of the run that was tripped, if there is one.
    """
    wall_s = (time.time_ns() - time.monotonic_ns() + latch.tripped_ns) // 1_000_000_000
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_s))
    meaning = MEANINGS[latch.reason]
    where = (venue.mode, venue.rest_url) if venue else ("", "")
    reason = latch.reason.name.lower()
    return LatchRow(latch.writer, reason, meaning, at, latch.tripped_ns, note, *where)


def adopt_leftovers(instance: str, folder: InstanceFolder) -> None:
    """Keep what was latched in the segments of a run whose processes were all killed.

    The last trip of such a run may not have reached the file.

    Raises:
        FolderError: the latch file cannot be written.
    """
    try:
        segment = segments.attach(topology.segment_names(instance)["control"])
    except segments.SegmentError:
        return  # there are none, or they are of another build: the file has to do
    control = CONTROL.at(segment.address + topology.CONTROL_AREAS["control"])
    try:
        venue = folder.venue()
    except FolderError:
        venue = None
    rows = [row_of(latch, venue=venue) for latch in held(control)]
    del control
    segment.close()
    if rows:
        folder.add_latches(rows)


class LatchKeeper:
    """Watch the latch words of a running instance.

    Args:
        control: CONTROL record, in place.
        folder: where latches are kept.
        venue: of the run.
        log: of the supervisor.
        warn: tells people.
    """

    def __init__(
        self,
        control: Any,
        folder: InstanceFolder,
        venue: Venue,
        log: Any,
        warn: Callable[[str], None],
    ) -> None:
        self._control = control
        self._folder = folder
        self._venue = venue
        self._log = log
        self._warn = warn
        self._seen: list[Latch] = []
        self._note = ""

    def take_over(self, since: str = "since an earlier run") -> None:
        """Hold what the file says: the supervisor trips in the place of whoever did."""
        rows = self._folder.latches()
        if not rows:
            return
        names = {reason.name.lower(): reason for reason in LatchReason}
        trip(self._control, "supervisor", names.get(rows[0].reason, LatchReason.SUPERVISOR))
        self._seen = held(self._control)
        for row in rows:
            self._warn(f"latched {since}, no entries until make rearm: {row.text()}")

    def trip(self, reason: LatchReason, note: str) -> None:
        """Trip the supervisor's own latch; `note` names the stage or the error."""
        if trip(self._control, "supervisor", reason):
            self._note = note

    def trip_memory(self, note: str) -> None:
        """Trip because what limits remember of the run's venue is unknown.

        The row is kept at once and whatever the supervisor holds already: `make rearm` has to show
        a person what the re-arming accepts.

        Raises:
            FolderError: the row cannot be kept.
        """
        latch = Latch("supervisor", LatchReason.MEMORY, time.monotonic_ns())
        if trip(self._control, "supervisor", LatchReason.MEMORY, latch.tripped_ns):
            self._note = note  # the next turn tells it
        else:
            row = row_of(latch, note, self._venue)
            self._log.error("kill latch tripped", by=row.by, reason=row.reason, note=note)
            self._warn(f"latched, only risk-reducing orders pass until make rearm: {row.text()}")
        row = row_of(latch, note, self._venue)
        known = [(one.reason, one.note, one.venue) for one in self._folder.latches()]
        if (row.reason, row.note, row.venue) not in known:
            self._folder.add_latches([row])

    def tend(self) -> bool:
        """Keep and tell what has changed; return True when a person has just re-armed."""
        forget_voided(self._control, "supervisor")
        now = held(self._control)
        rearmed = bool(self._seen) and not now
        if not now and not self._seen and self._folder.is_latched:
            # A make kill that could not attach, being of another build, reaches us by the file.
            self.take_over("by its file")
            return False
        if now != self._seen or (now and not self._folder.is_latched):
            fresh = [latch for latch in now if latch not in self._seen]
            self._seen = now
            try:
                self._keep(fresh)
            except FolderError as error:
                # The words in shared memory hold all the same; only a restart would forget.
                self._log.error("latch not kept", error=str(error))
        if rearmed:
            self._log.warning("kill latch re-armed by a person")
        return rearmed

    def _keep(self, fresh: list[Latch]) -> None:
        if not self._seen:
            self._folder.forget_latches()
            return
        for latch in fresh:
            row = self._row(latch)
            self._log.error("kill latch tripped", by=row.by, reason=row.reason, note=row.note)
            self._warn(f"latched, only risk-reducing orders pass until make rearm: {row.text()}")
        self._folder.add_latches([self._row(latch) for latch in self._seen])

    def _row(self, latch: Latch) -> LatchRow:
        return row_of(latch, self._note if latch.writer == "supervisor" else "", self._venue)
