"""The supervisor's duty towards money: the kill latch, and positions that nobody guards any more.

When risk or the executor cannot be started again the venue is cleared in a process of its own. The
supervisor holds no key; that child reads it from the environment, as the executor does, and
finishes its work even if the supervisor dies meanwhile.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from config.settings import Settings
from config.strategies import strategy_names
from runtime.children import AgentFactory
from runtime.crew import Crew
from runtime.instance_folder import InstanceFolder, Venue
from runtime.kill_command import outcome_lines
from runtime.latch_keeper import LatchKeeper, adopt_leftovers
from runtime.limit_file import KeptLimits
from runtime.limit_keeper import LimitKeeper, MakeWords
from runtime.limit_keeper import adopt_leftovers as adopt_limits
from runtime.stage import StageAgent
from runtime.venue_task import ClearVenue, VenueTask, task_of
from shm.latch_table import LatchReason
from shm.tables import PositionOwner, ProcessState
from shm.topology import SharedMemory

# Attempts, their pauses and a ban that is waited for: more than this is no emergency exit.
TIMEOUT_S = 120.0


class Guard:
    """Latch, tell, and leave nothing behind.

    Args:
        settings: of the instance.
        clear_venue: `executor.emergency.clear_venue`.
        limit_words: `risk.keeping.LimitWords`.
        unsettled: `risk.settled.unsettled`.
        warn: logs and tells people.
    """

    def __init__(
        self,
        settings: Settings,
        clear_venue: ClearVenue,
        limit_words: MakeWords,
        unsettled: Callable[[SharedMemory], list[int]],
        warn: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clear_venue = clear_venue
        self._limit_words, self._unsettled = limit_words, unsettled
        self._warn = warn
        self._folder = InstanceFolder(settings.system.state_folder, settings.system.instance)
        self._venue: Venue | None = None
        self._is_trading = False
        self._given_up: set[str] = set()

    def before_memory(self, build_hash: int, log: Any) -> None:
        """Keep latches and limits of leftover segments, before they are made anew.

        Raises:
            FolderError: latches cannot be kept.
        """
        instance = self._settings.system.instance
        adopt_leftovers(instance, self._folder)
        names = strategy_names(self._settings)
        adopt_limits(instance, self._folder, build_hash, self._limit_words, names, log)

    def begin(self, memory: SharedMemory, log: Any, venue: Venue) -> None:
        """Take over what an earlier run was latched by, and note where orders will go.

        Raises:
            FolderError: the folder cannot be written: a latch would not outlive the run.
        """
        self._memory, self._log, self._venue = memory, log, venue
        self._keeper = LatchKeeper(memory.control, self._folder, venue, log, self._warn)
        self._keeper.take_over()
        self._folder.write_venue(venue)
        words = self._limit_words(memory, venue.symbols, strategy_names(self._settings))
        self._limits = LimitKeeper(words, self._folder, venue, memory.control, log, self._warn)
        problem = self._limits.begin()
        if problem:
            # Unknown is a state: the day may be lost already, so a person has to look.
            self._warn(problem)
            self._keeper.trip_memory(problem)

    @property
    def kept_limits(self) -> KeptLimits | None:
        """Return what an earlier run's limits remembered of this venue, for risk."""
        return self._limits.earlier

    def with_kept_limits(self, make_risk: Callable[..., StageAgent]) -> AgentFactory:
        """Return what makes risk's agent, so that it begins with them."""
        return functools.partial(make_risk, kept=self.kept_limits)

    def allow(self, say: Callable[[str], None]) -> None:
        """Note that entries are allowed: from here on there may be something at the venue."""
        self._is_trading = True
        remembered = self._limits.remembered(time.time_ns())
        if remembered:
            self._log.info(remembered)
            say(remembered)

    def tend(self, crew: Crew | None) -> str:
        """Keep and tell latches; protect positions when a stage will not come back.

        Without the engine risk goes on guarding what is open. Without prices it cannot, so
        positions are closed; without risk or executor nobody can, so the run ends.

        Returns:
            why the run has to end, or "".
        """
        if self._venue is None:
            return ""
        self._limits.tend()
        reason = ""
        if crew is not None and crew.halted and self._is_trading:
            names = ", ".join(sorted(crew.halted))
            if crew.halted - self._given_up:
                # Once for each: tripped again and again, nobody could re-arm it.
                self._keeper.trip(LatchReason.RESTART_BUDGET, names)
                self._given_up = set(crew.halted)
            if "feed" in crew.halted:
                self._memory.control.flatten_requested = 1
            if self.is_headless(crew):
                reason = f"halted: {names} kept dying"
        if self._keeper.tend() and crew is not None:
            self._memory.control.flatten_requested = 0
            self._given_up.clear()
            crew.revive()
        return reason

    def is_headless(self, crew: Crew | None) -> bool:
        """Return whether risk or executor was given up: nobody acts on positions any more."""
        return crew is not None and bool(crew.halted & {"risk", "executor"})

    def on_failure(self, error: Exception) -> None:
        """Trip because the supervisor itself failed."""
        self._keeper.trip(LatchReason.SUPERVISOR, type(error).__name__)

    def leave_nothing(self, crew: Crew) -> bool:
        """After the stages: clear the venue where they could not, so that nothing is left alone.

        Without risk or executor all is cleared. Where risk has not closed, or has left orders or
        positions unsettled, the venue is asked: what its stops cover stays.

        Returns:
            False when something may be left that should not be.
        """
        self._keeper.tend()
        self._limits.tend(is_last=True)
        crew.kill()
        assert self._venue is not None
        venue, spare, symbols = self._venue, False, self._venue.symbols
        if self._has_closed("executor") and not self.is_headless(crew):
            waiting = self._unsettled(self._memory)
            if not waiting and self._has_closed("risk"):
                self._is_trading = False
                return True
            if self._has_closed("risk"):
                symbols = tuple(venue.symbols[symbol] for symbol in waiting)
            symbols, spare = tuple(name for name in symbols if self._is_ours(name)), True
            self._warn(f"the end has left something unsettled: {', '.join(symbols)}")
        flatten = self._settings.supervisor.emergency_flatten
        concerned = replace(venue, symbols=symbols)
        task = task_of(self._settings, concerned, flatten, self._memory, spare)
        is_clear = clear_in_child(task, self._clear_venue, self._log, self._warn)
        self._is_trading = not is_clear
        return is_clear

    def _has_closed(self, name: str) -> bool:
        return bool(self._memory.process(name).state == ProcessState.STOPPED)

    def _is_ours(self, name: str) -> bool:
        assert self._venue is not None
        row = self._memory.position(self._venue.symbols.index(name))
        return bool(row.owner != PositionOwner.LEFT_ALONE)

    def forget_venue(self, is_embedded: bool) -> None:
        """Forget where orders went, unless something may be left there for make kill."""
        if is_embedded or not self._is_trading:
            self._folder.forget_venue()


def clear_in_child(
    task: VenueTask, clear_venue: ClearVenue, log: Any, warn: Callable[[str], None]
) -> bool:
    """Clear the venue in a child; return whether the venue showed that it is done."""
    log.error("emergency: clearing the venue without the pipeline", flatten=task.flatten)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            outcome = clear_venue(task, warn)
            for line in outcome_lines(outcome, task.flatten):
                warn(f"emergency: {line}")
            if outcome.failure:
                warn(f"emergency: NOT CLEAR, act at the venue by hand: {outcome.failure}")
            is_bare = task.spare_protected and bool(outcome.unprotected)
            code = 0 if outcome.is_clear and not is_bare else 1
        except BaseException:
            # The boundary of the process: the supervisor learns of it by the exit code.
            log.exception("emergency failed")
        finally:
            os._exit(code)
    return _wait(pid)


def _wait(pid: int) -> bool:
    watch = os.pidfd_open(pid)
    try:
        if not select.select([watch], [], [], TIMEOUT_S)[0]:
            return False  # it goes on by itself; the run has to end
    finally:
        os.close(watch)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0
