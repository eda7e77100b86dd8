"""REST requests: built, signed and sent on one worker's thread over a session that is kept alive.

A request is stamped and signed when its turn has come, and one that waited beyond `not_after_ns`
is not sent at all: whoever gave it up must be able to rely on that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from config.secret import Secret
from executor.clock import VenueClock
from executor.signing import Signer, rest_query
from executor.venue import CODE_STALE, Reply, VenueDataError, decode
from executor.worker import Worker

BODY_BYTES_MAX = 32 << 20

# Priorities of the worker: what protects money goes first.
FIRST, QUERY, HOUSEKEEPING = range(3)


@dataclass(slots=True)
class Call:
    """One request. `api_method` names the WS-API method that does the same, if there is one."""

    method: str
    path: str
    parameters: dict[str, object] = field(default_factory=dict)
    security: str = "SIGNED"  # or KEY, NONE
    priority: int = HOUSEKEEPING
    not_after_ns: int = 0  # monotonic; 0 = whenever its turn comes
    api_method: str = ""
    # Asked on the worker's thread right before sending: why not to send any more (a code), or 0.
    refusal: Callable[[], int] | None = None


class Rest:
    """Send calls through the worker; replies arrive where the worker is collected.

    Without a worker there is `perform` alone, for a process that has nothing else to do.
    """

    def __init__(
        self,
        base_url: str,
        api_key: Secret,
        signer: Signer,
        clock: VenueClock,
        worker: Worker | None,
        timeout_s: float,
        recv_window_ms: int,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._signer = signer
        self._clock = clock
        self._worker = worker
        self._timeout_s = timeout_s
        self._recv_window_ms = recv_window_ms
        self._session = requests.Session()
        # No .netrc, no proxies from the environment: nothing may stand between us and the venue.
        self._session.trust_env = False

    def submit(self, call: Call, done: Callable[[Reply], None]) -> None:
        """Queue a call; `done(reply)` runs on the main thread."""
        assert self._worker is not None
        self._worker.submit(call.priority, lambda: self.perform(call), done)

    def perform(self, call: Call) -> Reply:
        """Send a call and return its reply; blocking, for the worker's thread."""
        started_ns = time.monotonic_ns()
        if call.not_after_ns and started_ns > call.not_after_ns:
            return Reply(error="too late to send", body={"code": CODE_STALE})
        if call.refusal is not None and (code := call.refusal()):
            return Reply(error="not to be sent any more", body={"code": code})
        url, headers = self._prepare(call)
        reply = Reply(sent_ns=time.monotonic_ns())
        try:
            response = self._session.request(
                call.method, url, headers=headers, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.ConnectTimeout:
            return Reply(error="ConnectTimeout")
        except requests.RequestException as error:
            # The text of the error holds the URL with its signature: the kind has to do.
            if _never_connected(error):
                return Reply(error=type(error).__name__)
            reply.error = type(error).__name__
            return reply
        reply.received_ns = time.monotonic_ns()
        # Time until the headers were parsed; the body is read by then, too.
        reply.status = response.status_code
        reply.headers = {k.lower(): v for k, v in response.headers.items()}
        try:
            reply.body = decode(response.content[:BODY_BYTES_MAX])
        except VenueDataError as error:
            reply.error = str(error)
            reply.status = reply.status if reply.status != 200 else 0
        return reply

    def _prepare(self, call: Call) -> tuple[str, dict[str, str]]:
        parameters = dict(call.parameters)
        headers: dict[str, str] = {}
        if call.security != "NONE":
            headers["X-MBX-APIKEY"] = self._api_key.reveal()
        if call.security == "SIGNED":
            parameters["recvWindow"] = self._recv_window_ms
            parameters["timestamp"] = self._clock.venue_ms()
        query = rest_query(parameters)
        if call.security == "SIGNED":
            query += f"&signature={self._signer.rest(query)}"
        return f"{self._base_url}{call.path}{'?' if query else ''}{query}", headers

    def close(self) -> None:
        """Close the kept connections; after the worker has ended."""
        self._session.close()


def _never_connected(error: Any) -> bool:
    # requests wraps urllib3's MaxRetryError, whose reason tells that no connection was made.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError")
