"""Which symbols may take entries: what a comparison found, and what becomes of what differs.

A symbol that differs takes no entries until a comparison finds it equal; the others go on. An order
that is not ours is left alone (`risk.foreign_policy: halt`) or canceled (`adopt`, `reduce`). A
position that differs in the same way AGREE_COUNT times in a row is taken over: the difference is
published as a fill of nobody's order, and risk does what its policy says.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

from executor.comparing import Finding
from executor.counts import Counts
from executor.differences import Streak, agrees
from executor.ledger import Change, Ledger
from executor.transitions import OrderEvent
from executor.venue import PositionRow
from runtime.stage import StageContext
from shm.tables import Distrust

# Comparisons that have to find the same difference before it is taken for the truth.
AGREE_COUNT = 3
# Comparisons that settle nothing about a position, in a row, before it counts as in doubt.
UNDECIDED_COUNT = 3
COMPARED = int(Distrust.POSITION | Distrust.ORDER)
POSITION, ORDER = int(Distrust.POSITION), int(Distrust.ORDER)


class Trusts:
    """Write the SYMBOL_TRUST rows."""

    def __init__(self, context: StageContext, counts: Counts, ledger: Ledger) -> None:
        self._memory, self._symbols, self._log = context.memory, context.symbols, context.log
        self._counts, self._ledger = counts, ledger
        self._streaks: dict[int, Streak] = {}  # by symbol
        self._undecided: dict[int, int] = {}  # comparisons in a row that settled nothing
        self._told: dict[int, set[str]] = {}  # since the symbol agreed last

    def mark(self, symbol: int, bits: int, mask: int) -> None:
        """Set the bits of a symbol that are in a mask."""
        row = self._memory.trust(symbol)
        row.distrust = (row.distrust & ~mask) | bits

    def conclude(
        self,
        found: dict[int, Finding],
        busy: Collection[int],
        asked: Collection[int],
        in_doubt: bool,
    ) -> set[int]:
        """Take over what a comparison found; return the symbols that are to be looked at again.

        Args:
            found: findings by symbol.
            busy: symbols that get no verdict: an order of theirs is in doubt.
            asked: symbols with an order that is being asked for. What it has done is told with its
                price: a difference takes their entries, and nothing is taken over.
            in_doubt: a position of which nothing is certain counts as one that differs. Otherwise
                it is left as it was found before, UNDECIDED_COUNT times at most.
        """
        again: set[int] = set()
        for symbol, finding in found.items():
            streak = self._streaks.setdefault(symbol, Streak())
            if symbol in busy:
                self._streaks.pop(symbol)
                if finding.texts or not agrees(finding.possible):
                    again.add(symbol)
                continue
            doubted = self._is_doubted(finding, in_doubt)
            self._mark(finding, doubted)
            self._tell(symbol, finding, doubted)
            if symbol in asked:
                self._streaks.pop(symbol)
            elif streak.note(finding.possible, finding.lates, finding.venue_ns) >= AGREE_COUNT:
                self._take_over(finding)
            if not agrees(finding.possible):
                again.add(symbol)
        return again

    def _is_doubted(self, finding: Finding, in_doubt: bool) -> bool:
        """Return whether nothing is certain about a position, and that takes its entries."""
        symbol = finding.symbol
        if finding.is_certain:
            self._undecided.pop(symbol, None)
            return False
        times = self._undecided[symbol] = self._undecided.get(symbol, 0) + 1
        is_marked = bool(self._memory.trust(symbol).distrust & POSITION)
        return in_doubt or is_marked or times >= UNDECIDED_COUNT

    def _mark(self, finding: Finding, doubted: bool) -> None:
        bits = ORDER if finding.texts else 0
        if finding.moved or doubted:
            bits |= POSITION
        self.mark(finding.symbol, bits, COMPARED)
        if finding.is_certain:
            row = self._memory.trust(finding.symbol)
            row.venue_lot = finding.theirs
            row.compared_ns = finding.asked_ns

    def _tell(self, symbol: int, finding: Finding, doubted: bool) -> None:
        name = self._symbols[symbol]
        texts = sorted(finding.told(name, doubted))
        told = self._told.setdefault(symbol, set())
        self._counts.mismatches.value += len(texts)
        if not told.issuperset(texts):
            self._log.error(
                "the venue differs: no entries in this symbol until it agrees",
                symbol=name,
                count=len(texts),
                differences="; ".join(texts[:8]),
            )
        elif told and not texts:
            self._log.info("the venue agrees again", symbol=name)
        self._told[symbol] = {*told, *texts} if texts else set()

    def _take_over(self, finding: Finding) -> None:
        """Publish the difference as a fill of nobody's order."""
        symbol = finding.symbol
        (delta,) = finding.possible
        tick = self._price(finding)
        if tick <= 0:
            return
        since_ns = self._streaks.pop(symbol).since_ns
        self._counts.corrections.value += 1
        self._log.error(
            "position taken over from the venue",
            symbol=self._symbols[symbol],
            venue_lot=finding.theirs,
            our_lot=finding.ours,
            difference_lot=delta,
            price_tick=tick,
        )
        self._ledger.apply(
            Change(
                0,
                OrderEvent.FILLED,
                symbol=symbol,
                side=1 if delta > 0 else -1,
                fill_tick=tick,
                fill_lot=abs(delta),
                filled_lot=abs(delta),
                before_ns=since_ns,
            )
        )

    def _price(self, finding: Finding) -> int:
        """Return what the difference cost: the venue's entry price where all of it is foreign.

        Otherwise its mark price, 0 when neither is known: nobody tells what fills were missed.
        """
        row = finding.row or PositionRow("", "0", "0")
        position = self._memory.position(finding.symbol)
        tick_size = self._memory.symbol(finding.symbol).tick_size
        entry, mark = _number(row.entry), _number(row.mark)
        price = entry if finding.ours == 0 and entry > 0 else mark
        if price > 0:
            return max(1, round(price / tick_size))
        if position.entry_lot > 0:
            # The venue has no row of a position that is gone.
            return int(position.entry_value // position.entry_lot)
        return 0


def _number(text: Any) -> float:
    try:
        value = float(Decimal(str(text)))
    except (InvalidOperation, OverflowError, ValueError):
        return 0.0
    return value if value > 0 else 0.0
