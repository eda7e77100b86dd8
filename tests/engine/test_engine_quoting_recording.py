"""Market making over a recording: how often it quotes and pulls, and that it does so sanely."""

from __future__ import annotations

from collections import Counter

import pytest

from config.loader import load
from engine.quoting import decide, on_book, on_trade
from engine.quoting_parameters import fill_quote_parameters
from engine.quoting_state import QuoteAction, QuoteReason
from shm.records import EventFlag, EventKind
from shm.tables import SYMBOL
from tests.naive import engine_recording as recording
from tests.naive.engine_quoting_bench import QuoteBench

NS_PER_MS = 1_000_000


def quoted(name: str, model: str) -> tuple[QuoteBench, Counter[str], Counter[str]]:
    """Return the bench after the recording, what was decided, and why."""
    settings = load(env_file=None, environ={}, overrides=[f"quoting.model={model}"])
    symbol = SYMBOL.new()
    symbol.tick_size, symbol.lot_size = recording.TICK_SIZE[name], recording.LOT_SIZE
    symbol.lot_min, symbol.notional_min, symbol.maker_fee = 1, 5.0, 0.0002
    bench, done, why = QuoteBench(), Counter[str](), Counter[str]()
    reasons_seen = Counter[int]()
    price = next(row[2] for row in recording.rows_of(name, 0) if row[7] == EventKind.BEST)
    fill_quote_parameters(bench.p, settings, symbol, price * symbol.tick_size)
    ms = 0
    for _, venue_ns, tick, lot, ask, ask_lot, _, kind, flags in recording.rows_of(name, 0):
        # The engine's clock takes what is late at the present time.
        ms = max(ms, venue_ns // NS_PER_MS)
        if kind == EventKind.TRADE:
            assert on_trade(*bench.at[:2], ms, tick, lot, flags & EventFlag.SIDE_ASK) == 1
        elif kind == EventKind.BEST:
            assert on_book(*bench.at[:2], ms, tick, lot, ask, ask_lot) == 1
        else:
            continue
        messages = decide(*bench.at, ms, 0)
        done["decisions"] += 1
        done["messages"] += messages
        if messages:
            bench.sent.append((ms, messages))
            bench.check_always(0)
        for side in (0, 1):
            done[QuoteAction(bench.result.action[side]).name] += 1
            reasons = bench.result.reasons[side]
            reasons_seen[reasons] += 1
        bid, ask = bench.state.tick
        if bid and ask:
            done["both stand"] += 1
            done["spread"] += ask - bid
    for reasons, times in reasons_seen.items():
        for reason in QuoteReason(reasons):
            why[reason.name or ""] += times
    return bench, done, why


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
@pytest.mark.parametrize(("name", "model"), [("BTCUSDT", "glft"), ("ETHUSDT", "as_finite")])
def test_recording_is_quoted_sanely(name: str, model: str) -> None:
    bench, done, why = quoted(name, model)
    state = bench.state
    print(f"\n{name} {model}: {dict(done)}")
    print(f"  why, by side: {dict(why.most_common())}")
    print(
        f"  sigma {state.volatility_long:.2f} and {state.volatility_short:.2f} ticks/√s, "
        f"A {state.intensity:.2f}/s, k {state.decay:.4f}/tick, VPIN {state.vpin:.2f}, "
        f"spread {done['spread'] / max(done['both stand'], 1):.0f} ticks"
    )
    assert done["decisions"] > 10_000
    assert 0.05 < done["both stand"] / done["decisions"] < 0.95
    # What a round trip costs in fees is the least that may be asked for it.
    fees = 2 * bench.p.maker_fee * state.bid_tick
    assert done["spread"] / done["both stand"] > 0.99 * fees
    assert 0.1 < state.volatility_long < 200 and 0.001 < state.decay < 1
    assert 0.05 < state.intensity < 500 and 0.0 < state.vpin < 1.0
    assert why["TIME"] == why["PARAMETERS"] == why["NOT_FINITE"] == 0
    bench.check_budget()
