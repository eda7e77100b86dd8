"""The books of the driver of limits: what it has shown and told, and what that makes in money.

They come from the prices shown and the fills told alone, in integers. As risk rounds the cost of
closed lots down, they do: the two results are the same to the last unit. Loop bound: SYMBOLS.
"""

from __future__ import annotations

from risk.state import CONTEXT
from shm.compiled import kernel
from shm.fields import Field, Record
from shm.tables import SYMBOL
from shm.views import view_of

SYMBOLS = 8
STRATEGIES = 3
STAMPS = 512
REPEATS = 64
BREACHES = (
    ("latched", "an entry left while something forbade it"),
    ("duplicate", "the symbol had a position or an order"),
    ("positions", "too many positions"),
    ("collar", "price too far from best or mark"),
    ("filter", "price, quantity or value outside the venue's filters"),
    ("order", "the order is worth too much"),
    ("inventory", "too much of one symbol"),
    ("strategy", "too much of one strategy"),
    ("gross", "too much in all"),
    ("net", "too much on one side, and the order added to it"),
    ("stops", "too much lost at the stops"),
    ("margin", "too much margin"),
    ("correlation", "alike to an open position, or not known"),
    ("rate", "too many orders in a second"),
    ("repeat", "repeated too often, or latched for that"),
    ("counts", "signals are not accepted and rejected"),
    ("equity", "risk's equity is not that of the driver's books"),
)
RUN = Record(
    "limits_run",
    "What the driver works on, its own books, and what it has found.",
    [
        *(Field(name, "i64", "address", "driver", "see risk.state") for name in
          ("context", "signal", "event", "signals_count", "accepted_count", "rejected_count")),
        Field("wallet_e8", "i64", "1e-8 quote", "driver", "at the start"),
        Field("random", "i64", "state", "kernel", "of the generator"),
        Field("now_ns", "i64", "ns", "kernel", "simulated time"),
        Field("steps", "i64", "count", "kernel", "steps done"),
        Field("signals", "i64", "count", "kernel", "signals handed over"),
        Field("entries", "i64", "count", "kernel", "entries that came out"),
        Field("exits", "i64", "count", "kernel", "exits that came out"),
        Field("fills", "i64", "count", "kernel", "fills reported"),
        Field("hash", "i64", "hash", "kernel", "over all orders and fills"),
        Field("first_bad_step", "i64", "index", "kernel", "of the first breach; -1 = none"),
        *(Field(f"bad_{name}", "i64", "count", "kernel", meaning) for name, meaning in BREACHES),
        Field("bid", "i64", "ticks", "kernel", "best bid", SYMBOLS),
        Field("ask", "i64", "ticks", "kernel", "best ask", SYMBOLS),
        Field("best_ns", "i64", "ns", "kernel", "when they were shown; 0 = withdrawn", SYMBOLS),
        Field("mark", "i64", "ticks", "kernel", "mark price", SYMBOLS),
        Field("mark_ns", "i64", "ns", "kernel", "when it was shown", SYMBOLS),
        Field("held_lot", "i64", "lots, signed", "kernel", "by the fills", SYMBOLS),
        Field("opened_lot", "i64", "lots", "kernel", "by the last position's entry", SYMBOLS),
        Field("opened_value", "i64", "ticks × lots", "kernel", "of them", SYMBOLS),
        Field("closed_lot", "i64", "lots", "kernel", "of them, by now", SYMBOLS),
        Field("closed_value", "i64", "ticks × lots", "kernel", "what they were closed at", SYMBOLS),
        Field("earlier_e8", "i64", "1e-8 quote", "kernel", "gained by positions before", SYMBOLS),
        Field("floating_e8", "i64", "1e-8 quote", "kernel", "not realised, last known", SYMBOLS),
        Field("strategy", "i64", "Strategy", "kernel", "of the last entry", SYMBOLS),
        Field("entry_id", "i64", "id", "kernel", "in flight; 0 = none", SYMBOLS),
        Field("entry_side", "i64", "+1, -1", "kernel", "of it", SYMBOLS),
        Field("entry_left_lot", "i64", "lots", "kernel", "of it", SYMBOLS),
        Field("entry_done_lot", "i64", "lots", "kernel", "of it", SYMBOLS),
        Field("entry_tick", "i64", "ticks", "kernel", "the dearest it may be", SYMBOLS),
        Field("entry_limit", "i64", "ticks", "kernel", "its limit", SYMBOLS),
        Field("entry_risk_tick", "i64", "ticks", "kernel", "to its stop", SYMBOLS),
        Field("exit_id", "i64", "id", "kernel", "in flight; 0 = none", SYMBOLS),
        Field("exit_side", "i64", "+1, -1", "kernel", "of it", SYMBOLS),
        Field("exit_lot", "i64", "lots", "kernel", "of it", SYMBOLS),
        Field("latched", "i64", "bits by Strategy", "kernel", "by repeats, before", SYMBOLS),
        Field("repeat_count", "i64", "count", "kernel", "entries written", SYMBOLS),
        Field("repeat_ns", "i64", "ns", "kernel", "of the newest", SYMBOLS * REPEATS),
        Field("repeat_key", "i64", "key", "kernel", "of the newest", SYMBOLS * REPEATS),
        Field("order_count", "i64", "count", "kernel", "orders written"),
        Field("order_ns", "i64", "ns", "kernel", "of the newest", STAMPS),
    ],
)  # fmt: skip
run_at = view_of(RUN)
context_at = view_of(CONTEXT)
symbol_at = view_of(SYMBOL)
SYMBOL_SIZE = SYMBOL.size


@kernel
def value_of(run: int, symbol: int) -> int:
    """Return a symbol's value of one tick times one lot, 1e-8 quote."""
    view = run_at(run)
    return symbol_at(context_at(view.context).symbols + symbol * SYMBOL_SIZE).value_e8


@kernel
def begin_position(run: int, symbol: int, side: int) -> None:
    """Begin the books of another position; what the last one has gained is kept."""
    view = run_at(run)
    view.earlier_e8[symbol] += gained_e8(run, symbol)
    view.entry_side[symbol] = side
    view.opened_lot[symbol] = 0
    view.opened_value[symbol] = 0
    view.closed_lot[symbol] = 0
    view.closed_value[symbol] = 0


@kernel
def book_fill(run: int, symbol: int, side: int, lot: int, tick: int) -> None:
    """Take a fill into the books, by its side."""
    view = run_at(run)
    view.held_lot[symbol] += side * lot
    if side == view.entry_side[symbol]:
        view.opened_lot[symbol] += lot
        view.opened_value[symbol] += lot * tick
    else:
        view.closed_lot[symbol] += lot
        view.closed_value[symbol] += lot * tick
    value_position(run, symbol)


@kernel
def _cost_e8(run: int, symbol: int) -> int:
    """Return what the closed lots of a symbol's position had cost, 1e-8 quote, rounded down."""
    view = run_at(run)
    if view.closed_lot[symbol] == 0:
        return 0
    whole = view.opened_value[symbol] * value_of(run, symbol)
    return whole * view.closed_lot[symbol] // view.opened_lot[symbol]


@kernel
def gained_e8(run: int, symbol: int) -> int:
    """Return what the closed lots of a symbol's position have gained, 1e-8 quote."""
    view = run_at(run)
    proceeds = view.closed_value[symbol] * value_of(run, symbol)
    return view.entry_side[symbol] * (proceeds - _cost_e8(run, symbol))


@kernel
def value_position(run: int, symbol: int) -> None:
    """Value what is held at the price it would leave at; where that is unknown, it stays."""
    view = run_at(run)
    held = view.held_lot[symbol]
    if held == 0:
        view.floating_e8[symbol] = 0
    elif view.best_ns[symbol] != 0:
        cost = view.opened_value[symbol] * value_of(run, symbol) - _cost_e8(run, symbol)
        worth = abs(held) * price_of(run, symbol) * value_of(run, symbol)
        view.floating_e8[symbol] = view.entry_side[symbol] * (worth - cost)


@kernel
def price_of(run: int, symbol: int) -> int:
    """Return the price a held position is worth: where it would leave, else its average fill."""
    view = run_at(run)
    if view.best_ns[symbol] != 0:
        return view.bid[symbol] if view.held_lot[symbol] > 0 else view.ask[symbol]
    value = view.opened_value[symbol] + view.closed_value[symbol]
    return value // (view.opened_lot[symbol] + view.closed_lot[symbol])


@kernel
def own_equity_e8(run: int) -> int:
    """Return the wallet and all results, by the driver's books. Loop bound: SYMBOLS."""
    view = run_at(run)
    total = view.wallet_e8
    for symbol in range(SYMBOLS):
        total += view.earlier_e8[symbol] + gained_e8(run, symbol) + view.floating_e8[symbol]
    return total
