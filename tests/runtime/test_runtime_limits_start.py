"""What a start finds: segments of a killed run, and a file that nobody can read."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from runtime.guard import Guard
from runtime.instance_folder import LatchRow
from runtime.kill_command import rearm
from runtime.limit_file import LimitFile
from runtime.limit_keeper import adopt_leftovers
from shm.latch_table import LatchReason, held
from tests.runtime.limit_samples import KEPT, KEY, OTHER, VENUE, Words, instance_in


@pytest.fixture
def instance(tmp_path):
    with instance_in(tmp_path) as found:
        yield found


@pytest.mark.parametrize("case", [
    "adopted", "of another build", "touched since", "removed", "embedded", "damaged",
    "no venue", "words say nothing",
])  # fmt: skip
def test_what_stands_in_the_segments_of_a_killed_run_is_kept(instance, case):
    memory, folder = instance.memory, instance.folder
    folder.write_venue(replace(VENUE, exchange_pid=7 if case == "embedded" else 0))
    if case == "no venue":
        folder.forget_venue()
    folder.write_limits(LimitFile({KEY: KEPT, **OTHER}))
    path = folder.path / "limits.json"
    if case == "damaged":
        path.write_text("{")
    if case == "removed":
        path.unlink()
    before = path.read_text() if path.exists() else None
    age_ns = 5 * 10**9 if case == "touched since" else 0
    memory.process("supervisor").heartbeat_ns = time.monotonic_ns() - age_ns
    words, log = Words(), SimpleNamespace(info=lambda *_, **__: None, warning=pytest.fail)
    words.losses = None if case == "words say nothing" else 7
    made = []

    def make(attached, symbols, strategies):
        assert (attached.instance, symbols) == (memory.instance, VENUE.symbols)
        made.append(strategies)
        return words

    build_hash = 5 if case == "of another build" else 0
    adopt_leftovers(memory.instance, folder, build_hash, make, {1: "momentum"}, log)
    if case != "adopted":
        assert (path.read_text() if path.exists() else None) == before
        return
    kept = folder.limits().venues
    assert kept[KEY].losses == 7 and made == [{1: "momentum"}]
    assert "GONEUSDT" in kept[KEY].latched and kept.keys() == {KEY, *OTHER}


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_supervisor_latches_when_the_file_is_damaged(instance, capsys, is_killed):
    instance.folder.path.mkdir(parents=True)
    if is_killed:
        instance.folder.add_latches([LatchRow("operator", "operator", "", "", 5)])
    (instance.folder.path / "limits.json").write_text("{")
    told: list[str] = []
    log = SimpleNamespace(info=lambda *_, **__: None, error=lambda *_, **__: None)
    guard = Guard(instance.settings, lambda *_: None, lambda *_: Words(), lambda _: [], told.append)
    guard.begin(instance.memory, log, VENUE)
    first = LatchReason.OPERATOR if is_killed else LatchReason.MEMORY
    assert [latch[:2] for latch in held(instance.memory.control)] == [("supervisor", first)]
    assert guard.kept_limits is None
    guard.tend(None)
    *others, row = instance.folder.latches()
    assert len(others) == is_killed
    assert row.reason == "memory" and "limits.json" in row.note, row
    assert sum("limits.json" in line for line in told) == 2, "at once, and as the latch's note"
    assert KEY not in instance.folder.limits().venues
    assert rearm(instance.settings, "yes") == 0
    assert "memory" in capsys.readouterr().out and KEY in instance.folder.limits().venues
    said: list[str] = []
    guard.allow(said.append)
    assert said == []
