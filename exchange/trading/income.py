"""Keep the income history: one row for every change of the wallet."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from exchange.instruments import fixed_e8
from exchange.trading.retention import INCOME_ROWS_MAX

# Venue: "Get Income History", the kinds that this account can have.
TRANSFER = "TRANSFER"
REALIZED_PNL = "REALIZED_PNL"
COMMISSION = "COMMISSION"
FUNDING_FEE = "FUNDING_FEE"
INSURANCE_CLEAR = "INSURANCE_CLEAR"
KINDS = frozenset({TRANSFER, REALIZED_PNL, COMMISSION, FUNDING_FEE, INSURANCE_CLEAR})
TRANSACTION_ID_FIRST = 9_689_322_392


@dataclass(frozen=True, slots=True)
class Income:
    """Be one change of the wallet, in 1e-8 USDT."""

    symbol: str
    kind: str
    amount_e8: int
    time_ms: int
    transaction_id: int
    trade_id: int  # 0 for none

    def as_json(self) -> dict[str, object]:
        """Return a row of the income history."""
        return {
            "symbol": self.symbol,
            "incomeType": self.kind,
            "income": fixed_e8(self.amount_e8),
            "asset": "USDT",
            "info": str(self.trade_id) if self.trade_id else self.kind,
            "time": self.time_ms,
            "tranId": self.transaction_id,
            "tradeId": str(self.trade_id) if self.trade_id else "",
        }


class IncomeLedger:
    """Keep the newest rows in the order of time.

    # Invariant: `total_e8`, which is the wallet, = `forgotten_e8` + sum of the rows.
    """

    def __init__(self, rows_max: int = INCOME_ROWS_MAX) -> None:
        self.rows: list[Income] = []
        self.total_e8 = 0
        self.forgotten_e8 = 0  # sum of the rows that are no longer kept
        self._rows_max = rows_max
        self._spare_rows = rows_max // 16  # rows are dropped so many at once: each drop moves all
        self._next_id = TRANSACTION_ID_FIRST

    def add(self, symbol: str, kind: str, amount_e8: int, time_ms: int, trade_id: int = 0) -> None:
        """Enter one change; a change of nothing leaves no row."""
        if amount_e8 == 0:
            return
        row = Income(symbol, kind, amount_e8, time_ms, self._next_id, trade_id)
        self._next_id += 1
        # Funding is booked a moment after the time that it is of, and the clock may step back.
        insort(self.rows, row, key=lambda each: each.time_ms)
        self.total_e8 += amount_e8
        if len(self.rows) > self._rows_max + self._spare_rows:
            old = self.rows[: -self._rows_max]
            self.forgotten_e8 += sum(each.amount_e8 for each in old)
            del self.rows[: len(old)]

    def find(
        self, symbol: str, kind: str, start_ms: int, end_ms: int, skip: int, limit: int
    ) -> list[Income]:
        """Return at most `limit` rows of a span of time, oldest first; "" matches everything."""
        first = bisect_left(self.rows, start_ms, key=lambda row: row.time_ms)
        found = []
        for row in self.rows[first:]:
            if row.time_ms > end_ms:
                break
            if (not symbol or row.symbol == symbol) and (not kind or row.kind == kind):
                if skip > 0:
                    skip -= 1
                    continue
                found.append(row)
                if len(found) == limit:
                    break
        return found
