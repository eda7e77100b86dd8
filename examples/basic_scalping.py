"""The smallest use of the engine: ticks in, signals out. Nothing is sent anywhere.

    .venv/bin/python -m examples.basic_scalping

The ticks are invented: half a minute of trades at one price, then a rise with ten times the volume,
which is what the momentum strategy waits for. Real ticks are given in the same way; recorded ones
with their own time, live ones without `time_ns`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine import UltraScalpingEngine
from engine.face import Signal

STEP_MS = 50
QUIET_MS, END_MS = 30_000, 36_000
START_NS = 1_700_000_000_000_000_000


def ticks() -> Iterator[dict[str, Any]]:
    """Yield the keywords of `process_tick`, one trade every 50 ms."""
    price = 64_000.0
    for number, ms in enumerate(range(0, END_MS, STEP_MS)):
        is_rising = ms >= QUIET_MS
        price *= 1.00003 if is_rising else 1.0
        yield {
            "symbol": "BTCUSDT",
            "price": price,
            "size": 5.0 if is_rising else 0.5,
            "is_buyer_maker": not is_rising and number % 2 == 0,
            "trade_id": number,
            "time_ns": START_NS + ms * 1_000_000,
        }


def main() -> list[Signal]:
    """Print every signal, and return them."""
    engine = UltraScalpingEngine(["BTCUSDT"])
    found = [signal for tick in ticks() if (signal := engine.process_tick(**tick)) is not None]
    for signal in found:
        print(f"{signal.signal_type} {signal.symbol}: {signal.reasoning}")
    print(f"{engine.counter('events')} ticks, {len(found)} signals")
    return found


if __name__ == "__main__":
    main()
