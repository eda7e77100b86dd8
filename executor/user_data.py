"""The private stream: fills, ends of orders and the wallet, as the venue tells them.

Venue: "User Data Streams". Events come twice, out of order, before the response they belong to, or
not at all; the ledger takes care of the first three, reconciliation of the last. A listen key lives
60 minutes and is shared by all sessions of the account, so it is kept alive and never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.client_ids import parse_client_id
from executor.counts import Counts
from executor.foreign import Foreign
from executor.ledger import Change, Ledger
from executor.link import NS_PER_S, Link
from executor.procedures import Pause, Procedure, Runner
from executor.resolve import Resolver
from executor.rest import Call
from executor.timers import Timers
from executor.transfers import Transfers
from executor.transitions import OrderEvent
from executor.venue import STATUS_EVENTS, VenueDataError, decode, printable
from runtime.instruments import InstrumentError, to_ticks
from runtime.stage import StageContext

KEEP_ALIVE_NS = 30 * 60 * NS_PER_S
KEY_RETRY_NS = NS_PER_S // 4
KEY_RETRY_NS_MAX = 5 * NS_PER_S


class UserData:
    """Keep the listen key, and turn the stream's events into changes of orders.

    `on_distrust(reason)` is called when the stream cannot be relied on and the venue has to be
    asked for everything, `on_foreign(symbol)` when something happened that is not ours, and
    `on_funding()` when funding was paid or got.
    """

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        runner: Runner,
        timers: Timers,
        resolver: Resolver,
        on_distrust: Callable[[str], None],
        on_foreign: Callable[[int], None],
        on_funding: Callable[[], None],
    ) -> None:
        self.link: Link | None = None
        self._base_url = context.order_endpoints.private_stream_url.rstrip("/")
        self._control = context.memory.control
        self._epoch = self._control.epoch
        self._quote = venue.quote_asset(context.symbols[0]) if context.symbols else "USDT"
        self._log = context.log
        self._counts, self._ledger, self._runner = counts, ledger, runner
        self._timers, self._resolver = timers, resolver
        self._on_distrust, self._on_funding = on_distrust, on_funding
        self._transfers = Transfers(context)
        self._foreign = Foreign(
            context, counts, ledger, resolver, timers, self._take_own, on_foreign
        )
        self._key = ""
        self._obtaining = self._keeping = False

    @property
    def is_up(self) -> bool:
        """Return whether the stream is connected."""
        return self.link is not None and self.link.connection is not None

    def url(self) -> str:
        """Return where the stream is, or "" without a key; it holds the key: never log it."""
        return f"{self._base_url}/ws?listenKey={self._key}" if self._key else ""

    def open(self) -> None:
        """Obtain a key, or extend the one there is, and connect with it."""
        if not self._obtaining:
            self._obtaining = True
            self._runner.start(self._obtain(), self._obtained)

    def _obtain(self) -> Procedure:
        backoff_ns = KEY_RETRY_NS
        while True:
            reply = yield Call("POST", venue.LISTEN_KEY, security="KEY")
            key = reply.body.get("listenKey") if reply.ok and isinstance(reply.body, dict) else None
            if isinstance(key, str) and key.isalnum():
                return key
            self._log.warning(
                "no listen key", status=reply.status, code=reply.code, message=reply.message
            )
            yield Pause(backoff_ns)
            backoff_ns = min(2 * backoff_ns, KEY_RETRY_NS_MAX)

    def _obtained(self, key: Any) -> None:
        self._obtaining = False
        changed = key != self._key
        self._key = key
        assert self.link is not None, "no link"
        if changed or self.link.connection is None:
            self.link.connect()
        if not self._keeping:
            self._keeping = True
            self._timers.at(time.monotonic_ns() + KEEP_ALIVE_NS, self.keep_alive)

    def keep_alive(self) -> None:
        """Extend the key; one that the venue does not know any more is replaced."""
        self._keeping = False
        self._runner.start(self._extend())

    def _extend(self) -> Procedure:
        reply = yield Call("PUT", venue.LISTEN_KEY, security="KEY")
        if not reply.ok:
            self._log.warning("listen key not extended", status=reply.status, code=reply.code)
            # POST extends as well, and makes a new key where there is none.
            self.open()
            return
        self._keeping = True
        self._timers.at(time.monotonic_ns() + KEEP_ALIVE_NS, self.keep_alive)

    def on_message(self, message: bytes) -> None:
        """Take one event. One that cannot be read makes us ask the venue for everything."""
        try:
            event = decode(message)
            if isinstance(event, dict) and isinstance(event.get("data"), dict):
                event = event["data"]
            self._take(event)
        except (VenueDataError, InstrumentError, ArithmeticError) as error:
            self._counts.malformed.value += 1
            self._log.error("user event is malformed", error=printable(str(error)))
            self._on_distrust("malformed event")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._counts.malformed.value += 1
            self._log.error("user event is malformed", error=type(error).__name__)
            self._on_distrust("malformed event")

    def _take(self, event: Any) -> None:
        kind = event["e"]
        if kind == "ORDER_TRADE_UPDATE":
            self._take_order(event["o"], int(event.get("T", 0)) * venue.NS_PER_MS)
        elif kind == "ALGO_UPDATE":
            self._take_algo(algo.algo_event(event))
        elif kind == "ACCOUNT_UPDATE":
            for balance in event["a"].get("B", ()):
                if balance["a"] == self._quote:
                    # Ordering: first, so that no wallet counts what it holds a second time.
                    self._transfers.take(event, balance)
                    self._control.wallet_e8 = venue.to_e8(balance["wb"])
            if event["a"].get("m") == "FUNDING_FEE":
                self._on_funding()
        elif kind == "listenKeyExpired":
            self._log.warning("listen key expired")
            self._key = ""
            self._on_distrust("listen key expired")
            self.open()
        # Venue: TRADE_LITE is a hint that ORDER_TRADE_UPDATE confirms; the rest is not about
        # orders of ours.

    def _own_row(self, client_id: object) -> Any | None:
        parsed = parse_client_id(client_id)
        if parsed is None or parsed[0] != self._epoch:
            return None
        return self._ledger.table.find(parsed[1])

    def _take_algo(self, state: AlgoState) -> None:
        row = self._own_row(state.client_id)
        if row is None or not algo.is_stop(row):
            self._foreign.note(state.client_id, state.symbol, state.status)
            return
        self._resolver.stops.take_event(row, state)

    def _take_order(self, o: dict[str, Any], venue_ns: int) -> None:
        if not self._take_own(o, venue_ns):
            self._foreign.take(o, venue_ns)

    def _take_own(self, o: dict[str, Any], venue_ns: int) -> bool:
        """Take an order event that a row explains; return whether one does."""
        row = self._own_row(o["c"]) or self._ledger.table.find_stop(int(o["i"]))
        if row is None:
            return False
        event = STATUS_EVENTS[o["X"]]
        change = Change(
            row.order_id,
            event,
            venue_order_id=int(o["i"]),
            venue_ns=venue_ns,
            filled_lot=self._resolver.lots(row, o["z"]),
        )
        if o["x"] == "TRADE":
            change.fill_lot = self._resolver.lots(row, o["l"])
        if change.fill_lot > 0:
            symbol = self._resolver.symbol_row(row)
            change.trade_id = int(o["t"])
            change.fill_tick = to_ticks(symbol, str(o["L"]))
            change.fee = self._resolver.fee(row, o.get("n", "0"), o.get("N", self._quote))
            change.is_maker = bool(o["m"])
        elif event == OrderEvent.REJECTED:
            change.error_code = venue.CODE_NOT_FOUND
        self._ledger.apply(change)
        return True
