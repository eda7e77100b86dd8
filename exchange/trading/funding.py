"""Book funding: what positions pay and get at the end of each interval."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.instruments import E8
from exchange.markets.marks import Funding
from exchange.trading.account import Account
from exchange.trading.income import FUNDING_FEE
from exchange.trading.user_events import UserEvents


def funding_fee_e8(notional_e8: int, rate_e8: int) -> int:
    """Return what a position of that signed notional gets; negative when it pays.

    # Venue: "Funding Rates": fee = notional at the mark price * rate; longs pay a positive rate.
    Rounded down, so that fractions of the last unit are the position's.
    """
    return -notional_e8 * rate_e8 // E8


def book_funding(account: Account, events: UserEvents, fundings: Iterable[Funding]) -> int:
    """Book the fundings on all open positions and tell each symbol's; return the sum."""
    total_e8 = 0
    for funding in fundings:
        paid_e8 = 0
        for position in account.symbol_positions(funding.symbol):
            if position.quantity_lot:
                notional_e8 = position.notional_e8(funding.mark_tick)
                fee_e8 = funding_fee_e8(notional_e8, funding.rate_e8)
                account.book(funding.symbol, FUNDING_FEE, fee_e8, funding.time_ms)
                paid_e8 += fee_e8
        if paid_e8:
            events.account_changed(account, FUNDING_FEE, (), paid_e8)
        total_e8 += paid_e8
    return total_e8
