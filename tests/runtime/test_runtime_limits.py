"""limits.json: what it says, when it is written, what becomes of a damaged one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import limit_keeper
from runtime.guard import Guard
from runtime.instance_folder import FolderError, InstanceFolder, Venue
from runtime.limit_file import (
    KeptEquity,
    KeptLimits,
    KeptTrades,
    LimitFile,
    dump,
    key_text,
    parse,
    venue_key,
)
from runtime.limit_keeper import LimitKeeper, adopt_leftovers, describe
from shm.latch_table import LatchReason, held
from shm.tables import CONTROL
from tests.runtime.limit_samples import (
    DAY,
    DAY_NS,
    E8,
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
def folder(tmp_path) -> InstanceFolder:
    return InstanceFolder(str(tmp_path / "state"), "one")


class Words:
    """Two symbols, one strategy; a look is a number of losses."""

    def __init__(self) -> None:
        self.symbols = ("BTCUSDT", "ETHUSDT")
        self.strategies = {1: "momentum"}
        self.losses: int | None = 0

    def look(self) -> int | None:
        return self.losses

    def kept(self, seen: int, wall_ns: int, mono_ns: int) -> KeptLimits:
        return KeptLimits(at_ns=wall_ns, losses=seen)


@pytest.fixture
def keep(folder, monkeypatch):
    """A keeper whose time is the test's."""
    clock = SimpleNamespace(s=100.0)
    monkeypatch.setattr(limit_keeper.time, "monotonic", lambda: clock.s)

    def make(venue: Venue = VENUE) -> SimpleNamespace:
        told: list[str] = []
        words, control = Words(), CONTROL.new()
        log = SimpleNamespace(info=lambda event, **values: told.append(f"{event} {values}"))
        keeper = LimitKeeper(words, folder, venue, control, log, told.append)
        return SimpleNamespace(
            keeper=keeper, words=words, control=control, told=told, clock=clock, folder=folder
        )

    return make


def test_what_is_kept_reads_the_same_and_is_readable(folder):
    folder.write_limits(LimitFile({KEY: KEPT, **OTHER}))
    assert folder.limits() == LimitFile({KEY: KEPT, **OTHER})
    (entry, _) = json.loads((folder.path / "limits.json").read_text())["venues"]
    assert entry["equity"] == {
        "without_unrealised": "9700.00000001",
        "peak": "10200.00000000",
        "day": "2024-10-04",
        "day_start": "-0.00000003",
    }
    assert entry["at"] == "2024-10-04T01:00:00.000Z"
    assert entry["cool_off_until"] == "2024-10-04T01:10:00.000Z"
    assert (folder.path / "limits.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.path.iterdir()] == ["limits.json"]


NO_FILE = [
    *("", "{", "[]", "\0", "{}", '{"layout": 0, "venues": []}', '{"layout": 1}'),
    *('{"layout": 1, "venues": [3]}', '{"layout": 1, "lost": 0, "venues": []}'),
    json.dumps(dump(LimitFile({KEY: KEPT})) | {"layout": 2}),
    json.dumps(dump(LimitFile({KEY: KEPT})))[:-40],
    changed(mode=None), changed(rest_url=9),
]  # fmt: skip
NO_ENTRY = [
    changed(**{key: value}) for key, value in (
        ("at", "yesterday"), ("at", "2024-10-04T01:00:00"), ("equity", 7), ("latch", "hunger"),
        ("losses_in_a_row", -1), ("losses_in_a_row", 1.5), ("losses_in_a_row", True),
        ("losses_in_a_row", 1 << 62), ("cool_off_until", None), ("latched", []),
        ("latched__BTCUSDT", "momentum"), ("latched__BTCUSDT", [1]), ("trades", None),
        ("trades__mine", 1), ("trades__mine__closed", 0 - 1), ("trades__momentum__won", 10),
        ("equity__peak", "0.0"), ("equity__peak", 5), ("equity__peak", "NaN"),
        ("equity__peak", "1e30"), ("equity__day", "1969-12-31"), ("equity__day_start", "much"),
    )
]  # fmt: skip


def aside_of(made: SimpleNamespace) -> Path:
    (aside,) = made.folder.path.glob("limits.json.damaged-*")
    return aside


@pytest.mark.parametrize("text", NO_FILE)
def test_a_damaged_file_is_named_and_every_venue_of_it_is_unknown(keep, text):
    made = keep()
    made.folder.path.mkdir(parents=True)
    path = made.folder.path / "limits.json"
    path.write_text(text)
    with pytest.raises(FolderError, match=r"limits\.json"):
        made.folder.limits()
    problem = made.keeper.begin()
    assert "limits.json" in problem and made.keeper.earlier is None
    aside = aside_of(made)
    assert aside.name in problem and aside.read_text() == text
    assert made.keeper.remembered(NOW_NS) == ""
    assert made.folder.limits() == LimitFile(lost=aside.name), "also if the run dies at once"
    assert aside.name in keep().keeper.begin(), "so the next start is no better off"
    made.keeper.tend()
    assert made.folder.limits().venues[KEY].losses == 0, "it begins anew"
    assert keep().keeper.begin() == ""
    other = keep(LIVE)
    assert aside.name in other.keeper.begin() and other.keeper.earlier is None
    other.keeper.tend()
    assert keep(LIVE).keeper.begin() == "" and made.folder.limits().venues.keys() == {KEY, *OTHER}


@pytest.mark.parametrize("text", NO_ENTRY)
def test_a_damaged_entry_is_a_matter_of_its_venue_alone(keep, text):
    made = keep(LIVE)
    made.folder.path.mkdir(parents=True)
    path = made.folder.path / "limits.json"
    path.write_text(text)
    (entry,) = json.loads(text)["venues"]
    assert made.keeper.begin() == ""
    made.words.losses = 4
    made.keeper.tend()
    assert entry in json.loads(path.read_text())["venues"], "carried along as it is"
    assert made.folder.limits().venues[OTHER_KEY].losses == 4
    own = keep()
    problem = own.keeper.begin()
    assert key_text(KEY) in problem and own.keeper.earlier is None
    assert aside_of(made).name in problem
    assert entry in json.loads(aside_of(made).read_text())["venues"]
    own.keeper.adopt()
    assert entry in json.loads(path.read_text())["venues"], "left to the start"
    own.keeper.tend()
    assert {key: one.losses for key, one in made.folder.limits().venues.items()} == {
        KEY: 0, OTHER_KEY: 4,
    }  # fmt: skip
    assert made.folder.limits().damaged == {} and keep().keeper.begin() == ""


def test_an_address_has_one_spelling_and_two_entries_for_it_are_none(keep):
    assert venue_key("live", "https://A.Example/fapi/") == ("live", "https://a.example/fapi")
    made = keep(replace(VENUE, rest_url="http://127.0.0.1:9/"))
    made.folder.write_limits(LimitFile({KEY: KEPT}))
    assert made.keeper.begin() == "" and made.keeper.earlier == KEPT
    twice = dump(LimitFile({KEY: KEPT, ("testnet", f"{KEY[1]}/"): KEPT}))
    (made.folder.path / "limits.json").write_text(json.dumps(twice))
    assert "2 entries" in keep().keeper.begin()
    assert dump(made.folder.limits()) == twice


def test_sound_values_at_their_borders_are_read():
    for key, value in (("equity", None), ("latch", ""), ("cool_off_until", ""), ("latched", {})):
        assert parse(json.loads(changed(**{key: value})))


def test_it_is_written_on_a_change_and_once_a_second_at_most(keep):
    made = keep()
    assert made.keeper.begin() == "" and made.keeper.earlier is None

    def losses_after(losses: int | None, seconds: float) -> int:
        made.words.losses = losses
        made.clock.s += seconds
        made.keeper.tend()
        return made.folder.limits().venues[KEY].losses

    assert losses_after(1, 0.0) == 1
    assert losses_after(2, 0.5) == 1
    assert losses_after(2, 0.5) == 2
    first = made.folder.limits().venues[KEY].at_ns
    assert losses_after(2, 10.0) == 2 and made.folder.limits().venues[KEY].at_ns == first, (
        "no change"
    )
    assert losses_after(3, 0.0) == 3, "at once, when nothing was written for long"
    assert losses_after(None, 10.0) == 3, "words that cannot be told to belong together"
    made.words.losses = 4
    made.keeper.tend(is_last=True)
    assert made.folder.limits().venues[KEY].losses == 4, "at the end, however short ago"


def test_an_embedded_exchange_leaves_no_file(keep):
    made = keep(replace(VENUE, exchange_pid=7))
    made.folder.write_limits(LimitFile({KEY: KEPT}))
    assert made.keeper.begin() == "" and made.keeper.earlier is None
    made.words.losses = 9
    made.keeper.tend()
    made.keeper.tend(is_last=True)
    assert made.folder.limits() == LimitFile({KEY: KEPT})


def test_another_venue_is_not_taken_over_and_stays_in_the_file(keep):
    made = keep()
    made.folder.write_limits(LimitFile(OTHER))
    made.keeper.begin()
    assert made.keeper.earlier is None
    made.words.losses = 5
    made.keeper.tend()
    assert {key: one.losses for key, one in made.folder.limits().venues.items()} == {
        KEY: 5, ("live", "https://elsewhere"): 1,
    }  # fmt: skip


def test_trials_are_forgotten_and_nothing_that_holds_back(keep, monkeypatch):
    monkeypatch.setattr(limit_keeper.time, "time_ns", lambda: NOW_NS)
    made = keep()
    free = replace(KEPT, latched={}, latch="", cool_off_until_ns=0)
    won = replace(KEPT.equity, day_start_e8=KEPT.equity.base_e8)
    trials = {
        ("testnet", f"http://127.0.0.1:{n}"): replace(free, equity=won, at_ns=NOW_NS + n * 10**9)
        for n in range(100, 130)
    }
    lost = KeptEquity(9 * E8, 10 * E8, 10 * E8, DAY)
    oldest = {
        ("testnet", "https://of.the.venue"): free,
        ("testnet", "http://localhost:1"): replace(free, latch="drawdown"),
        ("testnet", "http://localhost:2"): replace(free, latched={"BTCUSDT": ("momentum",)}),
        ("testnet", "http://localhost:3"): replace(free, cool_off_until_ns=NOW_NS + 1),
        ("testnet", "http://localhost:4"): replace(free, equity=lost),
        KEY: free,
    }
    gone = {("testnet", "http://localhost:5"): replace(free, equity=replace(lost, utc_day=DAY - 1))}
    kept = {key: replace(one, at_ns=1) for key, one in (oldest | gone).items()}
    made.folder.write_limits(LimitFile(kept | trials))
    made.keeper.begin()
    made.keeper.tend()
    newest = list(trials)[-limit_keeper.TRIAL_COUNT_MAX :]
    assert made.folder.limits().venues.keys() == {*oldest, *newest}
    assert sum("forgotten" in line for line in made.told) == 15


def test_what_is_not_configured_is_told_and_stays_until_a_person_rearms(keep):
    made = keep()
    made.folder.write_limits(LimitFile({KEY: KEPT}))
    made.keeper.begin()
    assert made.keeper.earlier == KEPT
    (line,) = made.told
    assert "GONEUSDT" in line and "mine" in line and "momentum" not in line
    made.keeper.tend()
    kept = made.folder.limits().venues[KEY]
    assert kept.latched == {"BTCUSDT": ("mine",), "GONEUSDT": ("order_flow",)}
    assert kept.trades == {"mine": KeptTrades(1, 0, 0, 7)}
    made.control.rearm_ns = 1
    made.keeper.tend(is_last=True)
    kept = made.folder.limits().venues[KEY]
    assert kept.latched == {} and kept.trades == {"mine": KeptTrades(1, 0, 0, 7)}


def test_a_folder_that_cannot_be_written_is_told_once_and_tried_again(keep):
    made = keep()
    made.folder.path.parent.mkdir(parents=True)
    made.folder.path.write_text("a file where the folder should be")
    for _ in range(3):
        made.words.losses += 1
        made.clock.s += 2
        made.keeper.tend()
    (line,) = made.told
    assert "a restart would forget" in line
    made.folder.path.unlink()
    made.clock.s += 2
    made.keeper.tend()
    assert len(made.told) == 2 and made.folder.limits().venues[KEY].losses == 3


def test_a_person_is_told_in_one_line(keep):
    text = describe(
        replace(KEPT, equity=KeptEquity(9_700 * E8, 10_000 * E8, 9_900 * E8, DAY)), NOW_NS
    )
    assert text == (
        "limits remember 2024-10-04T01:00:00Z, today -200.0000 without what was open, "
        "3.00% below the peak 10000.0000, losses in a row 3, "
        "no entries until 2024-10-04T01:10:00Z, latched by daily_loss, "
        "latched in BTCUSDT: momentum, mine, latched in GONEUSDT: order_flow, closed trades 10"
    )
    late = describe(replace(KEPT, latched={}, trades={}), NOW_NS + DAY_NS)
    assert "2024-10-04 " in late and "today" not in late and "until" not in late
    assert "equity unknown" in describe(KeptLimits(at_ns=0), NOW_NS)


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


def test_the_supervisor_latches_when_the_file_is_damaged(instance):
    instance.folder.path.mkdir(parents=True)
    (instance.folder.path / "limits.json").write_text("{")
    told: list[str] = []
    log = SimpleNamespace(info=lambda *_, **__: None, error=lambda *_, **__: None)
    guard = Guard(instance.settings, lambda *_: None, lambda *_: Words(), lambda _: [], told.append)
    guard.begin(instance.memory, log, VENUE)
    assert [latch[:2] for latch in held(instance.memory.control)] == [
        ("supervisor", LatchReason.MEMORY)
    ]
    assert guard.kept_limits is None
    guard.tend(None)
    (row,) = instance.folder.latches()
    assert row.reason == "memory" and "limits.json" in row.note, row
    assert sum("limits.json" in line for line in told) == 2, "at once, and as the latch's note"
    assert instance.folder.limits().venues[KEY].losses == 0
    said: list[str] = []
    guard.allow(said.append)
    assert said == []
