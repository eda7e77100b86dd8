"""Parse WebSocket frames in place in a connection's receive buffer.

Payloads are handed over where they lie. The payloads of a fragmented message are moved together,
and control frames between them are handed over at once. The buffer bounds every message: a longer
one is TOO_LARGE as soon as its header says so.

Source: RFC 6455, sections 5.2 (base framing), 5.4 (fragmentation), 5.5 (control frames).
"""

from __future__ import annotations

from feed.state import CONNECTION, Frame
from shm.compiled import kernel
from shm.memory import load_i64, load_u8, store_i64, store_u8
from shm.views import view_of

connection_at = view_of(CONNECTION)

INCOMPLETE = int(Frame.INCOMPLETE)
TEXT = int(Frame.TEXT)
BINARY = int(Frame.BINARY)
CONTROL = int(Frame.CONTROL)
TOO_LARGE = int(Frame.TOO_LARGE)
PROTOCOL_ERROR = int(Frame.PROTOCOL_ERROR)

OPCODE_CONTINUATION = 0x0
OPCODE_TEXT = 0x1
OPCODE_BINARY = 0x2
OPCODE_CLOSE = 0x8
OPCODE_PING = 0x9
OPCODE_PONG = 0xA
FINAL = 0x80
RESERVED = 0x70
MASKED = 0x80
CONTROL_SIZE_MAX = 125
# Bytes that must be free behind what was received, so that a receive is worth its system call.
ROOM_MIN = 16_384


@kernel
def _big_endian(address: int, size: int) -> int:
    # Loop bound: 8 bytes. The top bit of eight must be clear (RFC 6455, 5.2): -1 where it is set.
    if size == 8 and load_u8(address) >= 0x80:
        return -1
    value = 0
    for index in range(size):
        value = value * 256 + load_u8(address + index)
    return value


@kernel
def move_down(target: int, source: int, size: int) -> None:
    """Copy bytes to a lower address; the regions may overlap. Loop bound: size / 8 + 7."""
    done = 0
    while done + 8 <= size:
        store_i64(target + done, load_i64(source + done))
        done += 8
    while done < size:
        store_u8(target + done, load_u8(source + done))
        done += 1


@kernel
def _control(connection: int, opcode: int, is_final: bool, payload: int, size: int) -> int:
    c = connection_at(connection)
    if not is_final or size > CONTROL_SIZE_MAX or opcode > OPCODE_PONG:
        return PROTOCOL_ERROR
    c.control_opcode = opcode
    c.message_address = c.buffer + payload
    c.message_size = size
    c.start = payload + size
    return CONTROL


@kernel
def _data(connection: int, opcode: int, is_final: bool, payload: int, size: int) -> int:
    """Take a data frame that is there as a whole; return TEXT, BINARY or INCOMPLETE."""
    c = connection_at(connection)
    c.start = payload + size
    if opcode != OPCODE_CONTINUATION:
        c.fragment_opcode = opcode
        c.fragment_start = payload
        c.fragment_size = size
    else:
        target = c.fragment_start + c.fragment_size
        if target != payload:
            move_down(c.buffer + target, c.buffer + payload, size)
        c.fragment_size += size
    if not is_final:
        return INCOMPLETE
    c.message_address = c.buffer + c.fragment_start
    c.message_size = c.fragment_size
    found = TEXT if c.fragment_opcode == OPCODE_TEXT else BINARY
    c.fragment_opcode = 0
    return found


@kernel
def _check(connection: int, first: int, second: int) -> bool:
    """Return whether the first two bytes of a frame may stand where they do."""
    opcode = first & 0xF
    # A server does not mask, and no extension was agreed on that would use the reserved bits.
    if first & RESERVED or second & MASKED:
        return False
    if opcode >= OPCODE_CLOSE:
        return opcode <= OPCODE_PONG
    if opcode > OPCODE_BINARY:
        return False
    is_continued = connection_at(connection).fragment_opcode != 0
    return is_continued == (opcode == OPCODE_CONTINUATION)


@kernel
def next_frame(connection: int) -> int:
    """Parse on until a message or control frame is whole, or the bytes are used up.

    Returns a `Frame`. TEXT, BINARY and CONTROL fill message_address and message_size; the payload
    stays where it is until `make_room`. Loop bound: one turn per frame, at least 2 bytes each.
    """
    c = connection_at(connection)
    while c.end - c.start >= 2:
        place = c.buffer + c.start
        first, second = load_u8(place), load_u8(place + 1)
        if not _check(connection, first, second):
            return PROTOCOL_ERROR
        size = second & 0x7F
        header = 2
        if size >= 126:
            header = 4 if size == 126 else 10
            if c.end - c.start < header:
                return INCOMPLETE
            size = _big_endian(place + 2, header - 2)
            if size < 0:
                return PROTOCOL_ERROR
        opcode = first & 0xF
        before = c.fragment_size if opcode == OPCODE_CONTINUATION else 0
        if size > c.capacity - header - before:
            return TOO_LARGE
        if opcode >= OPCODE_CLOSE and size > CONTROL_SIZE_MAX:
            return PROTOCOL_ERROR
        payload = c.start + header
        if c.end - payload < size:
            return INCOMPLETE
        is_final = first & FINAL != 0
        if opcode >= OPCODE_CLOSE:
            return _control(connection, opcode, is_final, payload, size)
        found = _data(connection, opcode, is_final, payload, size)
        if found != INCOMPLETE:
            return found
    return INCOMPLETE


@kernel
def make_room(connection: int) -> int:
    """Move what is not finished to the front of the buffer when the room behind it is short.

    Returns the bytes that may be received at `end`; 0 never, as `next_frame` refuses what does
    not fit. Loop bound: the bytes moved.
    """
    c = connection_at(connection)
    if c.fragment_opcode != 0:
        # The gap that a header left between the fragments and the rest is closed as well.
        assembled = c.fragment_start + c.fragment_size
        if c.capacity - c.end < ROOM_MIN and (c.fragment_start > 0 or c.start > assembled):
            rest = c.end - c.start
            move_down(c.buffer, c.buffer + c.fragment_start, c.fragment_size)
            move_down(c.buffer + c.fragment_size, c.buffer + c.start, rest)
            c.fragment_start = 0
            c.start = c.fragment_size
            c.end = c.start + rest
    elif c.start == c.end:
        c.start = 0
        c.end = 0
    elif c.capacity - c.end < ROOM_MIN and c.start > 0:
        move_down(c.buffer, c.buffer + c.start, c.end - c.start)
        c.end -= c.start
        c.start = 0
    return c.capacity - c.end
