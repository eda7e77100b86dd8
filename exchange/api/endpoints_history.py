"""Answer what concerns the past since the start: trades and candlesticks of several prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from exchange.api.rest import Route
from exchange.api.views import aggregate_json, trade_json
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.streams.bars import Bar, Bars
from exchange.streams.events import bar_row, value_row
from exchange.streams.market_streams import MarketStreams
from exchange.streams.names import HOUR_MS, INTERVALS_MS
from exchange.trading.parameters import instrument_of, required, row_limit, whole_number

Params = Mapping[str, str]
TRADES = 500  # Venue: "Recent Trades List", "Compressed/Aggregate Trades List"
BARS = 500  # Venue: "Kline/Candlestick Data"
BARS_MAX = 1_500
# Venue: "Kline/Candlestick Data": the weight by limit, each row up to and including it.
BAR_WEIGHTS = ((99, 1), (499, 2), (1_000, 5))
BAR_WEIGHT_MAX = 10
PERPETUAL = "PERPETUAL"
CONTRACTS = frozenset(
    {PERPETUAL, "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL"}
)  # Venue: "Continuous Contract Kline/Candlestick Data"


class HistoryEndpoints:
    """Answer from the tapes and the bars of the streams."""

    def __init__(self, streams: MarketStreams, instruments: Mapping[str, Instrument]) -> None:
        self._streams = streams
        self._instruments = instruments

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        bars = partial(Route, weight=_bar_weight)
        return [
            Route("GET", f"{v1}/trades", self._trades, 5),
            Route("GET", f"{v1}/historicalTrades", self._old_trades, 20, security="KEY"),
            Route("GET", f"{v1}/aggTrades", self._aggregates, 20),
            bars("GET", f"{v1}/klines", self._klines),
            bars("GET", f"{v1}/continuousKlines", self._continuous_klines),
            bars("GET", f"{v1}/markPriceKlines", partial(self._values, "mark", "symbol")),
            bars("GET", f"{v1}/indexPriceKlines", partial(self._values, "index", "pair")),
            bars("GET", f"{v1}/premiumIndexKlines", partial(self._values, "premium", "symbol")),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods: none."""
        return []

    def _trades(self, params: Params) -> object:
        instrument = instrument_of(params, self._instruments)
        tape = self._streams.symbols[instrument.symbol].publisher.tape
        return [trade_json(instrument, t) for t in tape.trades(row_limit(params, TRADES))]

    def _old_trades(self, params: Params) -> object:
        instrument = instrument_of(params, self._instruments)
        tape = self._streams.symbols[instrument.symbol].publisher.tape
        limit = row_limit(params, TRADES)
        rows = tape.trades(limit, whole_number(params, "fromId"))
        return [trade_json(instrument, t) for t in rows]

    def _aggregates(self, params: Params) -> object:
        instrument = instrument_of(params, self._instruments)
        from_id = whole_number(params, "fromId")
        start_ms, end_ms = _span(params)
        if start_ms is not None and end_ms is not None and end_ms - start_ms > HOUR_MS:
            raise VenueError(-1127, hours=1)
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise VenueError(-1128)
        tape = self._streams.symbols[instrument.symbol].publisher.tape
        rows = tape.aggregates(row_limit(params, TRADES), from_id, start_ms, end_ms)
        return [aggregate_json(instrument, row) for row in rows]

    def _klines(self, params: Params) -> object:
        instrument = instrument_of(params, self._instruments)
        interval = _interval(params)
        return self._trade_bars(instrument, interval, params)

    def _continuous_klines(self, params: Params) -> object:
        instrument = self._pair(params)
        if required(params, "contractType") not in CONTRACTS:
            raise VenueError(-1130, name="contractType")
        interval = _interval(params)
        if params["contractType"] != PERPETUAL:
            return []
        return self._trade_bars(instrument, interval, params)

    def _trade_bars(self, instrument: Instrument, interval: str, params: Params) -> object:
        publisher = self._streams.symbols[instrument.symbol].publisher
        publisher.bars.roll(publisher.now_ms())
        return _rows(publisher.bars, interval, params, partial(bar_row, instrument, interval))

    def _values(self, price: str, name: str, params: Params) -> object:
        instrument = (
            self._pair(params) if name == "pair" else instrument_of(params, self._instruments)
        )
        interval = _interval(params)
        bars = self._streams.mark_bars[instrument.symbol][price]
        return _rows(bars, interval, params, partial(value_row, interval))

    def _pair(self, params: Params) -> Instrument:
        instrument = self._instruments.get(required(params, "pair"))
        if instrument is None:
            raise VenueError(-1121)
        return instrument


def _rows(
    bars: Bars, interval: str, params: Params, row: Callable[[Bar], list[object]]
) -> list[list[object]]:
    """Return the rows of a request: from `startTime` on, else the newest up to `endTime`."""
    start_ms, end_ms = _span(params)
    limit = row_limit(params, BARS, BARS_MAX)
    found = bars.between(interval, start_ms or 0, 1 << 62 if end_ms is None else end_ms)
    chosen = list(islice(found, limit)) if start_ms is not None else list(found)[-limit:]
    return [row(bar) for bar in chosen]


def _span(params: Params) -> tuple[int | None, int | None]:
    """Return startTime and endTime in ms, both inclusive, None when absent; raise -1023."""
    start_ms, end_ms = whole_number(params, "startTime"), whole_number(params, "endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise VenueError(-1023)
    return start_ms, end_ms


def _interval(params: Params) -> str:
    interval = required(params, "interval")
    if interval not in INTERVALS_MS:
        raise VenueError(-1120)
    return interval


def _bar_weight(params: Params) -> int:
    text = params.get("limit", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    limit = int(text) if is_number else BARS
    return next((weight for limit_max, weight in BAR_WEIGHTS if limit <= limit_max), BAR_WEIGHT_MAX)
