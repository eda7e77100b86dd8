"""Hold the leverage brackets: how much leverage a notional allows and what must stay behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from exchange.instruments import E8

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Bracket:
    """Be one row; amounts in whole USDT, the maintenance ratio in parts per million."""

    number: int
    leverage_max: int
    floor: int
    cap: int
    maintenance_ppm: int
    cum: int  # what is taken off the maintenance margin

    def maintenance_e8(self, notional_e8: int) -> int:
        """Return the maintenance margin of a notional of this bracket, rounded up.

        # Venue: "Leverage & Margin", maintenance margin = notional * ratio − maintenance amount.
        """
        return -(-notional_e8 * self.maintenance_ppm // PPM) - self.cum * E8

    def as_json(self) -> dict[str, object]:
        """Return a row of leverageBracket."""
        return {
            "bracket": self.number,
            "initialLeverage": self.leverage_max,
            "notionalCap": self.cap,
            "notionalFloor": self.floor,
            "maintMarginRatio": self.maintenance_ppm / PPM,
            "cum": self.cum,
        }


# Venue: "Leverage & Margin of USDⓈ-M Futures". (leverage, cap in thousands of USDT, ratio in ppm);
# a floor is the cap before it.
_Rows = tuple[tuple[int, int, int], ...]
_LARGEST: _Rows = (
    (125, 50, 4_000),
    (100, 600, 5_000),
    (75, 3_000, 6_500),
    (50, 12_000, 10_000),
    (25, 70_000, 20_000),
    (20, 100_000, 25_000),
    (10, 230_000, 50_000),
    (5, 480_000, 100_000),
    (4, 600_000, 125_000),
    (3, 800_000, 150_000),
    (2, 1_200_000, 250_000),
    (1, 1_800_000, 500_000),
)
_SECOND: _Rows = (
    (125, 50, 4_000),
    (100, 600, 5_000),
    (75, 3_000, 6_500),
    (50, 12_000, 10_000),
    (25, 50_000, 20_000),
    (20, 65_000, 25_000),
    (10, 150_000, 50_000),
    (5, 320_000, 100_000),
    (4, 400_000, 125_000),
    (3, 530_000, 150_000),
    (2, 800_000, 250_000),
    (1, 1_200_000, 500_000),
)
_LARGE: _Rows = (
    (100, 10, 5_000),
    (75, 100, 6_500),
    (50, 600, 10_000),
    (40, 1_000, 15_000),
    (25, 6_000, 20_000),
    (20, 12_000, 25_000),
    (10, 30_000, 50_000),
    (5, 60_000, 100_000),
    (4, 75_000, 125_000),
    (2, 150_000, 250_000),
    (1, 300_000, 500_000),
)
_OTHERS: _Rows = (
    (75, 5, 10_000),
    (50, 50, 15_000),
    (25, 300, 20_000),
    (20, 600, 25_000),
    (10, 1_500, 50_000),
    (5, 3_000, 100_000),
    (4, 3_750, 125_000),
    (2, 7_500, 250_000),
    (1, 12_500, 500_000),
)
_TABLES = {
    "BTCUSDT": _LARGEST,
    "ETHUSDT": _SECOND,
    **dict.fromkeys(("BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"), _LARGE),
}


@cache
def brackets_of(symbol: str) -> tuple[Bracket, ...]:
    """Return a symbol's brackets, lowest notional first.

    # Invariant: with cum_n = cum_(n−1) + floor_n * (ratio_n − ratio_(n−1)), the maintenance margin
    is continuous where one bracket ends and the next begins.
    """
    rows = []
    floor = cum_ppm = ratio_before = 0
    for number, (leverage, cap_thousands, ratio) in enumerate(_TABLES.get(symbol, _OTHERS), 1):
        cum_ppm += floor * (ratio - ratio_before) if floor else 0
        assert cum_ppm % PPM == 0, "the tables are made so that maintenance amounts are whole"
        cum = cum_ppm // PPM
        rows.append(Bracket(number, leverage, floor, cap_thousands * 1000, ratio, cum))
        floor, ratio_before = cap_thousands * 1000, ratio
    return tuple(rows)


def bracket_at(symbol: str, notional_e8: int) -> Bracket:
    """Return the bracket that a notional falls into; what is above the last cap has the last."""
    rows = brackets_of(symbol)
    for row in rows:
        if notional_e8 <= row.cap * E8:
            return row
    return rows[-1]


def maintenance_e8(symbol: str, notional_e8: int) -> int:
    """Return the maintenance margin of a position of that (positive) notional."""
    return bracket_at(symbol, notional_e8).maintenance_e8(notional_e8)


def leverage_max(symbol: str) -> int:
    """Return the highest leverage that a symbol allows at all."""
    return brackets_of(symbol)[0].leverage_max


def notional_max(symbol: str, leverage: int) -> int:
    """Return the largest notional in USDT that a leverage allows."""
    return max(row.cap for row in brackets_of(symbol) if row.leverage_max >= leverage)
