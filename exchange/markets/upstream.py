"""Keep connections to another venue's public interface open: combined streams and REST."""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import structlog

from exchange.errors import StartError

HEARTBEAT_S = 20.0  # a ping of ours, half of that later the answer is due
SILENCE_S = 30.0  # a connection that says nothing for so long is dead
MESSAGE_BYTES_MAX = 16 << 20
REQUEST_S = 10.0
BACKOFF_S_FIRST = 0.25
BACKOFF_S_MAX = 10.0
BACKOFF_JITTER = 0.5  # a wait is drawn between this share of it and the whole
DATA_MARK = b'"data":'
LOST = (aiohttp.ClientError, OSError, TimeoutError)  # how a connection ends that does not close

OnMessage = Callable[[str, bytes], None]


class Backoff:
    """Draw longer and longer waits after failures that follow each other."""

    def __init__(self, draw: random.Random) -> None:
        self._random = draw
        self._failures = 0

    def reset(self) -> None:
        """Begin with short waits again."""
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to wait after one more failure."""
        wait_s = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return wait_s * self._random.uniform(BACKOFF_JITTER, 1.0)


class Upstream:
    """Be one combined-stream connection, made again whenever it ends.

    `on_message(stream, data)` gets the bytes of the data part unchanged; `on_lost()` hears the end
    of a connection. What they raise is no loss of a connection: it ends `run`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        on_message: OnMessage,
        on_lost: Callable[[], None],
        backoff: Backoff,
    ) -> None:
        self._session = session
        self._url = url
        self._on_message = on_message
        self._on_lost = on_lost
        self._backoff = backoff
        self.is_open = False
        self.connects = 0

    async def run(self) -> None:
        """Read for ever; ends by being cancelled."""
        log = structlog.get_logger()
        while True:
            try:
                reason = await self._read()
            finally:
                was_open, self.is_open = self.is_open, False
            if was_open:
                self._on_lost()
            wait_s = self._backoff.next_s()
            log.warning("upstream_lost", reason=reason, retry_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)

    async def _read(self) -> str:
        """Read until the connection ends, and return why it did."""
        try:
            socket = await self._session.ws_connect(
                self._url, heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES_MAX
            )
        except LOST as error:
            return f"{type(error).__name__}: {error}"
        try:
            self.is_open = True
            self.connects += 1
            while True:
                try:
                    message = await socket.receive(timeout=SILENCE_S)
                except LOST as error:
                    return f"{type(error).__name__}: {error}"
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._backoff.reset()
                    self._on_message(*split(message.data.encode()))
                elif message.type is not aiohttp.WSMsgType.BINARY:
                    return "closed"
        finally:
            await socket.close()


def split(text: bytes) -> tuple[str, bytes]:
    """Return stream name and data of a combined message; both empty for anything else."""
    head, mark, rest = text.partition(DATA_MARK)
    stream = head.partition(b'"stream":')[2].partition(b'"')[2].partition(b'"')[0]
    return (stream.decode(), rest.strip()[:-1].rstrip()) if mark and stream else ("", b"")


async def fetch_json(session: aiohttp.ClientSession, url: str, params: dict[str, str]) -> Any:
    """Return the JSON answer of a GET. Raises ClientError, TimeoutError or ValueError."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    async with session.get(url, params=params, timeout=timeout) as response:
        response.raise_for_status()
        return orjson.loads(await response.read())


def exchange_info(rest_url: str) -> list[dict[str, Any]]:
    """Return the symbols of an upstream's exchangeInfo. Raises StartError when there are none.

    It blocks: what the exchange is built of depends on the answer, and nothing is served yet.
    """
    try:
        url = f"{rest_url}/fapi/v1/exchangeInfo"
        # The options let only http and https through.
        with urllib.request.urlopen(url, timeout=REQUEST_S) as file:  # noqa: S310
            answer = orjson.loads(file.read())
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StartError(f"upstream does not answer: url={rest_url} reason={reason}") from error
    symbols = answer.get("symbols") if isinstance(answer, dict) else None
    if not isinstance(symbols, list):
        raise StartError(f"upstream is no such venue: url={rest_url}")
    return symbols
