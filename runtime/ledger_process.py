"""The trade ledger as a process of its own, and the supervisor's half that keeps it running.

A disk may stall for seconds, and a database must not cross a fork: so neither the supervisor nor a
stage opens it. The process is forked beside the stages, works at low priority, and outlives them by
the moment it takes to write what they did last, also when the supervisor is killed.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from config.settings import Settings
from config.strategies import strategy_names
from shm.segments import process_start_time
from shm.tables import HaltReason, ProcessState
from shm.topology import SharedMemory

FILE_NAME = "trades.sqlite"
NICE = 10
# A sign of life older than that, and entries are halted: the disk stalls, or the process is stuck.
SILENCE_NS = 5_000_000_000
FINISH_S = 2.0
RESTART_S, RESTART_S_MAX = 0.1, 30.0
# A process that has lived that long starts the pauses anew.
HEALTHY_S = 60.0


def settings_hash(settings: Settings) -> str:
    """Return a hash that two runs share when all their settings are the same."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


def ledger_path(settings: Settings, log_folder: Path) -> Path:
    """Return where an instance's ledger is: beside its logs unless configured."""
    return Path(settings.trades.folder or log_folder) / FILE_NAME


class LedgerProcess:
    """The supervisor's half: start the process, start it again, halt entries while it is unwell.

    Args:
        memory: the instance's segments.
        kernels: of the run.
        settings: checked settings.
        symbols: of the run.
        folder: of the logs.
        log: the supervisor's.
        make_log: returns the logger of the process, made before the fork.
        warn: tells people.
    """

    def __init__(
        self,
        memory: SharedMemory,
        kernels: Any,
        settings: Settings,
        symbols: Sequence[str],
        folder: Path,
        log: Any,
        make_log: Callable[[], Any],
        warn: Callable[[str], None],
    ) -> None:
        self.pid = 0
        self._memory, self._settings, self._log, self._warn = memory, settings, log, warn
        self._is_wanted = settings.trades.ledger
        self._kernels = kernels
        self._run = {
            "instance": settings.system.instance,
            "mode": settings.venue.mode,
            "symbols": ",".join(symbols),
            "settings_hash": settings_hash(settings),
        }
        self._strategies = strategy_names(settings)
        self.path = ledger_path(settings, folder)
        if self._is_wanted:
            self._process_log = make_log()
            # Imported before the fork: its pages are shared by all, and the process writes half as
            # many of its own. No file is opened on this side.
            self._parts = importlib.import_module("runtime.ledger_service")
        self._pause_s, self._due_s, self._started_s = 0.0, 0.0, 0.0
        self._has_warned = False

    def start(self) -> None:
        """Fork the process, if there is to be one."""
        if not self._is_wanted:
            return
        row = self._memory.process("ledger")
        row.state = row.supervised_state = int(ProcessState.STARTING)
        row.heartbeat_ns, row.core = time.monotonic_ns(), -1
        self._started_s = time.monotonic()
        parent_pid = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._child(parent_pid)
        self.pid = row.pid = pid
        row.start_time = process_start_time(pid)

    def _child(self, parent_pid: int) -> NoReturn:
        code = 1
        try:
            read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            os.setpgid(0, 0)
            _settle(parent_pid)
            settings, memory, parts = self._settings, self._memory, self._parts
            parts.serve(
                parts.LedgerService(
                    memory,
                    self._kernels,
                    self.path,
                    self._run,
                    self._strategies,
                    self._process_log,
                ),
                memory,
                settings.trades.write_interval_ms / 1000,
                settings.supervisor.stop_timeout_s,
                read_fd,
            )
            code = 0
        except BaseException:
            # The boundary of the process: it is logged, and the supervisor starts another.
            self._process_log.exception("ledger failed")
        finally:
            os._exit(code)

    def tend(self) -> None:
        """Reap, start again what died, and say whether entries may go on."""
        if not self._is_wanted:
            return
        self._reap()
        now_s = time.monotonic()
        if not self.pid and now_s >= self._due_s:
            self.start()
            self._memory.process("ledger").restarts += 1
        if self._settings.trades.halt_when_unwritable:
            self._mirror()

    def _reap(self) -> None:
        if not self.pid:
            return
        done, wait_status = os.waitpid(self.pid, os.WNOHANG)
        if not done:
            return
        self.pid = 0
        row = self._memory.process("ledger")
        row.supervised_state = int(ProcessState.DEAD)
        now_s = time.monotonic()
        if now_s - self._started_s > HEALTHY_S:
            self._pause_s = 0.0
        self._due_s = now_s + self._pause_s
        self._pause_s = min(max(2 * self._pause_s, RESTART_S), RESTART_S_MAX)
        code = os.waitstatus_to_exitcode(wait_status)
        self._log.error("ledger died", exit=code, restart_in_s=round(self._due_s - now_s, 3))

    @property
    def is_well(self) -> bool:
        """Return whether what happens now will be written."""
        row = self._memory.process("ledger")
        fresh = time.monotonic_ns() - row.heartbeat_ns < SILENCE_NS
        running = bool(row.state == ProcessState.RUNNING and self.pid and fresh)
        return running and not self._memory.counters.get("ledger.blocked")

    @property
    def _is_starting(self) -> bool:
        row = self._memory.process("ledger")
        young = time.monotonic_ns() - row.heartbeat_ns < SILENCE_NS
        return bool(row.state == ProcessState.STARTING and self.pid and young)

    def _mirror(self) -> None:
        """Halt entries while the ledger is unwell; exits and cancels go on."""
        control = self._memory.control
        if self.is_well:
            if control.halt_reason == HaltReason.LEDGER:
                # Whether all stages are ready is for the crew to say: it lifts this one.
                control.halt_reason = int(HaltReason.NOT_READY)
                self._log.info("ledger is written again")
            self._memory.process("ledger").supervised_state = int(ProcessState.RUNNING)
            self._has_warned = False
        elif control.halt_reason == HaltReason.NONE:
            control.halt_reason = int(HaltReason.LEDGER)
            if not (self._has_warned or self._is_starting):
                self._has_warned = True
                self._warn(f"entries halted: the trade ledger is not written: {self.path}")

    def wait_until_open(self, step: Callable[[], None], timeout_s: float) -> None:
        """Wait until the file is open, or the process says why not; entries wait for it."""
        deadline = time.monotonic() + timeout_s
        while self._is_wanted and self.pid and time.monotonic() < deadline:
            if self.is_well or self._memory.counters.get("ledger.blocked"):
                return
            step()

    def finish(self) -> None:
        """Have the rest written and the file closed, once the stages are gone.

        A process that does not follow within FINISH_S is killed: its disk stalls.
        """
        if not self.pid:
            return
        watch = os.pidfd_open(self.pid)
        os.kill(self.pid, signal.SIGTERM)
        os.kill(self.pid, signal.SIGCONT)
        if not select.select([watch], [], [], FINISH_S)[0]:
            self._log.error("ledger did not close, killed")
            os.kill(self.pid, signal.SIGKILL)
        os.close(watch)
        os.waitpid(self.pid, 0)
        self.pid = 0


def _settle(parent_pid: int) -> None:
    """Name the process, put it behind the stages, and have it told when the supervisor dies."""
    from runtime import placement

    Path("/proc/self/comm").write_text("scalp-ledger")
    os.nice(NICE)
    placement.die_with_parent(signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)  # the supervisor died before the kernel knew our wish
