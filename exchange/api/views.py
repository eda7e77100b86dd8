"""Print what the market is: exchange information, depth, best prices, day statistics, trades."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.instruments import Instrument, scaled_text
from exchange.markets.market import DepthView
from exchange.streams.bars import Bar
from exchange.streams.events import average_text, cost_text, day_open_ms, percent_text
from exchange.streams.tape import Aggregate, Print
from exchange.trading.filters import SymbolFilters

ORDER_TYPES = [
    *("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"),
    "TRAILING_STOP_MARKET",
]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]
PROOF_OF_WORK = frozenset({"BTC", "BCH", "DOGE", "ETC", "LTC"})
ONBOARD_MS = 1_569_398_400_000  # when the venue began
DELIVERY_MS = 4_133_404_800_000  # the venue's date of contracts that are never delivered


def exchange_info_json(
    filters: Iterable[SymbolFilters], rate_limits: list[dict[str, object]], now_ms: int
) -> dict[str, object]:
    """Return the body of exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": rate_limits,
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol_json(row) for row in filters],
    }


def _symbol_json(row: SymbolFilters) -> dict[str, object]:
    i = row.instrument
    return {
        "symbol": i.symbol,
        "pair": i.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERY_MS,
        "onboardDate": ONBOARD_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": i.base_asset,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": i.price_decimals,
        "quantityPrecision": i.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW" if i.base_asset in PROOF_OF_WORK else "Layer-1"],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": scaled_text(i.take_bound_e4 // 100, 2),
        "maxMoveOrderLimit": 10000,
        "filters": row.as_json(),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIMES_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def depth_json(i: Instrument, view: DepthView, now_ms: int) -> dict[str, object]:
    """Return the body of a depth snapshot."""
    return {
        "lastUpdateId": view.last_update_id,
        "E": now_ms,
        "T": view.time_ms,
        "bids": [[i.price_text(p), i.quantity_text(q)] for p, q in view.bids],
        "asks": [[i.price_text(p), i.quantity_text(q)] for p, q in view.asks],
    }


def book_ticker_json(i: Instrument, view: DepthView) -> dict[str, object]:
    """Return a row of ticker/bookTicker; zeros stand for an empty side."""
    bid = view.bids[0] if view.bids else (0, 0)
    ask = view.asks[0] if view.asks else (0, 0)
    return {
        "symbol": i.symbol,
        "bidPrice": i.price_text(bid[0]),
        "bidQty": i.quantity_text(bid[1]),
        "askPrice": i.price_text(ask[0]),
        "askQty": i.quantity_text(ask[1]),
        "time": view.time_ms,
        "lastUpdateId": view.last_update_id,
    }


def price_json(i: Instrument, price_tick: int, time_ms: int) -> dict[str, object]:
    """Return a row of ticker/price."""
    return {"symbol": i.symbol, "price": i.price_text(price_tick), "time": time_ms}


def day_json(i: Instrument, day: Bar, last_lot: int, now_ms: int) -> dict[str, object]:
    """Return a row of ticker/24hr."""
    change = day.close - day.open
    return {
        "symbol": i.symbol,
        "priceChange": i.price_text(change),
        "priceChangePercent": percent_text(change, day.open),
        "weightedAvgPrice": average_text(i, day),
        "lastPrice": i.price_text(day.close),
        "lastQty": i.quantity_text(last_lot),
        "openPrice": i.price_text(day.open),
        "highPrice": i.price_text(day.high),
        "lowPrice": i.price_text(day.low),
        "volume": i.quantity_text(day.volume_lot),
        "quoteVolume": cost_text(i, day.cost),
        "openTime": day_open_ms(now_ms),
        "closeTime": now_ms,
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.count,
    }


def trade_json(i: Instrument, trade: Print) -> dict[str, object]:
    """Return a row of trades and historicalTrades."""
    return {
        "id": trade.trade_id,
        "price": i.price_text(trade.price_tick),
        "qty": i.quantity_text(trade.quantity_lot),
        "quoteQty": cost_text(i, trade.price_tick * trade.quantity_lot),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isRPITrade": False,
    }


def aggregate_json(i: Instrument, row: Aggregate) -> dict[str, object]:
    """Return a row of aggTrades."""
    quantity = i.quantity_text(row.quantity_lot)
    return {
        "a": row.aggregate_id,
        "p": i.price_text(row.price_tick),
        "q": quantity,
        "nq": quantity,
        "f": row.first_id,
        "l": row.last_id,
        "T": row.time_ms,
        "m": row.buyer_is_maker,
    }
