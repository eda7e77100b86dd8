"""limits.json: what it says, when it is written, what becomes of a damaged one."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import limit_keeper
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
from runtime.limit_keeper import LimitKeeper, describe
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
    Words,
    changed,
)


@pytest.fixture
def folder(tmp_path) -> InstanceFolder:
    return InstanceFolder(str(tmp_path / "state"), "one")


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
    made.keeper.tend(is_last=True)
    made.keeper.adopt()
    assert made.folder.limits() == LimitFile(lost=aside.name), "a person has to look first"
    made.control.rearm_ns = 1
    made.keeper.tend(is_last=True)
    assert made.folder.limits().venues[KEY].losses == 0, "it begins anew"
    assert keep().keeper.begin() == ""
    other = keep(LIVE)
    assert aside.name in other.keeper.begin() and other.keeper.earlier is None
    other.control.rearm_ns = 1
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
    own.keeper.tend(is_last=True)
    assert entry in json.loads(path.read_text())["venues"], "left to the start, and to a person"
    again = keep()
    assert again.keeper.begin() == problem and aside_of(made), "one copy is enough"
    own.control.rearm_ns = 1
    own.keeper.tend(is_last=True)
    assert {key: one.losses for key, one in made.folder.limits().venues.items()} == {
        KEY: 0, OTHER_KEY: 4,
    }  # fmt: skip
    assert made.folder.limits().damaged == {} and keep().keeper.begin() == ""


@pytest.mark.parametrize("case", ["whole", "entry", "no room", "hopeless"])
def test_a_file_that_cannot_be_copied_is_written_over_by_nobody(keep, monkeypatch, case):
    made = keep()
    made.folder.path.mkdir(parents=True)
    path = made.folder.path / "limits.json"
    text = changed(latch="hunger") if case == "entry" else "{"
    path.write_text(text)
    read_text = Path.read_text

    def read(self, *arguments):
        if self == path and case == "hopeless":
            raise OSError(errno.EIO, "Input/output error")
        return read_text(self, *arguments)

    def copy(source, target):
        target.write_text("")
        raise OSError(errno.ENOSPC, "No space left on device")

    def link(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", read)
        patch.setattr(shutil, "copyfile", copy)
        if case != "no room":
            patch.setattr(Path, "hardlink_to", link)
        problem = made.keeper.begin()
        assert "limits.json" in problem and made.keeper.earlier is None
        made.control.rearm_ns = 1
        for _ in range(3):
            made.clock.s += 2
            made.keeper.tend(is_last=True)
    copies = list(made.folder.path.glob("limits.json.damaged-*"))
    if case == "no room":
        # A second name needs none.
        assert [one.read_text() for one in copies] == [text]
        assert made.folder.limits().venues[KEY].losses == 0
        return
    assert "Operation not permitted" in problem and "stays as it is" in problem
    assert path.read_text() == text and copies == []
    # Once there is room, what a person has re-armed is kept again.
    made.clock.s += 2
    made.keeper.tend()
    assert aside_of(made).read_text() == text and made.folder.limits().venues[KEY].losses == 0


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
