import json
import random
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feed import fallback
from feed.decoder import feed_decode
from feed.state import Code
from tests.feed.feed_samples import (
    AGGREGATE,
    BEST,
    DEPTH,
    FILTERS,
    MARK,
    RECORDINGS,
    SAMPLES,
    SNAPSHOT,
    SPOT,
    SYMBOLS,
    TRADE,
    Bench,
    fields_of,
    recording,
    reshaped,
)
from tests.naive import feed_decoder as naive

BENCH = Bench()


def slow(bench, text, expected=0):
    """Decode with the JSON library of the product."""
    raw = text.encode() if isinstance(text, str) else text
    code = fallback.decode(raw, expected, bench.memory.rows, bench.message)
    return code.name, fields_of(bench.message) if code is Code.OK else {}


def check(text, expected=0, bench=BENCH, filters=FILTERS):
    """Compare both decoders with the twin; the compiled one may pass a message on, never guess."""
    wanted = naive.decode(text, filters, expected)
    quick = bench.decode(feed_decode, text, expected)
    if quick[0] != "UNKNOWN_SHAPE":
        assert quick == wanted, text
    assert slow(bench, text, expected) == wanted, text
    return quick[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_decoded_by_the_compiled_decoder(name):
    assert check(SAMPLES[name]) == "OK"


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t: ")])
@pytest.mark.parametrize("seed", range(4))
def test_field_order_and_spacing_do_not_matter(name, separators, seed):
    keys = random.Random(seed)
    text = reshaped(SAMPLES[name], lambda _: keys.random(), separators)
    if seed == 3:
        text = f" \r\n{text} "
    assert check(text) == "OK"


FIELDS = (
    # what differs | message | code of the compiled decoder | code in the end
    ("another symbol's filters", BEST.replace("BTCUSDT", "ETHUSDT"), "OK", "OK"),
    ("a tick of 0.0005", TRADE.replace("BTCUSDT", "1000SHIBUSDC").replace("0.003", "20"),
     "OK", "OK"),
    ("a symbol that is not traded", BEST.replace("BTCUSDT", "XRPUSDT"), "IGNORED", "IGNORED"),
    ("a longer symbol", BEST.replace("BTCUSDT", "BTCUSDTX"), "IGNORED", "IGNORED"),
    ("off the tick", TRADE.replace("63943.90", "63943.95"), "OFF_GRID", "OFF_GRID"),
    ("off the lot", TRADE.replace("0.003", "0.0031"), "OFF_GRID", "OFF_GRID"),
    ("a level off the tick", DEPTH.replace("63944.00", "63944.01"), "OFF_GRID", "OFF_GRID"),
    ("a level's quantity off the lot", DEPTH.replace("569.567", "569.56789"), "OK", "OK"),
    ("a level below one lot", DEPTH.replace("569.567", "0.00009"), "OK", "OK"),
    ("price 0", TRADE.replace("63943.90", "0"), "MALFORMED", "MALFORMED"),
    ("negative price", TRADE.replace("63943.90", "-1"), "UNKNOWN_SHAPE", "MALFORMED"),
    ("NaN", TRADE.replace('"63943.90"', "NaN"), "UNKNOWN_SHAPE", "MALFORMED"),
    ("price as a number", TRADE.replace('"63943.90"', "63943.90"), "UNKNOWN_SHAPE", "OK"),
    ("exponent", TRADE.replace("63943.90", "6.39439e4"), "UNKNOWN_SHAPE", "OK"),
    ("exponent bomb", TRADE.replace("63943.90", "1e999999"), "UNKNOWN_SHAPE", "MALFORMED"),
    ("escape in a name", TRADE.replace('"p"', '"\\u0070"'), "UNKNOWN_SHAPE", "OK"),
    ("escape in an unknown value", TRADE.replace('"X":', '"y":"\\"}","X":'), "OK", "OK"),
    ("insurance fund", TRADE.replace("MARKET", "INSURANCE_FUND"), "IGNORED", "IGNORED"),
    ("nested unknown value", BEST.replace('"u"', '"z":[{"a":["]}"]},null],"u"'), "OK", "OK"),
    ("unknown kind", TRADE.replace('"trade"', '"kline"'), "IGNORED", "IGNORED"),
    ("an answer to a request", '{"result":null,"id":1}', "IGNORED", "IGNORED"),
    ("a list", "[1,2]", "UNKNOWN_SHAPE", "IGNORED"),
    ("no symbol", TRADE.replace('"s":"BTCUSDT",', ""), "UNKNOWN_SHAPE", "MALFORMED"),
    ("no quantity", TRADE.replace('"q":"0.003",', ""), "UNKNOWN_SHAPE", "MALFORMED"),
    ("17 digits", TRADE.replace("5182005737", "51820057371234567"), "UNKNOWN_SHAPE", "OK"),
    ("beyond a word", TRADE.replace("5182005737", "9" * 20), "UNKNOWN_SHAPE", "MALFORMED"),
    ("long digits", TRADE.replace("0.003", "123456789012.003000000"), "OK", "OK"),
    ("19 digits", TRADE.replace("0.003", "1234567890123456789"), "UNKNOWN_SHAPE", "MALFORMED"),
    ("spot depth", DEPTH.replace('"pu":4984028367494,', ""), "OK", "OK"),
    ("empty sides", '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[ ]}',
     "OK", "OK"),
    ("level with a third item", DEPTH.replace('"0.000"]', '"0.000",[]]'), "UNKNOWN_SHAPE", "OK"),
    ("a mark price half a tick up", MARK.replace("63943.95612174", "63943.95"), "OK", "OK"),
    ("a mark price just below it", MARK.replace("63943.95612174", "63943.94999999"), "OK", "OK"),
    ("a mark price of nine digits", MARK.replace("612174", "6121749"), "OK", "OK"),
    ("a mark price of 0", MARK.replace("63943.95612174", "0.00000000"), "MALFORMED", "MALFORMED"),
    ("text behind the message", TRADE + "x", "UNKNOWN_SHAPE", "MALFORMED"),
    ("two quantities", BEST.replace('"B":', '"B":"1","B":'), "UNKNOWN_SHAPE", "OK"),
    ("empty text", "", "MALFORMED", "MALFORMED"),
    ("deep nesting", '{"z":' + "[" * 50_000 + "]" * 50_000 + "}", "IGNORED", "MALFORMED"),
)  # fmt: skip


@pytest.mark.parametrize(("what", "text", "quick", "final"), FIELDS, ids=[row[0] for row in FIELDS])
def test_fields(what, text, quick, final):
    code, fields = BENCH.decode(feed_decode, text)
    assert code == quick
    wanted = naive.decode(text, FILTERS, 0)
    if what in ("exponent bomb", "beyond a word", "19 digits"):
        assert slow(BENCH, text)[0] == "MALFORMED"  # the twin has no word to overflow
    else:
        assert slow(BENCH, text) == wanted
        assert wanted[0] == final
        if quick == "OK":
            assert fields == wanted[1]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("behind", [b"\x00", b'"', b"1", b"}", b","])
def test_a_message_cut_at_any_byte_is_never_taken(name, behind):
    text = SAMPLES[name].encode()
    for size in range(len(text)):
        code, _ = BENCH.decode(feed_decode, text[:size], behind=behind)
        assert code in ("MALFORMED", "UNKNOWN_SHAPE", "IGNORED"), (size, code)
        assert slow(BENCH, text[:size])[0] == "MALFORMED"


def test_a_scratch_array_that_is_full_overflows():
    bench = Bench()
    bench.message.level_capacity = 3
    assert bench.decode(feed_decode, DEPTH)[0] == "OVERFLOW"
    assert slow(bench, DEPTH)[0] == "OVERFLOW"


@pytest.mark.parametrize("seed", range(6))
def test_mutated_messages_never_crash_and_are_never_misread(seed):
    print("seed", seed)
    chance = random.Random(seed)
    signs = [s.encode() for s in '"{}[],:.-\\0189eEaAbBupsTt \n'] + [b"\xff", b"\x80", b"\x00"]
    texts = [text.encode() for text in SAMPLES.values()]
    for _ in range(1500):
        text = bytearray(chance.choice(texts))
        for _ in range(chance.choice((1, 1, 2, 5))):
            where = chance.randrange(len(text))
            text[where : where + chance.choice((0, 1, 1, 7))] = chance.choice(signs)
        code, fields = BENCH.decode(feed_decode, bytes(text), behind=chance.choice(signs))
        wanted = naive.decode(bytes(text), FILTERS, 0)
        if wanted[0] == "OK" and code not in ("UNKNOWN_SHAPE", "OFF_GRID"):
            assert (code, fields) == wanted, bytes(text)
        finally_ = slow(BENCH, bytes(text))
        if finally_[0] == "OK":
            assert finally_ == wanted, bytes(text)


quantities = st.integers(0, 10**13).map(lambda n: f"{n // 1000}.{n % 1000:03d}")
prices = st.integers(1, 10**13).map(lambda n: f"{n // 10}.{n % 10}" + "0" * (n % 9))
level_lists = st.lists(st.tuples(prices, quantities).map(list), max_size=30)
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**20)
unknown = st.recursive(
    scalars | st.text(string.printable, max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    bids=level_lists, asks=level_lists, ids=st.tuples(*[st.integers(0, 10**16)] * 4),
    extra=unknown, order=st.integers(0, 2**32), compact=st.booleans(),
)  # fmt: skip
@example(bids=[["0.1", "0"]], asks=[], ids=(0, 9, 99, 999), extra={"b": []}, order=1, compact=True)
def test_generated_depth(bids, asks, ids, extra, order, compact):
    data = {
        "e": "depthUpdate",
        "E": ids[0] % (9 * 10**12),
        "s": "BTCUSDT",
        "U": ids[1],
        "u": ids[2],
    }
    data |= {"pu": ids[3], "b": bids, "a": asks, "st": extra, "zz": extra}
    keys = random.Random(order)
    text = reshaped(
        json.dumps({"stream": "x", "data": data}, ensure_ascii=False),
        lambda _: keys.random(),
        (",", ":") if compact else (", ", ": "),
    )
    check(text)


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings in ../shared are absent")
@pytest.mark.parametrize(
    ("name", "symbols", "expected"),
    [
        ("usdm_btcusdt_20240718.gz", SYMBOLS, 0),
        ("usdm_ethusdt_20240718.gz", SYMBOLS, 1),
        ("spot_ethusdt_20240808.gz", SPOT, 0),
    ],
)
def test_recordings_are_decoded_as_the_twin_does(name, symbols, expected):
    bench = Bench(symbols)
    filters = [naive.Filters(*row[:3]) for row in symbols]
    seen = 0
    for _, text in recording(name):
        wanted = naive.decode(text, filters, expected)
        assert wanted[0] == "OK"
        assert bench.decode(feed_decode, text, expected) == wanted, text
        seen += 1
        if seen % 50 == 0:
            assert slow(bench, text, expected) == wanted
    assert seen > 10_000


def test_aggregates_and_snapshots_keep_their_ids():
    assert BENCH.decode(feed_decode, AGGREGATE)[1]["id"] == 5933014
    assert BENCH.decode(feed_decode, SNAPSHOT)[1]["u"] == 4984028384061
