"""Drive the exchange with ccxt and ccxt.pro: python scenario_ccxt.py <rest> <stream>."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt.pro
from event_judge import END_STATUSES, account_complaints
from step_sheet import COMPARE_EVERY, SYMBOL, UPDATES, Sheet, Touch, stop, until, want
from venue_truth import BookJudge

UNIFIED = "BTC/USDT:USDT"


def settings(sheet: Sheet) -> dict[str, Any]:
    """Return the constructor's options: addresses, keys, nothing but futures."""
    api: dict[str, Any] = {
        f"fapi{kind}{suffix}": f"{sheet.rest}/fapi/{version}"
        for kind in ("Public", "Private")
        for suffix, version in (("", "v1"), ("V2", "v2"), ("V3", "v3"))
    }
    api["ws"] = {"linear": f"{sheet.stream}/ws"}
    api["ws"]["ws-api"] = {"linear": f"{sheet.stream}/ws-fapi/v1"}
    return {
        "apiKey": sheet.key,
        "secret": sheet.secret,
        "urls": {"api": api},
        "aiohttp_trust_env": False,
        "options": {
            "fetchCurrencies": False,
            "fetchMarkets": {"types": ["linear"]},
            "watchOrderBookRate": "0",
        },
    }


class Scenario:
    """Hold the client and what it has seen."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.touch = Touch(sheet.truth)
        self.client = ccxt.pro.binanceusdm(settings(sheet))
        truth = sheet.truth
        self.judge = BookJudge(
            lambda: truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=1000),
            1000,
            UPDATES,
            COMPARE_EVERY,
        )
        self.states: list[tuple[str, str, float]] = []  # order id, status, filled
        self.ends: dict[str, set[str]] = {}  # the last state that each order must have, by its id
        self.events: list[dict[str, Any]] = []
        self.wallet_seen: Any = None
        self.positions_seen: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []

    async def load_markets(self) -> None:
        markets = await self.client.load_markets()
        market = markets[UNIFIED]
        want("id", market["id"], SYMBOL)
        want("kind", (market["swap"], market["linear"], market["active"]), (True, True, True))
        want("price step", market["precision"]["price"], 0.1)
        want("quantity step", market["precision"]["amount"], 0.001)
        want("min notional", market["limits"]["cost"]["min"] is not None, True)

    async def connect(self) -> None:
        self.tasks = [
            asyncio.create_task(self.watch_book()),
            asyncio.create_task(self.watch_orders()),
            asyncio.create_task(self.watch_trades()),
            asyncio.create_task(self.watch_balance()),
            asyncio.create_task(self.watch_positions()),
        ]
        await until(lambda: self.judge.updates > 0, "the first book")
        private = f"{self.sheet.stream}/private/ws"
        await until(
            lambda: any(
                url.startswith(private) and client.connection is not None
                for url, client in self.client.clients.items()
            ),
            "the user stream's connection",
        )

    async def watch_book(self) -> None:
        last = 0
        while True:
            book = await self.client.watch_order_book(UNIFIED)
            nonce = book["nonce"]
            if nonce != last:
                last = nonce
                self.judge.observe(nonce, lambda book=book: book_copy(book))  # type: ignore[misc]

    async def watch_orders(self) -> None:
        while True:
            for order in await self.client.watch_orders(UNIFIED):
                # ccxt goes on writing into the object that it has handed out: the state is copied.
                self.states.append(state_of(order))

    async def watch_trades(self) -> None:
        while True:
            for trade in await self.client.watch_my_trades(UNIFIED):
                event = {"e": "ORDER_TRADE_UPDATE", "o": trade["info"]}
                if not any(e["o"]["t"] == event["o"]["t"] for e in self.events if "o" in e):
                    self.events.append(event)

    async def watch_balance(self) -> None:
        while True:
            balance = await self.client.watch_balance()
            self.wallet_seen = balance["USDT"]["total"]
            self.events.append(balance["info"])

    async def watch_positions(self) -> None:
        while True:
            self.positions_seen += await self.client.watch_positions([UNIFIED])

    async def rest_orders(self) -> None:
        price = self.touch.below("0.02")
        placed = await self.client.create_order(
            UNIFIED, "limit", "buy", 0.01, float(price), {"postOnly": True}
        )
        want("placed", (placed["status"], placed["timeInForce"]), ("open", "PO"))
        self.ends[placed["id"]] = {"CANCELED"}
        amended = await self.client.edit_order(
            placed["id"], UNIFIED, "limit", "buy", 0.012, float(price - 1)
        )
        want("amended", (amended["price"], amended["amount"]), (float(price - 1), 0.012))
        asked = await self.client.fetch_order(placed["id"], UNIFIED)
        want("queried", (asked["status"], asked["price"]), ("open", float(price - 1)))
        opened = await self.client.fetch_open_orders(UNIFIED)
        want("open", [o["id"] for o in opened], [placed["id"]])
        gone = await self.client.cancel_order(placed["id"], UNIFIED)
        want("canceled", gone["status"], "canceled")

    async def rest_fill(self) -> None:
        filled = await self.client.create_order(
            UNIFIED, "market", "buy", 0.02, None, {"newOrderRespType": "RESULT"}
        )
        want("market order", (filled["status"], filled["filled"]), ("closed", 0.02))
        self.ends[filled["id"]] = {"FILLED"}
        trades = await self.client.fetch_my_trades(UNIFIED)
        total = sum(Decimal(t["info"]["qty"]) for t in trades if t["order"] == filled["id"])
        want("quantity of userTrades", total, Decimal("0.020"))

    async def ws_orders(self) -> None:
        price = self.touch.below("0.02")
        placed = await self.client.create_order_ws(UNIFIED, "limit", "buy", 0.01, float(price))
        want("placed", placed["status"], "open")
        self.ends[placed["id"]] = {"CANCELED"}
        amended = await self.client.edit_order_ws(
            placed["id"], UNIFIED, "limit", "buy", 0.01, float(price - 1)
        )
        want("amended", amended["price"], float(price - 1))
        asked = await self.client.fetch_order_ws(placed["id"], UNIFIED)
        want("queried", asked["status"], "open")
        gone = await self.client.cancel_order_ws(placed["id"], UNIFIED)
        want("canceled", gone["status"], "canceled")
        book = await self.client.fetch_order_book_ws(UNIFIED, 10)
        want("levels", (len(book["bids"]), len(book["asks"])), (10, 10))

    async def ws_fill(self) -> None:
        filled = await self.client.create_order_ws(
            UNIFIED, "market", "sell", 0.005, None, {"reduceOnly": True}
        )
        self.ends[filled["id"]] = {"FILLED"}
        asked = await self.client.fetch_order_ws(filled["id"], UNIFIED)
        want("market order", (asked["status"], asked["filled"]), ("closed", 0.005))
        rows = await self.client.fetch_positions_ws([UNIFIED])
        want("position", [row["contracts"] for row in rows if row["contracts"]], [0.015])
        balance = await self.client.fetch_balance_ws()
        want("wallet", str(balance["USDT"]["total"] is not None), "True")

    async def algo_cancel(self) -> None:
        far = {"triggerPrice": float(self.touch.below("0.03")), "workingType": "CONTRACT_PRICE"}
        by_trigger = {"trigger": True}
        for place, cancel in (
            (self.client.create_order, self.client.cancel_order),
            (self.client.create_order_ws, self.client.cancel_order_ws),
        ):
            placed = await place(UNIFIED, "market", "sell", 0.003, None, dict(far))
            want("placed", placed["status"], "open")
            opened = await self.client.fetch_open_orders(UNIFIED, None, None, dict(by_trigger))
            want("open", [o["id"] for o in opened], [placed["id"]])
            await cancel(placed["id"], UNIFIED, dict(by_trigger))
            asked = await self.client.fetch_order(placed["id"], UNIFIED, dict(by_trigger))
            want("after the cancel", asked["status"], "canceled")
            self.ends[placed["id"]] = {"CANCELED"}

    async def algo_trigger(self) -> None:
        price = self.touch.bid(15)
        placed = await self.client.create_order(
            UNIFIED,
            "market",
            "sell",
            0.003,
            None,
            {"triggerPrice": float(price), "workingType": "CONTRACT_PRICE"},
        )
        for _ in range(5):
            size = (float(self.touch.sweep(price)), float(price))
            swept = await self.client.create_order(
                UNIFIED, "limit", "sell", *size, {"timeInForce": "IOC"}
            )
            self.ends[swept["id"]] = {"FILLED", "EXPIRED"}
            await asyncio.sleep(0.3)
            asked = await self.client.fetch_order(placed["id"], UNIFIED, {"trigger": True})
            if asked["info"]["algoStatus"] != "NEW":
                break
        want("after the trigger", asked["info"]["algoStatus"], "FINISHED")
        self.ends[placed["id"]] = {"FINISHED"}
        child = await self.client.fetch_order(asked["info"]["actualOrderId"], UNIFIED)
        want("the order it became", (child["status"], child["filled"]), ("closed", 0.003))
        self.ends[child["id"]] = {"FILLED"}

    async def final_account(self) -> None:
        balance = await self.client.fetch_balance()
        rows = await self.client.fetch_positions([UNIFIED])
        truth = self.sheet.truth
        theirs = truth.position(SYMBOL)
        wallet = truth.wallet()
        want("wallet", Decimal(balance["info"]["totalWalletBalance"]), wallet)
        want("position", [Decimal(r["info"]["positionAmt"]) for r in rows], [theirs["positionAmt"]])
        want("entry price", Decimal(rows[0]["info"]["entryPrice"]), theirs["entryPrice"])
        want("contracts", rows[0]["contracts"], float(abs(theirs["positionAmt"])))
        want("side", rows[0]["side"], "long" if theirs["positionAmt"] > 0 else "short")
        want("wallet of watchBalance", self.wallet_seen, float(wallet))
        want("watchPositions handed out", bool(self.positions_seen), True)
        # What came last while nobody looked is in ccxt's own store only.
        stored = [r["contracts"] for r in self.client.positions["linear"] if r["symbol"] == UNIFIED]
        # One row for each side that it ever had; the newest comes last.
        want("contracts that the stream told", stored[-1:], [rows[0]["contracts"]])
        # The runner holds these against the exchange's own, so they are the client's.
        self.sheet.facts.update(
            wallet=balance["info"]["totalWalletBalance"], position=rows[0]["info"]["positionAmt"]
        )

    def order_complaints(self) -> list[str]:
        """Check each order's states: ccxt merges what came unseen, and stores the last.

        So NEW may be missing where an order ended at once; what rested must have been seen to.
        """
        complaints = []
        lives: dict[str, list[tuple[str, float]]] = {order_id: [] for order_id in self.ends}
        for order_id, status, filled in self.states + list(map(state_of, self.client.orders)):
            life = lives.setdefault(order_id, [])
            row = (status, filled)
            # Two events merged into one state are handed out once for each of them.
            if not life or life[-1] != row:
                life.append(row)
        for order_id, life in lives.items():
            ends = [number for number, row in enumerate(life) if row[0] in END_STATUSES]
            if ends and ends[0] != len(life) - 1:
                complaints.append(f"order {order_id} goes on: {life}")
            wanted = self.ends.get(order_id, set())
            if not life or life[-1][0] not in wanted:
                complaints.append(f"order {order_id} tells {life}, must end in {wanted}")
            elif life[0][0] != "NEW" and wanted == {"CANCELED"}:
                complaints.append(f"order {order_id} does not begin with NEW: {life}")
            if [row[1] for row in life] != sorted(row[1] for row in life):
                complaints.append(f"order {order_id} fills backwards: {life}")
        if not self.ends:
            complaints.append("the scenario placed no order")
        times = [event["E"] for event in self.events if "E" in event]
        if times != sorted(times):
            complaints.append(f"event times fall: {times[:20]}")
        return complaints


def state_of(order: dict[str, Any]) -> tuple[str, str, float]:
    return order["id"], str(order["info"].get("X")), order["filled"] or 0.0


def book_copy(book: Any) -> tuple[Any, Any]:
    return [tuple(row[:2]) for row in book["bids"]], [tuple(row[:2]) for row in book["asks"]]


async def main() -> None:
    sheet = Sheet("ccxt")
    sheet.not_offered = {
        "order of every user event": "watchOrders and watchBalance hand out the newest state; "
        "what came while nobody looked is merged",
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
    await sheet.run("book updates", lambda: until(run.judge.done, "book updates", 55.0))
    complaint = run.judge.complaint()
    failed = [repr(t.exception()) for t in run.tasks if t.done()]
    sheet.note("book equal to the exchange's", [complaint] if complaint else [])
    sheet.note("watchers alive", failed)
    await sheet.run("final balance and position", run.final_account)
    sheet.note("every order's life told", run.order_complaints())
    sheet.note("account follows the fills", account_complaints(run.events, wallet, SYMBOL))
    sheet.facts.update(book=run.judge.report(), events=len(run.events) + len(run.states))
    sheet.print()
    await stop(run.tasks)
    await run.client.close()


asyncio.run(main())
