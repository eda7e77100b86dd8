"""The trade ledger's file as the writer uses it: one method per statement, one run at a time.

Counts of what was written are kept until the transaction is through: `take_counts` hands them out
after a commit, a rollback forgets them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from runtime.trade_table import (
    FILLS,
    FUNDING,
    ORDERS,
    ROUND_TRIPS,
    RUNS,
    SYMBOLS,
    insert_sql,
    open_writer,
)
from runtime.trade_trips import Fill, Trip, trips_of

_PUT_TRIP = insert_sql(ROUND_TRIPS, "INSERT OR REPLACE")
_PUT_FILL = insert_sql(FILLS, "INSERT OR IGNORE")
_PUT_ORDER = insert_sql(ORDERS, "INSERT OR IGNORE")
_PUT_SYMBOL = insert_sql(SYMBOLS, "INSERT OR REPLACE")
_PUT_RUN = insert_sql(RUNS, "INSERT OR IGNORE")
_TRIP_COLUMNS = (
    "number, position_id, strategy, side, opened_ns, entry_reason, entry_lot, entry_value, "
    "exit_lot, exit_value, fee_e8, fill_count, exit_reason, exit_reasons, closed_ns, best_tick, "
    "risk_tick, repaired"
)


class RunRow(NamedTuple):
    """How far a run has been read."""

    order_position: int
    report_position: int
    lost_records: int


class OrderSums(NamedTuple):
    """What the writer has to know of an order that has a row."""

    reason: str
    strategy: str
    position_id: int
    filled_lot: int
    ended_ns: int


class TradeStore:
    """One open ledger file.

    Args:
        path: of the file; made where there is none. `moved` is where a damaged one was put.

    Raises:
        LedgerError, sqlite3.Error, OSError: as `open_writer`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database, self.moved = open_writer(path)
        self._epoch = 0
        self._counts: Counter[str] = Counter()

    def close(self) -> None:
        """Close the file; its write-ahead log is folded in."""
        self.database.close()

    # --- transactions ------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction."""
        self.database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction: from here on it is in the file."""
        self.database.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        self._counts.clear()
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    def count(self, label: str, amount: int = 1) -> None:
        """Count something that this transaction does."""
        self._counts[label] += amount

    def take_counts(self) -> dict[str, int]:
        """Return and forget what was counted since the last call."""
        counts = dict(self._counts)
        self._counts.clear()
        return counts

    # --- the run -----------------------------------------------------------------------------

    def open_run(self, epoch: int, run: dict[str, str], started_ns: int) -> RunRow:
        """Make a run's row unless it is there; return how far it has been read."""
        self._epoch = epoch
        names = [column.name for column in RUNS.columns]
        values = dict.fromkeys(names, 0) | run | {"epoch": epoch, "started_ns": started_ns}
        values |= {"ended_ns": None, "refusals": "{}"}  # type: ignore[dict-item]
        self.database.execute(_PUT_RUN, [values[name] for name in names])
        found = self.database.execute(
            "SELECT order_position, report_position, lost_records FROM runs WHERE epoch = ?",
            (epoch,),
        ).fetchone()
        return RunRow(*found)

    def note_run(
        self,
        order_position: int,
        report_position: int,
        lost_records: int,
        wallet_e8: int,
        refusals: str,
        ended_ns: int | None,
    ) -> None:
        """Note how far the run has been read; part of the transaction that read it."""
        self.database.execute(
            "UPDATE runs SET order_position = ?, report_position = ?, lost_records = ?, "
            "wallet_start_e8 = iif(wallet_start_e8, wallet_start_e8, ?), wallet_e8 = ?, "
            "refusals = ?, ended_ns = ? WHERE epoch = ?",
            (
                order_position, report_position, lost_records, wallet_e8, wallet_e8, refusals,
                ended_ns, self._epoch,
            ),
        )  # fmt: skip

    def put_symbol(self, name: str, row: Any) -> None:
        """Write what turns a symbol's ticks and lots into decimals."""
        self.database.execute(
            _PUT_SYMBOL,
            (
                self._epoch, name, row.price_decimals, row.tick_unit, row.quantity_decimals,
                row.lot_unit, row.value_e8,
            ),
        )  # fmt: skip

    # --- orders ------------------------------------------------------------------------------

    def put_order(self, **values: Any) -> None:
        """Write an order's row unless it is there."""
        row = {
            "epoch": self._epoch, "status": "NONE", "filled_lot": 0, "error_code": 0,
            "venue_order_id": 0, "sent_ns": 0, "acked_ns": 0, "ended_ns": 0,
        } | values  # fmt: skip
        done = self.database.execute(_PUT_ORDER, [row[column.name] for column in ORDERS.columns])
        self.count("orders", done.rowcount)

    def order(self, order_id: int) -> OrderSums | None:
        """Return what is known of an order, None when it has no row."""
        found = self.database.execute(
            "SELECT reason, strategy, position_id, filled_lot, ended_ns FROM orders "
            "WHERE epoch = ? AND order_id = ?",
            (self._epoch, order_id),
        ).fetchone()
        return OrderSums(*found) if found else None

    def note_order(
        self, order_id: int, status: str, error_code: int, venue_order_id: int, ended_ns: int
    ) -> None:
        """Note an order's last status. An order taken for absent may turn up: then it goes on."""
        self.database.execute(
            "UPDATE orders SET status = ?, error_code = iif(?, ?, error_code), "
            "venue_order_id = iif(?, ?, venue_order_id), ended_ns = ? "
            "WHERE epoch = ? AND order_id = ?",
            (
                status, error_code, error_code, venue_order_id, venue_order_id, ended_ns,
                self._epoch, order_id,
            ),
        )  # fmt: skip

    def stamp_order(self, order_id: int, sent_ns: int, acked_ns: int) -> None:
        """Note when an order left and when the venue first answered."""
        self.database.execute(
            "UPDATE orders SET sent_ns = ?, acked_ns = ? WHERE epoch = ? AND order_id = ?",
            (sent_ns, acked_ns, self._epoch, order_id),
        )

    # --- fills -------------------------------------------------------------------------------

    def put_fill(
        self, order_id: int, trade_id: int, filled_lot: int, symbol: str, side: int, lot: int,
        *values: int | str,
    ) -> bool:  # fmt: skip
        """Write a fill and its order's sum; return whether it was new."""
        done = self.database.execute(
            _PUT_FILL,
            (self._epoch, order_id, trade_id, filled_lot, symbol, side, lot, *values),
        )
        if not done.rowcount:
            self.count("duplicates")
            return False
        self.database.execute(
            "UPDATE orders SET filled_lot = filled_lot + ? WHERE epoch = ? AND order_id = ?",
            (lot, self._epoch, order_id),
        )
        self.count("fills")
        return True

    def sums_of(self, order_id: int) -> tuple[int, int]:
        """Return value and fees of an order's fills."""
        found = self.database.execute(
            "SELECT coalesce(sum(fill_value), 0), coalesce(sum(fee_e8), 0) FROM fills "
            "WHERE epoch = ? AND order_id = ?",
            (self._epoch, order_id),
        ).fetchone()
        return int(found[0]), int(found[1])

    # --- funding -----------------------------------------------------------------------------

    def put_funding(self, symbol: str, payments: int, total_e8: int, time_ns: int) -> None:
        """Write what was paid or got since the last row of a symbol, if anything was."""
        told, count = self.database.execute(
            "SELECT coalesce(sum(amount_e8), 0), coalesce(max(payments), 0) FROM funding "
            "WHERE epoch = ? AND symbol = ?",
            (self._epoch, symbol),
        ).fetchone()
        if count != payments:
            self.database.execute(
                insert_sql(FUNDING), (self._epoch, symbol, payments, total_e8 - told, time_ns)
            )

    # --- round trips -------------------------------------------------------------------------

    def open_trip(self, symbol: str) -> tuple[Trip | None, int]:
        """Return a symbol's open round trip, if any, and the number of its latest one."""
        found = self.database.execute(
            f"SELECT {_TRIP_COLUMNS} FROM round_trips WHERE epoch = ? AND symbol = ? "  # noqa: S608
            "ORDER BY number DESC LIMIT 1",
            (self._epoch, symbol),
        ).fetchone()
        if found is None:
            return None, 0
        trip = Trip(*found)
        return (trip if trip.closed_ns is None else None), trip.number

    def put_trip(self, symbol: str, trip: Trip, value_e8: int) -> None:
        """Write a round trip as it is now."""
        self.database.execute(
            _PUT_TRIP,
            (
                self._epoch, symbol, trip.number, trip.position_id, trip.strategy, trip.side,
                trip.entry_lot, trip.entry_value, trip.exit_lot, trip.exit_value,
                trip.realized_e8(value_e8), trip.fee_e8, trip.fill_count, trip.entry_reason,
                trip.exit_reason, trip.exit_reasons, trip.opened_ns, trip.closed_ns,
                trip.best_tick, trip.risk_tick, trip.repaired,
            ),
        )  # fmt: skip
        if trip.closed_ns is not None:
            self.count("round_trips")

    def fills_of(self, symbol: str) -> list[Fill]:
        """Return a symbol's fills in the order of the venue's time."""
        found = self.database.execute(
            "SELECT f.side, f.fill_lot, f.fill_value, f.fee_e8, f.time_ns, "
            "coalesce(o.reason, 'FOREIGN'), coalesce(o.strategy, 'none'), "
            "coalesce(o.position_id, 0), f.repaired FROM fills f LEFT JOIN orders o "
            "ON o.epoch = f.epoch AND o.order_id = f.order_id "
            "WHERE f.epoch = ? AND f.symbol = ? ORDER BY f.time_ns, f.order_id, f.filled_lot",
            (self._epoch, symbol),
        )
        return [Fill(*row) for row in found]

    def rebuild_trips(self, symbol: str, value_e8: int) -> None:
        """Make a symbol's round trips anew from its fills; what risk's rows told is kept."""
        where = "WHERE epoch = ? AND symbol = ?"
        key = (self._epoch, symbol)
        told = {
            position_id: (best, risk)
            for position_id, best, risk in self.database.execute(
                f"SELECT position_id, best_tick, risk_tick FROM round_trips {where}",  # noqa: S608
                key,
            )
        }
        closed = self.database.execute(
            f"SELECT count(*) FROM round_trips {where} AND closed_ns NOT NULL",  # noqa: S608
            key,
        ).fetchone()[0]
        self.database.execute(f"DELETE FROM round_trips {where}", key)  # noqa: S608
        for trip in trips_of(self.fills_of(symbol)):
            trip.best_tick, trip.risk_tick = told.get(trip.position_id, (None, None))
            self.put_trip(symbol, trip, value_e8)
        self.count("round_trips", -closed)
