"""The records of the feed, the codes they carry, and the only allocation of the stage.

Rows that say how a symbol stands (`SYNC`) lie in the stage's shared segment, so that they can be
read from outside; buffers are private anonymous memory whose pages cost nothing until touched.
"""

from __future__ import annotations

import ctypes
import mmap
from enum import IntEnum
from typing import Any

from config.settings import Settings
from shm.fields import CACHE_LINE_PAIR, Field, Record
from shm.tables import SYMBOL_NAME_SIZE

RECEIVE_SIZE = 256 * 1024  # bytes of one connection's buffer: the largest message there is room for
KEPT_SIZE = 512 * 1024  # bytes of depth updates kept per symbol while a snapshot is fetched
SNAPSHOT_SIZE = 512 * 1024  # bytes of a snapshot's body; 1000 levels a side take about 50 000
LEVEL_CAPACITY = 16_384  # levels of one message; a full receive buffer holds about 12 000
LEVEL_SIZE = 16  # price in ticks, quantity in lots
# The decoder reads whole words: that many bytes behind every text must be readable.
READ_AHEAD = 16
EPOLL_EVENT_MAX = 64

# What epoll reports beside the indices of connections.
TOKEN_DOORBELL = 1 << 20
TOKEN_WORKER = TOKEN_DOORBELL + 1


class Code(IntEnum):
    """What became of a message; negative, so that it can stand in for a position or a value."""

    OK = 0
    UNKNOWN_SHAPE = -1  # legal perhaps, but not for the compiled decoder: ask the JSON library
    MALFORMED = -2  # cut short, no JSON, or without a field it needs
    OFF_GRID = -3  # a price or quantity that is no whole tick or lot
    IGNORED = -4  # a kind or a symbol that is not used
    OVERFLOW = -5  # more levels than there is room for
    OTHER_SYMBOL = -6  # of another traded symbol than the connection's: decode with its filters


class Kind(IntEnum):
    """What a venue message is."""

    NONE = 0
    DEPTH = 1
    TRADE = 2
    AGGREGATE = 3
    BEST = 4
    SNAPSHOT = 5
    MARK = 6


class SyncState(IntEnum):
    """How a symbol's book stands."""

    UNSYNCED = 0  # no connection
    WAITING_SNAPSHOT = 1  # updates are kept until the snapshot is there
    SYNCED = 2


class Action(IntEnum):
    """What the sequence rules want done with a depth update."""

    APPLY = 1
    DROP = 2  # older than the snapshot
    BUFFER = 3
    BUFFER_ANEW = 4  # the ones kept so far do not connect with it: forget them, keep this one
    GAP = 5
    TOO_OLD = 6  # the snapshot ends before this update starts
    DUPLICATE = 7  # a second connection of the symbol was faster


class Outcome(IntEnum):
    """Why compiled code returned to Python."""

    NONE = 0
    FALLBACK = 1  # message_address and message_size want the JSON library
    CONTROL = 2  # a ping, pong or close frame
    CLOSED = 3  # the peer closed, or the socket failed: error_number
    ENCRYPTED = 4  # a TLS socket has bytes
    WORKER = 5  # the worker threads have results
    WOKEN = 6  # the doorbell rang
    SNAPSHOT_WANTED = 7  # a symbol's book has to be fetched
    TOO_LARGE = 8  # close with 1009
    PROTOCOL_ERROR = 9  # close with 1002


class Frame(IntEnum):
    """What the frame parser found."""

    INCOMPLETE = 0
    TEXT = 1
    BINARY = 2
    CONTROL = 3
    TOO_LARGE = 4
    PROTOCOL_ERROR = 5


SYNC = Record(
    "feed_symbol",
    "One per symbol: how its book stands, and its filters in the form the decoder wants.",
    [
        Field("name", "u8", "ASCII, zero padded", "feed", "the symbol", SYMBOL_NAME_SIZE),
        Field("name_size", "i64", "bytes", "feed", "length of the name"),
        Field("price_bits", "i64", "8 × digits", "feed", "decimals of prices"),
        Field("tick_unit", "i64", "units", "feed", "tick size"),
        Field("quantity_bits", "i64", "8 × digits", "feed", "decimals of quantities"),
        Field("lot_unit", "i64", "units", "feed", "lot size"),
        Field("symbol", "i64", "index", "feed", "row of the symbol table"),
        Field("state", "i64", "SyncState", "feed", "how the book stands"),
        Field("is_valid", "i64", "0 or 1", "feed", "readers hold a book"),
        Field("is_bridged", "i64", "0 or 1", "feed", "an update was applied since the snapshot"),
        Field("snapshot_id", "i64", "id", "feed", "lastUpdateId of the newest snapshot"),
        Field("last_id", "i64", "id", "feed", "u of the last update applied"),
        Field("source_count", "i64", "count", "feed", "connections that carry its depth"),
        Field("snapshot_wanted", "i64", "0 or 1", "feed", "asked of the snapshot thread"),
        Field("is_keeping", "i64", "0 or 1", "feed", "updates are kept although they are applied"),
        Field("requests_seen", "i64", "count", "feed", "book requests answered"),
        Field("venue_ns_last", "i64", "ns, venue clock", "feed", "newest event time"),
        Field("trade_id_last", "i64", "id", "feed", "newest trade; 0 = none"),
        Field("best_id_last", "i64", "id", "feed", "u of the newest best prices; 0 = none"),
        Field("kept", "i64", "address", "feed", "memory of the updates kept"),
        Field("kept_capacity", "i64", "bytes", "feed", "room there"),
        Field("kept_size", "i64", "bytes", "feed", "used"),
        Field("kept_count", "i64", "count", "feed", "updates kept"),
        Field("kept_last_id", "i64", "id", "feed", "u of the last one kept"),
    ],
    align=CACHE_LINE_PAIR,
)

KEPT = Record(
    "feed_kept",
    "A depth update kept until the snapshot is there; its levels follow, bids first.",
    [
        Field("size", "i64", "bytes", "feed", "of this record and its levels"),
        Field("origin_ns", "i64", "ns, monotonic", "feed", "receive stamp"),
        Field("venue_ns", "i64", "ns, venue clock", "feed", "event time"),
        Field("first_id", "i64", "id", "feed", "U"),
        Field("last_id", "i64", "id", "feed", "u"),
        Field("previous_id", "i64", "id", "feed", "pu; -1 where the venue has none (spot)"),
        Field("bid_count", "i64", "count", "feed", "levels of the bid side"),
        Field("ask_count", "i64", "count", "feed", "levels of the ask side"),
    ],
    size=64,
)

MESSAGE = Record(
    "feed_message",
    "One decoded venue message; its levels lie in the scratch array.",
    [
        Field("kind", "i64", "Kind", "decoder", "what it is"),
        Field("symbol", "i64", "index", "decoder", "row of the symbol table"),
        Field("seen", "i64", "bits by key", "decoder", "fields found"),
        Field("event_ms", "i64", "ms, venue clock", "decoder", "E"),
        Field("transaction_ms", "i64", "ms, venue clock", "decoder", "T"),
        Field("first_id", "i64", "id", "decoder", "U"),
        Field("last_id", "i64", "id", "decoder", "u, of a snapshot lastUpdateId"),
        Field("previous_id", "i64", "id", "decoder", "pu; -1 = absent"),
        Field("trade_id", "i64", "id", "decoder", "t, of an aggregate a"),
        Field("aggregate_id", "i64", "id", "decoder", "a, where it is a number"),
        Field("price_tick", "i64", "ticks", "decoder", "p"),
        Field("quantity_lot", "i64", "lots", "decoder", "q"),
        Field("bid_tick", "i64", "ticks", "decoder", "b"),
        Field("bid_lot", "i64", "lots", "decoder", "B"),
        Field("ask_tick", "i64", "ticks", "decoder", "a"),
        Field("ask_lot", "i64", "lots", "decoder", "A"),
        Field("is_sell", "i64", "0 or 1", "decoder", "m: the buyer was the maker"),
        Field("is_foreign", "i64", "0 or 1", "decoder", "X is not MARKET: no trade of the book"),
        Field("is_off_grid", "i64", "0 or 1", "decoder", "the price is no whole tick"),
        Field("bid_first", "i64", "index", "decoder", "first bid in the scratch array"),
        Field("bid_count", "i64", "count", "decoder", "bids"),
        Field("ask_first", "i64", "index", "decoder", "first ask in the scratch array"),
        Field("ask_count", "i64", "count", "decoder", "asks"),
        Field("off_lot_count", "i64", "count", "decoder", "levels cut to whole lots"),
        Field("level_count", "i64", "count", "decoder", "levels in the scratch array"),
        Field("level_capacity", "i64", "count", "feed", "room of the scratch array"),
        Field("levels", "i64", "address", "feed", "scratch array of (tick, lot) pairs"),
        Field("rows", "i64", "address", "feed", "feed_symbol rows"),
        Field("row_count", "i64", "count", "feed", "symbols traded"),
    ],
)

CONNECTION = Record(
    "feed_connection",
    "One WebSocket connection: its receive buffer and how far it has been parsed.",
    [
        Field("fd", "i64", "fd", "feed", "socket; -1 = closed"),
        Field("is_encrypted", "i64", "0 or 1", "feed", "TLS: Python receives"),
        Field("symbol", "i64", "index", "feed", "the symbol it carries"),
        Field("buffer", "i64", "address", "feed", "receive buffer"),
        Field("capacity", "i64", "bytes", "feed", "its size, without the bytes read ahead"),
        Field("start", "i64", "offset", "feed", "first byte not parsed"),
        Field("end", "i64", "offset", "feed", "behind the last byte received"),
        Field("fragment_opcode", "i64", "opcode", "feed", "of a fragmented message; 0 = none"),
        Field("fragment_start", "i64", "offset", "feed", "where its payload is put together"),
        Field("fragment_size", "i64", "bytes", "feed", "of the payload so far"),
        Field("message_address", "i64", "address", "feed", "payload of the frame found"),
        Field("message_size", "i64", "bytes", "feed", "its length"),
        Field("control_opcode", "i64", "opcode", "feed", "of a control frame"),
        Field("origin_ns", "i64", "ns, monotonic", "feed", "stamp of the last receive"),
        Field("error_number", "i64", "errno", "feed", "of the last failed receive; 0 = end"),
    ],
    align=CACHE_LINE_PAIR,
)

FEED = Record(
    "feed",
    "The context of the feed's compiled half.",
    [
        Field("outcome", "i64", "Outcome", "feed", "why it returned"),
        Field("outcome_connection", "i64", "index", "feed", "which connection it is about"),
        Field("unannounced", "i64", "count", "feed", "records published since the last doorbell"),
        Field("epoll_fd", "i64", "fd", "feed", "sockets, doorbell, worker"),
        Field("event_fd", "i64", "fd", "feed", "readable when the doorbell rings; -1 = none"),
        Field("epoll_events", "i64", "address", "feed", "array for epoll_wait"),
        Field("wait", "i64", "address", "feed", "waiting state"),
        Field("ring", "i64", "address", "feed", "broadcast ring"),
        Field("engine_doorbell", "i64", "address", "feed", "doorbell of the engine"),
        Field("risk_doorbell", "i64", "address", "feed", "doorbell of risk"),
        Field("counters", "i64", "address", "feed", "the feed's counters"),
        Field("histogram", "i64", "address", "feed", "latency histogram"),
        Field("connections", "i64", "address", "feed", "feed_connection rows"),
        Field("rows", "i64", "address", "feed", "feed_symbol rows"),
        Field("row_count", "i64", "count", "feed", "symbols traded"),
        Field("message", "i64", "address", "feed", "the message being worked on"),
        Field("book_requests", "i64", "address", "feed", "book_request rows"),
        Field("wanted_count", "i64", "count", "feed", "rows whose snapshot_wanted was set"),
        Field("scratch", "i64", "word", "feed", "target of reads that only clear an eventfd"),
    ],
)


def state_size(settings: Settings, symbol_count: int) -> int:
    """Return the bytes of the feed's shared segment."""
    return SYNC.size * max(symbol_count, 1)


def fill_filters(row: Any, symbol: Any, index: int) -> None:
    """Copy a symbol's name and filters into its row.

    Args:
        row: SYNC structure.
        symbol: SYMBOL structure.
        index: row of the symbol table.
    """
    row.name[:] = symbol.name[:]
    row.name_size = len(bytes(symbol.name).rstrip(b"\0"))
    row.price_bits = 8 * symbol.price_decimals
    row.tick_unit = symbol.tick_unit
    row.quantity_bits = 8 * symbol.quantity_decimals
    row.lot_unit = symbol.lot_unit
    row.symbol = index


class FeedMemory:
    """The feed's private memory in one anonymous mapping, as addresses and ctypes structures.

    Args:
        rows: address of the SYNC rows (shared segment).
        row_count: symbols traded.
        connection_count: connections there may be at once.
    """

    def __init__(self, rows: int, row_count: int, connection_count: int) -> None:
        self._size = 0
        parts = {
            "feed": FEED.size,
            "message": MESSAGE.size,
            "connections": CONNECTION.size * connection_count,
            "epoll_events": 16 * EPOLL_EVENT_MAX,
            "levels": LEVEL_SIZE * LEVEL_CAPACITY,
            "snapshot": SNAPSHOT_SIZE + READ_AHEAD,
            "receive": (RECEIVE_SIZE + READ_AHEAD) * connection_count,
            "kept": KEPT_SIZE * row_count,
        }
        offsets = {name: self._reserve(size) for name, size in parts.items()}
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.mapping = mmap.mmap(-1, self._size, flags=flags)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.mapping))
        self._places = {name: base + offset for name, offset in offsets.items()}
        self.rows_address = rows
        self.rows = [SYNC.at(rows + k * SYNC.size) for k in range(row_count)]
        self.message = MESSAGE.at(self._places["message"])
        self.feed = FEED.at(self._places["feed"])
        first = self._places["connections"]
        self.connections = [
            CONNECTION.at(first + k * CONNECTION.size) for k in range(connection_count)
        ]
        self._wire()

    def _reserve(self, size: int) -> int:
        start = self._size
        self._size += -(-size // 4096) * 4096
        return start

    def _wire(self) -> None:
        places, feed, message = self._places, self.feed, self.message
        feed.message, feed.connections = places["message"], places["connections"]
        feed.epoll_events = places["epoll_events"]
        feed.rows = message.rows = self.rows_address
        feed.row_count = message.row_count = len(self.rows)
        message.levels, message.level_capacity = places["levels"], LEVEL_CAPACITY
        for index, connection in enumerate(self.connections):
            connection.fd = -1
            connection.buffer = places["receive"] + index * (RECEIVE_SIZE + READ_AHEAD)
            connection.capacity = RECEIVE_SIZE
        for index, row in enumerate(self.rows):
            row.kept = places["kept"] + index * KEPT_SIZE
            row.kept_capacity = KEPT_SIZE

    def place(self, name: str) -> int:
        """Return the address of a part: feed, message, levels, snapshot."""
        return self._places[name]
