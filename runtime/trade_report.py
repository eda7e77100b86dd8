"""`make trades`: round trips as a table for people or as CSV, with sums; reads the ledger only.

Every amount is made from integers: nothing passes through a float but the share of trips that won.
"""

from __future__ import annotations

import csv
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from runtime.trade_table import open_reader

E8_DIGITS = 8
NS_PER_S = 1_000_000_000
# Digits of an average price beyond those of the venue's prices; it is rounded half up there.
AVERAGE_DIGITS = 2
_AGE = re.compile(r"(\d+)([smhd])")
_AGE_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class ReportError(ValueError):
    """A filter that cannot be read; the message names it and what it may be."""


class Filters(NamedTuple):
    """What is asked for; "" and 0 mean all."""

    symbol: str = ""
    strategy: str = ""
    since: str = ""
    run: str = ""


class TripRow(NamedTuple):
    """A round trip with what turns it into decimals."""

    epoch: int
    symbol: str
    number: int
    position_id: int
    strategy: str
    side: int
    entry_lot: int
    entry_value: int
    exit_lot: int
    exit_value: int
    realized_e8: int
    fee_e8: int
    fill_count: int
    entry_reason: str
    exit_reason: str
    exit_reasons: str
    opened_ns: int
    closed_ns: int | None
    best_tick: int | None
    risk_tick: int | None
    repaired: int
    price_decimals: int
    tick_unit: int
    quantity_decimals: int
    lot_unit: int

    @property
    def net_e8(self) -> int:
        """Return the profit after fees."""
        return self.realized_e8 - self.fee_e8

    @property
    def hold_ns(self) -> int:
        """Return how long it was open; up to now when it is."""
        return (self.closed_ns or time.time_ns()) - self.opened_ns


# --- integers into texts -------------------------------------------------------------------------


def decimal_text(scaled: int, decimals: int) -> str:
    """Return scaled / 10^decimals with all its digits."""
    sign = "-" if scaled < 0 else ""
    digits = str(abs(scaled)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else sign + digits


def money_text(amount_e8: int) -> str:
    """Return an amount in the quote, exactly."""
    return decimal_text(amount_e8, E8_DIGITS)


def average_text(row: TripRow, value: int, lot: int) -> str:
    """Return an average price, "-" without a fill."""
    if not lot:
        return "-"
    scale = 10**AVERAGE_DIGITS
    scaled = (2 * value * row.tick_unit * scale + lot) // (2 * lot)
    text = decimal_text(scaled, row.price_decimals + AVERAGE_DIGITS)
    # The extra digits are shown where they say something.
    return text.removesuffix("0" * AVERAGE_DIGITS).removesuffix(".")


def quantity_text(row: TripRow, lot: int) -> str:
    """Return a quantity as the venue writes it."""
    return decimal_text(lot * row.lot_unit, row.quantity_decimals)


def time_text(wall_ns: int | None) -> str:
    """Return a time in UTC to the millisecond, "-" for none."""
    if wall_ns is None:
        return "-"
    whole = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{wall_ns % NS_PER_S // 1_000_000:03d}Z"


def hold_text(hold_ns: int) -> str:
    """Return a duration in seconds, to the tenth."""
    return decimal_text(hold_ns // (NS_PER_S // 10), 1)


# --- reading -------------------------------------------------------------------------------------


def since_ns(text: str, now_ns: int) -> int:
    """Return the moment a filter names: an age such as 90s, 30m, 2h or 7d, or a time in UTC.

    Raises:
        ReportError: it is neither.
    """
    age = _AGE.fullmatch(text)
    if age:
        return now_ns - int(age[1]) * _AGE_S[age[2]] * NS_PER_S
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ReportError(
            f"SINCE is an age (90s, 30m, 2h, 7d) or a time (2026-01-31T08:00): SINCE={text}"
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp()) * NS_PER_S


def _where(filters: Filters, time_column: str, now_ns: int) -> tuple[str, list[str | int]]:
    """Return the condition of symbol, time and run on a table `t`, and its values."""
    clauses: list[str] = ["1"]
    values: list[str | int] = []
    if filters.symbol:
        clauses.append("t.symbol = ?")
        values.append(filters.symbol.upper())
    if filters.since:
        clauses.append(f"{time_column} >= ?")
        values.append(since_ns(filters.since, now_ns))
    if filters.run == "last":
        clauses.append("t.epoch = (SELECT max(epoch) FROM runs)")
    elif filters.run:
        if not filters.run.isdigit():
            raise ReportError(f"RUN is the epoch of a run, or last: RUN={filters.run}")
        clauses.append("t.epoch = ?")
        values.append(int(filters.run))
    return " AND ".join(clauses), values


def read_funding(
    database: sqlite3.Connection, filters: Filters, now_ns: int
) -> list[tuple[str, int]]:
    """Return the funding by symbol, in 1e-8 quote; it belongs to no strategy."""
    where, values = _where(filters, "t.time_ns", now_ns)
    found = database.execute(
        f"SELECT symbol, sum(amount_e8) FROM funding t WHERE {where} "  # noqa: S608
        "GROUP BY symbol ORDER BY symbol",
        values,
    )
    return [(symbol, amount_e8) for symbol, amount_e8 in found]


def read_trips(database: sqlite3.Connection, filters: Filters, now_ns: int) -> list[TripRow]:
    """Return the round trips that pass, in the order in which they were closed; open ones last.

    Raises:
        ReportError: a filter cannot be read.
    """
    where, values = _where(filters, "coalesce(t.closed_ns, t.opened_ns)", now_ns)
    if filters.strategy:
        where += " AND t.strategy = ?"
        values.append(filters.strategy.lower().replace(" ", "_"))  # the logs write "order flow"
    columns = ", ".join(f"t.{name}" for name in TripRow._fields[:-4])
    scales = ", ".join(f"s.{name}" for name in TripRow._fields[-4:])
    found = database.execute(
        f"SELECT {columns}, {scales} FROM round_trips t "  # noqa: S608  names of this file
        "JOIN symbols s ON s.epoch = t.epoch AND s.symbol = t.symbol "
        f"WHERE {where} "
        "ORDER BY t.closed_ns IS NULL, t.closed_ns, t.epoch, t.symbol, t.number",
        values,
    )
    return [TripRow(*row) for row in found]


# --- writing -------------------------------------------------------------------------------------

Cells = Sequence[str]
_LEFT = {"closed", "symbol", "side", "strategy", "exit", "what"}


def aligned(header: Cells, rows: Iterable[Cells]) -> list[str]:
    """Return the lines of a table; words to the left, numbers to the right."""
    cells = [header, *rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    lines = []
    for row in cells:
        made = (
            cell.ljust(width) if name in _LEFT else cell.rjust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        )
        lines.append("  ".join(made).rstrip())
    return lines


def trip_lines(trips: Sequence[TripRow]) -> list[str]:
    """Return the table of round trips."""
    header = (
        "closed", "symbol", "side", "strategy", "quantity", "entry", "exit at", "hold s",
        "realised", "fee", "net", "exit",
    )  # fmt: skip
    rows = [
        (
            "open" if trip.closed_ns is None else time_text(trip.closed_ns),
            trip.symbol,
            "long" if trip.side > 0 else "short",
            trip.strategy,
            quantity_text(trip, trip.entry_lot),
            average_text(trip, trip.entry_value, trip.entry_lot),
            average_text(trip, trip.exit_value, trip.exit_lot),
            hold_text(trip.hold_ns),
            money_text(trip.realized_e8),
            money_text(trip.fee_e8),
            money_text(trip.net_e8),
            trip.exit_reasons.lower().replace(",", ", ") + (" *" if trip.repaired else ""),
        )
        for trip in trips
    ]
    return aligned(header, rows)


def sum_lines(trips: Sequence[TripRow]) -> list[str]:
    """Return the table of sums: all, by strategy, by symbol, by exit reason. Closed trips only."""
    closed = [trip for trip in trips if trip.closed_ns is not None]
    header = ("what", "trips", "won %", "realised", "fees", "net", "hold s")
    rows = [_sums("all", closed)] if closed else []
    keys: tuple[tuple[str, Callable[[TripRow], str]], ...] = (
        ("strategy", lambda trip: trip.strategy),
        ("symbol", lambda trip: trip.symbol),
        ("exit", lambda trip: trip.exit_reason.lower()),
    )
    for what, key in keys:
        for value in sorted({key(trip) for trip in closed}):
            rows.append(_sums(f"{what} {value}", [trip for trip in closed if key(trip) == value]))
    return aligned(header, rows)


def _sums(what: str, trips: Sequence[TripRow]) -> Cells:
    won = sum(trip.net_e8 > 0 for trip in trips)
    return (
        what,
        str(len(trips)),
        f"{100 * won / len(trips):.1f}",
        money_text(sum(trip.realized_e8 for trip in trips)),
        money_text(sum(trip.fee_e8 for trip in trips)),
        money_text(sum(trip.net_e8 for trip in trips)),
        hold_text(sum(trip.hold_ns for trip in trips) // len(trips)),
    )


def funding_lines(trips: Sequence[TripRow], funding: Sequence[tuple[str, int]]) -> list[str]:
    """Return the table of funding, and what is left with it; nothing where there was none."""
    if not funding:
        return []
    paid_e8 = sum(amount_e8 for _, amount_e8 in funding)
    net_e8 = sum(trip.net_e8 for trip in trips if trip.closed_ns is not None)
    rows = [(f"funding {symbol}", money_text(amount_e8)) for symbol, amount_e8 in funding]
    rows.append(("all, funding included", money_text(net_e8 + paid_e8)))
    return ["", *aligned(("what", "amount"), rows)]


def notes(database: sqlite3.Connection, trips: Sequence[TripRow]) -> list[str]:
    """Return what a reader has to know to trust the table."""
    said = []
    if any(trip.repaired for trip in trips):
        said.append(
            "* from the executor's sums: single fills were overwritten before they were read"
        )
    for asset, amount_e8 in database.execute(
        "SELECT fee_asset, sum(other_fee_e8) FROM fills WHERE fee_asset <> '' GROUP BY fee_asset"
    ):
        said.append(f"besides, fees of {money_text(amount_e8)} {asset} over all runs: not in net")
    for epoch, lost in database.execute(
        "SELECT epoch, lost_records FROM runs WHERE lost_records > 0 ORDER BY epoch"
    ):
        said.append(f"run {epoch}: {lost} records were overwritten before they were read")
    return said


def write_csv(trips: Iterable[TripRow], out: TextIO) -> None:
    """Write all columns of the round trips as CSV; amounts and prices as decimals."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        (
            "run", "symbol", "number", "position_id", "strategy", "side", "quantity", "entry",
            "exit_quantity", "exit", "realised", "fee", "net", "fills", "entry_reason",
            "exit_reason", "exit_reasons", "opened", "closed", "hold_s", "best", "initial_risk",
            "repaired",
        )
    )  # fmt: skip
    for trip in trips:
        best, risk = (
            "" if tick is None else decimal_text(tick * trip.tick_unit, trip.price_decimals)
            for tick in (trip.best_tick, trip.risk_tick)
        )
        writer.writerow(
            (
                trip.epoch, trip.symbol, trip.number, trip.position_id, trip.strategy,
                "long" if trip.side > 0 else "short", quantity_text(trip, trip.entry_lot),
                average_text(trip, trip.entry_value, trip.entry_lot),
                quantity_text(trip, trip.exit_lot),
                average_text(trip, trip.exit_value, trip.exit_lot).replace("-", ""),
                money_text(trip.realized_e8), money_text(trip.fee_e8), money_text(trip.net_e8),
                trip.fill_count, trip.entry_reason.lower(), trip.exit_reason.lower(),
                trip.exit_reasons.lower(), time_text(trip.opened_ns),
                "" if trip.closed_ns is None else time_text(trip.closed_ns),
                decimal_text(trip.hold_ns, 9), best, risk, trip.repaired,
            )
        )  # fmt: skip


def report(path: Path, filters: Filters, last: int, csv_to: str) -> int:
    """Print what is asked for; return the exit code.

    Args:
        path: of the ledger. Without one there is nothing to show, which is an answer.
        filters: which round trips.
        last: rows of the table; the sums are over all that pass.
        csv_to: write CSV there instead: a file's name, or - for the screen.

    Raises:
        ReportError: a filter cannot be read.
        LedgerError, sqlite3.Error, OSError: the ledger, or the CSV file, is not to be used.
    """
    try:
        database = open_reader(path)
    except FileNotFoundError:
        print(f"no trades yet: there is no ledger: {path}", file=sys.stderr)
        return 0
    try:
        trips = read_trips(database, filters, time.time_ns())
        if csv_to == "-":
            write_csv(trips, sys.stdout)
            return 0
        if csv_to:
            with Path(csv_to).open("w", newline="") as out:
                write_csv(trips, out)
            print(f"{len(trips)} round trips written to {csv_to}")
            return 0
        funding = [] if filters.strategy else read_funding(database, filters, time.time_ns())
        if not trips and not funding:
            asked = "".join(
                f" {name.upper()}={value}" for name, value in filters._asdict().items() if value
            )
            print(f"no round trips{' with' if asked else ''}{asked}: {path}")
            return 0
        shown = trips[-last:]
        lines = [*trip_lines(shown), "", *sum_lines(trips), *funding_lines(trips, funding)]
        lines += notes(database, trips)
        if len(shown) < len(trips):
            lines.insert(0, f"the last {len(shown)} of {len(trips)} round trips")
        print("\n".join(lines))
        return 0
    finally:
        database.close()


def arguments_of(options: Any) -> tuple[Filters, int, str]:
    """Return what `report` takes from the options of the command line."""
    filters = Filters(options.symbol, options.strategy, options.since, options.run)
    return filters, options.last, options.csv
