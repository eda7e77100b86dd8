"""The supervisor's part of what limits remember: kept in a file, told to people, handed to risk.

Risk does no file work: the supervisor looks at its words with every turn (50 ms) and writes the
file when they have changed, once a second at most, and at the end. So what is younger than a second
is missing when everything is killed at once; money that was lost in it is missing in the wallet,
and counts all the same.

Only for a venue that outlives the run: an exchange that a run starts has a new account each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from runtime.instance_folder import FolderError, InstanceFolder, Venue
from runtime.limit_file import (
    E8,
    KeptLimits,
    LimitFile,
    VenueKey,
    day_text,
    venue_key,
    wall_text,
)
from shm import segments, topology
from shm.topology import SharedMemory

INTERVAL_S = 1.0
# Trials give each run an address of its own, on this machine; so many of them are remembered.
TRIAL_COUNT_MAX = 16
DAY_NS = 86_400_000_000_000


class Words(Protocol):
    """`risk.keeping.LimitWords`: nothing of runtime imports a stage."""

    symbols: tuple[str, ...]
    strategies: dict[int, str]

    def look(self) -> Any:
        """Return the words, None while they say nothing that can be kept."""

    def kept(self, seen: Any, wall_ns: int, mono_ns: int) -> KeptLimits:
        """Return a look as it is kept."""


MakeWords = Callable[[SharedMemory, Sequence[str], Mapping[int, str]], Words]


def adopt_leftovers(
    instance: str,
    folder: InstanceFolder,
    build_hash: int,
    make_words: MakeWords,
    strategies: Mapping[int, str],
    log: Any,
) -> None:
    """Keep what stands in the segments of a run whose processes were all killed.

    The file may be a second older. Segments of another build, or of other strategies, say nothing;
    nor do they where a person has changed or removed the file since.
    """
    try:
        venue, memory = folder.venue(), topology.attach_all(instance, build_hash)
    except (FolderError, segments.SegmentError):
        return
    try:
        alive_ns = memory.process("supervisor").heartbeat_ns
        died_ns = time.time_ns() - time.monotonic_ns() + alive_ns
        if venue is None or not folder.limits_are_from(died_ns):
            return
        words = make_words(memory, venue.symbols, strategies)
        keeper = LimitKeeper(words, folder, venue, memory.control, log, log.warning)
        keeper.adopt()
    finally:
        memory.close()


class LimitKeeper:
    """Keep what limits remember of one run, and of its venue before it.

    Args:
        words: of the run.
        folder: where they are kept.
        venue: of the run.
        control: CONTROL record, in place.
        log: of the supervisor.
        warn: tells people.
    """

    def __init__(
        self,
        words: Words,
        folder: InstanceFolder,
        venue: Venue,
        control: Any,
        log: Any,
        warn: Callable[[str], None],
    ) -> None:
        self._words = words
        self._folder = folder
        self._key = venue_key(venue.mode, venue.rest_url)
        self._outlives = venue.exchange_pid == 0
        self._control = control
        self._log = log
        self._warn = warn
        self._file = LimitFile()
        self._seen: Any = None
        self._next_s = 0.0
        self._is_blocked = False
        self._rearm_ns = 0
        self._awaits_person = self._is_beyond_us = False
        self.earlier: KeptLimits | None = None

    def begin(self) -> str:
        """Read the file; return "", or why what this venue's limits remember is not known.

        A damaged file is kept aside, for people. When that is all of it, the new one says so: a
        venue that it does not list is unknown, also when others have been traded on since. What
        cannot be kept aside is written over by nobody. What is unknown of this venue stays as it is
        until a person has re-armed.
        """
        if not self._outlives:
            return ""
        problem = self._begin()
        self._awaits_person, self._rearm_ns = bool(problem), self._control.rearm_ns
        return problem

    def _begin(self) -> str:
        try:
            self._file = self._folder.limits()
        except FolderError as error:
            aside, problem = self._set_aside(f"what limits remember is lost, {error}")
            if self._is_beyond_us:
                return problem
            self._file = LimitFile(lost=aside)
            try:
                self._folder.write_limits(self._file, is_last=True)
            except FolderError as second:
                return f"{problem}, {second}"
            return problem
        self.earlier = self._file.venues.get(self._key)
        self._forget_trials()
        self._tell_strangers()
        why = self._file.why_unknown(self._key)
        if not why:
            return ""
        problem = f"what limits remember of this venue is unknown: {why}"
        return self._set_aside(problem)[1] if self._key in self._file.damaged else problem

    def adopt(self) -> None:
        """Write what the words say over what is known; what is not is left to the start."""
        try:
            self._file = self._folder.limits()
        except FolderError:
            return
        if self._file.why_unknown(self._key):
            return
        self.earlier = self._file.venues.get(self._key)
        self.tend(is_last=True)

    def remembered(self, wall_ns: int) -> str:
        """Return what an earlier run left, in one line for people, "" when there is nothing."""
        return describe(self.earlier, wall_ns) if self.earlier else ""

    def tend(self, is_last: bool = False) -> None:
        """Write the file when what is remembered has changed."""
        if not self._outlives or (time.monotonic() < self._next_s and not is_last):
            return
        seen = self._words.look()
        if seen is None or (seen == self._seen and not is_last):
            return
        self._next_s = time.monotonic() + INTERVAL_S
        if self._awaits_person and not self._is_released():
            return
        now = self._words.kept(seen, time.time_ns(), time.monotonic_ns())
        self._file = self._file.with_venue(self._key, self._with_strangers(now))
        try:
            self._folder.write_limits(self._file, is_last)
        except FolderError as error:
            if not self._is_blocked:
                self._warn(f"a restart would forget what limits remember: {error}")
            self._is_blocked = True
            return
        if self._is_blocked:
            self._warn("what limits remember is kept again")
        self._is_blocked, self._seen = False, seen

    def _is_released(self) -> bool:
        """Return whether a person has re-armed what was unknown, and all of it has a copy."""
        if self._control.rearm_ns == self._rearm_ns:
            return False
        if self._is_beyond_us:
            self._is_beyond_us = False
            self._begin()
        self._awaits_person = self._is_beyond_us
        return not self._awaits_person

    def _set_aside(self, problem: str) -> tuple[str, str]:
        """Keep a copy of the file for people; return its name, and the problem with it.

        Without one nothing may be written over the file: it is all that is left of it.
        """
        try:
            name = self._folder.set_limits_aside().name
        except FolderError as error:
            self._is_beyond_us = True
            return "", f"{problem}, {error}: it stays as it is, nothing is kept over it"
        return name, f"{problem} (a copy is {name})"

    def _forget_trials(self) -> None:
        """Drop the oldest entries of this machine's addresses that hold nothing back."""
        today = time.time_ns() // DAY_NS
        trials = [
            key for key, one in self._file.venues.items()
            if key != self._key and is_trial(key) and not holds_back(one, today)
        ]  # fmt: skip
        trials.sort(key=lambda key: -self._file.venues[key].at_ns)
        gone = trials[TRIAL_COUNT_MAX:]
        for key in gone:
            self._log.info("limits of a venue are forgotten", mode=key[0], rest_url=key[1])
        left = {key: one for key, one in self._file.venues.items() if key not in gone}
        self._file = replace(self._file, venues=left)

    def _strangers(self) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
        """Return latches and trades of symbols and strategies that this run does not know."""
        if self.earlier is None:
            return {}, {}
        known = set(self._words.strategies.values())
        latched = {
            symbol: tuple(n for n in names if symbol not in self._words.symbols or n not in known)
            for symbol, names in self.earlier.latched.items()
        }
        trades = {name: row for name, row in self.earlier.trades.items() if name not in known}
        return {symbol: names for symbol, names in latched.items() if names}, trades

    def _with_strangers(self, now: KeptLimits) -> KeptLimits:
        latched, trades = self._strangers()
        merged = dict(now.latched)
        # A person who re-arms releases all latches, seen or not.
        for symbol, names in latched.items() if not self._control.rearm_ns else ():
            merged[symbol] = (*merged.get(symbol, ()), *names)
        return replace(now, latched=merged, trades={**now.trades, **trades})

    def _tell_strangers(self) -> None:
        latched, trades = self._strangers()
        if latched or trades:
            self._log.info(
                "limits remember what is not configured, it stays in the file",
                latched={symbol: list(names) for symbol, names in latched.items()},
                trades=list(trades),
            )


def is_trial(key: VenueKey) -> bool:
    """Return whether a venue's address is one of this machine."""
    host = urlsplit(key[1]).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def holds_back(kept: KeptLimits, utc_day: int) -> bool:
    """Return whether limits remember something that keeps entries away, or may today."""
    equity = kept.equity
    has_lost = equity is not None and equity.base_e8 < equity.day_start_e8
    is_today = equity is not None and equity.utc_day >= utc_day
    pause = kept.cool_off_until_ns > utc_day * DAY_NS
    return bool(kept.latch or kept.latched or pause or (has_lost and is_today))


def describe(kept: KeptLimits, wall_ns: int) -> str:
    """Return what limits remember, in one line for people."""
    parts = [f"limits remember {wall_text(kept.at_ns)[:19]}Z"]
    if kept.equity is None:
        parts.append("equity unknown")
    else:
        equity = kept.equity
        day_result = (equity.base_e8 - equity.day_start_e8) / E8
        fall = (equity.peak_e8 - equity.base_e8) / equity.peak_e8
        day = "today" if equity.utc_day == wall_ns // DAY_NS else day_text(equity.utc_day)
        parts.append(f"{day} {day_result:+.4f} without what was open")
        parts.append(f"{max(0.0, fall):.2%} below the peak {equity.peak_e8 / E8:.4f}")
    parts.append(f"losses in a row {kept.losses}")
    if kept.cool_off_until_ns > wall_ns:
        parts.append(f"no entries until {wall_text(kept.cool_off_until_ns)[:19]}Z")
    if kept.latch:
        parts.append(f"latched by {kept.latch}")
    for symbol, names in kept.latched.items():
        parts.append(f"latched in {symbol}: {', '.join(names)}")
    closed = sum(row.closed for row in kept.trades.values())
    if closed:
        parts.append(f"closed trades {closed}")
    return ", ".join(parts)
