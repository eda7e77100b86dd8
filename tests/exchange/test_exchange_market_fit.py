"""The comparison of recordings and synthetic market: it runs, and sees what was recorded."""

from __future__ import annotations

import math

import pytest
from synthetic_bench import kernels

from bench.market_fit import REGIMES, STATISTICS, main
from bench.market_tape import recorded, synthetic


@pytest.mark.recordings
def test_a_recordings_statistics_are_those_counted_by_hand(recordings):
    (tape,) = recorded([recordings / "usdm_ethusdt_20240718.gz"])
    assert sum(fills for *_, fills in tape.takers) == 1_640
    assert len(tape.tops) == 9_089
    assert STATISTICS["takers per s"](tape) == pytest.approx(4.45, abs=0.05)
    assert STATISTICS["time at one tick spread"](tape) > 0.999


def test_every_statistic_is_a_number_for_a_synthetic_tape():
    tape = synthetic(kernels(), "ETHUSDT", "trending", 30.0, 7, 120.0)
    assert 29.0 < tape.span_s < 31.0
    for name, statistic in STATISTICS.items():
        assert math.isfinite(statistic(tape)), name


@pytest.mark.recordings
def test_the_table_has_a_column_for_each_file_and_regime(recordings, capsys):
    path = recordings / "usdm_btcusdt_20240718.gz"
    assert main(["--capture", str(path), "--seconds", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "BTCUSDT"
    assert all(name in lines[1] for name in ("20240718", *REGIMES))
    assert len(lines) == 3 + len(STATISTICS)
