"""The slow, obvious twin of the WebSocket frame parser: a whole stream in, what it says out."""

from __future__ import annotations


def parse(stream):
    """Return [(what, payload)] of a server's bytes; an error ends the list, a rest is dropped."""
    found, position, parts, kind = [], 0, None, 0
    while position + 2 <= len(stream):
        first, second = stream[position], stream[position + 1]
        opcode = first & 15
        is_control = opcode in (8, 9, 10)
        wrong = first & 0x70 or second & 0x80 or opcode not in (0, 1, 2, 8, 9, 10)
        wrong = wrong or ((opcode == 0) != (parts is not None) and not is_control)
        if wrong:
            return [*found, ("PROTOCOL_ERROR", b"")]
        size, position = second & 127, position + 2
        if size > 125:
            width = 2 if size == 126 else 8
            if position + width > len(stream):
                return found
            size = int.from_bytes(stream[position : position + width], "big")
            position += width
        if size >= 1 << 63 or (is_control and (size > 125 or not first & 0x80)):
            return [*found, ("PROTOCOL_ERROR", b"")]
        if position + size > len(stream):
            return found
        payload = stream[position : position + size]
        position += size
        if is_control:
            found.append((f"CONTROL {opcode}", payload))
            continue
        if opcode:
            parts, kind = [], opcode
        parts.append(payload)
        if first & 0x80:
            found.append(("TEXT" if kind == 1 else "BINARY", b"".join(parts)))
            parts = None
    return found


def frame(opcode, payload, final=True, width=0, reserved=0, masked=False):
    """Return a frame; `width` forces a longer length field (2 or 8 bytes)."""
    size = len(payload)
    width = width or (0 if size < 126 else 2 if size < 65536 else 8)
    head = bytes([opcode | (128 if final else 0) | reserved])
    mark = 128 if masked else 0
    if width == 0:
        return head + bytes([size | mark]) + payload
    code = 126 if width == 2 else 127
    return head + bytes([code | mark]) + size.to_bytes(width, "big") + payload
