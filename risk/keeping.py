"""What the limits remember, out of risk's memory for the supervisor to keep, and back into it.

    words = LimitWords(memory, names, strategies)
    seen = words.look()                    # the supervisor: compared with what it saw before
    kept = words.kept(seen, wall_ns, mono_ns)
    words.take_over(kept, wall_ns, mono_ns)    # risk, at a cold start

Looking takes no lock. A look counts when risk is in the middle of no change (its undo record says
so) and a second one finds the same words; else the next turn looks again. What is left is the day,
which begins outside of a change: its start is written first, so a look between the two sees
yesterday with a new start, and whoever takes that over begins the day once more.

Times become wall-clock times by this machine's clock: monotonic ones mean nothing after a reboot,
and the venue's clock is not known yet when risk starts. A pause never grows by a clock that was set
back: it is at most as long as it was when it was noted. One that was set forward shortens it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from risk.limit_state import KEPT, TRADES
from risk.state import (
    HEADER,
    KEPT_OFFSET,
    SYMBOL_STATE,
    SYMBOLS_OFFSET,
    TRADES_OFFSET,
    UNDO,
    UNDO_OFFSET,
    UndoKind,
)
from runtime.limit_file import KeptEquity, KeptLimits, KeptTrades
from shm.latch_table import LatchReason, held, reason_of, trip
from shm.records import STRATEGY_COUNT_MAX
from shm.topology import SharedMemory

TRADES_SIZE = TRADES.size * STRATEGY_COUNT_MAX
# Some 73 years: a person may write any time into the file, a word holds no other.
PAUSE_NS_MAX = 1 << 61


class Look(NamedTuple):
    """The words as they were at one moment; two that are equal need no new file."""

    base_e8: int  # equity less its unrealised part
    peak_e8: int
    day_start_e8: int
    utc_day: int
    latch: int
    losses: int
    cool_off_until_ns: int  # monotonic
    latched: tuple[int, ...]  # bits by strategy, by symbol; empty = none
    trades: bytes


class LimitWords:
    """What risk's limits remember in the shared memory of one run.

    Args:
        memory: of the run.
        symbols: names, by their place in the symbol table.
        strategies: names by code.
    """

    def __init__(
        self, memory: SharedMemory, symbols: Sequence[str], strategies: Mapping[int, str]
    ) -> None:
        self._memory = memory
        self.symbols = tuple(symbols)
        self.strategies = dict(strategies)
        state = memory.state("risk")
        self._header = HEADER.at(state)
        self._words = KEPT.at(state + KEPT_OFFSET)
        self._undo = UNDO.at(state + UNDO_OFFSET)
        self._trades = state + TRADES_OFFSET
        self._symbol_states = state + SYMBOLS_OFFSET

    @property
    def _knows_equity(self) -> bool:
        # Ordering: risk writes its day after wallet and peak.
        is_taken = self._header.wallet_start_e8 != 0 and self._header.utc_day > 0
        return is_taken or self._words.peak_e8 > 0

    @property
    def is_whole(self) -> bool:
        """Return whether risk has come to the end of its cold start, in this run."""
        return bool(self._words.whole)

    def look(self) -> Look | None:
        """Return the words, None while they cannot be told to belong together.

        None as well while equity is unknown: nothing has been traded yet, and a file that says so
        would keep the first one that knows it waiting; and while a person has re-armed and risk,
        which may be dead, has not seen it: what is there is not to be kept.
        """
        if not self.is_whole or self._undo.kind != UndoKind.NONE:
            return None
        if self._header.rearm_seen_ns != self._memory.control.rearm_ns:
            return None
        first = self._look_once()
        if first != self._look_once() or self._undo.kind != UndoKind.NONE:
            return None
        return first if self._knows_equity else None

    def kept(self, seen: Look, wall_ns: int, mono_ns: int) -> KeptLimits:
        """Return a look as it is kept, with names and wall-clock times; codes without a name go."""
        pause_ns = seen.cool_off_until_ns - mono_ns
        equity = None
        # A peak of nothing: all was paid out. No share of that can be lost, so what is paid in
        # later begins day and peak anew.
        if seen.peak_e8 > 0:
            equity = KeptEquity(seen.base_e8, seen.peak_e8, seen.day_start_e8, seen.utc_day)
        rows = {
            name: TRADES.structure.from_buffer_copy(seen.trades, code * TRADES.size)
            for code, name in self.strategies.items()
        }
        return KeptLimits(
            at_ns=wall_ns,
            equity=equity,
            latch=reason_of(seen.latch).name.lower() if seen.latch else "",
            losses=seen.losses,
            cool_off_until_ns=wall_ns + pause_ns if pause_ns > 0 else 0,
            latched={
                symbol: tuple(name for code, name in self.strategies.items() if bits >> code & 1)
                for symbol, bits in zip(self.symbols, seen.latched, strict=False)
                if bits
            },
            trades={
                name: KeptTrades(row.trade_count, row.win_count, row.win_ppb, row.loss_ppb)
                for name, row in rows.items()
                if row.trade_count
            },
        )

    def take_over(self, kept: KeptLimits | None, wall_ns: int, mono_ns: int) -> None:
        """Begin with what an earlier run has kept; the words are zero, and only risk may.

        Equity waits in KEPT for the wallet. Names that this run does not know stay with the
        supervisor. The last word says that all of it is there: a start that died before begins
        again with words of zero.
        """
        if kept is not None:
            self._take_over(kept, wall_ns, mono_ns)
        self._words.whole = 1

    def _take_over(self, kept: KeptLimits, wall_ns: int, mono_ns: int) -> None:
        words, header, control = self._words, self._header, self._memory.control
        if kept.equity is not None:
            words.base_e8 = kept.equity.base_e8
            words.day_start_e8 = kept.equity.day_start_e8
            words.utc_day = kept.equity.utc_day
            words.peak_e8 = kept.equity.peak_e8
        header.loss_streak = kept.losses
        pause_ns = cool_off_left_ns(kept, wall_ns)
        header.cool_off_until_ns = mono_ns + pause_ns if pause_ns > 0 else 0
        codes = {name: code for code, name in self.strategies.items()}
        latch_count = 0
        for place, symbol in enumerate(self.symbols):
            known = {codes[name] for name in kept.latched.get(symbol, ()) if name in codes}
            self._symbol_state(place).throttle_latch = sum(1 << code for code in known)
            latch_count += len(known)
        control.throttle_latches = latch_count
        for name, row in kept.trades.items():
            if name in codes:
                trades = TRADES.at(self._trades + codes[name] * TRADES.size)
                trades.trade_count, trades.win_count = row.closed, row.won
                trades.win_ppb, trades.loss_ppb = row.gains_ppb, row.losses_ppb
        if kept.latch:
            # The supervisor holds it by its own file; here it says what re-arming begins anew.
            trip(control, "risk", LatchReason[kept.latch.upper()])

    def _look_once(self) -> Look:
        header, control, kept = self._header, self._memory.control, self._words
        equity = (kept.base_e8, kept.peak_e8, kept.day_start_e8, kept.utc_day)
        if header.wallet_start_e8 != 0:
            base = header.wallet_start_e8 + control.realized_e8 - control.fee_e8
            base += control.funding_e8
            # What is paid in or out shifts all three, see `track_equity`.
            paid = control.transfer_e8
            money = (base + paid, header.peak_e8 + paid, header.day_start_e8 + paid)
            equity = (*money, header.utc_day)
        latched: tuple[int, ...] = ()
        if control.throttle_latches:
            places = range(len(self.symbols))
            latched = tuple(self._symbol_state(place).throttle_latch for place in places)
        own = [latch.reason for latch in held(control) if latch.writer == "risk"]
        return Look(
            *equity,
            latch=int(own[0]) if own else 0,
            losses=header.loss_streak,
            cool_off_until_ns=header.cool_off_until_ns,
            latched=latched,
            trades=ctypes.string_at(self._trades, TRADES_SIZE),
        )

    def _symbol_state(self, place: int) -> Any:
        return SYMBOL_STATE.at(self._symbol_states + place * SYMBOL_STATE.size)


def cool_off_left_ns(kept: KeptLimits, wall_ns: int) -> int:
    """Return what is left of a pause after losses, 0 = none."""
    if not kept.cool_off_until_ns:
        return 0
    left = min(kept.cool_off_until_ns - wall_ns, kept.cool_off_until_ns - kept.at_ns)
    return min(max(0, left), PAUSE_NS_MAX)
