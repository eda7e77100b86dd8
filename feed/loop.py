"""The compiled half of the feed: wait, receive, parse, decode, apply, publish.

Python sees a message only when the decoder does not know its shape, and otherwise control frames,
closed sockets, TLS bytes, results of the worker threads, and snapshots that are wanted: `outcome`
says which. After it has dealt with one it calls `feed_drain` for the bytes still in that buffer.
"""

# ruff: noqa: SIM109  # a tuple would be built and searched at run time

from __future__ import annotations

from feed.apply import apply_snapshot, await_snapshot, settle
from feed.decoder import decode
from feed.frames import (
    BINARY,
    CONTROL,
    INCOMPLETE,
    TEXT,
    TOO_LARGE,
    make_room,
    next_frame,
)
from feed.publish import announce, write_invalid
from feed.state import (
    CONNECTION,
    EPOLL_EVENT_MAX,
    FEED,
    MESSAGE,
    SYNC,
    TOKEN_DOORBELL,
    TOKEN_WORKER,
    Code,
    Kind,
    Outcome,
)
from feed.sync import UNSYNCED, forget_kept
from runtime.clocks import mono_ns
from runtime.system_calls import (
    EAGAIN,
    EINTR,
    EPOLL_DATA_OFFSET,
    EPOLL_EVENT_SIZE,
    MSG_DONTWAIT,
    epoll_wait,
    error_number,
    read_file,
    receive,
)
from runtime.waits import arm, disarm, found_work, should_block
from shm.compiled import export, kernel
from shm.counters import offset
from shm.histograms import count
from shm.memory import load_i64
from shm.records import InvalidReason
from shm.tables import BOOK_REQUEST
from shm.views import view_of

feed_at = view_of(FEED)
connection_at = view_of(CONNECTION)
message_at = view_of(MESSAGE)
sync_at = view_of(SYNC)
request_at = view_of(BOOK_REQUEST)
SYNC_SIZE = SYNC.size
CONNECTION_SIZE = CONNECTION.size
REQUEST_SIZE = BOOK_REQUEST.size
SCRATCH = FEED.offset("scratch")

UNKNOWN_SHAPE = int(Code.UNKNOWN_SHAPE)
MALFORMED = int(Code.MALFORMED)
OK = int(Code.OK)
SNAPSHOT = int(Kind.SNAPSHOT)

NOTHING = int(Outcome.NONE)
FALLBACK = int(Outcome.FALLBACK)
CONTROL_FRAME = int(Outcome.CONTROL)
CLOSED = int(Outcome.CLOSED)
ENCRYPTED = int(Outcome.ENCRYPTED)
WORKER = int(Outcome.WORKER)
WOKEN = int(Outcome.WOKEN)
SNAPSHOT_WANTED = int(Outcome.SNAPSHOT_WANTED)
OUTCOME_TOO_LARGE = int(Outcome.TOO_LARGE)
OUTCOME_PROTOCOL_ERROR = int(Outcome.PROTOCOL_ERROR)

RESTART = int(InvalidReason.RESTART)

COUNT_FRAMES = offset("feed.frames")
COUNT_BYTES = offset("feed.bytes")
COUNT_IGNORED = offset("feed.ignored")
COUNT_CONTROL = offset("feed.control_frames")
MS_NS = 1_000_000


@kernel
def _row(feed: int, symbol: int) -> int:
    return feed_at(feed).rows + symbol * SYNC_SIZE


@kernel
def _connection(feed: int, index: int) -> int:
    return feed_at(feed).connections + index * CONNECTION_SIZE


@kernel
def _hand_over(feed: int, outcome: int, index: int) -> None:
    f = feed_at(feed)
    f.outcome = outcome
    f.outcome_connection = index


@kernel
def drain(feed: int, index: int) -> int:
    """Work off the bytes in a connection's buffer; return the messages among them.

    Stops early when Python is needed (`outcome`). Loop bound: one turn per frame.
    """
    f = feed_at(feed)
    connection = _connection(feed, index)
    c = connection_at(connection)
    done = 0
    found = next_frame(connection)
    while found == TEXT or found == BINARY:
        done += 1
        count(f.counters, COUNT_FRAMES, 1)
        if found == TEXT:
            code = decode(c.message_address, c.message_size, _row(feed, c.symbol), f.message)
            if code == UNKNOWN_SHAPE:
                _hand_over(feed, FALLBACK, index)
                return done
            settle(feed, code, c.origin_ns)
        else:  # Venue: market data is text.
            count(f.counters, COUNT_IGNORED, 1)
        found = next_frame(connection)
    if found == INCOMPLETE:
        make_room(connection)
    elif found == CONTROL:
        count(f.counters, COUNT_CONTROL, 1)
        _hand_over(feed, CONTROL_FRAME, index)
    elif found == TOO_LARGE:
        _hand_over(feed, OUTCOME_TOO_LARGE, index)
    else:
        _hand_over(feed, OUTCOME_PROTOCOL_ERROR, index)
    return done


@kernel
def _receive(feed: int, index: int) -> int:
    """Receive once from a plain socket and work it off; return the messages."""
    f = feed_at(feed)
    connection = _connection(feed, index)
    c = connection_at(connection)
    size = receive(c.fd, c.buffer + c.end, c.capacity - c.end, MSG_DONTWAIT)
    if size <= 0:
        number = error_number() if size < 0 else 0
        if size < 0 and (number == EAGAIN or number == EINTR):
            return 0
        c.error_number = number
        _hand_over(feed, CLOSED, index)
        return 0
    c.origin_ns = mono_ns()
    c.end += size
    count(f.counters, COUNT_BYTES, size)
    return drain(feed, index)


@kernel
def _look(feed: int, timeout_ms: int) -> int:
    """Ask epoll once and work off what is ready; return the messages.

    Stops at the first thing Python is needed for; epoll is level-triggered and reports the rest
    again. Loop bound: EPOLL_EVENT_MAX.
    """
    f = feed_at(feed)
    ready = epoll_wait(f.epoll_fd, f.epoll_events, EPOLL_EVENT_MAX, timeout_ms)
    done = 0
    for number in range(max(ready, 0)):
        event = f.epoll_events + number * EPOLL_EVENT_SIZE
        token = load_i64(event + EPOLL_DATA_OFFSET)
        if token == TOKEN_WORKER:
            _hand_over(feed, WORKER, 0)
        elif token == TOKEN_DOORBELL:
            read_file(f.event_fd, feed + SCRATCH, 8)
            _hand_over(feed, WOKEN, 0)
        elif connection_at(_connection(feed, token)).is_encrypted:
            _hand_over(feed, ENCRYPTED, token)
        else:
            done += _receive(feed, token)
        if f.outcome != NOTHING:
            break
    if f.outcome == NOTHING and f.wanted_count > 0:
        _hand_over(feed, SNAPSHOT_WANTED, 0)
    announce(feed)
    return done


@kernel
def _has_requests(feed: int) -> bool:
    """Return whether the engine asked for a book. Loop bound: the symbols traded."""
    f = feed_at(feed)
    for symbol in range(f.row_count):
        wanted = request_at(f.book_requests + symbol * REQUEST_SIZE).wanted
        if wanted != sync_at(_row(feed, symbol)).requests_seen:
            return True
    return False


@export(2)
def feed_run(feed: int, deadline_ns: int) -> int:
    """Receive and publish until the deadline or until Python is needed; return the messages.

    Args:
        feed: FEED; `outcome` says why it returned (NONE: the deadline).
        deadline_ns: monotonic.

    Loop bound: the deadline.
    """
    f = feed_at(feed)
    f.outcome = NOTHING
    done = 0
    now = mono_ns()
    while now < deadline_ns:
        found = _look(feed, 0)
        done += found
        if f.outcome != NOTHING:
            break
        if found > 0:
            found_work(f.wait)
        elif should_block(f.wait, now):
            timeout_ms = (deadline_ns - now) // MS_NS
            if timeout_ms <= 0:
                break
            arm(f.wait)
            if _has_requests(feed):
                _hand_over(feed, WOKEN, 0)
            else:
                done += _look(feed, timeout_ms)
            disarm(f.wait)
            if f.outcome != NOTHING:
                break
        now = mono_ns()
    return done


@export(2)
def feed_drain(feed: int, index: int) -> int:
    """Work off the bytes in a connection's buffer; return the messages. `outcome` as `feed_run`."""
    feed_at(feed).outcome = NOTHING
    done = drain(feed, index)
    announce(feed)
    return done


@export(2)
def feed_room(feed: int, index: int) -> int:
    """Return the bytes that may be received at a connection's `end`."""
    return make_room(_connection(feed, index))


@export(3)
def feed_settle(feed: int, code: int, origin_ns: int) -> int:
    """Publish or count the message that the JSON library decoded; returns 0."""
    settle(feed, code, origin_ns)
    announce(feed)
    return 0


@export(4)
def feed_decode_snapshot(feed: int, symbol: int, address: int, size: int) -> int:
    """Decode the body of a depth snapshot; return a `Code`. See `feed_apply_snapshot`."""
    f = feed_at(feed)
    code = decode(address, size, _row(feed, symbol), f.message)
    if code == OK and message_at(f.message).kind != SNAPSHOT:
        return MALFORMED
    return code


@export(3)
def feed_apply_snapshot(feed: int, symbol: int, origin_ns: int) -> int:
    """Apply the decoded snapshot; return 1, or 0 when it was too old and is wanted again."""
    done = apply_snapshot(feed, _row(feed, symbol), origin_ns)
    announce(feed)
    return done


@export(2)
def feed_await_snapshot(feed: int, symbol: int) -> int:
    """Want a fresh snapshot of a symbol whose stream is up; returns 0."""
    await_snapshot(feed, _row(feed, symbol))
    announce(feed)
    return 0


@export(3)
def feed_lose(feed: int, symbol: int, reason: int) -> int:
    """Withdraw a symbol's book because its stream is gone; returns 0.

    INVALID is published at a restart, and when readers were given a book. Ids start over: a new
    subscription brings new events only, and a venue that was restarted counts from anew.
    """
    row = _row(feed, symbol)
    r = sync_at(row)
    if r.is_valid or reason == RESTART:
        write_invalid(feed, row, reason)
    forget_kept(row)
    r.state = UNSYNCED
    r.is_bridged = 0
    r.is_keeping = 0
    r.snapshot_wanted = 0
    r.trade_id_last = 0
    r.best_id_last = 0
    announce(feed)
    return 0
