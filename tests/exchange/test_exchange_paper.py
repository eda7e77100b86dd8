"""The paper mode: the embedded exchange mirrors the venue that the feed reads."""

from __future__ import annotations

from pathlib import Path

from exchange_process import KEY, SECRET

from config.loader import load
from config.venues import VENUES, market_endpoints
from exchange.options import parse_options
from runtime.embedded import command_line


def exchange_options(monkeypatch, *overrides: str):
    monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)
    settings = load(overrides=list(overrides), env_file=None, environ={})
    command = command_line(settings, Path("exchange.log"), 1, "jit")
    assert command[1:3] == ["-m", "exchange"]
    return settings, parse_options(command[3:])


def test_paper_mirrors_where_the_feed_reads(monkeypatch):
    settings, options = exchange_options(monkeypatch, "venue.mode=paper")
    assert options.market == "live"
    assert options.upstream_rest == market_endpoints(settings.venue).rest_url
    assert options.upstream_rest == VENUES["live"].rest_url
    assert options.upstream_stream == VENUES["live"].stream_url
    assert options.symbols == list(settings.trading.symbols)


def test_the_simulation_gets_regime_and_kernel_mode(monkeypatch):
    _, options = exchange_options(monkeypatch, "exchange.regime=flash-crash")
    assert (options.market, options.regime, options.kernels) == (
        "synthetic",
        "flash-crash",
        "jit",
    )
