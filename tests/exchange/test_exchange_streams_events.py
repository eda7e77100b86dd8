"""Every market stream: its fields with their types, on its path."""

from __future__ import annotations

import json
import re

import pytest
from exchange_process import ExchangeProcess

DECIMAL = re.compile(r"-?\d+(\.\d+)?")
# Type letters: i integer, d decimal text, s other text, b boolean, l list of [price, quantity].
KLINE = "t:i T:i i:s f:i L:i o:d c:d h:d l:d v:d n:i x:b q:d V:d Q:d B:d"
DAY = "e:s E:i s:s ps:s p:d P:d w:d c:d Q:d o:d h:d l:d v:d q:d O:i C:i F:i L:i n:i st:i"
MINI = "e:s E:i s:s ps:s c:d o:d h:d l:d v:d q:d st:i"
MARK = "e:s E:i s:s p:d ap:d P:d i:d r:d T:i st:i"
DEPTH = "e:s E:i T:i s:s U:i u:i pu:i b:l a:l ps:s st:i"
BOOK = "e:s u:i s:s ps:s b:d B:d a:d A:d T:i E:i st:i"
FIELDS = {
    "public": {
        "btcusdt@trade": "e:s E:i T:i s:s t:i p:d q:d X:s m:b st:i",
        "btcusdt@bookTicker": BOOK,
        "!bookTicker": BOOK,
        "btcusdt@depth@100ms": DEPTH,
        "btcusdt@depth20": DEPTH,
    },
    "market": {
        "btcusdt@aggTrade": "e:s E:i s:s a:i p:d q:d nq:d f:i l:i T:i m:b st:i",
        "btcusdt@markPrice": MARK,
        "btcusdt@markPrice@1s": MARK,
        "!markPrice@arr": MARK,
        "!markPrice@arr@1s": MARK,
        "btcusdt@ticker": DAY,
        "!ticker@arr": DAY,
        "btcusdt@miniTicker": MINI,
        "!miniTicker@arr": MINI,
        "btcusdt@kline_1m": "e:s E:i s:s k:k",
        "btcusdt@kline_1M": "e:s E:i s:s k:k",
        "btcusdt_perpetual@continuousKline_1d": "e:s E:i ps:s ct:s k:c",
    },
}


def check(value: object, letter: str) -> None:
    if letter == "i":
        assert type(value) is int
    elif letter == "b":
        assert type(value) is bool
    elif letter == "l":
        assert isinstance(value, list)
        assert all(len(row) == 2 for row in value)
        for row in value:
            for text in row:
                check(text, "d")
    elif letter in "kc":
        check_fields(value, f"s:s {KLINE}" if letter == "k" else KLINE)
    else:
        assert type(value) is str
        assert letter != "d" or DECIMAL.fullmatch(value)


def check_fields(event: object, fields: str) -> None:
    wanted = dict(field.split(":") for field in fields.split())
    assert isinstance(event, dict)
    assert set(event) == set(wanted)
    for name, letter in wanted.items():
        check(event[name], letter)


@pytest.mark.system
@pytest.mark.parametrize("path", FIELDS)
def test_fields_and_types(synthetic: ExchangeProcess, path: str):
    wanted = FIELDS[path]
    stream = synthetic.connect(f"/{path}/stream?streams={'/'.join(wanted)}")
    missing = set(wanted)
    while missing:
        message = json.loads(stream.recv())
        missing.discard(message["stream"])
        data = message["data"]
        rows = data if isinstance(data, list) else [data]
        assert isinstance(data, list) == message["stream"].endswith(("@arr", "@arr@1s"))
        for row in rows:
            check_fields(row, wanted[message["stream"]])
            assert row.get("s", row.get("ps")) in ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    stream.close()
