"""What limits remember over runs: out of risk's words, through the file, and back again."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import hypothesis
import pytest
from hypothesis import strategies as st

from risk.keeping import cool_off_left_ns
from risk.positions import equity_e8, track_equity
from risk.state import TRADES, TRADES_OFFSET, UNDO, UNDO_OFFSET, UndoKind
from runtime.limit_file import KeptEquity, KeptLimits, KeptTrades
from shm.latch_table import LatchReason, held
from shm.latches import risk_latch_held
from shm.records import Strategy
from tests.compiled import exported
from tests.naive.risk_latch import Latch
from tests.risk.desk import Desk
from tests.risk.runs import SYMBOLS, agent_of, begin_run, forget_run, kept_by, words_of
from tests.uncompiled import run_the_other_way, run_uncompiled

E8 = 10**8
WALLET_E8 = 10_000 * E8
FIRST_DAY = 20_000
DAY_NS = 86_400 * 10**9
MINUTE_NS = 60 * 10**9
MOMENTUM, ORDER_FLOW = int(Strategy.MOMENTUM), int(Strategy.ORDER_FLOW)


def trades(desk: Desk, strategy: int):
    return TRADES.at(desk.memory.state("risk") + TRADES_OFFSET + strategy * TRADES.size)


def equity_is(desk: Desk, value: int, day: int = FIRST_DAY, unrealized: int = 0) -> None:
    """Let equity be a value by results of this run, at a day, and have it tracked."""
    control, header = desk.control, desk.header
    start = header.wallet_start_e8 or control.wallet_e8
    control.realized_e8 = value - unrealized - start - control.transfer_e8
    control.unrealized_e8 = unrealized
    desk.wiring.context.utc_day = day
    track_equity(desk.wiring.address, desk.wiring.parameters.max_drawdown)


def first_run(desk: Desk) -> None:
    """Leave a day that lost 3 %, from a peak above its start, with the rest of the memory set."""
    begin_run(desk, None)
    desk.control.wallet_e8 = WALLET_E8
    equity_is(desk, WALLET_E8, FIRST_DAY - 1)
    equity_is(desk, WALLET_E8 + 100 * E8, FIRST_DAY)
    equity_is(desk, WALLET_E8 + 200 * E8, FIRST_DAY)
    equity_is(desk, WALLET_E8 - 200 * E8, FIRST_DAY, unrealized=-50 * E8)
    desk.header.loss_streak = 4
    desk.header.cool_off_until_ns = time.monotonic_ns() + 5 * MINUTE_NS
    desk.symbol_state(1).throttle_latch = 1 << MOMENTUM | 1 << ORDER_FLOW
    desk.control.throttle_latches = 2
    row = trades(desk, ORDER_FLOW)
    row.trade_count, row.win_count, row.win_ppb, row.loss_ppb = 7, 3, 12_345, 67_890


def test_everything_goes_through_the_file_and_back(desk):
    first_run(desk)
    kept = kept_by(desk)
    assert kept.equity == KeptEquity(
        WALLET_E8 - 150 * E8, WALLET_E8 + 200 * E8, WALLET_E8 + 100 * E8, FIRST_DAY
    )
    assert kept.latched == {"SYM1USDT": ("momentum", "order_flow")}
    assert kept.trades == {"order_flow": KeptTrades(7, 3, 12_345, 67_890)}
    agent = begin_run(desk, kept)
    left_ns = desk.header.cool_off_until_ns - time.monotonic_ns()
    assert 4 * MINUTE_NS < left_ns <= 5 * MINUTE_NS
    assert desk.header.loss_streak == 4 and desk.control.throttle_latches == 2
    assert desk.symbol_state(1).throttle_latch == 1 << MOMENTUM | 1 << ORDER_FLOW
    assert desk.symbol_state(0).throttle_latch == desk.symbol_state(2).throttle_latch == 0
    assert trades(desk, ORDER_FLOW).loss_ppb == 67_890
    # Before the wallet is known nothing of it is lost either.
    assert replace(kept_by(desk), at_ns=0, cool_off_until_ns=0) == replace(
        kept, at_ns=0, cool_off_until_ns=0
    )
    agent.do_work()
    assert agent._context.log.events() == [], "a pause that goes on is no news"


def test_a_day_goes_on_and_trips_at_the_sum_of_both_runs(desk):
    first_run(desk)
    begin_run(desk, kept_by(desk))
    control = desk.control
    control.wallet_e8 = WALLET_E8 - 150 * E8
    day_least = (1 - desk.settings.risk.max_daily_loss) * (WALLET_E8 + 100 * E8)
    equity_is(desk, int(day_least) + 1)
    assert risk_latch_held(desk.wiring.context.control) == 0
    equity_is(desk, int(day_least) - 1)
    assert risk_latch_held(desk.wiring.context.control) == LatchReason.DAILY_LOSS
    # By itself this run has lost less than half of it.
    assert WALLET_E8 - 150 * E8 - day_least < day_least * 0.04


@pytest.mark.parametrize(("change", "lifted", "told"), [
    (0, 0, []), (70 * E8, 70 * E8, ["paid in"]), (-70 * E8, 0, ["loss"]), (1, 1, ["paid in"]),
])  # fmt: skip
def test_a_wallet_that_changed_between_the_runs_makes_up_for_no_loss(desk, change, lifted, told):
    first_run(desk)
    agent = begin_run(desk, kept_by(desk))
    desk.control.wallet_e8 = WALLET_E8 - 150 * E8 + change
    agent._wiring.context.utc_day = FIRST_DAY
    desk.wiring.context.utc_day = FIRST_DAY
    track_equity(desk.wiring.address, 0.5)
    assert desk.header.peak_e8 == WALLET_E8 + 200 * E8 + lifted
    assert desk.header.day_start_e8 == WALLET_E8 + 100 * E8 + lifted
    assert equity_e8(desk.wiring.address) == WALLET_E8 - 150 * E8 + change
    agent._report_wallet()
    lines = [values for _, event, values in agent._context.log.lines if "wallet" in event]
    assert [values["counts_as"] for values in lines] == told
    for values in lines:
        assert (values["kept"], values["wallet"]) == (9850.0, 9850.0 + change / E8)


@pytest.mark.parametrize(("day", "begins"), [(0, False), (-1, False), (-30, False), (1, True)])
def test_a_new_day_begins_anew_and_a_clock_that_steps_back_begins_none(desk, day, begins):
    first_run(desk)
    begin_run(desk, kept_by(desk))
    desk.control.wallet_e8 = WALLET_E8 - 150 * E8
    equity_is(desk, WALLET_E8 - 150 * E8, FIRST_DAY + day)
    assert desk.header.utc_day == FIRST_DAY + (1 if begins else 0)
    assert desk.header.day_start_e8 == WALLET_E8 + (-150 if begins else 100) * E8
    assert desk.header.peak_e8 == WALLET_E8 + 200 * E8, "the peak is of no day"


@pytest.mark.parametrize("paid", [1000 * E8, -1000 * E8])
def test_money_that_is_moved_in_a_run_is_no_result_of_it(desk, paid):
    """Not in the run, where prices wait for no fill, nor at the next start, which tells losses."""
    first_run(desk)
    context, control = desk.wiring.context, desk.control
    calm = (desk.header.calm_low_e8, desk.header.calm_high_e8)
    control.transfer_e8, control.wallet_e8 = paid, control.wallet_e8 + paid
    desk.look()
    assert equity_e8(desk.wiring.address) == WALLET_E8 - 200 * E8 + paid
    assert risk_latch_held(context.control) == 0
    share = desk.settings.risk.max_daily_loss
    day_start = WALLET_E8 + 100 * E8 + paid
    floor = math.ceil((1 - share) * day_start)
    assert desk.header.calm_low_e8 + control.transfer_e8 == floor - (WALLET_E8 - 150 * E8)
    assert desk.header.calm_high_e8 == calm[1] and desk.header.calm_low_e8 != calm[0]
    kept = kept_by(desk)
    assert kept.equity == KeptEquity(
        WALLET_E8 - 150 * E8 + paid, WALLET_E8 + 200 * E8 + paid, day_start, FIRST_DAY
    )
    # The loss between the runs is hidden by no deposit of the first.
    agent = begin_run(desk, kept)
    control.wallet_e8 = WALLET_E8 - 150 * E8 + paid - 70 * E8
    equity_is(desk, control.wallet_e8)
    assert desk.header.day_start_e8 == day_start
    agent._report_wallet()
    ((_, _, values),) = agent._context.log.lines
    assert values["counts_as"] == "loss" and values["kept"] - values["wallet"] == 70.0


def test_a_transfer_before_the_wallet_is_taken_over_is_no_result_either(desk):
    first_run(desk)
    agent = begin_run(desk, kept_by(desk))
    desk.control.wallet_e8, desk.control.transfer_e8 = WALLET_E8 + 850 * E8, 1000 * E8
    desk.wiring.context.utc_day = FIRST_DAY
    desk.look()
    assert equity_e8(desk.wiring.address) == WALLET_E8 + 850 * E8
    assert desk.header.day_start_e8 + 1000 * E8 == WALLET_E8 + 1100 * E8
    agent._report_wallet()
    assert agent._context.log.lines == [], "no difference to the last run"


def test_what_is_open_goes_on_and_is_counted_once(desk):
    first_run(desk)
    begin_run(desk, kept_by(desk))
    # Adopted at the venue's entry price: 50 are unrealised again, none of it is in the wallet.
    desk.control.wallet_e8 = WALLET_E8 - 150 * E8
    equity_is(desk, WALLET_E8 - 200 * E8, unrealized=-50 * E8)
    assert equity_e8(desk.wiring.address) == WALLET_E8 - 200 * E8
    assert desk.header.day_start_e8 == WALLET_E8 + 100 * E8


def test_a_latch_of_risk_is_held_again_and_rearming_begins_anew(desk):
    first_run(desk)
    equity_is(desk, WALLET_E8 - 600 * E8)
    kept = kept_by(desk)
    assert kept.latch == "daily_loss"
    begin_run(desk, kept)
    assert [latch[:2] for latch in held(desk.control)] == [("risk", LatchReason.DAILY_LOSS)]
    # Above the limit by now, and yet the day is begun anew when a person re-arms.
    desk.control.wallet_e8 = WALLET_E8 - 300 * E8
    equity_is(desk, WALLET_E8 - 300 * E8)
    desk.control.rearm_ns = desk.control.risk_latch_ns + 1
    assert words_of(desk).look() is None, "what a person has lifted is not to be kept"
    desk.header.rearm_seen_ns = desk.control.rearm_ns
    equity_is(desk, WALLET_E8 - 300 * E8)
    assert desk.header.peak_e8 == desk.header.day_start_e8 == WALLET_E8 - 300 * E8
    assert held(desk.control) == [] and kept_by(desk).latch == ""


def test_a_person_who_rearms_releases_what_was_taken_over(desk):
    first_run(desk)
    agent = begin_run(desk, kept_by(desk))
    desk.control.rearm_ns = time.monotonic_ns()
    agent.do_work()
    assert desk.control.throttle_latches == desk.symbol_state(1).throttle_latch == 0
    assert kept_by(desk).latched == {} and desk.count("rearmed") == 2


def test_a_pause_is_at_most_as_long_as_it_was():
    kept = KeptLimits(at_ns=100 * MINUTE_NS, cool_off_until_ns=130 * MINUTE_NS)
    minutes = [cool_off_left_ns(kept, now * MINUTE_NS) / MINUTE_NS for now in (100, 120, 130, 999)]
    assert minutes == [30, 10, 0, 0]
    assert cool_off_left_ns(kept, 0) == 30 * MINUTE_NS, "the clock was set back"
    assert cool_off_left_ns(KeptLimits(at_ns=5), 10) == 0


@pytest.mark.parametrize("year", [2300, 9999])
def test_a_pause_without_an_end_is_a_pause(desk, year):
    until = (datetime(year, 12, 31, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY_NS
    begin_run(desk, KeptLimits(at_ns=time.time_ns(), cool_off_until_ns=until))
    left_ns = desk.header.cool_off_until_ns - time.monotonic_ns()
    assert left_ns > 70 * 365 * DAY_NS
    desk.control.wallet_e8 = WALLET_E8
    equity_is(desk, WALLET_E8)
    again = kept_by(desk)
    assert again.cool_off_until_ns > again.at_ns + 70 * 365 * DAY_NS, "and stays one"


def test_symbols_and_strategies_that_are_gone_are_no_error(desk):
    forget_run(desk)
    kept = KeptLimits(
        at_ns=1,
        latched={"GONEUSDT": ("momentum",), "SYM0USDT": ("gone", "momentum")},
        trades={"gone": KeptTrades(1, 1, 1, 0), "momentum": KeptTrades(2, 1, 5, 5)},
    )
    begin_run(desk, kept)
    assert desk.symbol_state(0).throttle_latch == 1 << MOMENTUM
    assert desk.control.throttle_latches == 1 and trades(desk, MOMENTUM).trade_count == 2
    assert words_of(desk).look() is None, "nothing is traded before the wallet is known"
    desk.control.wallet_e8 = WALLET_E8
    equity_is(desk, WALLET_E8)
    assert kept_by(desk).equity == KeptEquity(WALLET_E8, WALLET_E8, WALLET_E8, FIRST_DAY)


def test_nothing_is_seen_while_risk_is_in_the_middle_of_something(desk, monkeypatch):
    first_run(desk)
    words = words_of(desk)
    undo = UNDO.at(desk.memory.state("risk") + UNDO_OFFSET)
    undo.kind = int(UndoKind.REPORT)
    assert words.look() is None
    undo.kind = 0
    desk.kept.whole = 0
    assert words.look() is None, "a cold start that is not whole"
    desk.kept.whole = 1
    whole = words.look()
    assert whole is not None and whole == words.look()
    looks = []

    def moving():
        desk.header.loss_streak += 1
        looks.append(desk.header.loss_streak)
        return whole._replace(losses=desk.header.loss_streak)

    monkeypatch.setattr(words, "_look_once", moving)
    assert words.look() is None and len(looks) == 2
    monkeypatch.undo()
    assert words_of(desk, SYMBOLS[:1]).look().latched == (0,)


def test_a_start_that_died_before_its_end_starts_cold_again(desk):
    first_run(desk)
    kept = kept_by(desk)
    begin_run(desk, kept)
    desk.kept.whole = 0
    desk.header.loss_streak = 99
    again = agent_of(desk, kept, restarted=True)
    again.on_start()
    assert desk.header.loss_streak == 4 and desk.kept.whole == 1
    assert "recovered" not in again._context.log.events()
    desk.header.loss_streak = 5
    agent_of(desk, kept, restarted=True).on_start()
    assert desk.header.loss_streak == 5, "a start that is whole goes on with what is there"


def test_no_day_begins_by_a_clock_that_the_venue_has_not_confirmed(desk, monkeypatch):
    first_run(desk)
    kept = kept_by(desk)
    desk.control.clock_ready = 0
    agent = begin_run(desk, kept)
    # Together with what the day of the file had lost this would be too much for one day.
    wallet = WALLET_E8 - 450 * E8
    desk.control.wallet_e8 = wallet
    monkeypatch.setattr("risk.agent.time.time_ns", lambda: (FIRST_DAY + 900) * DAY_NS)
    agent.do_work()
    assert held(desk.control) == [] and equity_e8(desk.wiring.address) == 0, "nothing is judged"
    assert kept_by(desk).equity == kept.equity, "nor is anything forgotten"
    desk.control.clock_ready, desk.control.clock_offset_ns = 1, -899 * DAY_NS
    agent.do_work()
    assert held(desk.control) == []
    assert (desk.header.utc_day, desk.header.day_start_e8) == (FIRST_DAY + 1, wallet)
    assert desk.header.peak_e8 == WALLET_E8 + 200 * E8
    # The same wallet in the day of the file is too much.
    agent = begin_run(desk, kept)
    desk.control.wallet_e8 = wallet
    desk.control.clock_offset_ns = -900 * DAY_NS
    agent.do_work()
    assert held(desk.control)[0][:2] == ("risk", LatchReason.DAILY_LOSS)


@pytest.mark.parametrize("left_ns", [10**6, 10**15])
def test_a_cycle_ends_with_the_day(desk, monkeypatch, left_ns):
    agent = agent_of(desk)
    agent.on_start()
    ends = []
    monkeypatch.setattr(agent, "_run", lambda address, until_ns: ends.append(until_ns))
    monkeypatch.setattr("risk.agent.time.monotonic_ns", lambda: 5)
    monkeypatch.setattr("risk.agent.time.time_ns", lambda: FIRST_DAY * DAY_NS - left_ns - 7)
    desk.control.clock_offset_ns = 7
    agent.do_work()
    assert ends == [5 + min(left_ns, agent._cycle_ns)]
    assert agent._wiring.context.utc_day == (FIRST_DAY * DAY_NS - left_ns) // DAY_NS


def test_a_crash_at_each_line_takes_over_the_same():
    found = run_uncompiled("tests.risk.keeping_cuts")
    assert found["wrong"] == []
    assert found["cuts"] > 60 and found["in_kernels"] > 30
    other = run_the_other_way("tests.risk.keeping_cuts", "--whole")
    assert other["end"] == found["end"], "compiled and uncompiled"


SHARES = st.sampled_from((0.02, 0.05, 0.1, 0.3))
STEPS = st.tuples(
    st.floats(0.8, 1.1),  # equity
    st.sampled_from((0, 0, 0, 0, 1, 2, -1)),  # days
    st.sampled_from((None, None, None, 0, 1, 500, -500)),  # restart: the wallet has changed by
    st.sampled_from((0, 0, 30, -30)),  # unrealised
    st.integers(0, 4).map(lambda drawn: drawn == 0),  # a person re-arms
    st.sampled_from((0, 0, 0, 170, -170)),  # is paid in
)


def test_runs_together_are_one_run_that_never_ended():
    """Peak, day and latch over restarts are those of a twin that knows of no restart."""
    seen = {"restarts": 0, "paid": 0, **dict.fromkeys(LatchReason, 0)}
    with closing(Desk(exported())) as desk:

        @hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
        @hypothesis.given(SHARES, SHARES, st.lists(STEPS, min_size=1, max_size=25))
        def compare(max_drawdown, max_daily_loss, steps):
            desk.wiring.parameters.max_drawdown = max_drawdown
            desk.wiring.parameters.max_daily_loss = max_daily_loss
            twin, day, base = Latch(max_drawdown, max_daily_loss), FIRST_DAY, WALLET_E8
            begin_run(desk, None)
            desk.control.wallet_e8 = WALLET_E8
            equity_is(desk, WALLET_E8, day)
            twin.step(WALLET_E8, day)
            for share, days, change, unrealized, rearms, paid in steps:
                day += days
                if change is not None:
                    seen["restarts"] += 1
                    begin_run(desk, kept_by(desk))
                    desk.control.wallet_e8 = base = base + change * E8
                    twin.wallet_changed(change * E8)
                    equity_is(desk, base, day)
                    twin.step(base, day)
                if rearms:
                    desk.control.rearm_ns = desk.control.risk_latch_ns + 1
                    desk.header.rearm_seen_ns = desk.control.rearm_ns
                    twin.rearm()
                desk.control.transfer_e8 += paid * E8
                twin.paid_in(paid * E8)
                equity = int(WALLET_E8 * share) + desk.control.transfer_e8
                base = equity - unrealized * E8
                equity_is(desk, equity, day, unrealized * E8)
                twin.step(equity, day)
                moved = desk.control.transfer_e8
                header = desk.header
                found = (header.peak_e8 + moved, header.utc_day, header.day_start_e8 + moved)
                assert found == (twin.peak, twin.day, twin.day_start)
                assert risk_latch_held(desk.wiring.context.control) == twin.reason
                seen[twin.reason] += 1
                seen["paid"] += paid != 0

        compare()
    # What is not reached is not tested.
    reached = (LatchReason.NONE, LatchReason.DRAWDOWN, LatchReason.DAILY_LOSS)
    for reason in ("restarts", "paid", *reached):
        assert seen[reason] > 10, seen
