"""What risk's limits remember, as a file keeps it: limits.json of the instance's folder.

One entry per venue (mode and REST address), readable and editable by people: amounts in quote with
eight digits, days and times in UTC by this machine's clock, symbols and strategies by name. The
words themselves are risk's (risk/keeping.py); `LimitKeeper` writes the file.

Entries are judged one by one: what is wrong with one concerns its venue alone, and stays in the
file as it is until that venue is traded on again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from shm.latch_table import LatchReason

LAYOUT = 1
E8 = 100_000_000
# What a word of shared memory holds, with a bit to spare.
WORD_MAX = 1 << 62
EPOCH_DAY = date(1970, 1, 1)
LATCH_NAMES = frozenset(reason.name.lower() for reason in LatchReason)


@dataclass(frozen=True)
class KeptEquity:
    """Equity as the limits measure it."""

    base_e8: int  # equity less its unrealised part, 1e-8 quote
    peak_e8: int  # highest equity, 1e-8 quote; positive
    day_start_e8: int  # equity when the day began, 1e-8 quote
    utc_day: int  # days since 1970, by the venue's clock


@dataclass(frozen=True)
class KeptTrades:
    """Closed trades of a strategy; gains and losses are sums of 1e-9 of the entries' worth."""

    closed: int
    won: int
    gains_ppb: int
    losses_ppb: int


@dataclass(frozen=True)
class KeptLimits:
    """What limits remember of one venue."""

    at_ns: int  # wall clock, when it was read
    equity: KeptEquity | None = None  # None = unknown
    latch: str = ""  # LatchReason that risk itself holds, "" = none
    losses: int = 0  # closed trades in a row that lost
    cool_off_until_ns: int = 0  # wall clock; 0 = none
    latched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # strategies by symbol
    trades: Mapping[str, KeptTrades] = field(default_factory=dict)  # by strategy

    def rearmed(self, begins_anew: bool = False) -> KeptLimits:
        """Return what is left when a person re-arms: no latch, and equity begins anew after one.

        Args:
            begins_anew: risk has tripped, and the words here do not know of it yet.
        """
        is_forgotten = begins_anew or bool(self.latch)
        return replace(self, equity=None if is_forgotten else self.equity, latch="", latched={})


VenueKey = tuple[str, str]  # mode and REST address


@dataclass(frozen=True)
class Damaged:
    """What a file has of a venue, and cannot be."""

    entries: tuple[Any, ...]  # as the file has them: of two for one venue neither counts
    problem: str


@dataclass(frozen=True)
class LimitFile:
    """What limits remember of every venue."""

    venues: Mapping[VenueKey, KeptLimits] = field(default_factory=dict)
    damaged: Mapping[VenueKey, Damaged] = field(default_factory=dict)
    lost: str = ""  # an earlier file, set aside: what it had of venues not listed here is unknown

    def with_venue(self, key: VenueKey, kept: KeptLimits) -> LimitFile:
        """Return the file with this of a venue, whatever it has had."""
        damaged = {other: one for other, one in self.damaged.items() if other != key}
        return replace(self, venues={**self.venues, key: kept}, damaged=damaged)

    def why_unknown(self, key: VenueKey) -> str:
        """Return why nobody knows what limits remember of a venue; "" when that is known."""
        if key in self.damaged:
            return self.damaged[key].problem
        if self.lost and key not in self.venues:
            return f"it may have been in {self.lost} (`lost` in limits.json)"
        return ""


def venue_key(mode: str, rest_url: str) -> VenueKey:
    """Return the name of a venue: an address in one of its spellings."""
    parts = urlsplit(rest_url)
    path = parts.path.rstrip("/")
    return mode, urlunsplit(parts._replace(netloc=parts.netloc.lower(), path=path))


def key_text(key: VenueKey) -> str:
    """Return a venue as people read it."""
    return f"{key[0]} {key[1]}"


def dump(file: LimitFile) -> dict[str, Any]:
    """Return the content of the file."""
    entries = [_dump_one(key, one) for key, one in file.venues.items()]
    entries += [entry for one in file.damaged.values() for entry in one.entries]
    lost = {"lost": file.lost} if file.lost else {}
    return {"layout": LAYOUT, **lost, "venues": entries}


def parse(content: Mapping[str, Any]) -> LimitFile:
    """Return what a file says.

    Raises:
        ValueError: it is of another layout, or does not say which venues it is about; the message
            names the value.
    """
    if content.get("layout") != LAYOUT:
        raise ValueError(f"layout={content.get('layout')!r}, this build writes {LAYOUT}")
    lost = _get(content, "lost", str) if "lost" in content else ""
    entries: dict[VenueKey, list[dict[str, Any]]] = {}
    for entry in _get(content, "venues", list):
        if not isinstance(entry, dict):
            raise ValueError(f"venues holds {entry!r}")
        key = venue_key(_get(entry, "mode", str), _get(entry, "rest_url", str))
        entries.setdefault(key, []).append(entry)
    venues, damaged = {}, {}
    for key, of_venue in entries.items():
        try:
            if len(of_venue) > 1:
                raise ValueError(f"{len(of_venue)} entries")
            venues[key] = _parse_one(of_venue[0])
        except ValueError as error:
            damaged[key] = Damaged(tuple(of_venue), f"{key_text(key)}: {error}")
    return LimitFile(venues, damaged, lost)


def _dump_one(key: VenueKey, kept: KeptLimits) -> dict[str, Any]:
    equity = kept.equity
    return {
        "mode": key[0],
        "rest_url": key[1],
        "at": wall_text(kept.at_ns),
        "equity": equity
        and {
            "without_unrealised": _money(equity.base_e8),
            "peak": _money(equity.peak_e8),
            "day": day_text(equity.utc_day),
            "day_start": _money(equity.day_start_e8),
        },
        "latch": kept.latch,
        "losses_in_a_row": kept.losses,
        "cool_off_until": wall_text(kept.cool_off_until_ns) if kept.cool_off_until_ns else "",
        "latched": {symbol: list(names) for symbol, names in kept.latched.items()},
        "trades": {
            name: {
                "closed": row.closed,
                "won": row.won,
                "gains_ppb": row.gains_ppb,
                "losses_ppb": row.losses_ppb,
            }
            for name, row in kept.trades.items()
        },
    }


def _parse_one(entry: dict[str, Any]) -> KeptLimits:
    until = _get(entry, "cool_off_until", str)
    latch = _get(entry, "latch", str)
    if latch and latch not in LATCH_NAMES:
        raise ValueError(f"latch={latch!r}")
    return KeptLimits(
        at_ns=_wall_ns(_get(entry, "at", str)),
        equity=None if entry.get("equity", 0) is None else _equity(_get(entry, "equity", dict)),
        latch=latch,
        losses=_count(entry, "losses_in_a_row"),
        cool_off_until_ns=_wall_ns(until) if until else 0,
        latched={key: _names(value, key) for key, value in _get(entry, "latched", dict).items()},
        trades={key: _trades(value, key) for key, value in _get(entry, "trades", dict).items()},
    )


def _equity(entry: dict[str, Any]) -> KeptEquity:
    day = _of(date.fromisoformat, _get(entry, "day", str), "day")
    found = KeptEquity(
        base_e8=_e8(entry, "without_unrealised"),
        peak_e8=_e8(entry, "peak"),
        day_start_e8=_e8(entry, "day_start"),
        utc_day=(day - EPOCH_DAY).days,
    )
    if found.peak_e8 <= 0 or found.utc_day < 0:
        raise ValueError(f"equity={entry!r}")
    return found


def _trades(entry: object, name: str) -> KeptTrades:
    if not isinstance(entry, dict):
        raise ValueError(f"trades of {name}: {entry!r}")
    numbers = (_count(entry, key) for key in ("closed", "won", "gains_ppb", "losses_ppb"))
    found = KeptTrades(*numbers)
    if found.won > found.closed:
        raise ValueError(f"trades of {name}: won={found.won} of closed={found.closed}")
    return found


def _names(value: object, symbol: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"latched of {symbol}: {value!r}")
    return tuple(value)


def _get(entry: Mapping[str, Any], key: str, kind: type) -> Any:
    value = entry.get(key)
    if type(value) is not kind:
        raise ValueError(f"{key}={value!r} is no {kind.__name__}")
    return value


def _count(entry: Mapping[str, Any], key: str) -> int:
    value: int = _get(entry, key, int)
    if not 0 <= value < WORD_MAX:
        raise ValueError(f"{key}={value}")
    return value


def _e8(entry: Mapping[str, Any], key: str) -> int:
    amount = _of(Decimal, _get(entry, key, str), key)
    if not amount.is_finite() or abs(amount) >= WORD_MAX // E8:
        raise ValueError(f"{key}={amount}")
    return int(amount * E8)


def _money(value_e8: int) -> str:
    return f"{Decimal(value_e8).scaleb(-8):.8f}"


def day_text(utc_day: int) -> str:
    """Return a day as people read it."""
    return (EPOCH_DAY + timedelta(days=utc_day)).isoformat()


def wall_text(wall_ns: int) -> str:
    """Return a wall-clock time as people read it, to the millisecond."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest_ns // 1_000_000:03}Z"


def _wall_ns(text: str) -> int:
    moment = _of(datetime.fromisoformat, text, "time")
    if moment.tzinfo is None:
        raise ValueError(f"time={text!r} has no zone")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _of(make: Callable[[str], Any], text: str, name: str) -> Any:
    try:
        return make(text)
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"{name}={text!r}") from error
