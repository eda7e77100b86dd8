"""The trade ledger's writer: what it writes, once; gaps, damage, a full disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runtime.ledger_service import LedgerService
from runtime.logs import make_logger
from runtime.trade_report import Filters, report
from runtime.trade_table import FILLS as FILLS_TABLE
from runtime.trade_table import LedgerError, open_reader, open_writer
from shm.records import OrderReason, OrderStatus, asset_code
from shm.tables import FUNDING
from tests.runtime.trade_rig import EPOCH, FEE_E8, RUN, STRATEGIES, VALUE_E8, Desk, table

TRIPS = (
    "SELECT symbol, number, side, entry_lot, entry_value, exit_lot, exit_value, realized_e8, "
    "fee_e8, exit_reason, closed_ns NOT NULL, repaired FROM round_trips ORDER BY symbol, number"
)
FILLS = "SELECT order_id, fill_lot, fill_value, fee_e8 FROM fills ORDER BY order_id, filled_lot"


@pytest.fixture
def desk():
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.sqlite"


def write_all(desk: Desk, path: Path) -> None:
    """Write with a new process each time, as after a crash."""
    ledger = desk.ledger(path)
    while ledger.write():
        pass
    ledger._store.close()


def test_a_position_becomes_orders_fills_and_a_round_trip(desk: Desk, path: Path):
    entry = desk.order(1, 4)
    desk.fill(entry, 1, 1000)
    desk.fill(entry, 3, 1001)
    partial = desk.order(-1, 2, OrderReason.PARTIAL)
    desk.fill(partial, 2, 1010)
    stop = desk.order(-1, 2, OrderReason.TRAILING)
    desk.fill(stop, 2, 1005)
    row = desk.memory.position(0)
    row.position_id, row.best_tick, row.initial_risk_tick = 1, 1011, 20
    write_all(desk, path)
    profit = (2 * 1010 + 2 * 1005 - 1000 - 3 * 1001) * VALUE_E8
    assert table(path, TRIPS) == [
        ("BTCUSDT", 1, 1, 4, 4003, 4, 4030, profit, 8 * FEE_E8, "TRAILING", 1, 0)
    ]
    assert table(path, FILLS) == [
        (1, 1, 1000, FEE_E8),
        (1, 3, 3003, 3 * FEE_E8),
        (2, 2, 2020, 2 * FEE_E8),
        (3, 2, 2010, 2 * FEE_E8),
    ]
    assert table(
        path, "SELECT strategy, exit_reasons, best_tick, risk_tick, fill_count FROM round_trips"
    ) == [("order_flow", "PARTIAL,TRAILING", 1011, 20, 4)]
    assert table(path, "SELECT order_id, status, reason, filled_lot, ended_ns > 0 FROM orders") == [
        (1, "FILLED", "ENTRY", 4, 1),
        (2, "FILLED", "PARTIAL", 2, 1),
        (3, "FILLED", "TRAILING", 2, 1),
    ]


def test_orders_that_end_without_a_fill_say_how(desk: Desk, path: Path):
    desk.end(desk.order(1, 4), OrderStatus.REJECTED, -2019)
    desk.end(desk.order(1, 4), OrderStatus.EXPIRED)
    write_all(desk, path)
    found = table(path, "SELECT status, error_code, filled_lot FROM orders ORDER BY order_id")
    assert found == [("REJECTED", -2019, 0), ("EXPIRED", 0, 0)]
    assert table(path, TRIPS) == []


def test_reading_the_same_twice_changes_nothing(desk: Desk, path: Path):
    desk.trade()
    write_all(desk, path)
    before = table(path, TRIPS), table(path, FILLS)
    database = sqlite3.connect(path)
    database.execute("UPDATE runs SET order_position = 0, report_position = 0")
    database.commit()
    database.close()
    write_all(desk, path)
    assert (table(path, TRIPS), table(path, FILLS)) == before


def test_a_fill_that_is_reported_twice_counts_once(desk: Desk, path: Path):
    report = desk.fill(desk.order(1, 4), 4, 1000)
    desk.tell(report)
    desk.tell(report | {"trade_id": report["trade_id"] + 100})
    write_all(desk, path)
    assert table(path, FILLS) == [(1, 4, 4000, 4 * FEE_E8)]
    assert desk.memory.counters.get("ledger.duplicates") == 2


def test_a_crash_before_the_commit_repeats_nothing(desk: Desk, path: Path):
    desk.trade()
    ledger = desk.ledger(path)
    commit, ledger._store.commit = ledger._store.commit, _raise
    with pytest.raises(sqlite3.OperationalError):
        ledger.write()
    ledger._store.commit = commit
    assert ledger.write() == 4
    ledger._store.close()
    assert len(table(path, TRIPS)) == 1
    assert desk.memory.counters.get("ledger.fills") == 2


def _raise() -> None:
    raise sqlite3.OperationalError("disk I/O error")


def test_a_flip_closes_one_round_trip_and_opens_the_next(desk: Desk, path: Path):
    desk.fill(desk.order(1, 2), 2, 100)
    desk.fill(desk.order(-1, 5, OrderReason.QUOTE), 5, 110)
    desk.fill(desk.order(1, 3, OrderReason.FLATTEN), 3, 100)
    write_all(desk, path)
    fee = 5 * FEE_E8 * 2 // 5
    assert table(path, TRIPS) == [
        ("BTCUSDT", 1, 1, 2, 200, 2, 220, 20 * VALUE_E8, 2 * FEE_E8 + fee, "QUOTE", 1, 0),
        (
            "BTCUSDT", 2, -1, 3, 330, 3, 300, 30 * VALUE_E8, 8 * FEE_E8 - fee, "FLATTEN", 1, 0,
        ),
    ]  # fmt: skip


def test_records_that_were_overwritten_come_from_the_order_rows(desk: Desk, path: Path):
    """Three laps of both rings pass unread; orders, sums and profit are all there."""
    for number in range(24):
        desk.trade(symbol=number % 2, sold=100 + number)
    write_all(desk, path)
    assert desk.memory.counters.get("ledger.lost_records") > 48
    assert table(path, "SELECT lost_records > 48 FROM runs") == [(1,)]
    assert table(path, "SELECT count(*), sum(filled_lot) FROM orders") == [(48, 96)]
    found = table(path, "SELECT symbol, sum(fill_lot * side), sum(fill_value * side), sum(fee_e8) "
                  "FROM fills GROUP BY symbol")  # fmt: skip
    for name, first in (("BTCUSDT", 0), ("ETHUSDT", 1)):
        spent = sum(2 * (100 - 100 - number) for number in range(first, 24, 2))
        assert (name, 0, spent, 48 * FEE_E8) in found
    trips = table(path, TRIPS)
    assert sum(row[7] for row in trips) == sum(2 * n for n in range(24)) * VALUE_E8
    assert all(row[10] == 1 for row in trips)
    assert any(row[11] == 1 for row in trips)


def test_a_fill_that_was_not_seen_is_made_up_from_the_row(desk: Desk, path: Path):
    order = desk.order(1, 5)
    desk.fill(order, 2, 1000)
    desk.fill(order, 2, 1003, told=False)
    desk.fill(order, 1, 1001)
    write_all(desk, path)
    desk.fill(desk.order(-1, 5, OrderReason.STOP), 5, 1000)
    write_all(desk, path)
    assert table(path, "SELECT sum(fill_lot), sum(fill_value), sum(fee_e8), sum(repaired) "
                 "FROM fills WHERE order_id = 1") == [(5, 5007, 5 * FEE_E8, 1)]  # fmt: skip
    assert table(path, TRIPS) == [
        ("BTCUSDT", 1, 1, 5, 5007, 5, 5000, -7 * VALUE_E8, 10 * FEE_E8, "STOP", 1, 1)
    ]


def test_a_row_that_is_ahead_of_its_report_is_not_a_gap(desk: Desk, path: Path):
    """Risk's report is on its way: the next batch reads it, and nothing is marked as repaired."""
    order = desk.order(1, 2)
    write_all(desk, path)
    desk.fill(order, 2, 1000)
    write_all(desk, path)
    assert table(path, "SELECT sum(repaired) FROM fills") == [(0,)]


def test_a_fill_of_an_order_that_is_not_ours_is_kept(desk: Desk, path: Path):
    desk.fill(desk.order(1, 2), 2, 100)
    desk.tell({
        "order_id": 0, "symbol": 0, "side": -1, "trade_id": 77, "fill_tick": 90, "fill_lot": 2,
        "filled_lot": 2, "status": OrderStatus.FILLED, "venue_ns": desk.wall_ms * 1_000_000 + 1,
    })  # fmt: skip
    write_all(desk, path)
    write_all(desk, path)
    assert table(path, TRIPS) == [
        ("BTCUSDT", 1, 1, 2, 200, 2, 180, -20 * VALUE_E8, 2 * FEE_E8, "FOREIGN", 1, 0)
    ]


def test_a_fee_in_another_asset_is_kept_and_not_counted(desk: Desk, path: Path, capsys):
    order = desk.order(1, 2)
    desk.fill(order, 2, 100, fee_e8=0, other_fee_e8=12_345, fee_asset=asset_code("BNB"))
    write_all(desk, path)
    assert table(path, "SELECT fee_e8, other_fee_e8, fee_asset FROM fills") == [(0, 12_345, "BNB")]
    assert report(path, Filters(), 20, "") == 0
    assert capsys.readouterr().out.endswith(
        "besides, fees of 0.00012345 BNB over all runs: not in net\n"
    )


def test_a_reader_looks_in_while_it_is_written(desk: Desk, path: Path):
    desk.trade()
    ledger = desk.ledger(path)
    ledger.write()
    reader = open_reader(path)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM round_trips").fetchone()
    desk.trade()
    assert ledger.write() == 4
    assert reader.execute("SELECT count(*) FROM round_trips").fetchone() == seen == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM round_trips").fetchone() == (2,)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM fills")
    reader.close()
    ledger._store.close()


# --- the process's part --------------------------------------------------------------------------


def service_of(desk: Desk, path: Path) -> LedgerService:
    return LedgerService(
        desk.memory, desk.kernels, path, RUN, STRATEGIES, make_logger("ledger", path.parent)
    )


def log_text(path: Path) -> str:
    return (path.parent / "ledger.log").read_text()


@pytest.mark.parametrize("where", ["header", "middle"])
def test_a_damaged_file_is_moved_aside_and_the_run_goes_on(desk: Desk, path: Path, where: str):
    for _ in range(4):
        desk.trade()
        write_all(desk, path)
    content = bytearray(path.read_bytes())
    place = 0 if where == "header" else 2 * 4096
    content[place : place + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    desk.trade(sold=200)
    service = service_of(desk, path)
    assert service.look()
    service.close()
    moved = list(path.parent.glob("trades.sqlite.damaged-*"))
    assert [file.read_bytes() for file in moved] == [bytes(content)]
    assert "moved aside" in log_text(path)
    # What the rings and rows still have is in the new file.
    assert table(path, "SELECT sum(realized_e8) FROM round_trips")[0][0] >= 200 * VALUE_E8


def test_a_full_disk_blocks_once_and_goes_on_when_there_is_room(desk: Desk, path: Path):
    service = service_of(desk, path)
    desk.trade()
    assert service.look()
    database = service._store.database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    trades = 1
    while service.look():
        desk.trade()
        trades += 1
        assert trades < 1000
    assert service.is_blocked
    assert not service.look()
    assert log_text(path).count("cannot be written") == 1
    assert "full" in log_text(path)
    database.execute("PRAGMA max_page_count = 100000")
    assert service.look(closing=True)
    service.close()
    assert not service.is_blocked
    assert "written again" in log_text(path)
    found = table(path, "SELECT count(*), sum(realized_e8), sum(repaired) FROM round_trips")
    assert found == [(trades, trades * 6 * VALUE_E8, 0)]
    assert table(path, "SELECT ended_ns NOT NULL FROM runs") == [(1,)]


def test_a_file_of_a_later_version_is_left_alone(desk: Desk, path: Path):
    database, _ = open_writer(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="version=99"):
        open_writer(path)
    service = service_of(desk, path)
    assert not service.look()
    assert service.is_blocked
    assert path.read_bytes()[:4096] == before[:4096]
    with pytest.raises(LedgerError):
        open_reader(path)


def test_a_folder_that_cannot_be_made_blocks(desk: Desk, tmp_path: Path):
    (tmp_path / "file").write_text("")
    service = LedgerService(
        desk.memory, desk.kernels, tmp_path / "file" / "trades.sqlite", RUN, STRATEGIES,
        make_logger("ledger", tmp_path),
    )  # fmt: skip
    assert not service.look()
    assert service.is_blocked


def test_funding_is_written_once_per_change(desk: Desk, path: Path):
    row = FUNDING.at(desk.memory.funding_address(1))
    row.total_e8, row.payments, row.last_ms = -500, 1, 1_700_000_000_123
    write_all(desk, path)
    write_all(desk, path)
    row.total_e8, row.payments, row.last_ms = -420, 3, 1_700_000_009_000
    write_all(desk, path)
    assert table(path, "SELECT symbol, payments, amount_e8, time_ns FROM funding") == [
        ("ETHUSDT", 1, -500, 1_700_000_000_123_000_000),
        ("ETHUSDT", 3, 80, 1_700_000_009_000_000_000),
    ]


def test_foreign_fills_of_two_symbols_may_have_one_trade_id(desk: Desk, path: Path):
    foreign = {
        "order_id": 0, "side": 1, "trade_id": 900, "fill_tick": 100, "fill_lot": 4,
        "filled_lot": 4, "status": OrderStatus.FILLED, "venue_ns": 10**18, "written_ns": 2_000,
    }  # fmt: skip
    for symbol in (0, 1, 1):
        desk.tell(foreign | {"symbol": symbol})
    write_all(desk, path)
    assert table(path, "SELECT symbol, trade_id, fill_lot FROM fills ORDER BY symbol") == [
        ("BTCUSDT", 900, 4),
        ("ETHUSDT", 900, 4),
    ]
    assert desk.memory.counters.get("ledger.duplicates") == 1


def test_a_file_of_the_third_version_keeps_its_fills(desk: Desk, path: Path):
    desk.trade()
    write_all(desk, path)
    fills = "SELECT * FROM fills ORDER BY trade_id"
    before = table(path, fills)
    database, _ = open_writer(path)
    database.execute("ALTER TABLE fills RENAME TO kept")
    old = FILLS_TABLE._replace(key=("epoch", "order_id", "trade_id", "filled_lot"))
    database.execute(old.sql())
    database.execute("INSERT INTO fills SELECT * FROM kept")
    database.execute("DROP TABLE kept")
    database.execute("PRAGMA user_version = 3")
    database.close()
    open_writer(path)[0].close()
    assert table(path, fills) == before and len(before) == 2


def test_a_file_of_the_first_version_gets_what_it_lacks(desk: Desk, path: Path):
    database, _ = open_writer(path)
    database.execute("DROP TABLE funding")
    for column in ("other_fee_e8", "fee_asset"):
        database.execute(f"ALTER TABLE fills DROP COLUMN {column}")
    database.execute("PRAGMA user_version = 1")
    database.close()
    with pytest.raises(LedgerError, match="version=1"):
        open_reader(path)
    desk.trade()
    write_all(desk, path)
    assert len(table(path, TRIPS)) == 1
    assert table(path, "SELECT count(*) FROM funding") == [(0,)]


def test_two_runs_share_a_file(desk: Desk, path: Path):
    desk.trade()
    write_all(desk, path)
    other = Desk()
    other.memory.control.epoch = EPOCH + 1
    other.trade(sold=99)
    write_all(other, path)
    other.close()
    assert table(path, "SELECT epoch, realized_e8 FROM round_trips ORDER BY epoch") == [
        (EPOCH, 6 * VALUE_E8),
        (EPOCH + 1, -2 * VALUE_E8),
    ]
