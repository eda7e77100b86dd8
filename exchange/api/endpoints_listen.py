"""Answer what concerns the listen key of the user data stream, by REST and by WS-API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.trading.user_events import UserEvents

Params = Mapping[str, str]


class ListenKeyEndpoints:
    """Create, extend and delete the account's one listen key."""

    def __init__(self, events: UserEvents) -> None:
        self._events = events

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        path = "/fapi/v1/listenKey"
        keyed = partial(Route, security="KEY")
        return [
            keyed("POST", path, self._create),
            keyed("PUT", path, self._extend),
            keyed("DELETE", path, self._delete),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        keyed = partial(Method, security="KEY")
        return [
            keyed("userDataStream.start", self._create, 5),
            keyed("userDataStream.ping", self._extend),
            keyed("userDataStream.stop", self._delete),
        ]

    def _create(self, params: Params) -> object:
        return {"listenKey": self._events.create_key()}

    def _extend(self, params: Params) -> object:
        return {"listenKey": self._events.extend_key()}

    def _delete(self, params: Params) -> object:
        self._events.delete_key()
        return {}
