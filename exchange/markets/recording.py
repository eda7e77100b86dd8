"""Read recordings: gzip files of `<receive time, ns> <combined-stream JSON>` lines, by time."""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from exchange.errors import StartError

SCAN_LINES = 2_000  # lines looked at before the start: symbol, decimals, snapshot
DATA_MARK = b'"data":'


@dataclass(frozen=True, slots=True)
class Line:
    """Be one recorded message. `data` is the recorded bytes of the data part, unchanged.

    A snapshot line has an empty stream name.
    """

    receive_ns: int
    stream: str
    data: bytes


@dataclass(slots=True)
class Chain:
    """Be the files of one symbol in time order, and what their beginning tells."""

    symbol: str
    paths: list[Path]
    first_ns: int
    price_decimals: int
    quantity_decimals: int
    depth_stream: str  # the recorded one; other cadences are derived from it
    snapshot: bytes | None


def open_chains(paths: list[Path]) -> list[Chain]:
    """Check every file and join the files of one symbol by time.

    Raises StartError with one line for a missing, unreadable or foreign file.
    """
    chains: dict[str, Chain] = {}
    for scan in sorted((_scan(path) for path in dict.fromkeys(paths)), key=lambda c: c.first_ns):
        known = chains.setdefault(scan.symbol, scan)
        if known is not scan:
            known.paths.extend(scan.paths)
            known.price_decimals = max(known.price_decimals, scan.price_decimals)
            known.quantity_decimals = max(known.quantity_decimals, scan.quantity_decimals)
    return list(chains.values())


def replay(chains: list[Chain]) -> Iterator[Line]:
    """Yield the lines of all chains by receive time, one line of each file in memory."""
    return heapq.merge(*(_chain_lines(c) for c in chains), key=lambda line: line.receive_ns)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield a file's lines. Raises StartError with file and line number for a broken one."""
    number = 0
    try:
        with gzip.open(path, "rb") as stream:
            for number, raw in enumerate(stream, start=1):  # noqa: B007 (used by the handlers)
                yield _parse(raw)
    except FileNotFoundError as error:
        raise StartError(f"capture file is missing: file={path}") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(f"cannot read capture file: file={path} reason={reason}") from error
    except ValueError as error:
        where = f"file={path} line={number}"
        raise StartError(f"not a recording: {where} reason={error}") from error


def _parse(raw: bytes) -> Line:
    """Split a line into time, stream and data without touching the data's bytes."""
    stamp, _, text = raw.strip().partition(b" ")
    if not stamp.isdigit() or not text.startswith(b"{"):
        raise ValueError("a line is '<ns> <JSON object>'")
    receive_ns = int(stamp)
    head, mark, rest = text.partition(DATA_MARK)
    if not mark:
        if b'"lastUpdateId"' not in text:
            raise ValueError("neither a stream message nor a depth snapshot")
        return Line(receive_ns, "", text)
    stream = head.partition(b'"stream":"')[2].partition(b'"')[0].decode()
    if not stream:
        raise ValueError("a message names no stream")
    return Line(receive_ns, stream, rest.strip()[:-1].rstrip())


def _chain_lines(chain: Chain) -> Iterator[Line]:
    # The snapshot line does not name its symbol; it belongs to the chain that it stands in.
    for path in chain.paths:
        for line in read_lines(path):
            yield line if line.stream else Line(line.receive_ns, f"{chain.symbol}!", line.data)


def _scan(path: Path) -> Chain:
    """Return what the first lines of a file tell about it."""
    symbol, first_ns, depth_stream, snapshot = "", 0, "", None
    price_decimals = quantity_decimals = 0
    lines = read_lines(path)
    try:
        for _, line in zip(range(SCAN_LINES), lines, strict=False):
            first_ns = first_ns or line.receive_ns
            if not line.stream:
                snapshot = snapshot or line.data
                continue
            data = orjson.loads(line.data)
            symbol = symbol or str(data.get("s", ""))
            _refuse_foreign(path, symbol, data)
            if data.get("e") != "depthUpdate":
                continue
            depth_stream = depth_stream or line.stream
            for price, quantity in (*data["b"], *data["a"]):
                price_decimals = max(price_decimals, len(price.partition(".")[2]))
                quantity_decimals = max(quantity_decimals, len(quantity.partition(".")[2]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StartError(f"not a recording: file={path} reason={error}") from error
    if not symbol:
        raise StartError(f"not a recording: file={path} reason=no stream message in it")
    decimals = (price_decimals, quantity_decimals)
    return Chain(symbol, [path], first_ns, *decimals, depth_stream, snapshot)


def _refuse_foreign(path: Path, symbol: str, data: dict[str, object]) -> None:
    """Raise StartError for another symbol's line or another venue's message."""
    if data.get("s") != symbol:
        named = f"{symbol},{data.get('s')}"
        raise StartError(f"a capture file holds one symbol: file={path} symbols={named}")
    # Venue: only the spot market's diffs lack `pu`; this exchange is USDⓈ-M.
    if data.get("e") == "depthUpdate" and "pu" not in data:
        raise StartError(f"a spot recording, this exchange is USDⓈ-M futures: file={path}")
