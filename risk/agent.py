"""The Python half of risk: start or recover, hand the cycle to the kernels, log what changed."""

from __future__ import annotations

import ctypes
import time

from config.strategies import strategy_names
from risk.keeping import LimitWords
from risk.limit_state import KEPT
from risk.parameters import wire
from risk.settled import unsettled
from risk.state import (
    HEADER,
    KEPT_OFFSET,
    TOTALS_OFFSET,
    TOTALS_SIZE,
    cleared_size,
)
from runtime.limit_file import KeptLimits
from runtime.quote_status import quote_counts
from runtime.stage import StageContext
from runtime.stop_time import RISK_SHARE
from shm.latch_table import MEANINGS, reason_of
from shm.records import SYMBOL_COUNT_MAX
from shm.ring_layout import RING
from shm.tables import POSITION, PositionState

E8 = 100_000_000
DAY_NS = 86_400_000_000_000
# Between two lines about a full ring.
CROWDED_NS = 1_000_000_000
# Bits of what `risk_recover` returns.
PUBLICATION_COMPLETED = 1
CHANGE_TAKEN_BACK = 2
POSITIONS_SHIFT = 8


class Agent:
    """Risk as a stage: see `runtime.stage`.

    Args:
        context: of the stage.
        kept: what the limits of an earlier run left, for a cold start.
    """

    def __init__(self, context: StageContext, kept: KeptLimits | None = None) -> None:
        self._context = context
        self._kept_limits = kept
        self._memory = context.memory
        self._log = context.log
        self._wiring = wire(context.memory, context.settings, context.wait_address)
        self._address = self._wiring.address
        self._run = context.kernels.risk_run
        self._cycle_ns = context.cycle_ns
        self._header = HEADER.at(context.memory.state("risk"))
        names = strategy_names(context.settings)
        self._limits = LimitWords(context.memory, context.symbols, names)
        self._kept = KEPT.at(context.memory.state("risk") + KEPT_OFFSET)
        self._awaits_wallet = False
        self._status_ns = context.settings.performance.status_interval_s * 1_000_000_000
        self._next_status_ns = 0
        self._tripped, self._untrusted = 0, False
        self._latches = self._cool_off_ns = 0
        self._orders_ring = RING.at(context.memory.ring("orders"))
        self._crowded_out = self._next_crowded_ns = 0

    def on_start(self) -> None:
        """Start with what an earlier run has kept, or recover what the predecessor left."""
        # A predecessor that died in its cold start has done nothing yet, and left words half set.
        if self._context.restarted and self._limits.is_whole:
            self._recover()
        else:
            self._clear()
            self._limits.take_over(self._kept_limits, time.time_ns(), time.monotonic_ns())
        self._header.started_ns = time.monotonic_ns()
        self._begin_cycle(time.monotonic_ns())
        control = self._memory.control
        self._tripped = control.risk_latch
        self._untrusted = bool(self._header.untrusted)
        self._latches = control.throttle_latches
        self._cool_off_ns = self._header.cool_off_until_ns
        self._next_status_ns = time.monotonic_ns() + self._status_ns
        self._crowded_out = self._count_crowded_out()
        self._awaits_wallet = self._kept.peak_e8 > 0 and self._header.wallet_start_e8 == 0

    def do_work(self) -> int:
        """Run the kernels for one cycle, then look for something to log."""
        now = time.monotonic_ns()
        taken = self._run(self._address, self._begin_cycle(now))
        self._report_latches()
        self._report_full_ring(now)
        if self._awaits_wallet:
            self._report_wallet()
        if now >= self._next_status_ns:
            self._next_status_ns = now + self._status_ns
            self._report_status()
        return taken

    def on_close(self) -> None:
        """Take the last reports, so that positions are known and have their stops; log the result.

        Entries, quotes and exits under way, and stops on the move, are waited for: the executor
        serves this stage until it has closed. Loop bound: RISK_SHARE of the stop time.
        """
        self._wiring.context.closing = 1
        self._run(self._address, 0)
        stop_ns = self._context.settings.supervisor.stop_timeout_s * 1_000_000_000
        until = time.monotonic_ns() + int(stop_ns * RISK_SHARE)
        while (waiting := unsettled(self._memory)) and (now := time.monotonic_ns()) < until:
            self._run(self._address, min(until, self._begin_cycle(now)))
        for symbol in waiting:
            name = self._context.symbols[symbol]
            self._log.error("order or stop still under way at the end", symbol=name)
        self._report_latches()
        self._report_status()
        for index in range(self._memory.control.symbol_count):
            row = self._memory.position(index)
            if row.state != PositionState.FLAT:
                self._log.warning(
                    "position left open",
                    symbol=self._context.symbols[index],
                    state=PositionState(row.state).name.lower(),
                    quantity_lot=row.quantity_lot,
                    stop_tick=row.stop_tick,
                )

    def _clear(self) -> None:
        memory = self._memory
        ctypes.memset(memory.state("risk"), 0, cleared_size(memory.control.symbol_count))
        ctypes.memset(memory.position_address(0), 0, POSITION.size * SYMBOL_COUNT_MAX)
        ctypes.memset(memory.control_address + TOTALS_OFFSET, 0, TOTALS_SIZE)
        memory.control.throttle_latches = 0
        self._header.rearm_seen_ns = memory.control.rearm_ns

    def _recover(self) -> None:
        found = self._context.kernels.risk_recover(self._address)
        wrong = found >> POSITIONS_SHIFT
        self._log.info(
            "recovered",
            open_positions=self._memory.control.open_position_count,
            last_order_id=self._header.last_order_id,
            publication_completed=bool(found & PUBLICATION_COMPLETED),
            change_taken_back=bool(found & CHANGE_TAKEN_BACK),
        )
        if wrong:
            self._log.error("positions broke their invariant", count=wrong)

    def _report_wallet(self) -> None:
        """Tell once how the wallet has changed since an earlier run, if it has."""
        if self._header.wallet_start_e8 == 0:
            return
        self._awaits_wallet = False
        change_e8 = self._kept.wallet_e8 - self._kept.base_e8
        if change_e8 != 0:
            self._log.warning(
                "the wallet has changed since an earlier run",
                kept=self._kept.base_e8 / E8,
                wallet=self._kept.wallet_e8 / E8,
                counts_as="loss" if change_e8 < 0 else "paid in",
            )

    def _report_latches(self) -> None:
        control = self._memory.control
        if control.risk_latch != self._tripped:
            self._tripped = control.risk_latch
            reason = reason_of(self._tripped)
            if reason:
                self._log.error(
                    "kill latch tripped, no new entries",
                    reason=reason.name.lower(),
                    meaning=MEANINGS[reason],
                    equity=self._equity_e8() / E8,
                    peak=(self._header.peak_e8 + control.transfer_e8) / E8,
                )
            else:
                self._log.warning("kill latch re-armed by a person", equity=self._equity_e8() / E8)
        if bool(self._header.untrusted) != self._untrusted:
            self._untrusted = bool(self._header.untrusted)
            if self._untrusted:
                self._log.error("more was closed than opened, no new entries")
            else:
                self._log.warning("positions are sound and as the venue has them: entries go on")

        self._report_pauses()

    def _count_crowded_out(self) -> int:
        """Return how many entries and other messages the order ring has had no room for."""
        refused: int = self._memory.counters.get("risk.rejected_ring") + self._orders_ring.rejected
        return refused

    def _report_full_ring(self, now_ns: int) -> None:
        """Tell of messages that found no room in the order ring, once a second at most."""
        refused = self._count_crowded_out()
        if refused == self._crowded_out or now_ns < self._next_crowded_ns:
            return
        self._log.error(
            "order ring full: the executor does not take its orders",
            refused=refused - self._crowded_out,
            entries_refused_in_all=self._memory.counters.get("risk.rejected_ring"),
        )
        self._crowded_out, self._next_crowded_ns = refused, now_ns + CROWDED_NS

    def _report_pauses(self) -> None:
        control, header, risk = self._memory.control, self._header, self._context.settings.risk
        if header.cool_off_until_ns != self._cool_off_ns:
            self._cool_off_ns = header.cool_off_until_ns
            self._log.error(
                "too many losses in a row, no new entries for a while",
                losses=risk.max_consecutive_losses,
                minutes=risk.loss_cool_off_min,
            )
        if control.throttle_latches != self._latches:
            more = control.throttle_latches > self._latches
            self._latches = control.throttle_latches
            if more:
                self._log.error("strategy latched for repeating itself", latches=self._latches)
            else:
                self._log.warning("throttle latches released", latches=self._latches)

    def _begin_cycle(self, now_ns: int) -> int:
        """Set the day; return when the cycle ends: with the day, as nothing is judged by another.

        The day is by the venue's clock, the one that day limits are about. It is 0, which begins
        no day and takes no wallet over, until that is known: by a clock of ours that is ahead a day
        would begin that lasts until it has come, over restarts too.
        """
        day = 0
        until_ns = now_ns + self._cycle_ns
        if self._memory.control.clock_ready:
            venue_ns = time.time_ns() + self._memory.control.clock_offset_ns
            day = venue_ns // DAY_NS
            until_ns = min(until_ns, now_ns + (day + 1) * DAY_NS - venue_ns)
        self._wiring.context.utc_day = day
        return until_ns

    def _equity_e8(self) -> int:
        control = self._memory.control
        results = control.realized_e8 - control.fee_e8 + control.funding_e8 + control.transfer_e8
        return int(self._header.wallet_start_e8 + results + control.unrealized_e8)

    def _report_status(self) -> None:
        get = self._memory.counters.get
        control = self._memory.control
        counts = quote_counts(self._memory)
        if counts is not None:
            self._log.info("quotes", **counts)
        self._log.info(
            "status",
            positions=control.open_position_count,
            signals=get("risk.signals"),
            accepted=get("risk.accepted"),
            rejected=get("risk.rejected"),
            orders=get("risk.orders"),
            exits=get("risk.exits"),
            exit_retries=get("risk.exit_retries"),
            fills=get("risk.fills"),
            round_trips=get("risk.round_trips"),
            laps=get("risk.laps"),
            realized=control.realized_e8 / E8,
            fees=control.fee_e8 / E8,
            unrealized=control.unrealized_e8 / E8,
        )
