"""Write a small recording of a symbol that is in no table of instruments."""

from __future__ import annotations

import gzip
import json
from pathlib import Path


def write_recording(path: Path, with_snapshot: bool = True) -> list[bytes]:
    """Write a small recording of a symbol that is in no table; return its data parts."""
    ns = 1_700_000_000_000_000_000
    lines: list[str] = []
    parts: list[bytes] = []

    def add(stream: str, data: dict) -> None:
        # Spaced and compact JSON both occur; the bytes must come through either way.
        separators = (",", ":") if len(parts) % 2 else (", ", ": ")
        part = json.dumps(data, separators=separators)
        parts.append(part.encode())
        lines.append(f'{ns + len(lines) * 1_000_000} {{"stream":"{stream}","data":{part}}}')

    def diff(first: int, last: int, prev: int, bids: list, asks: list) -> None:
        head = {"e": "depthUpdate", "E": 5, "T": 4, "s": "NEWUSDT", "U": first, "u": last}
        add("newusdt@depth@0ms", {**head, "pu": prev, "b": bids, "a": asks})

    diff(90, 95, 80, [["1.2340", "1.0"]], [])
    diff(96, 100, 95, [["1.2340", "0.0"]], [])
    if with_snapshot:
        snapshot = {"lastUpdateId": 100, "E": 5, "T": 4}
        rows = {"bids": [["1.2345", "7.5"]], "asks": [["1.2347", "300.0"]]}
        lines.append(f"{ns + len(lines) * 1_000_000} {json.dumps({**snapshot, **rows})}")
    for step in range(200):
        first = 101 + 10 * step
        diff(first, first + 5, first - 5 if step else 100, [["1.2344", f"{step + 1}.0"]], [])
        trade = {"e": "trade", "E": 6, "T": 6, "s": "NEWUSDT", "t": step, "p": "1.2345"}
        add("newusdt@trade", {**trade, "q": "1.0", "X": "MARKET", "m": True})
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return parts
