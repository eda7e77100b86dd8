"""make kill and make rearm: the kill latch in a person's hands.

Killing works whatever is dead. What lives sees the latch in shared memory and withdraws its orders
itself; what is not done within a stated time, or all of it when nothing lives, is done at the venue
by REST. In every case the venue is asked at the end what is open.
"""

from __future__ import annotations

import os
import pwd
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

from config.settings import Settings
from config.venues import EMBEDDED, ORDER_VENUE, order_endpoints
from runtime.instance_folder import FolderError, InstanceFolder, LatchRow, Venue
from runtime.latch_keeper import row_of
from runtime.limit_file import KeptLimits, LimitFile, VenueKey, key_text, venue_key
from runtime.preparation import BAD_INPUT, FAILED, PipelineError
from runtime.venue_task import ClearVenue, VenueOutcome, open_statuses, task_of
from shm import segments, topology
from shm.latch_table import MEANINGS, Latch, LatchReason, held, trip

# Shared memory has no event for somebody from outside: it is looked at so often.
LOOK_S = 0.01
CONFIRMATION = "yes"


def kill(settings: Settings, clear_venue: ClearVenue, flatten: bool) -> int:
    """Latch, have everything that adds risk withdrawn, and see at the venue that it is.

    Args:
        settings: of the instance; where its orders went is known from its folder.
        clear_venue: `executor.emergency.clear_venue`.
        flatten: close the positions as well.

    Returns:
        the exit code: 0 when the venue shows nothing that should be gone.

    Raises:
        PipelineError: there is nothing to kill, or the venue could not be cleared.
    """
    instance = settings.system.instance
    folder = InstanceFolder(settings.system.state_folder, instance)
    memory, why_none = _attach(instance)
    venue = _known_venue(folder) or _configured_venue(settings)
    owner = segments.owner_of(topology.segment_names(instance)["control"])
    if memory is None and venue is None and owner is None:
        raise PipelineError(
            f"not running: instance={instance}; nothing is latched: there is no run, none that "
            "ended badly, and no real venue is configured (give the SET= of the run)",
            FAILED,
        )
    _latch(folder, memory, flatten)
    limit_s = settings.supervisor.kill_takeover_ms / 1000
    if memory is not None:
        _let_the_pipeline(memory, limit_s, flatten)
    elif owner is not None:
        print(f"warning: {why_none}; its supervisor takes the latch from {folder.path}")
        select.select([], [], [], limit_s)
    if venue is None:
        raise PipelineError(
            f"latched, but the venue was not asked: instance={instance} was started from another "
            "folder, whose make kill knows where its orders are",
            FAILED,
        )
    if venue.exchange_pid and not segments.is_alive(venue.exchange_pid, venue.exchange_start):
        print("the embedded exchange has ended, and its account with it: nothing is open")
        return 0
    outcome = clear_venue(task_of(settings, venue, flatten, memory), print)
    for line in outcome_lines(outcome, flatten):
        print(line)
    if outcome.failure:
        raise PipelineError(
            f"NOT CLEAR, act at the venue by hand: {outcome.failure} (make kill tries again)",
            FAILED,
        )
    return 0


def outcome_lines(outcome: VenueOutcome, flatten: bool) -> Iterator[str]:
    """Yield what came of clearing the venue, for people."""
    if outcome.is_clear:
        what = "no order that adds risk is open" + (", no position" if flatten else "")
        yield (
            f"venue: {what}; withdrawn here: {outcome.canceled} orders, "
            f"closing orders sent: {outcome.closed}"
        )
    if outcome.others:
        yield f"venue: left alone: {outcome.others} orders of symbols that are not traded here"
    if outcome.positions and not flatten:
        held_text = ", ".join(f"{name} {lots}" for name, lots in outcome.positions.items())
        yield f"venue: positions stay: {held_text} (FLATTEN=yes closes them)"
    if outcome.unprotected and outcome.positions:
        yield f"warning: no stop rests at the venue for: {', '.join(outcome.unprotected)}"


def rearm(settings: Settings, confirm: str) -> int:
    """Show what is latched, and void it when a person confirms.

    Args:
        settings: of the instance.
        confirm: "yes", or "" to be asked; anything else is refused.

    Raises:
        PipelineError: it was not confirmed, exit code 2.
    """
    instance = settings.system.instance
    folder = InstanceFolder(settings.system.state_folder, instance)
    memory, _ = _attach(instance)
    throttled = memory.control.throttle_latches if memory is not None else 0
    file = _kept_limits(folder)
    key = _meant_venue(folder, file)
    rows = _all_rows(folder, memory, key)
    for other in file.venues:
        for line in _kept_lines(file, other) if other != key else ():
            print(f"stays, a run there is re-armed while it is up: {line}")
    kept_lines = _kept_lines(file, key)
    if not rows and not throttled and not kept_lines:
        print(f"nothing is latched: instance={instance}")
        return 0
    for row in rows:
        print(row.text())
    if throttled:
        print(f"throttled by risk: {throttled} strategies of symbols entered again and again alike")
    for line in kept_lines:
        print(line)
    _confirm(confirm)
    # Without a run this is all there is to release; a run writes what it then knows.
    released = _released(file, key, rows)
    if key in file.damaged and released != file:
        # A start may have had no room for a copy: what has none is not written over.
        folder.set_limits_aside()
    # The file first: the supervisor takes a file without a latch for a trip of its own.
    folder.forget_latches()
    if released != file:
        folder.write_limits(released, is_last=True)
    if memory is not None:
        control = memory.control
        control.kill_flatten = 0
        # What others have tripped is void from here on; they clear their words themselves.
        control.rearm_ns = time.monotonic_ns()
        control.kill_latch = 0
    print(f"re-armed: instance={instance}, entries are allowed again unless something else halts")
    return 0


def _all_rows(
    folder: InstanceFolder, memory: topology.SharedMemory | None, key: VenueKey | None
) -> list[LatchRow]:
    rows = folder.latches() if folder.is_latched else []
    have = {(row.by, row.tripped_ns) for row in rows}
    now = held(memory.control) if memory is not None else []
    # The supervisor's word may stand for what the file has from an earlier run.
    fresh = [x for x in now if (x.writer, x.tripped_ns) not in have]
    venue = Venue(*key, ()) if key is not None else None
    return rows + [row_of(x, venue=venue) for x in fresh if not rows or x.writer != "supervisor"]


def _kept_limits(folder: InstanceFolder) -> LimitFile:
    try:
        return folder.limits()
    except FolderError as error:
        # The next start finds it as well, and latches.
        print(f"warning: {error}", file=sys.stderr)
        return LimitFile()


def _meant_venue(folder: InstanceFolder, file: LimitFile) -> VenueKey | None:
    """Return the venue that a re-arming is about: the last run's. None = it is not clear which.

    What is kept of other venues stays latched: somebody who re-arms a testnet means no other. A run
    on them is latched again, and re-armed while it is up.
    """
    try:
        venue = folder.last_venue()
    except FolderError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None
    if venue is None:
        # A folder of an earlier build notes no clean end.
        return next(iter(file.venues)) if len(file.venues) == 1 else None
    return venue_key(venue.mode, venue.rest_url)


def _kept_lines(file: LimitFile, key: VenueKey | None) -> list[str]:
    """Return what is kept over runs and holds entries back, for people."""
    if key is None or key not in file.venues:
        return []
    kept, where = file.venues[key], f"kept over runs on {key_text(key)}"
    lines = [f"tripped by risk, {where}: {kept.latch}"] if kept.latch else []
    for symbol, names in kept.latched.items():
        lines.append(f"throttled by risk, {where}: {symbol}: {', '.join(names)}")
    return lines


def _released(file: LimitFile, key: VenueKey | None, rows: list[LatchRow]) -> LimitFile:
    """Return what limits remember once a person has re-armed."""
    if key is None:
        return file
    if file.why_unknown(key):
        # Only a start finds that out and latches: without that nobody has been asked about it.
        of_memory = [row for row in rows if row.reason == LatchReason.MEMORY.name.lower()]
        is_told = any(row.venue in (None, key) for row in of_memory)
        return file.with_venue(key, KeptLimits(at_ns=time.time_ns())) if is_told else file
    if key not in file.venues:
        return file
    # The file may be older than the trip of a run that was killed right after it. A row of an
    # earlier build does not say which venue it was on: it is this one, if no entry explains it.
    of_risk = [row.venue for row in rows if row.by == "risk"]
    is_explained = any(one.latch for one in file.venues.values())
    has_tripped = key in of_risk or (None in of_risk and not is_explained)
    return file.with_venue(key, file.venues[key].rearmed(has_tripped))


def _confirm(confirm: str) -> None:
    if confirm == CONFIRMATION:
        return
    if confirm or not sys.stdin.isatty():
        raise PipelineError(
            "not re-armed: a person has to confirm it: make rearm CONFIRM=yes", BAD_INPUT
        )
    answer = input('type "rearm" to let entries through again: ')
    if answer.strip() != "rearm":
        raise PipelineError(f"not re-armed: typed {answer.strip()!r}", BAD_INPUT)


def _attach(instance: str) -> tuple[topology.SharedMemory | None, str]:
    """Return the segments, those of a dead supervisor included, or why there are none."""
    try:
        return topology.attach_all(instance), ""
    except segments.SegmentError as error:
        return None, str(error)


def _known_venue(folder: InstanceFolder) -> Venue | None:
    try:
        return folder.venue()
    except FolderError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None


def _configured_venue(settings: Settings) -> Venue | None:
    """Return the venue of the settings, None where only a run knows it."""
    if ORDER_VENUE[settings.venue.mode] == EMBEDDED:
        return None
    rest_url = order_endpoints(settings.venue).rest_url
    return Venue(settings.venue.mode, rest_url, settings.trading.symbols)


def _latch(folder: InstanceFolder, memory: topology.SharedMemory | None, flatten: bool) -> None:
    now_ns = time.monotonic_ns()
    user = _user()
    if memory is not None:
        # First of all: this alone stops whatever lives.
        trip(memory.control, "operator", LatchReason.OPERATOR, now_ns)
        if flatten:
            memory.control.kill_flatten = 1
        mine = [x for x in held(memory.control) if x.writer == "operator"]
    else:
        mine = [Latch("operator", LatchReason.OPERATOR, now_ns)]
    try:
        folder.add_latches([row_of(latch, f"user {user}") for latch in mine])
    except FolderError as error:
        # A full disk must not keep anybody from killing.
        print(f"warning: the latch will not outlive this run: {error}", file=sys.stderr)
    print(f"latched: {MEANINGS[LatchReason.OPERATOR]}; only risk-reducing orders pass")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # an account without a name, as in a container


def _let_the_pipeline(memory: topology.SharedMemory, limit_s: float, flatten: bool) -> None:
    """Wait until the pipeline has withdrawn its orders, it dies, or the time is over."""
    watched = {name: _pidfd(memory.process(name)) for name in ("risk", "executor")}
    dead = [name for name, fd in watched.items() if fd is None]
    fds = [fd for fd in watched.values() if fd is not None]
    started = time.monotonic()
    try:
        done = _is_withdrawn(memory, flatten)
        while not (done or dead) and time.monotonic() < started + limit_s:
            if select.select(fds, [], [], LOOK_S)[0]:
                dead = ["a stage"]
            done = _is_withdrawn(memory, flatten)
    finally:
        for fd in fds:
            os.close(fd)
    took_ms = (time.monotonic() - started) * 1000
    if dead:
        print(f"pipeline: not running ({', '.join(dead)}); this command acts at the venue itself")
    elif done:
        print(f"pipeline: orders withdrawn after {took_ms:.0f} ms")
    else:
        print(
            f"pipeline: not done after {took_ms:.0f} ms; this command goes on at the venue itself"
        )


def _pidfd(row: Any) -> int | None:
    """Return a descriptor that tells of a process's death, None when it is dead."""
    if not segments.is_alive(row.pid, row.start_time):
        return None
    try:
        return os.pidfd_open(row.pid)
    except ProcessLookupError:
        return None


def _is_withdrawn(memory: topology.SharedMemory, flatten: bool) -> bool:
    """Return whether no order that adds risk has not ended, and with `flatten` all is flat."""
    return not (flatten and memory.control.open_position_count) and not open_statuses(memory)
