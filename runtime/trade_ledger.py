"""Write what happened into the trade ledger: orders, fills, round trips.

Nobody on the hot path knows of it. It reads the rings `orders` and `reports` as an observer, the
way the engine reads reports, and holds nobody back. Every batch is one transaction with the
positions it has read up to, so a crash at any point repeats nothing and leaves nothing out. Records
that were overwritten before they were read are counted, and the executor's order rows give the
sums that are missing; such rows are marked as repaired.
"""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Mapping
from typing import Any

from runtime import trade_trips
from runtime.ring_observer import RingObserver
from runtime.trade_store import TradeStore
from runtime.trade_trips import Fill
from shm.records import (
    ORDER,
    REPORT,
    TERMINAL_STATUS_MIN,
    OrderAction,
    OrderReason,
    OrderStatus,
    OrderType,
    ReportFlag,
    TimeInForce,
    asset_name,
)
from shm.tables import FUNDING, ORDER_ROW, read_symbol_name
from shm.topology import SharedMemory

# Records in one transaction: what a disk takes at once, and how long a reader may have to wait.
BATCH_MAX = 4096
REFUSAL_PREFIX = "risk.rejected_"


class TradeLedger:
    """The writer of one run.

    Args:
        memory: the instance's segments; read only, but for the counters of "ledger".
        kernels: of the run.
        store: the file.
        run: instance, mode, symbols and settings hash of the run, for its row.
        strategies: the name of every strategy, by code.
    """

    def __init__(
        self,
        memory: SharedMemory,
        kernels: Any,
        store: TradeStore,
        run: dict[str, str],
        strategies: Mapping[int, str],
    ) -> None:
        self._memory, self._store, self._run = memory, store, run
        self._strategies = strategies
        self._count = memory.counters
        self._orders = RingObserver(kernels, memory.ring("orders"), ORDER)
        self._reports = RingObserver(kernels, memory.ring("reports"), REPORT)
        self._symbols = [
            read_symbol_name(memory.symbol(i)) for i in range(memory.control.symbol_count)
        ]
        self._index = {name: i for i, name in enumerate(self._symbols)}
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._loaded = False
        self._repair_due = True
        self._lost_before = 0
        self._has_wallet = False
        self._unstamped: list[int] = []
        self._payments: dict[int, int] = {}  # funding written, by symbol

    # --- a batch -----------------------------------------------------------------------------

    def write(self, closing: bool = False) -> int:
        """Write what came since the last call; return the records read.

        Args:
            closing: no record will follow: note the end of the run.

        Raises:
            sqlite3.Error: nothing was written; the next call begins where this one did.
        """
        started = time.monotonic_ns()
        try:
            if not self._loaded:
                self._load()
            rows = self._copy_rows() if self._repair_due else []
            until = self._reports.newest()
            funding = self._new_funding()
            # The wallet before the first trade is what the run's profit is measured against.
            first_wallet = not self._has_wallet and self._memory.control.wallet_e8 > 0
            waiting = rows or funding or closing or self._unstamped or first_wallet
            if not waiting and self._is_idle(until):
                self._repair_due = False
                return 0
            self._store.begin()
            taken, is_complete = self._read(until)
            if rows and is_complete:
                self._repair(rows)
            self._stamp()
            for symbol, (payments, total_e8, time_ns) in funding.items():
                self._store.put_funding(self._symbols[symbol], payments, total_e8, time_ns)
            self._note_run(closing)
            self._store.commit()
        except BaseException:
            self._loaded = False
            self._store.roll_back()
            raise
        self._has_wallet |= first_wallet
        self._payments |= {symbol: row[0] for symbol, row in funding.items()}
        self._publish_counts(started)
        return taken

    def _is_idle(self, until: int) -> bool:
        return self._reports.position >= until and self._orders.position >= self._orders.newest()

    def _load(self) -> None:
        """Take up where the file says; the first time, make the run's row."""
        memory, control = self._memory, self._memory.control
        started_ns = control.started_ns + self._wall_ns
        run = self._store.open_run(control.epoch, self._run, started_ns)
        self._store.begin()
        for index, name in enumerate(self._symbols):
            self._store.put_symbol(name, memory.symbol(index))
        self._store.commit()
        self._orders.position, self._reports.position = run.order_position, run.report_position
        self._orders.lost = self._reports.lost = 0
        self._lost_before = run.lost_records
        self._repair_due = True
        self._unstamped = []
        self._payments = {}
        self._loaded = True

    def _read(self, until: int) -> tuple[int, bool]:
        """Read both rings: orders first, so that every report up to `until` finds its order.

        Returns:
            the records read, and whether all were read that there were when it began.
        """
        taken, lost = 0, self.lost_records
        orders_until = self._orders.newest()
        for order in self._orders.read(orders_until, BATCH_MAX):
            taken += 1
            if order.action == OrderAction.PLACE:
                self._take_order(order, 0)
        is_complete = self._orders.position >= orders_until
        if is_complete:
            for report in self._reports.read(until, BATCH_MAX):
                taken += 1
                self._take_report(report)
            is_complete = self._reports.position >= until
        if self.lost_records != lost:
            self._repair_due = True
        return taken, is_complete

    def _new_funding(self) -> dict[int, tuple[int, int, int]]:
        """Return count, sum and time by symbol where the executor's rows say something new."""
        found = {}
        for symbol in range(len(self._symbols)):
            row = FUNDING.at(self._memory.funding_address(symbol))
            payments: int = row.payments
            if payments == self._payments.get(symbol, 0):
                continue
            told = payments, row.total_e8, row.last_ms * 1_000_000
            # The executor writes the count last: the same count again means one state.
            if row.payments == payments:
                found[symbol] = told
        return found

    def _note_run(self, closing: bool) -> None:
        control = self._memory.control
        counted = self._count.as_dict(REFUSAL_PREFIX)
        refusals = {k.removeprefix(REFUSAL_PREFIX): v for k, v in counted.items() if v}
        self._store.note_run(
            order_position=self._orders.position,
            report_position=self._reports.position,
            lost_records=self.lost_records,
            wallet_e8=control.wallet_e8,
            refusals=json.dumps(refusals),
            ended_ns=time.time_ns() if closing else None,
        )

    def _publish_counts(self, started: int) -> None:
        count, store = self._count, self._store
        for label, amount in store.take_counts().items():
            count.add(f"ledger.{label}", amount)
        count.set("ledger.lost_records", self.lost_records)
        count.add("ledger.batches")
        took_us = (time.monotonic_ns() - started) // 1000
        count.set("ledger.batch_us_max", max(count.get("ledger.batch_us_max"), took_us))

    @property
    def lost_records(self) -> int:
        """Return how many records of this run were overwritten before they were read."""
        return self._lost_before + self._orders.lost + self._reports.lost

    # --- records -----------------------------------------------------------------------------

    def _wall(self, mono_ns: int) -> int:
        return mono_ns + self._wall_ns if mono_ns else 0

    def _name(self, symbol: int) -> str:
        return self._symbols[symbol] if symbol < len(self._symbols) else f"#{symbol}"

    def _take_order(self, order: Any, repaired: int) -> None:
        """Write an order's row unless it is there; `order` is an ORDER or an ORDER_ROW."""
        self._store.put_order(
            order_id=order.order_id,
            symbol=self._name(order.symbol),
            position_id=order.position_id,
            signal_id=getattr(order, "signal_id", 0),
            strategy=self._strategies.get(order.strategy, f"strategy_{order.strategy}"),
            reason=OrderReason(order.reason).name,
            type=OrderType(order.type).name,
            time_in_force=TimeInForce(order.time_in_force).name,
            side=order.side,
            flags=order.flags,
            price_tick=order.price_tick,
            quantity_lot=order.quantity_lot,
            written_ns=self._wall(order.written_ns),
            repaired=repaired,
        )

    def _row_of(self, order_id: int) -> Any | None:
        """Return a copy of the executor's row of an order, None when it has none."""
        memory = self._memory
        place = order_id % memory.order_row_count * ORDER_ROW.size
        copy = ORDER_ROW.new()
        ctypes.memmove(ctypes.addressof(copy), memory.order_rows + place, ORDER_ROW.size)
        return copy if copy.order_id == order_id else None

    def _take_report(self, report: Any) -> None:
        order_id: int = report.order_id
        order = self._store.order(order_id) if order_id else None
        if order is None and order_id:
            # Its record was overwritten: the executor's row tells the same.
            row = self._row_of(order_id)
            self._repair_due = True
            if row is not None:
                self._take_order(row, 1)
                order = self._store.order(order_id)
        new_lot = report.fill_lot
        if order is not None and new_lot > 0:
            new_lot = min(new_lot, report.filled_lot - order.filled_lot)
            if report.filled_lot - new_lot > order.filled_lot:
                self._repair_due = True  # a fill before this one was not seen
        if new_lot > 0:
            fee = report.fee_e8
            if new_lot != report.fill_lot:
                fee = fee // report.fill_lot * new_lot
            self._book(
                order_id, report.trade_id, report.filled_lot, report.symbol, report.side,
                new_lot, new_lot * report.fill_tick, fee,
                int(bool(report.flags & ReportFlag.MAKER)),
                report.venue_ns or self._wall(report.written_ns), 0,
                report.other_fee_e8, asset_name(report.fee_asset),
            )  # fmt: skip
        elif report.fill_lot > 0:
            self._store.count("duplicates")
        if order is not None:
            ended = report.status >= TERMINAL_STATUS_MIN
            self._store.note_order(
                order_id,
                OrderStatus(report.status).name,
                report.error_code,
                report.venue_order_id,
                self._wall(report.written_ns) if ended else 0,
            )
            if ended:
                self._unstamped.append(order_id)

    def _book(
        self, order_id: int, trade_id: int, filled_lot: int, symbol: int, side: int,
        lot: int, value: int, fee_e8: int, is_maker: int, time_ns: int, repaired: int,
        other_fee_e8: int = 0, fee_asset: str = "",
    ) -> None:  # fmt: skip
        """Write a fill and take it into its symbol's round trip; one that is there is left alone.

        Repaired fills come late: their symbol's round trips are made anew from all of its fills.
        """
        name = self._name(symbol)
        new = self._store.put_fill(
            order_id, trade_id, filled_lot, name, side, lot, value, fee_e8, is_maker, time_ns,
            repaired, other_fee_e8, fee_asset,
        )  # fmt: skip
        if not new or repaired:
            return
        order = self._store.order(order_id)
        fill = Fill(
            side, lot, value, fee_e8, time_ns,
            order.reason if order else OrderReason.FOREIGN.name,
            order.strategy if order else "none",
            order.position_id if order else 0,
        )  # fmt: skip
        trip, number = self._store.open_trip(name)
        for changed in trade_trips.take(trip, number, fill):
            self._note_prices(changed, symbol)
            self._store.put_trip(name, changed, self._value_e8(symbol))

    def _value_e8(self, symbol: int) -> int:
        known = symbol < len(self._symbols)
        return int(self._memory.symbol(symbol).value_e8) if known else 0

    def _note_prices(self, trip: trade_trips.Trip, symbol: int) -> None:
        """Note what risk's row says about the position, while the row is still about it."""
        if symbol >= len(self._symbols):
            return
        row = self._memory.position(symbol)
        if row.position_id == trip.position_id:
            best, risk = row.best_tick, row.initial_risk_tick
            # Risk starts the row anew with the next entry: looked at again, it must be the same.
            if row.position_id == trip.position_id:
                trip.best_tick = best or trip.best_tick
                trip.risk_tick = risk or trip.risk_tick

    def _stamp(self) -> None:
        """Note when ended orders were sent and answered; the row may follow its report."""
        waiting, self._unstamped = self._unstamped, []
        for order_id in waiting:
            row = self._row_of(order_id)
            if row is None:
                continue
            if row.status < TERMINAL_STATUS_MIN:
                self._unstamped.append(order_id)
                continue
            self._store.stamp_order(order_id, self._wall(row.sent_ns), self._wall(row.acked_ns))

    # --- repair ------------------------------------------------------------------------------

    def _copy_rows(self) -> list[Any]:
        """Return copies of all order rows in use. Loop bound: the rows of the table."""
        memory = self._memory
        found = []
        for index in range(memory.order_row_count):
            row = ORDER_ROW.at(memory.order_rows + index * ORDER_ROW.size)
            if row.order_id:
                copy = self._row_of(row.order_id)
                if copy is not None:
                    found.append(copy)
        return found

    def _repair(self, rows: list[Any]) -> None:
        """Take from the executor's rows what the rings did not give.

        Args:
            rows: copied before the rings were read to their end. A report is published before its
                row changes, so what a row has beyond the ledger was really missed.
        """
        self._repair_due = False
        touched = set()
        for row in rows:
            order = self._store.order(row.order_id)
            if order is None:
                self._take_order(row, 1)
                order = self._store.order(row.order_id)
                assert order is not None
                self._store.count("repaired_orders")
            ended = row.status >= TERMINAL_STATUS_MIN
            missing = row.filled_lot - order.filled_lot
            if missing <= 0 and not (ended and not order.ended_ns):
                continue
            again = self._row_of(row.order_id)
            if again is None or bytes(again) != bytes(row):
                self._repair_due = True  # it is being written: the next look decides
                continue
            if missing > 0:
                touched.add(row.symbol)
                self._repair_fills(row, order)
            if ended and not order.ended_ns:
                self._store.note_order(
                    row.order_id,
                    OrderStatus(row.status).name,
                    row.error_code,
                    row.venue_order_id,
                    time.time_ns(),
                )
                self._unstamped.append(row.order_id)
            self._store.count("repaired_orders")
        for symbol in touched:
            self._store.rebuild_trips(self._name(symbol), self._value_e8(symbol))

    def _repair_fills(self, row: Any, order: Any) -> None:
        value, fee_e8 = self._store.sums_of(row.order_id)
        self._book(
            row.order_id, 0, row.filled_lot, row.symbol, row.side,
            row.filled_lot - order.filled_lot, row.filled_value - value, row.fee_e8 - fee_e8,
            0, self._wall(row.acked_ns or row.written_ns), 1,
        )  # fmt: skip
