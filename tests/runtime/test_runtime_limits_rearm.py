"""Re-arming, and what limits remember over runs: of which venue, and of which trip."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from config.loader import load
from runtime.instance_folder import InstanceFolder, LatchRow, Venue
from runtime.kill_command import rearm
from runtime.limit_file import LimitFile, key_text
from shm.latch_table import LatchReason, held, trip
from tests.runtime.limit_samples import (
    KEPT,
    KEY,
    LIVE,
    NOW_NS,
    OTHER,
    OTHER_KEY,
    VENUE,
    changed,
    instance_in,
)


@pytest.fixture
def instance(tmp_path):
    with instance_in(tmp_path) as found:
        yield found


@pytest.fixture
def no_run(tmp_path):
    overrides = ["system.instance=tnorun", f"system.state_folder={tmp_path}"]
    settings = load(env_file=None, environ={}, overrides=overrides)
    folder = InstanceFolder(str(tmp_path), "tnorun")
    return SimpleNamespace(settings=settings, folder=folder)


RELEASED = replace(KEPT, latched={}, latch="", equity=None)


def test_rearming_without_a_run_releases_what_is_kept(no_run, capsys):
    settings, folder = no_run.settings, no_run.folder
    folder.write_limits(LimitFile({KEY: KEPT}))
    assert rearm(settings, "yes") == 0
    told = capsys.readouterr().out
    assert f"kept over runs on {key_text(KEY)}: GONEUSDT: order_flow" in told
    assert f"kept over runs on {key_text(KEY)}: daily_loss" in told
    assert folder.limits() == LimitFile({KEY: RELEASED})
    assert rearm(settings, "yes") == 0
    assert "nothing is latched" in capsys.readouterr().out
    # A day that no latch ended goes on: re-arming is not for forgetting a loss.
    folder.write_limits(LimitFile({KEY: replace(KEPT, latch="")}))
    rearm(settings, "yes")
    assert folder.limits().venues[KEY].equity == KEPT.equity
    (folder.path / "limits.json").write_text("{")
    assert rearm(settings, "yes") == 0 and "limits.json" in capsys.readouterr().err


@pytest.mark.parametrize("last", ["ended", "killed", "embedded", "unknown"])
def test_rearming_is_about_the_venue_of_the_last_run(no_run, capsys, last):
    folder, live = no_run.folder, {OTHER_KEY: replace(KEPT, at_ns=NOW_NS + 10**9)}
    folder.write_limits(LimitFile({KEY: KEPT, **live}))
    if last != "unknown":
        folder.write_venue(LIVE)
        folder.forget_venue()
        # With another spelling of its address, and older than the other entry.
        folder.write_venue(replace(VENUE, rest_url=f"{VENUE.rest_url}/"))
    if last == "embedded":
        folder.write_venue(Venue("sim", "http://127.0.0.1:7", VENUE.symbols, exchange_pid=7))
    if last in ("ended", "embedded"):
        folder.forget_venue()
    is_meant = last in ("ended", "killed")
    assert rearm(no_run.settings, "yes") == 0
    told = capsys.readouterr().out
    stays = "stays, a run there is re-armed while it is up: tripped by risk, kept over runs on "
    assert stays + key_text(OTHER_KEY) in told
    assert ("nothing is latched" in told) is not is_meant
    assert folder.limits() == LimitFile({KEY: RELEASED if is_meant else KEPT, **live})


@pytest.mark.parametrize("writer", ["risk", "operator"])
def test_rearming_forgets_what_a_trip_that_the_file_does_not_have_was_for(instance, writer):
    """The run was killed right after its trip: latch.json has it, limits.json is a second older."""
    folder, memory = instance.folder, instance.memory
    folder.write_venue(VENUE)
    before = LimitFile({KEY: replace(KEPT, latch="", latched={}), **OTHER})
    folder.write_limits(before)
    trip(memory.control, writer, LatchReason.DAILY_LOSS, 5)
    assert rearm(instance.settings, "yes") == 0
    begun_anew = before.with_venue(KEY, RELEASED)
    assert folder.limits() == (begun_anew if writer == "risk" else before)
    assert held(memory.control) == []


@pytest.mark.parametrize("by", ["risk", "supervisor"])
def test_so_does_rearming_when_the_segments_are_gone_too(no_run, by):
    folder = no_run.folder
    folder.write_venue(VENUE)
    folder.add_latches([LatchRow(by, "daily_loss", "", "", 5)])
    before = LimitFile({KEY: replace(KEPT, latch="", latched={}), **OTHER})
    folder.write_limits(before)
    assert rearm(no_run.settings, "yes") == 0
    assert (folder.limits() == before) is (by != "risk")
    assert folder.limits().venues[OTHER_KEY] == OTHER[OTHER_KEY]
    # A trip of risk that another venue's entry explains says nothing about this one.
    before = before.with_venue(OTHER_KEY, replace(OTHER[OTHER_KEY], latch="daily_loss"))
    folder.write_limits(before)
    folder.add_latches([LatchRow(by, "daily_loss", "", "", 5)])
    assert rearm(no_run.settings, "yes") == 0
    assert folder.limits() == before


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("is_latched_elsewhere", [False, True])
def test_a_trip_counts_for_the_venue_that_it_was_on(no_run, where, is_latched_elsewhere):
    """Sim trips, testnet is run after it and re-armed: its day's loss is not what was re-armed."""
    folder = no_run.folder
    folder.write_venue(VENUE)
    folder.forget_venue()
    of_sim = ("sim", "http://127.0.0.1:7")
    # With another spelling of its address.
    place = (VENUE.mode, f"{VENUE.rest_url}/") if where == "here" else of_sim
    folder.add_latches([LatchRow("risk", "daily_loss", "", "", 5, "", *place)])
    other = replace(OTHER[OTHER_KEY], latch="daily_loss" if is_latched_elsewhere else "")
    before = LimitFile({KEY: replace(KEPT, latch="", latched={}), OTHER_KEY: other})
    folder.write_limits(before)
    assert rearm(no_run.settings, "yes") == 0
    assert folder.limits() == (before.with_venue(KEY, RELEASED) if where == "here" else before)


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("case", ["entry", "file", "of another venue"])
def test_rearming_ends_what_is_unknown_where_a_start_has_told_of_it(no_run, case, is_told):
    folder = no_run.folder
    folder.write_venue(VENUE)
    (folder.path / "limits.json").write_text(changed(latch="hunger"))
    if case == "file":
        folder.write_limits(LimitFile(lost="limits.json.damaged-1"))
    before = folder.limits()
    reason, place = "memory" if is_told else "operator", KEY if case == "entry" else ("", "")
    if case == "of another venue":
        is_told, place = False, OTHER_KEY
    folder.add_latches([LatchRow("supervisor", reason, "", "", 5, "", *place)])
    assert rearm(no_run.settings, "yes") == 0
    copies = [path.read_text() for path in folder.path.glob("limits.json.damaged-*")]
    assert copies == ([changed(latch="hunger")] if is_told and case == "entry" else [])
    after = folder.limits()
    assert (after.why_unknown(KEY) == "") is is_told
    assert after.why_unknown(OTHER_KEY) == before.why_unknown(OTHER_KEY)
    assert is_told or after == before
