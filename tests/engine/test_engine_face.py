"""The Python face: the promised names, refusals, and the same decisions as the stage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from config.loader import load
from config.strategies import strategies_of
from engine.reasoning import render
from engine.state import SYMBOL_STATE
from shm.records import SIGNAL, EventKind
from tests.compiled import exported
from tests.naive.engine_bench import Bench
from tests.naive.engine_stream import market

ROOT = Path(__file__).resolve().parents[2]
KERNELS = exported()
SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        "signals.warmup_events=20",
        "scalping.signal_threshold=0.02",
        "scalping.confidence_threshold=0.4",
        "performance.signal_cooldown_sec=1.0",
    ],
)


def made(**options: Any) -> engine.UltraScalpingEngine:
    return engine.UltraScalpingEngine(
        ["BTCUSDT", "ETHUSDT"], settings=SETTINGS, kernels=KERNELS, **options
    )


TICK: dict[str, Any] = {
    "symbol": "BTCUSDT", "price": 64000.0, "size": 0.5, "is_buyer_maker": False, "trade_id": 1,
}  # fmt: skip


def test_cold_engine_says_nothing() -> None:
    assert made().process_tick(**TICK) is None


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "XRPUSDT"},
        {"price": float("nan")},
        {"price": float("inf")},
        {"price": 0.0},
        {"price": -1.0},
        {"size": 0.0},
        {"size": float("nan")},
        {"size": -2.0},
        {"size": 1e-9},
        {"time_ns": 0},
        {"price": 1e300},
    ],
)
def test_nonsense_is_refused_with_the_value(change: dict[str, Any]) -> None:
    face = made(tick_sizes={"BTCUSDT": 0.1})
    with pytest.raises(ValueError, match=str(next(iter(change.values()))).split("e")[0][:3]):
        face.process_tick(**{**TICK, **change})
    assert face.counter("events") == 0


@pytest.mark.parametrize("symbols", [[], "BTCUSDT", ["A", "A"]])
def test_symbols_are_checked(symbols: Any) -> None:
    with pytest.raises(ValueError, match="symbol"):
        engine.UltraScalpingEngine(symbols, settings=SETTINGS, kernels=KERNELS)


def test_crossed_best_is_refused() -> None:
    with pytest.raises(ValueError, match="below"):
        made().process_best(symbol="BTCUSDT", bid=100.0, bid_size=1, ask=100.0, ask_size=1)


def test_same_decisions_as_events() -> None:
    events = market(31, 5_000)
    is_ask = events["flags"] & 1
    face = made(
        tick_sizes={"BTCUSDT": 1.0, "ETHUSDT": 1.0}, lot_sizes={"BTCUSDT": 1.0, "ETHUSDT": 1.0}
    )
    shown = events[(events["kind"] <= int(EventKind.BEST))]
    wanted = Bench(SETTINGS, 2, require_book=False).run(exported().engine_process_many, shown)
    found = []
    for event, side in zip(events, is_ask, strict=True):
        name, stamp = face.symbols[event["symbol"]], int(event["venue_ns"])
        price, size = float(event["price_tick"]), float(event["quantity_lot"])
        if event["kind"] == EventKind.TRADE:
            found.append(
                face.process_tick(
                    symbol=name, price=price, size=size, is_buyer_maker=bool(side), trade_id=1,
                    time_ns=stamp,
                )
            )  # fmt: skip
        elif event["kind"] == EventKind.BEST:
            ask, ask_size = float(event["ask_tick"]), float(event["ask_lot"])
            found.append(
                face.process_best(
                    symbol=name, bid=price, bid_size=size, ask=ask, ask_size=ask_size,
                    time_ns=stamp,
                )
            )  # fmt: skip
    signals = [signal for signal in found if signal is not None]
    assert len(signals) == len(wanted) > 3
    for signal, record in zip(signals, wanted, strict=True):
        assert (signal.strength, signal.confidence) == (record["strength"], record["confidence"])
        assert signal.signal_type == ("BUY" if record["side"] > 0 else "SELL")
        assert signal.venue_ns == record["venue_ns"]
        assert signal.symbol in signal.reasoning
        assert f"{signal.strength:.2f}" in signal.reasoning


def test_book_makes_imbalance_known() -> None:
    face = made()
    bids = [(64000.0 - 0.1 * n, 2.0) for n in range(5)]
    asks = [(64000.1 + 0.1 * n, 1.0) for n in range(5)]
    face.process_book(symbol="BTCUSDT", bids=bids, asks=asks)
    bench_view = face._engine.symbol_states
    assert SYMBOL_STATE.at(bench_view).imbalance == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="size"):
        face.process_book(symbol="BTCUSDT", bids=[(1.0, -1.0)], asks=asks)
    assert SYMBOL_STATE.at(bench_view).imbalance == pytest.approx(1 / 3)


def test_reasoning_names_everything_that_led_to_the_signal() -> None:
    signal = SIGNAL.new()
    signal.side, signal.strategy, signal.strength, signal.confidence = -1, 3, 0.256, 0.75
    signal.scores[4], signal.scores[2], signal.scores[7] = -0.8, -0.9, 0.25
    signal.agreeing, signal.opposing = 0b10100, 0b10000000
    signal.exit_rule, signal.hold_ms_min, signal.hold_ms_max = 3, 10_000, 60_000
    known = strategies_of(SETTINGS)
    assert render(signal, "ETHUSDT", known) == (
        "order flow sell ETHUSDT, strength 0.26, confidence 75%: "
        "triggered by book imbalance (-0.80); "
        "for it: sellers press (-0.90), asks outweigh bids (-0.80); "
        "against it: spread favours a rise (+0.25); "
        "held 10 s to 1 min, left when the imbalance of the best prices has turned"
    )


# strategy, rule, mean, least and most ms, stop, target → the end of the sentence
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (
            (1, 1, 0, 30_000, 120_000, 0.0, 0.0),
            "held 30 s to 2 min, left by a stop that trails at half the initial risk",
        ),
        (
            (2, 2, 640_123, 60_000, 300_000, 0.0, 0.0),
            "held 1 min to 5 min, left at a return to the mean, tick 640123, plus a profit",
        ),
        (
            (9, 0, 0, 0, 0, 0.001, 0.0045),
            "held 0 s or longer, left by the configured trailing stop, stop 0.10%, target 0.45%",
        ),
        (
            (1, 0, 0, 1_500, 90_000, 0.0, 0.01),
            "held 1.5 s to 90 s, left by the configured trailing stop, target 1.00%",
        ),
    ],
)
def test_reasoning_tells_how_the_position_is_left(values: Any, wanted: str) -> None:
    signal = SIGNAL.new()
    signal.side, signal.strength, signal.confidence = 1, 0.5, 1.0
    names = ("strategy", "exit_rule", "mean_tick", "hold_ms_min", "hold_ms_max")
    for name, value in zip((*names, "stop_pct", "target_pct"), values, strict=True):
        setattr(signal, name, value)
    text = render(signal, "BTCUSDT", strategies_of(SETTINGS))
    assert text.endswith("; " + wanted)
    assert "for it: nothing; against it: nothing" in text
    if values[0] == 9:
        assert text.startswith("strategy 9 buy BTCUSDT, strength 0.50, confidence 100%: for it")


def test_stage_modules_import_neither_numba_nor_numpy() -> None:
    code = (
        "import sys, engine, engine.agent, engine.state, engine.report\n"
        "print([m for m in ('numba', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_accelerating_price_with_volume_is_a_momentum_entry() -> None:
    defaults = load(env_file=None, environ={})
    face = engine.UltraScalpingEngine(["BTCUSDT"], settings=defaults, kernels=KERNELS)
    price, found = 64_000.0, []
    for ms in range(0, 36_000, 50):
        price *= 1.00003 if ms >= 30_000 else 1.0
        found.append(
            face.process_tick(
                symbol="BTCUSDT",
                price=price,
                size=0.5 if ms < 30_000 else 5.0,
                is_buyer_maker=ms < 30_000 and ms % 100 == 0,
                trade_id=ms,
                time_ns=1_700_000_000_000_000_000 + ms * 1_000_000,
            )
        )
    signals = [signal for signal in found if signal is not None]
    assert [signal.strategy for signal in signals] == ["momentum"]
    assert signals[0].signal_type == "BUY"
    assert signals[0].scores["acceleration"] > 0.8
    assert "price accelerates upwards" in signals[0].reasoning
