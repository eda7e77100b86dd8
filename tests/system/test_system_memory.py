"""What limits remember, with real processes: runs on a venue that outlives them are one day.

The test gives the signals itself (see hand.py): each opens a position whose stop is where it
begins, so that it loses its fees and the spread.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from risk.state import HEADER, KEPT, KEPT_OFFSET
from runtime.instance_folder import InstanceFolder
from runtime.limit_file import E8
from shm.latch_table import LatchReason, held
from shm.records import Strategy
from shm.tables import PositionState
from tests.system.hand import PATIENT, SILENT_ENGINE, refusals
from tests.system.pipeline import wait_until
from tests.system.test_system_kill import command, kill_everything
from tests.system.test_system_limits import EASY, is_protected
from tests.system.test_system_stops import end

pytestmark = pytest.mark.system
BALANCE = 1000
LOSS_MAX = 0.001
# What a day may lose, in quote.
LIMIT = BALANCE * LOSS_MAX
SMALL = ("trading.base_position_usd=300", "trading.max_position_usd=400")
DAY = (f"risk.max_daily_loss={LOSS_MAX}", "risk.max_consecutive_losses=0", *SMALL)
LOSING = {"strength": 1.0, "confidence": 1.0, "volatility": 0.0, "stop_pct": 1e-6}


@pytest.fixture
def venue(make_venue):
    return make_venue("--regime", "quiet", "--balance", str(BALANCE))


@pytest.fixture
def run(tmp_path: Path, venue, start, take_over):
    """Start a run on the venue; its signals are the test's."""

    def begin(*settings: str):
        own = (*venue.settings, *EASY, *SILENT_ENGINE, *PATIENT, *settings)
        pipeline = start(tmp_path, settings=own)
        memory = pipeline.attach()
        hand = take_over(memory)
        wait_until(lambda: hand.has_price(0), 30.0, "prices")
        return pipeline, memory, hand

    return begin


def result(memory) -> float:
    """Return what the run has won or lost, in quote."""
    return (memory.control.realized_e8 - memory.control.fee_e8) / E8


def lose(memory, hand) -> None:
    """Make one trade that loses."""
    before = result(memory)
    trips = memory.counters.get("risk.round_trips")
    hand.enter(0, **LOSING)
    wait_until(lambda: memory.counters.get("risk.round_trips") > trips, 20.0, "closed")
    assert result(memory) < before, "the trade was to lose"


def lose_the_day(memory, hand, before: float, limit: float = LIMIT) -> None:
    """Lose until the limit is passed, together with what was lost before, and not sooner."""
    while before + result(memory) >= -limit:
        assert held(memory.control) == [], (before, result(memory))
        lose(memory, hand)
    wait_until(lambda: held(memory.control), 5.0, f"latched: {before} {result(memory)}")
    assert held(memory.control)[0][:2] == ("risk", LatchReason.DAILY_LOSS)
    hand.refused("rejected_daily_loss", symbol=0)


def kept_losses(tmp_path: Path, pipeline) -> int:
    """Return the losses in a row that the file has."""
    folder = InstanceFolder(str(tmp_path / "state"), pipeline.instance)
    return next((kept.losses for kept in folder.limits().venues.values()), 0)


def kept_day_start(tmp_path: Path, pipeline) -> float:
    """Return the equity at the day's start that the file has."""
    folder = InstanceFolder(str(tmp_path / "state"), pipeline.instance)
    (kept,) = folder.limits().venues.values()
    assert kept.equity is not None
    return kept.equity.day_start_e8 / E8


@pytest.mark.parametrize("is_killed", [False, True], ids=["ended", "killed"])
def test_a_day_s_loss_goes_on_over_runs(tmp_path: Path, venue, run, is_killed):
    pipeline, memory, hand = run(*DAY)
    first = 0.0
    while first > -0.45 * LIMIT:
        lose(memory, hand)
        first = result(memory)
    assert held(memory.control) == [], "the first run by itself stays within the limit"
    if is_killed:
        kill_everything(memory)
        pipeline.finish()
        memory.close()
    else:
        hand.release()
        end(pipeline, memory, venue)
    pipeline, memory, hand = run(*DAY)
    lose_the_day(memory, hand, first)
    log = (tmp_path / "risk.log").read_text()
    assert is_killed or "the wallet has changed" not in log, "our books are the venue's"
    assert result(memory) > -LIMIT, "by itself the second run has lost less than the limit"
    # Only a person lifts it, and the day begins anew: also for the run after that.
    told = command(pipeline, "rearm", "--confirm", "yes")
    assert told.returncode == 0, told.stdout + told.stderr
    wait_until(lambda: not held(memory.control), 5.0, "re-armed")
    wait_until(lambda: memory.control.risk_latch == 0, 5.0, "risk has begun its day anew")
    hand.release()
    end(pipeline, memory, venue)
    assert "limits remember" in pipeline.output and "below the peak" in pipeline.output
    pipeline, memory, hand = run(*DAY)
    lose(memory, hand)
    assert held(memory.control) == [], pipeline.explain()
    hand.release()
    end(pipeline, memory, venue)


def lose_by_hand(venue) -> float:
    """Let a person lose more than half a day's limit at the venue; return how much."""
    before = Decimal(venue.call("GET", "/fapi/v2/balance")[0]["balance"])
    quantity = round(2 * BALANCE / float(venue.price("BTCUSDT")), 3)
    for side in ("BUY", "SELL"):
        venue.call(
            "POST", "/fapi/v1/order", symbol="BTCUSDT", side=side, type="MARKET", quantity=quantity
        )
    lost = before - Decimal(venue.call("GET", "/fapi/v2/balance")[0]["balance"])
    assert lost > Decimal(LIMIT) * 7 / 10, lost
    return float(lost)


@pytest.mark.parametrize("paid", [0, 400, -400])
def test_what_is_lost_while_the_system_is_down_counts(tmp_path: Path, venue, run, paid):
    """Money that is moved while it runs is no loss of it, and hides none."""
    pipeline, memory, hand = run(*DAY)
    lose(memory, hand)
    first = result(memory)
    if paid:
        venue.pay_in(paid)
        wait_until(lambda: memory.control.transfer_e8 == paid * E8, 20.0, "told")
    assert held(memory.control) == []
    hand.release()
    end(pipeline, memory, venue)
    assert kept_day_start(tmp_path, pipeline) == BALANCE + paid
    lost = lose_by_hand(venue)
    pipeline, memory, hand = run(*DAY)
    lose_the_day(memory, hand, first - lost, LOSS_MAX * (BALANCE + paid))
    assert result(memory) > -0.5 * LIMIT
    kept = KEPT.at(memory.state("risk") + KEPT_OFFSET)
    assert kept.base_e8 - kept.wallet_e8 == round(lost * E8)
    hand.release()
    end(pipeline, memory, venue)
    log = (tmp_path / "risk.log").read_text()
    assert "the wallet has changed since an earlier run" in log and "counts_as=loss" in log


def test_losses_in_a_row_and_the_pause_after_them_go_on(tmp_path: Path, venue, run):
    row = ("risk.max_consecutive_losses=3", "risk.loss_cool_off_min=30", *SMALL)
    pipeline, memory, hand = run(*row)
    lose(memory, hand)
    wait_until(lambda: kept_losses(tmp_path, pipeline) == 1, 5.0, "kept")
    lose(memory, hand)
    # The file may not have the second yet; the segments that are left do.
    kill_everything(memory)
    pipeline.finish()
    memory.close()
    pipeline, memory, hand = run(*row)
    lose(memory, hand)
    hand.refused("rejected_cool_off", symbol=0)
    hand.release()
    end(pipeline, memory, venue)
    began = time.time()
    pipeline, memory, hand = run(*row)
    hand.refused("rejected_cool_off", symbol=0)
    assert memory.counters.get("risk.accepted") == 0, refusals(memory)
    hand.release()
    end(pipeline, memory, venue)
    assert "no entries until" in pipeline.output, pipeline.output
    # Another venue is another account: nothing of this one is taken over.
    path = InstanceFolder(str(tmp_path / "state"), pipeline.instance).path / "limits.json"
    content = json.loads(path.read_text())
    (entry,) = content["venues"]
    assert entry["losses_in_a_row"] == 0 and entry["trades"]["momentum"]["closed"] == 3
    assert entry["cool_off_until"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(began + 1500))
    entry["mode"] = "live"
    path.write_text(json.dumps(content))
    pipeline, memory, hand = run(*row)
    hand.enter(0, **LOSING)
    hand.release()
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "closed")
    end(pipeline, memory, venue)
    assert len(json.loads(path.read_text())["venues"]) == 2


def test_a_throttle_latch_holds_in_the_next_run_and_a_damaged_file_latches(
    tmp_path: Path, venue, run
):
    often = ("risk.max_repeats=1", "risk.repeat_window_ms=3600000", *SMALL)
    pipeline, memory, hand = run(*often)
    lose(memory, hand)
    hand.refused("rejected_repeat", symbol=0)
    hand.release()
    end(pipeline, memory, venue)
    pipeline, memory, hand = run(*often)
    hand.refused("rejected_throttled", symbol=0)
    hand.refused("rejected_throttled", symbol=0, strategy=int(Strategy.MOMENTUM), side=-1)
    hand.enter(0, strategy=int(Strategy.ORDER_FLOW), **LOSING)
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "closed")
    assert command(pipeline, "rearm", "--confirm", "yes").returncode == 0
    wait_until(lambda: memory.control.throttle_latches == 0, 5.0, "released")
    hand.enter(0, **LOSING)
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "closed")
    hand.release()
    end(pipeline, memory, venue)
    path = InstanceFolder(str(tmp_path / "state"), pipeline.instance).path / "limits.json"
    path.write_text(path.read_text()[:-30])
    pipeline, memory, hand = run(*often)
    assert [latch[:2] for latch in held(memory.control)] == [("supervisor", LatchReason.MEMORY)]
    hand.refused("rejected_halted", symbol=0)
    assert command(pipeline, "rearm", "--confirm", "yes").returncode == 0
    hand.enter(0, **LOSING)
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "closed")
    hand.release()
    end(pipeline, memory, venue)
    assert "limits.json.damaged-" in pipeline.errors


def test_a_position_that_outlives_its_run_is_counted_once(tmp_path: Path, venue, run):
    pipeline, memory, hand = run(*SMALL)
    hand.enter(0)
    wait_until(lambda: is_protected(memory, 0), 20.0, "a position with its stop")
    fee_e8 = memory.control.fee_e8
    assert fee_e8 > 0 == memory.control.realized_e8
    kill_everything(memory)
    pipeline.finish()
    memory.close()
    pipeline, memory, hand = run(*SMALL, "risk.foreign_policy=adopt")
    wait_until(lambda: memory.position(0).quantity_lot, 20.0, "adopted")
    wait_until(lambda: memory.control.unrealized_e8, 20.0, "its result is followed")
    header = HEADER.at(memory.state("risk"))
    kept = KEPT.at(memory.state("risk") + KEPT_OFFSET)
    # What was open is in no wallet: the base is the wallet less the entry's fee, to the last digit.
    assert kept.base_e8 == kept.wallet_e8 == header.wallet_start_e8 == BALANCE * E8 - fee_e8
    assert header.day_start_e8 == kept.day_start_e8 == BALANCE * E8
    hand.release()
    end(pipeline, memory, venue)
