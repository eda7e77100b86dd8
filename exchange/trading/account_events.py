"""Print the account's events of the user data stream: changes, settings, margin calls."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.instruments import fixed_e8
from exchange.trading.account import Account
from exchange.trading.positions import Position

Event = dict[str, object]


def account_update(
    account: Account,
    reason: str,
    positions: Iterable[Position],
    change_e8: int,
    now_ms: int,
    time_ms: int,
) -> Event:
    """Return ACCOUNT_UPDATE; `change_e8` is the balance change that is no profit and no fee.

    # Venue: "Event: Balance and Position Update": only what changed is listed; a FUNDING_FEE of a
    crossed position has the balance alone.
    """
    wallet = fixed_e8(account.wallet_e8)
    change = fixed_e8(change_e8) if change_e8 else "0"
    balance = {"a": "USDT", "wb": wallet, "cw": wallet, "bc": change}
    rows = [_position_row(account, position) for position in positions]
    body: Event = {"m": reason, "B": [balance], "P": rows}
    return {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": time_ms, "a": body}


def _position_row(account: Account, position: Position) -> Event:
    symbol = position.instrument.symbol
    return {
        "s": symbol,
        "pa": position.instrument.quantity_text(position.quantity_lot),
        "ep": position.entry_text(),
        "bep": position.break_even_text() if position.quantity_lot else "0",
        "cr": fixed_e8(position.realised_e8),
        "up": fixed_e8(position.unrealised_e8(account.mark_tick(symbol))),
        "mt": "cross",
        "iw": "0",
        "ps": position.position_side,
        "ma": "USDT",
    }


def leverage_update(symbol: str, leverage: int, now_ms: int) -> Event:
    """Return ACCOUNT_CONFIG_UPDATE of a leverage."""
    change = {"s": symbol, "l": leverage}
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": change}


def margin_call(account: Account, now_ms: int) -> Event:
    """Return MARGIN_CALL with every open position."""
    rows = []
    for position in account.open_positions():
        symbol, instrument = position.instrument.symbol, position.instrument
        mark_tick = account.mark_tick(symbol)
        rows.append(
            {
                "s": symbol,
                "ps": position.position_side,
                "pa": instrument.quantity_text(position.quantity_lot),
                "mt": "CROSSED",
                "iw": "0",
                "mp": instrument.price_text(mark_tick),
                "up": fixed_e8(position.unrealised_e8(mark_tick)),
                "mm": fixed_e8(account.leg_maintenance_e8(position)),
            }
        )
    wallet = fixed_e8(account.wallet_e8)
    return {"e": "MARGIN_CALL", "E": now_ms, "cw": wallet, "p": rows}
