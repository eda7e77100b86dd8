"""Books and indicators of others on the same stream; runs in an environment of their own.

    python engine_others_run.py NAME STEPS.npy BEFORE.npy CLOSES.npy

It imports nothing of this project. Prints one line of JSON: version, nanoseconds per operation of
each repetition, and the answer. Prices are ticks and quantities lots, given as whole numbers.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from time import perf_counter_ns
from typing import Any

import numpy as np

REPETITIONS = 3
LEVELS = 5


def nautilus_trader(steps: Any, before: Any, closes: Any) -> tuple[list[float], Any]:
    """Apply deltas one by one to an L2 book; objects are made before the clock starts."""
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import BookOrder, OrderBookDelta
    from nautilus_trader.model.enums import BookAction, BookType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.model.objects import Price, Quantity

    instrument = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")

    def delta(side: int, tick: int, lot: int) -> Any:
        where = OrderSide.SELL if side else OrderSide.BUY
        order = BookOrder(where, Price(tick, 0), Quantity(lot, 0), tick)
        action = BookAction.UPDATE if lot else BookAction.DELETE
        return OrderBookDelta(instrument, action, order, 0, 0, 0, 0)

    opening = [delta(*row) for row in before.tolist()]
    deltas = [delta(*row) for row in steps.tolist()]
    figures, found = [], None
    for _ in range(REPETITIONS):
        book = OrderBook(instrument, BookType.L2_MBP)
        for each in opening:
            book.apply_delta(each)
        apply = book.apply_delta
        started = perf_counter_ns()
        for each in deltas:
            apply(each)
        figures.append((perf_counter_ns() - started) / len(deltas))
        found = [
            [(int(level.price), int(level.size())) for level in side[:LEVELS]]
            for side in (book.bids(), book.asks())
        ]
    return figures, found


def hftbacktest(steps: Any, before: Any, closes: Any) -> tuple[list[float], Any]:
    """Feed depth events through a backtest without orders, compiled: its whole loop is timed."""
    from hftbacktest import (
        BUY_EVENT,
        DEPTH_EVENT,
        EXCH_EVENT,
        LOCAL_EVENT,
        SELL_EVENT,
        BacktestAsset,
        ROIVectorMarketDepthBacktest,
    )
    from hftbacktest.types import event_dtype
    from numba import njit

    rows = np.concatenate([before, steps])
    events = np.zeros(len(rows), event_dtype)
    side = np.where(rows[:, 0] != 0, SELL_EVENT, BUY_EVENT).astype(np.uint64)
    events["ev"] = side | np.uint64(DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT)
    # One event a microsecond, so that each is a step of its own.
    events["exch_ts"] = events["local_ts"] = 1_000_000 + 1_000 * np.arange(len(rows))
    events["px"], events["qty"] = rows[:, 1], rows[:, 2]
    last = int(events["local_ts"][-1])
    opened = int(events["local_ts"][len(before)]) - 500

    @njit
    def until(engine: Any, time: int) -> int:
        return engine.elapse(time - engine.current_timestamp)

    @njit
    def best(engine: Any) -> Any:
        depth = engine.depth(0)
        return (
            depth.best_bid_tick,
            depth.bid_qty_at_tick(depth.best_bid_tick),
            depth.best_ask_tick,
            depth.ask_qty_at_tick(depth.best_ask_tick),
        )

    figures, found = [], None
    for repetition in range(-1, REPETITIONS):
        asset = (
            BacktestAsset()
            .data(events)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .power_prob_queue_model(2.0)
            .no_partial_fill_exchange()
            .trading_value_fee_model(0.0, 0.0)
            .tick_size(1.0)
            .lot_size(1.0)
            .roi_lb(float(rows[:, 1].min()))
            .roi_ub(float(rows[:, 1].max()))
        )
        engine = ROIVectorMarketDepthBacktest([asset])
        engine.elapse(0)
        until(engine, opened)
        started = perf_counter_ns()
        until(engine, last + 1)
        elapsed = perf_counter_ns() - started
        if repetition >= 0:
            figures.append(elapsed / len(steps))
        bid, bid_lot, ask, ask_lot = best(engine)
        found = [[(int(bid), round(bid_lot))], [(int(ask), round(ask_lot))]]
        engine.close()
    return figures, found


def talipp(steps: Any, before: Any, closes: Any) -> tuple[list[float], Any]:
    """Add closes to Wilder's index of period 14, one by one."""
    from talipp.indicators import RSI

    values = closes.astype(float).tolist()
    figures, found = [], None
    for _ in range(REPETITIONS):
        index = RSI(14)
        started = perf_counter_ns()
        for value in values:
            index.add(value)
        figures.append((perf_counter_ns() - started) / len(values))
        found = index[-1]
    return figures, found


RUNS = {"nautilus_trader": nautilus_trader, "hftbacktest": hftbacktest, "talipp": talipp}


if __name__ == "__main__":
    name = sys.argv[1]
    figures, answer = RUNS[name](*(np.load(path) for path in sys.argv[2:5]))
    version = importlib.metadata.version(name)
    print(json.dumps({"version": version, "figures": figures, "answer": answer}))
