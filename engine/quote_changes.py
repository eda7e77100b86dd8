"""From wanted and standing quotes to actions: keep, replace or pull, within a message budget.

The budget is a bucket of messages that fills with the venue's time. A withdrawal is one message, a
new quote one, a replacement two. A quote is placed only when what is left afterwards pays for the
withdrawal of everything that then stands, so pulling is always possible and still never exceeds
the budget.
"""

from __future__ import annotations

from engine.quote_prices import ASK, BID, decision_at, is_wide_enough, room_of
from engine.quote_volatility import quote_parameters_at, quote_state_at
from engine.quoting_state import QuoteAction, QuoteReason
from shm.compiled import kernel

KEEP = int(QuoteAction.KEEP)
REPLACE = int(QuoteAction.REPLACE)
PULL = int(QuoteAction.PULL)
UNPAID = int(QuoteReason.UNPAID)
FIRST = int(QuoteReason.FIRST)
MOVED = int(QuoteReason.MOVED)
WOULD_CROSS = int(QuoteReason.WOULD_CROSS)
TOO_LARGE = int(QuoteReason.TOO_LARGE)
TOO_LITTLE = int(QuoteReason.TOO_LITTLE)
PAIR = int(QuoteReason.PAIR)
HYSTERESIS = int(QuoteReason.HYSTERESIS)
RESTING = int(QuoteReason.RESTING)
BUDGET = int(QuoteReason.BUDGET)

STAY = 0
MAY = 1
MUST = 2
# Invariant: budget ≥ MESSAGE × standing quotes, before and after every decision.
MESSAGE = 1000  # the budget counts thousandths: a rate per second times milliseconds


@kernel
def fill_budget(state: int, parameters: int, now_ms: int) -> None:
    """Let the budget fill up to now; it begins empty."""
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    size = settings.message_burst * MESSAGE
    if view.budget_ms != 0 and now_ms > view.budget_ms:
        elapsed_ms = min(now_ms - view.budget_ms, size)
        view.budget = min(view.budget + elapsed_ms * settings.message_rate, size)
    view.budget_ms = now_ms


@kernel
def pull(state: int, decision: int, side: int, reasons: int) -> None:
    """Withdraw what stands on a side; its withdrawal has been paid for when it was placed."""
    view = quote_state_at(state)
    result = decision_at(decision)
    result.action[side] = PULL
    result.reasons[side] = result.reasons[side] | reasons
    result.messages[side] = 0
    if view.tick[side] != 0:
        view.budget -= MESSAGE
        result.messages[side] = 1
        view.changed_ms[side] = result.now_ms
    view.tick[side] = 0
    view.lot[side] = 0


@kernel
def _replace(state: int, decision: int, side: int) -> bool:
    # Returns whether the budget allowed it.
    view = quote_state_at(state)
    result = decision_at(decision)
    cost = 1 if view.tick[side] == 0 else 2
    standing = 1 if view.tick[1 - side] == 0 else 2
    if view.budget < (cost + standing) * MESSAGE:
        return False
    view.budget -= cost * MESSAGE
    view.tick[side] = result.target_tick[side]
    view.lot[side] = result.target_lot[side]
    view.changed_ms[side] = result.now_ms
    result.action[side] = REPLACE
    result.messages[side] = cost
    return True


@kernel
def _rests(state: int, parameters: int, decision: int, side: int) -> bool:
    changed_ms = quote_state_at(state).changed_ms[side]
    age_ms = decision_at(decision).now_ms - changed_ms
    return changed_ms != 0 and age_ms < quote_parameters_at(parameters).rest_ms


@kernel
def _judge(state: int, parameters: int, decision: int, side: int, inventory_lot: int) -> None:
    # Writes how urgent a change of a side with a target is, and why.
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    result = decision_at(decision)
    tick = view.tick[side]
    reasons = 0
    urgency = STAY
    if tick == 0:
        reasons |= FIRST
        urgency = MAY
    else:
        if (side == BID and tick >= view.ask_tick) or (side == ASK and tick <= view.bid_tick):
            reasons |= WOULD_CROSS
            urgency = MUST
        if view.lot[side] > room_of(parameters, side, inventory_lot):
            reasons |= TOO_LARGE
            urgency = MUST
        distance = abs(tick - result.target_tick[side])
        if distance >= settings.hysteresis_tick:
            reasons |= MOVED
            urgency = max(urgency, MAY)
        elif distance > 0 and urgency == STAY:
            reasons |= HYSTERESIS
        if 2 * view.lot[side] < result.target_lot[side]:
            reasons |= TOO_LITTLE
            urgency = max(urgency, MAY)
    if urgency == MAY and _rests(state, parameters, decision, side):
        reasons |= RESTING
        urgency = STAY
    result.urgency[side] = urgency
    result.reasons[side] = result.reasons[side] | reasons


@kernel
def _change(state: int, decision: int, side: int) -> None:
    # A change that safety demands and the budget does not allow becomes a withdrawal.
    result = decision_at(decision)
    must = result.urgency[side] == MUST
    if _replace(state, decision, side):
        return
    if must:
        pull(state, decision, side, UNPAID)
    else:
        result.reasons[side] = result.reasons[side] | BUDGET


@kernel
def _part_pair(state: int, parameters: int, decision: int, first: int) -> None:
    # The wanted pair is wide enough; one that was kept may stand too close to a new price.
    view = quote_state_at(state)
    result = decision_at(decision)
    for place in range(2):
        side = first ^ place
        if view.tick[BID] == 0 or view.tick[ASK] == 0:
            return
        if is_wide_enough(parameters, view.tick[BID], view.tick[ASK]):
            return
        beyond = view.tick[side] - result.target_tick[side]
        if side == ASK:
            beyond = -beyond
        if result.action[side] == KEEP and beyond > 0:
            result.reasons[side] = result.reasons[side] | PAIR
            result.urgency[side] = MUST
            _change(state, decision, side)


@kernel
def change_quotes(state: int, parameters: int, decision: int, inventory_lot: int) -> None:
    """Decide both sides and note what then stands; the budget has been filled.

    Sides without a target are pulled, then what safety demands is done, then what is wanted, each
    time beginning with the side that reduces the inventory. Loop bound: 2 urgencies × 2 sides.

    Args:
        state: address of QUOTE_STATE; standing quotes and budget are changed.
        parameters: address of QUOTE_PARAMETERS, sound.
        decision: address of QUOTE_DECISION with targets; actions, messages and reasons are changed.
        inventory_lot: signed lots held.
    """
    view = quote_state_at(state)
    result = decision_at(decision)
    first = ASK if inventory_lot > 0 else BID
    for side in range(2):
        if result.target_tick[side] == 0:
            pull(state, decision, side, 0)
        else:
            _judge(state, parameters, decision, side, inventory_lot)
    for urgency in range(MUST, STAY, -1):
        for place in range(2):
            side = first ^ place
            wanted = result.target_tick[side] != 0 and result.action[side] == KEEP
            if wanted and result.urgency[side] == urgency:
                _change(state, decision, side)
    _part_pair(state, parameters, decision, first)
    for side in range(2):
        result.tick[side] = view.tick[side]
        result.lot[side] = view.lot[side]
