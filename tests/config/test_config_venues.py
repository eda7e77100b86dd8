"""Hosts by mode, and the ones that a mode refuses."""

import pytest

from config.errors import ConfigError
from config.loader import load
from config.venues import VENUES, Endpoints, market_endpoints, order_endpoints

EMBEDDED = Endpoints("http://h:1", "ws://h:1", "ws://h:1/private", "ws://h:1/ws-fapi/v1")


def venue(mode, *overrides):
    environ = {"USE_TESTNET": "false"}
    sets = [f"venue.mode={mode}", "exchange.capture=a.gz", *overrides]
    return load(env_file=None, environ=environ, overrides=sets).venue


@pytest.mark.parametrize(
    ("mode", "market", "orders"),
    [
        ("sim", EMBEDDED, EMBEDDED),
        ("capture", EMBEDDED, EMBEDDED),
        ("paper", VENUES["live"], EMBEDDED),
        ("testnet", VENUES["testnet"], VENUES["testnet"]),
        ("live", VENUES["live"], VENUES["live"]),
    ],
)
def test_mode_decides_where_prices_come_from_and_orders_go(mode, market, orders):
    assert market_endpoints(venue(mode), EMBEDDED) == market
    assert order_endpoints(venue(mode), EMBEDDED) == orders


@pytest.mark.parametrize("mode", ["sim", "capture", "paper"])
def test_embedded_orders_without_the_exchange_are_refused(mode):
    with pytest.raises(ConfigError, match="needs the URLs of the embedded exchange"):
        order_endpoints(venue(mode))


def test_set_url_stands_in_for_the_modes_own_but_not_for_orders_of_paper():
    url = "https://proxy.example:8443"
    assert market_endpoints(venue("live", f"venue.rest_url={url}")).rest_url == url
    assert order_endpoints(venue("live", f"venue.rest_url={url}")).rest_url == url
    paper = venue("paper", f"venue.rest_url={url}")
    assert market_endpoints(paper).rest_url == url
    assert order_endpoints(paper, EMBEDDED) == EMBEDDED


def test_rows_are_encrypted_and_share_no_host():
    hosts = {name: {url.split("/")[2] for url in row[:4]} for name, row in VENUES.items()}
    assert not hosts["live"] & hosts["testnet"]
    for row in VENUES.values():
        assert row.rest_url.startswith("https://")
        assert all(url.startswith("wss://") for url in row[1:4])


@pytest.mark.parametrize(
    ("mode", "override", "why"),
    [
        ("testnet", "venue.rest_url=https://fapi.binance.com", "is a host of live"),
        ("testnet", "venue.rest_url=https://FAPI.binance.com.:443/x", "is a host of live"),
        ("testnet", "venue.ws_api_url=wss://ws-fapi.binance.com/ws-fapi/v1", "is a host of live"),
        ("live", "venue.stream_url=wss://demo-fstream.binance.com", "is a host of testnet"),
        ("live", "venue.rest_url=http://proxy.example", "is not encrypted"),
        ("live", "venue.rest_url=http://127.0.0.1.example", "is not encrypted"),
        ("testnet", "venue.stream_url=ws://10.0.0.1:80", "is not encrypted"),
    ],
)
def test_url_that_contradicts_the_mode_is_refused(mode, override, why):
    with pytest.raises(ConfigError) as caught:
        venue(mode, override)
    assert caught.value.key == override.partition("=")[0]
    assert why in caught.value.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"])
def test_plain_text_on_this_machine_is_allowed(url):
    assert venue("testnet", f"venue.rest_url={url}").rest_url == url
    assert venue("sim", "venue.rest_url=http://other.example").rest_url == "http://other.example"
