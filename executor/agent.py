"""The executor's agent: puts its parts together, waits, and hands each event to its part."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time
from typing import Any

from config.environment import load_credentials
from executor import state
from executor.clock import VenueClock
from executor.closing import serve_risk, time_left
from executor.comparing import Comparing
from executor.countdown import Countdown
from executor.counts import Counts
from executor.funding import FundingBooks
from executor.history import History
from executor.ledger import Ledger
from executor.limits import Limits
from executor.link import NS_PER_S, Link
from executor.orders import OrderTable
from executor.placing import Placing
from executor.procedures import Procedure, Runner
from executor.pulling import Puller
from executor.reconcile import Reconciler
from executor.resolve import Resolver
from executor.rest import FIRST, HOUSEKEEPING, Call, Rest
from executor.signing import Signer
from executor.sweeping import Sweeper
from executor.texts import OrderTexts
from executor.timers import Timers
from executor.trust import Trusts
from executor.user_data import UserData
from executor.venue import NS_PER_MS, Reply, VenueDataError, printable
from executor.worker import Worker
from executor.ws_api import WsApi
from runtime.stage import StageContext
from runtime.stop_time import COMPARE_SHARE, LAST_SHARE, SERVE_SHARE
from shm.records import ORDER
from shm.tables import DOORBELL

# Orders taken from the ring before the sockets are looked at again.
BATCH_SIZE = 16
# While a ring is full there is nobody who would wake us when it has room.
FULL_WAIT_NS = 1_000_000
# Without an eventfd on the doorbell epoll does not hear it.
DEAF_WAIT_NS = 1_000_000
# A fill that a response implies usually arrives on its own within this time.
GAP_NS = 50_000_000
LAST_LOOK_S = 0.2  # for the funding that was paid last
START_SHARE = 0.8
# The interpreter hands over between threads at this interval: the worker's must not hold up an
# order for the default of 5 ms.
SWITCH_INTERVAL_S = 50e-6


class Agent:
    """The executor. See runtime.stage for the meaning of the three methods."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._log = context.log
        self._kernels = context.kernels
        self._orders = context.memory.ring("orders")
        self._counts = Counts(context.memory.counters)
        self._timers = Timers()
        self._limits = Limits(context.memory.control.weight_limit)
        self._status_ns = 0
        self._is_full = False
        # Until all is reconciled orders stay in the ring: an exit is not refused for being early,
        # and an entry that has waited too long says so itself.
        self._holds_orders = True

    # --- start -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Connect, recover and reconcile; return when orders can be sent.

        Raises:
            ConfigError: there are no credentials for the mode.
            StartError: the venue refuses what trading needs.
            TimeoutError: the venue did not answer in time.
        """
        context = self._context
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        if context.restarted:
            recovered = self._kernels.ring_recover(context.memory.ring("reports"))
            self._log.info("recovering after a restart", reports=recovered)
        self._make_waiting()
        self._make_parts()
        if context.restarted:
            self._ledger.recover()
        self._make_links()
        self._api_link.connect()
        seconds = context.settings.supervisor.ready_timeout_s * START_SHARE
        procedure = self._reconciler.start(context.restarted)
        if not self._run_until_done(procedure, seconds):
            raise TimeoutError(f"the venue did not answer within {seconds:.1f} s")
        self._holds_orders = False
        self._countdown.begin()
        self._funding.begin()
        self._status()

    def _make_waiting(self) -> None:
        context = self._context
        self._epoll = select.epoll()
        self._wait = wait = state.WAIT_CONTEXT.new()
        wait.orders = self._orders
        wait.wait = context.wait_address
        wait.epoll_fd = self._epoll.fileno()
        wait.bell_fd = context.event_fd
        for place in range(state.WATCHED_COUNT):
            wait.watched[place] = -1
        self._wait_address = ctypes.addressof(wait)
        self._slice_ns = context.cycle_ns
        if context.event_fd >= 0:
            self._epoll.register(context.event_fd, select.EPOLLIN)
        else:
            self._slice_ns = min(self._slice_ns, DEAF_WAIT_NS)
        bell = DOORBELL.at(context.memory.doorbell("executor"))
        told = f"doorbell and context differ: {bell.event_fd} {context.event_fd}"
        assert bell.event_fd == context.event_fd, told

    def _make_parts(self) -> None:
        context, settings = self._context, self._context.settings
        memory, counts = context.memory, self._counts
        credentials = load_credentials(settings.venue.mode)
        signer = Signer(credentials.api_secret)
        window_ms = settings.venue.recv_window_ms
        timeout_ns = settings.venue.request_timeout_ms * NS_PER_MS
        self._clock = VenueClock(memory.control)
        working_type = settings.venue.stop_working_type
        self._texts = OrderTexts(memory, credentials.api_key, signer, window_ms, working_type)
        self._rest_worker, self._connector = Worker("rest"), Worker("connector")
        for place, worker in (
            (state.PLACE_REST, self._rest_worker),
            (state.PLACE_CONNECTOR, self._connector),
        ):
            self._wait.watched[place] = worker.event_fd
            self._epoll.register(worker.event_fd, select.EPOLLIN)
        self._rest = Rest(
            context.order_endpoints.rest_url, credentials.api_key, signer, self._clock,
            self._rest_worker, timeout_ns / NS_PER_S, window_ms,
        )  # fmt: skip
        self._runner = Runner(self._submit, self._timers, self._on_bad_data)
        table = OrderTable(memory.order_rows, memory.order_row_count)
        self._ledger = Ledger(memory, self._kernels, counts, table, self._clock)
        self._resolver = Resolver(
            self._ledger, self._runner, self._texts, counts, self._log, window_ms * NS_PER_MS,
            self._timers,
        )  # fmt: skip
        comparing = Comparing(context, self._ledger, self._resolver, self._clock)
        sweeper = Sweeper(context, counts, self._ledger, self._resolver, comparing)
        self._placing = Placing(
            context, counts, self._ledger, self._runner, self._timers, self._rest, self._texts,
            self._limits, self._resolver, sweeper.sweep,
            lambda done: self._reconciler.measure_clock(done),
        )  # fmt: skip
        self._puller = Puller(memory.control, table, self._placing.cancel, self._log)
        self._api = WsApi(
            self._texts, self._clock, self._timers, timeout_ns, self._placing.on_place
        )
        self._placing.api = self._api
        self._funding = FundingBooks(context, self._runner, self._timers)
        self._user = UserData(
            context, counts, self._ledger, self._runner, self._timers, self._resolver,
            lambda reason: self._reconciler.distrust(reason),
            lambda symbol: self._reconciler.foreign(symbol), self._funding.noticed,
        )  # fmt: skip
        history = History(
            table, self._resolver, self._clock, counts, memory.control.epoch, context.symbols,
            self._log,
        )  # fmt: skip
        trusts = Trusts(context, counts, self._ledger)
        self._reconciler = Reconciler(
            context, counts, self._ledger, self._runner, self._timers, self._clock,
            self._resolver, sweeper, self._user, history, comparing,
            trusts, self._limits.comparison_wait_ns,
        )  # fmt: skip
        self._countdown = Countdown(
            context, counts, self._ledger, self._runner, self._timers, self._limits, trusts,
            self._reconciler.foreign,
        )  # fmt: skip
        self._ledger.on_gap = self._on_gap
        self._ledger.on_revived = self._on_revived
        self._ledger.on_ended = self._reconciler.ended

    def _make_links(self) -> None:
        settings = self._context.settings.venue
        timeout_s = settings.request_timeout_ms / 1000
        silence_ns = settings.stale_connection_ms * NS_PER_MS

        def link(name: str, place: int, url: Any, on_up: Any, on_down: Any) -> Link:
            return Link(
                name, place, url, self._connector, self._timers, self._epoll, self._wait.watched,
                self._log, timeout_s, silence_ns, on_up, on_down,
            )  # fmt: skip

        url = self._context.order_endpoints.ws_api_url
        self._api_link = link("ws_api", state.PLACE_API, lambda: url, self._api_up, self._api_down)
        self._api.link = self._api_link
        self._user_link = link(
            "user_data", state.PLACE_USER, self._user.url, self._user_up, self._user_down
        )
        self._user.link = self._user_link

    # --- work --------------------------------------------------------------------------------

    def do_work(self) -> int:
        """Wait for an order or an answer for at most one cycle, and work it off."""
        work = self._slice(time.monotonic_ns() + self._slice_ns)
        if len(self._ledger.table.ended_ids) * 2 > self._ledger.table.row_count:
            self._reconciler.confirm()
        self._puller.look()
        now = time.monotonic_ns()
        if now >= self._status_ns:
            self._status()
        return work

    def _slice(self, latest_ns: int) -> int:
        """Wait until something happens or a timer is due; return the items worked off."""
        deadline_ns = self._timers.next_ns(latest_ns)
        if self._holds_orders:
            found = self._poll(deadline_ns)
        elif self._ledger.backlog or self._is_full:
            # An order in the ring must not end the wait while no report can be written.
            found = self._poll(min(deadline_ns, time.monotonic_ns() + FULL_WAIT_NS))
        else:
            found = self._kernels.executor_wait(self._wait_address, deadline_ns)
        work = 0
        if found & state.ORDER:
            work += self._take_orders()
        if found & state.API:
            work += self._api_link.read(self._on_api_message, lambda: True)
        if found & state.USER:
            work += self._read_user()
        if found & state.REST:
            work += self._rest_worker.collect()
        if found & state.CONNECTOR:
            work += self._connector.collect()
        work += self._timers.run(time.monotonic_ns())
        self._settle()
        return work

    def _poll(self, deadline_ns: int) -> int:
        left_s = max(0, deadline_ns - time.monotonic_ns()) / NS_PER_S
        ready = {fd for fd, _ in self._epoll.poll(left_s)}
        bell_fd = self._wait.bell_fd
        if bell_fd in ready:
            # epoll reports the doorbell until its count is taken: the next wait would not wait.
            os.eventfd_read(bell_fd)
        found = 0 if self._holds_orders else state.ORDER
        for place in range(state.WATCHED_COUNT):
            if self._wait.watched[place] in ready:
                found |= state.READABLE_FIRST << place
        return found

    def _take_orders(self) -> int:
        taken = 0
        self._is_full = False
        while taken < BATCH_SIZE and not self._ledger.backlog:
            slot = self._kernels.ring_peek(self._orders, 0)
            if slot == 0:
                break
            may_advance, row = self._placing.take(ORDER.at(slot))
            if not may_advance:
                self._is_full = True
                break
            # Invariant: from here on the order is in the table, not in the ring; never in neither.
            self._kernels.ring_advance(self._orders, 0)
            self._counts.orders.value += 1
            taken += 1
            if row is not None:
                self._placing.send(row)
                self._countdown.note(row.symbol)
        return taken

    def _read_user(self) -> int:
        return self._user_link.read(self._user.on_message, lambda: not self._ledger.backlog)

    def _settle(self) -> None:
        """Write the reports that had no room, stop or go on reading the stream, wake risk."""
        ledger = self._ledger
        if ledger.backlog and ledger.drain():
            self._user_link.pause(False)
            # What TLS has decrypted already does not make the socket readable again.
            self._read_user()
        if ledger.backlog:
            self._user_link.pause(True)
        ledger.ring_doorbell()

    def _submit(self, call: Call, done: Any) -> None:
        """Send a call over the WS-API if it can, else over REST; housekeeping heeds pauses."""
        pause_ns = self._limits.pause_ns() if call.priority == HOUSEKEEPING else 0
        if pause_ns:
            due_ns = time.monotonic_ns() + pause_ns
            self._timers.at(due_ns, lambda: self._submit(call, done))
            return

        def noted(reply: Reply) -> None:
            self._limits.note(reply)
            done(reply)

        if call.api_method and self._api.is_up:
            self._api.submit(call, noted)
        else:
            self._rest.submit(call, noted)

    # --- events of the parts -----------------------------------------------------------------

    def _on_api_message(self, message: bytes) -> None:
        try:
            self._api.on_message(message)
        except VenueDataError as error:
            self._on_bad_data(error)

    def _on_bad_data(self, error: VenueDataError) -> None:
        self._counts.malformed.value += 1
        self._log.error("message is malformed", error=printable(str(error)))

    def _on_gap(self, order_id: int) -> None:
        self._resolver.ask(order_id, GAP_NS if self._user.is_up else 0)

    def _on_revived(self, order_id: int) -> None:
        self._counts.mismatches.value += 1
        self._log.error("the venue has an order that was taken for absent", order_id=order_id)

    def _api_up(self, is_first: bool) -> None:
        if not is_first:
            self._counts.reconnects.value += 1

    def _api_down(self, reason: str) -> None:
        self._api.on_down()

    def _user_up(self, is_first: bool) -> None:
        if not is_first:
            self._counts.reconnects.value += 1
            # Whatever happened while no stream was there has to be asked for.
            self._reconciler.distrust("the user stream was away")

    def _user_down(self, reason: str) -> None:
        self._reconciler.distrust(f"user stream lost: {reason}")
        self._user.open()

    def _status(self) -> None:
        interval_s = self._context.settings.performance.status_interval_s
        self._status_ns = time.monotonic_ns() + interval_s * NS_PER_S
        counts, control = self._counts, self._context.memory.control
        self._log.info(
            "status",
            orders=counts.orders.value,
            sent=counts.sent.value,
            fills=counts.fills.value,
            rejected=counts.rejected.value,
            not_sent=counts.not_sent.value,
            unknown=counts.unknown.value,
            open=len(self._ledger.table.open_ids),
            reconciled=control.reconciled,
            mismatches=counts.mismatches.value,
        )

    # --- close -------------------------------------------------------------------------------

    def on_close(self) -> None:
        """Refuse what is left in the ring, cancel what is open, and compare with the venue."""
        left_s = time_left(self._context.settings.supervisor.stop_timeout_s)
        self._placing.closing = True
        latest_ns = time.monotonic_ns() + int(left_s(SERVE_SHARE) * NS_PER_S)
        if not serve_risk(self._context.memory, self._serve, latest_ns):
            self._log.error("risk has not closed, its last orders are not waited for")
        self._serve(0)
        self._placing.closed = True
        if not self._run_until_done(self._reconciler.close(), left_s(COMPARE_SHARE)):
            undecided = sorted(self._ledger.table.open_ids)
            self._counts.orders_lost.value = len(undecided)
            self._counts.venue_matches.value = 0
            self._log.error("closing without a comparison", undecided=undecided[:16])
        if self._reconciler.swept:  # until then the countdown stays armed
            stop_s_max = min(left_s(LAST_SHARE), self._countdown.stop_s)
            self._run_until_done(self._countdown.stop(), stop_s_max)
        self._run_until_done(self._funding.close(FIRST), min(left_s(LAST_SHARE), LAST_LOOK_S))
        self._context.memory.control.reconciled = 0
        self._api_link.close()
        self._user_link.close()
        for worker in (self._rest_worker, self._connector):
            worker.close(timeout_s=0.2)
        self._rest.close()
        self._epoll.close()
        self._reconciler.insist_on_swept()

    def _serve(self, latest_ns: int) -> int:
        """Work until a time: what adds risk is canceled or refused, what reduces it is sent."""
        self._puller.pull()
        return self._slice(latest_ns)

    def _run_until_done(self, procedure: Procedure, seconds: float) -> bool:
        return self._runner.complete(procedure, self._slice, seconds, self._slice_ns)
