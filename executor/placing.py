"""Carry out what risk asks for: place orders, cancel them, and act on what the venue answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from executor import algo, venue
from executor.counts import Counts
from executor.ledger import Change, Ledger
from executor.limits import Limits
from executor.procedures import Pause, Procedure, Runner
from executor.resolve import Resolver
from executor.rest import FIRST, Call, Rest
from executor.texts import OrderTexts
from executor.timers import Timers
from executor.transitions import OrderEvent, is_terminal
from executor.venue import Reply, VenueDataError, Verdict, classify
from executor.ws_api import WsApi
from runtime.stage import StageContext
from shm.latch_table import is_latched
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType, TimeInForce

EXIT_RETRIES_MAX = 3
RETRY_NS = 50_000_000
CANCEL_ATTEMPTS_MAX = 5
RISK_REDUCING = int(OrderFlag.EXIT) | int(OrderFlag.REDUCE_ONLY)
# Orders that a market event caused: only these have a tick-to-order time.
TICK_DRIVEN = tuple(
    int(reason)
    for reason in (
        OrderReason.ENTRY,
        OrderReason.STOP,
        OrderReason.TARGET,
        OrderReason.PARTIAL,
        OrderReason.TRAILING,
        OrderReason.REVERSAL,
    )
)
ENDS_AT_ONCE = (int(TimeInForce.IOC), int(TimeInForce.FOK))


class Placing:
    """Send orders and cancels.

    `sweep(symbol)` cancels all that is open in a symbol, `measure_clock(done)` measures the
    venue's clock anew.
    """

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        runner: Runner,
        timers: Timers,
        rest: Rest,
        texts: OrderTexts,
        limits: Limits,
        resolver: Resolver,
        sweep: Callable[[int], Procedure],
        measure_clock: Callable[[Callable[[], None]], None],
    ) -> None:
        self.api: WsApi | None = None
        # Closing, only what reduces risk is sent; closed, nothing is: all is being compared.
        self.closing = self.closed = False
        self._counts, self._ledger, self._runner = counts, ledger, runner
        self._timers, self._rest, self._texts = timers, rest, texts
        self._limits, self._resolver = limits, resolver
        self._sweep, self._measure_clock = sweep, measure_clock
        self._log = context.log
        self._memory, self._control = context.memory, context.memory.control
        self._symbol_count = len(context.symbols)
        self._timeout_ns = context.settings.venue.request_timeout_ms * venue.NS_PER_MS
        self._kernels = context.kernels
        histograms = context.memory.histograms
        self._latency = histograms.address_of("executor")
        self._tick_to_order = histograms.address_of("tick_to_order")
        self._attempts: dict[int, int] = {}
        self._canceling: set[int] = set()
        # When entries expire, from their taking to their sending; the rows do not have it.
        self._expires_ns: dict[int, int] = {}

    def take(self, order: Any) -> tuple[bool, Any | None]:
        """Take an order from the ring.

        Returns:
            (whether the ring may advance, the row of a new order that is to be sent now).
        """
        action = order.action
        if action == OrderAction.CANCEL:
            row = self._ledger.table.find(order.order_id)
            # Closed, nothing could take the place of a stop: it stays as it is.
            if not (self.closed and row is not None and algo.is_stop(row)):
                self.cancel(order.order_id)
            return True, None
        if action == OrderAction.CANCEL_ALL:
            self._runner.start(self._sweep(order.symbol))
            return True, None
        if self._ledger.table.has_seen(order.order_id):
            # Delivered again after a crash: its row is being decided, it is not sent a second time.
            self._log.warning("order was taken before", order_id=order.order_id)
            return True, None
        code = self._refusal(order)
        if code:
            self._log.warning("order not sent", order_id=order.order_id, code=code)
            return self._ledger.refuse(order, code), None
        is_exit = bool(order.flags & RISK_REDUCING)
        if order.expires_ns and not is_exit:
            self._expires_ns[order.order_id] = order.expires_ns
        return True, self._open_row(order)

    def _open_row(self, order: Any) -> Any:
        table = self._ledger.table
        displaced = table.displace_for(order.order_id)
        if displaced:
            self._log.warning(
                "an exit takes the row of an order that is not confirmed yet",
                order_id=order.order_id,
                displaced=displaced,
            )
        return table.open_row(order)

    def _refusal(self, order: Any) -> int:
        """Return why an order is not sent, in the order of the checks, or 0."""
        if not self._is_well_formed(order):
            return venue.CODE_MALFORMED
        if self.closed or (self.closing and not order.flags & RISK_REDUCING):
            return venue.CODE_CLOSING
        if order.expires_ns and time.monotonic_ns() > order.expires_ns:
            return venue.CODE_STALE
        table = self._ledger.table
        if order.flags & RISK_REDUCING:
            if not self._limits.allows_exit():
                return venue.CODE_LIMITED
            has_room = table.has_room_for_exit(order.order_id)
        else:
            code = self._entry_refusal(order.symbol)
            if code:
                return code
            if not self._limits.allows_entry():
                return venue.CODE_LIMITED
            has_room = table.has_room_for_entry(order.order_id)
        return 0 if has_room else venue.CODE_TABLE_FULL

    def _entry_refusal(self, symbol: int) -> int:
        """Return why no entry may leave now, or 0; the REST worker's thread asks, too."""
        if self.closing:
            return venue.CODE_CLOSING
        control = self._control
        if control.halt_reason or is_latched(control):
            return venue.CODE_HALTED
        if not (control.reconciled and control.clock_ready):
            return venue.CODE_HALTED
        return venue.CODE_DISTRUST if self._memory.trust(symbol).distrust else 0

    def _is_well_formed(self, order: Any) -> bool:
        if order.action != OrderAction.PLACE or order.order_id <= 0:
            return False
        if order.symbol >= self._symbol_count or order.quantity_lot <= 0:
            return False
        if order.side not in (1, -1):
            return False
        if order.type == OrderType.MARKET:
            return True
        if order.type == OrderType.STOP_MARKET:
            return bool(order.price_tick > 0 and order.flags & OrderFlag.REDUCE_ONLY)
        tif = order.time_in_force
        return order.type == OrderType.LIMIT and order.price_tick > 0 and 1 <= tif <= 4

    def send(self, row: Any) -> None:
        """Send the order of a SENDING row: over the WS-API, else over REST."""
        order_id = row.order_id
        is_exit = bool(row.flags & RISK_REDUCING)
        # Asked once more: nothing that adds risk leaves after the latch.
        if not is_exit and (code := self._entry_refusal(row.symbol)):
            self._expires_ns.pop(order_id, None)
            self._ledger.apply(Change(order_id, OrderEvent.NOT_SENT, error_code=code))
            return
        # Only exits are sent again, and they do not expire once they are taken.
        expires_ns = self._expires_ns.pop(order_id, 0)
        api = self.api
        if api is None or not api.is_up:
            self._send_rest(row, expires_ns)
            return
        sent = api.place(row)
        self._counts.sent.value += 1
        if order_id not in self._attempts and not algo.is_stop(row):
            self._record(row)
        if not sent:
            self._undecided(order_id, 0)
        elif row.type == OrderType.MARKET or row.time_in_force in ENDS_AT_ONCE:
            self._watch(order_id)

    def _record(self, row: Any) -> None:
        self._kernels.histogram_record(self._latency, row.sent_ns - row.written_ns)
        if row.reason in TICK_DRIVEN and row.origin_ns:
            self._kernels.histogram_record(self._tick_to_order, row.sent_ns - row.origin_ns)

    def _send_rest(self, row: Any, expires_ns: int) -> None:
        order_id = row.order_id
        is_exit = bool(row.flags & RISK_REDUCING)
        not_after_ns = time.monotonic_ns() + self._timeout_ns
        if expires_ns:
            not_after_ns = min(not_after_ns, expires_ns)
        self._resolver.sendable_until[order_id] = not_after_ns
        call = Call(
            "POST",
            algo.ALGO_ORDER if algo.is_stop(row) else venue.ORDER,
            self._texts.stop_parameters(row) if algo.is_stop(row) else self._texts.parameters(row),
            priority=FIRST,
            not_after_ns=not_after_ns,
            # An entry may wait behind another request, and be halted meanwhile.
            refusal=None if is_exit else partial(self._entry_refusal, row.symbol),
        )
        self._rest.submit(call, lambda reply: self._rest_done(order_id, reply))

    def _rest_done(self, order_id: int, reply: Reply) -> None:
        if reply.sent_ns:
            self._counts.sent.value += 1
            self._counts.sent_rest.value += 1
            row = self._ledger.table.find(order_id)
            if row is not None:
                row.sent_ns = reply.sent_ns
                if row.type == OrderType.MARKET or row.time_in_force in ENDS_AT_ONCE:
                    self._watch(order_id)
        self.on_place(order_id, reply)

    def _watch(self, order_id: int) -> None:
        """Ask for an order that ends at once but has not after the time of a request."""

        def look() -> None:
            row = self._ledger.table.find(order_id)
            if row is not None and not is_terminal(row.status):
                self._resolver.ask(order_id)

        self._timers.at(time.monotonic_ns() + self._timeout_ns, look)

    def on_place(self, order_id: int, reply: Reply) -> None:
        """Act on the outcome of a request to place an order."""
        self._limits.note(reply)
        row = self._ledger.table.find(order_id)
        if row is None:
            return
        verdict = classify(reply)
        if verdict == Verdict.OK:
            self._attempts.pop(order_id, None)
            try:
                self._resolver.answer(row, reply)
            except VenueDataError as error:
                self._counts.malformed.value += 1
                self._log.error("answer is malformed", order_id=order_id, error=str(error))
                self._undecided(order_id, 0)
            return
        if reply.code == venue.CODE_WOULD_TAKE:
            # The price has moved while the order was on its way: what post-only is for.
            self._counts.would_take.value += 1
            self._refused(order_id, reply, False)
            return
        self._log.warning(
            "order was not accepted",
            order_id=order_id,
            verdict=verdict.value,
            status=reply.status,
            code=reply.code,
            message=reply.message,
        )
        if verdict in (Verdict.UNKNOWN, Verdict.DUPLICATE):
            self._undecided(order_id, reply.code)
            return
        may_retry = verdict in (Verdict.FAILED, Verdict.CLOCK, Verdict.LIMITED)
        if verdict == Verdict.CLOCK:
            self._measure_clock(lambda: self._refused(order_id, reply, may_retry))
        else:
            self._refused(order_id, reply, may_retry)

    def _undecided(self, order_id: int, code: int) -> None:
        self._ledger.apply(Change(order_id, OrderEvent.UNDECIDED, error_code=code))
        self._resolver.ask(order_id)

    def _refused(self, order_id: int, reply: Reply, may_retry: bool) -> None:
        """End an order that did not happen; an exit is tried again, a few times."""
        row = self._ledger.table.find(order_id)
        if row is None:
            return
        attempt = self._attempts.get(order_id, 0)
        is_exit = bool(row.flags & RISK_REDUCING)
        # Only a row that still waits for this very answer may be sent again.
        waits = row.status == OrderStatus.SENDING and not self.closed
        if may_retry and is_exit and waits and attempt < EXIT_RETRIES_MAX:
            self._attempts[order_id] = attempt + 1
            due_ns = time.monotonic_ns() + max(RETRY_NS << attempt, self._limits.pause_ns())
            self._timers.at(due_ns, lambda: self._send_again(order_id))
            return
        self._attempts.pop(order_id, None)
        event = OrderEvent.REJECTED if reply.status else OrderEvent.NOT_SENT
        self._ledger.apply(Change(order_id, event, error_code=reply.code))

    def _send_again(self, order_id: int) -> None:
        row = self._ledger.table.find(order_id)
        if row is None or row.status != OrderStatus.SENDING:
            return
        if self.closed:
            event = OrderEvent.NOT_SENT
            self._ledger.apply(Change(order_id, event, error_code=venue.CODE_CLOSING))
            return
        self.send(row)

    def cancel(self, order_id: int) -> None:
        """Cancel an order, unless that is under way."""
        if order_id not in self._canceling:
            self._canceling.add(order_id)
            self._ledger.asked.add(order_id)
            self._runner.start(
                self._cancel(order_id), lambda result: self._canceling.discard(order_id)
            )

    def _cancel(self, order_id: int) -> Procedure:
        for attempt in range(CANCEL_ATTEMPTS_MAX):
            row = self._ledger.table.find(order_id)
            if row is None or is_terminal(row.status):
                return
            self._counts.cancels.value += 1
            reply = yield self._cancel_call(row)
            self._limits.note(reply)
            if row.order_id != order_id:
                return  # it had ended, and a later order has its row now
            if reply.ok and algo.is_stop(row):
                self._resolver.stops.canceled(row)
                return
            if reply.ok:
                self._resolver.answer(row, reply)
                return
            # Not found: it has ended, or it has not arrived yet. Anything else: unknown.
            yield from self._resolver.look(order_id, attempt)
            yield Pause(RETRY_NS << attempt)
        self._log.error("order could not be canceled", order_id=order_id)

    def _cancel_call(self, row: Any) -> Call:
        if algo.is_stop(row):
            return self._resolver.stops.cancel_call(row)
        return Call(
            "DELETE",
            venue.ORDER,
            {
                "symbol": self._resolver.symbol_of(row),
                "origClientOrderId": self._texts.client_id(row.order_id),
            },
            priority=FIRST,
            api_method=venue.API_CANCEL,
        )
