"""What a stage is given, what it must offer, and the loop that runs it.

    class Agent:
        def __init__(self, context: StageContext) -> None: ...
        def on_start(self) -> None: ...     # attach, connect, recover; READY when it returns
        def do_work(self) -> int: ...       # one slice of at most `cycle_ns`, waiting included
        def on_close(self) -> None: ...     # leave things safe; must return within the stop time

`do_work` spends its time in compiled code and comes back for housekeeping: the heartbeat, log
lines, commands. It returns how many items it worked off.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from config.settings import Settings
from config.venues import Endpoints
from runtime.kernels import Kernels
from runtime.wait_layout import WAIT, WaitStrategy
from shm.tables import ProcessState
from shm.topology import SharedMemory


@dataclass
class StageContext:
    """Everything a stage may use; made by the supervisor before the fork."""

    name: str
    settings: Settings
    memory: SharedMemory
    kernels: Kernels
    log: Any  # structlog logger, bound to the stage
    symbols: tuple[str, ...]
    market_endpoints: Endpoints  # where prices come from
    order_endpoints: Endpoints  # where orders go: another venue than prices in paper mode
    wait_strategy: WaitStrategy = WaitStrategy.ADAPTIVE
    core: int = -1
    # Readable when the doorbell rings, for a stage that waits in epoll; -1 = the stage uses futex.
    event_fd: int = -1
    restarted: bool = False  # a predecessor of this epoch died: recover instead of starting cold
    wait: Any = field(default_factory=WAIT.new)

    def __post_init__(self) -> None:
        self.wait.strategy = int(self.wait_strategy)
        self.wait.doorbell = self.memory.doorbell(self.name)
        idle_us = self.settings.system.idle_before_block_us
        self.wait.idle_before_block_ns = idle_us * 1_000

    @property
    def wait_address(self) -> int:
        """Return the address of the waiting state, for kernels."""
        return ctypes.addressof(self.wait)

    @property
    def cycle_ns(self) -> int:
        """Return the longest slice of `do_work`, in nanoseconds."""
        return int(self.settings.performance.processing_cycle_ms) * 1_000_000


class StageAgent(Protocol):
    """The three methods of every agent."""

    def on_start(self) -> None:
        """Prepare; the stage is READY when this returns."""

    def do_work(self) -> int:
        """Work for at most one cycle; return the items worked off."""

    def on_close(self) -> None:
        """Leave things safe."""


class StopFlag:
    """Set by SIGTERM; SIGINT is the supervisor's to handle."""

    def __init__(self) -> None:
        self.is_set = False

    def install(self) -> None:
        """Take over SIGTERM and ignore SIGINT."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.is_set = True


def run(agent: StageAgent, context: StageContext, stop: StopFlag, parent_pid: int) -> None:
    """Run an agent until it is asked to stop or its supervisor is gone.

    Exceptions of the agent are logged by the caller and end the process: the supervisor restarts.
    """
    row = context.memory.process(context.name)
    row.work_count = 0
    row.state = int(ProcessState.STARTING)
    row.heartbeat_ns = time.monotonic_ns()
    agent.on_start()
    row.heartbeat_ns = time.monotonic_ns()
    row.state = int(ProcessState.READY)
    context.log.info("ready", core=context.core, wait=context.wait_strategy.name.lower())
    control = context.memory.control
    while not stop.is_set and not control.stop_requested:
        row.work_count += agent.do_work()
        row.heartbeat_ns = time.monotonic_ns()
        if os.getppid() != parent_pid:
            context.log.error("supervisor is gone", pid=parent_pid)
            break
    row.state = int(ProcessState.STOPPING)
    agent.on_close()
    row.heartbeat_ns = time.monotonic_ns()
    row.state = int(ProcessState.STOPPED)
    context.log.info("closed", work=row.work_count)
