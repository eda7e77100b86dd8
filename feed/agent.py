"""The feed's agent: opens and watches connections, deals with what compiled code hands back."""

from __future__ import annotations

import ctypes
import os
import queue
import time
from typing import Any

import websocket

from feed import fallback
from feed.connection import (
    CLOSE_NORMAL,
    CLOSE_PROTOCOL_ERROR,
    CLOSE_TOO_LARGE,
    Connection,
    Handshake,
    Links,
)
from feed.poller import Poller
from feed.snapshots import Answer, SnapshotDesk
from feed.state import (
    SNAPSHOT_SIZE,
    TOKEN_DOORBELL,
    TOKEN_WORKER,
    Code,
    FeedMemory,
    Outcome,
    SyncState,
    fill_filters,
)
from feed.venue import receive_into, refusal_of_busy_poll, snapshot_request, streams
from feed.workers import Worker
from runtime.stage import StageContext
from shm.records import InvalidReason
from shm.tables import BOOK_REQUEST

S_NS = 1_000_000_000
MS_NS = 1_000_000
OPCODE_CLOSE, OPCODE_PING = 0x8, 0x9
CLOSE_TIME_S = 0.5


class FeedStartError(RuntimeError):
    """Not all market streams could be opened in time."""


class Agent:
    """Runs the stage; see runtime.stage."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._log = context.log
        self._kernels = context.kernels
        self._counters = context.memory.counters
        venue = context.settings.venue
        self._streams = streams(context.market_endpoints, venue, context.symbols)
        # Each stream has a second slot for the connection that takes over from an old one.
        self._slot_count = 2 * len(self._streams)
        self._timeout_s = venue.request_timeout_ms / 1000
        self._status_ns = context.settings.performance.status_interval_s * S_NS
        self._next_status_ns = 0
        self._busy_poll = context.settings.optimization.KERNEL_BYPASS

    def on_start(self) -> None:
        """Withdraw all books, connect everything; READY once every stream is subscribed.

        Raises:
            FeedStartError: a stream could not be opened within supervisor.ready_timeout_s.
        """
        context = self._context
        shared = context.memory
        if context.restarted:
            recovered = self._kernels.ring_recover(shared.ring("market"))
            self._log.info("market ring recovered", records=recovered)
        self._memory = FeedMemory(shared.state("feed"), len(context.symbols), self._slot_count)
        for index, row in enumerate(self._memory.rows):
            fill_filters(row, shared.symbol(index), index)
            row.source_count = row.venue_ns_last = 0
            row.requests_seen = self._wanted(index)
        self._wire()
        for index in range(len(context.symbols)):
            self._kernels.feed_lose(self._address, index, int(InvalidReason.RESTART))
        self._open_workers()
        self._connect_all()

    def _wire(self) -> None:
        """Give the compiled half its addresses and file descriptors."""
        context, feed = self._context, self._memory.feed
        shared = context.memory
        self._feed = feed
        self._address = self._memory.place("feed")
        self._poller = Poller()
        self._worker_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        feed.epoll_fd = self._poller.fd
        feed.event_fd = context.event_fd
        feed.wait = context.wait_address
        feed.ring = shared.ring("market")
        feed.engine_doorbell, feed.risk_doorbell = (
            shared.doorbell("engine"),
            shared.doorbell("risk"),
        )
        feed.counters = shared.counters.block("feed")
        feed.histogram = shared.histograms.address_of("feed")
        feed.book_requests = shared.book_request_address(0)
        self._poller.add(self._worker_fd, TOKEN_WORKER)
        if context.event_fd >= 0:
            os.set_blocking(context.event_fd, False)
            self._poller.add(context.event_fd, TOKEN_DOORBELL)

    def _open_workers(self) -> None:
        context, venue = self._context, self._context.settings.venue
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._requester = Worker("feed-snapshots", self._results, self._worker_fd)
        self._connector = Worker("feed-connections", self._results, self._worker_fd)
        targets = [
            snapshot_request(context.market_endpoints, venue, symbol) for symbol in context.symbols
        ]
        seed = os.getpid()
        self._desk = SnapshotDesk(targets, self._requester, self._timeout_s, seed)
        slots = self._memory.connections
        self._links = Links(
            self._streams,
            self._connector,
            self._timeout_s,
            venue.stale_connection_ms * MS_NS,
            lambda slot: slots[slot].origin_ns,
            seed,
        )

    def _connect_all(self) -> None:
        limit_s = self._context.settings.supervisor.ready_timeout_s
        deadline_ns = time.monotonic_ns() + int(limit_s * 0.9 * S_NS)
        while self._links.missing:
            if time.monotonic_ns() >= deadline_ns:
                missing = ", ".join(
                    f"{link.stream.label} ({link.problem or 'no answer'})"
                    for link in self._links.missing
                )
                raise FeedStartError(f"market streams not open: within_s={limit_s} {missing}")
            self.do_work()

    def do_work(self) -> int:
        """Receive and publish for at most one cycle; return the messages worked off."""
        now_ns = time.monotonic_ns()
        next_ns = self._housekeep(now_ns)
        deadline_ns = min(now_ns + self._context.cycle_ns, max(next_ns, now_ns + MS_NS))
        done = self._kernels.feed_run(self._address, deadline_ns)
        while self._feed.outcome != Outcome.NONE:
            outcome, slot = Outcome(self._feed.outcome), self._feed.outcome_connection
            self._feed.outcome = int(Outcome.NONE)
            if self._deal(outcome, slot):
                done += self._drain(slot)
        return done

    def _drain(self, slot: int) -> int:
        done = self._kernels.feed_drain(self._address, slot)
        connection = self._links.connection(slot)
        encrypted = connection.opened if connection and connection.opened.is_encrypted else None
        # What TLS has decrypted already makes no socket readable.
        if encrypted and self._feed.outcome == Outcome.NONE and encrypted.socket.pending():
            self._feed.outcome = int(Outcome.ENCRYPTED)
            self._feed.outcome_connection = slot
        return done

    def _deal(self, outcome: Outcome, slot: int) -> bool:
        """Do what compiled code cannot; return whether the slot's buffer is to be drained on."""
        if outcome is Outcome.WORKER:
            self._take_results()
        elif outcome is Outcome.SNAPSHOT_WANTED:
            self._feed.wanted_count = 0
            self._request_snapshots(time.monotonic_ns())
        elif outcome is not Outcome.WOKEN:
            connection = self._links.connection(slot)
            if connection is not None:
                return self._deal_with(outcome, connection)
        return False

    def _deal_with(self, outcome: Outcome, connection: Connection) -> bool:
        if outcome is Outcome.FALLBACK:
            return self._decode_slowly(connection.slot)
        if outcome is Outcome.ENCRYPTED:
            return self._receive_encrypted(connection)
        if outcome is Outcome.CONTROL:
            return self._answer_control(connection)
        if outcome is Outcome.TOO_LARGE:
            self._lose(connection, "message is larger than the buffer", CLOSE_TOO_LARGE)
        elif outcome is Outcome.PROTOCOL_ERROR:
            self._lose(connection, "frame breaks the protocol", CLOSE_PROTOCOL_ERROR)
        else:
            number = self._memory.connections[connection.slot].error_number
            self._lose(connection, os.strerror(number) if number else "closed by the venue")
        return False

    def _decode_slowly(self, slot: int) -> bool:
        place = self._memory.connections[slot]
        text = ctypes.string_at(place.message_address, place.message_size)
        message, rows = self._memory.message, self._memory.rows
        code = fallback.decode(text, place.symbol, rows, message)
        self._counters.add("feed.fallback")
        if code not in (Code.OK, Code.IGNORED):
            self._log.warning("message dropped", code=code.name.lower(), text=ascii(text[:120]))
        self._kernels.feed_settle(self._address, int(code), place.origin_ns)
        return True

    def _receive_encrypted(self, connection: Connection) -> bool:
        place = self._memory.connections[connection.slot]
        room = self._kernels.feed_room(self._address, connection.slot)
        try:
            size = receive_into(connection.opened, place.buffer + place.end, room)
        except OSError as error:
            self._lose(connection, str(error))
            return False
        place.origin_ns = time.monotonic_ns() if size else place.origin_ns
        place.end += size
        self._counters.add("feed.bytes", size)
        return size > 0

    def _answer_control(self, connection: Connection) -> bool:
        place = self._memory.connections[connection.slot]
        payload = ctypes.string_at(place.message_address, place.message_size)
        if place.control_opcode == OPCODE_CLOSE:
            status = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 0
            self._lose(connection, f"close frame: status={status}", CLOSE_NORMAL)
            return False
        if place.control_opcode == OPCODE_PING:
            try:
                connection.pong(payload)
            except (OSError, websocket.WebSocketException) as error:
                self._lose(connection, f"pong: {error}")
                return False
        return True

    def _opened(self, result: Handshake) -> None:
        connection = self._links.opened(result, time.monotonic_ns())
        link = self._links.links[result.link]
        if connection is None:
            self._log.warning("connection failed", stream=link.stream.label, why=result.problem)
            return
        opened, place = connection.opened, self._memory.connections[connection.slot]
        place.fd = opened.socket.fileno()
        place.is_encrypted = int(opened.is_encrypted)
        place.symbol = link.stream.symbol
        place.fragment_opcode = place.start = place.error_number = 0
        place.origin_ns = connection.opened_ns
        place.end = len(opened.leftover)
        ctypes.memmove(place.buffer, opened.leftover, place.end)
        if self._busy_poll:
            refusal = refusal_of_busy_poll(opened.socket)
            if refusal:
                self._busy_poll = False
                self._log.warning("KERNEL_BYPASS refused", why=refusal)
        self._counters.add("feed.connects")
        self._log.info("connected", stream=link.stream.label, slot=connection.slot)
        if link.stream.carries_depth:
            self._memory.rows[link.stream.symbol].source_count += 1
            if link.current is connection:
                self._kernels.feed_await_snapshot(self._address, link.stream.symbol)
        self._poller.add(place.fd, connection.slot)
        # Bytes may be waiting that epoll says nothing of: read by the handshake, or by TLS.
        self._feed.outcome = int(Outcome.ENCRYPTED if opened.is_encrypted else Outcome.NONE)
        self._feed.outcome_connection = connection.slot
        if not opened.is_encrypted and place.end:
            self._drain(connection.slot)

    def _lose(self, connection: Connection, why: str, status: int = CLOSE_NORMAL) -> None:
        """Close a connection; without a second one of its stream the symbol's data is withdrawn."""
        self._counters.add("feed.disconnects")
        self._close(connection, status)
        link = self._links.lost(connection, time.monotonic_ns())
        self._log.warning("connection lost", stream=link.stream.label, why=why)
        if link.current is not None:
            return
        if link.stream.carries_depth:
            reason = int(InvalidReason.DISCONNECT)
            self._kernels.feed_lose(self._address, link.stream.symbol, reason)
        if link.stream.carries_trades:
            self._memory.rows[link.stream.symbol].trade_id_last = 0

    def _close(self, connection: Connection, status: int) -> None:
        place = self._memory.connections[connection.slot]
        link = self._links.of_slot(connection.slot)
        if link.stream.carries_depth:
            self._memory.rows[link.stream.symbol].source_count -= 1
        self._poller.remove(place.fd)
        place.fd = -1
        connection.close(status)

    def _wanted(self, symbol: int) -> int:
        return BOOK_REQUEST.at(self._context.memory.book_request_address(symbol)).wanted

    def _look_at_book_requests(self) -> None:
        for symbol, row in enumerate(self._memory.rows):
            wanted = self._wanted(symbol)
            if wanted != row.requests_seen:
                row.requests_seen = wanted
                # Without a connection the snapshot comes with the next one anyway.
                if row.state != SyncState.UNSYNCED:
                    self._kernels.feed_await_snapshot(self._address, symbol)

    def _request_snapshots(self, now_ns: int) -> int:
        """Request what is wanted and may be; return when the next may be."""
        next_ns = 1 << 62
        for symbol, row in enumerate(self._memory.rows):
            if row.snapshot_wanted:
                if self._desk.request(symbol, now_ns):
                    row.snapshot_wanted = 0
                else:
                    next_ns = min(next_ns, self._desk.next_ns(symbol))
        return next_ns

    def _take_results(self) -> None:
        os.eventfd_read(self._worker_fd)  # epoll has just said that it is readable
        while not self._results.empty():
            result = self._results.get()
            if isinstance(result, Handshake):
                self._opened(result)
                if self._feed.outcome != Outcome.NONE:
                    # One thing at a time: the rest waits for the next look.
                    os.eventfd_write(self._worker_fd, 1)
                    return
            elif isinstance(result, Answer):
                self._answered(result)
            else:
                raise result

    def _answered(self, answer: Answer) -> None:
        now_ns = time.monotonic_ns()
        self._desk.answered(answer, now_ns)
        row = self._memory.rows[answer.symbol]
        if row.state == SyncState.UNSYNCED or row.snapshot_wanted:
            return  # of a book that has been withdrawn since
        problem = answer.problem or self._apply_snapshot(answer)
        if problem:
            row.snapshot_wanted = 1
            symbol = self._context.symbols[answer.symbol]
            self._log.warning("snapshot failed", symbol=symbol, why=problem)

    def _apply_snapshot(self, answer: Answer) -> str:
        """Decode and apply a snapshot's body; return what is wrong with it, or an empty text."""
        size = len(answer.body)
        if size > SNAPSHOT_SIZE:
            return f"body is too large: bytes={size}"
        # Filters may have changed; what follows from here on is decoded by the new ones.
        index = answer.symbol
        fill_filters(self._memory.rows[index], self._context.memory.symbol(index), index)
        place = self._memory.place("snapshot")
        ctypes.memmove(place, answer.body, size)
        code = self._kernels.feed_decode_snapshot(self._address, answer.symbol, place, size)
        if code == Code.UNKNOWN_SHAPE:
            self._counters.add("feed.fallback")
            message, rows = self._memory.message, self._memory.rows
            code = fallback.decode(answer.body, answer.symbol, rows, message)
        if code != Code.OK:
            return f"body is {Code(code).name.lower()}"
        self._kernels.feed_apply_snapshot(self._address, answer.symbol, answer.received_ns)
        return ""

    def _housekeep(self, now_ns: int) -> int:
        """Do what is due; return when the next thing is."""
        for connection in self._links.silent(now_ns):
            self._lose(connection, "silent for too long")
        for connection in self._links.superseded(now_ns):
            self._close(connection, CLOSE_NORMAL)
            link = self._links.lost(connection, now_ns)
            self._log.info("connection replaced", stream=link.stream.label)
        self._links.connect_due(now_ns)
        self._look_at_book_requests()
        next_ns = self._request_snapshots(now_ns)
        if now_ns >= self._next_status_ns:
            self._next_status_ns = now_ns + self._status_ns
            self._log_status()
        return min(next_ns, self._links.next_ns(now_ns), self._next_status_ns)

    def _log_status(self) -> None:
        get = self._counters.get
        synced = sum(row.state == SyncState.SYNCED for row in self._memory.rows)
        self._log.info(
            "status",
            synced=synced,
            symbols=len(self._memory.rows),
            **{name: get(f"feed.{name}") for name in ("frames", "events", "gaps", "disconnects")},
        )

    def on_close(self) -> None:
        """Withdraw nothing, close the connections, let the threads end."""
        for link in self._links.links:
            for connection in link.connections:
                self._close(connection, CLOSE_NORMAL)
        for worker in (self._requester, self._connector):
            if not worker.close(CLOSE_TIME_S):
                self._log.warning("a worker thread is still busy")
        self._desk.close()
        self._poller.close()
        os.close(self._worker_fd)
