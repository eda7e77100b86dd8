"""How a replay ends: with its file, at a broken line, or with an error of the exchange itself."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

from capture_recording import write_recording

from exchange.markets.capture import CaptureMarket
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub


def run_replay(path: Path, error: Exception | None) -> tuple[dict, list[dict]]:
    """Replay with a resting order whose fill raises; return the status and the loop's failures."""
    failures: list[dict] = []

    class Sink:
        def on_fill(self, *what: object) -> None:
            if error is not None:
                raise error

        def on_expire(self, order: ClientOrder) -> None: ...

        def on_trades(self, *what: object) -> None: ...

    async def run() -> CaptureMarket:
        asyncio.get_running_loop().set_exception_handler(lambda _, c: failures.append(c))
        market = CaptureMarket(Hub(), [path], [], None, lambda: 1)
        market.sink = Sink()
        market.start()
        instrument = market.instruments["NEWUSDT"]
        order = ClientOrder(instrument, 1, "1", BUY, "LIMIT", "GTC", 12_346, 5, False, 0)
        market.submit(order, rests=True)
        market.on_subscribe("newusdt@depth@0ms")
        assert market._task is not None
        await asyncio.wait([market._task])
        await asyncio.sleep(0)
        return market

    return asyncio.run(run()).status(), failures


def test_a_broken_recording_ends_the_replay_and_an_error_of_our_own_the_process(tmp_path):
    path = tmp_path / "new.gz"
    write_recording(path)
    status, failures = run_replay(path, None)
    assert (status["finished"], status["failure"], failures) == (True, "", [])
    status, failures = run_replay(path, KeyError("ours"))
    assert status["finished"] is False
    # A failure with a handle ends the process, see `exchange.server.serve`.
    assert [(type(c["exception"]), "handle" in c) for c in failures] == [(KeyError, True)]
    text = (
        gzip.decompress(path.read_bytes())
        .replace(b'"t":150', b'"t":"x"')
        .replace(b'"t": 150', b'"t":"x"')
    )
    path.write_bytes(gzip.compress(text))
    status, failures = run_replay(path, None)
    assert (status["finished"], failures) == (True, [])
    assert "no id or time: 'x'" in str(status["failure"])
