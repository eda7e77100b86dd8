"""`make trades`: what it prints, to the last digit, and what it refuses."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from runtime.command_line import main_with
from runtime.trade_report import (
    Filters,
    ReportError,
    TripRow,
    average_text,
    decimal_text,
    read_trips,
    since_ns,
    write_csv,
)
from runtime.trade_table import open_reader, open_writer
from shm.records import OrderReason
from tests.runtime.trade_rig import EPOCH, Desk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two closed round trips of BTCUSDT, one of ETHUSDT, and an open one."""
    desk = Desk()
    desk.trade(lot=3, bought=640_000, sold=640_100)
    desk.wall_ms += 2_000
    desk.trade(lot=2, bought=640_100, sold=640_050)
    entry = desk.order(-1, 3, symbol=1)
    desk.fill(entry, 1, 34_000)
    desk.fill(entry, 2, 34_001)
    desk.wall_ms += 1_500
    desk.fill(desk.order(1, 1, OrderReason.PARTIAL, symbol=1), 1, 33_990)
    desk.fill(desk.order(1, 2, OrderReason.TIME_LIMIT, symbol=1), 2, 33_995)
    desk.fill(desk.order(1, 1), 1, 640_000)
    ledger = desk.ledger(tmp_path / "trades.sqlite")
    ledger.write()
    ledger._store.close()
    desk.close()
    return tmp_path / "trades.sqlite"


def run(path: Path, *options: str) -> int:
    return main_with(_unused, _unused, ["trades", "--log-folder", str(path.parent), *options])


def _unused(*_: object) -> None:
    raise AssertionError("make trades starts nothing and clears nothing")


def table_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def test_the_table_and_its_sums(path: Path, capsys):
    assert run(path, "--symbol", "btcusdt") == 0
    out = capsys.readouterr().out
    at = "2023-11-14T22:13:"
    expected = [
        "closed symbol side strategy quantity entry exit at hold s realised fee net exit",
        f"{at}20.020Z BTCUSDT long order_flow 0.003 64000.0 64010.0 0.0"
        " 0.03000000 0.00000042 0.02999958 target",
        f"{at}22.040Z BTCUSDT long order_flow 0.002 64010.0 64005.0 0.0"
        " -0.01000000 0.00000028 -0.01000028 target",
        "open BTCUSDT long order_flow 0.001 64000.0 - HOLD 0.00000000 0.00000007 -0.00000007",
        "",
        "what trips won % realised fees net hold s",
        *(
            f"{what} 2 50.0 0.02000000 0.00000070 0.01999930 0.0"
            for what in ("all", "strategy order_flow", "symbol BTCUSDT", "exit target")
        ),
    ]
    found = table_of(out)
    assert found[3].pop(7).replace(".", "").isdigit()  # open since 2023: as old as the clock says
    wanted = table_of("\n".join(expected))
    assert wanted[3].pop(7) == "HOLD"
    assert found == wanted


def test_funding_is_shown_by_symbol_and_in_the_end(path: Path, capsys):
    database, _ = open_writer(path)
    for payments, amount_e8 in ((1, -150), (2, 20)):
        database.execute(
            "INSERT INTO funding VALUES (?, 'BTCUSDT', ?, ?, ?)",
            (EPOCH, payments, amount_e8, 1_700_000_001 * 10**9),
        )
    database.close()
    assert run(path, "--symbol", "BTCUSDT") == 0
    said = table_of(capsys.readouterr().out)[-3:]
    assert said == [
        ["what", "amount"],
        ["funding", "BTCUSDT", "-0.00000130"],
        ["all,", "funding", "included", "0.01999800"],
    ]
    assert run(path, "--symbol", "ETHUSDT") == 0
    assert "funding" not in capsys.readouterr().out


def test_numbers_stand_in_columns(path: Path, capsys):
    assert run(path) == 0
    table, sums = capsys.readouterr().out.strip("\n").split("\n\n")
    for block, column in ((table, "net"), (sums, "net")):
        head, *rows = block.splitlines()
        end = head.index(f" {column}") + len(column) + 1
        for row in rows:
            assert row[:end].split()[-1].lstrip("-").replace(".", "").isdigit(), row


def test_a_short_trip_with_several_prices_has_an_average(path: Path, capsys):
    assert run(path, "--symbol", "ETHUSDT", "--csv", "-") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["side"] == "short"
    assert row["quantity"] == row["exit_quantity"] == "0.003"
    assert row["entry"] == "3400.067"  # 3400.0666… of ticks of 0.1, two digits more
    assert row["exit"] == "3399.333"
    assert row["realised"] == "0.00220000"
    assert row["fee"] == "0.00000042"
    assert row["net"] == "0.00219958"
    assert row["exit_reason"] == "time_limit"
    assert row["exit_reasons"] == "partial,time_limit"
    assert row["hold_s"] == "1.530000000"
    assert row["run"] == str(EPOCH)


def test_csv_goes_to_a_file_and_holds_all_rows(path: Path, capsys, tmp_path: Path):
    target = tmp_path / "out.csv"
    assert run(path, "--last", "1", "--csv", str(target)) == 0
    assert capsys.readouterr().out == f"4 round trips written to {target}\n"
    assert len(list(csv.DictReader(target.open()))) == 4


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(), 4),
        (Filters(symbol="ETHUSDT"), 1),
        (Filters(strategy="order_flow"), 4),
        (Filters(strategy="Order Flow"), 4),
        (Filters(strategy="momentum"), 0),
        (Filters(run="last"), 4),
        (Filters(run=str(EPOCH)), 4),
        (Filters(run="1"), 0),
        (Filters(since="2023-11-14T22:13:21"), 3),
        (Filters(since="1d"), 0),
    ],
)
def test_filters(path: Path, filters: Filters, count: int):
    database = open_reader(path)
    now_ns = 1_800_000_000 * 10**9
    assert len(read_trips(database, filters, now_ns)) == count
    database.close()


def test_the_last_rows_are_shown_and_all_are_summed(path: Path, capsys):
    assert run(path, "--last", "1") == 0
    out = capsys.readouterr().out
    assert out.startswith("the last 1 of 4 round trips\n")
    assert "all                      3   66.7" in out


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--since", "yesterday"), "SINCE=yesterday"),
        (("--run", "first"), "RUN=first"),
        (("--last", "0"), "LAST=0"),
    ],
)
def test_bad_filters_are_one_line(path: Path, capsys, options, wanted: str):
    assert run(path, *options) == 2
    errors = capsys.readouterr().err
    assert wanted in errors
    assert errors.count("\n") == 1


def test_where_nothing_passes_the_filters_are_named(path: Path, capsys):
    assert run(path, "--symbol", "NOPE", "--since", "2023-01-01") == 0
    assert capsys.readouterr().out == f"no round trips with SYMBOL=NOPE SINCE=2023-01-01: {path}\n"


def test_no_ledger_is_an_answer(tmp_path: Path, capsys):
    assert run(tmp_path / "none" / "trades.sqlite") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("no trades yet")


def test_a_file_that_is_no_ledger_is_one_line(tmp_path: Path, capsys):
    (tmp_path / "trades.sqlite").write_text("not a database at all, but long enough to be read")
    assert run(tmp_path / "trades.sqlite") == 1
    assert "cannot read the ledger" in capsys.readouterr().err


def test_since():
    now = 1_000_000 * 10**9
    assert since_ns("90s", now) == now - 90 * 10**9
    assert since_ns("2h", now) == now - 7200 * 10**9
    assert since_ns("1970-01-02", now) == 86_400 * 10**9
    assert since_ns("1970-01-02T01:00:00+01:00", now) == 86_400 * 10**9
    with pytest.raises(ReportError):
        since_ns("2w", now)


@pytest.mark.parametrize(
    ("scaled", "decimals", "text"),
    [(0, 8, "0.00000000"), (-1, 8, "-0.00000001"), (123, 2, "1.23"), (-5, 0, "-5"), (7, 1, "0.7")],
)
def test_decimals(scaled: int, decimals: int, text: str):
    assert decimal_text(scaled, decimals) == text


def test_an_average_keeps_to_the_venues_digits_where_it_is_exact(path: Path):
    database = open_reader(path)
    row: TripRow = read_trips(database, Filters(symbol="BTCUSDT"), 0)[0]
    database.close()
    assert average_text(row, 640_000 * 3, 3) == "64000.0"
    assert average_text(row, 640_000 * 3 + 1, 3) == "64000.033"
    out = io.StringIO()
    write_csv([], out)
    assert out.getvalue().startswith("run,symbol,number,")
