"""Print the account: balances, positions, brackets and settings, in the venue's versions."""

from __future__ import annotations

from exchange.instruments import fixed_e8
from exchange.trading import brackets, margin
from exchange.trading.desk import Desk
from exchange.trading.positions import Position


def mark_price_text(position: Position, mark_tick: int) -> str:
    """Return a mark price with the venue's eight digits."""
    i = position.instrument
    return fixed_e8(mark_tick * i.tick_unit * 10 ** (8 - i.price_decimals))


def _margins_json(desk: Desk, position: Position) -> dict[str, object]:
    account = desk.account
    held = account.leg_margin_e8(position, ())
    orders = desk.register.open_orders(position.instrument.symbol)
    total = account.leg_margin_e8(position, orders)
    return {
        "initialMargin": fixed_e8(total),
        "maintMargin": fixed_e8(account.leg_maintenance_e8(position)),
        "positionInitialMargin": fixed_e8(held),
        "openOrderInitialMargin": fixed_e8(total - held),
    }


def _sides_json(desk: Desk, position: Position) -> dict[str, object]:
    symbol = position.instrument.symbol
    orders = desk.register.open_orders(symbol)
    mark_tick = desk.account.mark_tick(symbol)
    buy, sell = margin.order_notional_e8(position.position_side, orders, mark_tick)
    return {
        "bidNotional": fixed_e8(buy) if buy else "0",
        "askNotional": fixed_e8(sell) if sell else "0",
    }


def cap_text(desk: Desk, symbol: str) -> str:
    """Return the notional in USDT that a symbol's leverage allows."""
    return str(brackets.notional_max(symbol, desk.account.leverage(symbol)))


def position_json(desk: Desk, position: Position, version: int) -> dict[str, object]:
    """Return a row of positionRisk in the layout of version 2 or 3."""
    account = desk.account
    symbol = position.instrument.symbol
    mark = account.mark_tick(symbol)
    row: dict[str, object] = {
        "symbol": symbol,
        "positionSide": position.position_side,
        "positionAmt": position.instrument.quantity_text(position.quantity_lot),
        "entryPrice": position.entry_text(),
        "breakEvenPrice": position.break_even_text(),
        "markPrice": mark_price_text(position, mark),
        "unRealizedProfit": fixed_e8(position.unrealised_e8(mark)),
        "liquidationPrice": account.liquidation_text(symbol) if position.quantity_lot else "0",
        "isolatedMargin": "0.00000000",
        "notional": fixed_e8(position.notional_e8(mark)),
        "isolatedWallet": "0",
        "updateTime": position.updated_ms,
    }
    if version == 2:
        row.update(
            leverage=str(account.leverage(symbol)),
            maxNotionalValue=cap_text(desk, symbol),
            marginType="cross",
            isAutoAddMargin="false",
        )
    else:
        row.update(marginAsset="USDT", adl=_adl(position), **_sides_json(desk, position))
        row.update(_margins_json(desk, position))
    return row


def is_listed(desk: Desk, position: Position) -> bool:
    """Tell whether version 3 lists a position: when it is open or has an open order.

    # Venue: "Position Information V3", "Account Information V3".
    """
    side = position.position_side
    orders = desk.register.open_orders(position.instrument.symbol)
    return position.quantity_lot != 0 or any(o.position_side == side for o in orders)


def account_json(desk: Desk, version: int, is_socket: bool = False) -> dict[str, object]:
    """Return the body of account in the layout of version 2 or 3.

    # Venue: by WS-API version 2 has no `feeBurn`, and version 3 (there "v2/account.status") has
    `marginAvailable`, which it lacks by REST.
    """
    account = desk.account
    totals = _totals(desk)
    asset: dict[str, object] = {
        "asset": "USDT",
        **{name[0].lower() + name[1:]: value for name, value in totals.items()},
        **({"marginAvailable": True} if version == 2 or is_socket else {}),
        "updateTime": account.updated_ms,
    }
    body: dict[str, object] = {f"total{name}": value for name, value in totals.items()}
    for name in ("AvailableBalance", "MaxWithdrawAmount"):
        body[name[0].lower() + name[1:]] = body.pop(f"total{name}")
    legs = [p for symbol in account.symbols for p in account.symbol_positions(symbol)]
    if version == 2:
        body.update(feeTier=0, canTrade=True, canDeposit=True, canWithdraw=True)
        body.update(updateTime=0, multiAssetsMargin=False, tradeGroupId=-1)
        body.update({} if is_socket else {"feeBurn": False})
    else:
        legs = [p for p in legs if is_listed(desk, p)]
    positions = [_account_position_json(desk, p, version) for p in legs]
    return {**body, "assets": [asset], "positions": positions}


def _account_position_json(desk: Desk, position: Position, version: int) -> dict[str, object]:
    account = desk.account
    symbol = position.instrument.symbol
    mark = account.mark_tick(symbol)
    margins = _margins_json(desk, position)
    if version == 3:
        margins = {name: margins[name] for name in ("initialMargin", "maintMargin")}
    row: dict[str, object] = {
        "symbol": symbol,
        "positionSide": position.position_side,
        "positionAmt": position.instrument.quantity_text(position.quantity_lot),
        "unrealizedProfit": fixed_e8(position.unrealised_e8(mark)),
        "isolatedMargin": "0.00000000",
        "notional": fixed_e8(position.notional_e8(mark)),
        "isolatedWallet": "0",
        "updateTime": position.updated_ms,
        **margins,
    }
    if version == 2:
        row.update(
            leverage=str(account.leverage(symbol)),
            isolated=False,
            entryPrice=position.entry_text(),
            breakEvenPrice=position.break_even_text(),
            maxNotional=cap_text(desk, symbol),
            **_sides_json(desk, position),
        )
    return row


def _totals(desk: Desk) -> dict[str, str]:
    account = desk.account
    initial = desk.initial_margin_e8()
    held = sum(account.position_margin_e8(s) for s in account.symbols)
    unrealised = account.unrealised_e8()
    wallet = account.wallet_e8
    amounts = {
        "InitialMargin": initial,
        "MaintMargin": account.maintenance_all_e8(),
        "WalletBalance": wallet,
        "UnrealizedProfit": unrealised,
        "MarginBalance": wallet + unrealised,
        "PositionInitialMargin": held,
        "OpenOrderInitialMargin": initial - held,
        "CrossWalletBalance": wallet,
        "CrossUnPnl": unrealised,
        "AvailableBalance": max(0, wallet + unrealised - initial),
        # Venue: profits that are not realised cannot be transferred out.
        "MaxWithdrawAmount": max(0, wallet + min(0, unrealised) - initial),
    }
    return {name: fixed_e8(value) for name, value in amounts.items()}


def balance_json(desk: Desk) -> list[dict[str, object]]:
    """Return the body of balance."""
    totals = _totals(desk)
    return [
        {
            "accountAlias": "embedded",
            "asset": "USDT",
            "balance": totals["WalletBalance"],
            "crossWalletBalance": totals["CrossWalletBalance"],
            "crossUnPnl": totals["CrossUnPnl"],
            "availableBalance": totals["AvailableBalance"],
            "maxWithdrawAmount": totals["MaxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": desk.account.updated_ms,
        }
    ]


def brackets_json(symbol: str) -> dict[str, object]:
    """Return a row of leverageBracket."""
    rows = [row.as_json() for row in brackets.brackets_of(symbol)]
    return {"symbol": symbol, "notionalCoef": 1.0, "brackets": rows}


def symbol_config_json(desk: Desk, symbol: str) -> dict[str, object]:
    """Return a row of symbolConfig."""
    return {
        "symbol": symbol,
        "marginType": "CROSSED",
        "isAutoAddMargin": False,
        "leverage": desk.account.leverage(symbol),
        "maxNotionalValue": cap_text(desk, symbol),
    }


def account_config_json(desk: Desk) -> dict[str, object]:
    """Return the body of accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": desk.account.is_dual_side,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def commission_json(desk: Desk, symbol: str) -> dict[str, object]:
    """Return the body of commissionRate."""
    return {
        "symbol": symbol,
        "makerCommissionRate": fixed_e8(desk.account.maker_fee_e8),
        "takerCommissionRate": fixed_e8(desk.account.taker_fee_e8),
        "rpiCommissionRate": fixed_e8(desk.account.maker_fee_e8),
    }


def _adl(position: Position) -> int:
    """Return the place in the queue of automatic deleveraging: nobody is ever deleveraged here."""
    return 1 if position.quantity_lot else 0


def adl_json(desk: Desk, symbol: str) -> dict[str, object]:
    """Return a row of adlQuantile."""
    legs = {p.position_side: _adl(p) for p in desk.account.symbol_positions(symbol)}
    if "BOTH" in legs:
        quantile = {"LONG": 0, "SHORT": 0, "BOTH": legs["BOTH"]}
    else:
        quantile = {**legs, "HEDGE": 0}
    return {"symbol": symbol, "adlQuantile": quantile}
