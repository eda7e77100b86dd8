"""Entries of limits.json, and an instance whose segments are there, for the tests of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from config.loader import load
from runtime.instance_folder import InstanceFolder, Venue
from runtime.limit_file import KeptEquity, KeptLimits, KeptTrades, LimitFile, dump
from shm import topology

E8 = 10**8
DAY_NS = 86_400 * 10**9
DAY = 20_000
NOW_NS = DAY * DAY_NS + 3600 * 10**9
VENUE = Venue("testnet", "http://127.0.0.1:9", ("BTCUSDT", "ETHUSDT"))
KEY = (VENUE.mode, VENUE.rest_url)
KEPT = KeptLimits(
    at_ns=NOW_NS,
    equity=KeptEquity(9_700 * E8 + 1, 10_200 * E8, -3, DAY),
    latch="daily_loss",
    losses=3,
    cool_off_until_ns=NOW_NS + 600 * 10**9,
    latched={"BTCUSDT": ("momentum", "mine"), "GONEUSDT": ("order_flow",)},
    trades={"momentum": KeptTrades(9, 4, 1234, 5678), "mine": KeptTrades(1, 0, 0, 7)},
)
LIVE = Venue("live", "https://elsewhere", VENUE.symbols)
OTHER_KEY = (LIVE.mode, LIVE.rest_url)
OTHER = {OTHER_KEY: KeptLimits(at_ns=NOW_NS, losses=1)}


def changed(**changes) -> str:
    """Return a sound file with some values of its entry changed."""
    content = dump(LimitFile({KEY: KEPT}))
    for path, value in changes.items():
        *parts, last = path.split("__")
        place = content["venues"][0]
        for part in parts:
            place = place[part]
        place[last] = value
    return json.dumps(content)


class Words:
    """Two symbols, one strategy; a look is a number of losses."""

    def __init__(self) -> None:
        self.symbols = ("BTCUSDT", "ETHUSDT")
        self.strategies = {1: "momentum"}
        self.losses: int | None = 0

    def look(self) -> int | None:
        return self.losses

    def kept(self, seen: int, wall_ns: int, mono_ns: int) -> KeptLimits:
        return KeptLimits(at_ns=wall_ns, losses=seen)


@contextmanager
def instance_in(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """Segments of an instance whose owner is this very process."""
    name = f"tlimits{tmp_path.name[-12:]}".replace("_", "-").lower()
    overrides = [f"system.instance={name}", f"system.state_folder={tmp_path}/state"]
    settings = load(env_file=None, environ={}, overrides=overrides)
    memory = topology.create_all(name, topology.Sizes(market_queue=1024, queue=64, order_rows=8))
    folder = InstanceFolder(settings.system.state_folder, name)
    yield SimpleNamespace(memory=memory, settings=settings, folder=folder)
    memory.close()
    memory.unlink()
