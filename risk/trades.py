"""Closed trades: what each strategy won and lost, losses in a row, and the Kelly fraction of both.

A trade is a position from its first fill until it is flat, after fees, as a fraction of what its
entry was worth. It is counted within the change that closes it (undo.py saves its row), once; what
is reported after that, late fees and late fills, is in the results and not in here.
"""

from __future__ import annotations

from risk.state import CONTEXT, HEADER, PARAMETERS, SYMBOL_STATE, TRADES
from risk.undo import POSITION_SIZE, SYMBOL_STATE_SIZE, TRADES_SIZE
from runtime.clocks import mono_ns
from shm.compiled import kernel
from shm.records import STRATEGY_COUNT_MAX, Strategy
from shm.tables import POSITION, SYMBOL
from shm.views import view_of

context_at = view_of(CONTEXT)
header_at = view_of(HEADER)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
trades_at = view_of(TRADES)

SYMBOL_SIZE = SYMBOL.size
PPB = 1e9
MARKET_MAKING = int(Strategy.MARKET_MAKING)
# What `kelly_share` returns while there are too few trades to know.
UNKNOWN_EDGE = -1.0


@kernel
def trades_address(context: int, strategy: int) -> int:
    """Return the address of a strategy's row of closed trades; needs 0 ≤ strategy < 16."""
    return context_at(context).trades + strategy * TRADES_SIZE


@kernel
def note_trade(context: int, symbol: int) -> None:
    """Count the trade that has just been closed; needs entry_lot > 0."""
    view = context_at(context)
    row = position_at(view.positions + symbol * POSITION_SIZE)
    if row.strategy < 0 or row.strategy >= STRATEGY_COUNT_MAX or row.entry_value <= 0:
        return
    state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
    header = header_at(view.header)
    settings = parameters_at(view.parameters)
    trades = trades_at(trades_address(context, row.strategy))
    result = state.realized_e8 - row.fee_e8
    worth = row.entry_value * symbol_at(view.symbols + symbol * SYMBOL_SIZE).value_e8
    # Floats: the product of a result and 10^9 does not fit a word. The quotient is deterministic.
    share = int(result / worth * PPB)
    trades.trade_count += 1
    if result > 0:
        trades.win_count += 1
        trades.win_ppb += share
        if row.strategy != MARKET_MAKING:
            header.loss_streak = 0
        return
    trades.loss_ppb -= share
    # Inventory comes back to zero often: its losses in a row say nothing about entries.
    if result < 0 and row.strategy != MARKET_MAKING:
        header.loss_streak += 1
        if settings.max_losses > 0 and header.loss_streak >= settings.max_losses:
            header.loss_streak = 0
            header.cool_off_until_ns = mono_ns() + settings.cool_off_ns


@kernel
def kelly_share(trades: int, trades_min: int) -> float:
    """Return the share of equity to lose on a losing trade, UNKNOWN_EDGE, or 0 for no edge.

    With win rate p and payoff b = mean gain / mean loss the growth of equity is greatest at
    f = p − (1 − p) / b (Kelly, "A New Interpretation of Information Rate", 1956; Thorp, "The Kelly
    Criterion in Blackjack, Sports Betting and the Stock Market", 2006). p is taken after as many
    imagined trades as `trades_min` at the win rate that just breaks even: the few trades one has
    exaggerate, and f shrinks by n / (n + trades_min). Without a losing trade b is not known.
    """
    view = trades_at(trades)
    count = view.trade_count
    losses = count - view.win_count
    if count < trades_min or losses == 0 or view.loss_ppb <= 0:
        return UNKNOWN_EDGE
    if view.win_count == 0:
        return 0.0
    payoff = (view.win_ppb / view.win_count) / (view.loss_ppb / losses)
    if not payoff > 0.0:
        return 0.0
    rate = view.win_count / count
    full = rate - (1.0 - rate) / payoff
    return max(0.0, full * count / (count + trades_min))
