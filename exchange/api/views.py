"""Print what is not an order: exchange information, depth, account, positions, balances."""

from __future__ import annotations

from exchange.api.limits import RATE_LIMITS
from exchange.instruments import Instrument, fixed_e8, scaled_text
from exchange.markets.market import DepthView
from exchange.trading.account import Position
from exchange.trading.desk import OPEN_ORDERS_MAX, Desk
from exchange.trading.entry import PERCENT_DOWN, PERCENT_UP

MAX_NOTIONAL = "100000000"


def exchange_info_json(instruments: dict[str, Instrument], now_ms: int) -> dict[str, object]:
    """Return the body of exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol_json(i) for i in instruments.values()],
    }


def _symbol_json(i: Instrument) -> dict[str, object]:
    return {
        "symbol": i.symbol,
        "pair": i.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": i.symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": i.price_decimals,
        "quantityPrecision": i.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _filters_json(i),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _filters_json(i: Instrument) -> list[dict[str, object]]:
    lots = {"minQty": i.quantity_text(1), "stepSize": i.quantity_text(1)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": i.price_text(1),
            "maxPrice": i.price_text(max(i.base_tick, 100_000) * 100),
            "tickSize": i.price_text(1),
        },
        {"filterType": "LOT_SIZE", "maxQty": i.quantity_text(i.lot_max), **lots},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": i.quantity_text(i.lot_max), **lots},
        {"filterType": "MAX_NUM_ORDERS", "limit": OPEN_ORDERS_MAX},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": str(i.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": scaled_text(PERCENT_UP * 100, 4),
            "multiplierDown": scaled_text(PERCENT_DOWN * 100, 4),
            "multiplierDecimal": "4",
        },
    ]


def depth_json(i: Instrument, view: DepthView, now_ms: int) -> dict[str, object]:
    """Return the body of a depth snapshot."""
    return {
        "lastUpdateId": view.last_update_id,
        "E": now_ms,
        "T": view.time_ms,
        "bids": [[i.price_text(p), i.quantity_text(q)] for p, q in view.bids],
        "asks": [[i.price_text(p), i.quantity_text(q)] for p, q in view.asks],
    }


def _margins_json(desk: Desk, symbol: str) -> dict[str, object]:
    account = desk.account
    held = account.position_margin_e8(symbol)
    total = account.initial_margin_e8(symbol, desk.register.open_orders(symbol))
    return {
        "initialMargin": fixed_e8(total),
        "maintMargin": fixed_e8(account.maintenance_e8(symbol)),
        "positionInitialMargin": fixed_e8(held),
        "openOrderInitialMargin": fixed_e8(total - held),
    }


def position_json(desk: Desk, symbol: str, version: int) -> dict[str, object]:
    """Return a row of positionRisk in the layout of version 2 or 3."""
    position = desk.account.positions[symbol]
    mark = desk.account.mark_tick(symbol)
    row: dict[str, object] = {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": position.instrument.quantity_text(position.quantity_lot),
        "entryPrice": position.entry_text(),
        "breakEvenPrice": position.entry_text(),
        "markPrice": position.instrument.price_text(mark),
        "unRealizedProfit": fixed_e8(position.unrealised_e8(mark)),
        "liquidationPrice": "0",
        "isolatedMargin": "0.00000000",
        "notional": fixed_e8(position.notional_e8(mark)),
        "isolatedWallet": "0",
        "updateTime": position.updated_ms,
    }
    if version == 2:
        row.update(
            leverage=str(position.leverage),
            maxNotionalValue=MAX_NOTIONAL,
            marginType="cross",
            isAutoAddMargin="false",
        )
    else:
        row.update(marginAsset="USDT", adl=0, bidNotional="0", askNotional="0")
        row.update(_margins_json(desk, symbol))
    return row


def account_json(desk: Desk, version: int) -> dict[str, object]:
    """Return the body of account in the layout of version 2 or 3."""
    totals = _totals(desk)
    asset: dict[str, object] = {
        "asset": "USDT",
        **{name[0].lower() + name[1:]: value for name, value in totals.items()},
        "updateTime": desk.account.updated_ms,
    }
    body: dict[str, object] = {f"total{name}": value for name, value in totals.items()}
    for name in ("AvailableBalance", "MaxWithdrawAmount"):
        body[name[0].lower() + name[1:]] = body.pop(f"total{name}")
    held = desk.account.positions.values()
    if version == 2:
        body.update(feeTier=0, canTrade=True, canDeposit=True, canWithdraw=True)
        body.update(updateTime=0, multiAssetsMargin=False, tradeGroupId=-1)
        asset["marginAvailable"] = True
        positions = [_account_position_json(desk, p, version) for p in held]
    else:
        # Venue: "Account Information V3" lists only symbols with a position or an open order.
        positions = [
            _account_position_json(desk, p, version)
            for p in held
            if p.quantity_lot or desk.register.open_orders(p.instrument.symbol)
        ]
    return {**body, "assets": [asset], "positions": positions}


def _account_position_json(desk: Desk, position: Position, version: int) -> dict[str, object]:
    symbol = position.instrument.symbol
    mark = desk.account.mark_tick(symbol)
    row: dict[str, object] = {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": position.instrument.quantity_text(position.quantity_lot),
        "unrealizedProfit": fixed_e8(position.unrealised_e8(mark)),
        "isolatedMargin": "0.00000000",
        "notional": fixed_e8(position.notional_e8(mark)),
        "isolatedWallet": "0",
        "updateTime": position.updated_ms,
        **_margins_json(desk, symbol),
    }
    if version == 2:
        row.update(
            leverage=str(position.leverage),
            isolated=False,
            entryPrice=position.entry_text(),
            breakEvenPrice=position.entry_text(),
            maxNotional=MAX_NOTIONAL,
            bidNotional="0",
            askNotional="0",
        )
    return row


def _totals(desk: Desk) -> dict[str, str]:
    account = desk.account
    initial = desk.initial_margin_e8()
    held = sum(account.position_margin_e8(s) for s in account.positions)
    unrealised = account.unrealised_e8()
    available = max(0, account.wallet_e8 + unrealised - initial)
    amounts = {
        "InitialMargin": initial,
        "MaintMargin": sum(account.maintenance_e8(s) for s in account.positions),
        "WalletBalance": account.wallet_e8,
        "UnrealizedProfit": unrealised,
        "MarginBalance": account.wallet_e8 + unrealised,
        "PositionInitialMargin": held,
        "OpenOrderInitialMargin": initial - held,
        "CrossWalletBalance": account.wallet_e8,
        "CrossUnPnl": unrealised,
        "AvailableBalance": available,
        "MaxWithdrawAmount": min(available, max(0, account.wallet_e8)),
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
