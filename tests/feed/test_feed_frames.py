import ctypes
import random

import pytest

from feed.frames import ROOM_MIN, make_room, next_frame
from feed.state import CONNECTION, Frame
from tests.feed.feed_samples import Bench
from tests.naive.feed_frames import frame, parse

BENCH = Bench()
PLACE = BENCH.memory.connections[0]
ADDRESS = ctypes.addressof(PLACE)
CAPACITY = PLACE.capacity
assert ctypes.sizeof(PLACE) == CONNECTION.size


def feed(chunks, capacity=CAPACITY):
    """Receive chunks as the loop does; return what was found."""
    PLACE.capacity = capacity
    PLACE.start = PLACE.end = PLACE.fragment_opcode = 0
    found = []
    for chunk in chunks:
        rest = chunk
        while rest:
            room = make_room(ADDRESS)
            assert room > 0, "no room is left, yet the frame was not refused"
            part, rest = rest[:room], rest[room:]
            ctypes.memmove(PLACE.buffer + PLACE.end, part, len(part))
            PLACE.end += len(part)
            while (what := Frame(next_frame(ADDRESS))) is not Frame.INCOMPLETE:
                name, payload = what.name, b""
                if what in (Frame.TEXT, Frame.BINARY, Frame.CONTROL):
                    payload = ctypes.string_at(PLACE.message_address, PLACE.message_size)
                    name += f" {PLACE.control_opcode}" if what is Frame.CONTROL else ""
                found.append((name, payload))
                if what in (Frame.TOO_LARGE, Frame.PROTOCOL_ERROR):
                    return found
    return found


STREAM = b"".join(
    [
        frame(1, b'{"a":1}'),
        frame(9, b"ping"),
        frame(1, b"one ", final=False),
        frame(9, b""),
        frame(0, b"two ", final=False),
        frame(10, b"pong between fragments"),
        frame(0, b"three"),
        frame(1, b"x" * 200),
        frame(1, b"length in 8 bytes", width=8),
        frame(2, b"\x00\x01"),
        frame(1, b""),
        frame(8, b"\x03\xe8bye"),
    ]
)


def test_whole_stream():
    assert feed([STREAM]) == parse(STREAM)
    assert len(parse(STREAM)) == 10


def test_split_at_every_byte():
    wanted = parse(STREAM)
    for where in range(len(STREAM)):
        assert feed([STREAM[:where], STREAM[where:]]) == wanted, where


def test_one_byte_at_a_time():
    assert feed([bytes([byte]) for byte in STREAM]) == parse(STREAM)


@pytest.mark.parametrize("seed", range(5))
def test_random_streams_through_a_small_buffer(seed):
    print("seed", seed)
    chance = random.Random(seed)
    frames = []
    for _ in range(60):
        payload = chance.randbytes(chance.choice((0, 5, 125, 126, 3000, 9000)))
        pieces = chance.choice((1, 1, 2, 4))
        for number in range(pieces):
            cut = payload[number::pieces]
            frames.append(frame(1 if number == 0 else 0, cut, final=number == pieces - 1))
            if chance.random() < 0.3:
                frames.append(frame(9, chance.randbytes(7)))
    stream = b"".join(frames)
    chunks, position = [], 0
    while position < len(stream):
        size = chance.choice((1, 2, 77, 1400, 20_000))
        chunks.append(stream[position : position + size])
        position += size
    assert feed(chunks, capacity=ROOM_MIN + 4096) == parse(stream)


def test_64_bit_length_of_a_large_message():
    payload = bytes(range(256)) * 900
    stream = frame(1, payload) + frame(1, b"next")
    assert feed([stream[:70_000], stream[70_000:]]) == [("TEXT", payload), ("TEXT", b"next")]


@pytest.mark.parametrize(
    ("what", "stream"),
    [
        ("masked", frame(1, b"", masked=True)),
        ("reserved bit 1", frame(1, b"x", reserved=0x40)),
        ("reserved bit 3", frame(1, b"x", reserved=0x10)),
        ("unknown opcode", frame(3, b"x")),
        ("unknown control opcode", frame(11, b"x")),
        ("continuation of nothing", frame(0, b"x")),
        ("text within a fragmented text", frame(1, b"x", final=False) + frame(1, b"y")),
        ("fragmented ping", frame(9, b"x", final=False)),
        ("long ping", frame(9, b"x" * 126)),
        ("negative length", b"\x81\x7f" + b"\xff" * 8),
    ],
)
def test_what_a_server_must_not_send(what, stream):
    assert feed([stream])[-1:] == [("PROTOCOL_ERROR", b"")] == parse(stream)[-1:]


def test_a_frame_larger_than_the_buffer_is_refused_by_its_header():
    header = b"\x81\x7f" + (100 * 1024 * 1024).to_bytes(8, "big")
    assert feed([header]) == [("TOO_LARGE", b"")]


def test_fragments_larger_than_the_buffer_are_refused():
    pieces = [frame(1, b"x" * 60_000, final=False)] + [frame(0, b"y" * 60_000, final=False)] * 4
    assert feed([b"".join(pieces)]) == [("TOO_LARGE", b"")]
    assert PLACE.end <= PLACE.capacity
