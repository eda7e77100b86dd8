"""Money that is moved as a run begins, and when nothing is left."""

from __future__ import annotations

from risk.positions import track_equity
from runtime.limit_file import KeptEquity
from shm.latches import risk_latch_held
from tests.risk.runs import begin_run, kept_by
from tests.risk.transfer_race import DAY, E8, PAID_E8, WALLET_E8
from tests.uncompiled import run_uncompiled


def test_what_is_left_when_all_is_paid_out_begins_anew(desk):
    begin_run(desk, None)
    control, wiring = desk.control, desk.wiring
    wiring.context.utc_day = DAY

    def look(wallet_e8: int, transfer_e8: int) -> None:
        control.wallet_e8, control.transfer_e8 = wallet_e8, transfer_e8
        track_equity(wiring.address, wiring.parameters.max_drawdown)
        assert risk_latch_held(wiring.context.control) == 0

    look(WALLET_E8, 0)
    assert kept_by(desk).equity == KeptEquity(WALLET_E8, WALLET_E8, WALLET_E8, DAY)
    look(0, -WALLET_E8)
    # The base from before would be a loss of all of it at the next start, or hide one.
    assert kept_by(desk).equity is None
    look(500 * E8, 500 * E8 - WALLET_E8)
    assert kept_by(desk).equity == KeptEquity(500 * E8, 500 * E8, 500 * E8, DAY)


def test_a_transfer_as_risk_begins_with_the_wallet_counts_once():
    found = run_uncompiled("tests.risk.transfer_race")
    wrong = {times: equity for times, equity in found.items() if equity != WALLET_E8 + PAID_E8}
    assert wrong == {} and len(found) > 20, wrong
