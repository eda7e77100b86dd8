"""The latch outside shared memory: its file, the supervisor that keeps it, the commands."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import time
from types import SimpleNamespace

import pytest

from config.loader import load
from runtime import kill_command
from runtime.instance_folder import FolderError, InstanceFolder, LatchRow, Venue
from runtime.kill_command import kill, rearm
from runtime.latch_keeper import LatchKeeper, adopt_leftovers
from runtime.preparation import PipelineError
from runtime.venue_task import VenueOutcome, task_of
from shm import topology
from shm.latch_table import LatchReason, held, is_latched, trip
from shm.records import OrderFlag, OrderStatus
from shm.tables import CONTROL, ORDER_ROW

VENUE = Venue("testnet", "http://127.0.0.1:9", ("BTCUSDT",))


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, level: str):
        return lambda event, **values: self.lines.append(f"{level} {event} {values}")


@pytest.fixture
def folder(tmp_path) -> InstanceFolder:
    return InstanceFolder(str(tmp_path / "state"), "one")


@pytest.fixture
def control():
    return CONTROL.new()


@pytest.fixture
def keep(control, folder):
    def make() -> SimpleNamespace:
        told: list[str] = []
        log = Log()
        return SimpleNamespace(
            keeper=LatchKeeper(control, folder, VENUE, log, told.append), told=told, log=log
        )

    return make


@pytest.fixture
def instance(tmp_path):
    """Segments of an instance whose owner is this very process."""
    name = f"tlatch{os.getpid()}"
    settings = load(
        env_file=None,
        environ={},
        overrides=[
            f"system.instance={name}",
            f"system.state_folder={tmp_path}/state",
            "supervisor.kill_takeover_ms=50",
        ],
    )
    memory = topology.create_all(name, topology.Sizes(market_queue=1024, queue=64, order_rows=8))
    yield SimpleNamespace(
        name=name,
        memory=memory,
        settings=settings,
        folder=InstanceFolder(settings.system.state_folder, name),
    )
    memory.close()
    memory.unlink()


def test_the_venue_is_noted_read_and_forgotten(folder):
    assert folder.venue() is None
    folder.write_venue(VENUE)
    assert folder.venue() == VENUE
    (file,) = folder.path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.forget_venue()
    folder.forget_venue()
    assert folder.venue() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mode": 1}', '{"latches": [{"by": 1}]}', "\0"])
def test_a_damaged_file_is_named_and_a_damaged_latch_still_holds(folder, text):
    folder.path.mkdir(parents=True)
    (folder.path / "venue.json").write_text(text)
    with pytest.raises(FolderError, match=r"venue\.json"):
        folder.venue()
    assert folder.latches() == []
    (folder.path / "latch.json").write_text(text)
    (row,) = folder.latches()
    assert folder.is_latched and "cannot be read" in row.meaning


def test_rows_are_merged_by_writer_and_stamp_from_many_threads(folder):
    rows = [LatchRow("risk", "drawdown", "m", "t", stamp) for stamp in range(20)]
    threads = [
        threading.Thread(target=lambda n=n: [folder.add_latches([row]) for row in rows[n % 2 :: 2]])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.tripped_ns for row in folder.latches()) == list(range(20))
    assert len(list(folder.path.iterdir())) == 1, "no half-written file is left"


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    folder = InstanceFolder(str(tmp_path / "file"), "one")
    with pytest.raises(FolderError, match="file"):
        folder.write_venue(VENUE)


def test_a_trip_is_told_and_kept_within_one_turn_and_a_rearm_forgets_it(keep, control, folder):
    made = keep()
    assert made.keeper.tend() is False and not folder.is_latched
    trip(control, "risk", LatchReason.DRAWDOWN)
    made.keeper.tend()
    (row,) = folder.latches()
    assert (row.by, row.reason) == ("risk", "drawdown")
    assert row.at[:10] == time.strftime("%Y-%m-%d", time.gmtime())
    assert len(made.told) == 1 and "equity fell below" in made.told[0]
    made.keeper.tend()
    assert len(made.told) == 1, "told once"
    made.keeper.trip(LatchReason.RESTART_BUDGET, "engine")
    made.keeper.tend()
    assert [(r.by, r.note) for r in folder.latches()] == [("risk", ""), ("supervisor", "engine")]
    control.rearm_ns = time.monotonic_ns()
    assert made.keeper.tend() is True and not folder.is_latched
    assert control.supervisor_latch == 0 and made.keeper.tend() is False


def test_an_unknown_memory_is_a_row_whatever_the_supervisor_holds(keep, control, folder):
    folder.add_latches([LatchRow("operator", "operator", "m", "2026-01-01T00:00:00Z", 5)])
    for _ in range(2):
        made = keep()
        made.keeper.take_over()
        made.keeper.trip_memory("limits.json: latch=hunger")
        made.keeper.tend()
        assert [(row.by, row.reason, row.note) for row in folder.latches()] == [
            ("operator", "operator", ""),
            ("supervisor", "memory", "limits.json: latch=hunger"),
        ], "once, however often it is started"
        assert "latch=hunger" in made.told[-1]
        assert [latch.reason for latch in held(control)] == [LatchReason.OPERATOR]
        control.supervisor_latch = 0
    assert folder.latches()[1].venue == (VENUE.mode, VENUE.rest_url)


def test_a_row_says_which_venue_it_was_on_and_one_of_an_earlier_build_does_not(folder, instance):
    folder.path.mkdir(parents=True)
    row = {"by": "risk", "reason": "drawdown", "meaning": "m", "at": "t", "tripped_ns": 5}
    (folder.path / "latch.json").write_text(json.dumps({"latches": [row]}))
    assert folder.latches() == [LatchRow("risk", "drawdown", "m", "t", 5)]
    assert folder.latches()[0].venue is None
    instance.folder.write_venue(VENUE)
    trip(instance.memory.control, "risk", LatchReason.DRAWDOWN)
    adopt_leftovers(instance.name, instance.folder)
    (kept,) = instance.folder.latches()
    assert kept.venue == (VENUE.mode, VENUE.rest_url)
    assert f"by risk on {VENUE.mode} {VENUE.rest_url}: drawdown" in kept.text()


def test_a_file_that_vanished_while_latched_is_written_again(keep, control, folder):
    made = keep()
    trip(control, "operator", LatchReason.OPERATOR)
    made.keeper.tend()
    folder.forget_latches()
    made.keeper.tend()
    assert [row.by for row in folder.latches()] == ["operator"]


def test_a_disk_that_is_full_changes_nothing_about_the_latch(keep, control, folder, monkeypatch):
    made = keep()

    def refuse(*arguments):
        raise FolderError("cannot write: no space")

    monkeypatch.setattr(InstanceFolder, "_write", refuse)
    trip(control, "risk", LatchReason.DAILY_LOSS)
    made.keeper.tend()
    assert is_latched(control) and any("latch not kept" in line for line in made.log.lines)


def test_an_earlier_runs_latch_is_taken_over_with_its_first_reason(keep, control, folder):
    folder.add_latches([LatchRow("risk", "daily_loss", "m", "2026-01-01T00:00:00Z", 5)])
    made = keep()
    made.keeper.take_over()
    assert [(x.writer, x.reason) for x in held(control)] == [("supervisor", LatchReason.DAILY_LOSS)]
    assert "2026-01-01T00:00:00Z by risk" in made.told[0]
    made.keeper.tend()
    assert len(folder.latches()) == 1, "it is not counted as a new one"


def test_a_file_from_outside_trips_a_running_supervisor(keep, control, folder):
    made = keep()
    made.keeper.tend()
    folder.add_latches([LatchRow("operator", "operator", "m", "2026-01-01T00:00:00Z", 5)])
    made.keeper.tend()
    assert [(x.writer, x.reason) for x in held(control)] == [("supervisor", LatchReason.OPERATOR)]
    assert "latched by its file" in made.told[0] and len(made.told) == 1
    made.keeper.tend()
    assert len(made.told) == 1 and len(folder.latches()) == 1
    # make rearm: the file first, then the stamp, whatever turn of the supervisor comes between.
    folder.forget_latches()
    made.keeper.tend()
    control.rearm_ns = time.monotonic_ns()
    assert made.keeper.tend() is True
    made.keeper.tend()
    assert held(control) == [] and not folder.is_latched


def test_kill_of_an_instance_of_another_build_goes_by_the_file(instance, capsys):
    instance.folder.write_venue(VENUE)
    header = instance.memory.parts["control"].header
    header.layout_hash += 1
    asked: list = []
    assert kill(instance.settings, answering(VenueOutcome(), asked), flatten=False) == 0
    header.layout_hash -= 1
    assert "layout differs" in capsys.readouterr().out
    assert asked and instance.folder.is_latched and not is_latched(instance.memory.control)


def test_the_latches_of_leftover_segments_are_kept(instance):
    trip(instance.memory.control, "risk", LatchReason.SUPERVISOR)
    adopt_leftovers(instance.name, instance.folder)
    assert [row.reason for row in instance.folder.latches()] == ["supervisor"]
    adopt_leftovers("nobody-has-this", instance.folder)


def answering(outcome: VenueOutcome, asked: list):
    def clear(task, say):
        asked.append(task)
        return outcome

    return clear


def test_kill_with_nothing_but_the_venues_address(instance, capsys):
    instance.folder.write_venue(VENUE)
    asked: list = []
    settings = instance.settings._replace(system=instance.settings.system._replace(instance="gone"))
    other = InstanceFolder(settings.system.state_folder, "gone")
    other.write_venue(VENUE)
    assert kill(settings, answering(VenueOutcome(), asked), flatten=True) == 0
    assert asked[0].venue == VENUE and asked[0].flatten
    assert [row.by for row in other.latches()] == ["operator"]
    failed = VenueOutcome(failure="still open: BTCUSDT")
    with pytest.raises(PipelineError, match=r"NOT CLEAR.*BTCUSDT") as raised:
        kill(settings, answering(failed, asked), flatten=False)
    assert raised.value.exit_code == 1
    capsys.readouterr()


def test_kill_sets_the_word_before_anything_can_fail(instance, capsys):
    (instance.folder.path).mkdir(parents=True)
    (instance.folder.path / "venue.json").write_text("{")
    with pytest.raises(PipelineError, match="the venue was not asked"):
        kill(instance.settings, answering(VenueOutcome(), []), flatten=True)
    control = instance.memory.control
    assert is_latched(control) and control.kill_flatten == 1
    assert "not running (risk, executor)" in capsys.readouterr().out


def test_kill_where_nothing_ever_ran_is_refused_and_latches_nothing(tmp_path):
    settings = load(
        env_file=None, environ={},
        overrides=["system.instance=neverran", f"system.state_folder={tmp_path}"],
    )  # fmt: skip
    with pytest.raises(PipelineError, match="not running: instance=neverran; nothing") as told:
        kill(settings, answering(VenueOutcome(), []), flatten=False)
    assert "segment" not in str(told.value), "of the program's inside, not for people"
    assert list(tmp_path.iterdir()) == []


def test_kill_of_a_real_venue_needs_no_run(tmp_path, capsys):
    settings = load(
        env_file=None, environ={},
        overrides=[
            "system.instance=neverran", f"system.state_folder={tmp_path}", "venue.mode=testnet",
        ],
    )  # fmt: skip
    asked: list = []
    assert kill(settings, answering(VenueOutcome(), asked), flatten=False) == 0
    assert asked[0].venue.mode == "testnet" and asked[0].venue.rest_url.startswith("https://")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("confirm", "typed", "code"),
    [("", None, 2), ("no", None, 2), ("yes", None, 0), ("", "rearm\n", 0), ("", "y\n", 2)],
)
def test_rearm_shows_why_and_wants_a_person(instance, monkeypatch, capsys, confirm, typed, code):
    control = instance.memory.control
    trip(control, "risk", LatchReason.DRAWDOWN)
    trip(control, "operator", LatchReason.OPERATOR)
    control.kill_flatten = 1
    stdin = io.StringIO(typed or "")
    stdin.isatty = lambda: typed is not None
    monkeypatch.setattr(kill_command.sys, "stdin", stdin)
    if code:
        with pytest.raises(PipelineError, match="not re-armed") as raised:
            rearm(instance.settings, confirm)
        assert raised.value.exit_code == code and is_latched(control)
    else:
        assert rearm(instance.settings, confirm) == 0
        assert not is_latched(control) and control.kill_flatten == 0
    shown = capsys.readouterr().out
    assert "by risk: drawdown" in shown and "by operator: operator" in shown


def test_rearm_releases_strategies_that_are_throttled_without_a_kill_latch(instance, capsys):
    control = instance.memory.control
    control.throttle_latches = 2
    with pytest.raises(PipelineError, match="not re-armed"):
        rearm(instance.settings, "no")
    assert control.rearm_ns == 0
    before = time.monotonic_ns()
    assert rearm(instance.settings, "yes") == 0
    assert control.rearm_ns >= before, "risk releases them when it sees a new stamp"
    assert "throttled by risk: 2 strategies" in capsys.readouterr().out


def test_rearm_of_nothing_says_so(instance, capsys):
    assert rearm(instance.settings, "yes") == 0
    assert capsys.readouterr().out.startswith("nothing is latched")


@pytest.mark.parametrize(
    ("status", "flags", "confirm_s"),
    [
        (OrderStatus.SENDING, 0, 5.25),
        (OrderStatus.UNKNOWN, 0, 5.25),
        (OrderStatus.SENDING, int(OrderFlag.REDUCE_ONLY), 0.25),
        (OrderStatus.NEW, 0, 0.25),
        (OrderStatus.FILLED, 0, 0.25),
    ],
)
def test_an_order_in_doubt_is_waited_for(instance, status, flags, confirm_s):
    row = ORDER_ROW.at(instance.memory.order_rows)
    row.order_id, row.status, row.flags = 7, int(status), flags
    task = task_of(instance.settings, VENUE, False, instance.memory)
    assert task.confirm_s == confirm_s
    assert task_of(instance.settings, VENUE, False, None).confirm_s == 0.25
