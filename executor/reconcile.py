"""Make sure that what we believe is what the venue says: at start, while running, and at the end.

`control.reconciled` is 1 exactly while the user stream is up and the last comparison of positions
and open orders found no difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from executor import algo, venue
from executor.clock import SAMPLE_COUNT, VenueClock
from executor.comparing import LOOK_PAUSE_NS, LOOKS_MAX, Comparing
from executor.counts import Counts
from executor.history import History
from executor.ledger import Ledger
from executor.link import NS_PER_S
from executor.procedures import Pause, Procedure, Runner
from executor.resolve import Resolver
from executor.rest import FIRST, HOUSEKEEPING, QUERY, Call
from executor.sweeping import Sweeper
from executor.timers import Timers
from executor.user_data import UserData
from executor.venue import Reply
from runtime.stage import StageContext
from shm.records import OrderStatus

PERIOD_NS = 10 * NS_PER_S
BUSY_NS = NS_PER_S // 2
CONFIRM_GAP_NS = NS_PER_S
CLOCK_PERIOD_NS = 60 * NS_PER_S
RETRY_NS = NS_PER_S // 2
STREAM_POLL_NS = 2_000_000
IN_FLIGHT = (OrderStatus.SENDING, OrderStatus.UNKNOWN, OrderStatus.PARTIALLY_FILLED)


class StartError(RuntimeError):
    """The venue refused something without which trading cannot start."""


class Reconciler:
    """Run the comparisons and publish their outcome."""

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        runner: Runner,
        timers: Timers,
        clock: VenueClock,
        resolver: Resolver,
        sweeper: Sweeper,
        user: UserData,
        history: History,
        comparing: Comparing,
    ) -> None:
        self._context, self._counts, self._ledger = context, counts, ledger
        self._runner, self._timers, self._clock = runner, timers, clock
        self._resolver, self._sweeper = resolver, sweeper
        self._user, self._history, self._comparing = user, history, comparing
        self._control = context.memory.control
        self._log = context.log
        self._measuring: list[Callable[[], None]] = []
        self._distrusts = 0
        self._busy = self._confirming = self._stopped = self._wanted = False
        self._confirm_after_ns = 0
        self._told: object = None

    # --- the venue's clock -------------------------------------------------------------------

    def measure_clock(self, done: Callable[[], None]) -> None:
        """Measure the venue's clock; `done` is called afterwards, whether it worked or not."""
        self._measuring.append(done)
        if len(self._measuring) == 1:
            self._runner.start(self._measure(FIRST), self._measured)

    def _measured(self, result: object) -> None:
        waiting, self._measuring = self._measuring, []
        for done in waiting:
            done()

    def _measure(self, priority: int) -> Procedure:
        replies: list[Reply] = []
        for _ in range(SAMPLE_COUNT):
            replies.append((yield Call("GET", venue.TIME, security="NONE", priority=priority)))
        trip_ns = self._clock.adopt(replies)
        if trip_ns is None:
            self._log.warning("venue clock not measured", error=replies[-1].message)
            return False
        self._counts.clock_measures.value += 1
        return True

    def _measure_again(self) -> None:
        if not self._stopped:
            self.measure_clock(lambda: None)
            self._timers.at(time.monotonic_ns() + CLOCK_PERIOD_NS, self._measure_again)

    # --- at start ----------------------------------------------------------------------------

    def start(self, restarted: bool) -> Procedure:
        """Bring clock, stream, settings and orders into the state that trading starts from.

        Raises:
            StartError: the venue refuses the leverage or the account is in hedge mode.
        """
        self._busy = True
        self._control.reconciled = 0
        self._counts.venue_matches.value = 0
        while not (yield from self._measure(FIRST)):
            yield Pause(RETRY_NS)
        self._timers.at(time.monotonic_ns() + CLOCK_PERIOD_NS, self._measure_again)
        self._user.open()
        if restarted:
            yield from self._cancel_unknown()
        else:
            yield from self._prepare_account()
            for index in range(len(self._context.symbols)):
                yield from self._sweeper.sweep(index)
        while not self._user.is_up:
            yield Pause(STREAM_POLL_NS)
        done = yield from self._recover()
        self._recovered(done)
        self._timers.at(time.monotonic_ns() + PERIOD_NS, self.periodic)

    def _prepare_account(self) -> Procedure:
        mode = yield from self._insist(Call("GET", venue.POSITION_MODE))
        if isinstance(mode, dict) and mode.get("dualSidePosition"):
            raise StartError("the account is in hedge mode: one-way mode is needed")
        leverage = self._context.settings.trading.leverage
        for name in self._context.symbols:
            call = Call("POST", venue.LEVERAGE, {"symbol": name, "leverage": leverage})
            yield from self._insist(call)

    def _insist(self, call: Call) -> Procedure:
        """Repeat a call until the venue answers it; return the body.

        Raises:
            StartError: the venue refuses it.
        """
        while True:
            reply = yield call
            if reply.ok:
                return reply.body
            if venue.classify(reply) == venue.Verdict.REFUSED:
                raise StartError(
                    f"the venue refused {call.method} {call.path}: code={reply.code} "
                    f"message={reply.message}"
                )
            self._log.warning("no answer", path=call.path, status=reply.status, code=reply.code)
            yield Pause(RETRY_NS)

    def _cancel_unknown(self) -> Procedure:
        """Cancel open orders that no row of ours explains; ours go on after a restart."""
        orders = yield from self._insist(Call("GET", venue.OPEN_ORDERS))
        stops = yield from self._insist(Call("GET", algo.OPEN_ALGO_ORDERS))
        held = yield from self._insist(Call("GET", venue.POSITIONS))
        yield from self._sweeper.cancel_unknown(orders, stops, held)

    # --- after the stream was lost -----------------------------------------------------------

    def distrust(self, reason: str) -> None:
        """Withdraw `reconciled`; if the stream is up, begin to ask the venue for everything."""
        self._distrusts += 1
        if self._control.reconciled:
            self._log.warning("not reconciled", reason=reason)
        self._control.reconciled = 0
        self._counts.venue_matches.value = 0
        self._wanted = True
        self._recover_if_wanted()

    def recover(self) -> None:
        """Begin to ask the venue for everything, unless that is under way."""
        if not self._busy and not self._stopped:
            self._busy = True
            self._runner.start(self._recover(), self._recovered)

    def _recovered(self, result: object) -> None:
        self._busy = False
        if result is not True:
            self._wanted = True
            self._timers.at(time.monotonic_ns() + RETRY_NS, self._recover_if_wanted)

    def _recover_if_wanted(self) -> None:
        if self._wanted and self._user.is_up:
            self.recover()

    def _recover(self) -> Procedure:
        """Ask for every order that has not ended, then compare; return whether it was decided."""
        self._wanted = False
        distrusts = self._distrusts
        asked = sorted(self._ledger.table.open_ids)
        for order_id in asked:
            self._resolver.ask(order_id)
        # One round of answers; what stays open is asked for until it is decided.
        for _ in range(LOOKS_MAX):
            if not (self._resolver.active & set(asked)):
                break
            yield Pause(LOOK_PAUSE_NS)
        reply = yield Call("GET", venue.BALANCE, priority=QUERY)
        if not reply.ok:
            return False
        quote = venue.quote_asset(self._context.symbols[0])
        self._control.wallet_e8 = venue.wallet_e8(reply.body, quote)
        differences = yield from self._comparing.compare(QUERY)
        if differences is None or distrusts != self._distrusts or not self._user.is_up:
            return False
        self._conclude(differences)
        return True

    # --- comparing ---------------------------------------------------------------------------

    def _conclude(self, differences: list[str]) -> None:
        self._counts.reconciliations.value += 1
        self._counts.mismatches.value += len(differences)
        self._counts.venue_matches.value = 0 if differences else 1
        was = self._control.reconciled
        self._control.reconciled = 0 if differences else 1
        if differences and differences != self._told:
            self._log.error(
                "the venue differs: entries stay off until it agrees",
                count=len(differences),
                differences="; ".join(differences[:8]),
            )
        elif not differences and not was:
            self._log.info("reconciled", wallet_e8=self._control.wallet_e8)
        self._told = differences

    # --- while running -----------------------------------------------------------------------

    def periodic(self) -> None:
        """Compare every period, when no order is in flight; confirm ended rows meanwhile."""
        if self._stopped:
            return
        now = time.monotonic_ns()
        self.confirm()
        if self._busy or self._is_in_flight():
            self._timers.at(now + BUSY_NS, self.periodic)
            return
        self._timers.at(now + PERIOD_NS, self.periodic)
        if self._user.is_up:
            self._busy = True
            self._runner.start(self._compare_quietly(), self._compared)

    def _is_in_flight(self) -> bool:
        table = self._ledger.table
        return bool(self._ledger.backlog or table.with_status(*IN_FLIGHT))

    def _compare_quietly(self) -> Procedure:
        orders, distrusts = self._counts.orders.value, self._distrusts
        differences = yield from self._comparing.compare(HOUSEKEEPING)
        moved = self._counts.orders.value != orders or self._is_in_flight()
        if differences is None or (differences and moved) or distrusts != self._distrusts:
            return  # it decides nothing: orders went out meanwhile
        if self._user.is_up:
            self._conclude(differences)

    def _compared(self, result: object) -> None:
        self._busy = False
        self._recover_if_wanted()

    def confirm(self) -> None:
        """Begin to confirm ended rows by the venue's list, unless that is under way."""
        now = time.monotonic_ns()
        if self._confirming or now < self._confirm_after_ns:
            return
        if self._ledger.table.ended_ids:
            self._confirming = True
            self._confirm_after_ns = now + CONFIRM_GAP_NS
            self._runner.start(self._history.confirm(), self._confirmed)

    def _confirmed(self, result: Any) -> None:
        self._confirming = False
        bad = sorted({*result.lost, *result.differing}) if hasattr(result, "lost") else []
        if bad:
            self._counts.mismatches.value += len(bad)
            self._log.error("orders differ from the venue's list", order_ids=bad[:16])
            for order_id in bad:
                self._resolver.ask(order_id)

    # --- at the end --------------------------------------------------------------------------

    def close(self) -> Procedure:
        """Cancel what is open, decide every order, compare everything; return whether it agrees."""
        self._stopped = True
        yield from self._sweeper.sweep_open()
        for order_id in sorted(self._ledger.table.open_ids):
            self._resolver.ask(order_id)
        while self._resolver.active:
            yield Pause(STREAM_POLL_NS)
        differences = yield from self._comparing.compare(FIRST)
        made = yield from self._history.confirm(FIRST)
        if differences is None or made is None:
            self._log.error("the venue did not answer at the end")
            return False
        self._conclude(differences)
        self._counts.orders_lost.value = len(made.lost) + len(made.undecided)
        agrees = not differences and made.agrees and not self._counts.orders_duplicated.value
        self._counts.venue_matches.value = 1 if agrees else 0
        self._log.info(
            "compared with the venue",
            agrees=agrees,
            confirmed=len(made.confirmed),
            lost=made.lost[:16],
            differing=made.differing[:16],
            undecided=made.undecided[:16],
            resting=made.resting[:16],
            duplicated=made.duplicated[:16],
        )
        return agrees
