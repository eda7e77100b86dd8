"""The trade ledger against the venue's own books, on real processes: kills, a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from runtime.trade_table import open_reader
from shm import segments
from shm.tables import STAGES, HaltReason, ProcessState
from tests.system.own_venue import OwnVenue
from tests.system.pipeline import ROOT, wait_until
from tests.system.test_system_pipeline import BUSY

pytestmark = pytest.mark.system
VENUE_OPTIONS = ("--funding-interval-s", "2")
# Every trade pays its fees, so losses follow one another: that pauses no entries here.
FREQUENT = (
    *BUSY,
    "scalping.order_flow_hold_max_s=2",
    "trades.write_interval_ms=50",
    "risk.max_consecutive_losses=0",
    "position_sizing.correlation_limit=1",
)
E8 = 10**8


def e8(text: str) -> int:
    return int(Decimal(text) * E8)


def venue_sums(venue: OwnVenue) -> dict[tuple[str, str], int]:
    """Return the venue's income by symbol and kind, in 1e-8."""
    sums: Counter[tuple[str, str]] = Counter()
    for page in range(1, 100):
        rows = venue.call("GET", "/fapi/v1/income", limit=1000, page=page)
        for row in rows:
            if row["symbol"]:
                sums[row["symbol"], row["incomeType"]] += e8(row["income"])
        if len(rows) < 1000:
            break
    return {key: amount for key, amount in sums.items() if amount}


def venue_trades(venue: OwnVenue) -> set[tuple[str, int]]:
    return {
        (symbol, int(row["id"]))
        for symbol in ("BTCUSDT", "ETHUSDT")
        for row in venue.call("GET", "/fapi/v1/userTrades", symbol=symbol, limit=1000)
    }


class Book:
    """What a reader finds in the ledger of a run."""

    def __init__(self, folder: Path) -> None:
        self.database = open_reader(folder / "trades.sqlite")

    def rows(self, sql: str) -> list[tuple]:
        return self.database.execute(sql).fetchall()

    def sums(self) -> dict[tuple[str, str], int]:
        found = {}
        for kind, sql in (
            ("REALIZED_PNL", "SELECT symbol, sum(realized_e8) FROM round_trips GROUP BY symbol"),
            ("COMMISSION", "SELECT symbol, -sum(fee_e8) FROM fills GROUP BY symbol"),
            ("FUNDING_FEE", "SELECT symbol, sum(amount_e8) FROM funding GROUP BY symbol"),
        ):
            found |= {(symbol, kind): amount for symbol, amount in self.rows(sql) if amount}
        return found

    def trades(self) -> set[tuple[str, int]]:
        return {(s, i) for s, i in self.rows("SELECT symbol, trade_id FROM fills")}


def kill(memory, name: str) -> None:
    row = memory.process(name)
    before = row.pid
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: (
            row.pid != before
            and row.state in (ProcessState.READY, ProcessState.RUNNING)
            and memory.control.halt_reason == 0
        ),
        10.0,
        f"{name} back at work",
    )


def test_profit_fees_and_funding_are_the_venues_to_the_last_unit(
    tmp_path: Path, start, venue: OwnVenue
):
    """Dozens of trades, funding every two seconds, each process of the books killed on the way."""
    pipeline = start(tmp_path, settings=(*FREQUENT, *venue.settings))
    memory = pipeline.attach()
    fills = memory.counters
    for count, name in enumerate(("risk", "ledger", "executor", "ledger"), 1):
        wait_until(
            lambda count=count: fills.get("executor.fills") >= 5 * count, 60.0, f"{count} × 5 fills"
        )
        kill(memory, name)
    wait_until(lambda: fills.get("executor.fills") >= 24, 60.0, "24 fills")
    wait_until(lambda: memory.control.funding_e8 != 0, 30.0, "funding on an open position")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    book = Book(tmp_path)
    explained = (book.rows("SELECT * FROM runs"), pipeline.explain())
    assert book.trades() == venue_trades(venue), explained
    assert book.sums() == venue_sums(venue), explained
    assert {kind for _, kind in book.sums()} == {"REALIZED_PNL", "COMMISSION", "FUNDING_FEE"}
    assert book.rows("SELECT count(*) FROM round_trips WHERE closed_ns IS NULL") == [(0,)]
    assert book.rows("SELECT sum(repaired) FROM fills") == [(0,)]
    ((ended_ns, lost, wallet_start, wallet),) = book.rows(
        "SELECT ended_ns, lost_records, wallet_start_e8, wallet_e8 FROM runs"
    )
    assert ended_ns and lost == 0
    assert wallet - wallet_start == sum(book.sums().values())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert e8(f"{summary['pnl_after_fees']:.8f}") + e8(f"{summary['funding']:.8f}") == sum(
        book.sums().values()
    )
    shown = subprocess.run(
        [sys.executable, "supervisor.py", "trades", "--log-folder", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    total = Decimal(sum(book.sums().values())) / E8
    assert f"{total:.8f}" in shown.stdout.splitlines()[-1]


def test_what_was_filled_before_the_supervisor_was_killed_is_there(
    tmp_path: Path, start, venue: OwnVenue
):
    pipeline = start(
        tmp_path, settings=(*FREQUENT, "trades.write_interval_ms=5000", *venue.settings)
    )
    memory = pipeline.attach()
    wait_until(lambda: memory.counters.get("executor.fills") >= 4, 60.0, "fills")
    pids = [memory.process(name).pid for name in (*STAGES, "ledger")]
    memory.close()
    pipeline.process.kill()
    wait_until(lambda: not any(map(segments.process_start_time, pids)), 15.0, "all gone")
    pipeline.finish()
    book = Book(tmp_path)
    assert len(book.trades()) >= 4
    assert book.trades() == venue_trades(venue), pipeline.explain()
    assert book.rows("SELECT ended_ns NOT NULL FROM runs") == [(1,)]


def test_a_ledger_without_room_halts_entries_and_nothing_else(tmp_path: Path, start):
    """The kernel refuses its writes beyond the file's size, then allows them again."""
    pipeline = start(tmp_path, settings=FREQUENT)
    memory = pipeline.attach()
    control, counters = memory.control, memory.counters
    wait_until(lambda: counters.get("ledger.fills") >= 2, 60.0, "a first round trip")
    pid = memory.process("ledger").pid
    # Room for a few more lines of its log, for no page of the database.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
    wait_until(lambda: control.halt_reason == HaltReason.LEDGER, 30.0, "entries halted")
    # What is open is closed all the same.
    wait_until(lambda: control.open_position_count == 0, 30.0, "positions closed by their exits")
    fills = counters.get("executor.fills")
    with pytest.raises(AssertionError):
        wait_until(lambda: counters.get("executor.fills") > fills, 3.0, "an entry")
    assert memory.process("ledger").pid == pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    wait_until(lambda: control.halt_reason == 0, 10.0, "entries allowed")
    wait_until(lambda: counters.get("executor.fills") > fills, 60.0, "fills again")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    book = Book(tmp_path)
    assert book.rows("SELECT count(*) FROM fills") == [(pipeline.summary()["fills"],)]
    log = (tmp_path / "ledger.log").read_text()
    assert log.count("cannot be written") == log.count("written again") == 1
    assert pipeline.errors.count("entries halted: the trade ledger") == 1


def test_a_damaged_ledger_does_not_keep_the_pipeline_from_trading(tmp_path: Path, start):
    (tmp_path / "trades.sqlite").write_bytes(b"no database " * 1000)
    pipeline = start(tmp_path, "--duration", "6", settings=FREQUENT)
    assert pipeline.finish() == 0, pipeline.explain()
    assert "moved aside" in (tmp_path / "ledger.log").read_text()
    book = Book(tmp_path)
    assert book.rows("SELECT count(*) FROM fills") == [(pipeline.summary()["fills"],)]
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(next(tmp_path.glob("*.damaged-*"))).execute("SELECT 1 FROM runs")


def test_without_a_ledger_there_is_no_process_and_no_file(tmp_path: Path, start):
    pipeline = start(tmp_path, "--duration", "3", settings=(*FREQUENT, "trades.ledger=false"))
    memory = pipeline.attach()
    assert memory.process("ledger").pid == 0
    memory.close()
    assert pipeline.finish() == 0, pipeline.explain()
    assert not (tmp_path / "trades.sqlite").exists()
