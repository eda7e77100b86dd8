"""The engine for people and notebooks: one object, ticks in, signals out.

The same kernels that trade, on private memory: no rings, no other process, nothing sent.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.loader import load as load_settings
from config.settings import Settings
from config.strategies import strategies_of
from engine.book_layout import PRICE_TICK_MAX, QUANTITY_LOT_MAX
from engine.parameters import configure
from engine.reasoning import render
from engine.reasons import refusal_names
from engine.state import ENGINE, SYMBOL_STATE, prepare, state_size, symbol_state_address
from runtime import kernels as kernel_library
from runtime.user_strategies import choose
from shm import counters
from shm.records import MARKET_EVENT, SIGNAL, SYMBOL_COUNT_MAX, EventFlag, EventKind, Factor
from shm.tables import BOOK_REQUEST

# Where no lot size is given: fine enough for every quantity the venue trades.
LOT_SIZE = 1e-6
# Where no tick size is given: this many digits below the first digit of the first price.
TICK_DIGITS = 5

Levels = Iterable[Sequence[float]]


@dataclass(frozen=True)
class Signal:
    """A validated signal, as `process_tick` returns it."""

    symbol: str
    signal_type: str  # "BUY" or "SELL"
    strategy: str
    strength: float
    confidence: float
    confirmations: int
    reasoning: str
    volatility: float
    scores: dict[str, float]
    venue_ns: int


def _engine_kernels(strategies: Sequence[str]) -> Any:
    try:
        return kernel_library.load("ahead", strategies=strategies)
    except kernel_library.BadStrategyError:
        raise
    except kernel_library.KernelError as error:
        # Without a C compiler the same functions are compiled in this process.
        return _jit_kernels(str(error), strategies)


def _jit_kernels(reason: str, strategies: Sequence[str]) -> Any:
    choose(strategies)
    from engine import loop

    return kernel_library.Kernels(
        mode="jit", build_hash=0, path="", reason=reason, engine_process=loop.engine_process
    )


def _aligned(size: int) -> tuple[Any, int]:
    memory = ctypes.create_string_buffer(size + 64)
    return memory, (ctypes.addressof(memory) + 63) & ~63


class UltraScalpingEngine:
    """Books, signals and strategies of some symbols in private memory.

    Args:
        symbols: names, e.g. "BTCUSDT"; distinct.
        settings: checked settings; None loads the configuration files.
        tick_sizes: price step by symbol. Without it a symbol's step is five digits below the first
            digit of its first price (0.1 at 64000.0). Prices are rounded to whole steps.
        lot_sizes: quantity step by symbol, 1e-6 without it. Quantities are rounded to whole steps.
        kernels: kernels to use; None loads the library, or compiles where that cannot be built.

    Without best prices or a book the order-flow strategy stays silent: give them to `process_best`
    or `process_book`. Not safe for use from several threads at once.

    Values that cannot be are errors. A price too far from the last ones, or a time far before them,
    may be right: it is refused like in trading, the symbol enters nothing for a while, and
    `quarantined` says so.

    Raises:
        ValueError: no symbol, too many, one twice, or a step that is not positive and finite.
        BadStrategyError: a user's strategy cannot be imported.
        ChoiceError: there is no C compiler, and this process compiles other strategies already.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        settings: Settings | None = None,
        tick_sizes: Mapping[str, float] | None = None,
        lot_sizes: Mapping[str, float] | None = None,
        kernels: Any = None,
    ) -> None:
        if isinstance(symbols, str) or not 0 < len(symbols) <= SYMBOL_COUNT_MAX:
            raise ValueError(f"symbols must be 1 to {SYMBOL_COUNT_MAX} names: symbols={symbols!r}")
        self.symbols = tuple(symbols)
        self._index = {name: index for index, name in enumerate(self.symbols)}
        if len(self._index) != len(self.symbols):
            raise ValueError(f"a symbol appears twice: symbols={self.symbols}")
        self._tick_sizes = {k: _positive(v, "tick size") for k, v in (tick_sizes or {}).items()}
        self._lot_sizes = {k: _positive(v, "lot size") for k, v in (lot_sizes or {}).items()}
        chosen = settings if settings is not None else load_settings()
        self._strategies = strategies_of(chosen)
        user_strategies = chosen.signals.user_strategies
        self._kernels = kernels if kernels is not None else _engine_kernels(user_strategies)
        self._memory, self._address = _aligned(state_size(chosen, len(self.symbols)))
        self._engine = prepare(self._address, len(self.symbols), keep=False)
        self._blocks = [_aligned(counters.AREA_SIZE), _aligned(BOOK_REQUEST.size * len(symbols))]
        self._engine.counters, self._engine.book_requests = (place for _, place in self._blocks)
        configure(self._address, chosen, self.symbols, require_book=False)
        self._event_memory, self._event_address = _aligned(MARKET_EVENT.size)
        self._event = MARKET_EVENT.at(self._event_address)
        self._signal = SIGNAL.at(self._address + ENGINE.offset("signal"))

    @property
    def kernel_mode(self) -> str:
        """Return "ahead" or "jit": how the kernels in use were compiled."""
        return str(self._kernels.mode)

    def counter(self, label: str) -> int:
        """Return one of the engine's counters, e.g. "refused"; see shm/counters.py."""
        place = self._engine.counters + counters.offset(f"engine.{label}")
        return ctypes.c_int64.from_address(place).value

    def quarantined(self, symbol: str) -> tuple[str, ...]:
        """Return why a symbol enters nothing, e.g. ("jump",), or () when its input is sound.

        See `engine.reasons.Refusal`; `counter("refused_jump")` and the like count the events.

        Raises:
            ValueError: an unknown symbol.
        """
        place = symbol_state_address(self._address, self._known(symbol))
        return tuple(refusal_names(SYMBOL_STATE.at(place).quarantine))

    def process_tick(
        self,
        *,
        symbol: str,
        price: float,
        size: float,
        is_buyer_maker: bool,
        trade_id: int,
        time_ns: int | None = None,
    ) -> Signal | None:
        """Take one trade in; return a signal where it leads to one.

        Args:
            symbol: one of the engine's symbols.
            price: quote currency, > 0.
            size: base currency, > 0.
            is_buyer_maker: True when the taker sold.
            trade_id: the venue's id.
            time_ns: the venue's time, ns since 1970; None takes the wall clock, which suits live
                ticks only: the signals measure time.

        Raises:
            ValueError: an unknown symbol, or a value that is not positive and finite.

        None is also the answer to a tick that was refused; see `quarantined`.
        """
        flags = int(EventFlag.LAST) | (int(EventFlag.SIDE_ASK) if is_buyer_maker else 0)
        event = self._begin(symbol, EventKind.TRADE, flags, time_ns)
        event.price_tick = self._ticks(symbol, price, "price")
        event.quantity_lot = self._lots(symbol, size, "size")
        event.update_id = int(trade_id)
        event.ask_lot = 0
        return self._process()

    def process_best(
        self,
        *,
        symbol: str,
        bid: float,
        bid_size: float,
        ask: float,
        ask_size: float,
        time_ns: int | None = None,
    ) -> Signal | None:
        """Take the best bid and ask in; return a signal where they lead to one.

        Raises:
            ValueError: as `process_tick`, or the bid is not below the ask.
        """
        event = self._begin(symbol, EventKind.BEST, int(EventFlag.LAST), time_ns)
        event.price_tick = self._ticks(symbol, bid, "bid")
        event.quantity_lot = self._lots(symbol, bid_size, "bid_size")
        event.ask_tick = self._ticks(symbol, ask, "ask")
        event.ask_lot = self._lots(symbol, ask_size, "ask_size")
        if event.price_tick >= event.ask_tick:
            raise ValueError(f"the bid must be below the ask: bid={bid} ask={ask}")
        return self._process()

    def process_book(
        self, *, symbol: str, bids: Levels, asks: Levels, time_ns: int | None = None
    ) -> None:
        """Replace a symbol's book; (price, size) pairs in any order.

        The signals read it with the next trade or best price.

        Raises:
            ValueError: as `process_tick`; the engine's book is unchanged then.
        """
        rows = [
            (side, self._ticks(symbol, price, "price"), self._lots(symbol, size, "size"))
            for side, levels in ((0, bids), (int(EventFlag.SIDE_ASK), asks))
            for price, size in levels
        ]
        stamp = self._time(time_ns)
        self._begin(symbol, EventKind.SNAPSHOT_BEGIN, 0, stamp)
        self._process()
        for side, price_tick, quantity_lot in rows:
            flags = side | int(EventFlag.SNAPSHOT)
            event = self._begin(symbol, EventKind.LEVEL, flags, stamp)
            event.price_tick, event.quantity_lot = price_tick, quantity_lot
            self._process()
        self._begin(symbol, EventKind.SNAPSHOT_END, int(EventFlag.LAST), stamp)
        self._process()

    def _begin(self, symbol: str, kind: EventKind, flags: int, time_ns: int | None) -> Any:
        event = self._event
        event.symbol = self._known(symbol)
        event.kind, event.flags = int(kind), flags
        event.venue_ns = self._time(time_ns)
        event.origin_ns = time.monotonic_ns()
        return event

    def _process(self) -> Signal | None:
        if not self._kernels.engine_process(self._address, self._event_address):
            return None
        record = self._signal
        symbol = self.symbols[record.symbol]
        return Signal(
            symbol=symbol,
            signal_type="BUY" if record.side > 0 else "SELL",
            strategy=self._strategies[record.strategy].label,
            strength=record.strength,
            confidence=record.confidence,
            confirmations=record.confirmations,
            reasoning=render(record, symbol, self._strategies),
            volatility=record.volatility,
            scores={f.name.lower(): record.scores[int(f)] for f in Factor},
            venue_ns=record.venue_ns,
        )

    def _known(self, symbol: str) -> int:
        index = self._index.get(symbol)
        if index is None:
            raise ValueError(f"unknown symbol: symbol={symbol!r} known={self.symbols}")
        return index

    @staticmethod
    def _time(time_ns: int | None) -> int:
        if time_ns is None:
            return time.time_ns()
        if time_ns <= 0:
            raise ValueError(f"time_ns must be positive: time_ns={time_ns}")
        return int(time_ns)

    def _ticks(self, symbol: str, price: float, what: str) -> int:
        self._known(symbol)
        value = _positive(price, what)
        if symbol not in self._tick_sizes:
            self._tick_sizes[symbol] = 10.0 ** (math.floor(math.log10(value)) - TICK_DIGITS)
        return _steps(value, self._tick_sizes[symbol], PRICE_TICK_MAX, what)

    def _lots(self, symbol: str, size: float, what: str) -> int:
        step = self._lot_sizes.get(symbol, LOT_SIZE)
        return _steps(_positive(size, what), step, QUANTITY_LOT_MAX, what)


def _positive(value: float, what: str) -> float:
    number = float(value)
    if not math.isfinite(number) or number <= 0.0:
        raise ValueError(f"{what} must be positive and finite: {what}={value}")
    return number


def _steps(value: float, step: float, limit: int, what: str) -> int:
    steps = round(value / step)
    if not 0 < steps <= limit:
        raise ValueError(f"{what} is outside what its step can hold: {what}={value} step={step}")
    return steps
