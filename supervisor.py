"""Start, watch, restart and stop the scalping pipeline; also its command line.

    python supervisor.py run --duration 60
    python supervisor.py status | stop | kill | rearm | clean-shm

The supervisor has one thread and waits for events: signals, deaths of children, timers. It creates
the shared memory, loads the kernels and forks the stages, so that all of that exists once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from config.environment import load_credentials
from config.loader import load
from config.settings import Settings
from config.strategies import user_strategy_names
from config.venues import Endpoints, market_endpoints, order_endpoints
from executor.emergency import clear_venue
from risk.keeping import LimitWords
from risk.settled import unsettled
from runtime import embedded, logs, placement, preparation, status
from runtime.command_line import LOG_FOLDER, main_with
from runtime.crew import Crew
from runtime.guard import Guard
from runtime.instance_folder import Venue
from runtime.ledger_process import LedgerProcess
from runtime.preparation import FAILED, PipelineError
from runtime.signal_watch import SignalWatch
from runtime.stop_time import FLATTEN_SHARE, STAGES_SHARE
from shm.segments import process_start_time
from shm.tables import STAGES, HaltReason, ProcessState
from shm.topology import SharedMemory

EXCHANGE_MODES = ("sim", "capture", "paper")
TICK_S = 0.05
STARTING_TICK_S = 0.005


class Supervisor:
    """One instance of the pipeline, from its segments to its last process.

    Args:
        settings: checked settings.
        duration_s: end after that long; None = until asked.
        log_folder: where per-process logs and summary.json go.
        say: receives lines for people.
    """

    def __init__(
        self,
        settings: Settings,
        duration_s: float | None = None,
        log_folder: Path = LOG_FOLDER,
        say: Any = print,
    ) -> None:
        self.settings = settings
        self.duration_s = duration_s
        self.log_folder = log_folder
        self._say = say
        self.ended = ""
        self.has_failed = False
        self._memory: SharedMemory | None = None
        self.exchange: embedded.EmbeddedExchange | None = None
        self.crew: Crew | None = None
        self.ledger: LedgerProcess | None = None
        self._pss: int | None = None
        self._events_seen = 0
        self._signals = SignalWatch()
        self._guard = Guard(settings, clear_venue, LimitWords, unsettled, self._warn)

    @property
    def summary_path(self) -> Path:
        """Return where the summary of the run goes."""
        return self.log_folder / "summary.json"

    @property
    def memory(self) -> SharedMemory:
        """Return the segments of the instance; they exist once `start` has made them."""
        assert self._memory is not None
        return self._memory

    # -- start ------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up to READY and allow entries.

        Raises:
            ConfigError: the venue's keys are not there.
            PipelineError: with the exit code and one line; nothing is left behind.
        """
        settings = self.settings
        # Before anything is built or a venue is asked; the executor reads them for itself.
        load_credentials(settings.venue.mode)
        self._lock = preparation.lock_instance(settings.system.instance)
        self.log = logs.make_logger("supervisor", self.log_folder)
        self.summary_path.unlink(missing_ok=True)
        for refusal in preparation.refused_settings(settings):
            self._warn(refusal)
        self.kernels = preparation.load_kernels(settings, self.say, self._warn)
        self._signals.install()
        try:
            self._start_exchange()
            states = {
                name: importlib.import_module(f"{name}.state").state_size(
                    settings, len(self._symbols)
                )
                for name in STAGES
            }
            pid = self.exchange.pid if self.exchange else None
            self._guard.before_memory(self.kernels.build_hash, self.log)
            self._memory = preparation.create_memory(settings, self.kernels.build_hash, states, pid)
            self._guard.begin(self.memory, self.log, self._venue())
            rest_url = market_endpoints(settings.venue, self._embedded).rest_url
            preparation.fill_symbols(self._memory, rest_url, self._symbols, settings)
            self._start_stages()
        except BaseException:
            self._abandon()
            raise

    def _venue(self) -> Venue:
        rest_url = order_endpoints(self.settings.venue, self._embedded).rest_url
        pid = self.exchange.pid if self.exchange else 0
        start = process_start_time(pid) if pid else 0
        return Venue(self.settings.venue.mode, rest_url, self._symbols, pid, start)

    def _start_exchange(self) -> None:
        self._embedded: Endpoints | None = None
        self._symbols = self.settings.trading.symbols
        if self.settings.venue.mode not in EXCHANGE_MODES:
            return
        log_file = self.log_folder / "exchange.log"
        try:
            self.exchange = embedded.start(
                self.settings,
                log_file,
                self.settings.supervisor.ready_timeout_s,
                self.kernels.mode,
                self.kernels.path,
            )
        except embedded.ExchangeError as error:
            raise PipelineError(str(error), error.exit_code) from error
        warning = embedded.yield_to_the_stages(self.exchange)
        if warning:
            self._warn(warning)
        self._embedded = self.exchange.endpoints
        self._symbols = self.exchange.symbols

    def _start_stages(self) -> None:
        settings = self.settings
        plan = placement.make_plan(
            STAGES,
            settings.system.cpu_cores,
            os.sched_getaffinity(0),
            settings.optimization.CPU_AFFINITY,
            settings.system.wait_strategy,
            settings.optimization.USE_ULTRA_LOW_LATENCY,
        )
        for warning in plan.warnings:
            self._warn(warning)
        if settings.system.numa_optimization and settings.optimization.NUMA_OPTIMIZATION:
            warning = placement.bind_segments(self.memory, plan.stages)
            if warning:
                self._warn(warning)
        agents = {name: importlib.import_module(f"{name}.agent").Agent for name in STAGES}
        contexts = {
            name: preparation.stage_context(
                name, place, settings, self.memory, self.kernels, self._symbols, self._embedded,
                self.log_folder,
            )
            for name, place in plan.stages.items()
        }  # fmt: skip
        agents["risk"] = self._guard.with_kept_limits(agents["risk"])
        self.ledger = LedgerProcess(
            self.memory, self.kernels, settings, self._symbols, self.log_folder, self.log,
            lambda: logs.make_logger("ledger", self.log_folder), self._warn,
        )  # fmt: skip
        if settings.optimization.MEMORY_OPTIMIZATION:
            # Frozen objects are never visited by a child's collector, so their pages stay shared.
            gc.collect()
            gc.freeze()
        crew = Crew(self.memory, contexts, agents, plan.stages, settings, self.log, self._warn)
        self.crew = crew
        # It opens its file while the stages start; entries wait for it.
        self.ledger.start()
        for name in STAGES:
            crew.spawn(name)
            self._wait_ready(crew, name)
        self.ledger.wait_until_open(
            lambda: self.step(STARTING_TICK_S), settings.supervisor.ready_timeout_s
        )
        crew.allow_entries()
        self._guard.allow(self.say)
        self._identity = preparation.identity(settings, self._symbols, self.kernels.mode)
        told = " ".join(f"{key}={value}" for key, value in self._identity.items() if value)
        self.log.info("running", **self._identity)
        self.say(f"running: {told}; Ctrl-C or make stop ends it")

    def _wait_ready(self, crew: Crew, name: str) -> None:
        deadline = time.monotonic() + self.settings.supervisor.ready_timeout_s
        row = self.memory.process(name)
        while not crew.is_ready(name):
            if row.supervised_state == ProcessState.HALTED:
                raise PipelineError(f"stage does not start: stage={name}, see its log", FAILED)
            if time.monotonic() > deadline:
                limit_s = self.settings.supervisor.ready_timeout_s
                raise PipelineError(
                    f"stage is not ready in time: stage={name} timeout_s={limit_s}", FAILED
                )
            self.step(STARTING_TICK_S)
            if self.ended:
                raise PipelineError(f"stopped while starting: {self.ended}", FAILED)

    # -- watching ---------------------------------------------------------------------------

    def step(self, timeout_s: float = TICK_S) -> None:
        """Wait for an event or the timeout, and deal with whatever is due."""
        if self.crew is not None and self.crew.is_recovering:
            timeout_s = min(timeout_s, STARTING_TICK_S)
        self._wait_for_signal(timeout_s)
        if self.exchange and self.exchange.process.poll() is not None and not self.ended:
            self.log.error("exchange ended", exit=self.exchange.process.returncode)
            self.ended = "exchange ended"
            self.has_failed = True
        if self._memory is not None:
            self.memory.process("supervisor").heartbeat_ns = time.monotonic_ns()
        if self.crew is not None:
            self.crew.tend()
        if self.ledger is not None:
            self.ledger.tend()
        reason = self._guard.tend(self.crew)
        if reason and not self.ended:
            self.ended = reason
            self.has_failed = True

    def _wait_for_signal(self, timeout_s: float) -> None:
        for number in self._signals.wait(timeout_s):
            if number != signal.SIGCHLD:
                self.ended = self.ended or signal.Signals(number).name

    def run(self) -> None:
        """Watch until the duration is over, a signal comes or the capture has ended.

        A failure of the watching itself ends the run in order: positions come first.
        """
        try:
            self._watch()
        except Exception as error:
            self.log.exception("supervisor failed")
            self._guard.on_failure(error)
            self.ended = f"supervisor failed: {error}"
            self.has_failed = True

    def _watch(self) -> None:
        started = time.monotonic()
        interval_s = self.settings.performance.status_interval_s
        next_status, next_capture = started + interval_s, started + 1.0
        while not self.ended:
            self.step()
            now = time.monotonic()
            if self.duration_s is not None and now - started >= self.duration_s:
                self.ended = "duration is over"
            if now >= next_status:
                self._print_status(interval_s)
                next_status += interval_s
            if now >= next_capture:
                next_capture = now + 1.0
                if self._capture_has_ended():
                    self.ended = "capture is finished"

    def _print_status(self, interval_s: float) -> None:
        self.say(status.status_line(self.memory, self._events_seen, interval_s))
        self._events_seen = self.memory.counters.get("feed.events")
        self._pss = status.pss_total(self.memory) or self._pss

    def _capture_has_ended(self) -> bool:
        if not self.exchange or self.settings.exchange.market != "capture":
            return False
        try:
            return self.exchange.has_finished()
        except embedded.ExchangeError as error:
            self.log.warning(str(error))
            return False

    # -- stop -------------------------------------------------------------------------------

    def stop(self) -> dict[str, Any]:
        """Close everything in order and return the summary.

        No new entries → positions flattened if configured → stages close (the executor cancels and
        reconciles) → exchange ends → segments removed.
        """
        try:
            summary = self._close_stages()
            assert self.crew is not None
            self.has_failed |= not self._guard.leave_nothing(self.crew)
        finally:
            self._abandon()
        self.summary_path.write_text(json.dumps(self._identity | summary, indent=2) + "\n")
        self.log.info("stopped", reason=self.ended)
        return summary

    def _close_stages(self) -> dict[str, Any]:
        memory, control = self.memory, self.memory.control
        assert self.crew is not None
        total_s = self.settings.supervisor.stop_timeout_s
        started = time.monotonic()
        self._pss = status.pss_total(memory) or self._pss
        control.halt_reason = int(HaltReason.STOPPING)
        # Without risk or executor nobody flattens: what is left is cleared afterwards.
        if self.settings.risk.flatten_on_stop and not self._guard.is_headless(self.crew):
            control.flatten_requested = 1
            self._ring_all()
            deadline = started + total_s * FLATTEN_SHARE
            while control.open_position_count and time.monotonic() < deadline:
                self.step(STARTING_TICK_S)
        control.stop_requested = 1
        self._ring_all()
        while self.crew.pids and time.monotonic() < started + total_s * STAGES_SHARE:
            self._wait_for_signal(STARTING_TICK_S)
            self.crew.reap_closing()
        names = user_strategy_names(self.settings)
        return status.summary(memory, self._pss, self.ended, names)

    def _ring_all(self) -> None:
        for name in STAGES:
            self.kernels.doorbell_ring(self.memory.doorbell(name))

    def _abandon(self) -> None:
        """End whatever still runs and remove the segments."""
        if self.crew is not None:
            self.crew.kill()
        if self.ledger is not None:
            self.ledger.finish()
        if self.exchange:
            timeout_s = self.settings.supervisor.stop_timeout_s * (1 - STAGES_SHARE)
            self.exchange.stop(timeout_s)
        if self._memory is not None:
            self._memory.unlink()
            self._guard.forget_venue(is_embedded=self.exchange is not None)

    def say(self, text: str, file: Any = None) -> None:
        """Say a line to people; a closed pipe or terminal changes nothing about trading."""
        with contextlib.suppress(OSError):
            self._say(text, file=file, flush=True)

    def _warn(self, text: str) -> None:
        self.log.warning(text)
        self.say(f"warning: {text}", file=sys.stderr)


class UltimateTradingSystem:
    """The whole system for use from Python; the same supervisor as `make run`.

    Args:
        settings: checked settings; None loads the configuration files.
        duration_s: end after that long; None = until a signal comes.
    """

    def __init__(self, settings: Settings | None = None, duration_s: float | None = None) -> None:
        self._supervisor = Supervisor(settings or load(), duration_s)

    async def initialize_all_systems(self) -> None:
        """Start all processes; entries are allowed when this returns.

        It forks, so it runs in the calling thread and holds the event loop for about a second.
        """
        self._supervisor.start()

    async def run_ultimate_trading_loop(self) -> dict[str, Any]:
        """Watch until the end and return the summary."""
        supervisor = self._supervisor
        deadline = None
        if supervisor.duration_s is not None:
            deadline = time.monotonic() + supervisor.duration_s
        try:
            while not supervisor.ended:
                supervisor.step(0)
                if deadline is not None and time.monotonic() >= deadline:
                    supervisor.ended = "duration is over"
                await asyncio.sleep(TICK_S)
        finally:
            # A cancelled task stops the pipeline in order as well.
            supervisor.ended = supervisor.ended or "cancelled"
            summary = supervisor.stop()
        return summary


if __name__ == "__main__":
    sys.exit(main_with(Supervisor, clear_venue))
