"""Drive the exchange with the official SDK: python scenario_official_sdk.py <rest> <stream>."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_derivatives_trading_usds_futures.websocket_streams.models import (
    DiffBookDepthStreamsResponse,
)
from event_judge import (
    AMENDED_AND_CANCELED,
    FILLED,
    SWEPT,
    Lives,
    account_complaints,
    algo_complaints,
    lite_complaints,
    order_complaints,
    sequence_complaints,
)
from step_sheet import COMPARE_EVERY, SYMBOL, UPDATES, MismatchError, Sheet, Touch, until, want
from venue_truth import BookJudge, DiffBook

MODEL_WARNINGS = ("did not match the declared types", "Failed to parse", "Unknown user data event")


class ModelWarnings(logging.Handler):
    """Collect what the SDK could not put into its models: it falls back silently otherwise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        is_error = record.levelno >= logging.ERROR
        if is_error or any(words in text for words in MODEL_WARNINGS):
            self.texts[text[:300]] = None


class Scenario:
    """Hold the client and what it has seen."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.touch = Touch(sheet.truth)
        keys = {"api_key": sheet.key, "api_secret": sheet.secret}
        self.client = DerivativesTradingUsdsFutures(
            config_rest_api=ConfigurationRestAPI(**keys, base_path=sheet.rest, timeout=10_000),
            config_ws_api=ConfigurationWebSocketAPI(
                **keys, stream_url=f"{sheet.stream}/ws-fapi/v1", timeout=10_000
            ),
            config_ws_streams=ConfigurationWebSocketStreams(stream_url=sheet.stream),
        )
        self.events: list[dict[str, Any]] = []
        self.book = DiffBook()
        truth = sheet.truth
        self.judge = BookJudge(
            lambda: truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=1000),
            1000,
            UPDATES,
            COMPARE_EVERY,
        )
        self.gaps: list[str] = []
        self.streams: Any = None
        self.api: Any = None
        self.algo_ids: list[tuple[int, list[str]]] = []
        self.lives: dict[int, Lives] = {}

    async def rest(self, name: str, **params: object) -> Any:
        """Call a REST method in a thread: this SDK's REST half blocks."""
        method = getattr(self.client.rest_api, name)
        return (await asyncio.to_thread(method, **params)).data()

    async def ws(self, name: str, **params: object) -> Any:
        """Call a WS-API method; the SDK hands a refusal back as a dictionary."""
        data = (await getattr(self.api, name)(**params)).data()
        if isinstance(data, dict) and "error" in data:
            raise MismatchError(f"{name}: {data['error']}")
        return data.result

    async def load_markets(self) -> None:
        info = await self.rest("exchange_information")
        symbols = {row.symbol: row for row in info.symbols}
        want("status", symbols[SYMBOL].status, "TRADING")
        want("contract type", symbols[SYMBOL].contract_type, "PERPETUAL")
        kinds = {row.filter_type for row in symbols[SYMBOL].filters}
        missing = {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL"} - kinds
        want("missing filters", missing, set())

    async def connect(self) -> None:
        self.streams = await self.client.websocket_streams.create_connection()
        self.api = await self.client.websocket_api.create_connection()
        want("stream connections", len(self.streams.connections), 3)
        key = (await self.rest("start_user_data_stream")).listen_key
        handle = await self.streams.user_data(key)
        handle.on("message", lambda event: self.events.append(raw_event(event)))
        name = f"{SYMBOL.lower()}@depth@0ms"
        await self.streams.subscribe(
            [name], response_model=DiffBookDepthStreamsResponse, stream_url="public"
        )
        self.streams.on("message", self.on_depth, name)
        await until(self.book.has_early, "the first depth event")
        snapshot = await self.rest("order_book", symbol=SYMBOL, limit=1000)
        self.book.load(snapshot.last_update_id, snapshot.bids, snapshot.asks)

    def on_depth(self, event: DiffBookDepthStreamsResponse) -> None:
        try:
            if self.book.apply(event.U, event.u, event.pu, event.b, event.a):
                self.judge.observe(self.book.update_id, self.book.copy)
        except ValueError as error:
            self.gaps.append(str(error))

    async def rest_orders(self) -> None:
        price = self.touch.below("0.02")
        buy = {"symbol": SYMBOL, "side": "BUY"}
        placed = await self.rest(
            "new_order",
            **buy,
            type="LIMIT",
            time_in_force="GTX",
            quantity=0.01,
            price=float(price),
        )
        want("placed", placed.status, "NEW")
        self.lives[placed.order_id] = AMENDED_AND_CANCELED
        ids = {"symbol": SYMBOL, "order_id": placed.order_id}
        change = {"quantity": 0.012, "price": float(price - 1)}
        amended = await self.rest("modify_order", **ids, side="BUY", **change)
        want("amended price", Decimal(amended.price), price - 1)
        want("amended quantity", Decimal(amended.orig_qty), Decimal("0.012"))
        asked = await self.rest("query_order", **ids)
        want("queried price", Decimal(asked.price), price - 1)
        want("canceled", (await self.rest("cancel_order", **ids)).status, "CANCELED")
        want("queried", (await self.rest("query_order", **ids)).status, "CANCELED")

    async def rest_fill(self) -> None:
        order = {"symbol": SYMBOL, "side": "BUY", "quantity": 0.02}
        filled = await self.rest("new_order", **order, type="MARKET", new_order_resp_type="RESULT")
        want("market order", filled.status, "FILLED")
        self.lives[filled.order_id] = FILLED
        want("executed", Decimal(filled.executed_qty), Decimal("0.02"))
        trades = await self.rest("account_trade_list", symbol=SYMBOL, order_id=filled.order_id)
        total = sum((Decimal(row.qty) for row in trades), Decimal(0))
        want("quantity of userTrades", total, Decimal("0.02"))

    async def ws_orders(self) -> None:
        price = self.touch.below("0.02")
        limit = {"symbol": SYMBOL, "side": "BUY", "quantity": 0.01}
        placed = await self.ws(
            "new_order", **limit, type="LIMIT", time_in_force="GTC", price=float(price)
        )
        want("placed", placed.status, "NEW")
        self.lives[placed.order_id] = AMENDED_AND_CANCELED
        ids = {"symbol": SYMBOL, "order_id": placed.order_id}
        change = {"quantity": 0.01, "price": float(price - 1)}
        amended = await self.ws("modify_order", **ids, side="BUY", **change)
        want("amended price", Decimal(amended.price), price - 1)
        want("queried", (await self.ws("query_order", **ids)).status, "NEW")
        want("canceled", (await self.ws("cancel_order", **ids)).status, "CANCELED")

    async def ws_fill(self) -> None:
        filled = await self.ws(
            "new_order",
            symbol=SYMBOL,
            side="SELL",
            type="MARKET",
            quantity=0.005,
            reduce_only="true",
            new_order_resp_type="RESULT",
        )
        want("market order", filled.status, "FILLED")
        self.lives[filled.order_id] = FILLED
        rows = await self.ws("position_information_v2", symbol=SYMBOL)
        want("position", Decimal(rows[0].position_amt), Decimal("0.015"))

    def conditional(self, trigger: Decimal) -> dict[str, object]:
        return {
            "algo_type": "CONDITIONAL",
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": 0.003,
            "trigger_price": float(trigger),
            "working_type": "CONTRACT_PRICE",
        }

    async def algo_cancel(self) -> None:
        for call in (self.rest, self.ws):
            placed = await call("new_algo_order", **self.conditional(self.touch.below("0.03")))
            want("algo status", placed.algo_status, "NEW")
            listed = await self.rest("current_all_algo_open_orders", symbol=SYMBOL)
            want("open", placed.algo_id in {row.algo_id for row in listed}, True)
            await call("cancel_algo_order", algo_id=placed.algo_id)
            asked = await self.rest("query_algo_order", algo_id=placed.algo_id)
            want("after the cancel", asked.algo_status, "CANCELED")
            self.algo_ids.append((placed.algo_id, ["NEW", "CANCELED"]))

    async def algo_trigger(self) -> None:
        price = self.touch.bid(15)
        placed = await self.rest("new_algo_order", **self.conditional(price))
        for _ in range(5):
            sweep = {"symbol": SYMBOL, "side": "SELL", "type": "LIMIT", "time_in_force": "IOC"}
            size = {"quantity": float(self.touch.sweep(price)), "price": float(price)}
            self.lives[(await self.rest("new_order", **sweep, **size)).order_id] = SWEPT
            await asyncio.sleep(0.3)
            asked = await self.rest("query_algo_order", algo_id=placed.algo_id)
            if asked.algo_status != "NEW":
                break
        want("after the trigger", asked.algo_status, "FINISHED")
        child = await self.rest("query_order", symbol=SYMBOL, order_id=int(asked.actual_order_id))
        want("the order it became", (child.status, child.executed_qty), ("FILLED", "0.003"))
        self.lives[child.order_id] = FILLED
        self.algo_ids.append((placed.algo_id, ["NEW", "TRIGGERED", "FINISHED"]))

    async def final_account(self) -> None:
        account = await self.rest("account_information_v3")
        held = await self.rest("position_information_v3", symbol=SYMBOL)
        theirs = self.sheet.truth.position(SYMBOL)
        want("wallet", Decimal(account.total_wallet_balance), self.sheet.truth.wallet())
        amount = Decimal(held[0].position_amt) if held else Decimal(0)
        want("position", amount, theirs["positionAmt"])
        want("entry price", Decimal(held[0].entry_price), theirs["entryPrice"])
        self.sheet.facts.update(wallet=account.total_wallet_balance, position=str(amount))


def raw_event(event: Any) -> dict[str, Any]:
    """Return a user event of the SDK as the dictionary it came as."""
    instance = getattr(event, "actual_instance", event)
    if isinstance(instance, dict):
        return instance
    names = {
        "AccountUpdate": "ACCOUNT_UPDATE",
        "AlgoUpdate": "ALGO_UPDATE",
        "OrderTradeUpdate": "ORDER_TRADE_UPDATE",
        "TradeLite": "TRADE_LITE",
    }
    body = instance.model_dump(by_alias=True, exclude={"additional_properties"})
    return {"e": names.get(type(instance).__name__, type(instance).__name__), **body}


async def main() -> None:
    sheet = Sheet("official-sdk")
    warnings = ModelWarnings()
    logging.getLogger().addHandler(warnings)
    run = Scenario(sheet)
    wallet = sheet.truth.wallet()
    await sheet.run("load markets", run.load_markets)
    await sheet.run("connect", run.connect)
    await sheet.run("REST place, amend, query, cancel", run.rest_orders)
    await sheet.run("REST fill", run.rest_fill)
    await sheet.run("WS-API place, amend, query, cancel", run.ws_orders)
    await sheet.run("WS-API fill", run.ws_fill)
    await sheet.run("conditional placed and cancelled", run.algo_cancel)
    await sheet.run("conditional triggered", run.algo_trigger)
    await sheet.run("book updates", lambda: until(run.judge.done, "book updates", 55.0))
    complaint = run.judge.complaint()
    sheet.note("book equal to the exchange's", run.gaps + ([complaint] if complaint else []))
    await sheet.run("final balance and position", run.final_account)
    sheet.note("every order's life told", order_complaints(run.events, run.lives))
    sheet.note("events of a fill in order", sequence_complaints(run.events))
    sheet.note("account follows the fills", account_complaints(run.events, wallet, SYMBOL))
    sheet.note("TRADE_LITE tells the fills", lite_complaints(run.events))
    for algo_id, wanted in run.algo_ids:
        sheet.note(f"ALGO_UPDATE {wanted[-1]}", algo_complaints(run.events, algo_id, wanted))
    sheet.note("every answer fits the SDK's models", list(warnings.texts))
    sheet.facts.update(book=run.judge.report(), events=len(run.events))
    sheet.print()
    for part in (run.streams, run.api):
        if part is not None:
            await part.close_connection(close_session=True)


asyncio.run(main())
