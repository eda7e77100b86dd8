"""The tables of the trade ledger, and its file: opened, checked, moved aside when damaged.

One list of columns per table yields the SQL and the chapter in docs/LAYOUT.md. Everything is exact:
prices in ticks, quantities in lots, values in ticks × lots, money in 1e-8 of the quote; the table
`symbols` holds what turns them into decimals. `epoch` is the start of a run, as in its client ids.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

VERSION = 4
PAGE_SIZE = 4096
# What a page cache of the writer may hold: it appends, and looks up by key.
CACHE_KIB = 128
# How long a reader or the writer waits for the other's lock.
BUSY_MS = 2000


class Column(NamedTuple):
    """One column: its name, its SQL type, its unit, what it says."""

    name: str
    type: str
    unit: str
    meaning: str


class Table(NamedTuple):
    """One table: the columns of its key come first."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def sql(self) -> str:
        """Return the statement that creates it."""
        cells = [f"{column.name} {column.type}" for column in self.columns]
        cells.append(f"PRIMARY KEY ({', '.join(self.key)})")
        return f"CREATE TABLE {self.name} ({', '.join(cells)}) WITHOUT ROWID"


I, T = "INTEGER NOT NULL", "TEXT NOT NULL"
ZERO, NOTHING = " DEFAULT 0", " DEFAULT ''"  # of columns that were added to a table with rows
MAYBE_I, MAYBE_T = "INTEGER", "TEXT"
WALL = "ns, wall clock"
EPOCH = Column("epoch", I, "s, wall clock", "start of the run")
SYMBOL = Column("symbol", T, "", "the symbol")

RUNS = Table(
    "runs",
    "One row per run: what it was, how far it has been read, how it ended.",
    ("epoch",),
    (
        EPOCH,
        Column("instance", T, "", "system.instance"),
        Column("mode", T, "", "venue.mode"),
        Column("symbols", T, "", "in the order of the symbol table"),
        Column("settings_hash", T, "", "over all settings"),
        Column("started_ns", I, WALL, "when the run's memory was made"),
        Column("ended_ns", MAYBE_I, WALL, "when the ledger was closed in order; null = it was not"),
        Column("order_position", I, "position", "next record of the ring `orders` to read"),
        Column("report_position", I, "position", "next record of the ring `reports` to read"),
        Column("lost_records", I, "count", "records that were overwritten before they were read"),
        Column("wallet_start_e8", I, "1e-8 quote", "first wallet the venue stated; 0 = none"),
        Column("wallet_e8", I, "1e-8 quote", "last wallet the venue stated"),
        Column("refusals", T, "JSON", "signals risk refused, by reason, at the last look"),
    ),
)

SYMBOLS = Table(
    "symbols",
    "What turns ticks and lots of a run into decimals.",
    ("epoch", "symbol"),
    (
        EPOCH,
        SYMBOL,
        Column("price_decimals", I, "digits", "of prices"),
        Column("tick_unit", I, "10^-price_decimals", "tick size"),
        Column("quantity_decimals", I, "digits", "of quantities"),
        Column("lot_unit", I, "10^-quantity_decimals", "lot size"),
        Column("value_e8", I, "1e-8 quote", "of one tick times one lot, exact"),
    ),
)

ORDERS = Table(
    "orders",
    "One row per order that risk wrote, whatever became of it.",
    ("epoch", "order_id"),
    (
        EPOCH,
        Column("order_id", I, "id", "counts up within a run"),
        SYMBOL,
        Column("position_id", I, "id", "the position it opens or reduces"),
        Column("signal_id", I, "id", "the signal an entry came from; 0 = none"),
        Column("strategy", T, "", "whose position it is"),
        Column("reason", T, "OrderReason", "why it was written"),
        Column("type", T, "OrderType", "limit, market, stop market"),
        Column("time_in_force", T, "TimeInForce", "of a limit order"),
        Column("side", I, "+1 buy, -1 sell", "direction"),
        Column("flags", I, "OrderFlag", "reduce-only, exit"),
        Column("price_tick", I, "ticks", "limit or trigger price; 0 = none"),
        Column("quantity_lot", I, "lots", "ordered"),
        Column("status", T, "OrderStatus", "the last one reported; NONE = nothing yet"),
        Column("filled_lot", I, "lots", "sum of its fills here"),
        Column("error_code", I, "venue code", "of a rejection; 0 = none"),
        Column("venue_order_id", I, "id", "0 = unknown"),
        Column("written_ns", I, WALL, "when risk wrote it"),
        Column("sent_ns", I, WALL, "when its bytes had left; 0 = unknown"),
        Column("acked_ns", I, WALL, "first word of the venue about it; 0 = unknown"),
        Column("ended_ns", I, WALL, "when it ended; 0 = it has not"),
        Column("repaired", I, "0 or 1", "1 = taken from the executor's row, not from the ring"),
    ),
)

FILLS = Table(
    "fills",
    "One row per fill; a repaired one stands for all fills of a stretch that was not seen.",
    # The venue counts trades by symbol, and fills of nobody's orders share the order id 0.
    ("epoch", "order_id", "trade_id", "filled_lot", "symbol"),
    (
        EPOCH,
        Column("order_id", I, "id", "as in orders; 0 = an order that is not ours"),
        Column(
            "trade_id",
            I,
            "id",
            "the venue's; 0 = repaired. A fill that is not ours has its report's, which count up: "
            "the venue's, until a correction has taken one beyond them",
        ),
        Column("filled_lot", I, "lots", "filled of the order in all, after this fill"),
        SYMBOL,
        Column("side", I, "+1 buy, -1 sell", "direction"),
        Column("fill_lot", I, "lots", "quantity of this fill"),
        Column("fill_value", I, "ticks × lots", "price times quantity"),
        Column("fee_e8", I, "1e-8 quote", "fee paid in the quote asset"),
        Column("is_maker", I, "0 or 1", "1 = we were the maker"),
        Column("time_ns", I, WALL, "as the venue states it"),
        Column("repaired", I, "0 or 1", "1 = taken from the sums of the executor's row"),
        Column("other_fee_e8", I + ZERO, "1e-8 fee_asset", "fee paid in another asset"),
        Column("fee_asset", T + NOTHING, "", "that asset, which no profit counts"),
    ),
)

ROUND_TRIPS = Table(
    "round_trips",
    "One row per position of a symbol from flat to flat, the open one included.",
    ("epoch", "symbol", "number"),
    (
        EPOCH,
        SYMBOL,
        Column("number", I, "count", "counts up from 1 within a run and symbol"),
        Column("position_id", I, "id", "of the order that opened it"),
        Column("strategy", T, "", "of the order that opened it"),
        Column("side", I, "+1 long, -1 short", "direction"),
        Column("entry_lot", I, "lots", "filled in its direction"),
        Column("entry_value", I, "ticks × lots", "sum over those fills"),
        Column("exit_lot", I, "lots", "filled against it"),
        Column("exit_value", I, "ticks × lots", "sum over those fills"),
        Column("realized_e8", I, "1e-8 quote", "profit of what is closed, before fees"),
        Column("fee_e8", I, "1e-8 quote", "fees of all its fills"),
        Column("fill_count", I, "count", "fills"),
        Column("entry_reason", T, "OrderReason", "of the order that opened it"),
        Column("exit_reason", T, "OrderReason", "of the last order that reduced it"),
        Column("exit_reasons", T, "OrderReason, …", "of all orders that reduced it, in order"),
        Column("opened_ns", I, WALL, "first fill"),
        Column("closed_ns", MAYBE_I, WALL, "fill that made it flat; null = it is open"),
        Column("best_tick", MAYBE_I, "ticks", "best price risk saw for it; null = not known"),
        Column("risk_tick", MAYBE_I, "ticks", "entry to initial stop; null = not known"),
        Column("repaired", I, "0 or 1", "1 = one of its fills is a repaired one"),
    ),
)

FUNDING = Table(
    "funding",
    "One row per look that found funding paid or got; usually one payment.",
    ("epoch", "symbol", "payments"),
    (
        EPOCH,
        SYMBOL,
        Column("payments", I, "count", "payments of the run and symbol so far"),
        Column("amount_e8", I, "1e-8 quote", "got since the row before; paid is negative"),
        Column("time_ns", I, WALL, "of the latest payment, as the venue states it"),
    ),
)

TABLES = (RUNS, SYMBOLS, ORDERS, FILLS, ROUND_TRIPS, FUNDING)
INDEXES = (
    "CREATE INDEX round_trips_closed ON round_trips (closed_ns)",
    "CREATE INDEX orders_open ON orders (epoch, ended_ns)",
)
# What makes a file of one version one of the next.
MIGRATIONS = {
    1: (FUNDING.sql(),),
    2: tuple(
        f"ALTER TABLE fills ADD COLUMN {column.name} {column.type}"
        for column in FILLS.columns
        if column.name in ("other_fee_e8", "fee_asset")
    ),
    3: (
        "ALTER TABLE fills RENAME TO fills_before",
        FILLS.sql(),
        "INSERT INTO fills SELECT * FROM fills_before",  # their columns are in one order
        "DROP TABLE fills_before",
    ),
}
assert set(MIGRATIONS) == set(range(1, VERSION))


class LedgerError(RuntimeError):
    """The file cannot be used, and it is not to be replaced: the message says why."""


def insert_sql(table: Table, word: str = "INSERT") -> str:
    """Return the statement that writes a whole row."""
    places = ", ".join("?" * len(table.columns))
    return f"{word} INTO {table.name} VALUES ({places})"


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a ledger to look into it, while it is written or not; nothing is changed.

    Raises:
        FileNotFoundError: there is none.
        LedgerError: it is of another version.
        sqlite3.Error: it cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    where = f"file:{quote(str(path.resolve()))}?mode=ro"
    if not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        # Nobody writes it, and the locks of a reader cannot be made beside it.
        where += "&immutable=1"
    database = sqlite3.connect(where, uri=True, isolation_level=None)
    try:
        database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        _check_version(database, path)
    except BaseException:
        database.close()
        raise
    return database


def open_writer(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open the ledger to write to it, making it where there is none.

    Returns:
        The connection in autocommit mode, and where a damaged predecessor was moved, if there was.

    Raises:
        LedgerError: the file was made by a later version of this program.
        sqlite3.Error, OSError: no room, no permission.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    moved = None
    if path.exists() and not _is_sound(path):
        moved = move_aside(path)
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if not path.stat().st_size:
            database.execute(f"PRAGMA page_size={PAGE_SIZE}")
        database.execute("PRAGMA journal_mode=WAL")
        # In WAL mode this survives a crash of the process; a power cut may take the last commits.
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        _create(database)
        _check_version(database, path)
    except BaseException:
        database.close()
        raise
    return database, moved


def _create(database: sqlite3.Connection) -> None:
    """Make the tables, or those that a file of an earlier version lacks."""
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found >= VERSION:
        return
    statements = [*(table.sql() for table in TABLES), *INDEXES]
    if found:
        statements = [sql for version in range(found, VERSION) for sql in MIGRATIONS[version]]
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            database.execute(statement)
        database.execute(f"PRAGMA user_version={VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _check_version(database: sqlite3.Connection, path: Path) -> None:
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found != VERSION:
        raise LedgerError(f"ledger is of another version: {path} version={found} ours={VERSION}")


def _is_sound(path: Path) -> bool:
    """Return whether the file is a whole database; one that is locked or unreadable raises."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        said = database.execute("PRAGMA integrity_check(1)").fetchone()
        return bool(said == ("ok",))
    except sqlite3.OperationalError:
        raise  # no permission, no room, locked: that says nothing about the content
    except sqlite3.DatabaseError:
        return False
    finally:
        database.close()


def move_aside(path: Path) -> Path:
    """Rename a damaged ledger and what belongs to it; return its new name."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    count = 1
    while target.exists():
        target = path.with_name(f"{path.name}.damaged-{stamp}-{count}")
        count += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(target.with_name(target.name + suffix))
    return target
