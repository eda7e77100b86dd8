"""Memory, symbols and sample messages that the feed's tests share."""

import ctypes
import gzip
import json
import mmap
from pathlib import Path

from feed.state import READ_AHEAD, SYNC, Code, FeedMemory, Kind, fill_filters
from shm.tables import SYMBOL, write_symbol_name
from tests.naive.feed_decoder import Filters

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "capture"

# name, tick, lot, (price decimals, tick unit), (quantity decimals, lot unit)
SYMBOLS = (
    ("BTCUSDT", "0.1", "0.001", (1, 1), (3, 1)),
    ("ETHUSDT", "0.01", "0.001", (2, 1), (3, 1)),
    ("1000SHIBUSDC", "0.0005", "10", (4, 5), (0, 10)),
)
FILTERS = [Filters(name, tick, lot) for name, tick, lot, _, _ in SYMBOLS]
SPOT = (("ETHUSDT", "0.01", "0.0001", (2, 1), (4, 1)),)

DEPTH = (
    '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1721347022504,"T":1721347022503,'
    '"s":"BTCUSDT","U":4984028367545,"u":4984028370730,"pu":4984028367494,'
    '"b":[["1000.00","569.567"],["63943.90","0.000"]],"a":[["63944.00","1"],["70000","2.5"]]}}'
)
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022956,"T":1721347022955,'
    '"s":"BTCUSDT","t":5182005737,"p":"63943.90","q":"0.003","X":"MARKET","m":true}}'
)
AGGREGATE = (
    '{"e":"aggTrade","E":1721347022956,"a":5933014,"s":"BTCUSDT","p":"63943.9","q":"100","nq":"1",'
    '"f":100,"l":105,"T":1721347022955,"m":false,"st":1}'
)
BEST = (
    '{"e":"bookTicker","u":400900217,"s":"BTCUSDT","ps":"BTCUSDT","b":"63943.90","B":"46.371",'
    '"a":"63944.00","A":"0.095","T":1721347022507,"E":1721347022508}'
)
BEST_SPOT = (
    '{"u":400900217,"s":"BTCUSDT","b":"63943.90000000","B":"31.21000000","a":"63944.00000000",'
    '"A":"40.66000000"}'
)
SNAPSHOT = (
    '{"lastUpdateId":4984028384061,"E":1721347022759,"T":1721347022750,'
    '"bids":[["63943.90","46.372"],["63943.80","0.007"]],"asks":[["63944.00","0.100"]]}'
)
MARK = (
    '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1721347023000,'
    '"s":"BTCUSDT","p":"63943.95612174","ap":"63943.95000000","P":"63950.11000000",'
    '"i":"63970.20534884","r":"0.00010000","T":1721376000000,"st":1}}'
)
SAMPLES = {
    "depth": DEPTH,
    "trade": TRADE,
    "aggregate": AGGREGATE,
    "best": BEST,
    "best_spot": BEST_SPOT,
    "snapshot": SNAPSHOT,
    "mark": MARK,
}

_KIND_NAMES = {
    Kind.DEPTH: "depthUpdate",
    Kind.TRADE: "trade",
    Kind.AGGREGATE: "aggTrade",
    Kind.BEST: "bookTicker",
    Kind.SNAPSHOT: "snapshot",
    Kind.MARK: "markPriceUpdate",
}


class Bench:
    """A feed's memory without a feed, and a guarded page for texts."""

    def __init__(self, symbols=SYMBOLS, connection_count=1):
        self._rows = (ctypes.c_uint8 * (SYNC.size * len(symbols) + 128))()
        rows = (ctypes.addressof(self._rows) + 127) // 128 * 128
        self.memory = FeedMemory(rows, len(symbols), connection_count)
        for index, (name, _, _, price, quantity) in enumerate(symbols):
            row = SYMBOL.new()
            write_symbol_name(row, name)
            row.price_decimals, row.tick_unit = price
            row.quantity_decimals, row.lot_unit = quantity
            fill_filters(self.memory.rows[index], row, index)
        self.message = self.memory.message
        self._guarded = mmap.mmap(-1, 33 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._guarded))
        self._page_end = base + 32 * 4096
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        assert libc.mprotect(self._page_end, 4096, 0) == 0

    def put(self, text, behind=b"\x00"):
        """Place a text so that only 16 bytes can be read behind it; return its address."""
        address = self._page_end - READ_AHEAD - len(text)
        ctypes.memmove(address, text + behind * READ_AHEAD, len(text) + READ_AHEAD)
        return address

    def grid(self, expected=0):
        return self.memory.rows_address + expected * SYNC.size

    def decode(self, function, text, expected=0, behind=b"\x00"):
        """Decode with an exported kernel; return (code, fields)."""
        text = text.encode() if isinstance(text, str) else text
        address = self.put(text, behind)
        code = function(address, len(text), self.grid(expected), self.memory.place("message"))
        return Code(code).name, fields_of(self.message) if code == Code.OK else {}


def fields_of(message):
    """Return a decoded message in the form of the naive twin."""
    m, kind = message, Kind(message.kind)
    out = {"kind": _KIND_NAMES[kind], "E": m.event_ms, "T": m.transaction_ms, "symbol": m.symbol}
    if kind in (Kind.TRADE, Kind.AGGREGATE):
        out |= {"id": m.trade_id, "sell": bool(m.is_sell)}
        return out | {"price": m.price_tick, "lot": m.quantity_lot}
    if kind is Kind.MARK:
        return out | {"price": m.price_tick}
    out["u"] = m.last_id
    if kind is Kind.BEST:
        out |= {"bid": m.bid_tick, "bid_lot": m.bid_lot}
        return out | {"ask": m.ask_tick, "ask_lot": m.ask_lot}
    if kind is Kind.DEPTH:
        out |= {"U": m.first_id, "pu": m.previous_id}
    pairs = (ctypes.c_int64 * (2 * m.level_count)).from_address(m.levels) if m.level_count else ()
    for side, first, count in (
        ("bids", m.bid_first, m.bid_count),
        ("asks", m.ask_first, m.ask_count),
    ):
        out[side] = [(pairs[2 * k], pairs[2 * k + 1]) for k in range(first, first + count)]
    return out


def recording(name):
    """Yield (receive time in ns, message) of a recording."""
    with gzip.open(RECORDINGS / name) as lines:
        for line in lines:
            stamp, text = line.split(b" ", 1)
            yield int(stamp), text.strip()


def reshaped(text, order, separators):
    """Return a message with its fields in another order and other spacing."""
    value = json.loads(text)

    def shuffled(item):
        if isinstance(item, dict):
            names = sorted(item, key=order)
            return {name: shuffled(item[name]) for name in names}
        return item

    return json.dumps(shuffled(value), separators=separators)
