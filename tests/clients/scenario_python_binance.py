"""Drive the exchange with python-binance: python scenario_python_binance.py <rest> <stream>."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from decimal import Decimal
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.ws.depthcache import FuturesDepthCacheManager
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
from step_sheet import COMPARE_EVERY, SYMBOL, UPDATES, Sheet, Touch, stop, until, want
from venue_truth import BookJudge, DiffBook, Sides, sorted_sides

STATES_MAX = 2_000
PARTIAL_LEVELS = 10
PARTIALS_MIN = 20


class Scenario:
    """Hold the client and what it has seen."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.touch = Touch(sheet.truth)
        # The addresses are class attributes; create() would ping the spot host, so it is not used.
        addresses = {
            "FUTURES_URL": f"{sheet.rest}/fapi",
            "WS_FUTURES_URL": f"{sheet.stream}/ws-fapi/v1",
            "API_URL": f"{sheet.rest}/no-spot-here",
        }
        local_client = type("LocalClient", (AsyncClient,), addresses)
        local_sockets = type(
            "LocalSockets", (BinanceSocketManager,), {"FSTREAM_URL": f"{sheet.stream}/"}
        )
        self.client: Any = local_client(sheet.key, sheet.secret)
        self.sockets: Any = local_sockets(self.client, max_queue_size=100_000)
        self.events: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.book = DiffBook()
        truth = sheet.truth
        self.judge = BookJudge(
            lambda: truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=1000),
            1000,
            UPDATES,
            COMPARE_EVERY,
        )
        self.states: OrderedDict[int, Sides] = OrderedDict()
        self.partials: dict[int, list[dict[str, Any]]] = {}
        self.caches: list[tuple[int, Any, Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.algo_ids: list[tuple[int, list[str]]] = []
        self.lives: dict[int, Lives] = {}

    async def load_markets(self) -> None:
        await self.client.futures_ping()
        await self.client.futures_time()
        info = await self.client.futures_exchange_info()
        row = {s["symbol"]: s for s in info["symbols"]}[SYMBOL]
        want("status", (row["status"], row["contractType"]), ("TRADING", "PERPETUAL"))

    async def connect(self) -> None:
        name = SYMBOL.lower()
        streams = [f"{name}@depth@0ms", f"{name}@depth{PARTIAL_LEVELS}"]
        self.tasks = [
            asyncio.create_task(self.watch_book(streams)),
            asyncio.create_task(self.watch_user()),
            asyncio.create_task(self.watch_cache()),
        ]
        await until(self.book.has_early, "the first depth event")
        snapshot = await self.client.futures_order_book(symbol=SYMBOL, limit=1000)
        self.book.load(snapshot["lastUpdateId"], snapshot["bids"], snapshot["asks"])
        await until(lambda: self.judge.updates > 0, "the first update")
        await until(lambda: self.sockets is not None and self.is_listening, "the user stream")

    is_listening = False

    async def watch_book(self, streams: list[str]) -> None:
        async with self.sockets.futures_multiplex_socket(streams, category="public") as socket:
            while True:
                message = await socket.recv()
                if message.get("e") == "error":
                    self.errors.append(str(message))
                    continue
                event = message["data"]
                if message["stream"] == streams[1]:
                    self.partials.setdefault(event["E"], []).append(event)
                    continue
                if self.book.apply(event["U"], event["u"], event["pu"], event["b"], event["a"]):
                    self.judge.observe(self.book.update_id, self.book.copy)
                    self.states[self.book.update_id] = self.book.copy()
                    if len(self.states) > STATES_MAX:
                        self.states.popitem(last=False)
                    self.check_partials()

    def check_partials(self) -> None:
        """Hold each partial book against the diff book of the same update id."""
        for events in self.partials.values():
            for event in events:
                if "verdict" in event or event["u"] > self.book.update_id:
                    continue
                state = self.states.get(event["u"])
                event["verdict"] = "unknown"
                if state is not None:
                    mine = tuple(side[:PARTIAL_LEVELS] for side in sorted_sides(state))
                    theirs = sorted_sides((event["b"], event["a"]))
                    event["verdict"] = "equal" if mine == theirs else "different"

    async def watch_cache(self) -> None:
        manager = FuturesDepthCacheManager(self.client, SYMBOL, bm=self.sockets)
        async with manager as cache_socket:
            while True:
                cache = await cache_socket.recv()
                self.caches.append((cache.update_time, cache.get_bids(), cache.get_asks()))

    async def watch_user(self) -> None:
        async with self.sockets.futures_user_socket() as socket:
            self.is_listening = True
            while True:
                event = await socket.recv()
                (self.errors if event["e"] == "error" else self.events).append(event)

    async def rest_orders(self) -> None:
        price = self.touch.below("0.02")
        limit = {"symbol": SYMBOL, "side": "BUY"}
        placed = await self.client.futures_create_order(
            **limit, type="LIMIT", timeInForce="GTX", quantity="0.010", price=str(price)
        )
        want("placed", placed["status"], "NEW")
        self.lives[placed["orderId"]] = AMENDED_AND_CANCELED
        ids = {"symbol": SYMBOL, "orderId": placed["orderId"]}
        amended = await self.client.futures_modify_order(
            **limit, orderId=placed["orderId"], quantity="0.012", price=str(price - 1)
        )
        changed = (Decimal(amended["price"]), Decimal(amended["origQty"]))
        want("amended", changed, (price - 1, Decimal("0.012")))
        want("queried", (await self.client.futures_get_order(**ids))["status"], "NEW")
        opened = await self.client.futures_get_open_orders(symbol=SYMBOL)
        want("open", [o["orderId"] for o in opened], [placed["orderId"]])
        want("canceled", (await self.client.futures_cancel_order(**ids))["status"], "CANCELED")

    async def rest_fill(self) -> None:
        filled = await self.client.futures_create_order(
            symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.020", newOrderRespType="RESULT"
        )
        want("market order", (filled["status"], filled["executedQty"]), ("FILLED", "0.020"))
        self.lives[filled["orderId"]] = FILLED
        trades = await self.client.futures_account_trades(symbol=SYMBOL, orderId=filled["orderId"])
        want("userTrades", sum(Decimal(row["qty"]) for row in trades), Decimal("0.020"))

    async def ws_orders(self) -> None:
        price = self.touch.below("0.02")
        limit = {"symbol": SYMBOL, "side": "BUY", "quantity": "0.010"}
        placed = await self.client.ws_futures_create_order(
            **limit, type="LIMIT", timeInForce="GTC", price=str(price)
        )
        want("placed", placed["status"], "NEW")
        self.lives[placed["orderId"]] = AMENDED_AND_CANCELED
        ids = {"symbol": SYMBOL, "orderId": placed["orderId"]}
        amended = await self.client.ws_futures_edit_order(
            **limit, orderId=placed["orderId"], price=str(price - 1)
        )
        want("amended price", Decimal(amended["price"]), price - 1)
        want("queried", (await self.client.ws_futures_get_order(**ids))["status"], "NEW")
        want("canceled", (await self.client.ws_futures_cancel_order(**ids))["status"], "CANCELED")
        book = await self.client.ws_futures_get_order_book(symbol=SYMBOL, limit=10)
        want("levels", (len(book["bids"]), len(book["asks"])), (10, 10))
        await self.client.ws_futures_get_order_book_ticker(symbol=SYMBOL)
        await self.client.ws_futures_get_all_tickers(symbol=SYMBOL)

    async def ws_fill(self) -> None:
        filled = await self.client.ws_futures_create_order(
            symbol=SYMBOL,
            side="SELL",
            type="MARKET",
            quantity="0.005",
            reduceOnly="true",
            newOrderRespType="RESULT",
        )
        want("market order", filled["status"], "FILLED")
        self.lives[filled["orderId"]] = FILLED
        rows = await self.client.ws_futures_v2_account_position(symbol=SYMBOL)
        want("position", Decimal(rows[0]["positionAmt"]), Decimal("0.015"))
        balances = await self.client.ws_futures_v2_account_balance()
        usdt = {row["asset"]: row for row in balances}["USDT"]
        status = await self.client.ws_futures_v2_account_status()
        want("balance", Decimal(usdt["balance"]), Decimal(status["totalWalletBalance"]))

    def conditional(self, trigger: Decimal) -> dict[str, str]:
        return {
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.003",
            "triggerPrice": str(trigger),
            "workingType": "CONTRACT_PRICE",
        }

    async def algo_cancel(self) -> None:
        client = self.client
        for place, cancel in (
            (client.futures_create_algo_order, client.futures_cancel_algo_order),
            (client.ws_futures_create_order, client.ws_futures_cancel_algo_order),
        ):
            placed = await place(**self.conditional(self.touch.below("0.03")))
            algo_id = placed["algoId"]
            want("algo status", placed["algoStatus"], "NEW")
            opened = await client.futures_get_open_algo_orders(symbol=SYMBOL)
            want("open", [o["algoId"] for o in opened], [algo_id])
            await cancel(algoId=algo_id)
            asked = await client.futures_get_algo_order(algoId=algo_id)
            want("after the cancel", asked["algoStatus"], "CANCELED")
            self.algo_ids.append((algo_id, ["NEW", "CANCELED"]))

    async def algo_trigger(self) -> None:
        price = self.touch.bid(15)
        client = self.client
        placed = await client.futures_create_order(**self.conditional(price))
        sweep = {"symbol": SYMBOL, "side": "SELL", "type": "LIMIT", "timeInForce": "IOC"}
        for _ in range(5):
            size = {"quantity": str(self.touch.sweep(price)), "price": str(price)}
            swept = await client.futures_create_order(**sweep, **size)
            self.lives[swept["orderId"]] = SWEPT
            await asyncio.sleep(0.3)
            asked = await client.futures_get_algo_order(algoId=placed["algoId"])
            if asked["algoStatus"] != "NEW":
                break
        want("after the trigger", asked["algoStatus"], "FINISHED")
        child = await client.futures_get_order(symbol=SYMBOL, orderId=asked["actualOrderId"])
        want("the order it became", (child["status"], child["executedQty"]), ("FILLED", "0.003"))
        self.lives[child["orderId"]] = FILLED
        self.algo_ids.append((placed["algoId"], ["NEW", "TRIGGERED", "FINISHED"]))

    async def final_account(self) -> None:
        truth = self.sheet.truth
        account = await self.client.futures_account()
        balances = await self.client.futures_account_balance()
        rows = await self.client.futures_position_information(symbol=SYMBOL)
        theirs = truth.position(SYMBOL)
        want("wallet", Decimal(account["totalWalletBalance"]), truth.wallet())
        usdt = {row["asset"]: row for row in balances}["USDT"]
        want("balance", Decimal(usdt["balance"]), truth.wallet())
        want("position", Decimal(rows[0]["positionAmt"]), theirs["positionAmt"])
        want("entry price", Decimal(rows[0]["entryPrice"]), theirs["entryPrice"])
        held = {row["symbol"]: row for row in account["positions"]}[SYMBOL]
        want("position of account", Decimal(held["positionAmt"]), theirs["positionAmt"])
        # The runner holds these against the exchange's own, so they are the client's.
        self.sheet.facts.update(
            wallet=account["totalWalletBalance"], position=rows[0]["positionAmt"]
        )

    def is_enough(self) -> bool:
        """Tell whether there is as much to judge as the judges want."""
        verdicts = [e.get("verdict") for rows in self.partials.values() for e in rows]
        return (
            self.judge.done()
            and verdicts.count("equal") >= PARTIALS_MIN
            and len(self.caches) >= 2 * PARTIALS_MIN
        )

    def cache_complaints(self) -> list[str]:
        """Check FuturesDepthCacheManager's books against the partial books of the same time."""
        complaints = []
        equal = 0
        for time_ms, bids, asks in self.caches:
            rows = self.partials.get(time_ms, [])
            mine = sorted_sides((bids, asks))
            if any(mine == sorted_sides((row["b"], row["a"])) for row in rows):
                equal += 1
            elif rows:
                complaints.append(f"another book at E={time_ms}")
        verdicts = [e["verdict"] for rows in self.partials.values() for e in rows if "verdict" in e]
        self.sheet.facts["partial books"] = {v: verdicts.count(v) for v in sorted(set(verdicts))}
        self.sheet.facts["depth caches equal"] = equal
        if "different" in verdicts:
            complaints.append(f"{verdicts.count('different')} partial books differ")
        if min(equal, verdicts.count("equal")) < PARTIALS_MIN:
            complaints.append(f"caches={equal} partial books={verdicts.count('equal')}")
        return complaints


async def main() -> None:
    sheet = Sheet("python-binance")
    sheet.not_offered = {
        "whole book from diffs": "FuturesDepthCacheManager keeps the partial book of 10 levels; "
        "its DepthCacheManager follows the spot rules",
        "WS-API query of a conditional order": "the venue has no such method",
    }
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
    await sheet.run("book updates", lambda: until(run.is_enough, "book updates", 55.0))
    complaint = run.judge.complaint()
    failed = [repr(t.exception()) for t in run.tasks if t.done()]
    sheet.note("book equal to the exchange's", [complaint] if complaint else [])
    sheet.note("depth cache equal to the top of the book", run.cache_complaints())
    sheet.note("watchers alive", failed + [str(e) for e in run.errors])
    await sheet.run("final balance and position", run.final_account)
    sheet.note("every order's life told", order_complaints(run.events, run.lives))
    sheet.note("events of a fill in order", sequence_complaints(run.events))
    sheet.note("account follows the fills", account_complaints(run.events, wallet, SYMBOL))
    sheet.note("TRADE_LITE tells the fills", lite_complaints(run.events))
    for algo_id, wanted in run.algo_ids:
        sheet.note(f"ALGO_UPDATE {wanted[-1]}", algo_complaints(run.events, algo_id, wanted))
    sheet.facts.update(book=run.judge.report(), events=len(run.events))
    sheet.print()
    await stop(run.tasks)
    await run.client.ws_future.close()
    await run.client.close_connection()


asyncio.run(main())
