"""Forward returns: a small series worked out by hand, and a slow twin over random ones."""

from __future__ import annotations

import numpy as np
import pytest

from bench.evaluation_returns import LATE_S, SILENCE_MS_MAX, Fees, Quotes, forward_returns

FEES = Fees(maker=0.0002, taker=0.0005)
# Mids: 100.0, 100.5, 101.0 (replaced at once by 101.5), then a silence, then 99.0.
ROWS = (
    (1_000, 99.5, 100.5),
    (1_100, 100.0, 101.0),
    (2_000, 100.5, 101.5),
    (2_000, 101.0, 102.0),
    (2_050, 101.0, 102.0),
    (12_000, 98.5, 99.5),
    (12_400, 98.5, 99.5),
)
QUOTES = Quotes(
    np.array([row[0] for row in ROWS]),
    np.array([row[1] for row in ROWS]),
    np.array([row[2] for row in ROWS]),
)


def forward(places: list[int], sides: list[int], horizon_s: float):
    return forward_returns(QUOTES, np.array(places), np.array(sides), horizon_s, FEES)


def test_mid_is_the_last_known_at_or_before_the_horizon():
    # 1000 + 100: exactly at 1100. 1000 + 999: still that of 1100. 1000 + 1000: of the two rows at
    # 2000 the one that was received last.
    for horizon_s, mid in ((0.1, 100.5), (0.999, 100.5), (1.0, 101.5)):
        found = forward([0], [1], horizon_s)
        assert found.gross.tolist() == pytest.approx([(mid / 100.0 - 1) * 1e4])


def test_sides_turn_the_sign():
    assert forward([0, 0], [1, -1], 1.0).gross.tolist() == pytest.approx([150.0, -150.0])


def test_fees_and_entries_by_hand():
    found = forward([0, 0], [1, -1], 1.0)
    # A buy as taker pays 100.5 and holds 101.5; a sell as taker gets 99.5 and owes 101.5.
    buy = (101.5 - 100.5 - 0.0005 * (100.5 + 101.5)) / 100.5
    sell = (99.5 - 101.5 - 0.0005 * (99.5 + 101.5)) / 99.5
    assert found.taker.tolist() == pytest.approx([buy * 1e4, sell * 1e4])
    # As maker the other way round: a buy at 99.5, a sell at 100.5.
    buy = (101.5 - 99.5 - 0.0002 * (99.5 + 101.5)) / 99.5
    sell = (100.5 - 101.5 - 0.0002 * (100.5 + 101.5)) / 100.5
    assert found.maker.tolist() == pytest.approx([buy * 1e4, sell * 1e4])


def test_late_starts_from_the_mid_then():
    # 2000 + 50 ms: 101.5 stands already, so nothing is left to gain by 2.1 s.
    assert LATE_S == 0.05
    found = forward([2], [1], 0.1)
    assert found.gross.tolist() == pytest.approx([(101.5 / 101.0 - 1) * 1e4])
    assert found.late.tolist() == [0.0]


def test_horizon_beyond_the_end_is_left_out_and_counted():
    found = forward([5, 6], [1, 1], 0.4)
    assert found.is_complete.tolist() == [True, False]
    assert found.left_out == 1 and found.gross.tolist() == [0.0]
    assert len(found.maker) == len(found.taker) == len(found.late) == 1


def test_horizon_in_a_silence_is_left_out_and_one_behind_it_is_not():
    limit_s = (2_050 + SILENCE_MS_MAX - 1_000) / 1000
    found = [forward([0], [1], s) for s in (limit_s, limit_s + 0.001, 11.0)]
    assert [f.left_out for f in found] == [0, 1, 0]
    assert found[0].gross.tolist() == pytest.approx([150.0])
    assert found[2].gross.tolist() == pytest.approx([-100.0])


def test_nothing_in_nothing_out():
    found = forward_returns(
        QUOTES, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 1.0, FEES
    )
    assert found.left_out == 0 and len(found.gross) == 0
    empty = Quotes(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
    assert empty.places_at(np.array([1.0])).tolist() == [-1]


def naive(rows: list[tuple[int, float, float]], place: int, side: int, horizon_s: float):
    """Return gross, maker and taker, or None: look through all rows."""
    time_ms, bid, ask = rows[place]
    end = time_ms + horizon_s * 1000
    if end > rows[-1][0]:
        return None
    known = [row for row in rows if row[0] <= end][-1]
    if end - known[0] > SILENCE_MS_MAX:
        return None
    then = (known[1] + known[2]) / 2
    gross = side * (then - (bid + ask) / 2) / ((bid + ask) / 2) * 1e4
    near, far = (bid, ask) if side > 0 else (ask, bid)
    nets = [
        (side * (then - price) - fee * (price + then)) / price * 1e4
        for price, fee in ((near, FEES.maker), (far, FEES.taker))
    ]
    return [gross, *nets]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_the_plain_twin(seed: int):
    generator = np.random.default_rng(seed)
    steps = generator.choice([0, 0, 1, 40, 300, 7_000], size=200)
    times = 5_000 + np.cumsum(steps)
    bid = (1_000 + np.cumsum(generator.integers(-2, 3, size=200))).astype(np.float64)
    ask = (bid + generator.integers(1, 4, size=200)).astype(np.float64)
    rows = list(zip(times.tolist(), bid.tolist(), ask.tolist(), strict=True))
    places = np.sort(generator.integers(0, 200, size=120))
    sides = generator.choice([-1, 1], size=120)
    for horizon_s in (0.1, 1.0, 5.0, 30.0):
        found = forward_returns(Quotes(times, bid, ask), places, sides, horizon_s, FEES)
        wanted = [
            naive(rows, place, side, horizon_s)
            for place, side in zip(places.tolist(), sides.tolist(), strict=True)
        ]
        assert found.is_complete.tolist() == [each is not None for each in wanted]
        kept = np.array([each for each in wanted if each is not None])
        got = np.column_stack([found.gross, found.maker, found.taker])
        assert np.allclose(got, kept, rtol=0, atol=1e-8)
