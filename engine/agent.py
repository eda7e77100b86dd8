"""The Python half of the engine: start, hand the cycle to the kernels, log what came of it."""

from __future__ import annotations

import time
from typing import Any

from config.strategies import strategies_of
from engine.mending import InventoryMender
from engine.parameters import configure
from engine.quoted_symbols import QuotedSymbols
from engine.reasoning import label_of, render
from engine.reasons import Refusal, StartReason, refusal_names
from engine.state import SYMBOL_STATE, prepare, symbol_state_address
from runtime.stage import StageContext
from shm.records import SIGNAL
from shm.ring_layout import RING, SLOTS_OFFSET
from shm.topology import MARKET_CURSOR

S_NS = 1_000_000_000
# Signals logged after one cycle; a burst beyond it is counted in one line.
LOGGED_PER_CYCLE = 16
# Counters that say that something is wrong, as they appear in the log.
TROUBLES = (
    *("laps", "crossed", "refused", "invalidations", "far_overflow", "ring_full"),
    *(f"refused_{reason.name.lower()}" for reason in Refusal),
    *("quarantined", "quotes_full", "reports_missed"),
)
RINGS_WRITTEN = ("signals", "quotes")


class Agent:
    """The engine as a stage: see `runtime.stage`."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._memory = context.memory
        self._log = context.log
        self._address = context.memory.state("engine")
        self._run = context.kernels.engine_run
        self._cycle_ns = context.cycle_ns
        self._signals = RING.at(context.memory.ring("signals"))
        self._strategies = strategies_of(context.settings)
        self._logged = 0
        self._status_ns = context.settings.performance.status_interval_s * S_NS
        self._next_status_ns = 0
        self._troubles = dict.fromkeys(TROUBLES, 0)
        # Bits by symbol as they were logged last, and the counters that say that they may differ.
        self._quarantines = [0] * len(context.symbols)
        self._seen = (0, 0)

    def on_start(self) -> None:
        """Start cold, or go on where a killed predecessor stopped: see restart.py."""
        context, memory = self._context, self._memory
        if context.restarted:
            recovered = [context.kernels.ring_recover(memory.ring(name)) for name in RINGS_WRITTEN]
            self._log.info("rings recovered", records=sum(recovered))
        engine = prepare(self._address, len(context.symbols), keep=context.restarted)
        engine.market = memory.ring("market")
        engine.signals = memory.ring("signals")
        engine.quotes = memory.ring("quotes")
        engine.reports = memory.ring("reports")
        engine.wait = context.wait_address
        engine.counters = memory.counters.block("engine")
        engine.histogram = memory.histograms.address_of("engine")
        engine.book_requests = memory.book_request_address(0)
        engine.feed_doorbell = memory.doorbell("feed")
        engine.risk_doorbell = memory.doorbell("risk")
        engine.market_cursor = MARKET_CURSOR["engine"]
        configure(self._address, context.settings, context.symbols)
        self._quoted = QuotedSymbols(context, engine, self._address)
        self._mender = InventoryMender(memory, engine, self._log)
        context.kernels.engine_start(self._address, int(context.restarted))
        if context.restarted:
            self._log_restart(engine)
        self._logged = self._signals.tail
        self._troubles = self._read_troubles()
        self._next_status_ns = time.monotonic_ns() + self._status_ns

    def do_work(self) -> int:
        """Run the kernels for one cycle, then log the signals and troubles of it."""
        now = time.monotonic_ns()
        worked = self._run(self._address, now + self._cycle_ns)
        self._quoted.price()
        self._mender.look()
        if self._logged != self._signals.tail:
            self._log_signals()
        counters = self._memory.counters
        seen = (counters.get("engine.refused"), counters.get("engine.quarantines_ended"))
        if seen != self._seen:
            self._seen = seen
            self._log_quarantines()
        if now >= self._next_status_ns:
            self._next_status_ns = now + self._status_ns
            self._log_status()
        return worked

    def on_close(self) -> None:
        """Log where things stand; the memory is the supervisor's."""
        self._log_status()

    def _log_restart(self, engine: Any) -> None:
        reasons = [StartReason(engine.start_reasons[n]) for n in range(engine.symbol_count)]
        cold = [n for n, reason in enumerate(reasons) if reason != StartReason.WARM]
        self._log.info("goes on", warm=len(reasons) - len(cold), cold=len(cold))
        for index in cold:
            symbol, reason = self._context.symbols[index], reasons[index].name.lower()
            self._log.warning("symbol starts cold", symbol=symbol, reason=reason)

    def _log_quarantines(self) -> None:
        for index, before in enumerate(self._quarantines):
            state = SYMBOL_STATE.at(symbol_state_address(self._address, index))
            bits, symbol = state.quarantine, self._context.symbols[index]
            if bits & ~before:
                reasons = ",".join(refusal_names(bits & ~before))
                self._log.warning("bad input, no entries", symbol=symbol, reasons=reasons)
            elif before and not bits:
                self._log.info("input is sound again", symbol=symbol)
            self._quarantines[index] = bits

    def _log_signals(self) -> None:
        ring, tail = self._signals, self._signals.tail
        first = max(self._logged, tail - LOGGED_PER_CYCLE)
        if first > self._logged:
            self._log.info("signals", unlogged=first - self._logged)
        for position in range(first, tail):
            # This process alone writes the ring, and it is here: the slots hold still.
            slot = self._memory.ring("signals") + SLOTS_OFFSET
            signal = SIGNAL.at(slot + (position & ring.mask) * ring.producer_slot_size)
            symbol = self._context.symbols[signal.symbol]
            self._log.info(
                "signal",
                id=signal.signal_id,
                symbol=symbol,
                strategy=label_of(signal.strategy, self._strategies),
                side=signal.side,
                reasoning=render(signal, symbol, self._strategies),
            )
        self._logged = tail

    def _read_troubles(self) -> dict[str, int]:
        counters = self._memory.counters
        return {label: counters.get(f"engine.{label}") for label in TROUBLES}

    def _log_status(self) -> None:
        counters = self._memory.counters
        self._log.info(
            "status",
            events=counters.get("engine.events"),
            evaluations=counters.get("engine.evaluations"),
            candidates=counters.get("engine.candidates"),
            signals=counters.get("engine.signals"),
            quotes=counters.get("engine.quotes"),
        )
        self._quoted.tell_waiting()
        troubles = self._read_troubles()
        new = {k: n - self._troubles[k] for k, n in troubles.items() if n != self._troubles[k]}
        if new:
            self._log.warning("since the last status", **new)
        self._troubles = troubles
