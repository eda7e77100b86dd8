"""Apply what is learned about orders: report it, then write it into the row.

Every change of an order passes through `Ledger.apply`, whoever brought it: the response to a
request, the user-data stream, a query. Applying the same thing twice does nothing the second time.
When the report ring is full the change waits, and everything after it, in order; nothing is lost
and no row runs ahead of its report.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from executor.algo import STOP_MARKET
from executor.clock import VenueClock
from executor.counts import Counts
from executor.orders import OrderTable
from executor.transitions import OrderEvent, is_terminal, next_status
from executor.unexplained import correction_id, explained_lot, note_unexplained, use_up
from executor.venue import printable, to_e8
from runtime.kernels import Kernels
from shm.records import REPORT, OrderReason, OrderStatus, ReportFlag, asset_code
from shm.ring_layout import RING
from shm.topology import SharedMemory

FLAG_MAKER, FLAG_QUOTE = int(ReportFlag.MAKER), int(ReportFlag.QUOTE)


class Fee(NamedTuple):
    """The fee of a fill: in the quote, or in another asset, which no profit counts."""

    quote_e8: int = 0
    other_e8: int = 0
    asset: str = ""  # the other one


NO_FEE = Fee()


def fee_of(amount: object, asset: object, quote: str) -> Fee:
    """Return a fee as the venue states it; raises VenueDataError when it is no number."""
    fee_e8 = to_e8(amount)
    if asset == quote or not fee_e8:
        return Fee(fee_e8)
    return Fee(0, fee_e8, printable(str(asset), 16))


@dataclass(slots=True)
class Change:
    """One thing learned about one order. A fill has `fill_lot` > 0."""

    order_id: int
    event: OrderEvent
    venue_order_id: int = 0
    algo_id: int = 0
    venue_ns: int = 0
    error_code: int = 0
    trade_id: int = 0
    fill_tick: int = 0
    fill_lot: int = 0
    filled_lot: int = 0  # filled in all: after this fill, or as stated without one
    fee: Fee = NO_FEE
    is_maker: bool = False
    symbol: int = 0  # these two of a fill of nobody's order (order_id 0) only
    side: int = 0
    # Of a difference that is taken over from the venue: fills of before have caused it.
    before_ns: int = 0
    # A fill that was asked for, or has waited here: its age says nothing about the stream.
    was_held: bool = False


class _Nobody(NamedTuple):
    """Stands for the row of an order that is not ours."""

    symbol: int
    side: int
    origin_ns: int = 0
    position_id: int = 0
    reason: int = 0


class Ledger:
    """Own the order rows and the report ring.

    `on_gap(order_id)` is called when a fill is missing before the one that arrived; `on_revived`
    when the venue has an order that was taken for absent; `on_ended` when a resting order has ended
    that is not among `asked`, the orders that we have asked the venue to cancel. `on_fill(symbol,
    signed lots, venue_ns, was_held)` is called for every fill that is reported, and
    `on_explained(change, lots)` for a foreign fill of which so much had been taken over.
    """

    def __init__(
        self,
        memory: SharedMemory,
        kernels: Kernels,
        counts: Counts,
        table: OrderTable,
        clock: VenueClock,
    ) -> None:
        self.table = table
        self.backlog: deque[Change] = deque()
        self.on_gap: Callable[[int], None] = lambda order_id: None
        self.on_revived: Callable[[int], None] = lambda order_id: None
        self.on_fill: Callable[[int, int, int, bool], None] = lambda *fill: None
        self.on_explained: Callable[[Change, int], None] = lambda change, lots: None
        self.on_ended: Callable[[int], None] = lambda order_id: None
        self.asked: set[int] = set()
        self.held_symbols: set[int] = set()  # with foreign fills that wait to be booked
        self._memory, self._clock = memory, clock
        self._kernels = kernels
        self._counts = counts
        self._ring = memory.ring("reports")
        self._doorbell = memory.doorbell("risk")
        self._ack = memory.histograms.address_of("ack")
        self._unrung = False

    def apply(self, change: Change) -> None:
        """Apply a change, or keep it in order until the report ring has room."""
        if self.backlog or not self._apply(change):
            change.was_held = True
            self.backlog.append(change)
            self._counts.ring_full.value += 1

    def drain(self) -> bool:
        """Apply what waits; return whether nothing is left."""
        while self.backlog:
            if not self._apply(self.backlog[0]):
                return False
            self.backlog.popleft()
        return True

    def recover(self) -> None:
        """Note a correction after whose report the executor before us has died.

        Invariant: it is noted right after its report, before any other report is published. No
        order of the venue is in it, which tells it from a fill, and its time is in its row then.
        """
        ring = RING.at(self._ring)
        slot = ((ring.tail - 1) & ring.mask) * ring.slot_size
        last = REPORT.at(self._ring + ring.slots_offset + slot)
        if last.order_id or last.venue_order_id or not last.fill_lot:
            return
        trust = self._memory.trust(last.symbol)
        if trust.unexplained_ns < last.venue_ns:
            note_unexplained(trust, last.side, last.fill_lot, last.venue_ns)

    def ring_doorbell(self) -> None:
        """Wake risk if reports were published since the last call."""
        if self._unrung:
            self._unrung = False
            self._kernels.doorbell_ring(self._doorbell)

    def refuse(self, order: Any, error_code: int) -> bool:
        """Report an order of the ring as NOT_SENT; return whether the ring took the report."""
        if self.backlog:
            return False
        status = OrderStatus.NOT_SENT
        if not self._publish(
            order, Change(order.order_id, OrderEvent.NOT_SENT), status, error_code
        ):
            self._counts.ring_full.value += 1
            return False
        self._counts.not_sent.value += 1
        return True

    def _apply(self, change: Change) -> bool:
        """Apply one change; return False when the ring has no room for its report."""
        if change.order_id == 0:
            return self._apply_foreign(change)
        row = self.table.find(change.order_id)
        if row is None:
            self._counts.foreign_events.value += 1
            return True
        before = OrderStatus(row.status)
        if change.fill_lot > 0:
            if change.filled_lot <= row.filled_lot:
                self._counts.duplicate_events.value += 1
                return True
            if change.filled_lot - change.fill_lot != row.filled_lot:
                # A fill before this one has not come yet: the venue's list of fills tells both.
                self._first_word(row, change)
                self.on_gap(change.order_id)
                return True
        elif change.filled_lot > row.filled_lot:
            # There were fills that nobody has told us: their prices are the venue's to tell.
            self._first_word(row, change)
            self.on_gap(change.order_id)
            return True
        status = next_status(before, change.event)
        if status == before and change.fill_lot == 0:
            self._first_word(row, change)
            return True
        if not self._publish(row, change, status, change.error_code):
            return False
        self._write(row, change, before, status)
        return True

    def _apply_foreign(self, change: Change) -> bool:
        """Report a fill of nobody's order; the venue's trade ids of a symbol count up."""
        trust = self._memory.trust(change.symbol)
        if not change.before_ns:
            if change.trade_id <= trust.venue_trade_id:
                self._counts.duplicate_events.value += 1
                return True
            self._explain(trust, change)
            if not change.fill_lot:
                return True
        source = _Nobody(change.symbol, change.side)
        before = trust.foreign_trade_id
        # A difference that was taken over has an id of ours, which a fill may have as well: the
        # ids of the reports count up all the same.
        # Invariant: it counts before the report is there: a crash in between leaves one out.
        report_id = max(change.trade_id, before + 1)
        if change.before_ns:
            report_id = correction_id(before, change.symbol)
        trust.foreign_trade_id = report_id
        if not self._publish(source, change, OrderStatus.FILLED, 0, report_id):
            trust.foreign_trade_id = before
            return False
        if change.before_ns:
            note_unexplained(trust, change.side, change.fill_lot, change.before_ns)
        else:
            trust.venue_trade_id = change.trade_id
            self._counts.foreign_fills.value += 1
        return True

    def _explain(self, trust: Any, change: Change) -> None:
        """Cut a fill by what was taken over from the venue already; nothing may be left of it."""
        now_ns = self._clock.venue_ns()
        lots = explained_lot(trust, change.side, change.fill_lot, change.venue_ns, now_ns)
        if not lots:
            return
        use_up(trust, change.side, lots)
        change.fill_lot -= lots
        if not change.fill_lot:
            trust.venue_trade_id = change.trade_id
        self._counts.explained.value += 1
        self.on_explained(change, lots)

    def _write(self, row: Any, change: Change, before: OrderStatus, status: OrderStatus) -> None:
        counts = self._counts
        if change.fill_lot > 0:
            # Invariant: filled_lot after the sums: a crash in between leaves the old quantity, so
            # the venue's fills are read again, which first sets the sums anew.
            row.filled_value += change.fill_tick * change.fill_lot
            row.fee_e8 += change.fee.quote_e8
            row.last_trade_id = max(row.last_trade_id, change.trade_id)
            row.filled_lot = change.filled_lot
            counts.fills.value += 1
        self._first_word(row, change)
        if change.error_code:
            row.error_code = change.error_code
        self.table.set_status(row, status)
        if status == OrderStatus.UNKNOWN:
            counts.unknown.value += 1
        elif status == OrderStatus.REJECTED:
            counts.rejected.value += 1
        elif status == OrderStatus.NOT_SENT:
            counts.not_sent.value += 1
        if before in (OrderStatus.REJECTED, OrderStatus.NOT_SENT):
            self.on_revived(change.order_id)
        if is_terminal(status):
            rested = before in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
            gone = status == OrderStatus.CANCELED or (
                status == OrderStatus.EXPIRED and row.type == STOP_MARKET
            )
            if rested and gone and change.order_id not in self.asked:
                counts.ended_by_venue.value += 1
                self.on_ended(change.order_id)
            self.asked.discard(change.order_id)

    def _first_word(self, row: Any, change: Change) -> None:
        """Note the venue's ids and the first word of the venue about an order."""
        if change.venue_order_id:
            self.table.note_venue_id(row, change.venue_order_id)
        if change.algo_id:
            row.algo_id = change.algo_id
        silent = change.event in (OrderEvent.UNDECIDED, OrderEvent.NOT_SENT)
        if row.acked_ns or silent:
            return
        row.acked_ns = time.monotonic_ns()
        # Over REST an event can come before the response that tells when the request left.
        if row.sent_ns:
            self._kernels.histogram_record(self._ack, row.acked_ns - row.sent_ns)
        if change.event != OrderEvent.REJECTED:
            self._counts.acked.value += 1

    def _publish(
        self,
        source: Any,
        change: Change,
        status: OrderStatus,
        error_code: int,
        trade_id: int = 0,
    ) -> bool:
        """Publish a report about an order; `source` is its row, or its ORDER record."""
        slot = self._kernels.ring_claim(self._ring)
        if slot == 0:
            return False
        report = REPORT.at(slot)
        report.origin_ns = source.origin_ns
        report.venue_ns = change.before_ns or change.venue_ns
        report.order_id = change.order_id
        report.position_id = source.position_id
        report.venue_order_id = change.venue_order_id or getattr(source, "venue_order_id", 0)
        report.trade_id = trade_id or change.trade_id
        report.fill_tick = change.fill_tick
        report.fill_lot = change.fill_lot
        filled_before = getattr(source, "filled_lot", 0)
        report.filled_lot = change.filled_lot if change.fill_lot else filled_before
        report.fee_e8 = change.fee.quote_e8
        report.other_fee_e8 = change.fee.other_e8
        report.fee_asset = asset_code(change.fee.asset)
        report.error_code = error_code
        report.symbol = source.symbol
        report.status = int(status)
        report.side = source.side
        report.flags = FLAG_MAKER if change.is_maker else 0
        if source.reason == OrderReason.QUOTE:
            report.flags |= FLAG_QUOTE
        report.written_ns = time.monotonic_ns()
        self._kernels.ring_publish(self._ring, slot)
        self._unrung = True
        if change.fill_lot > 0:
            lots = change.fill_lot * source.side
            self.on_fill(source.symbol, lots, change.venue_ns, change.was_held)
        return True

    def set_sums(self, row: Any, value: int, fee_e8: int, trade_id: int) -> None:
        """Set a row's sums over its fills anew, from the venue's list of them."""
        row.filled_value, row.fee_e8, row.last_trade_id = value, fee_e8, trade_id
