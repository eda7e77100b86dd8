"""Answer what concerns the market now: time, instruments, depth, prices, day statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exchange.api.limits import RATE_LIMITS
from exchange.api.rest import Route
from exchange.api.views import (
    book_ticker_json,
    day_json,
    depth_json,
    exchange_info_json,
    price_json,
)
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.streams.publisher import Publisher
from exchange.trading.desk import Desk
from exchange.trading.parameters import instrument_of, whole_number

Params = Mapping[str, str]
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}  # Venue: "Order Book"
DEPTH_LIMIT = 500


class MarketEndpoints:
    """Answer with what the market holds; nothing here knows of HTTP."""

    def __init__(
        self,
        desk: Desk,
        clock_ms: Callable[[], int],
        rate_limits: list[dict[str, object]] | None = None,
    ) -> None:
        self._desk = desk
        self._clock_ms = clock_ms
        self._rate_limits = RATE_LIMITS if rate_limits is None else rate_limits

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1, v2 = "/fapi/v1", "/fapi/v2"
        price_weight = _by_symbol(1, 2)
        return [
            Route("GET", f"{v1}/ping", self._ping),
            Route("GET", f"{v1}/time", self._time),
            Route("GET", f"{v1}/exchangeInfo", self._exchange_info),
            Route("GET", f"{v1}/depth", self._depth, _depth_weight),
            Route("GET", f"{v1}/ticker/bookTicker", self._book_ticker, _by_symbol(2, 5)),
            Route("GET", f"{v1}/ticker/price", self._price, price_weight),
            Route("GET", f"{v2}/ticker/price", self._price, price_weight),
            Route("GET", f"{v1}/ticker/24hr", self._day, _by_symbol(1, 40)),
            Route("GET", f"{v1}/openInterest", self._open_interest),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        return [
            Method("ping", self._ping),
            Method("time", self._time),
            Method("depth", self._depth, _depth_weight),
            Method("ticker.price", self._price, _by_symbol(1, 2)),
            Method("ticker.book", self._book_ticker, _by_symbol(2, 5)),
        ]

    def _ping(self, params: Params) -> object:
        return {}

    def _time(self, params: Params) -> object:
        return {"serverTime": self._clock_ms()}

    def _exchange_info(self, params: Params) -> object:
        filters = (self._desk.filters[symbol] for symbol in self._desk.instruments)
        return exchange_info_json(filters, self._rate_limits, self._clock_ms())

    def _depth(self, params: Params) -> object:
        instrument = instrument_of(params, self._desk.instruments)
        limit = whole_number(params, "limit") or DEPTH_LIMIT
        if limit not in DEPTH_WEIGHTS:
            raise VenueError(-1130, name="limit")
        view = self._desk.market.depth(instrument.symbol, limit)
        return depth_json(instrument, view, self._clock_ms())

    def _each(self, params: Params, row: Callable[[Instrument], object]) -> object:
        """Return one symbol's row, or the rows of all without `symbol`."""
        if params.get("symbol"):
            return row(instrument_of(params, self._desk.instruments))
        return [row(instrument) for instrument in self._desk.instruments.values()]

    def _publisher(self, instrument: Instrument) -> Publisher:
        return self._desk.market.publishers[instrument.symbol]

    def _book_ticker(self, params: Params) -> object:
        market = self._desk.market
        return self._each(params, lambda i: book_ticker_json(i, market.depth(i.symbol, 1)))

    def _price(self, params: Params) -> object:
        return self._each(params, self._price_row)

    def _price_row(self, i: Instrument) -> object:
        last = self._publisher(i).tape.last()
        if last is None:
            # Before the first trade the middle of the book stands for its price.
            return price_json(i, self._desk.market.mark_tick(i.symbol), self._clock_ms())
        return price_json(i, last.price_tick, last.time_ms)

    def _day(self, params: Params) -> object:
        return self._each(params, self._day_row)

    def _day_row(self, i: Instrument) -> object:
        publisher = self._publisher(i)
        now_ms = publisher.now_ms()
        publisher.bars.roll(now_ms)
        day, last = publisher.bars.day(now_ms), publisher.tape.last()
        return day_json(i, day, last.quantity_lot if last is not None else 0, now_ms)

    def _open_interest(self, params: Params) -> object:
        """Return the account's open lots: its positions are all that the exchange knows of."""
        i = instrument_of(params, self._desk.instruments)
        legs = self._desk.account.symbol_positions(i.symbol)
        lots = sum(abs(leg.quantity_lot) for leg in legs)
        return {
            "symbol": i.symbol,
            "openInterest": i.quantity_text(lots),
            "time": self._clock_ms(),
        }


def _depth_weight(params: Params) -> int:
    text = params.get("limit", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    limit = int(text) if is_number else DEPTH_LIMIT
    return DEPTH_WEIGHTS.get(limit, 1)


def _by_symbol(one: int, every: int) -> Callable[[Params], int]:
    """Return what a request costs: for one symbol, or for all without `symbol`."""
    return lambda params: one if params.get("symbol") else every
