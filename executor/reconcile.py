"""Make sure that what we believe is what the venue says: at start, while running, and at the end.

`control.reconciled` is 1 while the user stream is up and all has been compared since it came up.
What a comparison finds differs only takes its symbol's entries away, see `executor.trust`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from executor import algo, venue
from executor.clock import SAMPLE_COUNT, VenueClock
from executor.comparing import LOOK_PAUSE_NS, LOOKS_MAX, Comparing, Finding
from executor.counts import Counts
from executor.history import History
from executor.ledger import Ledger
from executor.link import NS_PER_S
from executor.procedures import Pause, Procedure, Runner
from executor.resolve import Resolver
from executor.rest import FIRST, HOUSEKEEPING, QUERY, Call
from executor.sweeping import Sweeper
from executor.timers import Timers
from executor.trust import COMPARED, Trusts
from executor.user_data import UserData
from executor.venue import Reply
from runtime.stage import StageContext
from shm.records import OrderStatus

PERIOD_NS = 10 * NS_PER_S
BUSY_NS = NS_PER_S // 2
# After a foreign event, and after a comparison that has to be made again to be believed.
SOON_NS = NS_PER_S // 5
AGAIN_NS = NS_PER_S
CONFIRM_GAP_NS = NS_PER_S
CLOCK_PERIOD_NS = 60 * NS_PER_S
RETRY_NS = NS_PER_S // 2
STREAM_POLL_NS = 2_000_000


class StartError(RuntimeError):
    """The venue refused something without which trading cannot start."""


class CloseError(RuntimeError):
    """Something may be left open at the venue: the process ends as failed."""


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
        trusts: Trusts,
        wait_ns: Callable[[], int],
    ) -> None:
        self._context, self._counts, self._ledger = context, counts, ledger
        self._runner, self._timers, self._clock = runner, timers, clock
        self._resolver, self._sweeper = resolver, sweeper
        self._user, self._history, self._comparing = user, history, comparing
        self._trusts, self._policy = trusts, context.settings.risk.foreign_policy
        self._wait_ns = wait_ns
        self._hastened: set[int] = set()
        self._control = context.memory.control
        self._log = context.log
        self._measuring: list[Callable[[], None]] = []
        self._distrusts = 0
        self.swept = False
        self._busy = self._confirming = self._stopped = self._wanted = False
        self._confirm_after_ns = 0

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
        asked_symbols = self._resolver.asked_symbols()
        found = yield from self._comparing.compare(QUERY, anew=True)
        if found is None or distrusts != self._distrusts or not self._user.is_up:
            return False
        # In doubt nothing is trusted here: the next comparison is soon.
        self._conclude(found, (), asked_symbols, in_doubt=True)
        if not self._control.reconciled:
            self._log.info("reconciled", wallet_e8=self._control.wallet_e8)
        self._control.reconciled = 1
        return True

    # --- comparing ---------------------------------------------------------------------------

    def _conclude(
        self,
        found: dict[int, Finding],
        busy: Collection[int],
        asked: set[int],
        in_doubt: bool = False,
    ) -> None:
        """Say of each symbol whether it is trusted; busy ones get no verdict.

        `asked` are those with an order that was asked for when the comparison began.
        """
        self._counts.reconciliations.value += 1
        asked |= self._resolver.asked_symbols()
        for symbol in self._trusts.conclude(found, busy, asked, in_doubt):
            self._hasten(symbol, AGAIN_NS)
        symbols = range(len(self._context.symbols))
        agrees = not any(self._context.memory.trust(s).distrust & COMPARED for s in symbols)
        self._counts.venue_matches.value = 1 if agrees else 0
        if self._policy == "halt" or self._stopped:
            return
        for symbol, finding in found.items():
            if symbol not in busy and (finding.orders or finding.stops):
                self._runner.start(self._sweeper.cancel_foreign(finding))

    def _compare(self, priority: int, symbols: Collection[int] = ()) -> Procedure:
        """Compare and conclude, unless the stream was lost meanwhile."""
        distrusts = self._distrusts
        busy, asked = self._comparing.busy_symbols(), self._resolver.asked_symbols()
        found = yield from self._comparing.compare(priority, symbols)
        if found is None or distrusts != self._distrusts or not self._user.is_up:
            return
        busy |= self._comparing.busy_symbols()
        self._conclude(found, busy, asked)

    # --- while running -----------------------------------------------------------------------

    def periodic(self) -> None:
        """Compare all symbols every period; confirm ended rows meanwhile.

        What is not begun holds nothing up: a stream that comes back is reconciled whatever the
        request weight is.
        """
        if self._stopped:
            return
        now = time.monotonic_ns()
        wait_ns = self._wait_ns()
        if wait_ns:
            self._timers.at(now + min(wait_ns, PERIOD_NS), self.periodic)
            return
        self.confirm()
        if self._busy:
            self._timers.at(now + BUSY_NS, self.periodic)
            return
        self._timers.at(now + PERIOD_NS, self.periodic)
        if self._user.is_up:
            self._busy = True
            self._runner.start(self._compare(HOUSEKEEPING), self._compared)

    def foreign(self, symbol: int) -> None:
        """Compare a symbol soon: something happened in it that was not ours."""
        self._hasten(symbol, SOON_NS)

    def ended(self, order_id: int) -> None:
        """Note a resting order that ended without our asking; what else has may be unheard of."""
        row = self._ledger.table.find(order_id)
        if row is not None and not self._stopped:
            self._log.warning(
                "a resting order was ended by the venue",
                order_id=order_id,
                symbol=self._context.symbols[row.symbol],
                status=OrderStatus(row.status).name,
            )
            self._hasten(row.symbol, SOON_NS)

    def _hasten(self, symbol: int, delay_ns: int) -> None:
        if not self._hastened:
            self._timers.at(time.monotonic_ns() + delay_ns, self._compare_hastened)
        self._hastened.add(symbol)

    def _compare_hastened(self) -> None:
        ready = self._hastened - self._comparing.busy_symbols()
        if self._stopped or not self._user.is_up:
            # Everything is compared when the stream is back.
            self._hastened.clear()
        elif self._busy or not ready:
            self._timers.at(time.monotonic_ns() + BUSY_NS, self._compare_hastened)
        else:
            self._hastened.clear()
            self._busy = True
            self._runner.start(self._compare(QUERY, ready), self._compared)

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

    def insist_on_swept(self) -> None:
        """End the process as failed, so that the supervisor clears the venue without it.

        Raises:
            CloseError: the venue has not shown that nothing is left open that should not be.
        """
        if not self.swept:
            raise CloseError("the venue has not shown that nothing is left open")

    def close(self) -> Procedure:
        """Cancel what is open, decide every order, compare everything; return whether it agrees.

        `swept` says whether the venue has shown that nothing is left open that should not be.
        """
        self._stopped = True
        self.swept = yield from self._sweeper.sweep_open()
        for order_id in sorted(self._ledger.table.open_ids):
            self._resolver.ask(order_id)
        while self._resolver.active:
            yield Pause(STREAM_POLL_NS)
        found = yield from self._comparing.compare(FIRST, anew=True)
        made = yield from self._history.confirm(FIRST)
        if found is None or made is None:
            self._log.error("the venue did not answer at the end")
            return False
        self._conclude(found, (), set(), in_doubt=True)
        self._counts.orders_lost.value = len(made.lost) + len(made.undecided)
        agrees = bool(self._counts.venue_matches.value)
        agrees = agrees and made.agrees and not self._counts.orders_duplicated.value
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
