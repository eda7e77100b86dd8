"""The four stages as processes: started, reaped, watched, and started again within a budget."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from config.settings import Settings
from runtime.children import AgentFactory, RestartBudget, fork_stage
from runtime.placement import StagePlacement
from runtime.stage import StageContext
from shm.segments import process_start_time
from shm.tables import DOORBELL, STAGES, HaltReason, ProcessState
from shm.topology import SharedMemory

ALIVE_STATES = (ProcessState.READY, ProcessState.RUNNING)


class Crew:
    """The stages of one instance.

    Args:
        memory: the instance's segments.
        contexts: what each stage is given.
        agents: what makes each stage's agent.
        places: core, node and waiting of each stage.
        settings: heartbeat limits and the restart budget.
        log: of the supervisor.
        warn: tells people.
    """

    def __init__(
        self,
        memory: SharedMemory,
        contexts: Mapping[str, StageContext],
        agents: Mapping[str, AgentFactory],
        places: Mapping[str, StagePlacement],
        settings: Settings,
        log: Any,
        warn: Callable[[str], None],
    ) -> None:
        self.pids: dict[str, int] = {}
        self.halted: set[str] = set()  # stages whose restart budget is used up
        self._memory = memory
        self._contexts = contexts
        self._agents = agents
        self._places = places
        self._log = log
        self._warn = warn
        self._due_s: dict[str, float] = {}
        self._died_s: dict[str, float] = {}
        self._limits = limits = settings.supervisor
        self._heartbeat_ns_max = limits.heartbeat_timeout_ms * 1_000_000
        self._ready_ns_max = int(limits.ready_timeout_s * 1_000_000_000)
        self._budgets = {name: self._new_budget() for name in STAGES}

    def _new_budget(self) -> RestartBudget:
        limits = self._limits
        return RestartBudget(
            limits.restart_budget, limits.restart_window_s, limits.restart_backoff_ms
        )

    def revive(self) -> None:
        """Start the stages again that were given up, with a new budget: a person has re-armed."""
        now_s = time.monotonic()
        for name in self.halted:
            self._budgets[name] = self._new_budget()
            self._died_s[name] = self._due_s[name] = now_s
            self._log.info("stage gets a new restart budget", stage_name=name)
        if self.halted:
            self.halted.clear()
            self._memory.control.halt_reason = int(HaltReason.NOT_READY)

    def spawn(self, name: str) -> None:
        """Fork a stage; it states READY in its process row when it is."""
        row, place = self._memory.process(name), self._places[name]
        row.state = int(ProcessState.STARTING)
        row.supervised_state = int(ProcessState.STARTING)
        row.heartbeat_ns = time.monotonic_ns()
        row.core, row.node, row.wait = place.core, place.node, int(place.wait)
        # A sleeping flag left by a dead predecessor would cost a producer one system call a batch.
        DOORBELL.at(self._memory.doorbell(name)).sleeping = 0
        pid = fork_stage(self._agents[name], self._contexts[name], place)
        self.pids[name] = pid
        row.pid, row.start_time = pid, process_start_time(pid)

    def is_ready(self, name: str) -> bool:
        """Return whether a stage has stated that it is ready."""
        return name in self.pids and self._memory.process(name).state in ALIVE_STATES

    @property
    def is_recovering(self) -> bool:
        """Return whether a stage is down or on its way back."""
        return bool(self._due_s or self._died_s)

    def tend(self) -> None:
        """Reap the dead, kill the frozen, restart what is due, allow entries when all are back."""
        self._reap()
        self._check_heartbeats()
        self._restart_due()
        for name, died_s in list(self._died_s.items()):
            if self.is_ready(name):
                del self._died_s[name]
                back_ms = round((time.monotonic() - died_s) * 1000, 1)
                self._log.info("stage is back", stage_name=name, after_ms=back_ms)
        waiting = self._memory.control.halt_reason == HaltReason.NOT_READY
        if waiting and all(self.is_ready(name) for name in STAGES):
            self.allow_entries()

    def allow_entries(self) -> None:
        """State that every stage runs, and lift the halt."""
        for name in STAGES:
            self._memory.process(name).supervised_state = int(ProcessState.RUNNING)
        self._memory.control.halt_reason = int(HaltReason.NONE)

    def reap_closing(self) -> None:
        """Reap stages that were asked to close; nothing is restarted."""
        self._reap()
        self._due_s.clear()

    def kill(self) -> None:
        """End every stage that still runs, at once."""
        for name, pid in list(self.pids.items()):
            self._log.error("stage did not close, killed", stage_name=name)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self.pids[name]

    def _reap(self) -> None:
        for name, pid in list(self.pids.items()):
            done, wait_status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.pids[name]
                self._on_death(name, os.waitstatus_to_exitcode(wait_status))

    def _on_death(self, name: str, code: int) -> None:
        row, control = self._memory.process(name), self._memory.control
        if control.stop_requested and row.state == ProcessState.STOPPED:
            row.supervised_state = int(ProcessState.STOPPED)
            return
        row.supervised_state = int(ProcessState.DEAD)
        now_s = time.monotonic()
        delay_s = self._budgets[name].delay_s(now_s)
        self._log.error("stage died", stage_name=name, exit=code, restart_in_s=delay_s)
        if delay_s is None:
            row.supervised_state = int(ProcessState.HALTED)
            self.halted.add(name)
            control.halt_reason = int(HaltReason.RESTART_BUDGET)
            self._memory.counters.add("supervisor.halts")
            self._warn(f"trading halted: {name} used up its restart budget, see logs/{name}.log")
            return
        if control.halt_reason == HaltReason.NONE:
            control.halt_reason = int(HaltReason.NOT_READY)
        self._died_s[name] = now_s
        self._due_s[name] = now_s + delay_s

    def _restart_due(self) -> None:
        now_s = time.monotonic()
        for name, due_s in list(self._due_s.items()):
            if now_s < due_s:
                continue
            del self._due_s[name]
            self._contexts[name].restarted = True
            self.spawn(name)
            self._memory.process(name).restarts += 1
            self._memory.counters.add("supervisor.restarts")

    def _check_heartbeats(self) -> None:
        now_ns = time.monotonic_ns()
        for name, pid in self.pids.items():
            row = self._memory.process(name)
            slow = row.state in (ProcessState.STARTING, ProcessState.STOPPING)
            age_ns = now_ns - row.heartbeat_ns
            if age_ns > (self._ready_ns_max if slow else self._heartbeat_ns_max):
                self._log.error(
                    "stage frozen, killed", stage_name=name, heartbeat_ms=age_ns // 1_000_000
                )
                os.kill(pid, signal.SIGKILL)
