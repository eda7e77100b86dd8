"""Runs of risk one after the other: each begins in segments of zeros, with what the file kept."""

from __future__ import annotations

import ctypes
import json
import time
from typing import Any

from config.strategies import strategy_names
from risk.agent import Agent
from risk.keeping import LimitWords
from risk.state import state_size
from runtime.limit_file import KeptLimits, LimitFile, dump, parse
from runtime.stage import StageContext
from runtime.wait_layout import WaitStrategy
from shm.records import SYMBOL_COUNT_MAX
from shm.tables import POSITION
from tests.risk.desk import SYMBOL_COUNT, Desk

NOWHERE: Any = None  # risk talks to no venue
SYMBOLS = tuple(f"SYM{index}USDT" for index in range(SYMBOL_COUNT))
KEY = ("testnet", "http://127.0.0.1:9")
OF_A_RUN = (
    *("realized_e8", "fee_e8", "funding_e8", "unrealized_e8", "open_position_count"),
    *("wallet_e8", "transfer_e8", "risk_latch", "risk_latch_ns", "rearm_ns", "throttle_latches"),
)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict]] = []

    def __getattr__(self, level: str):
        return lambda event, **values: self.lines.append((level, event, values))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


def agent_of(desk: Desk, kept: KeptLimits | None = None, restarted: bool = False) -> Agent:
    """Return the stage of a desk, not started; its log is at `agent._context.log`."""
    context = StageContext(
        name="risk",
        settings=desk.settings,
        memory=desk.memory,
        kernels=desk.kernels,
        log=Log(),
        symbols=SYMBOLS,
        market_endpoints=NOWHERE,
        order_endpoints=NOWHERE,
        wait_strategy=WaitStrategy.BLOCK,
        restarted=restarted,
    )
    return Agent(context, kept)


def words_of(desk: Desk, symbols: tuple[str, ...] = SYMBOLS) -> LimitWords:
    return LimitWords(desk.memory, symbols, strategy_names(desk.settings))


def kept_by(desk: Desk) -> KeptLimits:
    """Return what the file would have, by way of its text."""
    words = words_of(desk)
    seen = words.look()
    assert seen is not None
    kept = words.kept(seen, time.time_ns(), time.monotonic_ns())
    text = json.dumps(dump(LimitFile({KEY: kept})))
    return parse(json.loads(text)).venues[KEY]


def forget_run(desk: Desk) -> None:
    """Make the segments of the next run: zeros, with the same symbols."""
    ctypes.memset(desk.memory.state("risk"), 0, state_size(desk.settings, SYMBOL_COUNT))
    ctypes.memset(desk.memory.position_address(0), 0, POSITION.size * SYMBOL_COUNT_MAX)
    for name in OF_A_RUN:
        setattr(desk.control, name, 0)


def begin_run(desk: Desk, kept: KeptLimits | None) -> Agent:
    """Begin the next run with what was kept; the venue has not stated the wallet yet."""
    forget_run(desk)
    agent = agent_of(desk, kept)
    agent.on_start()
    return agent
