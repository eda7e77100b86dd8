"""What the process of the trade ledger does: write every interval, survive a full disk, close.

It brings the SQL library; files are opened in that process only.
"""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.trade_ledger import TradeLedger
from runtime.trade_store import TradeStore
from runtime.trade_table import LedgerError
from shm.segments import process_start_time
from shm.tables import STAGES, ProcessState
from shm.topology import SharedMemory

# While it cannot be written it is tried again that often.
RETRY_S = 1.0
# The SQL library's codes for a file whose content is broken.
DAMAGED_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class LedgerService:
    """What the process does: write every interval, survive a full disk, close when all is read.

    Args:
        memory: the instance's segments.
        kernels: of the run.
        path: of the file.
        run: what the run's row says of it.
        strategies: the name of every strategy, by code.
        log: of the process.
    """

    def __init__(
        self,
        memory: SharedMemory,
        kernels: Any,
        path: Path,
        run: dict[str, str],
        strategies: Mapping[int, str],
        log: Any,
    ) -> None:
        self._memory, self._kernels, self._strategies = memory, kernels, strategies
        self._path, self._run, self._log = path, run, log
        self._store: TradeStore | None = None
        self._ledger: TradeLedger | None = None
        self._lost = 0
        self._told = ""

    @property
    def is_blocked(self) -> bool:
        """Return whether the last attempt to write failed."""
        return bool(self._memory.counters.get("ledger.blocked"))

    def look(self, closing: bool = False) -> bool:
        """Write what there is; return whether it worked. A failure is logged once."""
        try:
            ledger = self._ledger or self._open()
            while ledger.write():
                self._memory.process("ledger").heartbeat_ns = time.monotonic_ns()
            if closing:
                ledger.write(closing=True)
        except (sqlite3.Error, LedgerError, OSError) as error:
            self._fail(error)
            return False
        if self.is_blocked:
            self._memory.counters.set("ledger.blocked", 0)
            self._log.info("written again", path=str(self._path))
            self._told = ""
        if ledger.lost_records != self._lost:
            self._lost = ledger.lost_records
            self._log.error(
                "records were overwritten before they were read, taken from the order rows",
                count=self._lost,
            )
        return True

    def _open(self) -> TradeLedger:
        store = TradeStore(self._path)
        if store.moved:
            self._log.warning("the file was damaged and is moved aside", to=str(store.moved))
        self._log.info("open", path=str(self._path))
        self._store = store
        self._ledger = TradeLedger(self._memory, self._kernels, store, self._run, self._strategies)
        return self._ledger

    def _fail(self, error: Exception) -> None:
        self._memory.counters.set("ledger.blocked", 1)
        self._memory.counters.add("ledger.failures")
        if str(error) != self._told:
            self._told = str(error)
            self._log.error("cannot be written", path=str(self._path), error=self._told)
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in DAMAGED_CODES:
            # The next look checks the file and moves it aside.
            self.close()

    def close(self) -> None:
        """Close the file; the next look opens it again."""
        store, self._store, self._ledger = self._store, None, None
        if store is not None:
            store.close()


def _stages_are_gone(memory: SharedMemory) -> bool:
    for name in STAGES:
        row = memory.process(name)
        if row.pid and process_start_time(row.pid) == row.start_time:
            return False
    return True


def serve(
    service: LedgerService, memory: SharedMemory, interval_s: float, stop_s: float, wake_fd: int
) -> None:
    """Look every interval until a byte comes through `wake_fd`, then once the stages are gone.

    Args:
        service: what looks.
        memory: the instance's segments.
        interval_s: seconds between two looks.
        stop_s: how long the stages are waited for at the end.
        wake_fd: readable when the end is asked for.
    """
    row = memory.process("ledger")
    deadline = None
    while True:
        row.heartbeat_ns = time.monotonic_ns()
        service.look()
        row.state = int(ProcessState.RUNNING)
        if deadline is not None and (_stages_are_gone(memory) or time.monotonic() > deadline):
            break
        is_asked = deadline is not None
        pause_s = RETRY_S if service.is_blocked and not is_asked else interval_s
        if select.select([] if is_asked else [wake_fd], [], [], pause_s)[0]:
            deadline = time.monotonic() + stop_s
    row.state = int(ProcessState.STOPPING)
    service.look(closing=True)
    service.close()
    row.state = int(ProcessState.STOPPED)
