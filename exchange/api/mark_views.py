"""Print marks and funding: rows of premiumIndex, fundingRate and fundingInfo."""

from __future__ import annotations

from exchange.instruments import Instrument, fixed_e8
from exchange.markets.marks import CAP_E8, HOUR_MS, INTEREST_E8, Funding, MarkView


def premium_index_json(symbol: str, view: MarkView) -> dict[str, object]:
    """Return a row of premiumIndex."""
    return {
        "symbol": symbol,
        "markPrice": fixed_e8(view.mark_e8),
        "indexPrice": fixed_e8(view.index_e8),
        "estimatedSettlePrice": fixed_e8(view.settle_e8),
        "lastFundingRate": fixed_e8(view.funding_rate_e8),
        "interestRate": fixed_e8(INTEREST_E8),
        "nextFundingTime": view.next_funding_ms,
        "time": view.time_ms,
    }


def funding_rate_json(instrument: Instrument, row: Funding) -> dict[str, object]:
    """Return a row of fundingRate."""
    unit = instrument.tick_unit * 10 ** (8 - instrument.price_decimals)
    return {
        "symbol": row.symbol,
        "fundingRate": fixed_e8(row.rate_e8),
        "fundingTime": row.time_ms,
        "markPrice": fixed_e8(row.mark_tick * unit),
        "rateType": "Regular",
    }


def funding_info_json(symbol: str, interval_ms: int) -> dict[str, object]:
    """Return a row of fundingInfo; an interval below one hour shows as one."""
    return {
        "symbol": symbol,
        "adjustedFundingRateCap": fixed_e8(CAP_E8),
        "adjustedFundingRateFloor": fixed_e8(-CAP_E8),
        "fundingIntervalHours": max(1, interval_ms // HOUR_MS),
        "disclaimer": False,
    }
