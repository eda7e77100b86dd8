"""What the engine of a running instance has counted, and how its symbols stand."""

from __future__ import annotations

from engine.book_layout import BOOK, BOOK_BUILDING, BOOK_VALID
from engine.reasons import refusal_names
from engine.state import SYMBOL_STATE, book_address, symbol_state_address
from runtime.report import print_report
from shm.tables import read_symbol_name
from shm.topology import SharedMemory

_BOOK_STATES = {BOOK_BUILDING: "building", BOOK_VALID: "valid"}


def report(instance: str) -> int:
    """Print a live instance's engine; return the exit status."""
    return print_report(instance, "engine", lines)


def lines(memory: SharedMemory) -> list[str]:
    """Return the report as lines."""
    found = [f"{key} {value}" for key, value in memory.counters.as_dict("engine").items()]
    p50, p99 = memory.histograms.get("engine").percentiles((0.5, 0.99))
    found.append(f"engine.latency_ns p50={p50} p99={p99}")
    base, count = memory.state("engine"), memory.control.symbol_count
    for index in range(count):
        state = SYMBOL_STATE.at(symbol_state_address(base, index))
        book = BOOK.at(book_address(base, count, index))
        scores = " ".join(f"{score:+.2f}" for score in state.scores)
        found.append(
            f"{read_symbol_name(memory.symbol(index))} "
            f"book={_BOOK_STATES.get(book.state, 'invalid')} "
            f"best={state.bid_tick}/{state.ask_tick} "
            f"quarantine={','.join(refusal_names(state.quarantine)) or 'no'} scores=[{scores}]"
        )
    return found
