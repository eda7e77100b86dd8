"""Decisions about quotes against a twin that looks at whole histories; what must always hold."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from config.knobs_quoting import KNOBS
from config.loader import load
from engine.quote_prices import are_parameters_sound
from engine.quoting import decide, forget_quote_book, note_fill, note_gone, on_book, on_trade
from engine.quoting_parameters import fill_quote_parameters
from engine.quoting_state import FlowThreshold, QuoteAction, QuoteModel, QuoteReason
from shm.tables import SYMBOL
from tests.naive.engine_quoting import LOT_MAX
from tests.naive.engine_quoting_bench import QuoteBench

R = QuoteReason
NAMES = ("glft", "as_finite", "as_stationary")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decisions_equal_the_twin(name: str, seed: int) -> None:
    print("seed", seed)
    bench = QuoteBench(model=int(QuoteModel[name.upper()]), flow_threshold=seed % 2)
    done = bench.walk(random.Random(seed), 1_500)
    print(done)
    assert done["both"] > 50, "the stream must lead to quotes"
    assert min(done["REPLACE"], done["KEEP"], done["PULL"]) > 20


def test_scarce_budget_equals_the_twin() -> None:
    for seed in range(4):
        bench = QuoteBench(message_rate=1, message_burst=4 + seed, hysteresis_tick=1, rest_ms=0)
        done = bench.walk(random.Random(100 + seed), 1_500, spread=3)
        assert done["BUDGET"] > 0


odd = st.sampled_from((-(1 << 62), -1, 0, 1, 1 << 40, (1 << 40) + 1, 1 << 48, 1 << 62))
ticks = st.one_of(st.integers(980, 1020), odd)
lots = st.one_of(st.integers(1, 9), odd)
gaps = st.sampled_from((0, 0, 1, 30, 100, 250, 499, 1_000, 1_001, 70_000, -1, -90, -(1 << 60)))


@st.composite
def histories(draw: Any) -> list[tuple[Any, ...]]:
    ms, found = 1_000, []
    for _ in range(draw(st.integers(1, 40))):
        at = ms + draw(gaps)
        ms = max(at, ms)
        kind = draw(st.integers(0, 2))
        if kind == 0:
            found.append(("trade", at, draw(ticks), draw(lots), draw(st.integers(0, 1))))
        elif kind == 1:
            found.append(("book", at, draw(ticks), draw(lots), draw(ticks), draw(lots)))
        else:
            found.append(("decide", at, draw(st.one_of(st.integers(-60, 60), odd))))
    return found


@effort(max_examples=100, deadline=None)
@given(histories(), st.integers(0, 2), st.booleans())
def test_any_history_equals_the_twin(events: list[tuple[Any, ...]], model: int, warm: bool) -> None:
    bench = QuoteBench(model=model, flow_threshold=FlowThreshold.FIXED)
    if warm:
        bench.warm()
    begin = bench.ms if warm else 0
    for name, at, *values in events:
        getattr(bench, name)(begin + at, *values)
    state = bench.state
    for field in ("volatility_short", "volatility_long", "intensity", "decay", "exposure", "vpin"):
        assert math.isfinite(getattr(state, field)), field


def test_every_unknown_input_pulls() -> None:
    bad = [
        ("risk_aversion", math.nan, R.PARAMETERS),
        ("risk_aversion", 0.0, R.PARAMETERS),
        ("risk_aversion", math.inf, R.PARAMETERS),
        ("horizon_s", 0.0, R.PARAMETERS),
        ("maker_fee", math.nan, R.PARAMETERS),
        ("quote_lot", 0, R.PARAMETERS),
        ("step_tick", 0, R.PARAMETERS),
        ("message_burst", 3, R.PARAMETERS),
        ("flow_buckets", 65, R.PARAMETERS),
        ("flow_memory", math.nan, R.PARAMETERS),
        ("model", 3, R.PARAMETERS),
        ("burst_ratio", 0.0, R.PARAMETERS),
    ]
    for name, value, reason in bad:
        bench = QuoteBench()
        bench.warm()
        assert bench.stands() == [True, True]
        setattr(bench.p, name, value)
        assert decide(*bench.at, bench.ms, 0) == 2, name
        assert list(bench.result.action) == [QuoteAction.PULL] * 2
        assert [bench.result.reasons[side] for side in (0, 1)] == [reason] * 2
        on_book(*bench.at[:2], bench.ms + 1, 1_000, 1, 1_001, 1)
        on_trade(*bench.at[:2], bench.ms + 1, 1_000, 1, 0)
    estimates = [
        ("volatility_long", math.nan, R.VOLATILITY_UNKNOWN),
        ("volatility_long", 0.0, R.VOLATILITY_UNKNOWN),
        ("volatility_short", math.inf, R.VOLATILITY_UNKNOWN),
        ("volatility_short", 1e6, R.VOLATILITY_BURST),
        ("intensity", 0.0, R.INTENSITY_UNKNOWN),
        ("decay", math.nan, R.INTENSITY_UNKNOWN),
        ("vpin", -1.0, R.FLOW_UNKNOWN),
        ("vpin", math.nan, R.FLOW_UNKNOWN),
        ("vpin", 1.0, R.FLOW_TOXIC),
        ("book_status", 0, R.BOOK_UNKNOWN),
        ("book_status", 2, R.BOOK_CROSSED),
        ("decay", 1e-15, R.NOT_FINITE),
        ("ask_tick", 1_200, R.WIDE),
        ("book_ms", 1, R.STALE),
        ("clock_ms", 1 << 45, R.TIME),
        ("refused_run", 1, R.TIME),
    ]
    for name, value, reason in estimates:
        bench = QuoteBench(flow_threshold=FlowThreshold.FIXED)
        bench.warm()
        setattr(bench.state, name, value)
        assert decide(*bench.at, bench.ms, 0) == 2, name
        for side in (0, 1):
            assert bench.result.action[side] == QuoteAction.PULL
            assert bench.result.reasons[side] & reason, name
            assert bench.result.tick[side] == bench.state.tick[side] == 0
        assert decide(*bench.at, bench.ms, 0) == 0, "nothing is left to withdraw"


def test_times_inventories_and_withdrawn_books_pull() -> None:
    for now, inventory, reason in (
        (0, 0, R.TIME),
        (-5, 0, R.TIME),
        (1 << 60, 0, R.TIME),
        ("before", 0, R.TIME),
        ("now", LOT_MAX + 1, R.INVENTORY),
        ("now", -(1 << 62), R.INVENTORY),
    ):
        bench = QuoteBench()
        bench.warm()
        when = {"before": bench.ms - 1, "now": bench.ms}.get(now, now)
        assert decide(*bench.at, when, inventory) == 2
        assert bench.result.reasons[0] & reason
    bench = QuoteBench()
    bench.warm()
    forget_quote_book(bench.at[0])
    assert decide(*bench.at, bench.ms, 0) == 2
    assert bench.result.reasons[1] & R.BOOK_UNKNOWN


@pytest.mark.parametrize("name", NAMES)
def test_more_inventory_never_raises_a_quote(name: str) -> None:
    for fee in (-0.0001, 0.0, 0.002):
        for gamma in (0.001, 0.01, 0.5):
            bench = QuoteBench(
                model=int(QuoteModel[name.upper()]), maker_fee=fee, risk_aversion=gamma
            )
            bench.warm()
            before = [1 << 60, 1 << 60]
            for inventory in range(-60, 61):
                decide(*bench.at, bench.ms, inventory)
                for side in (0, 1):
                    tick = bench.result.target_tick[side]
                    if tick:
                        assert tick <= before[side], (inventory, side)
                        before[side] = tick


def test_limit_stops_the_side_that_would_exceed_it() -> None:
    bench = QuoteBench()
    bench.warm()
    for inventory, side, lot in ((45, 0, 5), (50, 0, 0), (51, 0, 0), (-47, 1, 3), (-50, 1, 0)):
        bench.decide(bench.ms, inventory)
        assert bench.result.target_lot[side] == lot
        assert bench.result.lot[side] <= 50 - abs(inventory) or lot == 0 == bench.result.lot[side]
        assert (bench.result.reasons[side] & R.LIMIT != 0) == (lot == 0)


def test_fills_free_a_side_and_are_requoted() -> None:
    bench = QuoteBench(rest_ms=0)
    bench.warm()
    standing = bench.state.lot[0]
    note_fill(bench.at[0], 0, standing - 4)
    assert (bench.state.lot[0], bench.stands()) == (4, [True, True])
    decide(*bench.at, bench.ms, 6)
    assert bench.result.reasons[0] & R.TOO_LITTLE
    note_fill(bench.at[0], 0, 1 << 50)
    note_gone(bench.at[0], 1)
    assert bench.stands() == [False, False]


def test_small_moves_and_young_quotes_stay() -> None:
    bench = QuoteBench(hysteresis_tick=3, rest_ms=200, edge_tick=20.0)
    bench.warm()
    bid, ask = bench.best
    kept = list(bench.state.tick)
    for step, move, action, reason in (
        (1, 1, QuoteAction.KEEP, R.HYSTERESIS),
        (2, 8, QuoteAction.KEEP, R.RESTING),
        (300, 8, QuoteAction.REPLACE, R.MOVED),
    ):
        bench.book(bench.ms + step, bid + move, 5, ask + move, 5)
        bench.decide(bench.ms + step, 0)
        for side in (0, 1):
            assert (bench.result.action[side], bench.result.reasons[side] & reason) == (
                action,
                reason,
            )
    assert list(bench.state.tick) != kept


def filled(overrides: list[str]) -> QuoteBench:
    bench, symbol = QuoteBench(), SYMBOL.new()
    symbol.tick_size, symbol.lot_size, symbol.maker_fee = 0.1, 0.001, 0.0002
    symbol.lot_min, symbol.notional_min = 1, 5.0
    settings = load(env_file=None, environ={}, overrides=overrides)
    fill_quote_parameters(bench.p, settings, symbol, 50_000.0)
    return bench


def test_settings_become_lots_and_ticks() -> None:
    p = filled(["quoting.quote_usd=199.0", "quoting.max_inventory_usd=1000.0"]).p
    assert (p.quote_lot, p.max_inventory_lot, p.lot_min, p.value_min) == (3, 20, 1, 50_000)
    assert (p.flow_lot, p.spread_max, p.maker_fee) == (5_000, 0.0005, 0.0002)
    assert QuoteModel(p.model) is QuoteModel.GLFT
    with pytest.raises(ValueError, match="reference price must be positive: price=nan"):
        fill_quote_parameters(p, load(env_file=None, environ={}), SYMBOL.new(), math.nan)


# Which symbols are quoted is no parameter of theirs.
NUMBERS = [knob for knob in KNOBS if knob.path != "quoting.symbols"]


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.path)
def test_every_allowed_setting_is_sound(knob: Any) -> None:
    values = knob.choices or (knob.minimum, knob.maximum)
    for value in values:
        bench = filled(["quoting.quote_usd=500.0", f"{knob.path}={value}"])
        # A quote of less than a lot is the one thing that depends on the symbol.
        assert are_parameters_sound(bench.at[1]) == (bench.p.quote_lot > 0), value
