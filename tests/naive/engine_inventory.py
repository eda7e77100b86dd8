"""Inventory from all reports ever seen: the twin of engine/inventory.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Fill(NamedTuple):
    """What a report says of a fill; order 0 is none of ours."""

    order_id: int
    symbol: int
    side: int
    fill_lot: int
    filled_lot: int
    trade_id: int


def naive_inventories(fills: Iterable[Fill], symbol_count: int) -> list[int]:
    """Return the signed lots by symbol: of each order the most it was ever said to have filled."""
    orders: dict[int, tuple[int, int, int]] = {}
    newest = dict.fromkeys(range(symbol_count), 0)
    lots = [0] * symbol_count
    for fill in fills:
        if fill.order_id:
            before = orders.get(fill.order_id, (0, 0, 0))[2]
            most = max(before, fill.filled_lot)
            orders[fill.order_id] = (fill.symbol, fill.side, most)
        elif fill.trade_id > newest[fill.symbol]:
            newest[fill.symbol] = fill.trade_id
            lots[fill.symbol] += fill.side * fill.fill_lot
    for symbol, side, most in orders.values():
        lots[symbol] += side * most
    return lots
