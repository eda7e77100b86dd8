"""The Python half of market making: which symbols are quoted, and their parameters once priced."""

from __future__ import annotations

import ctypes
from typing import Any

from config.quoted import quoted_symbols
from engine.quoting_parameters import fill_quote_parameters
from engine.quoting_state import (
    DECISION_OFFSET,
    PARAMETERS_OFFSET,
    QUOTE_DECISION,
    QUOTE_PARAMETERS,
    QUOTED,
    QuoteReason,
)
from engine.state import SYMBOL_STATE, quoted_row_address, symbol_state_address
from runtime.stage import StageContext

CONFIRMATIONS_PER_LEASE = 4


class QuotedSymbols:
    """Give each quoted symbol its row, and its parameters when its first price is known.

    Quantities are configured in USD and become lots at that price. Until then nothing is quoted:
    parameters of zero are not sound.
    """

    def __init__(self, context: StageContext, engine: Any, address: int) -> None:
        self._context, self._log = context, context.log
        self._address, self._count = address, len(context.symbols)
        names = quoted_symbols(context.settings, context.symbols)
        self._engine = engine
        context.memory.counters.set("engine.quoted_symbols", len(names))
        engine.quoted_count = len(names)
        lease_ns = context.settings.quoting.lease_ms * 1_000_000
        engine.confirm_ns = lease_ns // CONFIRMATIONS_PER_LEASE
        engine.confirm_due_ns = 0
        self._unpriced: list[tuple[int, int]] = []
        for place, name in enumerate(names):
            index = context.symbols.index(name)
            engine.quoted_places[index] = place + 1
            self._take_over(place, index)
        if names:
            self._log.info("market making", symbols=",".join(names))

    def _row(self, place: int) -> Any:
        return QUOTED.at(quoted_row_address(self._address, self._count, place))

    def _take_over(self, place: int, index: int) -> None:
        """Go on with what a killed predecessor knew of a symbol, unless it is torn.

        Of a torn row nothing is believed: its quotes are withdrawn until they are decided anew.
        """
        row = self._row(place)
        if row.changing:
            self._log.warning("quoting starts cold", symbol=self._context.symbols[index])
            ctypes.memset(ctypes.addressof(row), 0, QUOTED.size)
        if self._context.restarted:
            # A report may have been read and not have been noted; and risk hears of the successor.
            row.dirty = row.pending = 1
        row.symbol = index
        if not self.parameters(place).quote_lot:
            self._unpriced.append((place, index))

    def parameters(self, place: int) -> Any:
        """Return the QUOTE_PARAMETERS of a quoted symbol, in place."""
        row = quoted_row_address(self._address, self._count, place)
        return QUOTE_PARAMETERS.at(row + PARAMETERS_OFFSET)

    def tell_waiting(self) -> None:
        """Log why a symbol has no quote on either side: see `QuoteReason`."""
        for place in range(self._engine.quoted_count):
            row = self._row(place)
            if row.tick[0] or row.tick[1]:
                continue
            made = QUOTE_DECISION.at(ctypes.addressof(row) + DECISION_OFFSET)
            bits = QuoteReason(made.reasons[0] | made.reasons[1])
            self._log.info(
                "no quotes",
                symbol=self._context.symbols[row.symbol],
                reasons=",".join(str(bit.name).lower() for bit in bits) or "no decision yet",
            )

    def price(self) -> None:
        """Fill the parameters of the symbols whose first best prices have come."""
        for place, index in list(self._unpriced):
            state = SYMBOL_STATE.at(symbol_state_address(self._address, index))
            if state.bid_tick <= 0:
                continue
            self._unpriced.remove((place, index))
            symbol = self._context.memory.symbol(index)
            price = 0.5 * (state.bid_tick + state.ask_tick) * symbol.tick_size
            made = QUOTE_PARAMETERS.new()
            fill_quote_parameters(made, self._context.settings, symbol, price)
            target, row = self.parameters(place), self._row(place)
            # Invariant: killed in between, the row is torn, and is priced again.
            row.changing = 1
            ctypes.memmove(ctypes.addressof(target), ctypes.addressof(made), QUOTE_PARAMETERS.size)
            row.changing = 0
            self._tell(self._context.symbols[index], symbol, made, price)

    def _tell(self, name: str, symbol: Any, made: Any, price: float) -> None:
        worth = made.quote_lot * symbol.lot_size * price
        too_small = made.quote_lot < made.lot_min or worth < symbol.notional_min
        say = self._log.warning if too_small else self._log.info
        say(
            "quotes are below the venue's minimum" if too_small else "quotes are priced",
            symbol=name,
            price=price,
            quote_lot=made.quote_lot,
            quote_usd=round(worth, 2),
            notional_min=symbol.notional_min,
            max_inventory_lot=made.max_inventory_lot,
            key="quoting.quote_usd",
        )
