"""Measure margin: what positions and orders tie up, what must stay, where liquidation begins."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from exchange.instruments import E8, scaled_text
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.trading.brackets import PPM, bracket_at, brackets_of
from exchange.trading.positions import BOTH, LONG, SHORT, Position


def share_e8(amount_e8: int, leverage: int) -> int:
    """Return an amount over the leverage, rounded up."""
    return -(-amount_e8 // leverage)


def order_notional_e8(
    position_side: str, orders: Iterable[ClientOrder], mark_tick: int
) -> tuple[int, int]:
    """Return what the opening orders of one position side would buy and sell.

    An order's price is its limit, for a market order the mark price. One that may only close, by
    its flag or by the leg it belongs to, opens nothing.
    """
    buy = sell = 0
    for order in orders:
        if order.is_closing or order.position_side != position_side:
            continue
        notional = order.instrument.notional_e8(order.price_tick or mark_tick, order.remaining_lot)
        if order.side == BUY:
            buy += notional
        else:
            sell += notional
    return buy, sell


def committed_e8(position: Position, orders: Iterable[ClientOrder], mark_tick: int) -> int:
    """Return the notional that a position and its open orders can grow to, the worse side."""
    buy, sell = order_notional_e8(position.position_side, orders, mark_tick)
    return worse_e8(position.notional_e8(mark_tick), buy, sell)


def worse_e8(held_e8: int, buy_e8: int, sell_e8: int) -> int:
    """Return the larger notional of "all buys fill" and "all sells fill"."""
    return max(abs(held_e8 + buy_e8), abs(held_e8 - sell_e8))


def liquidation_price_text(
    positions: list[Position], mark_tick: int, wallet_e8: int, others_e8: int
) -> str:
    """Return the price at which the symbol's positions and all others reach the margin's end.

    `positions` are the open ones of one symbol, `others_e8` is the unrealised profit less the
    maintenance margin of all other symbols. "0" where no positive price does it.

    # Venue: "How to Calculate Liquidation Price of USDⓈ-M Futures Contracts", cross margin; both
    legs share the price. The bracket is the one at the liquidation price itself, so the formula is
    solved again until the bracket stays, at most once per bracket.
    """
    instrument = positions[0].instrument
    symbol, value_e8 = instrument.symbol, instrument.lot_value_e8
    price = Fraction(mark_tick)
    tried: set[tuple[int, ...]] = set()
    for _ in brackets_of(symbol):
        rows = [bracket_at(symbol, int(abs(p.quantity_lot) * price * value_e8)) for p in positions]
        key = tuple(row.number for row in rows)
        if key in tried:
            break
        tried.add(key)
        numerator_e8 = wallet_e8 + others_e8 + sum(row.cum for row in rows) * E8
        numerator_e8 -= sum(p.cost for p in positions) * value_e8
        slope = sum(
            Fraction(abs(p.quantity_lot) * row.maintenance_ppm, PPM) - p.quantity_lot
            for p, row in zip(positions, rows, strict=True)
        )
        if slope == 0:
            return "0"
        price = Fraction(numerator_e8, value_e8) / slope
        if price <= 0:
            return "0"
    scale = instrument.tick_unit * 10 ** (8 - instrument.price_decimals)
    return scaled_text(round(price * scale), 8)


def sides_of(is_dual_side: bool) -> tuple[str, ...]:
    """Return the position sides that a mode has."""
    return (LONG, SHORT) if is_dual_side else (BOTH,)
