"""Clear the venue without the pipeline: by REST alone, whatever of it is dead.

Every order that could add risk goes, ordinary and conditional, of every traded symbol, whoever sent
it. An order that only reduces stays while its position is there: it protects it. With `flatten`
positions are closed at the market, reduce-only, so that no repetition can turn one around; their
conditional stops go when they are gone. With `spare_protected` a position that its stops cover
stays. Symbols that are not traded here are left alone, and
counted.

Nothing is believed but what the venue lists: it is asked again after every round, and is clear when
two looks some time apart find nothing to do (a request that was under way may arrive in between).
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from types import SimpleNamespace
from typing import Any, NamedTuple

from config.environment import load_credentials
from config.secret import Credentials
from executor import venue
from executor.algo import ALGO_ORDER, CANCEL_ALGO_ORDERS, OPEN_ALGO_ORDERS
from executor.clock import SAMPLE_COUNT, VenueClock
from executor.limits import retry_after_ns
from executor.rest import Call, Rest
from executor.signing import Signer
from executor.venue import Reply, VenueDataError, Verdict, classify, printable
from runtime.venue_task import VenueOutcome, VenueTask

EXCHANGE_INFO = "/fapi/v1/exchangeInfo"

# The pause between rounds, which doubles.
PAUSE_S, PAUSE_S_MAX = 0.1, 2.0
# Beyond this a ban is not waited for: a person has to use another way to the venue.
BAN_S_MAX = 60.0
# Market orders of one symbol and round: a position above so many times the venue's largest market
# order takes more rounds.
CHUNKS_MAX = 10
STOP_KINDS = ("STOP", "STOP_MARKET", "TRAILING_STOP_MARKET")


class OpenOrder(NamedTuple):
    """An order as the venue lists it."""

    symbol: str
    venue_id: int
    is_algo: bool
    reduces: bool
    is_stop: bool
    side: int  # +1 buy, -1 sell
    quantity: Decimal  # what it would trade; infinite where it closes the position
    text: str


class Look(NamedTuple):
    """What the venue listed; `positions` is None when it did not say or is not understood."""

    orders: list[OpenOrder]
    positions: dict[str, Decimal] | None


class Emergency:
    """One clearing of the venue.

    Args:
        task: what is to be done.
        credentials: of the task's mode.
        say: receives lines for people, none of which holds a secret.
    """

    def __init__(
        self, task: VenueTask, credentials: Credentials, say: Callable[[str], None]
    ) -> None:
        self._task = task
        self._say = say
        self._clock = VenueClock(SimpleNamespace())
        self._rest = Rest(
            task.venue.rest_url,
            credentials.api_key,
            Signer(credentials.api_secret),
            self._clock,
            None,
            task.timeout_s,
            task.recv_window_ms,
        )
        self._run_id = os.urandom(6).hex()
        self._sent = 0
        self._wait_s = 0.0
        self._problem = ""
        self._lot_max: dict[str, Decimal] = {}
        self.outcome = VenueOutcome()

    def run(self) -> VenueOutcome:
        """Clear, look again, and so on until it is clear or the attempts are used up."""
        outcome = self.outcome
        looks_clear, seen = 0, set()
        self._measure_clock()
        while outcome.attempts < self._task.attempts_max:
            look = self._look()
            if look is not None:
                seen |= {order for order in look.orders if order.symbol in self._task.venue.symbols}
                outcome.canceled = len(seen - set(look.orders))
                if self._note(look):
                    looks_clear += 1
                    if looks_clear == 2:
                        break
                    self._pause(self._task.confirm_s)
                    continue
                looks_clear = 0
                self._act(look)
            outcome.attempts += 1
            self._pause(min(PAUSE_S * 2**outcome.attempts, PAUSE_S_MAX))
            if self._wait_s > BAN_S_MAX:
                self._problem = f"the venue has banned this address for {self._wait_s:.0f} s"
                break
        else:
            looks_clear = 0
        self._rest.close()
        if looks_clear < 2:
            outcome.failure = self._failure()
        return outcome

    def _failure(self) -> str:
        left, positions = self.outcome.left, self.outcome.positions
        parts = [f"attempts={self.outcome.attempts}"]
        if left:
            parts.append(f"still open: {'; '.join(left[:8])}")
        if self._task.flatten and positions:
            held = ", ".join(f"{symbol} {quantity}" for symbol, quantity in positions.items())
            parts.append(f"positions: {held}")
        if self._problem:
            parts.append(f"last problem: {self._problem}")
        return " ".join(parts)

    # --- looking -----------------------------------------------------------------------------

    def _look(self) -> Look | None:
        """Ask what is open; None when the venue does not say which orders are."""
        plain = self._call("GET", venue.OPEN_ORDERS)
        algo = self._call("GET", OPEN_ALGO_ORDERS)
        if not (plain.ok and algo.ok):
            return None
        try:
            orders = [*_open_orders(plain.body, False), *_open_orders(algo.body, True)]
        except VenueDataError as error:
            self._problem = str(error)
            return None
        return Look(orders, self._positions())

    def _positions(self) -> dict[str, Decimal] | None:
        reply = self._call("GET", venue.POSITIONS)
        if not reply.ok:
            return None
        try:
            texts = venue.position_texts(reply.body)
            return {name: Decimal(text) for name, text in texts.items() if Decimal(text)}
        except (VenueDataError, InvalidOperation) as error:
            self._problem = f"positions: {error}"
            return None

    def _note(self, look: Look) -> bool:
        """Write down what is left; return whether nothing has to be done."""
        outcome, symbols = self.outcome, self._task.venue.symbols
        doomed = list(self._doomed(look))
        held = {k: v for k, v in (look.positions or {}).items() if k in symbols}
        outcome.left = [order.text for order in doomed]
        outcome.positions = {name: str(quantity) for name, quantity in held.items()}
        outcome.unprotected = sorted(k for k, v in held.items() if not _covers(look, k, v))
        outcome.others = sum(order.symbol not in symbols for order in look.orders)
        is_done = look.positions is not None and not self._to_close(look)
        return not doomed and (is_done or not self._task.flatten)

    def _to_close(self, look: Look) -> dict[str, Decimal]:
        """Return the positions that are to be closed, where any are."""
        return {
            symbol: quantity
            for symbol, quantity in (look.positions or {}).items()
            if self._task.flatten
            and symbol in self._task.venue.symbols
            and not (self._task.spare_protected and _covers(look, symbol, quantity))
        }

    def _doomed(self, look: Look) -> Iterator[OpenOrder]:
        """Yield the orders that have to go; an unknown position is taken for one that is there."""
        to_close = self._to_close(look)
        for order in look.orders:
            if order.symbol not in self._task.venue.symbols:
                continue
            is_held = look.positions is None or order.symbol in look.positions
            # Closed at the market, a position needs no other order that reduces it but the stop.
            replaced = order.symbol in to_close and not order.is_algo
            if not order.reduces or not is_held or replaced:
                yield order

    # --- acting ------------------------------------------------------------------------------

    def _act(self, look: Look) -> None:
        doomed = set(self._doomed(look))
        groups: dict[tuple[str, bool], list[OpenOrder]] = {}
        for order in look.orders:
            groups.setdefault((order.symbol, order.is_algo), []).append(order)
        for (symbol, is_algo), orders in groups.items():
            gone = [order for order in orders if order in doomed]
            # The venue's cancel-all is one request, but may leave some: from the second round on
            # what is left goes one by one.
            if len(gone) == len(orders) > 1 and self.outcome.attempts == 0:
                path = CANCEL_ALGO_ORDERS if is_algo else venue.ALL_OPEN_ORDERS
                self._call("DELETE", path, {"symbol": symbol})
                continue
            for order in gone:
                self._cancel(order)
        for symbol, quantity in self._to_close(look).items():
            self._close(symbol, quantity)

    def _cancel(self, order: OpenOrder) -> None:
        if order.is_algo:
            self._call("DELETE", ALGO_ORDER, {"algoId": order.venue_id})
        else:
            parameters = {"symbol": order.symbol, "orderId": order.venue_id}
            self._call("DELETE", venue.ORDER, parameters)

    def _close(self, symbol: str, quantity: Decimal) -> None:
        """Close a position at the market, in orders of at most the venue's largest."""
        left, largest = abs(quantity), self._largest(symbol)
        for _ in range(CHUNKS_MAX):
            part = min(left, largest) if largest else left
            self._sent += 1
            reply = self._call(
                "POST",
                venue.ORDER,
                {
                    "symbol": symbol,
                    "side": "SELL" if quantity > 0 else "BUY",
                    "type": "MARKET",
                    "quantity": f"{part:f}",
                    "reduceOnly": "true",
                    "newClientOrderId": f"kill-{self._run_id}-{self._sent}",
                },
            )
            self.outcome.closed += 1
            left -= part
            if left <= 0 or not reply.ok:
                return

    def _largest(self, symbol: str) -> Decimal | None:
        """Return the venue's largest market order of a symbol, None when it does not say."""
        if not self._lot_max:
            reply = self._call("GET", EXCHANGE_INFO, security="NONE")
            if reply.ok:
                self._lot_max = _market_lot_max(reply.body)
        return self._lot_max.get(symbol)

    # --- requests ----------------------------------------------------------------------------

    def _measure_clock(self) -> None:
        replies = [
            self._rest.perform(Call("GET", venue.TIME, security="NONE"))
            for _ in range(SAMPLE_COUNT)
        ]
        try:
            measured = self._clock.adopt(replies)
        except VenueDataError as error:
            measured, self._problem = None, str(error)
        if measured is None:
            # The wall clock of this machine has to do; the venue says so if it does not.
            self._problem = f"the venue's clock was not measured: {replies[-1].message}"

    def _call(
        self,
        method: str,
        path: str,
        parameters: dict[str, object] | None = None,
        security: str = "SIGNED",
    ) -> Reply:
        reply = self._rest.perform(Call(method, path, parameters or {}, security=security))
        if reply.ok:
            return reply
        self._problem = (
            f"{method} {path} status={reply.status} code={reply.code} {reply.message}".strip()
        )
        verdict = classify(reply)
        if verdict == Verdict.NOT_FOUND and method == "DELETE":
            return reply  # it had gone by itself: the next look says
        self._say(f"venue: {self._problem}")
        if verdict == Verdict.CLOCK:
            self._measure_clock()
        if reply.status in (418, 429):
            self._wait_s = max(self._wait_s, retry_after_ns(reply) / 1e9)
        return reply

    def _pause(self, seconds: float) -> None:
        if self._wait_s > BAN_S_MAX:
            return
        wait(max(seconds, self._wait_s))
        self._wait_s = 0.0


def wait(seconds: float) -> None:
    """Let time pass: the venue tells nothing by itself over REST, so there is no event."""
    select.select([], [], [], seconds)


def _open_orders(body: Any, is_algo: bool) -> Iterator[OpenOrder]:
    """Yield the orders of a list. Raises VenueDataError for a row without a name or id."""
    id_name, kind_name = ("algoId", "orderType") if is_algo else ("orderId", "type")
    try:
        for row in body:
            kind = printable(str(row.get(kind_name, "")), 32)
            side = printable(str(row.get("side", "")), 8)
            number = int(row[id_name])
            closes_all = row.get("closePosition") is True
            quantity = row.get("quantity" if is_algo else "origQty") or "0"
            yield OpenOrder(
                symbol=str(row["symbol"]),
                venue_id=number,
                is_algo=is_algo,
                reduces=row.get("reduceOnly") is True or closes_all,
                is_stop=kind in STOP_KINDS,
                side={"BUY": 1, "SELL": -1}.get(side, 0),
                quantity=Decimal("Infinity") if closes_all else Decimal(str(quantity)),
                text=f"{printable(str(row['symbol']), 24)} {side} {kind} {id_name}={number}",
            )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise VenueDataError(f"open orders: {type(error).__name__} {error}") from None


def _covers(look: Look, symbol: str, quantity: Decimal) -> bool:
    """Return whether the stops that rest cover a position of so much, signed."""
    against = -1 if quantity > 0 else 1
    stops = (o for o in look.orders if o.symbol == symbol and o.is_stop and o.reduces)
    resting = sum((o.quantity for o in stops if o.side == against), Decimal(0))
    return resting >= abs(quantity)


def _market_lot_max(body: Any) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for row in body.get("symbols", ()) if isinstance(body, dict) else ():
        for rule in row.get("filters", ()):
            if rule.get("filterType") == "MARKET_LOT_SIZE":
                try:
                    largest = Decimal(str(rule.get("maxQty")))
                except InvalidOperation:
                    continue  # unknown: sent whole, and the venue says when that is too much
                if largest > 0:
                    found[str(row.get("symbol"))] = largest
    return found


def clear_venue(task: VenueTask, say: Callable[[str], None]) -> VenueOutcome:
    """Clear the venue; the entry for make kill and the supervisor.

    Raises:
        ConfigError: there are no credentials for the mode.
    """
    return Emergency(task, load_credentials(task.venue.mode), say).run()
